//! Running programs, and finding the workspace.

use anyhow::{Context, Result, bail};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Instant,
};

/// The workspace's folder.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Where builds go.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A cargo command in the workspace.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Runs a command and fails when it does.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("cannot start {shown}"))?;
    if !status.success() {
        bail!("{shown} failed ({status})");
    }
    Ok(())
}

/// Says which step begins, and how long after the first.
pub fn step(text: &str) {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let after = FIRST.get_or_init(Instant::now).elapsed().as_secs();
    eprintln!("\n── {text} ({}:{:02})", after / 60, after % 60);
}

/// The value of `--name VALUE` among arguments.
pub fn option(arguments: &[String], name: &str) -> Option<String> {
    let at = arguments.iter().position(|a| a == name)?;
    arguments.get(at + 1).cloned()
}

/// Whether `--name` is among arguments.
pub fn flag(arguments: &[String], name: &str) -> bool {
    arguments.iter().any(|a| a == name)
}

/// Whether a program can be started.
pub fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success())
}

/// Installs Debian packages when a check says that they are missing and this is
/// root; otherwise says in one line what is missing.
pub fn need_debian(present: bool, packages: &[&str]) -> Result<()> {
    if present {
        return Ok(());
    }
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n");
    if !is_root {
        bail!("missing: install {} (apt-get install {})", packages.join(", "), packages.join(" "));
    }
    step(&format!("installing {}", packages.join(", ")));
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    run(Command::new("apt-get")
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(packages))
}

/// Whether a program that takes `version` as its command can be started.
pub fn has_command(program: &str) -> bool {
    Command::new(program).arg("version").output().is_ok_and(|o| o.status.success())
}
