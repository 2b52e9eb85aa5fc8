//! `list`: the names of cases.

use std::fmt::Write;

use super::run::select;
use super::{ListArguments, Status, Stop, load, print};

/// Prints one case a line: name, level, title.
pub(super) fn list(arguments: &ListArguments) -> Result<Status, Stop> {
    let spec = load(&arguments.spec)?;
    let cases = select(&spec, &arguments.selection)?;
    let width = cases
        .iter()
        .map(|case| case.case.id.len())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    for case in cases {
        let (id, level, title) = (
            &case.case.id,
            case.clause.level,
            &case.case.transcript.title,
        );
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{id:width$}  {level:6}  {title}");
    }
    print(&text)
}
