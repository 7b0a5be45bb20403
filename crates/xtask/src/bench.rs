//! `bench`: measures, beside a peer in the same run, as ratios.

use anyhow::{Result, bail};

/// Runs it.
pub fn run(_: &[String]) -> Result<()> {
    bail!("not yet")
}
