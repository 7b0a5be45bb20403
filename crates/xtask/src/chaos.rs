//! `chaos`: a working plant whose machines are killed, frozen and cut off at random,
//! and the proof that nothing acknowledged was lost and nothing ran twice.
//!
//! The machines are real processes with real disks; a kill is `SIGKILL` at a random
//! moment, a freeze is `SIGSTOP`, a cut is a relay between cell and site that goes
//! dumb in one direction. Meanwhile operators order runs. What an operator was told
//! is logged must be on the ledger at the end, at the place it was told.

mod faults;
mod machines;
mod verdict;

use crate::{
    plant::{Plant, build, wait},
    story::approve_program,
    tools::{flag, option, root, step, target},
};
use anyhow::{Context, Result};
use faults::{Dice, Fault};
use machines::Machines;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How many kills when nobody says.
const KILLS: u64 = 200;
/// How many people order at the same time.
const OPERATORS: usize = 2;

/// What was acknowledged: entry and index.
type Acknowledged = Arc<Mutex<BTreeMap<String, u64>>>;

/// Runs it.
pub fn run(arguments: &[String]) -> Result<()> {
    let kills = option(arguments, "--kills").map_or(Ok(KILLS), |n| n.parse())?;
    let seed = option(arguments, "--seed").map_or_else(Dice::fresh_seed, |s| s.parse())?;
    let report = against_fresh_plant(&build("dev")?, &target().join("chaos"), kills, seed)?;
    let path = target().join("chaos/report.json");
    std::fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    match flag(arguments, "--json") {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => println!("{}", words(&report)),
    }
    if flag(arguments, "--docs") {
        std::fs::write(root().join("docs/chaos.md"), page(&report))?;
    }
    Ok(())
}

/// Starts a plant, does all that to it, and judges what is left.
pub fn against_fresh_plant(bin: &Path, out: &Path, kills: u64, seed: u64) -> Result<Value> {
    if out.exists() {
        std::fs::remove_dir_all(out)?;
    }
    let mut plant = Plant::start(bin, out, &["--name".into(), "Chaos".into()])?;
    approve_program(&plant)?;
    plant.down();
    let mut machines = Machines::start(bin, &plant.dir)?;
    machines.wait_ready(&plant)?;
    let plant = Arc::new(plant);

    step(&format!("{kills} kills, seed {seed}"));
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Acknowledged::default());
    let people: Vec<JoinHandle<u64>> = (0..OPERATORS)
        .map(|n| {
            let (plant, stop, acknowledged) = (plant.clone(), stop.clone(), acknowledged.clone());
            std::thread::spawn(move || order(&plant, n, &stop, &acknowledged))
        })
        .collect();
    let began = Instant::now();
    let done = harm(&mut machines, &plant, kills, seed);
    stop.store(true, Relaxed);
    let refused: u64 = people.into_iter().map(|p| p.join().unwrap_or_default()).sum();
    let harmed = done?;
    let harmed_s = began.elapsed().as_secs();

    step("healing, and letting what is open come to its end");
    machines.heal()?;
    machines.wait_ready(&plant)?;
    let acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
    verdict::settle(&plant)?;
    let mut report = verdict::judge(&plant, &acknowledged)?;
    step("the same from the disk, with all machines off");
    machines.stop();
    verdict::offline(&plant)?;
    if let Some(report) = report.as_object_mut() {
        report.insert("kills".into(), kills.into());
        report.insert("faults".into(), json!(harmed));
        report.insert("seed".into(), seed.into());
        report.insert("seconds".into(), harmed_s.into());
        report.insert("orders_not_acknowledged".into(), refused.into());
    }
    Ok(report)
}

/// Orders one run after the other until it is told to stop; counts those that were
/// not acknowledged.
fn order(plant: &Plant, who: usize, stop: &AtomicBool, acknowledged: &Acknowledged) -> u64 {
    let (mut number, mut failed) = (0_u64, 0);
    while !stop.load(Relaxed) {
        number += 1;
        let part = format!("chaos-{who}-{number}");
        let sign = ["order", "sign", "--cell", "cell-1", "--program", "scan", "--part", &part];
        let rest = ["--set", "viewpoints=1", "--valid-for", "10m", "--yes"];
        match plant.by("operator", &[&sign[..], &rest[..]].concat()) {
            Ok(said) => {
                if let (Some(id), Some(index)) = (said["id"].as_str(), said["index"].as_u64()) {
                    let mut all = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                    all.insert(id.to_owned(), index);
                }
            }
            Err(_) => failed += 1,
        }
        // Some pause, or the arm's queue grows beyond what it can do in time.
        std::thread::sleep(Duration::from_millis(1500));
    }
    failed
}

/// Does harm until enough was killed; what was done, counted.
fn harm(
    machines: &mut Machines,
    plant: &Plant,
    kills: u64,
    seed: u64,
) -> Result<BTreeMap<String, u64>> {
    let (mut dice, mut done, mut killed) = (Dice::new(seed), BTreeMap::new(), 0);
    while killed < kills {
        std::thread::sleep(Duration::from_millis(dice.below(700)));
        let fault = Fault::thrown(&mut dice, machines.names());
        *done.entry(fault.to_string()).or_insert(0) += 1;
        killed += u64::from(matches!(fault, Fault::Kill { .. }));
        machines.suffer(&fault, &mut dice)?;
        // Now and then the plant gets on its feet, so that there is something to lose.
        if dice.below(5) == 0 {
            let _ = wait("a moment of peace", Duration::from_secs(20), || {
                Ok(machines.ready(plant).then_some(()))
            });
            std::thread::sleep(Duration::from_millis(dice.below(3000)));
        }
        if killed.is_multiple_of(20) && matches!(fault, Fault::Kill { .. }) {
            eprintln!("   {killed} killed");
        }
    }
    machines.heal().context("after the last fault")?;
    Ok(done)
}

fn words(report: &Value) -> String {
    let number = |name: &str| report[name].as_u64().unwrap_or_default();
    format!(
        "{} kills in {} s (seed {})\n  {} orders acknowledged, {} of them lost\n  {} entries, {} findings in the ledger's files\n  \
         {} runs started, {} twice; the robot moved {} times\n  {} runs finished with all recordings, {} ended otherwise and say so, {} silently cut",
        number("kills"),
        number("seconds"),
        number("seed"),
        number("acknowledged"),
        number("lost"),
        number("entries"),
        number("findings"),
        number("started"),
        number("started_twice"),
        number("motions"),
        number("finished"),
        number("stated_failures"),
        number("silently_cut"),
    )
}

/// The page that `docs/` holds.
fn page(report: &Value) -> String {
    let faults: Vec<String> = report["faults"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, count)| format!("| {name} | {count} |"))
        .collect();
    format!(
        "# Killed, frozen, cut off\n\nMade by `cargo xtask chaos --docs`; every process of a plant (site, witness, cell, analyst) is a real one.\n\n\
         ```text\n{}\n```\n\n| fault | times |\n|---|---|\n{}\n\n\
         What is shown: an entry that was acknowledged is on the ledger at the index that was told; the ledger's\n\
         files, roots and cosignatures check; each order started at most once, by the ledger and by the robot's\n\
         own count; each run that says it finished has its recordings, and every other says that it did not.\n",
        words(report),
        faults.join("\n")
    )
}
