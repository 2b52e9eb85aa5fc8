//! Forms of numbers, as `printf` writes them.

/// Like `%.Nf`.
pub(super) fn fixed(value: f64, decimals: usize) -> String {
    format!("{value:.decimals$}")
}

/// Like `%.Ng`, for at least one digit.
pub(super) fn general(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let Ok(power) = exponent.parse::<i64>() else {
        return scientific;
    };
    match usize::try_from(digits as i64 - 1 - power) {
        Ok(decimals) if power >= -4 => without_zeros(&fixed(value, decimals)).to_owned(),
        _ => {
            let sign = if power < 0 { '-' } else { '+' };
            format!("{}e{sign}{:02}", without_zeros(mantissa), power.abs())
        }
    }
}

/// Without the zeros behind the last digit that counts after the point.
fn without_zeros(number: &str) -> &str {
    if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    }
}
