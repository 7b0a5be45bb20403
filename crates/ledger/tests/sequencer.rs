//! Appending: order, idempotence, refusals, group commit, reopening.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base::Millis;
use common::*;
use ledger::*;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_appended_in_order_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let (clock, now) = set_clock();
    now.store(1000, Ordering::SeqCst);
    let log = open_with(create(dir.path()), dir.path(), clock).unwrap();
    let first = log.append(b"a".to_vec()).await.unwrap();
    assert_eq!(first, Appended { index: 0, logged_at: Millis(1000), known: false });
    now.store(500, Ordering::SeqCst);
    let second = log.append(b"b".to_vec()).await.unwrap();
    assert_eq!((second.index, second.logged_at), (1, Millis(1000)), "time never runs backwards");
    let again = log.append(b"a".to_vec()).await.unwrap();
    assert_eq!(again, Appended { known: true, ..first });
    let refused = log.append(b"refuse me".to_vec()).await;
    assert!(matches!(refused, Err(AppendError::Refused(_))));
    let long = log.append(vec![b'x'; 65_000]).await;
    assert!(matches!(long, Err(AppendError::TooLong { got: 65_000, .. })));
    let committed = log.committed().borrow().checkpoint().clone();
    assert_eq!(committed.size, 2);
    let leaves = log.reader().read_entries(0..2, 2).unwrap();
    assert_eq!(leaves, [leaf(Millis(1000), b"a"), leaf(Millis(1000), b"b")]);
    log.close().await;
    assert!(matches!(log.append(b"c".to_vec()).await, Err(AppendError::Stopped(_))));
}

#[test]
fn concurrent_appends_get_distinct_indexes_and_survive_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let fs = create(dir.path());
    let mut expected = Vec::new();
    for round in 0..3 {
        runtime().block_on(async {
            let log = open(fs.clone(), dir.path()).unwrap();
            let tasks: Vec<_> = (0..400)
                .map(|n| {
                    let log = log.clone();
                    tokio::spawn(async move {
                        let entry = format!("round {round} entry {n}").into_bytes();
                        let appended = log.append(entry.clone()).await.unwrap();
                        (appended.index, leaf(appended.logged_at, &entry))
                    })
                })
                .collect();
            for task in tasks {
                expected.push(task.await.unwrap());
            }
            log.close().await;
        });
    }
    let indexes: BTreeSet<_> = expected.iter().map(|(index, _)| *index).collect();
    assert_eq!(indexes.len(), 1200);
    let reader = Reader::new(fs.clone(), dir.path());
    let leaves = reader.read_entries(0..1200, 1200).unwrap();
    for (index, leaf) in &expected {
        assert_eq!(&leaves[*index as usize], leaf);
    }
    assert_eq!(check(fs, dir.path(), &policy(1, 1)).findings, []);
}

#[test]
fn one_writer_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let fs = create(dir.path());
    let first = Store::open(fs.clone(), dir.path(), signer()).unwrap();
    let second = Store::open(fs.clone(), dir.path(), signer());
    assert!(matches!(second, Err(OpenError::Taken(..))));
    drop(first);
    assert!(Store::open(fs.clone(), dir.path(), signer()).is_ok());
    assert!(matches!(Store::create(fs.as_ref(), dir.path(), &signer()), Err(OpenError::Taken(..))));
    let absent = tempfile::tempdir().unwrap();
    assert!(matches!(Store::open(fs, absent.path(), signer()), Err(OpenError::File(_))));
}

#[test]
fn the_log_of_another_key_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let fs = create(dir.path());
    let other = proof::log::LogSigner::new(ORIGIN, key(2)).unwrap();
    let opened = Store::open(fs, dir.path(), Arc::new(other));
    assert!(matches!(opened, Err(OpenError::Damaged(..))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// However entries fall into batches and openings, the log is the same.
    #[test]
    fn batches_do_not_matter(batches in proptest::collection::vec(1usize..200, 1..12), reopen in any::<u16>()) {
        let dir = tempfile::tempdir().unwrap();
        let fs = create(dir.path());
        let mut store = Store::open(fs.clone(), dir.path(), signer()).unwrap();
        let mut frontier = proof::log::merkle::Frontier::new();
        let mut total = 0;
        for (n, batch) in batches.iter().enumerate() {
            let leaves: Vec<_> = (total..total + batch).map(|n| format!("leaf {n}")).collect();
            leaves.iter().for_each(|l| frontier.push(proof::log::merkle::leaf_hash(l.as_bytes())));
            total += batch;
            let committed = store.commit(&leaves).unwrap().checkpoint().clone();
            prop_assert_eq!((committed.size, committed.root), (total as u64, frontier.root()));
            if reopen & (1 << n) != 0 {
                // Dropped without closing, as after a crash.
                drop(store);
                store = Store::open(fs.clone(), dir.path(), signer()).unwrap();
                prop_assert_eq!(store.committed().checkpoint(), &committed);
            }
        }
        let (size, reader) = (total as u64, store.reader());
        prop_assert_eq!(reader.root(size).unwrap(), frontier.root());
        for index in [0, size / 2, size - 1] {
            let path = reader.inclusion(index, size).unwrap();
            let leaf = proof::log::merkle::leaf_hash(format!("leaf {index}").as_bytes());
            prop_assert!(proof::log::merkle::verify_inclusion(&leaf, index, size, &path, &frontier.root()));
            let old = index + 1;
            let path = reader.consistency(old, size).unwrap();
            let before = reader.root(old).unwrap();
            prop_assert!(proof::log::merkle::verify_consistency(old, &before, size, &frontier.root(), &path));
        }
        store.close().unwrap();
        prop_assert_eq!(check(fs, dir.path(), &policy(1, 1)).findings, vec![]);
    }
}

#[test]
fn check_finds_each_changed_byte() {
    let dir = tempfile::tempdir().unwrap();
    let fs = create(dir.path());
    let mut store = Store::open(fs.clone(), dir.path(), signer()).unwrap();
    let leaves: Vec<_> = (0..600).map(|n| format!("leaf {n}")).collect();
    store.commit(&leaves).unwrap();
    store.close().unwrap();
    let sound = check(fs.clone(), dir.path(), &policy(1, 1));
    assert_eq!((sound.size, sound.findings), (600, vec![]));
    for file in [
        "tile/0/000",
        "tile/0/001",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
        "tile/entries/000",
        "tile/entries/002.p/88",
        "checkpoint.settled",
    ] {
        let path = dir.path().join(file);
        let good = std::fs::read(&path).unwrap();
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            let findings = check(fs.clone(), dir.path(), &policy(1, 1)).findings;
            assert!(!findings.is_empty(), "byte {at} of {file}");
        }
        std::fs::remove_file(&path).unwrap();
        let findings = check(fs.clone(), dir.path(), &policy(1, 1)).findings;
        assert!(findings.iter().any(|f| f.file == file), "{file} is gone: {findings:?}");
        std::fs::write(&path, &good).unwrap();
    }
}
