//! The properties, by name.

use std::fmt;

use super::blame;
use super::choice::{Choices, Kinds, digest};
use super::generate::{
    any_number, ask, bad, command, exit, leading, leave, part, plain, plain_number, plain_value,
    steps, trailing, value,
};
use super::script::{Formatting, Operation, Script, ScriptStep, Wait};
use super::signature::ReplyKind;
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
    generate: fn(&mut Choices<'_>) -> Script,
    /// The script without what the property is about: where a server fails that too, the property
    /// says nothing.
    pub(super) control: Option<fn(&Script) -> Script>,
    /// The clause that a failure most likely breaks.
    pub(super) clause: fn(&Script, Option<ReplyKind>) -> &'static str,
}

impl Property {
    /// Its script with this number, of those of a seed.
    pub fn script(&self, seed: u64, number: u64) -> Script {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&number.to_le_bytes());
        bytes[16..24].copy_from_slice(&digest(self.name.as_bytes()).to_le_bytes());
        (self.generate)(&mut Choices::of_seed(bytes))
    }

    /// The script that these bytes stand for, for a fuzzer. Any bytes stand for
    /// one; where they come to an end, the rest of it is what is simplest.
    pub fn script_of(&self, bytes: &[u8]) -> Script {
        (self.generate)(&mut Choices::of_bytes(bytes))
    }
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
        demand: "Every reply of a session is the one that the reference model computes from the \
                 lines before it.",
        level: Level::Must,
        generate: replies,
        control: None,
        clause: blame::by_reply,
    },
    Property {
        name: "many",
        title: "A session may be long",
        demand: "Thousands of values are counted, added and averaged like a few.",
        level: Level::Must,
        generate: many,
        control: None,
        clause: blame::by_reply,
    },
    Property {
        name: "bad-lines",
        title: "A bad line changes nothing",
        demand: "A bad line gets one error line, and every other reply is what it is without the \
                 bad line.",
        level: Level::Must,
        generate: bad_lines,
        control: Some(without_bad_lines),
        clause: blame::error_no_effect,
    },
    Property {
        name: "long-lines",
        title: "A long line changes nothing",
        demand: "A bad line of any length gets one error line, and every other reply is what it is \
                 without it.",
        level: Level::Must,
        generate: long_lines,
        control: Some(without_bad_lines),
        clause: |_, _| "line.long",
    },
    Property {
        name: "segments",
        title: "Cutting the same bytes differently changes nothing",
        demand: "The replies do not depend on how the bytes are spread over TCP segments.",
        level: Level::Must,
        generate: segments,
        control: Some(line_by_line),
        clause: blame::by_cuts,
    },
    Property {
        name: "permutation",
        title: "Permuting values changes nothing",
        demand: "Count, sum, mean and deviation do not depend on the order in which the values \
                 were sent.",
        level: Level::Must,
        generate: permutation,
        control: Some(in_order),
        clause: blame::by_reply,
    },
    Property {
        name: "interleaving",
        title: "A session reports what it was sent, however it is interleaved with others",
        demand: "The replies of a session are the same whether others are open meanwhile or not.",
        level: Level::Must,
        generate: interleaving,
        control: Some(one_after_the_other),
        clause: |_, _| "isolation.statistics",
    },
    Property {
        name: "second-client",
        title: "A second client changes nothing",
        demand: "What another client sends, how it leaves, and that it reads nothing, changes no \
                 reply of a session.",
        level: Level::Must,
        generate: second_client,
        control: Some(first_alone),
        clause: |_, _| "isolation.hostile",
    },
    Property {
        name: "garbage",
        title: "A server survives garbage",
        demand: "After bytes of any kind on other connections, a new session is served.",
        level: Level::Must,
        generate: garbage,
        control: Some(first_alone),
        clause: |_, _| "isolation.hostile",
    },
    Property {
        name: "means",
        title: "The secondary port counts exactly the exits",
        demand: "The secondary port tells number, mean and deviation of the means of all sessions \
                 that ended by `exit`.",
        level: Level::Must,
        generate: means,
        control: None,
        clause: blame::by_means,
    },
    Property {
        name: "own-writes",
        title: "A client that has its exit line finds its mean on the secondary port",
        demand: "A question to the secondary port is answered with every session whose exit line \
                 was received before.",
        level: Level::Must,
        generate: own_writes,
        control: Some(paced),
        clause: blame::by_timing,
    },
    Property {
        name: "line-ends",
        title: "Spaces and a CR at the end change nothing",
        demand: "Trailing spaces, and one CR before the LF, are ignored.",
        level: Level::Should,
        generate: line_ends,
        control: Some(unformatted),
        clause: blame::by_formatting,
    },
    Property {
        name: "clusters",
        title: "Values close together and far from zero keep their deviation",
        demand: "The deviation of values with a large mean and a small spread is right to one part \
                 in a million.",
        level: Level::Should,
        generate: clusters,
        control: None,
        clause: blame::by_precision,
    },
    Property {
        name: "precise",
        title: "Replies are correctly rounded",
        demand: "Sum, mean and deviation are the exact results, correctly rounded, over the whole \
                 range of binary64.",
        level: Level::Should,
        generate: precise,
        control: None,
        clause: blame::by_precision,
    },
];

