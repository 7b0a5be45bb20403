//! `bench`: measures, beside a peer in the same run, as ratios.
//!
//! Each measure runs A B A B against its peer and keeps medians, so that a change
//! of the machine's load hits both sides. A peer that is not installed leaves its
//! columns empty and its reason in the report. A goal that is missed is a finding,
//! not a failure: the command fails only when something could not be measured.

mod peers;

use crate::{
    console,
    plant::{Plant, build, wait},
    story::{approve_program, whole_job},
    tools::{cargo, flag, run as must, step, target},
};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{path::Path, process::Command, time::Duration};

/// How much is measured.
struct Size {
    orders: usize,
    rounds: usize,
    entries: u64,
    megabytes: u64,
    seconds: u64,
}

const FULL: Size = Size { orders: 15, rounds: 3, entries: 20_000, megabytes: 1000, seconds: 10 };
const QUICK: Size = Size { orders: 4, rounds: 1, entries: 5000, megabytes: 200, seconds: 3 };

/// Where a figure must lie.
#[derive(Clone, Copy)]
enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

/// The other side of a measure, or why there is none.
type Peer = (String, Option<f64>);

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
    let mut measures = order_to_motion(&bin, &out, &size)?;
    let passport = out.join("passports/part-1.vc.jwt");

    step("ledger, vault, passport, recording");
    measures.push(durable_entries(&out, &size)?);
    measures.push(seal_and_store(&out, &size)?);
    let file = passport.display().to_string();
    let verified = example("verify_rate", &[&file, &size.seconds.min(3).to_string()])?;
    let no_peer = ("none: nothing else verifies this evidence".to_owned(), None);
    let rate = number(&verified, "per_s")?;
    measures.push(measure("passport_verifications_per_s", rate, "1/s", no_peer, None, verified));
    measures.extend(recording(&out, &size)?);
    measures.extend(console_load(&bin, &out)?);

    let report = json!({
        "machine": machine(),
        "programs": if quick { "dev profile" } else { "release profile" },
        "measures": measures,
    });
    let path = out.join("report.json");
    std::fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    table(&measures);
    println!("\n{}", path.display());
    Ok(())
}

/// The first load of the console on loopback, in Chromium.
fn console_load(bin: &Path, out: &Path) -> Result<Vec<Value>> {
    step("the console in Chromium");
    let found = console::timings(bin, out)?;
    let plain = (
        "a page of the same site without script".to_owned(),
        found["plain_first_paint_ms"].as_f64(),
    );
    let budget = ("its budget".to_owned(), Some(250.0));
    let kilobytes = number(&found, "gzip_bytes")? / 1024.0;
    let paint = number(&found, "first_paint_ms")?;
    Ok(vec![
        measure("console_first_paint_ms", paint, "ms", plain, None, found),
        measure(
            "console_first_load_kb",
            kilobytes,
            "kB gzip",
            budget,
            Some(Goal::AtMost(250.0)),
            Value::Null,
        ),
    ])
}

fn order_to_motion(bin: &Path, out: &Path, size: &Size) -> Result<Vec<Value>> {
    step("orders through a whole plant");
    let plant = Plant::start(bin, out, &["--name".into(), "Bench".into()])?;
    approve_program(&plant)?;
    whole_job(&plant, "part-1", &out.join("passports"), &mut |words| eprintln!("   {words}"))?;
    let (mut waits, mut syncs) = (Vec::new(), Vec::new());
    for number in 0..size.orders {
        waits.push(one_order(&plant, &format!("quick-{number}"))?);
        syncs.push(peers::sync_ms(&plant.dir)?);
    }
    drop(plant);
    let peer = || ("one fdatasync of 4 KiB".to_owned(), Some(percentile(&syncs, 50)));
    // Site and cell sync once each before the arm moves.
    let beyond = 2.0 * percentile(&syncs, 50);
    let row = |name: &str, percent: usize, goal: f64| {
        let value = percentile(&waits, percent);
        let details = json!({ "orders": waits, "beyond_two_syncs_ms": value - beyond });
        measure(name, value, "ms", peer(), Some(Goal::AtMost(goal + beyond)), details)
    };
    Ok(vec![row("order_to_motion_p50_ms", 50, 10.0), row("order_to_motion_p99_ms", 99, 50.0)])
}

/// Signs one order and awaits its end; the milliseconds between the site's two
/// times, of the order and of the cell's word that it moves.
fn one_order(plant: &Plant, part: &str) -> Result<f64> {
    let signed = plant.by(
        "operator",
        &[
            "order",
            "sign",
            "--cell",
            "cell-1",
            "--program",
            "scan",
            "--part",
            part,
            "--set",
            "viewpoints=1",
            "--set",
            "speed_percent=100",
            "--yes",
        ],
    )?;
    let id = signed["id"].as_str().context("an order without an id")?.to_owned();
    wait("the run to end", Duration::from_secs(120), || {
        let run = plant.by("auditor", &["run", "show", &id])?;
        if let Some(refusal) = run["status"].get("refused") {
            bail!("the cell refused the order: {refusal}");
        }
        Ok(run["status"].get("ended").map(|_| ()))
    })?;
    let from = signed["index"].to_string();
    let entries = plant.by("auditor", &["ledger", "show", "--from", &from])?;
    let at = |matches: &dyn Fn(&Value) -> bool| {
        let entry = entries.as_array().into_iter().flatten().find(|e| matches(e));
        entry.and_then(|e| e["logged_at"].as_f64())
    };
    let ordered = at(&|e| e["id"] == id.as_str()).context("the order is not on the ledger")?;
    let started = at(&|e| e["body"]["run-started"]["order"] == id.as_str())
        .context("no run-started on the ledger")?;
    Ok(started - ordered)
}

