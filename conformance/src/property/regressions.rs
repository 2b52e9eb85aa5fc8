//! Failures that were found: a chapter for each property, which `run --spec` takes as it is.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::catalogue::{PROPERTIES, Property};
use super::choice::digest;
use crate::spec::{Chapter, Clause, Spec};

/// A failing transcript as it is saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regression {
    /// The clause that it most likely breaks, if that is known.
    pub clause: Option<String>,
    /// The text of the transcript.
    pub text: String,
}

impl Regression {
    /// How many lines it has without its title.
    pub(super) fn lines(&self) -> usize {
        self.text.lines().count().saturating_sub(1)
    }

    /// What its steps say, without its title.
    fn digest(&self) -> u32 {
        let steps = self.text.split_once('\n').map_or("", |(_, steps)| steps);
        let digest = digest(steps.as_bytes());
        (digest >> 32) as u32 ^ digest as u32
    }

    /// The name of its case: the clause, its dot as two hyphens, and the digest.
    fn id(&self, property: &Property) -> String {
        let breaks = self.clause.iter().map(|slug| slug.replace('.', "--") + "-");
        let breaks: String = breaks.collect();
        format!("{}/{breaks}{:08x}", clause(property), self.digest())
    }

    /// The clause that the name of a case tells.
    fn clause_of(id: &str) -> Option<String> {
        let (breaks, _digest) = id.split_once('/')?.1.rsplit_once('-')?;
        Some(breaks.replace("--", "."))
    }
}

/// The name of the chapter of a property.
pub(super) fn file_name(property: &Property) -> String {
    format!("property-{}.md", property.name)
}

/// The clause of a property.
pub fn clause(property: &Property) -> String {
    format!("property.{}", property.name)
}

/// The chapter of a property with these transcripts.
pub fn chapter(property: &Property, regressions: &[Regression]) -> String {
    let (clause, level) = (clause(property), property.level);
    let mut text = format!(
        "# Found by the property `{name}`\n\n\
         Generated sessions that a server failed, made as small as they would go.\n\n\
         ## `{clause}` {title}\n\n\
         **{level}** (derived). {demand}\n",
        name = property.name,
        title = property.title,
        demand = property.demand,
    );
    for regression in regressions {
        let id = regression.id(property);
        // Writing to a String cannot fail.
        let _ = write!(text, "\n```transcript {id}\n{}```\n", regression.text);
    }
    text
}

/// The same, read as a specification.
pub(super) fn spec(property: &Property, regressions: &[Regression]) -> Spec {
    Spec::from_text(&file_name(property), &chapter(property, regressions))
}

/// The chapters of all properties, without transcripts.
static CHAPTERS: LazyLock<Vec<Spec>> = LazyLock::new(|| {
    PROPERTIES
        .iter()
        .map(|property| spec(property, &[]))
        .collect()
});

/// The clause of a property with its chapter, for running transcripts that are not saved.
pub(super) fn chapter_and_clause(property: &Property) -> (&'static Chapter, &'static Clause) {
    let slug = clause(property);
    let mut clauses = CHAPTERS.iter().flat_map(Spec::clauses);
    let found = clauses.find(|(_, clause)| clause.slug == slug);
    found.expect("every property has a chapter")
}

/// The transcripts that were saved for a property, oldest first.
///
/// # Errors
/// Those of reading; what is no chapter of ours is no error, but is not used either.
pub fn load(directory: &Path, property: &Property) -> io::Result<Vec<Regression>> {
    let path = directory.join(file_name(property));
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let spec = Spec::from_text(&file_name(property), &text);
    let regressions = spec.cases().map(|case| Regression {
        clause: Regression::clause_of(&case.case.id),
        text: case.case.text.clone(),
    });
    Ok(regressions.collect())
}

/// Saves a transcript in the chapter of its property, unless it is there. Gives the path of the
/// chapter.
///
/// # Errors
/// Those of reading and writing.
pub fn save(directory: &Path, property: &Property, regression: &Regression) -> io::Result<PathBuf> {
    let path = directory.join(file_name(property));
    let mut regressions = load(directory, property)?;
    let is_same = |saved: &Regression| saved.digest() == regression.digest();
    if !regressions.iter().any(is_same) {
        regressions.push(regression.clone());
        std::fs::create_dir_all(directory)?;
        // Replaced as a whole: a run that is cut off leaves the old chapter.
        let draft = path.with_extension("md.new");
        std::fs::write(&draft, chapter(property, &regressions))?;
        std::fs::rename(&draft, &path)?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::lint;

    #[test]
    fn what_is_saved_is_a_sound_specification_and_is_found_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let property = &PROPERTIES[0];
        let one = Regression {
            clause: Some("number.exact-sum".to_owned()),
            text: "# One.\n> 1\n> count\n< 1\n".to_owned(),
        };
        let two = Regression {
            clause: None,
            text: "# Two.\n> count\n< 0\n".to_owned(),
        };
        for regression in [&one, &two, &one] {
            save(directory.path(), property, regression).expect("a writable directory");
        }
        let again = load(directory.path(), property).expect("a readable directory");
        assert_eq!(again, [one, two]);
        let spec = Spec::from_directory(directory.path()).expect("a readable directory");
        assert_eq!((lint(&spec), spec.cases().count()), (Vec::new(), 2));
    }

    #[test]
    fn nothing_is_recalled_where_nothing_was_saved() {
        let directory = tempfile::tempdir().expect("a directory");
        let recalled = load(&directory.path().join("none"), &PROPERTIES[0]);
        assert_eq!(recalled.expect("no error"), []);
    }
}
