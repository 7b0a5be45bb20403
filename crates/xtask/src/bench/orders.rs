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

/// Shorter than any run: until then nobody asks how far an order has come, or the
/// question would be measured with it.
const QUIET: Duration = Duration::from_millis(1500);
/// Milliseconds of a day.
const DAY: f64 = 86_400_000.0;

/// What the programs log at each stage of an order's way, in turn: whose log, which
/// words, and what the stage is. Each line has the ledger's size with the order in it.
const STAGES: [(&str, &str, &str); 3] = [
    ("site", "witnesses are asked for cosignatures", "admitted, synced, its tiles placed"),
    ("site", "a witnessed checkpoint is published", "cosigned and published"),
    ("cell-1", "the ledger has grown", "fetched, proven, synced and folded by the cell"),
];
/// What stands between the last stage and the permit.
const LAST: &str = "judged by the cell's gate";
/// The log lines of the stages, for the programs that write them.
const LOGGED: &str = "info,ledger::publish=debug,interlock_cell::follow=debug";

/// One order's way, in milliseconds since the site admitted it.
struct Waits {
    stages: Vec<f64>,
    permit: f64,
    motion: f64,
}

/// Orders through a plant of real processes.
pub fn measured(bin: &Path, out: &Path, size: &Size) -> Result<Vec<Measure>> {
    step("orders through a whole plant");
    let named = ["--name".into(), "Bench".into()];
    let plant = Plant::start_logging(bin, out, &named, Some(LOGGED))?;
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
    let stages = stages(&waits);
    // Site and cell sync once each before the permit.
    let beyond = 2.0 * sync;
    let permit = |name, percent, goal: f64| {
        let value = percentile(&permits, percent);
        let beyond_ms = value - beyond;
        let details = json!({
            "orders": permits, "syncs": syncs, "beyond_ms": beyond_ms, "stages_p50_ms": stages,
        });
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
    std::thread::sleep(QUIET);
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
    let log = |member: &str| std::fs::read_to_string(plant.dir.join(member).join("log.txt"));
    let permitted =
        permitted(&log("cell-1")?, &id).context("the cell's log has no permit of the order")?;
    let since = |time: f64| (time - ordered).rem_euclid(DAY);
    let index = signed["index"].as_u64().context("an order without an index")?;
    let stages = STAGES.iter().map(|(member, words, _)| {
        let at = reached(&log(member)?, words, index);
        at.map(since).with_context(|| format!("the log of `{member}` has no line `{words}`"))
    });
    let stages = stages.collect::<Result<_>>()?;
    Ok(Waits { stages, permit: since(permitted), motion: started - ordered })
}

/// The median time that each stage took, in milliseconds.
fn stages(waits: &[Waits]) -> Vec<Value> {
    let names = STAGES.iter().map(|(_, _, name)| *name).chain([LAST]);
    let took = |nth: usize| -> Vec<f64> {
        let of = |w: &Waits| {
            let ends = [&[0.0], &w.stages[..], &[w.permit]].concat();
            ends.get(nth + 1).zip(ends.get(nth)).map(|(end, start)| end - start)
        };
        waits.iter().filter_map(of).collect()
    };
    let median = |nth| percentile(&took(nth), 50);
    names.enumerate().map(|(nth, name)| json!({ "stage": name, "ms": median(nth) })).collect()
}

/// When the cell permitted an order, by its log: milliseconds since midnight. The
/// entries' times are of the same machine's clock.
fn permitted(log: &str, order: &str) -> Option<f64> {
    let said = log.lines().map(plain);
    let mut of_order = said.filter(|l| l.contains("an order is permitted") && l.contains(order));
    time_of(&of_order.next()?)
}

/// When a log first had these words of a ledger that holds the entry at `index`:
/// milliseconds since midnight.
fn reached(log: &str, words: &str, index: u64) -> Option<f64> {
    let holds = |line: &String| {
        let size = line.split_once("size=").map_or("", |(_, rest)| rest);
        let digits: String = size.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().is_ok_and(|size| size > index)
    };
    let mut said = log.lines().filter(|line| line.contains(words)).map(plain);
    time_of(&said.find(holds)?)
}

/// The time at the beginning of a line, in milliseconds since midnight.
fn time_of(line: &str) -> Option<f64> {
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
    use super::{permitted, reached};

    #[test]
    fn a_permits_time_is_read_from_a_log_with_colours() {
        let log = "2026-11-21T01:00:02.5Z INFO an order is permitted order=ab\n\
            \u{1b}[2m2026-11-21T01:02:03.250Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m an order is \
            permitted \u{1b}[3morder\u{1b}[0m\u{1b}[2m=\u{1b}[0mcd\n";
        assert_eq!(permitted(log, "cd"), Some(3_723_250.0));
        assert_eq!(permitted(log, "ef"), None);
    }

    #[test]
    fn a_stage_is_reached_with_the_first_size_that_holds_the_entry() {
        let log = "2026-11-21T00:00:01.5Z DEBUG ledger::publish: published size=7\n\
            \u{1b}[2m2026-11-21T00:00:02.5Z\u{1b}[0m published \u{1b}[3msize\u{1b}[0m=8\n\
            2026-11-21T00:00:03.5Z DEBUG ledger::publish: published size=9\n";
        assert_eq!(reached(log, "published", 7), Some(2500.0));
        assert_eq!(reached(log, "published", 8), Some(3500.0));
        assert_eq!((reached(log, "published", 9), reached(log, "other", 1)), (None, None));
    }
}
