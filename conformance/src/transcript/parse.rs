//! Reading transcripts, with the position of every mistake and what would be right in its place.

use std::ops::Range;
use std::time::Duration;

use super::{Action, Expectation, Expected, Literal, Piece, Port, Step, StepKind, Transcript};

/// What is wrong in a transcript, where, and what is allowed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Octet range in the text.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What is allowed here.
    pub allowed: String,
}

/// A block deeper than this is a mistake.
const DEEPEST: usize = 8;

/// Most repetitions of a block or a piece; more is a load test, not an example.
const MOST_REPETITIONS: u64 = 10_000_000;

/// Reads a transcript.
///
/// # Errors
/// The first mistake.
pub fn parse(text: &str) -> Result<Transcript, SyntaxError> {
    let mut parser = Parser::new(text);
    let title = parser.title()?;
    let steps = parser.steps(0)?;
    if let Some(line) = parser.lines.get(parser.next) {
        return Err(error(
            line.span.clone(),
            "this closes no block",
            "a step; `}` only ends what `repeat`, `together` or `either` began",
        ));
    }
    Ok(Transcript { title, steps })
}

/// A line with something on it, without indentation and comment.
struct Line<'a> {
    text: &'a str,
    span: Range<usize>,
}

struct Parser<'a> {
    text: &'a str,
    lines: Vec<Line<'a>>,
    next: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        let mut lines = Vec::new();
        let mut offset = 0;
        for raw in text.split_inclusive('\n') {
            let code = raw[..comment_start(raw)].trim_end();
            let line = code.trim_start();
            let start = offset + code.len() - line.len();
            if !line.is_empty() {
                lines.push(Line {
                    text: line,
                    span: start..start + line.len(),
                });
            }
            offset += raw.len();
        }
        Parser {
            text,
            lines,
            next: 0,
        }
    }

    fn title(&self) -> Result<String, SyntaxError> {
        let first = self.text.lines().next().unwrap_or_default();
        match first.strip_prefix("# ").map(str::trim) {
            Some(title) if !title.is_empty() => Ok(title.to_owned()),
            _ => Err(error(
                0..first.len(),
                "a transcript begins with its title",
                "`# ` and one sentence that says what the transcript shows",
            )),
        }
    }

    /// Reads steps up to the end of the block, whose closing line is left in place.
    fn steps(&mut self, depth: usize) -> Result<Vec<Step>, SyntaxError> {
        let mut steps = Vec::new();
        while let Some(line) = self.lines.get(self.next) {
            if line.text.starts_with('}') {
                break;
            }
            self.next += 1;
            let mut words = Words::new(&self.lines[self.next - 1]);
            steps.push(self.step(&mut words, depth)?);
        }
        Ok(steps)
    }

    fn step(&mut self, words: &mut Words<'a>, depth: usize) -> Result<Step, SyntaxError> {
        let span = words.whole();
        let connection = words.connection()?;
        let kind = match words.peek() {
            "repeat" | "together" | "either" if connection.is_some() => {
                return Err(error(
                    words.here(),
                    "a block belongs to no connection",
                    "`@name` before the steps inside the block",
                ));
            }
            "repeat" => {
                words.take();
                let times = words.number("how often, as in `repeat 100 {`")?;
                words.opening_brace()?;
                let steps = self.block(&span, depth)?;
                self.closing(&span)?;
                StepKind::Repeat {
                    times: times as u32,
                    steps,
                }
            }
            "together" => {
                words.take();
                words.opening_brace()?;
                let steps = self.block(&span, depth)?;
                self.closing(&span)?;
                StepKind::Together { steps }
            }
            "either" => {
                words.take();
                words.opening_brace()?;
                let mut branches = vec![self.block(&span, depth)?];
                while self.another_branch() {
                    branches.push(self.block(&span, depth)?);
                }
                self.closing(&span)?;
                StepKind::Either { branches }
            }
            _ => StepKind::Act {
                connection: connection.unwrap_or_default(),
                action: words.action()?,
            },
        };
        Ok(Step { span, kind })
    }

    fn block(&mut self, opening: &Range<usize>, depth: usize) -> Result<Vec<Step>, SyntaxError> {
        if depth == DEEPEST {
            return Err(error(
                opening.clone(),
                "blocks are nested too deep",
                &format!("at most {DEEPEST} levels"),
            ));
        }
        let steps = self.steps(depth + 1)?;
        if steps.is_empty() {
            return Err(error(
                opening.clone(),
                "this block is empty",
                "at least one step",
            ));
        }
        Ok(steps)
    }

    fn another_branch(&mut self) -> bool {
        let found = self
            .lines
            .get(self.next)
            .is_some_and(|line| line.text.split_whitespace().eq(["}", "or", "{"]));
        self.next += usize::from(found);
        found
    }

    fn closing(&mut self, opening: &Range<usize>) -> Result<(), SyntaxError> {
        let Some(line) = self.lines.get(self.next) else {
            return Err(error(
                opening.clone(),
                "this block is never closed",
                "`}` on a line of its own",
            ));
        };
        self.next += 1;
        if line.text == "}" {
            return Ok(());
        }
        Err(error(
            line.span.clone(),
            "this is no end of a block",
            "`}` on a line of its own, or `} or {` in an `either` block",
        ))
    }
}

