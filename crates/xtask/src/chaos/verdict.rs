//! What is left after the harm, held against what was promised.

use crate::plant::{Plant, wait};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Waits until no run is under way and nothing more is delivered.
pub fn settle(plant: &Plant) -> Result<()> {
    let mut last = (0, Instant::now());
    wait("the plant to come to rest", Duration::from_secs(900), || {
        let entries = plant.by("auditor", &["audit", "replay"])?["entries"].as_u64();
        let entries = entries.context("an audit without a number of entries")?;
        if entries != last.0 {
            last = (entries, Instant::now());
        }
        let open = orders(plant)?.values().any(|o| open(&o["status"]));
        Ok((!open && last.1.elapsed() > Duration::from_secs(5)).then_some(()))
    })
}

fn open(status: &Value) -> bool {
    status == "pending" || status.get("started").is_some()
}

fn orders(plant: &Plant) -> Result<BTreeMap<String, Value>> {
    Ok(serde_json::from_value(plant.by("auditor", &["order", "list"])?)?)
}

/// Fails when anything acknowledged is gone, or anything ran twice.
pub fn judge(plant: &Plant, acknowledged: &BTreeMap<String, u64>) -> Result<Value> {
    let entries = entries(plant)?;
    let lost: Vec<&String> = acknowledged
        .iter()
        .filter(|(id, index)| {
            let there = usize::try_from(**index).ok().and_then(|at| entries.get(at));
            there.is_none_or(|entry| entry["id"] != id.as_str())
        })
        .map(|(id, _)| id)
        .collect();

    let mut starts = BTreeMap::<String, u64>::new();
    for entry in &entries {
        if let Some(order) = entry["body"]["run-started"]["order"].as_str() {
            *starts.entry(order.to_owned()).or_default() += 1;
        }
    }
    let twice = starts.values().filter(|n| **n > 1).count();
    let motions = plant.robot("motions")?["starts"].as_u64().context("no count of motions")?;

    let orders = orders(plant)?;
    let (mut finished, mut stated, mut cut) = (0, 0, Vec::new());
    for (id, order) in orders.iter().filter(|(id, _)| starts.contains_key(*id)) {
        let recordings = order["recordings"].as_array().map_or(0, Vec::len);
        match order["status"]["ended"].as_str() {
            Some("finished") if recordings == 2 => finished += 1,
            Some("failed" | "stopped") if order["ended"]["reason"] != "" => stated += 1,
            _ => cut.push(id.clone()),
        }
    }
    let report = json!({
        "acknowledged": acknowledged.len(), "lost": lost.len(), "entries": entries.len(),
        "started": starts.len(), "started_twice": twice, "motions": motions,
        "finished": finished, "stated_failures": stated, "silently_cut": cut.len(), "findings": 0,
    });
    // The robot may have been told less often than the ledger says (a crash between
    // the two), never more often.
    if !lost.is_empty() || twice > 0 || motions > starts.len() as u64 || !cut.is_empty() {
        bail!("{report}\n  lost {lost:?}\n  cut {cut:?}");
    }
    if acknowledged.is_empty() || finished == 0 {
        bail!("nothing was acknowledged or finished, so nothing was shown: {report}");
    }
    Ok(report)
}

fn entries(plant: &Plant) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    loop {
        let from = all.len().to_string();
        let page = plant.by("auditor", &["ledger", "show", "--from", &from])?;
        let page = page.as_array().cloned().unwrap_or_default();
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// The files themselves: every tile, root, signature and rule.
pub fn offline(plant: &Plant) -> Result<()> {
    let ledger = plant.dir.join("site/data/ledger").display().to_string();
    let anchors = plant.dir.join("anchors.json").display().to_string();
    plant.call(&["--json", "ledger", "check", &ledger, "--anchors", &anchors])?;
    plant.call(&["--json", "audit", "replay", "--ledger", &ledger, "--anchors", &anchors])?;
    let distrust = plant.dir.join("cell-1/cell/distrust");
    if let Ok(why) = std::fs::read_to_string(&distrust) {
        bail!("the cell took harm for a lie: {why}");
    }
    Ok(())
}
