//! How a line differs from the one that is expected, as data; [`crate::report`] has the words.

use crate::model::Quantity;

/// How a line differs from the one that is expected.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Mismatch {
    /// Its text is not the expected one.
    Text,
    /// No line was expected.
    Unexpected,
    /// No branch of an `either` block begins with it.
    NoBranch,
    /// Lines of its kind had another shape when the profile was learned.
    Shape,
    /// An error line may not be empty.
    EmptyError,
    /// An error line may not look like the reply to a good line.
    ReplyInError,
    /// It holds so many numbers where another number of them is expected.
    NumberCount {
        /// Numbers in the line.
        actual: usize,
        /// Numbers that belong there.
        expected: usize,
    },
    /// One of its numbers is wrong.
    Number(Part, WrongNumber),
}

/// Which number of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The only one of its line.
    Only,
    /// The count of values or of means.
    Count,
    /// The mean.
    Mean,
    /// The standard deviation.
    Stddev,
}

impl Part {
    /// The numbers of an exit line or a line of the secondary port, in order.
    pub const OF_SUMMARY: [Part; 3] = [Part::Count, Part::Mean, Part::Stddev];
}

/// In which way a number is wrong.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum WrongNumber {
    /// It is not this one.
    Other(Quantity),
    /// It is close to this one, but neither the nearest binary64 nor the exact value rounded to the
    /// decimals shown.
    Imprecise(Quantity),
    /// It is this one, cut or rounded to fewer digits than every server has to show.
    Coarse(Quantity),
    /// It is a number although the quantity is undefined.
    Undefined,
    /// It is not the count from before the case plus the means that the case added.
    Count {
        /// The count that is expected now.
        expected: u128,
        /// How many of them the case has added.
        added: u64,
    },
}

impl WrongNumber {
    /// As the mismatch of this number of a line.
    pub fn at(self, part: Part) -> Mismatch {
        Mismatch::Number(part, self)
    }
}
