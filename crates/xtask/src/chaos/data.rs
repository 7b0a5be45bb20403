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
        let reports = serde_json::from_value(plant.by("auditor", &["report", "list"])?)?;
        one_each(&grants(plant)?, &reports)
    })
}

/// How many reports there are, once each grant has one; an error when one has more.
fn one_each(
    grants: &BTreeMap<String, Value>,
    reports: &BTreeMap<String, Value>,
) -> Result<Option<usize>> {
    let mut open: BTreeSet<&str> = grants.keys().map(String::as_str).collect();
    for (id, report) in reports {
        let grant = report["report"]["grant"].as_str().context("a report without a grant")?;
        if !open.remove(grant) {
            bail!("report {id} is another one under grant {grant}, or under none");
        }
    }
    Ok(open.is_empty().then_some(reports.len()))
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
    balanced(&grants(plant)?, entries)
}

fn balanced(grants: &BTreeMap<String, Value>, entries: &[Value]) -> Result<u64> {
    let (mut read, mut all) = (BTreeMap::<&str, u64>::new(), 0);
    for entry in entries.iter().map(|entry| &entry["body"]["read"]).filter(|r| !r.is_null()) {
        let grant = entry["grant"].as_str().context("a read without a grant")?;
        let bytes = entry["bytes"].as_u64().context("a read without a length")?;
        *read.entry(grant).or_insert(0) += bytes;
        all += bytes;
    }
    for (grant, state) in grants {
        let (used, logged) = (&state["used"], read.remove(grant.as_str()).unwrap_or(0));
        if used.as_u64() != Some(logged) {
            bail!("grant {grant} has used {used} bytes, the ledger has reads of {logged}");
        }
    }
    match read.is_empty() {
        true => Ok(all),
        false => bail!("reads under no grant: {read:?}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> BTreeMap<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn each_grant_has_one_report() {
        let grants = map(json!({ "a": {}, "b": {} }));
        let found = |reports: Value| one_each(&grants, &map(reports));
        let under = |grant: &str| json!({ "report": { "grant": grant } });
        assert_eq!(found(json!({ "1": under("a") })).unwrap(), None);
        assert_eq!(found(json!({ "1": under("a"), "2": under("b") })).unwrap(), Some(2));
        assert!(found(json!({ "1": under("a"), "2": under("a") })).is_err());
        assert!(found(json!({ "1": under("c") })).is_err());
    }

    #[test]
    fn what_was_used_is_what_was_read() {
        let entries = [("a", 2), ("b", 3), ("a", 5)].map(
            |(grant, bytes)| json!({ "body": { "read": { "grant": grant, "bytes": bytes } } }),
        );
        let found = |a: u64, b: u64| {
            balanced(&map(json!({ "a": { "used": a }, "b": { "used": b } })), &entries)
        };
        assert_eq!(found(7, 3).unwrap(), 10);
        assert!(found(7, 2).is_err());
        assert!(found(5, 3).is_err());
        assert!(balanced(&map(json!({ "a": { "used": 7 } })), &entries).is_err());
    }
}
