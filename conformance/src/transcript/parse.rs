//! Reading transcripts, with the position of every mistake and what would be right in its place.

use std::ops::Range;

use super::words::{Words, error};
use super::{Step, StepKind, Transcript};

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
pub(super) const MOST_REPETITIONS: u64 = 10_000_000;

/// Reads a transcript.
///
/// # Errors
/// The first mistake.
pub fn parse(text: &str) -> Result<Transcript, SyntaxError> {
    read(text).map_err(|mistake| {
        let end = mistake.span.end;
        let whole_character = (end..=text.len()).find(|&end| text.is_char_boundary(end));
        SyntaxError {
            span: mistake.span.start..whole_character.unwrap_or(end),
            ..mistake
        }
    })
}

fn read(text: &str) -> Result<Transcript, SyntaxError> {
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
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    pub(super) span: Range<usize>,
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
    fn a_mistake_never_ends_within_a_character() {
        // U+0085 is a space, and so no part of the line.
        assert_eq!(mistake("@w\u{85}").0, "\u{85}");
        let at_the_end = "# Title.\n@w\u{85}";
        let mistake = parse(at_the_end).expect_err("there is no step");
        assert_eq!(at_the_end.get(mistake.span), Some("\u{85}"));
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
                    either {\n  < error\n} or {\n  < -1.5e3\n}\nhalf-close\nreset\nclose\npause 20ms\npause 90s\n< nothing for 1500ms\n< rest\n< eof\n";
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
