//! Every operation of the file system fails in turn, in each way it can, and power is
//! lost at every operation. Afterwards the log opens, holds each acknowledged leaf,
//! passes the check and goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::faulty::{Failure, Faulty};
use common::volatile::Volatile;
use common::*;
use ledger::*;
use std::path::Path;
use std::sync::Arc;

/// Leaves per commit: 40 commits cross three tiles and settle several times.
const BATCH: usize = 20;
const COMMITS: usize = 40;

fn dir() -> &'static Path {
    Path::new("/log")
}

fn batch(start: usize) -> Vec<String> {
    (start..start + BATCH).map(|n| format!("leaf {n}")).collect()
}

/// Commits until something fails; returns how many leaves were acknowledged.
fn work(fs: Arc<dyn Fs>) -> usize {
    if Store::create(fs.as_ref(), dir(), &signer()).is_err() {
        return 0;
    }
    let Ok(mut store) = Store::open(fs, dir(), signer()) else {
        return 0;
    };
    for commit in 0..COMMITS {
        if store.commit(&batch(commit * BATCH)).is_err() {
            let after = store.commit(&["more"]);
            assert!(matches!(after, Err(CommitError::Stopped)), "it goes on after a failure");
            return commit * BATCH;
        }
    }
    let _ = store.close();
    COMMITS * BATCH
}

/// What a later opening must find.
fn verify(fs: Arc<dyn Fs>, acknowledged: usize, case: &str) {
    match Store::create(fs.as_ref(), dir(), &signer()) {
        Ok(()) => assert_eq!(acknowledged, 0, "{case}: the log is gone"),
        Err(OpenError::Taken(..)) => {}
        Err(error) => panic!("{case}: {error}"),
    }
    let mut store = match Store::open(fs.clone(), dir(), signer()) {
        Ok(store) => store,
        Err(error) => panic!("{case}: {error}"),
    };
    let size = store.size() as usize;
    assert!(size >= acknowledged, "{case}: {acknowledged} acknowledged, {size} found");
    assert!(size.is_multiple_of(BATCH), "{case}: a batch is in the log in part");
    let leaves = store.reader().read_entries(0..size as u64, size as u64).unwrap();
    for (n, leaf) in leaves.iter().enumerate() {
        assert_eq!(leaf, format!("leaf {n}").as_bytes(), "{case}");
    }
    for _ in 0..3 {
        store.commit(&batch(store.size() as usize)).unwrap();
    }
    let size = store.size();
    store.close().unwrap();
    let checked = check(fs, dir(), &policy(1, 1));
    assert_eq!((checked.size, checked.findings), (size, vec![]), "{case}");
}

#[test]
fn any_operation_may_fail() {
    let dry = Faulty::new(Arc::new(Volatile::new()), u64::MAX, Failure::Failed);
    assert_eq!(work(dry.clone()), COMMITS * BATCH);
    assert!(dry.count() > 250, "the work takes {} operations only", dry.count());
    for failure in [Failure::Failed, Failure::Half, Failure::FailedButPersisted] {
        for at in 0..dry.count() {
            let disk = Volatile::new();
            let faulty = Faulty::new(Arc::new(disk.clone()), at, failure);
            let acknowledged = work(faulty);
            let case = format!("operation {at} {failure:?}");
            verify(
                Arc::new(disk.after_power_loss(at)),
                acknowledged,
                &format!("{case}, power lost"),
            );
            verify(Arc::new(disk), acknowledged, &case);
        }
    }
}

#[test]
fn power_may_be_lost_at_any_operation() {
    let dry = Volatile::new();
    work(Arc::new(dry.clone()));
    for at in 0..dry.operations() {
        let disk = Volatile::new();
        disk.fail_after(at);
        let acknowledged = work(Arc::new(disk.clone()));
        for seed in 0..4 {
            let case = format!("power lost at operation {at}, seed {seed}");
            verify(Arc::new(disk.after_power_loss(seed)), acknowledged, &case);
        }
    }
}

/// Power is lost again and again, also while recovering.
#[test]
fn power_may_be_lost_many_times() {
    for seed in 0..40 {
        let mut disk = Volatile::new();
        Store::create(&disk, dir(), &signer()).unwrap();
        let mut acknowledged = 0;
        for round in 0..30u64 {
            disk.fail_after((seed * 131 + round * 37) % 300);
            let fs: Arc<dyn Fs> = Arc::new(disk.clone());
            if let Ok(mut store) = Store::open(fs, dir(), signer()) {
                assert!(store.size() as usize >= acknowledged, "seed {seed} round {round}");
                while store.commit(&batch(store.size() as usize)).is_ok() {
                    acknowledged = store.size() as usize;
                }
            }
            disk = disk.after_power_loss(seed * 1000 + round);
        }
        verify(Arc::new(disk), acknowledged, &format!("seed {seed}"));
    }
}