/// The property of that name.
pub fn property(name: &str) -> Option<&'static Property> {
    PROPERTIES.iter().find(|property| property.name == name)
}

/// A script of these steps, its values of one sign.
fn script(choices: &mut Choices<'_>, steps: Vec<ScriptStep>) -> Script {
    Script {
        steps,
        negative: choices.rarely(),
        packed: choices.rarely(),
        ..Script::default()
    }
}

/// Steps, and behind them commands of the first client.
fn then_asked(
    choices: &mut Choices<'_>,
    steps: impl FnOnce(&mut Choices<'_>) -> Vec<ScriptStep>,
) -> Vec<ScriptStep> {
    let asked = choices.sequence(4..=6, |choices| {
        ScriptStep::plain(0, Operation::Ask(command(choices), Wait::AtOnce))
    });
    [steps(choices), asked].concat()
}

fn replies(choices: &mut Choices<'_>) -> Script {
    let operations: Kinds<'_, Operation> = &[(6, plain_value), (5, ask), (1, bad), (1, leave)];
    let steps = steps(choices, 1, leading, operations, 1..=16);
    script(choices, steps)
}

fn many(choices: &mut Choices<'_>) -> Script {
    let values = |choices: &mut Choices<'_>| Operation::Value {
        text: plain_number(choices),
        times: choices.kind(&[
            (2, |choices| choices.within(1..=300)),
            (1, |choices| choices.within(1..=3000)),
        ]),
    };
    let operations: Kinds<'_, Operation> = &[(1, values), (1, plain_value)];
    let steps = then_asked(choices, |choices| {
        steps(choices, 1, plain, operations, 1..=4)
    });
    script(choices, steps)
}

fn bad_lines(choices: &mut Choices<'_>) -> Script {
    let operations: Kinds<'_, Operation> = &[(3, plain_value), (2, ask), (2, bad)];
    let steps = steps(choices, 1, leading, operations, 1..=12);
    script(choices, steps)
}

fn long_lines(choices: &mut Choices<'_>) -> Script {
    let long = |choices: &mut Choices<'_>| {
        // Only bytes that make a bad line whatever becomes of its pieces.
        let byte = choices.one_of(b"x-\0\xff");
        let length = choices.kind(&[
            (3, |choices| choices.within(81..=200)),
            (2, |choices| choices.within(200..=5_000)),
            (1, |choices| choices.within(60_000..=140_000)),
        ]);
        Operation::Long(byte, length)
    };
    let operations: Kinds<'_, Operation> = &[(3, plain_value), (2, ask), (2, long)];
    let steps = steps(choices, 1, plain, operations, 1..=8);
    script(choices, steps)
}

fn without_bad_lines(script: &Script) -> Script {
    let is_bad =
        |step: &ScriptStep| matches!(step.operation, Operation::Bad(..) | Operation::Long(..));
    only(script, |step| !is_bad(step))
}

fn only(script: &Script, keep: impl Fn(&ScriptStep) -> bool) -> Script {
    let mut script = script.clone();
    script.steps.retain(keep);
    script
}

fn segments(choices: &mut Choices<'_>) -> Script {
    let operations: Kinds<'_, Operation> = &[(4, plain_value), (4, ask), (1, bad)];
    let mut steps = steps(choices, 1, leading, operations, 1..=12);
    for step in &mut steps {
        // What is cut is the bytes of single lines.
        if let Operation::Value { times, .. } = &mut step.operation {
            *times = 1;
        }
    }
    Script {
        steps,
        cuts: Some(choices.sequence(0..=5, |choices| choices.within(0..=u16::MAX))),
        negative: choices.rarely(),
        ..Script::default()
    }
}

fn line_by_line(script: &Script) -> Script {
    Script {
        cuts: None,
        paced: true,
        ..script.clone()
    }
}

fn permutation(choices: &mut Choices<'_>) -> Script {
    let values: Kinds<'_, Operation> = &[(1, plain_value)];
    let steps = then_asked(choices, |choices| steps(choices, 1, plain, values, 2..=12));
    script(choices, steps)
}

/// The values in ascending order. The commands behind them stay where they are.
fn in_order(script: &Script) -> Script {
    let mut script = script.clone();
    script
        .steps
        .sort_by(|a, b| match (&a.operation, &b.operation) {
            (Operation::Value { text: a, .. }, Operation::Value { text: b, .. }) => {
                let number = |text: &str| text.parse::<f64>().unwrap_or_default();
                number(a).total_cmp(&number(b))
            }
            (a, b) => {
                let is_value = |operation: &Operation| matches!(operation, Operation::Value { .. });
                is_value(b).cmp(&is_value(a))
            }
        });
    script
}

