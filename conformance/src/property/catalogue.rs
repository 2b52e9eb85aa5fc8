//! The properties, by name.

use std::fmt;

use proptest::prelude::*;

use super::draw::{either, one_of, within};
use super::generate::{
    acts, any_number, ask, bad, bad_line, command, exit, later, leading, leave, part, plain_number,
    trailing, value,
};
use super::script::{Act, Deed, Dress, Later, Script};
use super::sequence::sequence;
use super::suspect;
use super::write::Due;
use crate::spec::Level;

/// Something that holds for every session with a right server.
pub struct Property {
    /// Its name on the command line.
    pub name: &'static str,
    /// The same as a heading.
    pub title: &'static str,
    /// What it demands, in one sentence.
    pub demand: &'static str,
    /// How binding it is.
    pub level: Level,
    /// Makes scripts that show it.
    pub(super) scripts: fn() -> BoxedStrategy<Script>,
    /// The script without what the property is about: where a server fails that too, the property says nothing.
    pub(super) control: Option<fn(&Script) -> Script>,
    /// The clause that a failure most likely breaks.
    pub(super) clause: fn(&Script, Option<Due>) -> &'static str,
}

impl Property {
    /// Whether its sessions ask the secondary port.
    pub fn uses_secondary(&self) -> bool {
        matches!(self.name, "means" | "own-writes")
    }
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Property({})", self.name)
    }
}

/// All properties, in the order in which they are tried.
pub const PROPERTIES: &[Property] = &[
    Property {
        name: "replies",
        title: "Replies match the reference model",
        demand: "Every reply of a session is the one that the reference model computes from the lines before it.",
        level: Level::Must,
        scripts: replies,
        control: None,
        clause: suspect::by_reply,
    },
    Property {
        name: "many",
        title: "A session may be long",
        demand: "Thousands of values are counted, added and averaged like a few.",
        level: Level::Must,
        scripts: many,
        control: None,
        clause: suspect::by_reply,
    },
    Property {
        name: "bad-lines",
        title: "A bad line changes nothing",
        demand: "A bad line gets one error line, and every other reply is what it is without the bad line.",
        level: Level::Must,
        scripts: bad_lines,
        control: Some(without_bad_lines),
        clause: suspect::error_no_effect,
    },
    Property {
        name: "long-lines",
        title: "A long line changes nothing",
        demand: "A bad line of any length gets one error line, and every other reply is what it is without it.",
        level: Level::Must,
        scripts: long_lines,
        control: Some(without_bad_lines),
        clause: |_, _| "line.long",
    },
    Property {
        name: "segments",
        title: "Cutting the same octets differently changes nothing",
        demand: "The replies do not depend on how the octets are spread over TCP segments.",
        level: Level::Must,
        scripts: segments,
        control: Some(line_by_line),
        clause: suspect::by_cuts,
    },
    Property {
        name: "permutation",
        title: "Permuting values changes nothing",
        demand: "Count, sum, mean and deviation do not depend on the order in which the values were sent.",
        level: Level::Must,
        scripts: permutation,
        control: Some(in_order),
        clause: suspect::by_reply,
    },
    Property {
        name: "interleaving",
        title: "A session reports what it was sent, however it is interleaved with others",
        demand: "The replies of a session are the same whether others are open meanwhile or not.",
        level: Level::Must,
        scripts: interleaving,
        control: Some(one_after_the_other),
        clause: |_, _| "isolation.statistics",
    },
    Property {
        name: "second-client",
        title: "A second client changes nothing",
        demand: "What another client sends, how it leaves, and that it reads nothing, changes no reply of a session.",
        level: Level::Must,
        scripts: second_client,
        control: Some(first_alone),
        clause: |_, _| "isolation.hostile",
    },
    Property {
        name: "garbage",
        title: "A server survives garbage",
        demand: "After octets of any kind on other connections, a new session is served.",
        level: Level::Must,
        scripts: garbage,
        control: Some(first_alone),
        clause: |_, _| "isolation.hostile",
    },
    Property {
        name: "means",
        title: "The secondary port counts exactly the exits",
        demand: "The secondary port tells number, mean and deviation of the means of all sessions that ended by `exit`.",
        level: Level::Must,
        scripts: means,
        control: None,
        clause: suspect::by_means,
    },
    Property {
        name: "own-writes",
        title: "A client that has its exit line finds its mean on the secondary port",
        demand: "A question to the secondary port is answered with every session whose exit line was received before.",
        level: Level::Must,
        scripts: own_writes,
        control: Some(patiently),
        clause: suspect::by_haste,
    },
    Property {
        name: "line-ends",
        title: "Spaces and a CR at the end change nothing",
        demand: "Trailing spaces, and one CR before the LF, are ignored.",
        level: Level::Should,
        scripts: line_ends,
        control: Some(undressed),
        clause: suspect::by_dress,
    },
    Property {
        name: "clusters",
        title: "Values close together and far from zero keep their deviation",
        demand: "The deviation of values with a large mean and a small spread is right to one part in a million.",
        level: Level::Should,
        scripts: clusters,
        control: None,
        clause: suspect::by_precision,
    },
    Property {
        name: "precise",
        title: "Replies are correctly rounded",
        demand: "Sum, mean and deviation are the exact results, correctly rounded, over the whole range of binary64.",
        level: Level::Should,
        scripts: precise,
        control: None,
        clause: suspect::by_precision,
    },
];

