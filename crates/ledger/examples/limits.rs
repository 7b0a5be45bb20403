//! What one core and this disk can do at most: the bounds of every other figure.
//!
//! `cargo run --release -p ledger --example limits -- [FOLDER]` prints one line of
//! JSON: an fdatasync of 4 KiB written over in place (p50 and p99, milliseconds),
//! SHA-256 (megabytes a second) and Ed25519 verifications a second, each on one core.
#![allow(clippy::print_stdout)]

use base::sha256;
use proof::keys::{SecretKey, Signer, verify_ed25519};
use std::{
    error::Error,
    fs::File,
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long each is measured.
const TIME: Duration = Duration::from_secs(1);

fn syncs(folder: &Path) -> Result<(f64, f64), Box<dyn Error>> {
    let mut file = tempfile::tempfile_in(folder)?;
    let once = |file: &mut File| -> Result<f64, std::io::Error> {
        let started = Instant::now();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[0x5a; 4096])?;
        file.sync_data()?;
        Ok(started.elapsed().as_secs_f64() * 1000.0)
    };
    once(&mut file)?;
    let mut times = (0..200).map(|_| once(&mut file)).collect::<Result<Vec<_>, _>>()?;
    times.sort_by(f64::total_cmp);
    let at = |rank: usize| times.get(rank).copied().unwrap_or_default();
    Ok((at(99), at(197)))
}

/// How often something can be done in a second.
fn per_second(mut work: impl FnMut()) -> f64 {
    let (started, mut done) = (Instant::now(), 0_u32);
    while started.elapsed() < TIME {
        work();
        done += 1;
    }
    f64::from(done) / started.elapsed().as_secs_f64()
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let (p50, p99) = syncs(&folder)?;
    let megabyte = vec![0x5a; 1_000_000];
    let hashed = per_second(|| {
        std::hint::black_box(sha256(std::hint::black_box(&megabyte)));
    });
    let key = SecretKey::from_seed(&[7; 32])?;
    let message = vec![0x5a; 500];
    let (public, signature) = (key.public(), key.sign(&message));
    let verified = per_second(|| {
        std::hint::black_box(verify_ed25519(&public, std::hint::black_box(&message), &signature));
    });
    let report = serde_json::json!({
        "fdatasync_p50_ms": p50, "fdatasync_p99_ms": p99,
        "sha256_mb_per_s": hashed, "ed25519_verifications_per_s": verified,
    });
    println!("{report}");
    Ok(())
}
