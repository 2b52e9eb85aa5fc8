//! The server as a process, under use and abuse. What is awaited here is a condition, never a time.

mod counting;
mod delivery;
mod exhaustion;
mod limits;
mod logs;
mod memory;
mod records;
mod sandbox;
mod signals;
mod soak;
mod surroundings;
mod systemd;
mod vanishing;

#[path = "../support/mod.rs"]
mod support;
