//! Two servers beside each other: the same cases, and what the one does that the other does not.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value, json};

use crate::dialect::Dialect;
use crate::profile::shape;
use crate::report::words;
use crate::runner::{CaseResult, Outcome};
use crate::spec::Level;
use crate::trace::{Event, Shown, What};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const BAD: Style = AnsiColor::Red.on_default().bold();
const NOTE: Style = AnsiColor::Yellow.on_default();

/// What two servers make of one case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Agreement {
    /// Both pass, with the same octets.
    Same,
    /// The replies differ, and the specification takes both.
    BothLegal,
    /// Only the first one does what the case demands.
    OnlyA,
    /// Only the second one does.
    OnlyB,
    /// Neither does.
    NeitherPasses,
    /// At least one was not asked: the case is for another dialect.
    NotComparable,
}

impl Agreement {
    /// Every agreement, in the order of the table.
    pub const ALL: [Agreement; 6] = [
        Agreement::Same,
        Agreement::BothLegal,
        Agreement::OnlyA,
        Agreement::OnlyB,
        Agreement::NeitherPasses,
        Agreement::NotComparable,
    ];

    /// The agreement in words.
    pub fn name(self) -> &'static str {
        match self {
            Agreement::Same => "same",
            Agreement::BothLegal => "differ, both legal",
            Agreement::OnlyA => "only A passes",
            Agreement::OnlyB => "only B passes",
            Agreement::NeitherPasses => "neither passes",
            Agreement::NotComparable => "not comparable",
        }
    }

    /// The agreement for programs.
    pub fn key(self) -> &'static str {
        match self {
            Agreement::Same => "same",
            Agreement::BothLegal => "both-legal",
            Agreement::OnlyA => "only-a",
            Agreement::OnlyB => "only-b",
            Agreement::NeitherPasses => "neither",
            Agreement::NotComparable => "not-comparable",
        }
    }

    /// What these outcomes come to, where replies differ or not.
    pub fn new(outcomes: [Outcome; 2], level: Level, differ: bool) -> Agreement {
        if outcomes.contains(&Outcome::Skip) {
            return Agreement::NotComparable;
        }
        match outcomes.map(|outcome| outcome == Outcome::Pass) {
            [true, true] if !differ => Agreement::Same,
            [true, true] => Agreement::BothLegal,
            [false, false] => Agreement::NeitherPasses,
            // Both ways are right.
            _ if level == Level::May => Agreement::BothLegal,
            [true, false] => Agreement::OnlyA,
            [false, true] => Agreement::OnlyB,
        }
    }

    /// Whether one server is right and the other is not.
    pub fn is_difference(self) -> bool {
        matches!(self, Agreement::OnlyA | Agreement::OnlyB)
    }
}

/// One case on two servers.
#[derive(Debug)]
pub struct Pair<'a> {
    /// The result of the first one.
    pub a: CaseResult<'a>,
    /// The result of the second one.
    pub b: CaseResult<'a>,
    /// What they make of it together.
    pub agreement: Agreement,
    /// The first place where they said different things.
    pub difference: Option<Difference>,
}

/// What says nothing about a difference.
#[derive(Clone, Debug, Default)]
pub struct Ignored {
    /// Secondary ports that others use too: what they say depends on more than this run.
    pub ports: Vec<SocketAddr>,
    /// Greetings, as the shapes of their lines: they would be the first difference everywhere.
    pub greetings: Vec<Vec<String>>,
}

/// Where two servers said different things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The connection, as the transcript calls it.
    pub connection: String,
    /// What the first one said; nothing if it said no more.
    pub a: Option<Vec<u8>>,
    /// What the second one said.
    pub b: Option<Vec<u8>>,
}

impl<'a> Pair<'a> {
    /// Compares two results of the same case, which have to have their traces.
    pub fn new(a: CaseResult<'a>, b: CaseResult<'a>, ignored: &Ignored) -> Pair<'a> {
        let difference = difference_of([&a.trace, &b.trace], ignored);
        let level = a.case.clause.level;
        let agreement = Agreement::new([a.outcome, b.outcome], level, difference.is_some());
        Pair {
            a,
            b,
            agreement,
            difference,
        }
    }
}

/// The first line in which what went over the wire differs.
pub(crate) fn difference_of(traces: [&[Event]; 2], ignored: &Ignored) -> Option<Difference> {
    let [a, b] = traces.map(|trace| said(trace, ignored));
    difference(&a, &b)
}

