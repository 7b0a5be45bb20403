//! `chaos`: a working plant whose machines are killed, frozen, cut off, filled up and
//! set to the wrong time at random, and the proof that nothing acknowledged was lost
//! and nothing ran twice.
//!
//! The machines are real processes with real disks; a kill is `SIGKILL` at a random
//! moment, a freeze is `SIGSTOP`, a cut is a relay between cell and site that goes
//! dumb in one direction, a full disk has not one byte left, a wrong clock is an hour
//! ahead. Meanwhile operators order runs. What an operator was told is logged must be
//! on the ledger at the end, at the place it was told. Afterwards each machine starves
//! by itself, to show what it says.

mod clock;
mod data;
mod disk;
mod faults;
mod machines;
mod page;
mod relay;
mod starve;
mod verdict;

use crate::{
    plant::{Plant, build, wait},
    story::approve_program,
    tools::{flag, has, need_debian, option, root, run as start, step, target},
};
use anyhow::{Context, Result};
use faults::{Dice, Fault};
use machines::Machines;
use serde_json::{Value, json};
use starve::Want;
use std::{
    collections::BTreeMap,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How many kills when nobody says.
const KILLS: u64 = 200;
/// How many people order at the same time, and how long each pauses, or the arm's queue
/// grows beyond what it can do in time.
const OPERATORS: usize = 2;
const PAUSE: Duration = Duration::from_secs(4);
/// How many kills, and of which seed, the tests of every change make do with. It throws
/// each kind of fault but a wrong clock, which starving has.
const SHORT: (u64, u64) = (5, 5);
/// Says that this process has mounts of its own already.
const APART: &str = "--apart";

/// What was acknowledged: entry and index.
type Acknowledged = Arc<Mutex<BTreeMap<String, u64>>>;

/// Runs it.
pub fn run(arguments: &[String]) -> Result<()> {
    if !flag(arguments, APART) {
        need_debian(has("curl"), &["curl"])?;
        if need_debian(clock::library().is_some(), &["libfaketime"]).is_err() {
            eprintln!("skipped: wrong clocks, which need Debian's libfaketime");
        }
        if disk::can() {
            return apart(arguments);
        }
        eprintln!("skipped: full disks, which need root and `unshare --mount`");
    }
    let kills = option(arguments, "--kills").map_or(Ok(KILLS), |n| n.parse())?;
    let seed = option(arguments, "--seed").map_or_else(Dice::fresh_seed, |s| s.parse())?;
    let all = if flag(arguments, "--short") { &starve::FEW[..] } else { &starve::ALL[..] };
    let disks = flag(arguments, APART);
    let out = target().join("chaos");
    let report = against_fresh_plant(&build("dev")?, &out, kills, seed, disks, all)?;
    let path = out.join("report.json");
    std::fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    match flag(arguments, "--json") {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => println!("{}", words(&report)),
    }
    if flag(arguments, "--docs") {
        page::write(&root().join("docs"), &report)?;
    }
    Ok(())
}

/// A few kills, a disk that fills up during a run, a clock an hour ahead: what every
/// change must stand.
pub fn short() -> Result<()> {
    let (kills, seed) = SHORT;
    let (kills, seed) = (kills.to_string(), seed.to_string());
    run(&["--short", "--kills", &kills, "--seed", &seed].map(Into::into))
}

/// The same in a process whose mounts are its own and end with it.
///
/// What runs here is named by its process, not by its path: a build of the whole
/// workspace may have put another program there since this one started.
fn apart(arguments: &[String]) -> Result<()> {
    let own = format!("/proc/{}/exe", std::process::id());
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).arg(own).arg("chaos");
    start(command.args(arguments).arg(APART))
}

