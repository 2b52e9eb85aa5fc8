//! The faults, most of which have been seen in implementations of the protocol.

use clap::ValueEnum;

/// Something to do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Fault {
    /// `counter` is taken for `count`.
    PrefixCommands,
    /// `COUNT` is taken for `count`.
    AnyCase,
    /// Zero is a bad line.
    ZeroRejected,
    /// A negative number is a bad line.
    NegativeRejected,
    /// `1.5abc` counts as 1.5.
    TrailingGarbage,
    /// `nan` and `inf` count as values.
    NanAccepted,
    /// The standard deviation is divided by n.
    Population,
    /// `stddev` replies the variance.
    Variance,
    /// The standard deviation comes from a naive sum of squares.
    NaiveSquares,
    /// Values are kept as 32-bit floats.
    Float32,
    /// Only the last 1,000 values are kept.
    LastThousand,
    /// The first value is forgotten.
    FirstForgotten,
    /// The count has 8 bits.
    EightBitCount,
    /// A bad line is counted as a value of zero.
    ErrorsCounted,
    /// A bad line ends the session.
    ErrorEndsSession,
    /// A bad line clears the statistics.
    ErrorClears,
    /// A bad line gets no reply.
    ErrorSilent,
    /// One read is one line.
    ReadIsLine,
    /// Replies have no newline.
    NoNewline,
    /// `exit` replies, but the connection stays open.
    StaysOpen,
    /// The connection is closed while input is unread, which resets it.
    AbruptClose,
    /// An unterminated last line is processed.
    UnterminatedProcessed,
    /// A session without exit is counted.
    EofCounted,
    /// End of file is read for ever, on a full CPU.
    SpinAfterEof,
    /// A session without values is counted, as a mean of zero.
    EmptyCounted,
    /// A mean of zero is not counted.
    ZeroMeanDropped,
    /// A negative mean is not counted.
    NegativeMeanDropped,
    /// Means are recorded with two decimals.
    MeanTwoDecimals,
    /// Means are recorded 50 ms after the exit line.
    LateMeans,
    /// The mean of means is the mean of all values.
    WeightedMeans,
    /// The secondary port waits for input.
    MetaNeedsInput,
    /// Concurrent clients get each other's replies.
    SwappedReplies,
    /// One reply in ten is wrong.
    Flaky,
    /// `stddev` makes the process abort.
    CrashOnStddev,
}
