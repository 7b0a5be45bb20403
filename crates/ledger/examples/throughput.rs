#![allow(clippy::indexing_slicing)]
//! How many durable entries a second, and how long one alone takes.
//!
//! `cargo run --release -p ledger --example throughput [SECONDS] [BYTES]`

use base::{Millis, Refusal};
use ledger::{Admission, Admitted, Limits, RealFs, Sequencer, Store};
use proof::keys::SecretKey;
use proof::log::LogSigner;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Admits everything: what is measured is the ledger.
struct Everything;

impl Admission for Everything {
    type Request = Vec<u8>;

    fn admit(&mut self, _: u64, _: Millis, entry: Vec<u8>) -> Result<Admitted, Refusal> {
        Ok(Admitted::New { leaf: entry })
    }
    fn last_logged_at(&self) -> Millis {
        Millis(0)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let bytes: usize = arguments.next().map_or(Ok(700), |text| text.parse())?;
    let dir = std::env::temp_dir().join(format!("ledger-throughput-{}", std::process::id()));
    let signer = LogSigner::new("bench.example/ledger", Arc::new(SecretKey::from_seed(&[1; 32])?))?;
    Store::create(&RealFs, &dir, &signer)?;
    let store = Store::open(Arc::new(RealFs), &dir, Arc::new(signer))?;
    let clock = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(now.as_millis() as u64)
    };
    let log = Sequencer::start(store, Box::new(Everything), Arc::new(clock), Limits::default());

    let mut alone = Vec::new();
    for _ in 0..200 {
        let started = Instant::now();
        log.append(vec![b'x'; bytes]).await?;
        alone.push(started.elapsed());
    }
    alone.sort();
    println!("one alone: p50 {:?}, p99 {:?}", alone[100], alone[198]);

    let (started, limit) = (Instant::now(), Duration::from_secs(seconds));
    let tasks: Vec<_> = (0..4000)
        .map(|_| {
            let log = log.clone();
            tokio::spawn(async move {
                while started.elapsed() < limit && log.append(vec![b'x'; bytes]).await.is_ok() {}
            })
        })
        .collect();
    for task in tasks {
        task.await?;
    }
    let size = log.committed().borrow().checkpoint().size - 200;
    println!("{:.0} entries a second", size as f64 / started.elapsed().as_secs_f64());
    log.close().await;
    Ok(std::fs::remove_dir_all(dir)?)
}
