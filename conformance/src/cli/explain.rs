//! `explain`: a clause in full.

use clap::Args;

use super::{SpecArguments, Status, Stop, load, print};
use crate::explain::{find, write};

#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    /// The clause, as in `number.sample`; a case, as in `number.sample/two-values`, stands for its clause.
    #[arg(value_name = "CLAUSE")]
    clause: String,

    #[command(flatten)]
    spec: SpecArguments,
}

/// Prints the clause, or the names that may have been meant.
pub(super) fn explain(arguments: &ExplainArguments) -> Result<Status, Stop> {
    let spec = load(&arguments.spec)?;
    let (chapter, clause) = find(&spec, &arguments.clause).map_err(|unknown| {
        let hint = match unknown.similar.as_slice() {
            [] => "`meta-stats-conformance list` shows the names".to_owned(),
            similar => format!("is it {}?", similar.join(" or ")),
        };
        let message = format!("error: there is no clause `{}`; {hint}", arguments.clause);
        Stop::new(Status::Usage, message)
    })?;
    let mut text = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = write(chapter, clause, &mut text);
    print(&String::from_utf8_lossy(&text))
}
