//! The wordings, a table for each dimension. The first of a table is the default.

use super::form::{fixed, general};
use super::{
    Choice, Connect, ErrorWords, NumberForm, Undefined, UndefinedReply, allowed, breaking,
};

pub(super) use super::lines::{EXIT_LINE, META_LINE};

const fn connect(greeting: &'static [&'static str], late: bool) -> Connect {
    Connect { greeting, late }
}

pub(super) const CONNECT: &[Choice<Connect>] = &[
    allowed(
        "no-greeting",
        connect(&[], false),
        "A session begins in silence.",
    ),
    allowed(
        "greeting-line",
        connect(&["Welcome to the statistics server"], false),
        "A session begins with one line.",
    ),
    allowed(
        "greeting-classic",
        connect(&["Stats server ready"], false),
        "A session begins with the line of the classic dialect.",
    ),
    allowed(
        "greeting-two-lines",
        connect(
            &["meta-stats", "One number or command in each line, please."],
            false,
        ),
        "A session begins with two lines.",
    ),
    allowed(
        "greeting-number",
        connect(&["statistics server 1.0"], false),
        "A session begins with a line that holds a number.",
    ),
    allowed(
        "greeting-late",
        connect(&["Thank you for waiting"], true),
        "A session begins with one line, after 100 ms, and takes requests from then on.",
    ),
];

pub(super) const LINE_END: &[Choice<&str>] = &[
    allowed("lf", "\n", "Lines of the server end with LF."),
    allowed("cr-lf", "\r\n", "Lines of the server end with CR LF."),
];

pub(super) const TRAILING: &[Choice<&str>] = &[
    allowed(
        "no-trailing-space",
        "",
        "Nothing stands before the end of a line.",
    ),
    allowed(
        "trailing-space",
        " ",
        "Lines of the server end with a space.",
    ),
];

pub(super) const NUMBER: &[Choice<NumberForm>] = &[
    allowed(
        "shortest",
        |value| value.to_string(),
        "As many digits as the number needs: 3, 2.5.",
    ),
    allowed(
        "point-zero",
        |value| format!("{value:?}"),
        "As many digits as the number needs, and a point: 3.0, 2.5, 1e300.",
    ),
    allowed(
        "six-decimals",
        |value| fixed(value, 6),
        "Like %f: 2.500000.",
    ),
    allowed(
        "general",
        |value| general(value, 15),
        "Like %.15g: 2.5, 1e+300.",
    ),
    allowed("two-decimals", |value| fixed(value, 2), "Like %.2f: 2.50."),
    breaking(
        "one-decimal",
        "number.form",
        |value| fixed(value, 1),
        "Like %.1f: 2.5.",
    ),
    breaking(
        "six-digits",
        "number.digits",
        |value| general(value, 6),
        "Like %g: 987654321.75 is 9.87654e+08.",
    ),
];

pub(super) const LABEL: &[Choice<bool>] = &[
    allowed("bare", false, "A reply is the number alone."),
    allowed("labelled", true, "A reply names the quantity: `sum: 3`."),
];

pub(super) const ERROR: &[Choice<ErrorWords>] = &[
    allowed(
        "error-classic",
        ErrorWords {
            bad: "Error: unrecognized command",
            long: "Error: long line",
            few: "Error: too few values",
        },
        "Error lines of the classic dialect.",
    ),
    allowed(
        "error-words",
        ErrorWords {
            bad: "Sorry, I did not get that.",
            long: "Sorry, I cannot read that much.",
            few: "Sorry, I do not know that yet.",
        },
        "Error lines that begin in another way.",
    ),
    allowed(
        "error-quotes",
        ErrorWords {
            bad: "invalid input: \"%q\"",
            long: "input too long: \"%q\"...",
            few: "undefined quantity: \"%q\"",
        },
        "Error lines quote up to 40 characters of the bad line.",
    ),
    allowed(
        "error-number",
        ErrorWords {
            bad: "400 bad request",
            long: "413 too large",
            few: "404 not found",
        },
        "Error lines begin with a number.",
    ),
    allowed(
        "error-numbered",
        ErrorWords {
            bad: "line %n: neither a number nor a command",
            long: "line %n: more than 79 bytes",
            few: "line %n: too few values",
        },
        "Error lines count the lines of the session.",
    ),
    allowed(
        "error-question-mark",
        ErrorWords {
            bad: "?",
            long: "?",
            few: "?",
        },
        "Error lines are a question mark.",
    ),
    breaking(
        "error-two-lines",
        "error.reply",
        ErrorWords {
            bad: "Error: unrecognized command\nTry count, sum, mean, stddev or exit.",
            long: "Error: long line\nTry less.",
            few: "Error: too few values",
        },
        "A bad line gets an error line and a line of advice.",
    ),
];