fn interleaving(choices: &mut Choices<'_>) -> Script {
    let operations: Kinds<'_, Operation> = &[(5, plain_value), (4, ask), (1, bad), (1, exit)];
    Script {
        steps: steps(choices, 4, leading, operations, 2..=24),
        negative: choices.rarely(),
        together: choices.rarely(),
        ..Script::default()
    }
}

/// No session begins before the one before it has ended.
fn one_after_the_other(script: &Script) -> Script {
    let clients = 0..=u8::MAX;
    let of = |client| {
        script
            .steps
            .iter()
            .filter(move |step| step.client == client)
    };
    let steps = clients.flat_map(|client| {
        let end = of(client)
            .next()
            .map(|_| ScriptStep::plain(client, Operation::HalfClose));
        of(client).cloned().chain(end)
    });
    Script {
        steps: steps.collect(),
        together: false,
        ..script.clone()
    }
}

fn second_client(choices: &mut Choices<'_>) -> Script {
    let operations: Kinds<'_, Operation> = &[(4, plain_value), (4, ask), (2, bad), (1, leave)];
    let steps = steps(choices, 2, leading, operations, 2..=20);
    readers(choices, steps)
}

/// Only the first client reads its replies.
fn readers(choices: &mut Choices<'_>, steps: Vec<ScriptStep>) -> Script {
    Script {
        steps,
        negative: choices.rarely(),
        readers: Some(1),
        ..Script::default()
    }
}

fn first_alone(script: &Script) -> Script {
    only(script, |step| step.client == 0)
}

fn garbage(choices: &mut Choices<'_>) -> Script {
    let bytes = |choices: &mut Choices<'_>| {
        let bytes = choices.sequence(1..=200, |choices| choices.within(0..=u8::MAX));
        Operation::Bad(bytes, Wait::AtOnce)
    };
    let long = |choices: &mut Choices<'_>| {
        Operation::Long(choices.within(0..=u8::MAX), choices.within(1..=100_000))
    };
    let operations: Kinds<'_, Operation> =
        &[(3, bytes), (1, bad), (1, long), (2, leave), (1, part)];
    let steps = then_asked(choices, |choices| {
        let mut steps = steps(choices, 3, plain, operations, 1..=6);
        for step in &mut steps {
            step.client += 1;
        }
        let text = plain_number(choices);
        steps.push(ScriptStep::plain(0, Operation::Value { text, times: 1 }));
        steps
    });
    readers(choices, steps)
}

fn means(choices: &mut Choices<'_>) -> Script {
    let query = |_: &mut Choices<'_>| Operation::Query;
    let operations: Kinds<'_, Operation> = &[(6, plain_value), (3, leave), (2, exit), (1, query)];
    let mut steps = steps(choices, 3, plain, operations, 1..=16);
    steps.push(ScriptStep::plain(0, Operation::Query));
    script(choices, steps)
}

fn own_writes(choices: &mut Choices<'_>) -> Script {
    let clients = choices.sequence(1..=5, |choices| {
        let text = plain_number(choices);
        [
            Operation::Value { text, times: 1 },
            exit(choices),
            Operation::Query,
        ]
    });
    let operations = clients.into_iter().flatten();
    let steps = operations
        .map(|operation| ScriptStep::plain(0, operation))
        .collect();
    script(choices, steps)
}

fn paced(script: &Script) -> Script {
    Script {
        paced: true,
        ..script.clone()
    }
}

fn line_ends(choices: &mut Choices<'_>) -> Script {
    let operations: Kinds<'_, Operation> = &[(4, plain_value), (4, ask), (1, exit)];
    let steps = steps(choices, 1, trailing, operations, 1..=8);
    script(choices, steps)
}

fn unformatted(script: &Script) -> Script {
    let mut script = script.clone();
    for step in &mut script.steps {
        step.formatting = Formatting::Plain;
    }
    script
}

fn clusters(choices: &mut Choices<'_>) -> Script {
    let steps = then_asked(choices, |choices| {
        // At most so far from zero that Welford's algorithm in double precision still keeps to one
        // part in a million.
        let mean = choices.one_of(&[100_000_000u64, 10_000_000, 500_000_000]);
        choices.sequence(2..=12, |choices| {
            let text = (mean + choices.within(0u64..=20)).to_string();
            ScriptStep::plain(0, Operation::Value { text, times: 1 })
        })
    });
    script(choices, steps)
}

fn precise(choices: &mut Choices<'_>) -> Script {
    let far = |choices: &mut Choices<'_>| {
        let text = any_number(choices);
        value(choices, text)
    };
    let operations: Kinds<'_, Operation> = &[(4, far), (1, plain_value), (2, ask)];
    Script {
        steps: then_asked(choices, |choices| {
            steps(choices, 1, plain, operations, 1..=12)
        }),
        precisely: true,
        ..Script::default()
    }
}
