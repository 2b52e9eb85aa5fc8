//! Failures that were found: a chapter for each property, which `run --spec` takes as it is.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use super::catalogue::Property;
use super::choice::digest;
use crate::spec::Spec;

/// The name of the chapter of a property.
pub(super) fn file_name(property: &Property) -> String {
    format!("property-{}.md", property.name)
}

/// The clause of a property.
pub fn clause(property: &Property) -> String {
    format!("property.{}", property.name)
}

/// The name of a transcript: what its steps say, without its title.
pub fn case_id(property: &Property, transcript: &str) -> String {
    let steps = transcript.split_once('\n').map_or("", |(_, steps)| steps);
    let digest = digest(steps.as_bytes());
    format!(
        "{}/{:08x}",
        clause(property),
        digest >> 32 ^ digest & 0xffff_ffff
    )
}

/// The chapter of a property with these transcripts.
pub fn chapter(property: &Property, transcripts: &[String]) -> String {
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
    for transcript in transcripts {
        let id = case_id(property, transcript);
        // Writing to a String cannot fail.
        let _ = write!(text, "\n```transcript {id}\n{transcript}```\n");
    }
    text
}

/// The transcripts that were saved for a property, oldest first.
///
/// # Errors
/// Those of reading; what is no chapter of ours is no error, but is not used either.
pub fn recall(directory: &Path, property: &Property) -> io::Result<Vec<String>> {
    let path = directory.join(file_name(property));
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let spec = Spec::from_text(&file_name(property), &text);
    Ok(spec.cases().map(|case| case.case.text.clone()).collect())
}

/// Saves a transcript in the chapter of its property, unless it is there. Gives the path of the chapter.
///
/// # Errors
/// Those of reading and writing.
pub fn save(directory: &Path, property: &Property, transcript: &str) -> io::Result<PathBuf> {
    let path = directory.join(file_name(property));
    let mut transcripts = recall(directory, property)?;
    let id = case_id(property, transcript);
    if transcripts
        .iter()
        .all(|saved| case_id(property, saved) != id)
    {
        transcripts.push(transcript.to_owned());
        std::fs::create_dir_all(directory)?;
        // Replaced as a whole: a run that is cut off leaves the old chapter.
        let draft = path.with_extension("md.new");
        std::fs::write(&draft, chapter(property, &transcripts))?;
        std::fs::rename(&draft, &path)?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::lint;
    use crate::property::PROPERTIES;

    #[test]
    fn what_is_saved_is_a_sound_specification_and_is_found_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let property = &PROPERTIES[0];
        let one = "# One.\n> 1\n> count\n< 1\n".to_owned();
        let two = "# Two.\n> count\n< 0\n".to_owned();
        for transcript in [&one, &two, &one] {
            save(directory.path(), property, transcript).expect("a writable directory");
        }
        let again = recall(directory.path(), property).expect("a readable directory");
        assert_eq!(again, [one, two]);
        let spec = Spec::from_directory(directory.path()).expect("a readable directory");
        assert_eq!((lint(&spec), spec.cases().count()), (Vec::new(), 2));
    }

    #[test]
    fn nothing_is_recalled_where_nothing_was_saved() {
        let directory = tempfile::tempdir().expect("a directory");
        let recalled = recall(&directory.path().join("none"), &PROPERTIES[0]);
        assert_eq!(recalled.expect("no error"), [""; 0]);
    }
}
