//! The project's own commands: `cargo xtask …`.
//!
//! It drives the built programs from outside, as a person or a service manager
//! would, and depends on none of the product's crates.

// Indexing a JSON value gives null for what is absent; it cannot panic.
#![allow(clippy::indexing_slicing)]

mod bench;
mod chaos;
mod console;
mod demo;
mod deps;
mod drill;
mod eval;
mod foreign;
mod fuzz;
mod peers;
mod plant;
mod release;
mod rotate;
mod story;
mod test;
mod tools;

use anyhow::{Result, bail};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  demo [--out DIR] [--images DIR] [--keep] [--console]
                          build, start a small plant, do the whole job three times
                          (--console: do it once, then open the web console to you)
  test                    everything that must hold: format, lints, dependencies,
                          tests, foreign clients, a plant end to end
                          (--plants: only whole plants and the browser;
                          --end-to-end: only one plant and the attacks on it)
  peers                   install the foreign clients that the tests use
  console build|check|browser|gallery
                          build the web console; check it; drive it in Chromium
                          (--grep WORDS, --soak); draw its screens into docs/gallery
  eval identity|inspect DIR [--json] [--out DIR]
                          figures of the analyses on labelled photographs
  bench [--quick] [--docs]
                          measure; writes target/bench/report.json, and docs/benchmarks.md
  drill [--json --docs]   start a plant and attack it, twice
  chaos [--kills N] [--seed N] [--short] [--json] [--docs]
                          kill, freeze, cut off and starve the machines of a plant
  fuzz [TARGET] [--seconds N] [--keep] [--json]
                          search each parser of foreign bytes for what breaks it
                          (--keep: take what reaches new code into crates/fuzz/corpus)
  release [--twice | --sbom] [--out DIR]
                          the programs, reproducibly, with SBOMs and SHA256SUMS
                          (--twice: build in two folders and compare; --sbom: only
                          the lists of what they are made of)
  deps [--bless]          compare each core crate's dependencies with its list
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let Some((command, rest)) = arguments.split_first() else {
        print!("{HELP}");
        return Ok(());
    };
    match command.as_str() {
        "demo" => demo::run(rest),
        "test" => test::run(rest),
        "peers" => peers::install(),
        "console" => console::run(rest),
        "eval" => eval::run(rest),
        "bench" => bench::run(rest),
        "drill" => drill::run(rest),
        "chaos" => chaos::run(rest),
        "fuzz" => fuzz::run(rest),
        "release" => release::run(rest),
        "deps" => deps::run(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("no command `{other}`; `cargo xtask help` lists them"),
    }
}
