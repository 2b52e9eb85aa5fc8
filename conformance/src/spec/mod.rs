//! The specification: chapters of clauses, each with its cases.
//!
//! It is compiled into the runner ([`Spec::bundled`]); [`Spec::from_directory`] reads another one, or a user's own cases.

mod bundled;
mod markdown;

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::dialect::Dialect;
use crate::finding::Finding;
use crate::transcript::Transcript;

/// A specification as it was read, sound or not: [`crate::lint`] tells.
#[derive(Debug, Default)]
pub struct Spec {
    /// The chapters, in reading order.
    pub chapters: Vec<Chapter>,
    /// Data files that transcripts name, by their path below the specification.
    pub data: BTreeMap<String, Vec<u8>>,
    /// The text of every file that was read as a chapter, by its path.
    pub sources: BTreeMap<String, String>,
    /// What could not be read.
    pub findings: Vec<Finding>,
}

/// A chapter file.
#[derive(Debug)]
pub struct Chapter {
    /// Its file name without the ending.
    pub name: String,
    /// Its first heading.
    pub title: String,
    /// Where it was read, for messages.
    pub path: String,
    /// The whole text, which the spans point into.
    pub source: String,
    /// Its clauses.
    pub clauses: Vec<Clause>,
}

/// A demand on the server.
#[derive(Debug)]
pub struct Clause {
    /// Its name for ever.
    pub slug: String,
    /// Its heading.
    pub title: String,
    /// How binding it is.
    pub level: Level,
    /// Where it comes from.
    pub source: Source,
    /// The demand: its first paragraph, in CommonMark, without level and source.
    pub demand: String,
    /// The paragraphs behind it: reason and common mistakes, in CommonMark.
    pub notes: Vec<String>,
    /// Octet range of the slug in the chapter.
    pub span: Range<usize>,
    /// The transcripts below it.
    pub cases: Vec<Case>,
}

/// One transcript of a clause.
#[derive(Debug)]
pub struct Case {
    /// `CLAUSE/CASE`.
    pub id: String,
    /// The only dialect it is for, if it is not for all.
    pub dialect: Option<Dialect>,
    /// The transcript; spans in it count from `text`'s beginning.
    pub transcript: Transcript,
    /// The text between the fences.
    pub text: String,
    /// Where that text stands in the chapter.
    pub span: Range<usize>,
    /// Octet range of the id in the chapter.
    pub id_span: Range<usize>,
}

/// How binding a clause is (as in RFC 2119).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// A server that does otherwise does not speak this protocol.
    Must,
    /// A careful server does this.
    Should,
    /// Both ways are right; the runner only reports.
    May,
    /// Withdrawn; kept so that the slug is not used again.
    Retired,
}

/// Where a clause comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The original description says it.
    Seed,
    /// It follows from that description and TCP.
    Derived,
    /// What implementations do, or what a careful server owes its clients.
    Practice,
}

impl Source {
    /// The name in chapters and reports.
    pub fn name(self) -> &'static str {
        match self {
            Source::Seed => "seed",
            Source::Derived => "derived",
            Source::Practice => "practice",
        }
    }
}

impl Display for Level {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Must => "MUST",
            Level::Should => "SHOULD",
            Level::May => "MAY",
            Level::Retired => "RETIRED",
        })
    }
}

/// A case together with where it belongs.
#[derive(Clone, Copy, Debug)]
pub struct CaseRef<'a> {
    /// Its chapter.
    pub chapter: &'a Chapter,
    /// Its clause.
    pub clause: &'a Clause,
    /// The case.
    pub case: &'a Case,
}

impl CaseRef<'_> {
    /// Whether the case asks the secondary port, so that it wants a server for itself.
    pub fn uses_secondary(&self) -> bool {
        self.case.transcript.uses_secondary()
    }

    /// Whether the case looks at the server as a process, so that the runner must have started it.
    pub fn uses_process(&self) -> bool {
        self.case.transcript.uses_process()
    }

    /// The line of the chapter, counted from 1, at an offset in the transcript's text.
    pub fn line_of(&self, offset: usize) -> usize {
        let before = &self.chapter.source[..self.case.span.start + offset];
        before.matches('\n').count() + 1
    }
}

impl Spec {
    /// The specification that this program was built with.
    pub fn bundled() -> Spec {
        let mut spec = Spec::default();
        for (name, text) in bundled::CHAPTERS {
            spec.add_chapter(name, &format!("spec/{name}"), text);
        }
        for (name, octets) in bundled::DATA {
            spec.data.insert((*name).to_owned(), octets.to_vec());
        }
        spec
    }

    /// A specification of one chapter.
    pub fn from_text(file: &str, text: &str) -> Spec {
        let mut spec = Spec::default();
        spec.add_chapter(file, file, text);
        spec
    }

    /// Reads the chapters (`*.md`) and the data files (`data/*`) of a directory.
    ///
    /// # Errors
    /// The path that could not be read, and why.
    pub fn from_directory(directory: &Path) -> Result<Spec, (PathBuf, io::Error)> {
        let mut spec = Spec::default();
        for path in files(directory)? {
            let name = file_name(&path);
            if path.extension().is_some_and(|ending| ending == "md") {
                let text = std::fs::read_to_string(&path).map_err(|e| (path.clone(), e))?;
                spec.add_chapter(&name, &path.display().to_string(), &text);
            }
        }
        let data = directory.join("data");
        if data.is_dir() {
            for path in files(&data)? {
                let octets = std::fs::read(&path).map_err(|e| (path.clone(), e))?;
                spec.data
                    .insert(format!("data/{}", file_name(&path)), octets);
            }
        }
        Ok(spec)
    }

    /// A text without clauses, such as an introduction, is no chapter.
    fn add_chapter(&mut self, file: &str, path: &str, text: &str) {
        let (chapter, findings) = markdown::read(file, path, text);
        self.findings.extend(findings);
        self.sources.insert(path.to_owned(), text.to_owned());
        if !chapter.clauses.is_empty() {
            self.chapters.push(chapter);
        }
    }

    /// All clauses with their chapters, in reading order.
    pub fn clauses(&self) -> impl Iterator<Item = (&Chapter, &Clause)> {
        self.chapters
            .iter()
            .flat_map(|chapter| chapter.clauses.iter().map(move |clause| (chapter, clause)))
    }

    /// All cases, in reading order.
    pub fn cases(&self) -> impl Iterator<Item = CaseRef<'_>> {
        self.clauses().flat_map(|(chapter, clause)| {
            clause.cases.iter().map(move |case| CaseRef {
                chapter,
                clause,
                case,
            })
        })
    }
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let failed = |error| (directory.to_owned(), error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
