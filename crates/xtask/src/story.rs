//! One item's way through the plant, from a signed order to its passport, driven
//! through the command line alone.

use crate::plant::{Plant, wait};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// How long one step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// Approves the scan program that the simulated controller holds.
pub fn approve_program(plant: &Plant) -> Result<()> {
    let program = plant.dir.with_file_name("robot-programs");
    let file = std::fs::read_dir(&program)?
        .flatten()
        .map(|e| e.path())
        .find(|p| p.extension().is_some_and(|e| e == "urp"))
        .with_context(|| format!("no program in `{}`", program.display()))?;
    let about = plant.dir.join("scan-about.json");
    let parameter = |title: &str, unit: &str, min: i64, max: i64, default: i64| json!({ "title": title, "unit": unit, "min": min, "max": max, "default": default });
    let text = json!({
        "id": "scan",
        "title": "photograph a part from several sides",
        "cells": ["cell-1"],
        "parameters": {
            "speed_percent": parameter("speed of the arm", "%", 10, 100, 100),
            "standoff_mm": parameter("distance of the camera", "mm", 150, 240, 200),
            "viewpoints": parameter("sides to photograph", "", 1, 6, 4),
        },
    });
    std::fs::write(&about, text.to_string())?;
    let (file, about) = (file.display().to_string(), about.display().to_string());
    plant.change("integrator", &["program", "add", &file, "--about", &about])
}

/// Does the whole job for one part. `say` is told of each step.
pub fn whole_job(
    plant: &Plant,
    part: &str,
    passports: &Path,
    say: &mut dyn FnMut(&str),
) -> Result<Value> {
    let mut steps = Vec::new();
    let began = Instant::now();
    let mut done = |name: &str, words: String, proof: Value| {
        say(&words);
        let at_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        steps.push(json!({ "step": name, "at_ms": at_ms, "words": words, "proof": proof }));
    };

    let order = plant.by(
        "operator",
        &["order", "sign", "--cell", "cell-1", "--program", "scan", "--part", part, "--yes"],
    )?;
    let id = order["id"].as_str().context("an order without an id")?.to_owned();
    done(
        "order",
        format!("order {} signed by operator, entry {}, witnessed", short(&id), order["index"]),
        order,
    );

    let started =
        await_status(plant, &id, |s| s.get("started").is_some() || s.get("ended").is_some())?;
    done(
        "motion",
        "the cell verified it by itself, consumed it and moves".into(),
        started["status"].clone(),
    );
    let run = await_status(plant, &id, |s| s.get("ended").is_some())?;
    if run["status"]["ended"] != "finished" {
        bail!("the run of `{part}` ended as {}: {}", run["status"], run["ended"]["reason"]);
    }
    let ended = &run["ended"];
    done(
        "capture",
        format!(
            "{} state samples, {} lost, {} photographs",
            ended["samples"], ended["lost"], ended["viewpoints"]
        ),
        ended.clone(),
    );
    let run = wait("the recordings", PATIENCE, || {
        let run = plant.by("auditor", &["run", "show", &id])?;
        let whole = run["recordings"].as_array().is_some_and(|r| r.len() >= 2);
        Ok(whole.then_some(run))
    })?;
    done(
        "vault",
        format!("recordings encrypted and stored: {}", list(&run["recordings"])),
        run["recordings"].clone(),
    );

    let grant = plant.by(
        "officer-1",
        &["grant", "issue", "--to", "analyst", "--order", &id, "--stream", "camera"],
    )?;
    let grant_id = grant["id"].as_str().context("a grant without an id")?.to_owned();
    done("grant", format!("grant {} to analyst, camera only, for 1 h", short(&grant_id)), grant);

    let (report_id, report) = wait("the report and its passport", PATIENCE, || {
        let reports = plant.by("auditor", &["report", "list"])?;
        let found = reports
            .as_object()
            .into_iter()
            .flatten()
            .find(|(_, r)| r["report"]["grant"] == grant_id.as_str());
        Ok(found.filter(|(_, r)| !r["passport"].is_null()).map(|(id, r)| (id.clone(), r.clone())))
    })?;
    let verdicts: Vec<String> = report["report"]["analyses"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|a| format!("{} {}", text(&a["name"]), text(&a["verdict"])))
        .collect();
    done(
        "analysis",
        format!("report {}: {}", short(&report_id), verdicts.join(", ")),
        json!({ "report": report_id, "verdicts": verdicts }),
    );

    let passport = plant
        .by("auditor", &["passport", "show", part, "--out", &passports.display().to_string()])?;
    done(
        "passport",
        format!("passport of `{part}`: {}", text(&passport["verdict"])),
        passport["credential"].clone(),
    );
    Ok(json!({
        "part": part, "order": id, "grant": grant_id, "report": report_id,
        "verdict": passport["verdict"], "verdicts": verdicts, "steps": steps,
        "passport": passports.join(format!("{part}.vc.jwt")),
    }))
}

fn await_status(plant: &Plant, order: &str, reached: impl Fn(&Value) -> bool) -> Result<Value> {
    wait("the run", PATIENCE, || {
        let run = plant.by("auditor", &["run", "show", order])?;
        if let Some(refusal) = run["status"].get("refused") {
            bail!("the cell refused the order: {refusal}");
        }
        Ok(reached(&run["status"]).then_some(run))
    })
}

fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> String {
    let items: Vec<String> = value
        .as_array()
        .into_iter()
        .flatten()
        .map(|v| format!("{}…", text(v).chars().take(16).collect::<String>()))
        .collect();
    items.join(", ")
}

/// Verifies a passport in an empty folder, without any of the plant's files.
pub fn verify_apart(plant: &Plant, file: &Path) -> Result<Value> {
    let apart = std::env::temp_dir().join(format!("interlock-verify-{}", std::process::id()));
    std::fs::create_dir_all(&apart)?;
    let file = std::fs::canonicalize(file)?;
    let output = std::process::Command::new(std::fs::canonicalize(plant.bin().join("interlock"))?)
        .args(["--json", "passport", "verify"])
        .arg(&file)
        .env_clear()
        .current_dir(&apart)
        .output()?;
    let _ = std::fs::remove_dir(&apart);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    if !output.status.success() || value["verified"] != true {
        bail!("`{}` does not verify: {value}", file.display());
    }
    Ok(value)
}
