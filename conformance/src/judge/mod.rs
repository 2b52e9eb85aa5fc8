//! Judging what a server sent: is this line the one that is due? By the rules of `spec/transcripts.md`.

mod mismatch;

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use dashu_int::UBig;
use dashu_ratio::RBig;

use crate::decimal::{self, Decimal, Printed};
use crate::dialect::GREETING;
use crate::exact::{Real, Sample};
use crate::model::{Asked, Quantity, Reply, Request};
use crate::profile::{LineKind, Profile, has_word};
use crate::transcript::Quoted;

pub use mismatch::{Mismatch, Part, WrongNumber};

/// What the next line, or the end, has to be.
#[derive(Clone, Debug)]
pub struct Demand {
    /// What it has to be.
    pub what: Demanded,
    /// Whether numbers have to be the best possible ones, and an end an orderly one.
    pub precisely: bool,
    /// Whether the line has to have the shape of the profile.
    pub in_shape: bool,
    /// How many values were sent between the line that is answered and the one before it. A server
    /// that acknowledges values sends so many lines first.
    pub values_before: usize,
    /// Whether the client has sent what the server need not read, so that it may reset.
    pub may_reset: bool,
    /// Which numbers of an exit line or a line of the secondary port may be any.
    pub ignored: [bool; 3],
    /// What the reply is about, where the model followed it.
    pub asked: Option<Asked>,
}

impl From<Demanded> for Demand {
    /// The demand at its most lenient.
    fn from(what: Demanded) -> Self {
        Demand {
            what,
            precisely: false,
            in_shape: false,
            values_before: 0,
            may_reset: false,
            ignored: [false; 3],
            asked: None,
        }
    }
}

/// The kinds of demands.
#[derive(Clone, Debug)]
pub enum Demanded {
    /// A count.
    Count(u64),
    /// A sum, a mean or a standard deviation.
    Quantity(Quantity),
    /// An exit line.
    Exit {
        /// The number of values.
        count: u64,
        /// Their mean.
        mean: Quantity,
        /// Their standard deviation.
        stddev: Quantity,
    },
    /// The line of the secondary port, with these means on top of what there was when the case began.
    Means(Sample),
    /// An error line.
    Error,
    /// The greeting.
    Greeting,
    /// Exactly these octets.
    Exactly(Vec<u8>),
    /// Any line.
    Any,
    /// Everything up to the end.
    Rest,
    /// An orderly end.
    Eof,
    /// Nothing for so long.
    Nothing(Duration),
}

impl From<Reply> for Demanded {
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Count(count) => Demanded::Count(count),
            Reply::Quantity(quantity) => Demanded::Quantity(quantity),
            Reply::Exit {
                count,
                mean,
                stddev,
            } => Demanded::Exit {
                count,
                mean,
                stddev,
            },
            Reply::Error => Demanded::Error,
        }
    }
}

impl Demanded {
    /// The numbers of the line, in order; none where it has none.
    pub fn quantities(&self) -> Vec<Quantity> {
        let count = |count: u64| Quantity::Defined(Real::Rational(RBig::from(count)));
        match self {
            Demanded::Count(number) => vec![count(*number)],
            Demanded::Quantity(quantity) => vec![quantity.clone()],
            Demanded::Exit {
                count: number,
                mean,
                stddev,
            } => {
                vec![count(*number), mean.clone(), stddev.clone()]
            }
            Demanded::Means(means) => {
                vec![
                    count(means.count()),
                    Quantity::mean(means),
                    Quantity::stddev(means),
                ]
            }
            _ => Vec::new(),
        }
    }
}

impl Display for Demanded {
    /// As a transcript would write it, as far as the notation has a word.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Demanded::Count(_) | Demanded::Quantity(_) => {
                let quantities = self.quantities();
                quantities.iter().try_for_each(|number| number.fmt(f))
            }
            Demanded::Exit { .. } => {
                f.write_str("exit")?;
                write_numbers(f, &self.quantities())
            }
            Demanded::Means(means) => {
                write!(f, "means +{}", means.count())?;
                write_numbers(f, &self.quantities()[1..])
            }
            Demanded::Error => f.write_str("error"),
            Demanded::Greeting => Quoted(GREETING).fmt(f),
            Demanded::Exactly(line) => Quoted(line).fmt(f),
            Demanded::Any => f.write_str("a line"),
            Demanded::Rest => f.write_str("the end of the stream, after anything"),
            Demanded::Eof => f.write_str("the end of the stream"),
            Demanded::Nothing(duration) => {
                write!(f, "nothing for {}", humantime::format_duration(*duration))
            }
        }
    }
}

