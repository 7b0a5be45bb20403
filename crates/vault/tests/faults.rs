//! Each operation of the disk fails in turn, in each way it can, and power is lost at
//! each. Afterwards blocks, recordings and keys open, hold all that was acknowledged,
//! serve nothing torn, give no destroyed key back, and go on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod faulty;

use base::Id;
use faulty::{Failure, Faulty};
use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
};
use vault::{
    Cid,
    address::raw_cid,
    keys::{KeyError, KeyVault},
    seal::StreamKey,
    store::{Finding, Store, StoreError},
};

/// Small, so that eight blocks cross several packs.
const PACK: u64 = 2500;
const BLOCKS: u8 = 8;

static MASTERS: AtomicU8 = AtomicU8::new(0);

fn block(n: u8) -> Vec<u8> {
    vec![n; 700]
}

fn id(n: u8) -> Id {
    format!("rec-{n}").parse().unwrap()
}

/// What the caller was told, and what was tried.
#[derive(Debug, Default)]
struct Told {
    blocks: BTreeSet<u8>,
    pinned: BTreeSet<u8>,
    keys: BTreeSet<u8>,
    shredding: bool,
    shredded: bool,
    removing: bool,
    removed: bool,
}

fn stores(disk: &Arc<Faulty>) -> Result<(Store, KeyVault), String> {
    let keys = || {
        KeyVault::open_on(disk.clone(), disk.root.path().join("keys"), |b| {
            // Each is another one, so that a lost master key shows.
            b.fill(MASTERS.fetch_add(1, Relaxed));
            Ok::<_, io::Error>(())
        })
    };
    let store = || Store::open_on(disk.clone(), disk.root.path().join("data/vault"), PACK);
    // A caller tries again, and what the first attempt left must not deceive the next.
    let keys = keys().or_else(|_| keys()).map_err(|e| e.to_string())?;
    let store = store().or_else(|_| store()).map_err(|e| e.to_string())?;
    Ok((store, keys))
}

fn put(store: &Store, n: u8) -> Result<Cid, StoreError> {
    let (bytes, cid) = (block(n), raw_cid(&block(n)));
    store.put(&cid, &bytes).or_else(|_| store.put(&cid, &bytes))?;
    // Every other block is left to the pin, which must make it durable itself.
    if n.is_multiple_of(2) {
        store.commit().or_else(|_| store.commit())?;
    }
    Ok(cid)
}

fn work(disk: &Arc<Faulty>) -> Told {
    let mut told = Told::default();
    let Ok((store, keys)) = stores(disk) else {
        return told;
    };
    for n in 0..BLOCKS {
        let key = StreamKey::from_bytes([n; 32]);
        if keys.keep(&id(n), &key, [n; 12]).or_else(|_| keys.keep(&id(n), &key, [n; 12])).is_ok() {
            told.keys.insert(n);
        }
        if let Ok(cid) = put(&store, n) {
            let pinned = store.pin(&cid, b"meta").or_else(|_| store.pin(&cid, b"meta")).is_ok();
            if pinned {
                told.pinned.insert(n);
            }
            if pinned || n.is_multiple_of(2) {
                told.blocks.insert(n);
            }
        }
        if n == 4 && told.keys.contains(&1) {
            told.shredding = true;
            let again = |_| match keys.shred(&id(1)) {
                Err(KeyError::Absent(_)) | Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            told.shredded = keys.shred(&id(1)).map(drop).or_else(again).is_ok();
        }
        if n == 5 && told.pinned.contains(&0) {
            told.removing = true;
            let root = raw_cid(&block(0));
            told.removed = store.remove(&root).or_else(|_| store.remove(&root)).is_ok();
            if told.removed {
                let _ = store.reclaim();
            }
        }
    }
    told
}

fn verify(disk: &Arc<Faulty>, told: &Told, case: &str) {
    let (store, keys) = stores(disk).unwrap_or_else(|e| panic!("{case}: {e}"));
    for n in 0..BLOCKS {
        let cid = raw_cid(&block(n));
        let found = store.get(&cid).unwrap_or_else(|e| panic!("{case}: {e}"));
        assert!(found.is_none_or(|bytes| bytes == block(n)), "{case}: block {n} is torn");
        let gone = n == 0 && told.removing;
        assert!(gone || !told.blocks.contains(&n) || store.has(&cid), "{case}: block {n} is lost");
        let live = store.root(&cid).is_some_and(|root| !root.gone && root.metadata == b"meta");
        assert!(gone || !told.pinned.contains(&n) || live, "{case}: recording {n} is lost");
        let key = keys.get(&id(n));
        let right = key.as_ref().is_ok_and(|key| key.expose() == &[n; 32]);
        assert!(key.is_err() || right, "{case}: key {n} is another one");
        let may_go = n == 1 && told.shredding;
        assert!(may_go || !told.keys.contains(&n) || right, "{case}: key {n} is lost");
    }
    assert!(!told.shredded || keys.get(&id(1)).is_err(), "{case}: a destroyed key is back");
    if told.removed {
        let root = store.root(&raw_cid(&block(0)));
        assert!(root.is_some_and(|root| root.gone), "{case}: a removed recording is back");
    }
    let findings = store.check().unwrap().findings;
    let serious = |f: &&Finding| !matches!(f, Finding::Pack { .. });
    assert_eq!(findings.iter().find(serious), None, "{case}");
    // It goes on, and what it takes now stays.
    let cid = put(&store, 200).unwrap_or_else(|e| panic!("{case}: {e}"));
    store.pin(&cid, b"after").unwrap();
    keys.keep(&id(200), &StreamKey::from_bytes([200; 32]), [9; 12]).unwrap();
    drop((store, keys));
    let (store, keys) = stores(&disk.after_power_loss(1)).unwrap();
    assert!(store.root(&cid).is_some() && keys.get(&id(200)).is_ok(), "{case}: it does not go on");
}

/// How many operations the work takes when nothing fails.
fn operations() -> u64 {
    let disk = Faulty::new(Failure::Once, u64::MAX);
    let told = work(&disk);
    assert_eq!(told.blocks.len() + told.pinned.len() + told.keys.len(), 3 * usize::from(BLOCKS));
    assert!(told.shredded && told.removed);
    assert!(disk.operations() > 150, "only {} operations", disk.operations());
    disk.operations()
}

fn each(failure: Failure, losses: u64) {
    for at in 0..operations() {
        let disk = Faulty::new(failure, at);
        let told = work(&disk);
        let case = format!("operation {at} {failure:?}, told {told:?}");
        verify(&disk.after_kill(), &told, &format!("{case}, killed"));
        for seed in 0..losses {
            let case = format!("{case}, power lost, seed {seed}");
            verify(&disk.after_power_loss(at * 7 + seed), &told, &case);
        }
    }
}

#[test]
fn any_operation_may_fail() {
    each(Failure::Once, 1);
}

#[test]
fn any_write_may_be_torn() {
    each(Failure::Half, 1);
}

#[test]
fn any_operation_may_happen_and_say_that_it_failed() {
    each(Failure::Persisted, 1);
}

#[test]
fn the_disk_may_be_full_from_any_operation_on() {
    each(Failure::Full, 1);
}

#[test]
fn power_may_be_lost_at_any_operation() {
    each(Failure::Power, 3);
}
