//! What is left after the harm, held against what was promised.

use crate::plant::{Plant, wait};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
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

/// Every order, with what became of it.
pub fn orders(plant: &Plant) -> Result<BTreeMap<String, Value>> {
    Ok(serde_json::from_value(plant.by("auditor", &["order", "list"])?)?)
}

/// Fails when anything acknowledged is gone, or anything ran twice.
pub fn judge(
    plant: &Plant,
    entries: &[Value],
    acknowledged: &BTreeMap<String, u64>,
) -> Result<Value> {
    let lost: Vec<&String> = acknowledged
        .iter()
        .filter(|(id, index)| {
            let there = usize::try_from(**index).ok().and_then(|at| entries.get(at));
            there.is_none_or(|entry| entry["id"] != id.as_str())
        })
        .map(|(id, _)| id)
        .collect();

    let starts: BTreeSet<&str> =
        entries.iter().filter_map(|e| e["body"]["run-started"]["order"].as_str()).collect();
    let plays: BTreeMap<i32, u64> = serde_json::from_value(plant.robot("plays")?)
        .context("the simulator says no plays by order token")?;
    let (motions, beyond) = (plays.values().sum::<u64>(), beyond(&plays, &starts)?);

    let orders = orders(plant)?;
    let (mut finished, mut stated, mut cut) = (0, 0, Vec::new());
    for (id, order) in orders.iter().filter(|(id, _)| starts.contains(id.as_str())) {
        let recordings = order["recordings"].as_array().map_or(0, Vec::len);
        match order["status"]["ended"].as_str() {
            Some("finished") if recordings == 2 => finished += 1,
            Some("failed" | "stopped") if order["ended"]["reason"] != "" => stated += 1,
            _ => cut.push(id.clone()),
        }
    }
    let report = json!({
        "acknowledged": acknowledged.len(), "lost": lost.len(), "entries": entries.len(),
        "started": starts.len(), "moved_beyond": beyond.len(), "motions": motions,
        "finished": finished, "stated_failures": stated, "silently_cut": cut.len(), "findings": 0,
    });
    if !lost.is_empty() || !beyond.is_empty() || !cut.is_empty() {
        bail!("{report}\n  lost {lost:?}\n  cut {cut:?}\n  moved {beyond:#?}");
    }
    if acknowledged.is_empty() || finished == 0 {
        bail!("nothing was acknowledged or finished, so nothing was shown: {report}");
    }
    Ok(report)
}

/// What the robot did beyond one motion for each order whose start is on the ledger,
/// by its own count. It may have moved less, by a crash between the two; that must not
/// make up for another order that moved twice.
fn beyond(plays: &BTreeMap<i32, u64>, started: &BTreeSet<&str>) -> Result<Vec<String>> {
    let by_token: BTreeMap<i32, &str> =
        started.iter().map(|order| Ok((token(order)?, *order))).collect::<Result<_>>()?;
    let found = plays.iter().filter_map(|(token, plays)| match (by_token.get(token), plays) {
        (Some(_), 1) => None,
        (Some(order), plays) => Some(format!("{plays} times by order {order}")),
        (None, plays) => Some(format!("{plays} times by token {token}, of no order that started")),
    });
    Ok(found.collect())
}

/// The label under which the robot runs an order: its first 32 bits, never 0.
fn token(order: &str) -> Result<i32> {
    let first = order.get(..8).with_context(|| format!("`{order}` is no order's id"))?;
    let bits = u32::from_str_radix(first, 16).with_context(|| format!("order `{order}`"))?;
    Ok(bits.max(1).cast_signed())
}

/// Every entry of the ledger, as the site shows it.
pub fn entries(plant: &Plant) -> Result<Vec<Value>> {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ONE: &str = "00000001aa";
    const TWO: &str = "ffffffffbb";

    fn found(plays: &[(i32, u64)], started: &[&str]) -> Vec<String> {
        beyond(&plays.iter().copied().collect(), &started.iter().copied().collect()).unwrap()
    }

    #[test]
    fn an_order_without_a_motion_makes_up_for_no_second_motion_of_another() {
        // No more motions than starts, and yet an order that ran twice.
        let plays = [(-1, 2)];
        assert!(plays.iter().map(|(_, n)| n).sum::<u64>() <= 2);
        assert_eq!(found(&plays, &[ONE, TWO]), ["2 times by order ffffffffbb"]);
        assert!(found(&[(-1, 1)], &[ONE, TWO]).is_empty());
        assert!(found(&[(-1, 1), (1, 1)], &[ONE, TWO]).is_empty());
    }

    #[test]
    fn a_motion_needs_an_order_that_started() {
        assert_eq!(found(&[(-1, 1)], &[ONE]), ["1 times by token -1, of no order that started"]);
        assert_eq!(found(&[(0, 1)], &[ONE]).len(), 1);
    }

    #[test]
    fn a_token_is_never_zero() {
        assert_eq!(token("00000000cc").unwrap(), 1);
        assert_eq!(token("80000000cc").unwrap(), i32::MIN);
        assert!(token("short").is_err() && token("notdigits").is_err());
    }
}