fn write_numbers(f: &mut Formatter<'_>, numbers: &[Quantity]) -> fmt::Result {
    numbers.iter().try_for_each(|number| write!(f, " {number}"))
}

/// Judges a line without its LF, through the profile of the server.
///
/// # Errors
/// How the line differs from the expected one.
pub fn judge_line(line: &[u8], demand: &Demand, profile: &Profile) -> Result<(), Mismatch> {
    match &demand.what {
        Demanded::Any => Ok(()),
        Demanded::Exactly(text) => same(line, text),
        Demanded::Greeting => same(line, GREETING),
        Demanded::Error => judge_error(line, profile, demand.in_shape),
        Demanded::Count(_) | Demanded::Quantity(_) | Demanded::Exit { .. } | Demanded::Means(_) => {
            judge_numbers(line, demand, profile)
        }
        Demanded::Rest | Demanded::Eof | Demanded::Nothing(_) => Err(Mismatch::Unexpected),
    }
}

fn same(line: &[u8], text: &[u8]) -> Result<(), Mismatch> {
    if line == text {
        Ok(())
    } else {
        Err(Mismatch::Text)
    }
}

/// The fields of a line: what stands between spaces and the punctuation that labels numbers.
pub(crate) fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| b" \t\r=,;:()[]{}<>|/\"'`!?#".contains(byte))
        .filter(|field| !field.is_empty())
}

/// A field as a number; a full stop behind it belongs to the sentence.
pub(crate) fn number(field: &[u8]) -> Option<Printed> {
    decimal::parse(field.strip_suffix(b".").unwrap_or(field))
}

/// More numbers are in no reply. Reading one takes its time, and nobody knows how many a hostile
/// server sends.
const MAX_NUMBERS: usize = 16;

/// The first numbers among the fields of a line.
pub fn numbers(line: &[u8]) -> Vec<Printed> {
    fields(line).filter_map(number).take(MAX_NUMBERS).collect()
}

/// Any line that answers a bad line as this server answers bad lines, or that cannot be taken for
/// the reply to a good one.
fn judge_error(line: &[u8], profile: &Profile, in_shape: bool) -> Result<(), Mismatch> {
    let word = || has_word(&String::from_utf8_lossy(line));
    if line.starts_with(b"Error: ") || profile.error.matches(line) {
        Ok(())
    } else if line.trim_ascii().is_empty() {
        Err(Mismatch::EmptyError)
    } else if profile.looks_like_reply(line) {
        Err(Mismatch::ReplyInError)
    } else if in_shape && has_word(&profile.error.prefix) {
        Err(Mismatch::Shape)
    } else if numbers(line).is_empty() || !profile.shapes.is_empty() && word() {
        Ok(())
    } else {
        Err(Mismatch::ReplyInError)
    }
}

/// The numbers of a line, each beside what is expected. What is undefined may be left out, or stand
/// there as a word.
///
/// # Errors
/// If there are too many or too few.
pub(crate) fn align(line: &[u8], expected: &[Quantity]) -> Result<Vec<Option<Printed>>, Mismatch> {
    let printed = numbers(line);
    let wrong_count = Mismatch::NumberCount {
        actual: printed.len(),
        expected: expected.len(),
    };
    if printed.len() == expected.len() {
        return Ok(printed.into_iter().map(Some).collect());
    }
    let is_undefined = |quantity: &&Quantity| **quantity == Quantity::Undefined;
    let undefined = expected.iter().filter(is_undefined).count();
    // Only of all undefined quantities together it is certain which number is which.
    if printed.len() + undefined != expected.len() || line.trim_ascii().is_empty() {
        return Err(wrong_count);
    }
    let mut printed = printed.into_iter();
    let aligned = expected.iter().map(|quantity| match quantity {
        Quantity::Undefined => None,
        Quantity::Defined(_) => printed.next(),
    });
    Ok(aligned.collect())
}

