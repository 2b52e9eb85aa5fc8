//! `completions` and `man`: what an installation wants beside the program.

use std::path::PathBuf;

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use super::{Arguments, RunArguments, Status, Stop, print};

const NAME: &str = "meta-stats-conformance";

#[derive(Debug, Args)]
pub(super) struct CompletionArguments {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// Write a page for each command into this directory, instead of the main page to standard output.
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Prints the completion script of a shell.
pub(super) fn completions(arguments: &CompletionArguments) -> Result<Status, Stop> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut visible(), NAME, &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// The command line without the hidden commands, which the scripts would offer all the same.
fn visible() -> Command {
    let all = Arguments::command();
    let commands = all
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    RunArguments::augment_args(Command::new(NAME))
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .subcommands(commands.cloned())
}

/// Prints or writes the manual.
pub(super) fn man(arguments: &ManArguments) -> Result<Status, Stop> {
    let failed = |what: String, error: std::io::Error| {
        Stop::new(
            Status::Usage,
            format!("error: cannot write {what}: {error}"),
        )
    };
    let Some(directory) = &arguments.output else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Arguments::command())
            .render(&mut page)
            .map_err(|error| failed("the manual".to_owned(), error))?;
        return print(&String::from_utf8_lossy(&page));
    };
    clap_mangen::generate_to(Arguments::command(), directory)
        .map_err(|error| failed(format!("the manual to {}", directory.display()), error))?;
    Ok(Status::Conformant)
}