fn durable_entries(out: &Path, size: &Size) -> Result<Value> {
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
    let peer = match postgres {
        Ok(_) => {
            ("PostgreSQL, 64 clients, unique key, no signatures".into(), Some(median(&theirs)))
        }
        Err(why) => (format!("none: {why:#}"), None),
    };
    let details = json!({ "ours": ours, "theirs": theirs, "entry_bytes": bytes });
    let goal = Some(Goal::AtLeast(10_000.0));
    Ok(measure("durable_entries_per_s", median(&ours), "1/s", peer, goal, details))
}

fn seal_and_store(out: &Path, size: &Size) -> Result<Value> {
    let (mut ours, mut theirs, mut name) = (Vec::new(), Vec::new(), "");
    let folder = out.display().to_string();
    let file = out.join("plaintext");
    peers::fill(&file, size.megabytes)?;
    for _ in 0..size.rounds {
        let megabytes = size.megabytes.to_string();
        let found = example("seal_rate", &["--json", &megabytes, &folder])?;
        ours.push(number(&found, "mb_per_core_s")?);
        let (tool, rate) = peers::encrypt_mb_per_core_s(&file, size.megabytes)?;
        name = tool;
        theirs.push(rate);
    }
    std::fs::remove_file(&file)?;
    let details = json!({ "ours": ours, "theirs": theirs });
    let (peer, goal) = ((name.into(), Some(median(&theirs))), Some(Goal::AtLeast(1000.0)));
    Ok(measure("seal_store_mb_per_core_s", median(&ours), "MB/core-s", peer, goal, details))
}

fn recording(out: &Path, size: &Size) -> Result<[Value; 2]> {
    let folder = out.display().to_string();
    let found = example("record_rate", &[&size.seconds.to_string(), &folder])?;
    let lost = number(&found, "lost_samples")? + number(&found, "lost_pictures")?;
    let share = number(&found, "cpu_percent_of_a_core")?;
    let none = || ("none".to_owned(), None);
    Ok([
        measure(
            "recording_500hz_64ch_4x12MBs_lost",
            lost,
            "samples",
            none(),
            Some(Goal::AtMost(0.0)),
            found.clone(),
        ),
        measure(
            "recording_500hz_64ch_4x12MBs_cpu",
            share,
            "% of a core",
            none(),
            Some(Goal::AtMost(25.0)),
            found,
        ),
    ])
}

/// Builds the measuring programs at once, so that they share dependencies with one
/// another and with the plant's programs.
fn build_examples() -> Result<()> {
    let mut arguments = vec!["build", "--release", "--workspace", "--locked"];
    for name in ["append_rate", "record_rate", "seal_rate", "verify_rate"] {
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

fn measure(
    name: &str,
    value: f64,
    unit: &str,
    (peer, peer_value): Peer,
    goal: Option<Goal>,
    details: Value,
) -> Value {
    let (bound, met) = match goal {
        Some(Goal::AtLeast(least)) => (json!({ "at_least": least }), Some(value >= least)),
        Some(Goal::AtMost(most)) => (json!({ "at_most": most }), Some(value <= most)),
        None => (Value::Null, None),
    };
    eprintln!("   {name}: {value:.1} {unit}");
    json!({
        "name": name, "value": value, "unit": unit, "peer": peer, "peer_value": peer_value,
        "ratio": peer_value.map(|p| value / p), "goal": bound, "met": met, "details": details,
    })
}

fn number(value: &Value, key: &str) -> Result<f64> {
    value[key].as_f64().with_context(|| format!("no number `{key}` in {value}"))
}

fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

/// The smallest value that at least `percent` of all do not pass; 0 of none.
fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
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

fn table(measures: &[Value]) {
    println!(
        "\n{:<36} {:>10} {:<12} {:>10} {:>7}  {:<9} peer",
        "measure", "value", "unit", "peer", "ratio", "goal"
    );
    for m in measures {
        let text = |k: &str| m[k].as_str().unwrap_or_default();
        let shown =
            |k: &str, digits: usize| m[k].as_f64().map_or("-".into(), |v| format!("{v:.digits$}"));
        let goal = match m["met"].as_bool() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "-",
        };
        println!(
            "{:<36} {:>10} {:<12} {:>10} {:>7}  {goal:<9} {}",
            text("name"),
            shown("value", 1),
            text("unit"),
            shown("peer_value", 2),
            shown("ratio", 2),
            text("peer"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(percentile(&values, 50), 2.0);
        assert_eq!(percentile(&values, 99), 4.0);
        assert_eq!(percentile(&[7.0], 1), 7.0);
        assert_eq!(percentile(&[], 50), 0.0);
    }
}
