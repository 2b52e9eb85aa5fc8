//! The shapes of the exit line and of the secondary line. The first of a table is the default.

use super::{Choice, Shape, allowed, breaking};

const fn shape(template: &'static str) -> Shape {
    Shape {
        template,
        undefined: None,
    }
}

pub(super) const EXIT_LINE: &[Choice<Shape>] = &[
    allowed(
        "exit-labels",
        shape("EXIT STATS: count %c mean %m stddev %d"),
        "The exit line of the classic dialect.",
    ),
    allowed(
        "exit-json",
        Shape {
            template: r#"{"count": %c, "mean": %m, "stddev": %d}"#,
            undefined: Some("null"),
        },
        "The exit line is a JSON object; what is undefined is `null`.",
    ),
    allowed("exit-bars", shape("%c|%m|%d"), "The exit line is `3|2|1`."),
    allowed(
        "exit-arrows",
        shape("count -> %c, mean -> %m, stddev -> %d"),
        "The exit line has arrows.",
    ),
    allowed(
        "exit-equals",
        shape("count=%c mean=%m stddev=%d"),
        "The exit line has equals signs.",
    ),
    allowed(
        "exit-colons",
        shape("count: %c; mean: %m; standard deviation: %d"),
        "The exit line has colons.",
    ),
    allowed(
        "exit-full-stop",
        shape("Goodbye. You sent %c values with a mean of %m and a standard deviation of %d."),
        "The exit line is a sentence; a full stop follows the last number.",
    ),
    breaking(
        "exit-mean-first",
        "session.exit-line",
        shape("mean %m stddev %d count %c"),
        "The count is the last number of the exit line.",
    ),
];

pub(super) const META_LINE: &[Choice<Shape>] = &[
    allowed(
        "meta-labels",
        shape("means_count %c mean_of_means %m stddev_of_means %d"),
        "The secondary line of the classic dialect.",
    ),
    allowed(
        "meta-json",
        Shape {
            template: r#"{"means": %c, "mean": %m, "stddev": %d}"#,
            undefined: Some("null"),
        },
        "The secondary line is a JSON object; what is undefined is `null`.",
    ),
    allowed(
        "meta-bars",
        shape("%c | %m | %d"),
        "The secondary line is `3 | 2 | 1`.",
    ),
    allowed(
        "meta-arrows",
        shape("means->%c mean->%m stddev->%d"),
        "The secondary line has arrows.",
    ),
    allowed(
        "meta-equals",
        shape("means = %c, mean = %m, stddev = %d"),
        "The secondary line has equals signs.",
    ),
    allowed(
        "meta-colons",
        shape("means:%c mean:%m stddev:%d"),
        "The secondary line has colons.",
    ),
    allowed(
        "meta-full-stop",
        shape("%c means so far, their mean is %m, their standard deviation %d."),
        "The secondary line is a sentence; a full stop follows the last number.",
    ),
    breaking(
        "meta-three-lines",
        "meta.line",
        shape("means %c\nmean %m\nstddev %d"),
        "Each quantity of the secondary port has a line of its own.",
    ),
];