/// Starts a plant, does all that to it, and judges what is left.
fn against_fresh_plant(
    bin: &Path,
    out: &Path,
    kills: u64,
    seed: u64,
    disks: bool,
    wants: &[Want],
) -> Result<Value> {
    if out.exists() {
        std::fs::remove_dir_all(out)?;
    }
    let mut plant = Plant::start(bin, out, &["--name".into(), "Chaos".into()])?;
    approve_program(&plant)?;
    plant.down();
    let mut machines = Machines::start(bin, &plant.dir, disks)?;
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
    let giver = {
        let (plant, stop, acknowledged) = (plant.clone(), stop.clone(), acknowledged.clone());
        std::thread::spawn(move || data::give(&plant, &stop, &acknowledged))
    };
    // Harm needs something that can be lost: an order, a recording, a report.
    let something = || Ok((!data::grants(&plant)?.is_empty()).then_some(()));
    let began_well = wait("a first run, granted", Duration::from_secs(120), something);
    let began = Instant::now();
    let done = began_well.and_then(|()| harm(&mut machines, &plant, kills, seed));
    stop.store(true, Relaxed);
    let given = giver.join().unwrap_or_default();
    let refused: u64 = people.into_iter().map(|p| p.join().unwrap_or_default()).sum();
    let harmed = done?;
    let harmed_s = began.elapsed().as_secs();

    step("healing, and letting what is open come to its end");
    machines.heal()?;
    machines.wait_ready(&plant)?;
    verdict::settle(&plant)?;
    step("each machine without room, with a wrong clock, without news");
    let starved = starve::starve(&mut machines, &plant, wants, &acknowledged)?;
    let acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
    verdict::settle(&plant)?;
    step("reading back what was recorded");
    let reports = data::reported(&plant)?;
    // From here on it is only asked, and works on nothing.
    machines.end("analyst")?;
    let read_back = data::read_back(&plant, seed)?;
    let entries = verdict::entries(&plant)?;
    let bytes_read = data::accounted(&plant, &entries)?;
    let mut report = verdict::judge(&plant, &entries, &acknowledged)?;
    step("the same from the disk, with all machines off");
    machines.stop();
    verdict::offline(&plant)?;
    if let Some(report) = report.as_object_mut() {
        report.insert("kills".into(), kills.into());
        report.insert("faults".into(), json!(harmed));
        report.insert("seed".into(), seed.into());
        report.insert("starved".into(), starved.into());
        report.insert("seconds".into(), harmed_s.into());
        report.insert("orders_not_acknowledged".into(), refused.into());
        report.insert("granted_meanwhile".into(), given.into());
        report.insert("reports".into(), reports.into());
        report.insert("read_back".into(), read_back.into());
        report.insert("bytes_read".into(), bytes_read.into());
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
        std::thread::sleep(PAUSE);
    }
    failed
}

/// Does what the seed throws; what was done, counted.
fn harm(
    machines: &mut Machines,
    plant: &Plant,
    kills: u64,
    seed: u64,
) -> Result<BTreeMap<String, u64>> {
    let (mut done, mut killed) = (BTreeMap::new(), 0_u64);
    for throw in faults::throws(seed, kills) {
        std::thread::sleep(throw.after);
        if !machines.able(&throw.fault) {
            continue;
        }
        *done.entry(throw.fault.to_string()).or_insert(0) += 1;
        machines.suffer(&throw.fault, throw.lasts)?;
        if let Some(peace) = throw.peace {
            let _ = wait("a moment of peace", Duration::from_secs(20), || {
                Ok(machines.ready(plant).then_some(()))
            });
            std::thread::sleep(peace);
        }
        if matches!(throw.fault, Fault::Kill { .. }) {
            killed += 1;
            if killed.is_multiple_of(20) {
                eprintln!("   {killed} killed");
            }
        }
    }
    machines.heal().context("after the last fault")?;
    Ok(done)
}

fn words(report: &Value) -> String {
    let number = |name: &str| report[name].as_u64().unwrap_or_default();
    format!(
        "{} kills in {} s (seed {})\n  {} orders and grants acknowledged, {} of them lost\n  {} entries, {} findings in the ledger's files\n  \
         {} runs started; the robot moved {} times, {} orders moved it twice or unstarted\n  {} runs finished with all recordings, {} ended otherwise and say so, {} silently cut\n  \
         {} runs granted meanwhile, {} reports, one under each grant; {} recordings read back whole",
        number("kills"),
        number("seconds"),
        number("seed"),
        number("acknowledged"),
        number("lost"),
        number("entries"),
        number("findings"),
        number("started"),
        number("motions"),
        number("moved_beyond"),
        number("finished"),
        number("stated_failures"),
        number("silently_cut"),
        number("granted_meanwhile"),
        number("reports"),
        number("read_back"),
    )
}
