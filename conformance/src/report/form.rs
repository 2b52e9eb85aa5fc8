//! The forms of a report.

use clap::ValueEnum;

use super::{Report, html, human, json, junit, markdown, tap};
use crate::spec::Spec;

/// A form that a report can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people.
    Human,
    /// One JSON object, as conformance/schema/report-1.json describes it.
    Json,
    /// JUnit XML, for CI systems.
    Junit,
    /// The Test Anything Protocol, version 14.
    Tap,
    /// One self-contained page.
    Html,
    /// GitHub-flavoured Markdown, for the summary of a CI job.
    Markdown,
}

/// The report in a form. The human one is styled; write it through `anstream`.
///
/// # Errors
/// Why the form cannot hold the report.
pub fn render(form: Form, report: &Report<'_>, spec: &Spec) -> Result<String, String> {
    Ok(match form {
        Form::Human => {
            let mut text = Vec::new();
            human::write(report, spec, &mut text).map_err(|error| error.to_string())?;
            String::from_utf8_lossy(&text).into_owned()
        }
        Form::Json => format!("{:#}\n", json::render(report)),
        Form::Junit => junit::render(report)?,
        Form::Tap => tap::render(report),
        Form::Html => html::render(report),
        Form::Markdown => markdown::render(report),
    })
}