/// Where the comment of a line begins: at a `#` that begins the line or follows a space, outside of quotes.
fn comment_start(line: &str) -> usize {
    let quoted_text = line.trim_start().split_once(">>").is_some() || line.contains("< \"");
    let mut in_quotes = false;
    let mut previous = b' ';
    let mut escaped = false;
    for (index, octet) in line.bytes().enumerate() {
        match octet {
            b'#' if !in_quotes && matches!(previous, b' ' | b'\t') => return index,
            b'"' if quoted_text && !escaped => in_quotes = !in_quotes,
            _ => {}
        }
        escaped = in_quotes && octet == b'\\' && !escaped;
        previous = octet;
    }
    line.len()
}

fn error(span: Range<usize>, message: &str, allowed: &str) -> SyntaxError {
    SyntaxError {
        span,
        message: message.to_owned(),
        allowed: allowed.to_owned(),
    }
}

const ACTIONS: &str = "`> TEXT`, `>> \"octets\"`, `< EXPECTATION`, `open`, `open meta`, `pause 20ms`, `half-close`, `close`, `reset`, \
     or a block: `repeat N {`, `together {`, `either {`";

const EXPECTATIONS: &str = "a number, `nan`, `model`, `error`, `exit`, `means`, `greeting`, `\"exact text\"`, `any`, `rest`, `eof` \
     or `nothing for 100ms`; `precisely` before a number, `nan`, `model`, `exit` or `means`";

/// The words of a line.
struct Words<'a> {
    line: &'a str,
    start: usize,
    at: usize,
}

impl<'a> Words<'a> {
    fn new(line: &Line<'a>) -> Self {
        Words {
            line: line.text,
            start: line.span.start,
            at: 0,
        }
    }

    fn whole(&self) -> Range<usize> {
        self.start..self.start + self.line.len()
    }

