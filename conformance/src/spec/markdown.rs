//! Reading a chapter: CommonMark in which second-level headings are clauses and fenced `transcript` blocks are cases.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Parser, Tag};

use super::{Case, Chapter, Clause, Level, Source};
use crate::dialect::Dialect;
use crate::finding::Finding;
use crate::transcript;

/// Reads a chapter. What cannot be read is left out and reported.
pub(super) fn read(file: &str, path: &str, text: &str) -> (Chapter, Vec<Finding>) {
    let mut reader = Reader {
        chapter: Chapter {
            name: file.trim_end_matches(".md").to_owned(),
            title: String::new(),
            path: path.to_owned(),
            source: text.to_owned(),
            clauses: Vec::new(),
        },
        findings: Vec::new(),
        in_clause: false,
    };
    let mut depth = 0;
    for (event, span) in Parser::new(text).into_offset_iter() {
        match event {
            Event::Start(tag) => {
                if depth == 0 {
                    reader.element(&tag, span);
                }
                depth += 1;
            }
            Event::End(_) => depth -= 1,
            _ => {}
        }
    }
    (reader.chapter, reader.findings)
}

struct Reader {
    chapter: Chapter,
    findings: Vec<Finding>,
    /// Whether text belongs to the last clause; not so before the first one, or below a heading that is no clause.
    in_clause: bool,
}

impl Reader {
    fn element(&mut self, tag: &Tag<'_>, span: Range<usize>) {
        let text = self.chapter.source[span.clone()].trim_end().to_owned();
        match tag {
            Tag::Heading { level, .. } => match level {
                HeadingLevel::H1 => self.chapter.title = text.trim_start_matches("# ").to_owned(),
                HeadingLevel::H2 => self.heading(&text, span.start),
                _ => {}
            },
            Tag::CodeBlock(CodeBlockKind::Fenced(info))
                if info.split_whitespace().next() == Some("transcript") =>
            {
                self.fence(info, &text, span.start);
            }
            _ if self.in_clause => self.prose(&text, span.start),
            _ => {}
        }
    }

    fn finding(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        allowed: impl Into<String>,
    ) {
        let finding = Finding::new(
            &self.chapter.path,
            &self.chapter.source,
            span,
            message.into(),
            allowed.into(),
        );
        self.findings.push(finding);
    }

    /// ``## `slug` Title``; a heading without a slug begins no clause.
    fn heading(&mut self, text: &str, start: usize) {
        self.in_clause = false;
        let Some((before, (slug, title))) = text
            .split_once('`')
            .and_then(|(before, rest)| Some((before, rest.split_once('`')?)))
        else {
            return;
        };
        let slug_start = start + before.len() + 1;
        let span = slug_start..slug_start + slug.len();
        if !is_dotted_slug(slug) {
            self.finding(
                span,
                "this is no clause slug",
                "TOPIC.NAME in lower-case letters, digits and hyphens",
            );
            return;
        }
        self.in_clause = true;
        self.chapter.clauses.push(Clause {
            slug: slug.to_owned(),
            title: title.trim().to_owned(),
            level: Level::Must,
            source: Source::Practice,
            demand: String::new(),
            notes: Vec::new(),
            span,
            cases: Vec::new(),
        });
    }

    /// The first paragraph of a clause is its demand, the others are notes.
    fn prose(&mut self, text: &str, start: usize) {
        let Some(clause) = self.chapter.clauses.last_mut() else {
            return;
        };
        if !clause.demand.is_empty() {
            clause.notes.push(text.to_owned());
            return;
        }
        match demand(text) {
            Some((level, source, demand)) => {
                clause.level = level;
                clause.source = source;
                clause.demand = demand.to_owned();
            }
            None => {
                clause.demand = text.to_owned();
                let first_line = text.lines().next().unwrap_or_default().len();
                self.finding(
                    start..start + first_line,
                    "the first paragraph of a clause tells its level and its source",
                    "`**MUST** (seed).`, with MUST, SHOULD, MAY or RETIRED, and seed, derived or practice",
                );
            }
        }
    }

