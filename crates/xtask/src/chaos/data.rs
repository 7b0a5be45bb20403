//! The data's side of the harm: the analyst is granted runs while it is killed, and what
//! was recorded is read back.

use super::{Acknowledged, PAUSE, faults::Dice, verdict};
use crate::plant::{Plant, wait};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

/// Of so many runs that finish meanwhile, the first is granted to the analyst.
const EVERY: usize = 2;
/// How many finished runs are read back at most.
const READ_BACK: usize = 20;
/// How long the analyst may take to report on all that it was granted: it waits longer
/// after each failure.
const PATIENCE: Duration = Duration::from_secs(600);

/// Grants finished runs to the analyst until it is told to stop; says how many.
pub fn give(plant: &Plant, stop: &AtomicBool, acknowledged: &Acknowledged) -> usize {
    let (mut seen, mut due, mut given) = (BTreeSet::new(), Vec::new(), 0);
    while !stop.load(Relaxed) {
        for (order, _) in finished(plant).unwrap_or_default() {
            if seen.insert(order.clone()) && seen.len() % EVERY == 1 {
                due.push(order);
            }
        }
        due.retain(|order| {
            let Ok((id, index)) = grant(plant, order) else { return true };
            acknowledged.lock().unwrap_or_else(PoisonError::into_inner).insert(id, index);
            given += 1;
            false
        });
        std::thread::sleep(PAUSE);
    }
    given
}

/// The runs that finished, with the roots of their recordings.
fn finished(plant: &Plant) -> Result<Vec<(String, Vec<String>)>> {
    let orders = verdict::orders(plant)?;
    let finished = orders.into_iter().filter(|(_, order)| order["status"]["ended"] == "finished");
    let recordings = |order: &Value| serde_json::from_value(order["recordings"].clone());
    let all = finished.map(|(id, order)| Ok((id, recordings(&order)?)));
    let whole = |run: &Result<(String, Vec<String>)>| run.as_ref().map_or(true, |r| r.1.len() == 2);
    all.filter(whole).collect()
}

/// Grants all recordings of a run to the analyst; the grant and its index.
fn grant(plant: &Plant, order: &str) -> Result<(String, u64)> {
    let said = plant.by(
        "officer-1",
        &["grant", "issue", "--to", "analyst", "--order", order, "--valid-for", "6h"],
    )?;
    let id = said["id"].as_str().context("a grant without an id")?.to_owned();
    Ok((id, said["index"].as_u64().context("a grant without an index")?))
}

/// Waits until the analyst has reported on each grant, and fails when it did so twice:
/// how many reports there are.
pub fn reported(plant: &Plant) -> Result<usize> {
    wait("a report under each grant", PATIENCE, || {
        let counts = reports(plant)?;
        if let Some((grant, count)) = counts.iter().find(|(_, count)| **count > 1) {
            bail!("{count} reports under grant {grant}");
        }
        Ok(counts.values().all(|count| *count == 1).then_some(counts.len()))
    })
}

/// How many reports each grant has.
fn reports(plant: &Plant) -> Result<BTreeMap<String, usize>> {
    let mut counts: BTreeMap<String, usize> =
        grants(plant)?.into_keys().map(|grant| (grant, 0)).collect();
    let reports = plant.by("auditor", &["report", "list"])?;
    for report in reports.as_object().into_iter().flatten().map(|(_, report)| report) {
        let grant = report["report"]["grant"].as_str().context("a report without a grant")?;
        *counts.entry(grant.to_owned()).or_insert(0) += 1;
    }
    Ok(counts)
}

/// Every grant, with what was read under it.
pub fn grants(plant: &Plant) -> Result<BTreeMap<String, Value>> {
    Ok(serde_json::from_value(plant.by("auditor", &["grant", "list"])?)?)
}

/// Has the analyst verify the recordings of finished runs from the first signed checkpoint
/// to the last byte: all, or a sample that the seed draws. How many recordings hold.
pub fn read_back(plant: &Plant, seed: u64) -> Result<usize> {
    let (mut runs, mut dice, mut held) = (finished(plant)?, Dice::new(seed), 0);
    while runs.len() > READ_BACK {
        runs.swap_remove(usize::try_from(dice.below(runs.len() as u64))?);
    }
    for (order, roots) in runs {
        let (grant, _) = grant(plant, &order)?;
        for root in roots {
            let said = plant
                .by("analyst", &["recording", "check", &root, "--grant", &grant])
                .with_context(|| format!("a recording of order {order}"))?;
            if said["whole"] != true {
                bail!("recording `{root}` of order {order}: {said}");
            }
            held += 1;
        }
    }
    Ok(held)
}

/// Fails unless what each grant says was used is what the ledger has reads of: how many
/// bytes these are.
pub fn accounted(plant: &Plant, entries: &[Value]) -> Result<u64> {
    let mut read: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in entries.iter().map(|entry| &entry["body"]["read"]).filter(|r| !r.is_null()) {
        let grant = entry["grant"].as_str().context("a read without a grant")?;
        *read.entry(grant).or_insert(0) += entry["bytes"].as_u64().context("a read of nothing")?;
    }
    for (grant, state) in grants(plant)? {
        let (used, logged) = (state["used"].as_u64(), read.remove(grant.as_str()).unwrap_or(0));
        if used != Some(logged) {
            bail!("grant {grant} has used {used:?} bytes, the ledger has reads of {logged}");
        }
    }
    if !read.is_empty() {
        bail!("reads under no grant: {read:?}");
    }
    entries.iter().map(|e| Ok(e["body"]["read"]["bytes"].as_u64().unwrap_or(0))).sum()
}