/// Which kind of line answers this.
fn line_kind(asked: &Asked) -> Option<LineKind> {
    match asked {
        Asked::Means { .. } => Some(LineKind::Means),
        Asked::Session { request, .. } => match request {
            Request::Count => Some(LineKind::Count),
            Request::Sum => Some(LineKind::Sum),
            Request::Mean => Some(LineKind::Mean),
            Request::Stddev => Some(LineKind::Stddev),
            Request::Exit => Some(LineKind::Exit),
            Request::Value(_) | Request::Bad => None,
        },
    }
}

fn judge_numbers(line: &[u8], demand: &Demand, profile: &Profile) -> Result<(), Mismatch> {
    let expected = demand.what.quantities();
    let is_defined = |quantity: &Quantity| *quantity != Quantity::Undefined;
    let parts: &[Part] = match expected.len() {
        1 => &[Part::Only],
        _ => &Part::OF_SUMMARY,
    };
    for (index, printed) in align(line, &expected)?.iter().enumerate() {
        let Some(printed) = printed else { continue };
        let judgement = match parts[index] {
            _ if demand.ignored[index] => Ok(()),
            Part::Count => judge_count(printed, &expected[index]),
            Part::Only if matches!(demand.what, Demanded::Count(_)) => {
                judge_count(printed, &expected[index])
            }
            _ => judge_quantity(printed, &expected[index], demand.precisely),
        };
        judgement.map_err(|wrong| wrong.at(parts[index]))?;
    }
    if demand.in_shape
        && expected.iter().all(is_defined)
        && let Some(kind) = demand.asked.as_ref().and_then(line_kind)
        && !profile.has_shape(kind, line)
    {
        return Err(Mismatch::Shape);
    }
    if demand.precisely && expected.len() > numbers(line).len() {
        // Only `nan` is the best possible reply.
        return Err(WrongNumber::Undefined.at(parts[expected.len() - 1]));
    }
    Ok(())
}

fn judge_count(printed: &Printed, quantity: &Quantity) -> Result<(), WrongNumber> {
    match (printed, quantity) {
        (Printed::Finite(decimal), Quantity::Defined(Real::Rational(count)))
            if decimal.value == *count && decimal.decimals == Some(0) =>
        {
            Ok(())
        }
        _ => Err(WrongNumber::Other(quantity.clone())),
    }
}

/// Judges one printed number.
///
/// # Errors
/// Why it is not good enough.
pub fn judge_quantity(
    printed: &Printed,
    quantity: &Quantity,
    precisely: bool,
) -> Result<(), WrongNumber> {
    let other = || WrongNumber::Other(quantity.clone());
    let real = match (quantity, printed) {
        (Quantity::Undefined, Printed::Nan { negative }) if !(*negative && precisely) => {
            return Ok(());
        }
        (Quantity::Undefined, Printed::Finite(decimal))
            if !precisely && decimal.value == RBig::ZERO =>
        {
            return Ok(());
        }
        (Quantity::Undefined, _) => {
            return Err(WrongNumber::Undefined);
        }
        (Quantity::Defined(real), _) => real,
    };
    let exact = real.to_f64();
    match printed {
        Printed::Nan { .. } => Err(other()),
        Printed::Infinite { negative } => {
            if exact.is_infinite() && exact.is_sign_negative() == *negative {
                Ok(())
            } else {
                Err(other())
            }
        }
        Printed::Finite(decimal) if precisely => {
            if is_precise(decimal, real, exact) {
                Ok(())
            } else if is_close(decimal, real) {
                Err(WrongNumber::Imprecise(quantity.clone()))
            } else {
                Err(other())
            }
        }
        Printed::Finite(decimal) => {
            // Among the subnormal numbers the right one is not always close.
            if is_close(decimal, real) || is_precise(decimal, real, exact) {
                Ok(())
            } else {
                Err(match is_coarse(decimal, real) {
                    true => WrongNumber::Coarse(quantity.clone()),
                    false => other(),
                })
            }
        }
    }
}