    fn fence(&mut self, info: &str, block: &str, start: usize) {
        let info_start = start + block.find(info).unwrap_or_default();
        let info_span = info_start..info_start + info.len();
        let mut words = info.split_whitespace().skip(1);
        let id = words.next().unwrap_or_default();
        let id_start = info_start + info.find(id).unwrap_or_default();
        let id_span = id_start..id_start + id.len();
        let clause = self.chapter.clauses.last().filter(|_| self.in_clause);
        let Some(clause) = clause else {
            self.finding(
                info_span,
                "this transcript stands under no clause",
                "a transcript below the heading of its clause",
            );
            return;
        };
        let belongs = id
            .split_once('/')
            .is_some_and(|(slug, case)| slug == clause.slug && is_slug(case));
        if !belongs {
            let allowed = format!(
                "`transcript {}/NAME` with a name in lower-case letters, digits and hyphens",
                clause.slug
            );
            self.finding(
                info_span,
                "this is no name for a case of its clause",
                allowed,
            );
            return;
        }
        let mut dialect = None;
        for word in words {
            dialect = word.strip_prefix("dialect=").and_then(Dialect::from_name);
            if dialect.is_none() {
                let at = info_start + info.rfind(word).unwrap_or_default();
                self.finding(
                    at..at + word.len(),
                    format!("`{word}` is not known here"),
                    "`dialect=plain` or `dialect=classic`",
                );
                return;
            }
        }
        let Some((opening, rest)) = block.split_once('\n') else {
            return self.finding(
                info_span,
                "this fence has no transcript",
                "a title and steps",
            );
        };
        let text = rest.rfind("```").map_or(rest, |end| &rest[..end]);
        let text_start = start + opening.len() + 1;
        match transcript::parse(text) {
            Ok(transcript) => {
                let case = Case {
                    id: id.to_owned(),
                    dialect,
                    transcript,
                    text: text.to_owned(),
                    span: text_start..text_start + text.len(),
                    id_span,
                };
                if let Some(clause) = self.chapter.clauses.last_mut() {
                    clause.cases.push(case);
                }
            }
            Err(error) => {
                let span = text_start + error.span.start..text_start + error.span.end;
                self.finding(span, error.message, error.allowed);
            }
        }
    }
}

/// Splits `**LEVEL** (source). Demand`.
fn demand(paragraph: &str) -> Option<(Level, Source, &str)> {
    let (level, rest) = paragraph.strip_prefix("**")?.split_once("** (")?;
    let (source, demand) = rest.split_once(").")?;
    let level = match level {
        "MUST" => Level::Must,
        "SHOULD" => Level::Should,
        "MAY" => Level::May,
        "RETIRED" => Level::Retired,
        _ => return None,
    };
    let source = match source {
        "seed" => Source::Seed,
        "derived" => Source::Derived,
        "practice" => Source::Practice,
        _ => return None,
    };
    let demand = demand.trim();
    (!demand.is_empty()).then_some((level, source, demand))
}

fn is_slug(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(legal)
}

fn is_dotted_slug(text: &str) -> bool {
    text.split_once('.')
        .is_some_and(|(topic, name)| is_slug(topic) && is_slug(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAPTER: &str = "# Lines\n\nIntroduction.\n\n## `line.lf` A line ends with LF\n\n**MUST** (seed). Nothing before LF.\n\n*Why:* so.\n\n\
                           ```transcript line.lf/one\n# Title.\n> 1\n```\n";

    #[test]
    fn a_chapter_is_read_with_its_positions() {
        let (chapter, findings) = read("lines.md", "lines.md", CHAPTER);
        assert_eq!(findings, []);
        assert_eq!(chapter.title, "Lines");
        let clause = &chapter.clauses[0];
        assert_eq!(
            (clause.slug.as_str(), clause.title.as_str()),
            ("line.lf", "A line ends with LF")
        );
        assert_eq!((clause.level, clause.source), (Level::Must, Source::Seed));
        assert_eq!(clause.demand, "Nothing before LF.");
        assert_eq!(clause.notes, ["*Why:* so."]);
        let case = &clause.cases[0];
        assert_eq!(&chapter.source[case.span.clone()], case.text);
        assert_eq!(&chapter.source[case.id_span.clone()], "line.lf/one");
    }

    #[test]
    fn a_mistake_in_a_transcript_is_found_in_the_chapter() {
        let (_, findings) = read(
            "lines.md",
            "lines.md",
            &CHAPTER.replace("> 1", "> 1\n< errro"),
        );
        assert_eq!((findings[0].line, findings[0].column), (14, 3));
    }

    #[test]
    fn a_case_of_another_clause_and_a_clause_without_level_are_findings() {
        for (from, to) in [
            ("line.lf/one", "line.other/one"),
            ("line.lf/one", "line.lf/One"),
            ("line.lf/one", "line.lf/one dialect=odd"),
            ("**MUST** (seed).", "MUST"),
            ("**MUST** (seed).", "**MUST** (guess)."),
            ("`line.lf`", "`lf`"),
        ] {
            let (_, findings) = read("lines.md", "lines.md", &CHAPTER.replace(from, to));
            assert!(!findings.is_empty(), "{to}");
        }
    }
}
