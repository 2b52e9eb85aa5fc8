//! From what a run has seen to what is probably wrong: a sentence for the person who has to mend the server. It never changes a verdict.
//!
//! Two kinds of evidence: wrong numbers, explained by known wrong formulas (`formulas`), and wrong conversations, recognised by their shape
//! (`conversations`).

mod conversations;
mod formulas;

use serde::Serialize;

use crate::runner::CaseResult;

/// What seems to be wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// How sure that is.
    pub certainty: Certainty,
    /// What it is, and what to look at.
    pub sentence: String,
}

/// How sure a diagnosis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// It explains everything of its kind that was wrong, more than once, and contradicts nothing that was right.
    Certain,
    /// It explains much, but not all, or has little to go by.
    Likely,
}

impl Certainty {
    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Certainty::Certain => "certain",
            Certainty::Likely => "likely",
        }
    }
}

/// Everything that the results of a run point to.
pub fn diagnose(results: &[CaseResult<'_>]) -> Vec<Diagnosis> {
    let mut found = conversations::diagnose(results);
    found.extend(formulas::diagnose(results));
    found.sort_by_key(|diagnosis| diagnosis.certainty);
    found
}
