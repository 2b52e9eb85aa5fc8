//! Writing transcripts in the notation of `spec/transcripts.md`.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::{Action, Expectation, Expected, Literal, Piece, Port, Step, StepKind, Transcript};

impl Display for Transcript {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}", self.title)?;
        write_steps(f, &self.steps, 0)
    }
}

fn write_steps(f: &mut Formatter<'_>, steps: &[Step], depth: usize) -> fmt::Result {
    for step in steps {
        let indent = depth * 2;
        match &step.kind {
            StepKind::Act { connection, action } => {
                write!(f, "{:indent$}", "")?;
                if !connection.is_empty() {
                    write!(f, "@{connection} ")?;
                }
                writeln!(f, "{action}")?;
            }
            StepKind::Repeat { times, steps } => {
                writeln!(f, "{:indent$}repeat {times} {{", "")?;
                write_steps(f, steps, depth + 1)?;
                writeln!(f, "{:indent$}}}", "")?;
            }
            StepKind::Together { steps } => {
                writeln!(f, "{:indent$}together {{", "")?;
                write_steps(f, steps, depth + 1)?;
                writeln!(f, "{:indent$}}}", "")?;
            }
            StepKind::Either { branches } => {
                write!(f, "{:indent$}either", "")?;
                for (index, branch) in branches.iter().enumerate() {
                    if index > 0 {
                        write!(f, "{:indent$}}} or", "")?;
                    }
                    writeln!(f, " {{")?;
                    write_steps(f, branch, depth + 1)?;
                }
                writeln!(f, "{:indent$}}}", "")?;
            }
        }
    }
    Ok(())
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Action::Open(Port::Primary) => write!(f, "open"),
            Action::Open(Port::Secondary) => write!(f, "open meta"),
            Action::SendLine(text) if text.is_empty() => write!(f, ">"),
            Action::SendLine(text) => write!(f, "> {text}"),
            Action::SendPieces(pieces) => {
                write!(f, ">>")?;
                pieces.iter().try_for_each(|piece| write!(f, " {piece}"))
            }
            Action::Expect(expectation) => write!(f, "< {expectation}"),
            Action::Pause(duration) => {
                write!(f, "pause {}", one_word(*duration))
            }
            Action::HalfClose => write!(f, "half-close"),
            Action::Close => write!(f, "close"),
            Action::Reset => write!(f, "reset"),
            Action::Process(check) => write!(f, "process {}", check.name()),
        }
    }
}

/// A duration without the spaces that would end the step.
fn one_word(duration: Duration) -> String {
    humantime::format_duration(duration)
        .to_string()
        .replace(' ', "")
}

impl Display for Piece {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Piece::Octets { octets, times: 1 } => write!(f, "{}", Quoted(octets)),
            Piece::Octets { octets, times } => write!(f, "{} * {times}", Quoted(octets)),
            Piece::File(path) => write!(f, "file {}", Quoted(path.as_bytes())),
        }
    }
}

impl Display for Expectation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.precisely {
            write!(f, "precisely ")?;
        }
        if self.in_shape {
            write!(f, "consistently ")?;
        }
        write!(f, "{}", self.what)
    }
}

impl Display for Expected {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Number(literal) => write!(f, "{literal}"),
            Expected::Model => write!(f, "model"),
            Expected::Error => write!(f, "error"),
            Expected::Exit(None) => write!(f, "exit"),
            Expected::Exit(Some([count, mean, stddev])) => {
                write!(f, "exit {count} {mean} {stddev}")
            }
            Expected::Means { more, numbers } => {
                write!(f, "means")?;
                if let Some(more) = more {
                    write!(f, " +{more}")?;
                }
                if let Some([mean, stddev]) = numbers {
                    write!(f, " {mean} {stddev}")?;
                }
                Ok(())
            }
            Expected::Greeting => write!(f, "greeting"),
            Expected::Exactly(text) => write!(f, "{}", Quoted(text)),
            Expected::Any(1) => write!(f, "any"),
            Expected::Any(count) => write!(f, "any {count}"),
            Expected::Rest => write!(f, "rest"),
            Expected::Eof => write!(f, "eof"),
            Expected::Nothing(duration) => {
                write!(f, "nothing for {}", one_word(*duration))
            }
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Octets between quotes, with the escapes of the notation.
pub(crate) struct Quoted<'a>(pub(crate) &'a [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "\"")?;
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\n' => write!(f, "\\n")?,
                    '\r' => write!(f, "\\r")?,
                    '\t' => write!(f, "\\t")?,
                    '\0' => write!(f, "\\0")?,
                    '\\' => write!(f, "\\\\")?,
                    '"' => write!(f, "\\\"")?,
                    character if character.is_control() => {
                        let mut octets = [0; 4];
                        for octet in character.encode_utf8(&mut octets).bytes() {
                            write!(f, "\\x{octet:02x}")?;
                        }
                    }
                    character => write!(f, "{character}")?,
                }
            }
            for octet in chunk.invalid() {
                write!(f, "\\x{octet:02x}")?;
            }
        }
        write!(f, "\"")
    }
}
