//! A forking TCP server that keeps exact statistics of the numbers sent to it.
//!
//! Clients of the primary port send values and commands, one a line; each of them is served by a
//! process of its own. The secondary port tells how many sessions ended by `exit`, the mean of their
//! means and the standard deviation of their means.
//!
//! # Layout
//!
//! | module | task |
//! |---|---|
//! | [`cli`] | arguments, help texts, exit statuses |
//! | `config` | validated settings |
//! | [`mod@line`] | bounded framing: bytes to lines |
//! | [`protocol`] | lines to requests, replies to bytes |
//! | [`stats`] | exact accumulator and the one rounding |
//! | [`record`] | what a session leaves behind, in 32 octets |
//! | `decimal` | digits to the nearest `f64` |
//! | `processor` | which vector instructions there are |
//! | [`ingest`] | blocks of bytes to values, by vector instructions where there are some |
//! | [`session`] | one conversation, without clock, socket or process |
//! | `input` | reads that grow with what arrives |
//! | `child` | after the fork: a session on a socket, its record, its lingering close |
//! | [`sandbox`] | what the processes may ask of the system |
//! | [`threats`] | no code: who may want what from the server, and what stands in the way |
//! | `oom` | which process ends when memory is out |
//! | `server` | the parent: pselect loop, listeners, children, secondary port |
//! | `socket` | options of the socket of a session |
//! | `sys` | the system calls that need `unsafe`, and nothing else |
//! | `log` | one line an event, one write a line |
//!
//! Imports point one way: {`decimal`, `processor`} ← {`line`, `protocol`, `stats`, `record`} ←
//! `ingest` ← `session` ← `child` ← `server` ← `cli`. Everyone may read `config`; only `server` and
//! `cli` write to `log`; only `child` and `server`, and what they are made of (`oom`, `socket`,
//! `log`), use `sys` and `sandbox`.
//!
//! # Invariants
//!
//! - The parent interprets no byte that a client sent, and waits for no client.
//! - The parent waits for no reader of its log, and for no child that is not a session.
//! - What the parent knows of one session is not in the memory of another.
//! - A child holds its socket, the write end of the pipe, the standard streams and nothing else.
//! - A child calls nothing of the system that a session has no use for.
//! - A record is in the pipe before its client learns that the session is over.
//! - No answer is rounded twice.
//! - No thread is ever started: the process forks.
//!
//! # Cost
//!
//! `cargo bench --bench session` measures what a value costs, beside sums that are not exact;
//! `cargo bench --bench process` what a session costs as a process, beside a server that does nothing
//! but fork.

pub mod cli;
pub mod ingest;
pub mod line;
pub mod protocol;
pub mod record;
pub mod sandbox;
pub mod session;
pub mod stats;

#[doc = include_str!("server/THREATS.md")]
pub mod threats {}

mod child;
mod config;
mod decimal;
mod input;
mod log;
mod oom;
mod processor;
mod server;
mod socket;
mod sys;
