//! `drill`: starts a plant and lets `interlock drill` attack it.

use crate::{
    plant::{Plant, build},
    story::{approve_program, whole_job},
    tools::{flag, root, step, target},
};
use anyhow::{Result, bail};
use serde_json::Value;

/// What marks an attempt that was repeated.
const AGAIN: &str = ", after a restart";

/// Runs it.
pub fn run(arguments: &[String]) -> Result<()> {
    let bin = build("dev")?;
    let out = target().join("drill");
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    step("starting a plant and running one honest order");
    let mut plant = Plant::start(&bin, &out, &[])?;
    approve_program(&plant)?;
    whole_job(&plant, "flange-1", &out.join("passports"), &mut |words| eprintln!("   {words}"))?;
    step("attacking it");
    let report = against(&mut plant)?;
    if flag(arguments, "--docs") {
        std::fs::write(root().join("docs/drill.md"), page(&report))?;
    }
    match flag(arguments, "--json") {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => {
            for attempt in report["attempts"].as_array().into_iter().flatten() {
                let text = |k: &str| attempt[k].as_str().unwrap_or_default().to_owned();
                println!("  refused  {:<76} {:<12} {}", text("name"), text("rule"), text("detail"));
            }
            println!("motions {}, bytes {}", report["motions"], report["bytes"]);
        }
    }
    Ok(())
}

/// The page that `docs/` holds: the attempts before the restart; those after it are
/// the same and are counted.
fn page(report: &Value) -> String {
    let attempts = report["attempts"].as_array().cloned().unwrap_or_default();
    let text = |a: &Value, key: &str| a[key].as_str().unwrap_or_default().replace('|', "\\|");
    // Digests and times differ from run to run; a page that changes with each says less.
    let rows: Vec<String> = attempts
        .iter()
        .filter(|a| !text(a, "name").ends_with(AGAIN))
        .map(|a| format!("| {} | `{}` |", text(a, "name"), text(a, "rule")))
        .collect();
    format!(
        "# Attacked\n\nMade by `cargo xtask drill --docs`: `interlock drill` holds every key of a live plant and uses each\n\
         for what it must not do. {} attempts, {} of them again after every machine was restarted; the robot moved\n\
         {} times and {} bytes got out.\n\n| attempt | refused by |\n|---|---|\n{}\n\n\
         Each attempt names what must refuse it, and fails when anything else does. A rule is one of `base::Rule`;\n\
         `tls` is the handshake with its alert, `proof` the reader's own verification of a recording, `network` a\n\
         controller that listens to its cell alone, `http …` a port's status with its words: its bound on a body\n\
         (413), its parser (400), a witness's conflict or missing proof (409, 422). `ignored`: a stop stops,\n\
         whatever comes with it, and names nobody. After each body a port must answer an honest question; a\n\
         server that is gone has refused nothing. `cargo xtask drill --json` prints each attempt with its reason.\n",
        attempts.len(),
        attempts.len() - rows.len(),
        report["motions"],
        report["bytes"],
        rows.join("\n")
    )
}

/// Attacks a running plant that has done at least one job; fails when anything got
/// through.
pub fn against(plant: &mut Plant) -> Result<Value> {
    let before = plant.robot("motions")?["starts"].clone();
    let dir = plant.dir.display().to_string();
    let mut report = plant.call(&["--json", "drill", &dir])?;
    // What was refused must stay refused by machines that remember from their disks only.
    plant.down();
    plant.up()?;
    let again = plant.call(&["--json", "drill", &dir])?;
    if names(&report) != names(&again) {
        bail!("another drill after the restart: {:?}, {:?}", names(&report), names(&again));
    }
    merge(&mut report, &again);
    let after = plant.robot("motions")?["starts"].clone();
    let moved = after.as_u64().unwrap_or(u64::MAX).saturating_sub(before.as_u64().unwrap_or(0));
    if let Some(map) = report.as_object_mut() {
        map.insert("motions".into(), moved.into());
    }
    let through = |a: &Value| a["refused"] != true;
    let attempts = report["attempts"].as_array().cloned().unwrap_or_default();
    if attempts.len() < 30 || attempts.iter().any(through) || moved != 0 || report["bytes"] != 0 {
        bail!("something got through: {report}");
    }
    Ok(report)
}

fn names(report: &Value) -> Vec<&str> {
    let attempts = report["attempts"].as_array().into_iter().flatten();
    attempts.filter_map(|attempt| attempt["name"].as_str()).collect()
}

/// Adds the attempts of a second drill to the first's.
fn merge(report: &mut Value, again: &Value) {
    report["bytes"] = (report["bytes"].as_u64().unwrap_or(u64::MAX))
        .saturating_add(again["bytes"].as_u64().unwrap_or(u64::MAX))
        .into();
    let repeated = again["attempts"].as_array().into_iter().flatten().map(|attempt| {
        let mut attempt = attempt.clone();
        let name = attempt["name"].as_str().unwrap_or_default();
        attempt["name"] = format!("{name}{AGAIN}").into();
        attempt
    });
    if let Some(attempts) = report["attempts"].as_array_mut() {
        attempts.extend(repeated);
    }
}