/// The property of that name.
pub fn property(name: &str) -> Option<&'static Property> {
    PROPERTIES.iter().find(|property| property.name == name)
}

fn rarely() -> impl Strategy<Value = bool> {
    one_of![3 => Just(false), 1 => Just(true)]
}

/// A script of acts, its values of one sign.
fn script(acts: impl Strategy<Value = Vec<Act>> + 'static) -> BoxedStrategy<Script> {
    (acts, rarely(), rarely())
        .prop_map(|(acts, negative, packed)| Script {
            acts,
            negative,
            packed,
            ..Script::default()
        })
        .boxed()
}

/// Acts, and behind them commands of the first session.
fn then_asked(acts: impl Strategy<Value = Vec<Act>> + 'static) -> impl Strategy<Value = Vec<Act>> {
    let asked = command().prop_map(|command| Act::plain(0, Deed::Ask(command, Later::No)));
    // What comes first is made smaller first, and without questions there is less to wait for.
    (sequence(asked, 4, 6), acts).prop_map(|(asked, acts)| [acts, asked].concat())
}

fn replies() -> BoxedStrategy<Script> {
    let deed = one_of![6 => value(plain_number()), 5 => ask(), 1 => bad(), 1 => leave()];
    script(acts(1, leading(), deed, 1, 16))
}

fn many() -> BoxedStrategy<Script> {
    let times = one_of![2 => within(1u32..=300), 1 => within(1u32..=3000)];
    let values = (plain_number(), times).prop_map(|(text, times)| Deed::Value { text, times });
    let deed = one_of![1 => values, 1 => value(plain_number())];
    let acts = acts(1, Just(Dress::Plain), deed, 1, 4);
    script(then_asked(acts))
}

fn bad_lines() -> BoxedStrategy<Script> {
    let deed = one_of![3 => value(plain_number()), 2 => ask(), 2 => bad()];
    script(acts(1, leading(), deed, 1, 12))
}

fn long_lines() -> BoxedStrategy<Script> {
    let length = one_of![
        3 => within(81u32..=200),
        2 => within(200u32..=5_000),
        1 => within(60_000u32..=140_000),
    ];
    // Only octets that make a bad line whatever becomes of its pieces.
    let long = (
        one_of![1 => Just(b'x'), 1 => Just(b'-'), 1 => Just(0u8), 1 => Just(0xffu8)],
        length,
    );
    let long = long.prop_map(|(octet, length)| Deed::Long(octet, length));
    let deed = one_of![3 => value(plain_number()), 2 => ask(), 2 => long];
    script(acts(1, Just(Dress::Plain), deed, 1, 8))
}

fn without_bad_lines(script: &Script) -> Script {
    let is_bad = |act: &Act| matches!(act.deed, Deed::Bad(..) | Deed::Long(..));
    only(script, |act| !is_bad(act))
}

fn only(script: &Script, keep: impl Fn(&Act) -> bool) -> Script {
    Script {
        acts: script
            .acts
            .iter()
            .filter(|act| keep(act))
            .cloned()
            .collect(),
        ..script.clone()
    }
}

fn segments() -> BoxedStrategy<Script> {
    let deed = one_of![4 => value(plain_number()), 4 => ask(), 1 => bad()];
    let cuts = sequence(within(0..=u16::MAX), 0, 5);
    (acts(1, leading(), deed, 1, 12), cuts, rarely())
        .prop_map(|(acts, cuts, negative)| Script {
            // What is cut is the octets of single lines.
            acts: acts.into_iter().map(once).collect(),
            negative,
            cuts: Some(cuts),
            ..Script::default()
        })
        .boxed()
}

fn once(act: Act) -> Act {
    match act.deed {
        Deed::Value { text, .. } => Act {
            deed: Deed::Value { text, times: 1 },
            ..act
        },
        _ => act,
    }
}

fn line_by_line(script: &Script) -> Script {
    Script {
        cuts: None,
        patient: true,
        ..script.clone()
    }
}

fn permutation() -> BoxedStrategy<Script> {
    let acts = acts(1, Just(Dress::Plain), value(plain_number()), 2, 12);
    script(then_asked(acts))
}

/// The values in ascending order. The commands behind them stay where they are.
fn in_order(script: &Script) -> Script {
    let mut script = script.clone();
    script.acts.sort_by(|a, b| match (&a.deed, &b.deed) {
        (Deed::Value { text: a, .. }, Deed::Value { text: b, .. }) => {
            let number = |text: &str| text.parse::<f64>().unwrap_or_default();
            number(a).total_cmp(&number(b))
        }
        (a, b) => {
            let is_value = |deed: &Deed| matches!(deed, Deed::Value { .. });
            is_value(b).cmp(&is_value(a))
        }
    });
    script
}

