//! `drill`: starts a plant and lets `interlock drill` attack it.

use crate::{
    plant::{Plant, build},
    story::{approve_program, whole_job},
    tools::{flag, step, target},
};
use anyhow::{Result, bail};
use serde_json::Value;

/// Runs it.
pub fn run(arguments: &[String]) -> Result<()> {
    let bin = build("dev")?;
    let out = target().join("drill");
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    step("starting a plant and running one honest order");
    let plant = Plant::start(&bin, &out, &[])?;
    approve_program(&plant)?;
    whole_job(&plant, "flange-1", &out.join("passports"), &mut |words| eprintln!("   {words}"))?;
    step("attacking it");
    let report = against(&plant)?;
    match flag(arguments, "--json") {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => {
            for attempt in report["attempts"].as_array().into_iter().flatten() {
                let text = |k: &str| attempt[k].as_str().unwrap_or_default().to_owned();
                println!("  refused  {:<44} {:<12} {}", text("name"), text("rule"), text("detail"));
            }
            println!("motions {}, bytes {}", report["motions"], report["bytes"]);
        }
    }
    Ok(())
}

/// Attacks a running plant that has done at least one job; fails when anything got
/// through.
pub fn against(plant: &Plant) -> Result<Value> {
    let before = plant.robot("motions")?["starts"].clone();
    let dir = plant.dir.display().to_string();
    let mut report = plant.call(&["--json", "drill", &dir])?;
    let after = plant.robot("motions")?["starts"].clone();
    let moved = after.as_u64().unwrap_or(u64::MAX).saturating_sub(before.as_u64().unwrap_or(0));
    if let Some(map) = report.as_object_mut() {
        map.insert("motions".into(), moved.into());
    }
    let through = |a: &Value| a["refused"] != true;
    let attempts = report["attempts"].as_array().cloned().unwrap_or_default();
    if attempts.len() < 10 || attempts.iter().any(through) || moved != 0 || report["bytes"] != 0 {
        bail!("something got through: {report}");
    }
    Ok(report)
}
