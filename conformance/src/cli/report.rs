//! `--report` and `--format`: which reports are written, and where to.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Status, Stop, print};
use crate::report::{Form, Report, render};
use crate::spec::Spec;

#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// Write a report: human, json, junit, tap, html or markdown, to PATH or to standard output; may be given several times.
    ///
    /// While none goes to standard output, the human one does.
    #[arg(long, value_name = "FORM[=PATH]", value_parser = parse_request)]
    report: Vec<Request>,

    /// The form of the report on standard output; short for --report FORM [default: human].
    #[arg(long, value_name = "FORM", value_enum)]
    format: Option<Form>,
}

/// One report that was asked for.
#[derive(Clone, Debug)]
struct Request {
    form: Form,
    /// Standard output without it.
    path: Option<PathBuf>,
}

fn parse_request(text: &str) -> Result<Request, String> {
    let (name, path) = match text.split_once('=') {
        Some((_, "")) => return Err("there is no PATH behind the `=`".to_owned()),
        Some((name, path)) => (name, Some(PathBuf::from(path))),
        None => (text, None),
    };
    match Form::from_str(name, false) {
        Ok(form) => Ok(Request { form, path }),
        Err(_) => {
            let forms = Form::value_variants()
                .iter()
                .filter_map(Form::to_possible_value);
            let names: Vec<_> = forms.map(|form| form.get_name().to_owned()).collect();
            Err(format!(
                "`{name}` is none of the forms {}",
                names.join(", ")
            ))
        }
    }
}

/// Where the reports go. The files are made before the run, so that a path that cannot be written costs no run.
pub(super) struct Outlets {
    stdout: Form,
    files: Vec<(Form, PathBuf, File)>,
}

impl Outlets {
    pub(super) fn open(arguments: &ReportArguments) -> Result<Outlets, Stop> {
        let usage = |message: String| Stop::new(Status::Usage, format!("error: {message}"));
        let unnamed = arguments
            .report
            .iter()
            .filter(|request| request.path.is_none());
        let stdout: Vec<Form> = arguments
            .format
            .into_iter()
            .chain(unnamed.map(|request| request.form))
            .collect();
        if stdout.len() > 1 {
            return Err(usage(
                "two reports would go to standard output; name a file for all but one, as in --report json=report.json"
                    .to_owned(),
            ));
        }
        let mut files: Vec<(Form, PathBuf, File)> = Vec::new();
        for Request { form, path } in &arguments.report {
            let Some(path) = path else { continue };
            if files.iter().any(|(_, other, _)| other == path) {
                return Err(usage(format!("two reports would go to {}", path.display())));
            }
            let file = File::create(path).map_err(|error| {
                usage(format!(
                    "cannot write the report {}: {error}",
                    path.display()
                ))
            })?;
            files.push((*form, path.clone(), file));
        }
        Ok(Outlets {
            stdout: stdout.first().copied().unwrap_or(Form::Human),
            files,
        })
    }

    pub(super) fn write(self, report: &Report<'_>, spec: &Spec) -> Result<(), Stop> {
        let failed = |why| {
            Stop::new(
                Status::Usage,
                format!("error: cannot write the report: {why}"),
            )
        };
        for (form, path, mut file) in self.files {
            let text = render(form, report, spec).map_err(failed)?;
            // What goes into a file is for no terminal.
            let text = match form {
                Form::Human => anstream::adapter::strip_str(&text).to_string(),
                _ => text,
            };
            file.write_all(text.as_bytes())
                .map_err(|error| failed(format!("{}: {error}", path.display())))?;
        }
        print(&render(self.stdout, report, spec).map_err(failed)?)?;
        Ok(())
    }
}
