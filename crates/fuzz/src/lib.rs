//! Fuzz targets: one for each parser of bytes that somebody else sends.
//!
//! A target is a function of bytes. It panics when the parser does, and when a
//! promise of the parser does not hold: what was parsed has one spelling, what was
//! verified verifies again, a refused entry changes nothing. Where bytes alone get
//! nowhere, because a signature or a check sum covers them, the target makes those
//! itself over what the fuzzer chose.
//!
//! `cargo xtask fuzz` lets libFuzzer search; `cargo test` replays `corpus/` and a
//! bounded number of mutations of it on every change.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assertion is what a target is for"
)]

pub mod mutate;
mod targets;

use targets::{core, documents, log, machines, plant, vault};

/// One parser under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its folder in `corpus/`.
    pub name: &'static str,
    /// The most bytes of an input that are worth trying.
    pub most: usize,
    /// The test: panics when something is wrong.
    pub run: fn(&[u8]),
}

const fn target(name: &'static str, most: usize, run: fn(&[u8])) -> Target {
    Target { name, most, run }
}

/// All targets.
pub const TARGETS: &[Target] = &[
    target("canonical", 1 << 12, core::canonical),
    target("text", 256, core::text),
    target("entry", 1 << 12, core::entry),
    target("assertion", 1 << 11, core::assertion),
    target("note", 1 << 12, log::note),
    target("merkle", 1 << 11, log::merkle),
    target("bundle", 1 << 11, log::bundle),
    target("recording", 1 << 13, log::recording),
    target("fold", 1 << 12, plant::fold),
    target("ledger", 1 << 15, plant::ledger),
    target("policy", 1 << 12, plant::policy),
    target("passport", 1 << 17, documents::passport),
    target("credential", 1 << 10, documents::credential),
    target("trace", 1 << 10, documents::trace),
    target("settings", 1 << 12, documents::settings),
    target("api", 1 << 12, documents::api),
    target("car", 1 << 12, vault::car),
    target("node", 1 << 12, vault::node),
    target("seal", 1 << 12, vault::seal),
    target("pack", 1 << 11, vault::pack),
    target("gateway", 1 << 10, vault::gateway),
    target("rtde", 1 << 11, machines::rtde),
    target("mcap", 1 << 13, machines::mcap),
];
