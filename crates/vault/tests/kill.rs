//! A process that is killed while it writes loses nothing that it acknowledged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};
use vault::{
    address::{parse_cid, raw_cid},
    store::{Finding, OsDisk, Store},
};

const DIR: &str = "VAULT_KILL_TEST_DIR";

fn open(dir: &Path) -> Store {
    Store::open_on(Arc::new(OsDisk), dir, 100_000).unwrap()
}

/// Not a test: what the killed process runs.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn writer() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let store = open(Path::new(&dir));
    let first = store.check().unwrap().blocks as u32;
    for n in first.. {
        let block: Vec<u8> = n.to_be_bytes().repeat(1000);
        let cid = raw_cid(&block);
        store.put(&cid, &block).unwrap();
        let kind = if n % 3 == 0 {
            store.pin(&cid, b"metadata").unwrap();
            "pinned"
        } else {
            store.commit().unwrap();
            "stored"
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{kind} {cid}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn forty_kills_lose_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for kill in 0..40usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--ignored", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let known = |line: &String| line.starts_with("pinned ") || line.starts_with("stored ");
        let mut lines = lines.filter(known);
        acknowledged.extend(lines.by_ref().take(1 + kill % 7 * 5));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(lines);

        let store = open(dir.path());
        for line in &acknowledged {
            let (kind, cid) = line.split_once(' ').unwrap();
            let cid = parse_cid(cid).unwrap();
            assert!(store.get(&cid).unwrap().is_some(), "kill {kill}: {line}");
            assert_eq!(store.root(&cid).is_some(), kind == "pinned", "kill {kill}: {line}");
        }
        let findings = store.check().unwrap().findings;
        let serious = |f: &Finding| !matches!(f, Finding::Pack { .. });
        assert!(!findings.iter().any(serious), "kill {kill}: {findings:?}");
    }
    assert!(acknowledged.len() > 400);
}