/// The tolerance of a MUST: six significant digits, which is what `%g` prints, or the rounding of
/// two or more decimals.
fn is_close(decimal: &Decimal, real: &Real) -> bool {
    real.is_within_one_in(200_000, &decimal.value) || is_rounded(decimal, real)
}

/// Half a unit of the last decimal shown, if there are at least two.
fn is_rounded(decimal: &Decimal, real: &Real) -> bool {
    match decimal.decimals {
        Some(decimals @ 2..) => real.is_within(&half_unit(decimals), &decimal.value),
        _ => false,
    }
}

/// The exact number, rounded to one decimal.
fn is_coarse(decimal: &Decimal, real: &Real) -> bool {
    decimal.decimals == Some(1) && real.is_within(&half_unit(1), &decimal.value)
}

/// The number of the server is the exact one as well as its form can tell.
fn is_precise(decimal: &Decimal, real: &Real, exact: f64) -> bool {
    let reads_back =
        decimal.significant <= 17 && Real::Rational(decimal.value.clone()).to_f64() == exact;
    let nearest = exact
        .is_finite()
        .then(|| Real::Rational(crate::exact::rational(exact)));
    reads_back
        || is_rounded(decimal, real)
        || nearest.is_some_and(|nearest| is_rounded(decimal, &nearest))
}

