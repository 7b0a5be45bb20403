//! A real process is killed (SIGKILL) while it appends, again and again. No
//! acknowledged entry is lost, none stands twice, and the log stays sound.
//!
//! `LEDGER_KILLS` sets the number of kills.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use ledger::*;
use rand::Rng;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// The process that is killed: appends from many tasks, and prints each acknowledged
/// entry with its index.
#[test]
#[ignore = "the child of `killed_at_random_points`"]
fn appender() {
    let dir = std::env::var("LEDGER_DIR").expect("run by the other test only");
    let round = std::env::var("LEDGER_ROUND").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let log = open(Arc::new(RealFs), std::path::Path::new(&dir)).unwrap();
        let tasks: Vec<_> = (0..16)
            .map(|task| {
                let (log, round) = (log.clone(), round.clone());
                tokio::spawn(async move {
                    for n in 0.. {
                        let entry = format!("{round}-{task}-{n}");
                        let appended = log.append(entry.clone().into_bytes()).await.unwrap();
                        let line = format!("ack {} {entry}\n", appended.index);
                        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn killed_at_random_points() {
    let kills: u32 = std::env::var("LEDGER_KILLS").map_or(20, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let fs = create(dir.path());
    let mut acknowledged: BTreeMap<u64, String> = BTreeMap::new();
    for round in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "appender", "--ignored", "--nocapture", "--test-threads=1"])
            .env("LEDGER_DIR", dir.path())
            .env("LEDGER_ROUND", round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lives = rand::rng().random_range(0..200);
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut note = |line: &str| {
            if let Some((index, entry)) = line.strip_prefix("ack ").and_then(|l| l.split_once(' '))
            {
                let before = acknowledged.insert(index.parse().unwrap(), entry.to_owned());
                assert_eq!(before, None, "index {index} was given twice");
            }
        };
        while let Some(Ok(line)) = out.next() {
            note(&line);
            lives -= 1;
            if lives <= 0 {
                break;
            }
        }
        child.kill().unwrap();
        out.by_ref().map_while(Result::ok).for_each(|line| note(&line));
        child.wait().unwrap();
    }
    assert!(acknowledged.len() as u32 > kills, "the appender got nowhere");

    let store = Store::open(fs.clone(), dir.path(), signer()).unwrap();
    // Replaying also asserts that no entry stands twice and time never runs back.
    let state = OnceEach::replay(&store.reader(), store.size());
    for (index, entry) in &acknowledged {
        assert_eq!(state.index_of(entry.as_bytes()), Some(*index), "{entry}");
    }
    store.close().unwrap();
    assert_eq!(check(fs, dir.path(), &policy(1, 1)).findings, []);
}
