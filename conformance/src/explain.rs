//! A clause as a person wants it told: what it demands, why, what goes wrong, and its transcripts.

use std::io::{self, Write};

use anstyle::Style;

use crate::spec::{Chapter, Clause, Spec};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// A name that is no clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown<'a> {
    /// Clauses with a similar name, the most similar one first.
    pub similar: Vec<&'a str>,
}

/// More suggestions help nobody.
const MOST_SIMILAR: usize = 3;

/// Below this similarity a name was not meant.
const SIMILAR: f64 = 0.6;

/// Finds a clause by its slug, or by the name of one of its cases.
///
/// # Errors
/// If there is no such clause.
pub fn find<'a>(spec: &'a Spec, name: &str) -> Result<(&'a Chapter, &'a Clause), Unknown<'a>> {
    let slug = name.split_once('/').map_or(name, |(slug, _)| slug);
    if let Some(found) = spec.clauses().find(|(_, clause)| clause.slug == slug) {
        return Ok(found);
    }
    let mut similar: Vec<(f64, &str)> = spec
        .clauses()
        .map(|(_, clause)| (similarity(&clause.slug, slug), clause.slug.as_str()))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .collect();
    similar.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    similar.truncate(MOST_SIMILAR);
    Err(Unknown {
        similar: similar.into_iter().map(|(_, slug)| slug).collect(),
    })
}

/// A person who does not know the topic types the name alone.
fn similarity(slug: &str, typed: &str) -> f64 {
    let name = slug.split_once('.').map_or(slug, |(_, name)| name);
    let typed_name = typed.split_once('.').map_or(typed, |(_, name)| name);
    strsim::normalized_damerau_levenshtein(slug, typed)
        .max(strsim::normalized_damerau_levenshtein(name, typed_name) * 0.99)
}

/// Writes all about a clause. Styled; write it through `anstream`.
///
/// # Errors
/// Those of the writer.
pub fn write(chapter: &Chapter, clause: &Clause, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{BOLD}{}{BOLD:#}  {}", clause.slug, clause.title)?;
    writeln!(
        out,
        "{DIM}{}, source: {}, in {}{DIM:#}",
        clause.level,
        clause.source.name(),
        chapter.path
    )?;
    for paragraph in std::iter::once(&clause.demand).chain(&clause.notes) {
        writeln!(out)?;
        write_paragraph(paragraph, out)?;
    }
    for case in &clause.cases {
        writeln!(out)?;
        write!(out, "{BOLD}{}{BOLD:#}", case.id)?;
        if let Some(dialect) = case.dialect {
            write!(out, "  {DIM}only in the {dialect} dialect{DIM:#}")?;
        }
        writeln!(out)?;
        for line in case.text.lines() {
            writeln!(out, "    {line}")?;
        }
    }
    Ok(())
}

/// A paragraph whose beginning in emphasis (`*Why:*`) becomes its heading.
fn write_paragraph(paragraph: &str, out: &mut impl Write) -> io::Result<()> {
    let heading = paragraph
        .strip_prefix('*')
        .and_then(|rest| rest.split_once(":*"));
    let text = match heading {
        Some((heading, text)) => {
            write!(out, "{BOLD}{heading}:{BOLD:#}")?;
            text
        }
        None => paragraph,
    };
    writeln!(out, "{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clause_is_found_by_its_name_and_by_its_cases() {
        let spec = Spec::bundled();
        for name in ["number.sample", "number.sample/two-values"] {
            let (_, clause) = find(&spec, name).expect("there is such a clause");
            assert_eq!(clause.slug, "number.sample");
        }
    }

    #[test]
    fn a_near_miss_is_suggested() {
        let spec = Spec::bundled();
        for typed in ["number.sampel", "sample", "numbers.sample"] {
            let unknown = find(&spec, typed).expect_err("there is no such clause");
            assert_eq!(unknown.similar.first(), Some(&"number.sample"), "{typed}");
        }
        assert_eq!(
            find(&spec, "xyzzy").map(|_| ()),
            Err(Unknown { similar: vec![] })
        );
    }
}
