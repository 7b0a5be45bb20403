//! `fuzz`: libFuzzer searches each parser of foreign bytes for an input that breaks it.

use crate::tools::{cargo, flag, has, need_debian, option, root, run as start, step, target};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Seconds of search a target, unless told otherwise.
const SECONDS: &str = "10";

/// Runs it.
pub fn run(arguments: &[String]) -> Result<()> {
    let named = arguments.first().filter(|name| !name.starts_with("--"));
    let seconds = option(arguments, "--seconds").unwrap_or_else(|| SECONDS.into());
    let program = build()?;
    let (mut reports, mut broken) = (Vec::new(), Vec::new());
    for name in targets()? {
        if named.is_some_and(|wanted| *wanted != name) {
            continue;
        }
        let report = search(&program, &name, &seconds)?;
        eprintln!(
            "   {name:<12} {:>9} inputs, {:>5} edges{}",
            report["inputs"].to_string(),
            report["edges"].to_string(),
            if report["crash"].is_null() { "" } else { "  FAILS" }
        );
        if let Some(crash) = report["crash"].as_str() {
            eprintln!("     {}\n     again: {}", report["reason"], again(&program, &name, crash));
            broken.push(name.clone());
        } else if flag(arguments, "--keep") {
            keep(&program, &name)?;
        }
        reports.push(report);
    }
    if flag(arguments, "--json") {
        println!("{}", serde_json::to_string_pretty(&json!({ "targets": reports }))?);
    }
    match (reports.is_empty(), broken.is_empty()) {
        (true, _) => bail!("no such target; `crates/fuzz/corpus` has a folder for each"),
        (_, true) => Ok(()),
        _ => bail!("broken: {}", broken.join(", ")),
    }
}

/// Builds the fuzzer. Coverage counters go into the workspace's crates alone, so that
/// nothing else is built a second time.
fn build() -> Result<PathBuf> {
    need_debian(has("c++"), &["g++"])?;
    step("building the fuzzer");
    let arguments = ["--features", "fuzz/libfuzzer", "--bin", "fuzz", "--locked"];
    start(
        cargo(&["build", "--workspace"])
            .args(arguments)
            .env("RUSTC_WORKSPACE_WRAPPER", root().join("crates/fuzz/rustc.sh")),
    )?;
    Ok(target().join("debug/fuzz"))
}

fn corpus(name: &str) -> PathBuf {
    root().join("crates/fuzz/corpus").join(name)
}

fn targets() -> Result<Vec<String>> {
    let folders = std::fs::read_dir(corpus(""))?;
    let mut names = folders
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

fn found(name: &str) -> PathBuf {
    target().join("fuzz/found").join(name)
}

fn fuzzer(program: &Path, name: &str) -> Command {
    let mut command = Command::new(program);
    command.env("INTERLOCK_FUZZ", name).args(["-rss_limit_mb=2048", "-timeout=20"]);
    command
}

/// Searches from the corpus on; new inputs and crashes go under `target/fuzz`.
fn search(program: &Path, name: &str, seconds: &str) -> Result<Value> {
    let crashes = target().join("fuzz/crashes");
    std::fs::create_dir_all(&crashes)?;
    std::fs::create_dir_all(found(name))?;
    let output = fuzzer(program, name)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/{name}-", crashes.display()))
        .args(["-print_final_stats=1", "-use_value_profile=1"])
        .arg(format!("-dict={}", root().join("crates/fuzz/words.dict").display()))
        .args([found(name), corpus(name)])
        .output()
        .context("cannot start the fuzzer")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let after = |word: &str| {
        let (_, rest) = said.rsplit_once(word)?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    };
    let crash = said.lines().find_map(|l| l.split_once("Test unit written to ")).map(|(_, p)| p);
    if !output.status.success() && crash.is_none() {
        bail!("the fuzzer on `{name}` failed ({}): {said}", output.status);
    }
    let reason = said.lines().skip_while(|l| !l.contains("panicked at")).take(3);
    Ok(json!({
        "target": name,
        "inputs": after("stat::number_of_executed_units:"),
        "edges": after(" cov: "),
        "crash": crash,
        "reason": crash.map(|_| reason.collect::<Vec<_>>().join(" ")),
    }))
}

fn again(program: &Path, name: &str, crash: &str) -> String {
    format!("INTERLOCK_FUZZ={name} {} {crash}", program.display())
}

/// Takes into the corpus what reaches new code, in small files.
fn keep(program: &Path, name: &str) -> Result<()> {
    let status = fuzzer(program, name)
        .args(["-merge=1", "-max_len=2048"])
        .args([corpus(name), found(name)])
        .output()?
        .status;
    if status.success() { Ok(()) } else { bail!("merging the corpus of `{name}`: {status}") }
}
