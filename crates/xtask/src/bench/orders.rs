//! From a signed order to the cell's permit, and to its word that it moves.

use super::{
    Size, peers,
    report::{Goal, Measure, percentile},
};
use crate::{
    plant::{Plant, wait},
    story::{approve_program, whole_job},
    tools::step,
};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};

/// Milliseconds of a day.
const DAY: f64 = 86_400_000.0;

/// One order's way, in milliseconds since the site admitted it.
struct Waits {
    permit: f64,
    motion: f64,
}

/// Orders through a plant of real processes.
pub fn measured(bin: &Path, out: &Path, size: &Size) -> Result<Vec<Measure>> {
    step("orders through a whole plant");
    let plant = Plant::start(bin, out, &["--name".into(), "Bench".into()])?;
    approve_program(&plant)?;
    whole_job(&plant, "part-1", &out.join("passports"), &mut |words| eprintln!("   {words}"))?;
    let (mut waits, mut syncs) = (Vec::new(), Vec::new());
    for number in 0..size.orders {
        waits.push(one_order(&plant, &format!("quick-{number}"))?);
        syncs.push(peers::sync_ms(&plant.dir)?);
    }
    let permits: Vec<f64> = waits.iter().map(|w| w.permit).collect();
    let motions: Vec<f64> = waits.iter().map(|w| w.motion).collect();
    let sync = percentile(&syncs, 50);
    // Site and cell sync once each before the permit.
    let beyond = 2.0 * sync;
    let permit = |name, percent, goal: f64| {
        let value = percentile(&permits, percent);
        let details = json!({ "orders": permits, "syncs": syncs, "beyond_ms": value - beyond });
        Measure::new(name, value, "ms")
            .peer("one fdatasync of 4 KiB", Some(sync))
            .goal(Goal::AtMost(goal + beyond))
            .details(details)
    };
    let motion = Measure::new("order_to_motion_p50_ms", percentile(&motions, 50), "ms")
        .peer("one fdatasync of 4 KiB", Some(sync))
        .details(json!({ "orders": motions }));
    Ok(vec![
        permit("order_to_permit_p50_ms", 50, 10.0),
        permit("order_to_permit_p99_ms", 99, 50.0),
        motion,
    ])
}

/// Signs one order and awaits its end.
fn one_order(plant: &Plant, part: &str) -> Result<Waits> {
    let order = ["order", "sign", "--cell", "cell-1", "--program", "scan", "--part", part];
    let parameters = ["--set", "viewpoints=1", "--set", "speed_percent=100", "--yes"];
    let signed = plant.by("operator", &[&order[..], &parameters].concat())?;
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
    let log = std::fs::read_to_string(plant.dir.join("cell-1/log.txt"))?;
    let permitted = permitted(&log, &id).context("the cell's log has no permit of the order")?;
    Ok(Waits { permit: (permitted - ordered).rem_euclid(DAY), motion: started - ordered })
}

/// When the cell permitted an order, by its log: milliseconds since midnight. The
/// entries' times are of the same machine's clock.
fn permitted(log: &str, order: &str) -> Option<f64> {
    let said = log.lines().map(plain);
    let mut of_order = said.filter(|l| l.contains("an order is permitted") && l.contains(order));
    let line = of_order.next()?;
    let time = line.split_once('T')?.1.split_once('Z')?.0;
    let mut parts = time.split(':').map(str::parse::<f64>);
    let (hours, minutes, seconds) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    Some(((hours * 60.0 + minutes) * 60.0 + seconds) * 1000.0)
}

/// A line without colours.
fn plain(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::permitted;

    #[test]
    fn a_permits_time_is_read_from_a_log_with_colours() {
        let log = "2026-11-21T01:00:02.5Z INFO an order is permitted order=ab\n\
            \u{1b}[2m2026-11-21T01:02:03.250Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m an order is \
            permitted \u{1b}[3morder\u{1b}[0m\u{1b}[2m=\u{1b}[0mcd\n";
        assert_eq!(permitted(log, "cd"), Some(3_723_250.0));
        assert_eq!(permitted(log, "ef"), None);
    }
}
