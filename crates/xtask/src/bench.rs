//! `bench`: measures, beside a peer in the same run, as ratios.
//!
//! Each measure runs A B A B against its peer and keeps medians, so that a change
//! of the machine's load hits both sides. A peer that is not installed leaves its
//! columns empty and its reason in the report. A goal that is missed is a finding,
//! not a failure: the command fails only when something could not be measured.

mod docs;
mod orders;
mod peers;
mod report;

use crate::{
    console,
    plant::build,
    tools::{cargo, flag, root, run as must, step, target},
};
use anyhow::{Context, Result, bail};
use peers::Encryptor;
use report::{Goal, Measure, median, table};
use serde_json::{Value, json};
use std::{path::Path, process::Command};

/// How much is measured.
struct Size {
    orders: usize,
    rounds: usize,
    entries: u64,
    megabytes: u64,
    seconds: u64,
}

const FULL: Size = Size { orders: 30, rounds: 3, entries: 20_000, megabytes: 1000, seconds: 10 };
const QUICK: Size = Size { orders: 4, rounds: 1, entries: 5000, megabytes: 200, seconds: 3 };

/// Runs it.
pub fn run(arguments: &[String]) -> Result<()> {
    let quick = flag(arguments, "--quick");
    let size = if quick { QUICK } else { FULL };
    let out = target().join("bench");
    if out.join("plant").exists() {
        std::fs::remove_dir_all(&out)?;
    }
    std::fs::create_dir_all(&out)?;
    let out = out.canonicalize()?;

    step("building");
    console::embed()?;
    // Its programs are those of a demo when it is quick; the rest is always release.
    let bin = build(if quick { "dev" } else { "release" })?;
    build_examples()?;
    step("what this machine can do at most");
    let limits = limits(&out)?;
    let mut measures = orders::measured(&bin, &out, &size)?;
    let passport = out.join("passports/part-1.vc.jwt");

    step("ledger, vault, passport, recording");
    measures.push(durable_entries(&out, &size)?);
    measures.push(seal_and_store(&out, &size)?);
    let file = passport.display().to_string();
    let verified = example("verify_rate", &[&file, &size.seconds.min(3).to_string()])?;
    let rate = number(&verified, "per_s")?;
    measures.push(Measure::new("passport_verifications_per_s", rate, "1/s").details(verified));
    measures.extend(recording(&out, &size)?);
    measures.extend(console_load(&bin, &out)?);

    let rows: Vec<Value> = measures.iter().map(Measure::to_json).collect();
    let report = json!({
        "machine": machine(),
        "date": said("date", &["-u", "+%Y-%m-%d"]),
        "commit": said("git", &["rev-parse", "--short=12", "HEAD"]),
        "programs": if quick { "dev profile" } else { "release profile" },
        "limits": limits,
        "measures": rows,
    });
    let path = out.join("report.json");
    std::fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    table(&measures);
    for (name, value) in report["limits"].as_object().into_iter().flatten() {
        println!("limit: {name} {:.2}", value.as_f64().unwrap_or_default());
    }
    if flag(arguments, "--docs") {
        docs::write(&root().join("docs"), &report, &measures)?;
    }
    println!("\n{}", path.display());
    Ok(())
}

/// One sync of this disk, one core's SHA-256 and Ed25519: what no design passes.
fn limits(out: &Path) -> Result<Value> {
    let found = example("limits", &[&out.display().to_string()])?;
    eprintln!("   {found}");
    Ok(found)
}

/// The first load of the console on loopback, in Chromium.
fn console_load(bin: &Path, out: &Path) -> Result<[Measure; 2]> {
    step("the console in Chromium");
    let found = console::timings(bin, out)?;
    let kilobytes = number(&found, "gzip_bytes")? / 1024.0;
    let plain = found["plain_first_paint_ms"].as_f64();
    let paint = number(&found, "first_paint_ms")?;
    Ok([
        Measure::new("console_first_paint_ms", paint, "ms")
            .peer("a page of the same site without script", plain)
            .details(found),
        Measure::new("console_first_load_kb", kilobytes, "kB gzip").goal(Goal::AtMost(250.0)),
    ])
}