/// What a server said on each connection, in the order in which the connections were opened.
fn said(trace: &[Event], ignored: &Ignored) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    // The latest connection of each name.
    let mut open: BTreeMap<&str, Option<usize>> = BTreeMap::new();
    for event in trace {
        match &event.what {
            What::Connected(address) => {
                let is_shared = |port: &SocketAddr| port.to_string() == *address;
                let place = (!ignored.ports.iter().any(is_shared)).then_some(all.len());
                if place.is_some() {
                    all.push((event.connection.clone(), Vec::new()));
                }
                open.insert(&event.connection, place);
            }
            What::Received(octets) => {
                if let Some(Some(place)) = open.get(event.connection.as_str()) {
                    all[*place].1.extend_from_slice(octets);
                }
            }
            // What came before the client went away tells how fast the server is, not what it says.
            What::Closed | What::Aborted => {
                if let Some(Some(place)) = open.get(event.connection.as_str()) {
                    all[*place].1.clear();
                }
            }
            _ => {}
        }
    }
    for (_, octets) in &mut all {
        let greeting = ignored.greetings.iter().find_map(|greeting| {
            let mut lines = octets.split_inclusive(|&octet| octet == b'\n');
            let mut same = |known: &String| lines.next().filter(|line| shape(line) == *known);
            let lengths = greeting.iter().map(|known| same(known).map(<[u8]>::len));
            lengths.sum::<Option<usize>>().filter(|length| *length > 0)
        });
        octets.drain(..greeting.unwrap_or_default());
    }
    // Connections of concurrent steps are opened in any order.
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}

/// The first line in which two conversations differ.
fn difference(a: &[(String, Vec<u8>)], b: &[(String, Vec<u8>)]) -> Option<Difference> {
    let lines = |octets: &[u8]| -> Vec<Vec<u8>> {
        octets
            .split_inclusive(|&octet| octet == b'\n')
            .map(<[u8]>::to_vec)
            .collect()
    };
    let nothing = (String::new(), Vec::new());
    for index in 0..a.len().max(b.len()) {
        let (left, right) = (
            a.get(index).unwrap_or(&nothing),
            b.get(index).unwrap_or(&nothing),
        );
        let (of_a, of_b) = (lines(&left.1), lines(&right.1));
        let differing =
            (0..of_a.len().max(of_b.len())).find(|&line| of_a.get(line) != of_b.get(line));
        if let Some(line) = differing {
            let connection = if left.0.is_empty() { &right.0 } else { &left.0 };
            return Some(Difference {
                connection: connection.clone(),
                a: of_a.get(line).cloned(),
                b: of_b.get(line).cloned(),
            });
        }
    }
    None
}

/// Writes where the servers differ, then a table of all agreements by chapter. Styled; write it through `anstream`.
///
/// # Errors
/// Those of the writer.
pub fn write(names: [&str; 2], pairs: &[Pair<'_>], out: &mut impl Write) -> io::Result<()> {
    let [a, b] = names;
    writeln!(out, "{BOLD}A{BOLD:#}  {a}\n{BOLD}B{BOLD:#}  {b}\n")?;
    for agreement in [
        Agreement::BothLegal,
        Agreement::NeitherPasses,
        Agreement::OnlyA,
        Agreement::OnlyB,
    ] {
        let style = if agreement.is_difference() { BAD } else { NOTE };
        for pair in pairs.iter().filter(|pair| pair.agreement == agreement) {
            let case = pair.a.case;
            let (level, id) = (case.clause.level, &case.case.id);
            writeln!(
                out,
                "{style}{:18}{style:#}  {level:6}  {BOLD}{id}{BOLD:#}",
                agreement.name()
            )?;
            let difference = pair.difference.as_ref();
            for (name, result, line) in [
                ("A", &pair.a, difference.map(|difference| &difference.a)),
                ("B", &pair.b, difference.map(|difference| &difference.b)),
            ] {
                write!(out, "    {name} {:7}", result.outcome.name())?;
                match (&result.failure, line) {
                    (Some(failure), _) => write!(
                        out,
                        "  expected {}, received {}",
                        words::expected(failure),
                        words::received(failure)
                    )?,
                    (None, Some(Some(line))) if agreement == Agreement::BothLegal => {
                        write!(out, "  {}", Shown(line))?;
                    }
                    (None, Some(None)) if agreement == Agreement::BothLegal => {
                        write!(out, "  {DIM}no such line{DIM:#}")?;
                    }
                    _ => {}
                }
                writeln!(out)?;
            }
        }
    }
    write_table(pairs, out)
}

/// The version of the form for programs; it changes when a field changes its meaning or goes.
const VERSION: u32 = 1;

/// The result for programs: `conformance/schema/compare-1.json` describes it.
pub fn json(servers: &[(String, Dialect); 2], pairs: &[Pair<'_>]) -> Value {
    let [a, b] = servers
        .each_ref()
        .map(|(target, dialect)| json!({ "target": target, "dialect": dialect }));
    let counts: Map<String, Value> = Agreement::ALL
        .into_iter()
        .map(|agreement| {
            let of = pairs.iter().filter(|pair| pair.agreement == agreement);
            (agreement.key().to_owned(), of.count().into())
        })
        .collect();
    let side = |result: &CaseResult<'_>| {
        let failure = result.failure.as_ref();
        json!({
            "outcome": result.outcome,
            "expected": failure.map(words::expected),
            "received": failure.map(words::received),
        })
    };
    let line = |line: &Option<Vec<u8>>| line.as_ref().map(|line| Shown(line).to_string());
    let case = |pair: &Pair<'_>| {
        json!({
            "id": pair.a.case.case.id,
            "level": pair.a.case.clause.level,
            "agreement": pair.agreement.key(),
            "a": side(&pair.a),
            "b": side(&pair.b),
            "difference": pair.difference.as_ref().map(|difference| json!({
                "connection": difference.connection,
                "a": line(&difference.a),
                "b": line(&difference.b),
            })),
        })
    };
    json!({
        "version": VERSION,
        "a": a,
        "b": b,
        "summary": counts,
        "cases": pairs.iter().map(case).collect::<Vec<_>>(),
    })
}

