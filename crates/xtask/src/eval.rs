//! `eval`: figures of the analyses on labelled photographs.

use crate::tools::{cargo, run as start};
use anyhow::{Result, bail};

/// Runs the evaluation, optimised.
pub fn run(arguments: &[String]) -> Result<()> {
    match arguments.first().map(String::as_str) {
        Some("identity" | "inspect") if arguments.len() > 1 => {}
        _ => bail!("`cargo xtask eval identity DIR` or `cargo xtask eval inspect DIR` is expected"),
    }
    let here = std::env::current_dir()?;
    let mut command = cargo(&[
        "run",
        "--quiet",
        "--release",
        "--package",
        "inspect",
        "--bin",
        "inspect-eval",
        "--",
    ]);
    start(command.args(arguments).current_dir(here))
}