const fn undefined(word: &'static str) -> Undefined {
    Undefined {
        reply: UndefinedReply::Word(word),
        summary: word,
    }
}

pub(super) const UNDEFINED: &[Choice<Undefined>] = &[
    allowed(
        "undefined-nan",
        undefined("nan"),
        "What is undefined is `nan`.",
    ),
    allowed(
        "undefined-minus-nan",
        undefined("-nan"),
        "What is undefined is `-nan`.",
    ),
    allowed(
        "undefined-word",
        undefined("undefined"),
        "What is undefined is `undefined`.",
    ),
    allowed(
        "undefined-n-a",
        undefined("N/A"),
        "What is undefined is `N/A`.",
    ),
    allowed(
        "undefined-dash",
        undefined("-"),
        "What is undefined is `-`.",
    ),
    allowed(
        "undefined-zero",
        undefined("0"),
        "What is undefined is `0`.",
    ),
    allowed(
        "undefined-error",
        Undefined {
            reply: UndefinedReply::Error,
            summary: "undefined",
        },
        "What is undefined gets an error line, and is `undefined` in the exit line.",
    ),
    breaking(
        "undefined-silent",
        "number.undefined",
        Undefined {
            reply: UndefinedReply::Nothing,
            summary: "nan",
        },
        "A command whose reply would be undefined gets none.",
    ),
];

pub(super) const LINE_LIMIT: &[Choice<Option<usize>>] = &[
    allowed("lines-of-any-length", None, "A line may have any length."),
    allowed(
        "lines-of-79-bytes",
        Some(79),
        "A line of more than 79 bytes and LF gets an error line.",
    ),
];

pub(super) const LAST_LINE: &[Choice<bool>] = &[
    allowed(
        "last-line-ignored",
        false,
        "An unterminated last line is ignored.",
    ),
    allowed(
        "last-line-processed",
        true,
        "An unterminated last line is processed.",
    ),
];

pub(super) const ANY_CASE: &[Choice<bool>] = &[
    allowed("lower-case", false, "Commands are in lower case."),
    allowed(
        "commands-in-any-case",
        true,
        "`COUNT` is taken for `count`.",
    ),
];

pub(super) const EMPTY_LINE: &[Choice<bool>] = &[
    allowed(
        "empty-line-error",
        false,
        "An empty line gets an error line.",
    ),
    allowed("empty-line-accepted", true, "An empty line gets no reply."),
];

pub(super) const EMPTY_SESSION: &[Choice<bool>] = &[
    allowed(
        "empty-session-ignored",
        false,
        "A session without values records no mean.",
    ),
    allowed(
        "empty-session-recorded",
        true,
        "A session without values records a mean of zero.",
    ),
];

pub(super) const VALUE_REPLY: &[Choice<Option<&str>>] = &[
    allowed("values-silent", None, "A value gets no reply."),
    breaking(
        "values-acknowledged",
        "value.silent",
        Some("OK"),
        "A value gets the reply `OK`.",
    ),
];

pub(super) const AFTER_REPLY: &[Choice<Option<&str>>] = &[
    allowed("one-line-replies", None, "A reply is one line."),
    breaking(
        "blank-lines",
        "command.one-reply",
        Some(""),
        "An empty line follows the reply to a command.",
    ),
];

pub(super) const RELABEL_AFTER: &[Choice<Option<u64>>] = &[
    allowed(
        "one-shape",
        None,
        "Replies look alike from the first to the last.",
    ),
    breaking(
        "shape-changes",
        "command.consistent",
        Some(20),
        "From the 21st session on replies have a label, or none if they had one.",
    ),
];
