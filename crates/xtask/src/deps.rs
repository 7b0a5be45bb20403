//! `deps`: the dependency lists of the core crates are golden, so that a clock, a
//! socket or a runtime never slips into them.

use crate::tools::{cargo, flag, root};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;

/// The pure crates.
const CORE: [&str; 6] = ["base", "proof", "policy", "plant", "gate", "passport"];
/// What the core never depends on, at any depth.
const BANNED: [&str; 8] =
    ["tokio", "axum", "hyper", "reqwest", "rustls", "mio", "socket2", "tempfile"];

/// Compares, or with `--bless` writes, the lists.
pub fn run(arguments: &[String]) -> Result<()> {
    let path = root().join("crates/xtask/core-dependencies.txt");
    let mut found = String::new();
    for package in CORE {
        let output =
            cargo(&["tree", "--edges", "normal", "--prefix", "none", "--package", package])
                .args(["--format", "{p}", "--locked"])
                .output()?;
        if !output.status.success() {
            bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr));
        }
        let text = String::from_utf8(output.stdout)?;
        let names: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .filter(|n| *n != package)
            .collect();
        if let Some(banned) = BANNED.iter().find(|b| names.contains(*b)) {
            bail!(
                "core crate `{package}` depends on `{banned}`: core is pure, move it to a shell crate"
            );
        }
        found.push_str(&format!("{package}:\n"));
        for name in names {
            found.push_str(&format!("  {name}\n"));
        }
    }
    if flag(arguments, "--bless") {
        return Ok(std::fs::write(path, found)?);
    }
    let golden = std::fs::read_to_string(&path).with_context(|| format!("`{}`", path.display()))?;
    if golden != found {
        let golden: BTreeSet<&str> = golden.lines().collect();
        let new: Vec<&str> = found.lines().filter(|l| !golden.contains(l)).map(str::trim).collect();
        bail!(
            "core dependencies changed (new: {}); if that is meant, run `cargo xtask deps --bless`",
            new.join(", ")
        );
    }
    Ok(())
}