fn interleaving() -> BoxedStrategy<Script> {
    let deed = one_of![5 => value(plain_number()), 4 => ask(), 1 => bad(), 1 => exit()];
    (acts(4, leading(), deed, 2, 24), rarely(), rarely())
        .prop_map(|(acts, negative, together)| Script {
            acts,
            negative,
            together,
            ..Script::default()
        })
        .boxed()
}

/// No session begins before the one before it has ended.
fn one_after_the_other(script: &Script) -> Script {
    let sessions = 0..=u8::MAX;
    let of = |session| script.acts.iter().filter(move |act| act.session == session);
    let acts = sessions.flat_map(|session| {
        let end = of(session)
            .next()
            .map(|_| Act::plain(session, Deed::HalfClose));
        of(session).cloned().chain(end)
    });
    Script {
        acts: acts.collect(),
        together: false,
        ..script.clone()
    }
}

fn second_client() -> BoxedStrategy<Script> {
    let deed = one_of![4 => value(plain_number()), 4 => ask(), 2 => bad(), 1 => leave()];
    heard(acts(2, leading(), deed, 2, 20))
}

/// Only the first session is listened to.
fn heard(acts: impl Strategy<Value = Vec<Act>> + 'static) -> BoxedStrategy<Script> {
    let script = (acts, rarely()).prop_map(|(acts, negative)| Script {
        acts,
        negative,
        heard: Some(1),
        ..Script::default()
    });
    script.boxed()
}

fn first_alone(script: &Script) -> Script {
    only(script, |act| act.session == 0)
}

fn garbage() -> BoxedStrategy<Script> {
    let octets =
        sequence(within(0..=u8::MAX), 1, 200).prop_map(|octets| Deed::Bad(octets, Later::No));
    let bad = (bad_line(), later()).prop_map(|(line, later)| Deed::Bad(line, later));
    let long = (within(0..=u8::MAX), within(1u32..=100_000))
        .prop_map(|(octet, times)| Deed::Long(octet, times));
    let deed = one_of![3 => octets, 1 => bad, 1 => long, 2 => leave(), 1 => part()];
    let hostile = acts(3, Just(Dress::Plain), deed, 1, 6);
    let acts = (hostile, plain_number()).prop_map(|(mut acts, text)| {
        for act in &mut acts {
            act.session += 1;
        }
        acts.push(Act::plain(0, Deed::Value { text, times: 1 }));
        acts
    });
    heard(then_asked(acts))
}

fn means() -> BoxedStrategy<Script> {
    let deed =
        one_of![6 => value(plain_number()), 3 => leave(), 2 => exit(), 1 => Just(Deed::Query)];
    let acts = acts(3, Just(Dress::Plain), deed, 1, 16);
    script(acts.prop_map(|mut acts| {
        acts.push(Act::plain(0, Deed::Query));
        acts
    }))
}

fn own_writes() -> BoxedStrategy<Script> {
    let session = (plain_number(), either()).prop_map(|(text, eof)| {
        [
            Deed::Value { text, times: 1 },
            Deed::Exit { eof },
            Deed::Query,
        ]
    });
    let acts = sequence(session, 1, 5).prop_map(|sessions| {
        let deeds = sessions.into_iter().flatten();
        deeds.map(|deed| Act::plain(0, deed)).collect()
    });
    script(acts)
}

fn patiently(script: &Script) -> Script {
    Script {
        patient: true,
        ..script.clone()
    }
}

fn line_ends() -> BoxedStrategy<Script> {
    let deed = one_of![4 => value(plain_number()), 4 => ask(), 1 => exit()];
    script(acts(1, trailing(), deed, 1, 8))
}

fn undressed(script: &Script) -> Script {
    let mut script = script.clone();
    for act in &mut script.acts {
        act.dress = Dress::Plain;
    }
    script
}

fn clusters() -> BoxedStrategy<Script> {
    // At most so far from zero that Welford's algorithm in double precision still keeps to one part in a million.
    let mean = one_of![1 => Just(100_000_000u64), 1 => Just(10_000_000), 1 => Just(500_000_000)];
    let acts = (mean, sequence(within(0u64..=20), 2, 12)).prop_map(|(mean, offsets)| {
        let value = |offset: u64| Deed::Value {
            text: (mean + offset).to_string(),
            times: 1,
        };
        let values = offsets.into_iter().map(value);
        values.map(|value| Act::plain(0, value)).collect::<Vec<_>>()
    });
    script(then_asked(acts))
}

fn precise() -> BoxedStrategy<Script> {
    let far = value(any_number());
    let near = value(plain_number());
    let deed = one_of![4 => far, 1 => near, 2 => ask()];
    then_asked(acts(1, Just(Dress::Plain), deed, 1, 12))
        .prop_map(|acts| Script {
            acts,
            precisely: true,
            ..Script::default()
        })
        .boxed()
}
