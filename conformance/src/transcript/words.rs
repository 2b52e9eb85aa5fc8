//! The words of one line of a transcript, and the actions and expectations that they spell.

use std::ops::Range;
use std::time::Duration;

use super::parse::{Line, MOST_REPETITIONS, SyntaxError};
use super::{Action, Check, Expectation, Expected, Literal, Piece, Port};

pub(super) fn error(span: Range<usize>, message: &str, allowed: &str) -> SyntaxError {
    SyntaxError {
        span,
        message: message.to_owned(),
        allowed: allowed.to_owned(),
    }
}

const ACTIONS: &str = "`> TEXT`, `>> \"octets\"`, `< EXPECTATION`, `open`, `open meta`, `pause 20ms`, `half-close`, `close`, `reset`, `process CHECK`, \
     or a block: `repeat N {`, `together {`, `either {`";

const EXPECTATIONS: &str = "a number, `nan`, `model`, `error`, `exit`, `means`, `greeting`, `\"exact text\"`, `any`, `rest`, `eof` \
     or `nothing for 100ms`; `precisely` before a number, `nan`, `model`, `exit`, `means`, `eof` or `nothing`; \
     `consistently` before a number, `model`, `exit`, `means` or `error`";

/// The words of a line.
pub(super) struct Words<'a> {
    line: &'a str,
    start: usize,
    at: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(line: &Line<'a>) -> Self {
        Words {
            line: line.text,
            start: line.span.start,
            at: 0,
        }
    }

    pub(super) fn whole(&self) -> Range<usize> {
        self.start..self.start + self.line.len()
    }

    fn rest(&self) -> &'a str {
        &self.line[self.at..]
    }

    /// The next word, left in place; empty at the end of the line.
    pub(super) fn peek(&self) -> &'a str {
        self.rest().split_whitespace().next().unwrap_or_default()
    }

    /// The range of the next word, or of one octet behind the line.
    pub(super) fn here(&self) -> Range<usize> {
        let blank = self.rest().len() - self.rest().trim_start().len();
        let start = self.start + self.at + blank;
        start..start + self.peek().len().max(1)
    }

    pub(super) fn take(&mut self) -> &'a str {
        let word = self.peek();
        self.at += self.rest().len() - self.rest().trim_start().len() + word.len();
        word
    }

    fn unexpected(&self, what: &str, allowed: &str) -> SyntaxError {
        match self.peek() {
            "" => error(self.here(), &format!("{what} is missing"), allowed),
            word => error(self.here(), &format!("`{word}` is not {what}"), allowed),
        }
    }

    fn end(&self) -> Result<(), SyntaxError> {
        match self.peek() {
            "" => Ok(()),
            word => Err(error(
                self.here(),
                &format!("`{word}` is more than the step takes"),
                "the end of the line, or a comment after ` # `",
            )),
        }
    }

    pub(super) fn connection(&mut self) -> Result<Option<String>, SyntaxError> {
        let Some(name) = self.peek().strip_prefix('@') else {
            return Ok(None);
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(legal) {
            return Err(self.unexpected(
                "the name of a connection",
                "`@` and letters, digits, `-` or `_`",
            ));
        }
        self.take();
        Ok(Some(name.to_owned()))
    }

    pub(super) fn number(&mut self, allowed: &str) -> Result<u64, SyntaxError> {
        match self.peek().parse() {
            Ok(number) if (1..=MOST_REPETITIONS).contains(&number) => {
                self.take();
                Ok(number)
            }
            _ => Err(self.unexpected("a number of times", allowed)),
        }
    }

    fn duration(&mut self) -> Result<Duration, SyntaxError> {
        match humantime::parse_duration(self.peek()) {
            Ok(duration) => {
                self.take();
                Ok(duration)
            }
            Err(_) => {
                Err(self.unexpected("a duration", "a number and a unit, as in `20ms` or `2s`"))
            }
        }
    }

    pub(super) fn opening_brace(&mut self) -> Result<(), SyntaxError> {
        if self.peek() != "{" {
            return Err(self.unexpected("the beginning of a block", "`{` at the end of the line"));
        }
        self.take();
        self.end()
    }

    pub(super) fn action(&mut self) -> Result<Action, SyntaxError> {
        if let Some(sent) = self.rest().trim_start().strip_prefix('>') {
            let after_mark = self.line.len() - sent.len();
            if let Some(pieces) = sent.strip_prefix('>') {
                self.at = self.line.len() - pieces.len();
                return self.pieces().map(Action::SendPieces);
            }
            if sent.is_empty() {
                return Ok(Action::SendLine(String::new()));
            }
            self.at = after_mark;
            return match sent.strip_prefix(' ') {
                Some(text) => Ok(Action::SendLine(text.to_owned())),
                None => {
                    Err(self.unexpected("separated from `>`", "one space between `>` and the text"))
                }
            };
        }
        let action = match self.peek() {
            "<" => {
                self.take();
                Action::Expect(self.expectation()?)
            }
            "open" => {
                self.take();
                match self.peek() {
                    "" => Action::Open(Port::Primary),
                    "meta" => {
                        self.take();
                        Action::Open(Port::Secondary)
                    }
                    _ => return Err(self.unexpected("a port", "`open` or `open meta`")),
                }
            }
            "pause" => {
                self.take();
                Action::Pause(self.duration()?)
            }
            "process" => {
                self.take();
                let check = Check::ALL
                    .into_iter()
                    .find(|check| check.name() == self.peek());
                let names = Check::ALL.map(|check| format!("`{}`", check.name()));
                let Some(check) = check else {
                    return Err(self.unexpected("a check of the process", &names.join(", ")));
                };
                self.word(Action::Process(check))
            }
            "half-close" => self.word(Action::HalfClose),
            "close" => self.word(Action::Close),
            "reset" => self.word(Action::Reset),
            _ => return Err(self.unexpected("a step", ACTIONS)),
        };
        self.end()?;
        Ok(action)
    }

    fn word<T>(&mut self, meaning: T) -> T {
        self.take();
        meaning
    }

    fn pieces(&mut self) -> Result<Vec<Piece>, SyntaxError> {
        const ALLOWED: &str = "`\"text\"`, `\"text\" * N` or `file \"data/NAME\"`";
        let mut pieces = Vec::new();
        while !self.peek().is_empty() {
            if self.peek() == "file" {
                self.take();
                let span = self.here();
                let path = String::from_utf8(self.quoted()?)
                    .map_err(|_| error(span, "this is not the name of a file", ALLOWED))?;
                pieces.push(Piece::File(path));
            } else if self.peek().starts_with('"') {
                let octets = self.quoted()?;
                let mut times = 1;
                if self.peek() == "*" {
                    self.take();
                    times =
                        self.number("how often the text is sent, as in `\"x\" * 100`")? as usize;
                }
                pieces.push(Piece::Octets { octets, times });
            } else {
                return Err(self.unexpected("a piece", ALLOWED));
            }
        }
        if pieces.is_empty() {
            return Err(self.unexpected("what to send", ALLOWED));
        }
        Ok(pieces)
    }

    /// Reads a quoted string.
    fn quoted(&mut self) -> Result<Vec<u8>, SyntaxError> {
        const ESCAPES: &str =
            "`\\n`, `\\r`, `\\t`, `\\0`, `\\\\`, `\\\"` or `\\xHH` with two hexadecimal digits";
        if !self.peek().starts_with('"') {
            return Err(self.unexpected("a quoted text", "a text in double quotes"));
        }
        let open = self.here().start;
        self.at = open - self.start + 1;
        let mut octets = Vec::new();
        let mut characters = self.rest().char_indices();
        while let Some((index, character)) = characters.next() {
            match character {
                '"' => {
                    self.at += index + 1;
                    return Ok(octets);
                }
                '\\' => {
                    let escape = characters.next().map(|(_, escape)| escape);
                    let hexadecimal = match escape {
                        Some('x') => self
                            .rest()
                            .get(index + 2..index + 4)
                            .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
                        _ => None,
                    };
                    octets.push(match (escape, hexadecimal) {
                        (Some('n'), _) => b'\n',
                        (Some('r'), _) => b'\r',
                        (Some('t'), _) => b'\t',
                        (Some('0'), _) => 0,
                        (Some('\\'), _) => b'\\',
                        (Some('"'), _) => b'"',
                        (_, Some(octet)) => {
                            characters.nth(1);
                            octet
                        }
                        _ => {
                            let start = self.start + self.at + index;
                            let length = 1 + escape.map_or(0, char::len_utf8);
                            return Err(error(start..start + length, "this is no escape", ESCAPES));
                        }
                    });
                }
                character => {
                    octets.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
        Err(error(
            open..self.start + self.line.len(),
            "this text is never closed",
            "`\"` at its end",
        ))
    }

    /// Takes the next word if it is this one.
    fn take_if(&mut self, word: &str) -> bool {
        let found = self.peek() == word;
        if found {
            self.take();
        }
        found
    }

    fn expectation(&mut self) -> Result<Expectation, SyntaxError> {
        let precisely = self.take_if("precisely");
        let in_shape = self.take_if("consistently");
        let span = self.here();
        let what = self.expected()?;
        let numeric = matches!(
            what,
            Expected::Number(_) | Expected::Model | Expected::Exit(_) | Expected::Means { .. }
        );
        let whole = matches!(what, Expected::Eof | Expected::Nothing(_));
        if precisely && !numeric && !whole {
            return Err(error(
                span,
                "this cannot be more or less precise",
                "`precisely` only before a number, `nan`, `model`, `exit`, `means`, `eof` or `nothing`",
            ));
        }
        if in_shape && !numeric && what != Expected::Error {
            return Err(error(
                span,
                "this has no shape to keep to",
                "`consistently` only before a number, `model`, `exit`, `means` or `error`",
            ));
        }
        Ok(Expectation {
            what,
            precisely,
            in_shape,
        })
    }

    fn expected(&mut self) -> Result<Expected, SyntaxError> {
        if self.peek().starts_with('"') {
            return self.quoted().map(Expected::Exactly);
        }
        if let Some(literal) = literal(self.peek()) {
            return Ok(Expected::Number(self.word(literal)));
        }
        match self.peek() {
            "model" => Ok(self.word(Expected::Model)),
            "error" => Ok(self.word(Expected::Error)),
            "greeting" => Ok(self.word(Expected::Greeting)),
            "rest" => Ok(self.word(Expected::Rest)),
            "eof" => Ok(self.word(Expected::Eof)),
            "exit" => {
                self.take();
                self.literals().map(Expected::Exit)
            }
            "means" => {
                self.take();
                self.means()
            }
            "any" => {
                self.take();
                let count = match self.peek() {
                    "" => 1,
                    _ => self.number("how many lines, as in `any 3`")? as u32,
                };
                Ok(Expected::Any(count))
            }
            "nothing" => {
                self.take();
                if self.take() != "for" {
                    self.at = "nothing".len();
                    return Err(error(
                        self.whole(),
                        "for how long is missing",
                        "`nothing for 100ms`",
                    ));
                }
                self.duration().map(Expected::Nothing)
            }
            _ => Err(self.unexpected("an expectation", EXPECTATIONS)),
        }
    }

    fn means(&mut self) -> Result<Expected, SyntaxError> {
        const ALLOWED: &str = "how many means more than when the case began, as in `means +1`";
        let more = match self.peek() {
            "" => None,
            word => match word.strip_prefix('+').map(str::parse) {
                Some(Ok(more)) => {
                    self.take();
                    Some(more)
                }
                _ => return Err(self.unexpected("a number of means", ALLOWED)),
            },
        };
        Ok(Expected::Means {
            more,
            numbers: self.literals()?,
        })
    }

    /// Reads all the numbers that a line has, or none.
    fn literals<const N: usize>(&mut self) -> Result<Option<[Literal; N]>, SyntaxError> {
        if self.peek().is_empty() {
            return Ok(None);
        }
        let mut literals = Vec::new();
        for _ in 0..N {
            let any = (self.peek() == "any").then(|| Literal("any".to_owned()));
            let Some(literal) = any.or_else(|| literal(self.peek())) else {
                return Err(self.unexpected(
                    "a number",
                    "all the numbers of the line, `any` for those that do not matter, or none",
                ));
            };
            literals.push(self.word(literal));
        }
        Ok(literals.try_into().ok())
    }
}

pub(super) fn literal(word: &str) -> Option<Literal> {
    let known = matches!(word, "nan" | "inf" | "-inf")
        || matches!(
            crate::decimal::parse(word.as_bytes()),
            Some(crate::decimal::Printed::Finite(_))
        );
    known.then(|| Literal(word.to_owned()))
}
