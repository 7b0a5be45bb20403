//! Megabytes a core-second of encrypt, address and store.
//!
//! `cargo run --release -p vault --example seal_rate -- [--json] [MEGABYTES] [FOLDER]`
//! records that much plaintext into a new store and prints bytes over CPU time
//! (user and system, all threads) and over wall time, with the final sync.
#![allow(clippy::print_stdout)]

use std::{error::Error, fs, io::Write, path::PathBuf, sync::Arc, time::Instant};
use vault::{
    record::Recorder,
    seal::{StreamHeader, StreamKey},
    store::Store,
};

/// CPU seconds of this process: user, system (Linux counts in hundredths).
fn cpu() -> Result<(f64, f64), Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    let mut next = || ticks.next().ok_or("short /proc/self/stat");
    Ok((next()?? / 100.0, next()?? / 100.0))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (flags, words): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|a| a == "--json");
    let mut args = words.into_iter();
    let megabytes: usize = args.next().map_or(Ok(2000), |n| n.parse())?;
    let parent = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::Builder::new().prefix("seal-rate").tempdir_in(parent)?;
    let store = Arc::new(Store::open(dir.path())?);
    let key = StreamKey::generate(aws_lc_rs::rand::fill)?;
    let header = StreamHeader::generate(aws_lc_rs::rand::fill)?;
    let mut piece = vec![0; 1_000_000];
    aws_lc_rs::rand::fill(&mut piece)?;

    let (before, start) = (cpu()?, Instant::now());
    let mut recorder = Recorder::start(store, &key, header, b"seal-rate")?;
    for _ in 0..megabytes {
        recorder.write_all(&piece)?;
    }
    let stored = start.elapsed().as_secs_f64();
    let during = cpu()?;
    let made = recorder.finish(|_| Vec::new())?;
    let (after, wall) = (cpu()?, start.elapsed().as_secs_f64());

    let mb = made.plaintext as f64 / 1e6;
    let (user, system) = (after.0 - before.0, after.1 - before.1);
    if !flags.is_empty() {
        println!(
            "{{\"mb\":{mb:.0},\"mb_per_core_s\":{:.1},\"mb_per_s\":{:.1}}}",
            mb / (user + system),
            mb / wall
        );
        return Ok(());
    }
    println!("{mb:.0} MB, root {}", made.root.cid);
    println!(
        "{:.0} MB per core-second ({user:.2} s user, {system:.2} s system)",
        mb / (user + system)
    );
    println!("{:.0} MB per user core-second", mb / user);
    println!(
        "{:.0} MB per core-second before the final sync",
        mb / (during.0 - before.0 + during.1 - before.1)
    );
    println!("{:.0} MB/s of wall time, {:.0} before the final sync", mb / wall, mb / stored);
    Ok(())
}
