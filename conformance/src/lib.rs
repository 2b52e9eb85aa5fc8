//! The conformance kit: replays the transcripts of the specification against any server of the protocol, and says which clause it breaks and why.
//!
//! | module | job |
//! |---|---|
//! | [`transcript`] | the notation: text to steps and back |
//! | [`spec`], [`finding`], [`lint`] | chapters, clauses, cases; what is wrong with them |
//! | [`exact`], [`model`] | the reference model: rational arithmetic, and a session that keeps to the specification |
//! | [`profile`] | how a server words what the seed leaves open |
//! | [`plan`] | a transcript with every expectation worked out by the model |
//! | [`decimal`], [`judge`], [`means`] | what a server printed, and whether it is right |
//! | [`client`], [`trace`] | one connection, and what went over it |
//! | [`target`], [`runner`] | reaching or starting a server, and running cases against it |
//! | [`attribution`] | which failures another clause explains |
//! | [`baseline`], [`diagnose`] | failures that are known, and what explains the others |
//! | [`load`] | how fast a server takes values |
//! | [`compare`] | two servers beside each other |
//! | [`record`] | a session that passes through, written as a transcript |
//! | [`property`] | what must hold for every session, tried with generated ones |
//! | [`report`], `explain`, `cli` | telling people and programs |
//!
//! Invariants: nothing that judges imports the server (the `bundled` feature lets `cli` start it in a process of its own, no more); nothing that
//! a server sends can make the runner hang, panic or grow without bound; no verdict depends on a clock except that a reply did not come in time.

pub mod attribution;
pub mod baseline;
#[cfg(feature = "cli")]
pub mod cli;
pub mod client;
pub mod compare;
pub mod decimal;
pub mod diagnose;
pub mod dialect;
pub mod exact;
#[cfg(feature = "cli")]
pub mod explain;
pub mod finding;
pub mod judge;
pub mod lint;
pub mod load;
pub mod means;
pub mod model;
pub mod plan;
mod process;
pub mod profile;
pub mod property;
pub mod record;
pub mod report;
pub mod runner;
mod sockets;
pub mod spec;
pub mod target;
pub mod trace;
pub mod transcript;