fn write_table(pairs: &[Pair<'_>], out: &mut impl Write) -> io::Result<()> {
    let chapters: Vec<_> = pairs
        .chunk_by(|x, y| std::ptr::eq(x.a.case.chapter, y.a.case.chapter))
        .map(|of_chapter| (of_chapter[0].a.case.chapter.title.as_str(), of_chapter))
        .chain([("all", pairs)])
        .collect();
    let width = chapters
        .iter()
        .map(|(title, _)| title.chars().count())
        .max()
        .unwrap_or_default();
    let used = |agreement: &Agreement| pairs.iter().any(|pair| pair.agreement == *agreement);
    let columns: Vec<_> = Agreement::ALL.into_iter().filter(used).collect();
    write!(out, "\n{:width$}", "")?;
    for column in &columns {
        write!(out, "  {DIM}{}{DIM:#}", column.name())?;
    }
    writeln!(out)?;
    for (title, of_chapter) in chapters {
        write!(out, "{title:width$}")?;
        for column in &columns {
            let count = of_chapter
                .iter()
                .filter(|pair| pair.agreement == *column)
                .count();
            write!(out, "  {count:>0$}", column.name().len())?;
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn event(connection: &str, what: What) -> Event {
        Event {
            at: Duration::ZERO,
            connection: connection.to_owned(),
            what,
        }
    }

    fn received(connection: &str, text: &str) -> Event {
        event(connection, What::Received(text.as_bytes().to_vec()))
    }

    fn connected(connection: &str) -> Event {
        event(connection, What::Connected("127.0.0.1:3100".to_owned()))
    }

    #[test]
    fn segments_make_no_difference() {
        let whole = [connected(""), received("", "1\n2\n")];
        let pieces = [
            connected(""),
            received("", "1"),
            received("", "\n2"),
            received("", "\n"),
        ];
        assert_eq!(
            difference(
                &said(&whole, &Ignored::default()),
                &said(&pieces, &Ignored::default())
            ),
            None
        );
    }

    #[test]
    fn the_first_line_that_differs_is_found() {
        let one = [connected("a"), connected("b"), received("b", "1\n2\n")];
        let other = [
            connected("b"),
            connected("a"),
            received("b", "1\n2.00\n3\n"),
        ];
        let found = difference(
            &said(&one, &Ignored::default()),
            &said(&other, &Ignored::default()),
        )
        .expect("they differ");
        assert_eq!(found.connection, "b");
        assert_eq!(
            (found.a, found.b),
            (Some(b"2\n".to_vec()), Some(b"2.00\n".to_vec()))
        );
    }

    #[test]
    fn a_greeting_is_no_difference_but_a_missing_one_is_no_licence() {
        let ignored = Ignored {
            greetings: vec![vec!["Hello".to_owned()]],
            ..Ignored::default()
        };
        let one = [connected(""), received("", "Hello\n1\n")];
        let other = [connected(""), received("", "1\n")];
        assert_eq!(
            difference(&said(&one, &ignored), &said(&other, &ignored)),
            None
        );
        let third = [connected(""), received("", "1\nHello\n")];
        assert!(difference(&said(&one, &ignored), &said(&third, &ignored)).is_some());
    }

    #[test]
    fn what_the_client_did_not_stay_for_is_not_compared() {
        let slow = [connected(""), event("", What::Closed)];
        let fast = [connected(""), received("", "1\n"), event("", What::Closed)];
        assert_eq!(difference_of([&slow, &fast], &Ignored::default()), None);
    }

    #[test]
    fn a_port_that_others_use_too_is_not_compared() {
        let one = [connected("meta"), received("meta", "1 2 3\n")];
        let other = [connected("meta"), received("meta", "4 5 6\n")];
        let ignored = Ignored {
            ports: vec!["127.0.0.1:3100".parse().expect("an address")],
            ..Ignored::default()
        };
        assert_eq!(
            difference(&said(&one, &ignored), &said(&other, &ignored)),
            None
        );
    }
}