fn durable_entries(out: &Path, size: &Size) -> Result<Measure> {
    let (mut ours, mut theirs, mut bytes) = (Vec::new(), Vec::new(), 700);
    let folder = out.display().to_string();
    let mut postgres = peers::Postgres::start();
    for _ in 0..size.rounds {
        let found = example("append_rate", &[&size.entries.to_string(), &folder])?;
        ours.push(number(&found, "entries_per_s")?);
        bytes = found["entry_bytes"].as_u64().unwrap_or(bytes);
        if let Ok(server) = &mut postgres {
            theirs.push(server.inserts_per_s(bytes, size.seconds.min(5))?);
        }
    }
    let row = Measure::new("durable_entries_per_s", median(&ours), "1/s");
    let row = match postgres {
        Ok(_) => {
            let name = "PostgreSQL, 64 clients, unique key, no signatures";
            row.peer(name, Some(median(&theirs)))
        }
        Err(why) => row.peer(format!("none: {why:#}"), None),
    };
    let details = json!({ "ours": ours, "theirs": theirs, "entry_bytes": bytes });
    Ok(row.goal(Goal::AtLeast(10_000.0)).details(details))
}

fn seal_and_store(out: &Path, size: &Size) -> Result<Measure> {
    let folder = out.display().to_string();
    let file = out.join("plaintext");
    peers::fill(&file, size.megabytes)?;
    let encryptors = Encryptor::installed();
    let (mut ours, mut theirs) = (Vec::new(), vec![Vec::new(); encryptors.len()]);
    for _ in 0..size.rounds {
        let megabytes = size.megabytes.to_string();
        let found = example("seal_rate", &["--json", &megabytes, &folder])?;
        ours.push(number(&found, "mb_per_core_s")?);
        for (encryptor, rates) in encryptors.iter().zip(&mut theirs) {
            rates.push(encryptor.mb_per_core_s(&file, size.megabytes)?);
        }
    }
    std::fs::remove_file(&file)?;
    let row = Measure::new("seal_store_mb_per_core_s", median(&ours), "MB/core-s")
        .goal(Goal::AtLeast(1000.0))
        .details(json!({ "ours": ours, "theirs": theirs }));
    let peers = encryptors.iter().zip(&theirs);
    Ok(peers.fold(row, |row, (peer, rates)| row.peer(peer.name, Some(median(rates)))))
}

fn recording(out: &Path, size: &Size) -> Result<[Measure; 2]> {
    let folder = out.display().to_string();
    let found = example("record_rate", &[&size.seconds.to_string(), &folder])?;
    let lost = number(&found, "lost_samples")? + number(&found, "lost_pictures")?;
    let share = number(&found, "cpu_percent_of_a_core")?;
    Ok([
        Measure::new("recording_500hz_64ch_4x12MBs_lost", lost, "samples")
            .goal(Goal::AtMost(0.0))
            .details(found.clone()),
        Measure::new("recording_500hz_64ch_4x12MBs_cpu", share, "% of a core")
            .goal(Goal::AtMost(25.0))
            .details(found),
    ])
}

/// Builds the measuring programs at once, so that they share dependencies with one
/// another and with the plant's programs.
fn build_examples() -> Result<()> {
    let mut arguments = vec!["build", "--release", "--workspace", "--locked"];
    for name in ["append_rate", "limits", "record_rate", "seal_rate", "verify_rate"] {
        arguments.extend(["--example", name]);
    }
    must(&mut cargo(&arguments))
}

/// Runs a measuring program; it prints one line of JSON.
fn example(name: &str, arguments: &[&str]) -> Result<Value> {
    let program = target().join("release/examples").join(name);
    let output = Command::new(&program).args(arguments).output()?;
    if !output.status.success() {
        bail!("`{}` failed: {}", program.display(), String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("`{}` printed no JSON", program.display()))
}

fn number(value: &Value, key: &str) -> Result<f64> {
    value[key].as_f64().with_context(|| format!("no number `{key}` in {value}"))
}

/// What a program prints; nothing when it is not there.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(root()).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn machine() -> Value {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        info.lines().find(|l| l.starts_with("model name")).and_then(|l| l.split(": ").nth(1));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "cpu": model, "system": std::env::consts::OS, "load": load.trim(),
    })
}