    fn rest(&self) -> &'a str {
        &self.line[self.at..]
    }

    /// The next word, left in place; empty at the end of the line.
    fn peek(&self) -> &'a str {
        self.rest().split_whitespace().next().unwrap_or_default()
    }

    /// The range of the next word, or of one octet behind the line.
    fn here(&self) -> Range<usize> {
        let blank = self.rest().len() - self.rest().trim_start().len();
        let start = self.start + self.at + blank;
        start..start + self.peek().len().max(1)
    }

    fn take(&mut self) -> &'a str {
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

    fn connection(&mut self) -> Result<Option<String>, SyntaxError> {
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

    fn number(&mut self, allowed: &str) -> Result<u64, SyntaxError> {
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

    fn opening_brace(&mut self) -> Result<(), SyntaxError> {
        if self.peek() != "{" {
            return Err(self.unexpected("the beginning of a block", "`{` at the end of the line"));
        }
        self.take();
        self.end()
    }

    fn action(&mut self) -> Result<Action, SyntaxError> {
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

    fn expectation(&mut self) -> Result<Expectation, SyntaxError> {
        let precisely = self.peek() == "precisely";
        if precisely {
            self.take();
        }
        let span = self.here();
        let what = self.expected()?;
        let numeric = matches!(
            what,
            Expected::Number(_) | Expected::Model | Expected::Exit(_) | Expected::Means { .. }
        );
        if precisely && !numeric {
            return Err(error(
                span,
                "this cannot be more or less precise",
                "`precisely` only before a number, `nan`, `model`, `exit` or `means`",
            ));
        }
        Ok(Expectation { what, precisely })
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

fn literal(word: &str) -> Option<Literal> {
    let known = matches!(word, "nan" | "inf" | "-inf")
        || matches!(
            crate::decimal::parse(word.as_bytes()),
            Some(crate::decimal::Printed::Finite(_))
        );
    known.then(|| Literal(word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: &str) -> (String, SyntaxError) {
        let source = format!("# Title.\n{text}\n");
        let error = parse(&source).expect_err("the transcript has a mistake");
        let marked = source.get(error.span.clone()).unwrap_or_default();
        (marked.to_owned(), error)
    }

    #[test]
    fn a_mistake_is_marked_where_it_stands() {
        for (text, marked) in [
            ("< errror", "errror"),
            ("> 1\n  pause 20", "20"),
            ("half-closed", "half-closed"),
            ("< exit 1 2", "\n"),
            ("< exit 1 x 2", "x"),
            ("@ > 1", "@"),
            (">1", "1"),
            (">> \"a\\q\"", "\\q"),
            (">> \"open", "\"open"),
            (">> \"a\" * x", "x"),
            ("< precisely error", "error"),
            ("< eof now", "now"),
            ("repeat 3 {\n> 1", "repeat 3 {"),
            ("together {\n}", "together {"),
            ("}", "}"),
            ("@a repeat 3 {", "repeat"),
            ("< means 1", "1"),
        ] {
            let (found, error) = mistake(text);
            assert_eq!(found, marked, "{text}: {error:?}");
            assert!(!error.allowed.is_empty());
        }
    }

    #[test]
    fn a_transcript_without_title_is_a_mistake() {
        assert!(parse("> 1\n").is_err());
        assert!(parse("").is_err());
    }

    #[test]
    fn printing_and_parsing_are_inverse() {
        let text = "# Title.\n@b open\n@m open meta\n> 1 # one\n>\n>> \"a#\\x00 # \\xff\" * 3 file \"data/x.txt\"\n< precisely exit 1 2 nan\n\
                    < means +1 2 nan\n< means\n< \"a # b\"\n< any 3\n< nothing for 100ms\nrepeat 3 {\n  together {\n    @a > 1\n  }\n}\n\
                    either {\n  < error\n} or {\n  < -1.5e3\n}\nhalf-close\nreset\nclose\npause 20ms\n< rest\n< eof\n";
        let printed = parse(text).expect("a right transcript").to_string();
        let again = parse(&printed).expect("what was printed").to_string();
        assert_eq!(printed, again);
        assert!(
            printed.contains("> 1\n>\n>> \"a#\\0 # \\xff\" * 3 file \"data/x.txt\"\n"),
            "{printed}"
        );
    }

    #[test]
    fn a_comment_needs_a_space_before_it() {
        let transcript = parse("# Title.\n> 1#2   # three\n").expect("a right transcript");
        assert!(transcript.to_string().ends_with("> 1#2\n"));
    }
}