/// Half a unit of the last of so many decimals.
pub(crate) fn half_unit(decimals: usize) -> RBig {
    RBig::from_parts(1.into(), UBig::from(10u8).pow(decimals) * UBig::from(2u8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::exact::rational;

    fn plain() -> Profile {
        Profile::of(Dialect::Plain)
    }

    fn judge(reply: &str, exact: f64, precisely: bool) -> bool {
        let demanded = Demanded::Quantity(Quantity::Defined(Real::Rational(rational(exact))));
        let demand = Demand {
            precisely,
            ..demanded.into()
        };
        judge_line(reply.as_bytes(), &demand, &plain()).is_ok()
    }

    #[test]
    fn a_number_is_judged_by_what_was_printed() {
        let exact = 1.0606601717798212;
        for reply in [
            "1.06",
            "1.0607",
            "1.060660",
            "1.0606601717798212",
            "1.0606601717798212e0",
            "mean: 1.06",
        ] {
            assert!(judge(reply, exact, false), "{reply}");
            assert!(judge(reply, exact, true), "{reply} precisely");
        }
        for reply in [
            "1.05", "1.07", "1.1", "1", "1.0608", "nan", "inf", "", "1.06 2",
        ] {
            assert!(!judge(reply, exact, false), "{reply}");
        }
        assert!(judge("1.0606605", exact, false));
        assert!(!judge("1.0606605", exact, true));
    }

    #[test]
    fn a_whole_number_needs_no_decimals() {
        assert!(judge("2", 2.0, true) && judge("2.0", 2.0, true) && judge("2.00", 2.0, true));
        assert!(judge("-0", 0.0, true));
    }

    #[test]
    fn a_tie_may_be_rounded_either_way() {
        assert!(judge("0.12", 0.125, true) && judge("0.13", 0.125, true));
    }

    #[test]
    fn beyond_the_range_inf_and_the_number_itself_are_right() {
        let huge = Quantity::Defined(Real::Rational(rational(f64::MAX) * RBig::from(2)));
        for (reply, right) in [
            ("inf", true),
            ("-inf", false),
            ("3.5953862697246314e308", true),
            ("nan", false),
        ] {
            let printed = decimal::parse(reply.as_bytes()).expect("a number");
            assert_eq!(
                judge_quantity(&printed, &huge, false).is_ok(),
                right,
                "{reply}"
            );
        }
    }

    #[test]
    fn what_is_undefined_is_nan_or_zero() {
        for (reply, must, should) in [
            ("nan", true, true),
            ("-nan", true, false),
            ("0.00", true, false),
            ("1", false, false),
        ] {
            let judge = |precisely| {
                let demand = Demand {
                    precisely,
                    ..Demanded::Quantity(Quantity::Undefined).into()
                };
                judge_line(reply.as_bytes(), &demand, &plain()).is_ok()
            };
            assert_eq!((judge(false), judge(true)), (must, should), "{reply}");
        }
    }

    #[test]
    fn a_number_of_a_line_may_be_left_open() {
        let means = Demanded::Means([1.0, 3.0].into_iter().collect());
        let mut demand = Demand::from(means);
        let judge = |demand: &Demand, line: &str| judge_line(line.as_bytes(), demand, &plain());
        assert!(judge(&demand, "2 2.00 1.41").is_ok());
        assert_eq!(
            judge(&demand, "2 2.00 1.00"),
            Err(
                WrongNumber::Other(Quantity::stddev(&[1.0, 3.0].into_iter().collect()))
                    .at(Part::Stddev)
            )
        );
        demand.ignored[2] = true;
        assert!(judge(&demand, "2 2.00 1.00").is_ok());
        assert!(judge(&demand, "2 2.50 1.41").is_err());
        assert!(judge(&demand, "2.0 2.00 1.41").is_err());
    }

    fn judge_error_with(line: &str, profile: &Profile) -> bool {
        judge_line(line.as_bytes(), &Demanded::Error.into(), profile).is_ok()
    }

    #[test]
    fn without_a_profile_error_lines_hold_no_number_unless_they_say_error() {
        for (line, right) in [
            ("Error: line 7", true),
            ("what?", true),
            ("2.00", false),
            ("", false),
            ("nan", false),
            ("400 bad request", false),
        ] {
            assert_eq!(judge_error_with(line, &plain()), right, "{line}");
        }
    }

    #[test]
    fn an_error_line_is_told_from_a_reply_by_what_the_server_says_otherwise() {
        let mut profile = plain();
        profile.shapes.insert(LineKind::Count, "#".to_owned());
        profile
            .shapes
            .insert(LineKind::Sum, "the sum is #".to_owned());
        profile.acknowledgement = Some("ok".to_owned());
        for (line, right) in [
            ("400 bad request", true),
            ("add 17 and 4 is no number", true),
            ("400", false),
            ("the sum is 3", false),
            ("ok", false),
        ] {
            assert_eq!(judge_error_with(line, &profile), right, "{line}");
        }
    }

    #[test]
    fn what_is_undefined_may_be_a_word_or_left_out() {
        let exit = Demanded::Exit {
            count: 1,
            mean: Quantity::Defined(Real::Rational(rational(2.0))),
            stddev: Quantity::Undefined,
        };
        for (line, right) in [
            ("1 2 nan", true),
            ("1|2|N/A", true),
            ("{\"count\":1,\"mean\":2.0,\"stddev\":null}", true),
            ("count -> 1, mean -> 2.", true),
            ("1 2 3", false),
            ("1 nan", false),
            ("2 2", false),
        ] {
            let judged = judge_line(line.as_bytes(), &exit.clone().into(), &plain());
            assert_eq!(judged.is_ok(), right, "{line}");
        }
    }

    #[test]
    fn a_line_may_have_to_look_like_the_one_before() {
        let mut profile = plain();
        profile.shapes.insert(LineKind::Sum, "sum: #".to_owned());
        let demand = Demand {
            in_shape: true,
            asked: Some(Asked::Session {
                request: Request::Sum,
                inputs: crate::model::Inputs::default(),
            }),
            ..Demanded::Quantity(Quantity::Defined(Real::Rational(rational(3.0)))).into()
        };
        assert_eq!(judge_line(b"sum: 3.0\r", &demand, &profile), Ok(()));
        assert_eq!(judge_line(b"3", &demand, &profile), Err(Mismatch::Shape));
    }

    #[test]
    fn what_is_precise_is_right() {
        assert!(judge("5e-324", f64::from_bits(1), true));
        assert!(judge("5e-324", f64::from_bits(1), false));
        assert!(!judge("1e-323", f64::from_bits(1), false));
    }

    #[test]
    fn numbers_without_end_are_not_read_to_the_end() {
        let line = b"1e-4096 ".repeat(100_000);
        let demand = Demanded::Count(1).into();
        assert!(judge_line(&line, &demand, &plain()).is_err());
        assert_eq!(numbers(&line).len(), MAX_NUMBERS);
    }
}
