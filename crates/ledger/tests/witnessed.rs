//! From an append to a witnessed checkpoint, and to a follower that verifies it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use common::faulty::{Failure, Faulty};
use common::volatile::Volatile;
use common::*;
use ledger::*;
use proof::log::*;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tower::ServiceExt;

struct Plant {
    dir: tempfile::TempDir,
    fs: Arc<dyn Fs>,
    log: Sequencer,
    witnesses: Vec<Arc<LocalWitness>>,
    publisher: Publisher,
}

fn plant(count: u8, quorum: usize) -> Plant {
    let dir = tempfile::tempdir().unwrap();
    let log_dir = dir.path().join("log");
    let fs = create(&log_dir);
    let log = open(fs.clone(), &log_dir).unwrap();
    let open_witness = |n| LocalWitness::open(&dir.path().join(format!("w{n}")), n, clock());
    let witnesses: Vec<_> = (0..count).map(open_witness).collect();
    let clients = (0..count).zip(&witnesses).map(|(n, w)| witness(n, w.clone())).collect();
    let committed = log.committed();
    let policy = policy(count, quorum);
    let publisher = Publisher::start(fs.clone(), &log_dir, policy, clients, committed, timing());
    Plant { dir, fs, log, witnesses, publisher }
}

impl Plant {
    fn source(&self) -> LocalSource {
        let dir = self.dir.path().join("log");
        LocalSource(Reader::new(self.fs.clone(), &dir), dir)
    }
}

fn follower(count: u8, quorum: usize) -> Follower {
    Follower::new(policy(count, quorum), FollowerState::default(), 1 << 20)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_appended_entry_is_witnessed_followed_and_proven() {
    let plant = plant(2, 2);
    let mut follower = follower(2, 2);
    let mut followed = Vec::new();
    for n in 0..300u32 {
        let entry = format!("entry {n}").into_bytes();
        let appended = plant.log.append(entry.clone()).await.unwrap();
        if n % 100 == 7 {
            let checkpoint = plant.publisher.wait_witnessed(appended.index).await.unwrap();
            followed.extend(follower.poll(&plant.source()).await.unwrap());
            let at = &followed[appended.index as usize];
            assert!(at.included.is(&leaf(appended.logged_at, &entry)));
            let reader = plant.log.reader();
            let proof = reader.tlog_proof(appended.index, checkpoint.size(), checkpoint.note());
            let text = proof.unwrap().to_string();
            let included = policy(2, 2).verify_proof(text.as_bytes(), &at.leaf).unwrap();
            assert_eq!(included.index(), at.included.index());
        }
    }
    plant.publisher.wait_witnessed(299).await.unwrap();
    followed.extend(follower.poll(&plant.source()).await.unwrap());
    let entries: Vec<_> = followed.iter().map(|new| entry_of(&new.leaf).1).collect();
    let expected: Vec<_> = (0..300).map(|n| format!("entry {n}").into_bytes()).collect();
    assert_eq!(entries, expected);
    // A stored state goes on where it stood.
    let state = serde_json::to_vec(follower.state()).unwrap();
    let state = serde_json::from_slice(&state).unwrap();
    let mut again = Follower::new(policy(2, 2), state, 1 << 20);
    assert_eq!(again.poll(&plant.source()).await.unwrap(), []);
    assert_eq!(again.latest().unwrap().size(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_nothing_is_published_and_later_it_is() {
    let plant = plant(3, 2);
    plant.witnesses[0].reachable.store(false, Ordering::SeqCst);
    plant.log.append(b"a".to_vec()).await.unwrap();
    assert_eq!(plant.publisher.wait_witnessed(0).await.unwrap().size(), 1, "two of three do");
    plant.witnesses[1].reachable.store(false, Ordering::SeqCst);
    let second = plant.log.append(b"b".to_vec()).await.unwrap();
    assert_eq!(second.index, 1, "appending goes on");
    let waited =
        tokio::time::timeout(Duration::from_millis(200), plant.publisher.wait_witnessed(1));
    assert!(waited.await.is_err());
    assert_eq!(plant.publisher.latest().unwrap().size(), 1);
    plant.witnesses[0].reachable.store(true, Ordering::SeqCst);
    assert_eq!(plant.publisher.wait_witnessed(1).await.unwrap().size(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_log_is_cosigned_again() {
    let dir = tempfile::tempdir().unwrap();
    let log_dir = dir.path().join("log");
    let fs = create(&log_dir);
    let log = open(fs.clone(), &log_dir).unwrap();
    let (clock, now) = set_clock();
    now.store(5000, Ordering::SeqCst);
    let w = LocalWitness::open(&dir.path().join("w"), 0, clock);
    let clients = vec![witness(0, w)];
    let publisher =
        Publisher::start(fs, &log_dir, policy(1, 1), clients, log.committed(), timing());
    log.append(b"a".to_vec()).await.unwrap();
    let first = publisher.wait_witnessed(0).await.unwrap();
    assert_eq!(first.witnessed_at(), base::Millis(5000));
    now.store(60_000, Ordering::SeqCst);
    let mut published = publisher.subscribe();
    let fresh = |c: &Option<WitnessedCheckpoint>| {
        c.as_ref().is_some_and(|c| c.witnessed_at() == base::Millis(60_000))
    };
    let again = published.wait_for(fresh).await.unwrap().clone().unwrap();
    assert_eq!((again.size(), again.root()), (first.size(), first.root()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_finds_its_checkpoint_again() {
    let plant = plant(1, 1);
    plant.log.append(b"a".to_vec()).await.unwrap();
    plant.publisher.wait_witnessed(0).await.unwrap();
    let dir = plant.dir.path().join("log");
    let committed = plant.log.committed();
    let restarted =
        Publisher::start(plant.fs.clone(), &dir, policy(1, 1), Vec::new(), committed, timing());
    assert_eq!(restarted.latest().unwrap().size(), 1);
    // The power failed before a newer one was on the disk: readers have seen it, and
    // would take this one for a log that was cut.
    let old = std::fs::read(dir.join(ledger::publish::CHECKPOINT)).unwrap();
    plant.log.append(b"b".to_vec()).await.unwrap();
    plant.publisher.wait_witnessed(1).await.unwrap();
    drop((restarted, plant.publisher));
    std::fs::write(dir.join(ledger::publish::CHECKPOINT), old).unwrap();
    let committed = plant.log.committed();
    let restarted =
        Publisher::start(plant.fs.clone(), &dir, policy(1, 1), Vec::new(), committed, timing());
    assert_eq!(restarted.latest(), None);
}

/// The log of these leaves, or one under another root, with its witness or without.
fn forged(leaves: &[&str], witnessed: bool, honest_root: bool) -> Served {
    let root = if honest_root { root_of(leaves) } else { base::Digest([5; 32]) };
    let signed = signer().sign(leaves.len() as u64, root);
    let mut note = signed.note().to_vec();
    if witnessed {
        let line = cosign(&witness_name(0), key(10).as_ref(), signed.checkpoint(), 9).unwrap();
        note.extend_from_slice(line.as_bytes());
    }
    Served::new(note, leaves)
}

#[tokio::test]
async fn a_follower_refuses_rollback_fork_forgery_and_too_much() {
    let mut f = follower(1, 1);
    let unwitnessed = f.poll(&forged(&["a", "b"], false, true)).await.unwrap_err();
    assert!(matches!(unwitnessed, FollowError::Checkpoint(CheckpointError::Quorum { .. })));
    let wrong = f.poll(&forged(&["a", "b"], true, false)).await.unwrap_err();
    assert!(matches!(wrong, FollowError::Fork(ExtendError::Root { .. })));
    assert_eq!(f.size(), 0);
    assert_eq!(f.poll(&forged(&["a", "b"], true, true)).await.unwrap().len(), 2);
    let rollback = f.poll(&forged(&["a"], true, true)).await.unwrap_err();
    assert_eq!(rollback, FollowError::Rollback { got: 1, seen: 2 });
    assert!(rollback.is_lie());
    let same_size = f.poll(&forged(&["a", "x"], true, true)).await.unwrap_err();
    assert!(matches!(same_size, FollowError::Fork(ExtendError::Root { .. })));
    let fork = f.poll(&forged(&["a", "x", "c"], true, true)).await.unwrap_err();
    assert!(matches!(fork, FollowError::Fork(ExtendError::Root { .. })));
    let mut short = forged(&["a", "b", "c"], true, true);
    short.leaves.pop();
    assert!(matches!(f.poll(&short).await.unwrap_err(), FollowError::Bundle { index: 0, .. }));
    assert_eq!(f.poll(&forged(&["a", "b", "c"], true, true)).await.unwrap().len(), 1);
    // All leaves bear on keys, and nobody can hold them all.
    let long = "l".repeat(60_000);
    let many: Vec<&str> = (0..20).map(|_| long.as_str()).collect();
    let mut f = Follower::new(Everything(policy(1, 1)), FollowerState::default(), 1 << 14);
    let too_much = f.poll(&forged(&many, true, true)).await.unwrap_err();
    assert_eq!(too_much, FollowError::TooMuch(1 << 20));
    assert!(!too_much.is_lie());
    assert_eq!(f.poll(&forged(&many[..9], true, true)).await.unwrap().len(), 9);
}

/// Keys that any leaf might change.
struct Everything(LogPolicy);

impl KeysInForce for Everything {
    fn reads(&self, _: &[u8]) -> bool {
        true
    }

    fn policy(&self, _: u64, _: &[(u64, &[u8])]) -> Option<LogPolicy> {
        Some(self.0.clone())
    }
}

#[tokio::test]
async fn who_keeps_nothing_but_what_was_seen_takes_no_log_without_it() {
    let names: Vec<String> = (0..700).map(|n| format!("entry {n}")).collect();
    let leaves: Vec<&str> = names.iter().map(String::as_str).collect();
    for (size, step) in [(1, 1 << 20), (300, 1 << 20), (300, 1 << 10), (512, 1 << 10)] {
        let root = root_of(&leaves[..size]);
        let seen = size as u64;
        let fresh = || {
            let state = FollowerState::default();
            Follower::new(policy(1, 1), state, step).having_seen(seen, root)
        };
        let mut f = fresh();
        // What nobody cosigned says nothing of the log.
        let unproven = f.poll(&forged(&leaves[..size - 1], false, true)).await.unwrap_err();
        assert!(!unproven.is_lie(), "{unproven}");
        let short = f.poll(&forged(&leaves[..size - 1], true, true)).await.unwrap_err();
        assert_eq!(short, FollowError::Rollback { got: seen - 1, seen });
        let mut other = leaves.clone();
        other[size - 1] = "x";
        let rewritten = f.poll(&forged(&other, true, true)).await.unwrap_err();
        assert_eq!(rewritten, FollowError::Rewritten { seen });
        assert!(rewritten.is_lie() && f.size() == 0 && f.latest().is_none());
        for log in [&leaves[..], &leaves[..size]] {
            let (mut f, source) = (fresh(), forged(log, true, true));
            let mut found = f.poll(&source).await.unwrap();
            while f.ahead().is_some() {
                found.extend(f.poll(&source).await.unwrap());
            }
            assert_eq!(found.len(), log.len());
        }
    }
}

/// A log that was set back to an old copy of its disk cannot get its new history
/// cosigned.
#[tokio::test(flavor = "multi_thread")]
async fn a_witness_stops_a_log_that_was_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let w = LocalWitness::open(&dir.path().join("w"), 0, clock());
    for (name, entries) in [("first", 3), ("second", 5)] {
        let log_dir = dir.path().join(name);
        let fs = create(&log_dir);
        let log = open(fs.clone(), &log_dir).unwrap();
        for n in 0..entries {
            log.append(format!("{name} {n}").into_bytes()).await.unwrap();
        }
        let clients = vec![witness(0, w.clone())];
        let publisher =
            Publisher::start(fs, &log_dir, policy(1, 1), clients, log.committed(), timing());
        let waited = publisher.wait_witnessed(entries - 1);
        let waited = tokio::time::timeout(Duration::from_millis(500), waited).await;
        match name {
            "first" => assert!(waited.is_ok()),
            _ => assert!(waited.is_err() && publisher.latest().is_none(), "a fork was cosigned"),
        }
    }
}

fn request(log: &LogSigner, leaves: &[&[u8]], old: u64, proof: Vec<base::Digest>) -> Vec<u8> {
    let mut frontier = merkle::Frontier::new();
    leaves.iter().for_each(|leaf| frontier.push(merkle::leaf_hash(leaf)));
    let note = log.sign(leaves.len() as u64, frontier.root()).note().to_vec();
    AddCheckpoint { old, proof, note }.to_body()
}

fn core() -> WitnessCore {
    let logs = vec![(ORIGIN.to_owned(), signer().vkey().clone())];
    WitnessCore::new(&witness_name(0), key(10), logs).unwrap()
}

#[test]
fn a_witness_stores_before_it_cosigns() {
    let dir = Path::new("/witness");
    let (b, log) = (merkle::leaf_hash(b"b"), signer());
    for failure in [Failure::Failed, Failure::Half, Failure::FailedButPersisted] {
        for at in 0..12 {
            let disk = Volatile::new();
            let faulty = Faulty::new(Arc::new(disk.clone()), at, failure);
            let requests =
                [request(&log, &[b"a"], 0, vec![]), request(&log, &[b"a", b"b"], 1, vec![b])];
            let opened = WitnessStore::open(faulty, dir, core(), clock());
            let answered = opened.map_or(0, |store| {
                let answered = requests.iter().map(|body| store.add_checkpoint(body));
                answered.take_while(Result::is_ok).count()
            });
            let cosigned = answered as u64;
            for seed in 0..8 {
                let after = Arc::new(disk.after_power_loss(seed));
                let store = WitnessStore::open(after, dir, core(), clock()).unwrap();
                let size = store.state(ORIGIN).unwrap().size;
                assert!(size >= cosigned, "operation {at} {failure:?}: {cosigned} became {size}");
            }
        }
    }
}

#[tokio::test]
async fn the_witness_answers_over_http() {
    let dir = tempfile::tempdir().unwrap();
    let store = WitnessStore::open(Arc::new(RealFs), dir.path(), core(), clock()).unwrap();
    let router = witness_router(Arc::new(store));
    let post = |body: Vec<u8>| {
        let request = Request::post("/add-checkpoint").body(Body::from(body)).unwrap();
        let router = router.clone();
        async move {
            let answer = router.oneshot(request).await.unwrap();
            let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
            let status = answer.status();
            let body = to_bytes(answer.into_body(), 10_000).await.unwrap();
            (status, kind, String::from_utf8(body.to_vec()).unwrap())
        }
    };
    let log = signer();
    let (status, _, line) = post(request(&log, &[b"a"], 0, vec![])).await;
    assert_eq!(status, StatusCode::OK);
    assert!(line.starts_with("\u{2014} witness.example/w0 ") && line.ends_with('\n'));
    let (status, kind, body) = post(request(&log, &[b"a", b"b"], 0, vec![])).await;
    assert_eq!((status, body.as_str()), (StatusCode::CONFLICT, "1\n"));
    assert_eq!(kind.unwrap(), "text/x.tlog.size");
    let (status, ..) = post(request(&log, &[b"a", b"b"], 1, vec![])).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let other = LogSigner::new("other.example", key(1)).unwrap();
    assert_eq!(post(request(&other, &[b"a"], 0, vec![])).await.0, StatusCode::NOT_FOUND);
    let forged = LogSigner::new(ORIGIN, key(2)).unwrap();
    assert_eq!(post(request(&forged, &[b"a"], 0, vec![])).await.0, StatusCode::FORBIDDEN);
    assert_eq!(post(b"rubbish".to_vec()).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(post(vec![b'a'; 100_000]).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn tiles_are_served_as_the_standard_says() {
    let plant = plant(1, 1);
    let leaves: Vec<_> = (0..300).map(|n| format!("entry {n}").into_bytes()).collect();
    for entry in &leaves {
        plant.log.append(entry.clone()).await.unwrap();
    }
    plant.publisher.wait_witnessed(299).await.unwrap();
    plant.log.close().await;
    let dir = plant.dir.path().join("log");
    assert!(!dir.join("tile/0/000.p").exists(), "partial versions of full tiles are removed");
    let router = router(Reader::new(plant.fs.clone(), &dir), plant.publisher.subscribe());
    let get = |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let router = router.clone();
        async move {
            let answer = router.oneshot(request).await.unwrap();
            let (parts, body) = answer.into_parts();
            (parts.status, parts.headers, to_bytes(body, 1 << 20).await.unwrap())
        }
    };
    let (status, headers, note) = get("/checkpoint").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(policy(1, 1).verify_checkpoint(&note).unwrap().size(), 300);
    let (status, headers, tile) = get("/tile/0/000").await;
    assert_eq!((status, tile.len()), (StatusCode::OK, 8192));
    assert!(headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
    let (status, _, partial) = get("/tile/0/000.p/7").await;
    assert_eq!((status, &partial[..]), (StatusCode::OK, &tile[..7 * 32]));
    let (status, _, bundle) = get("/tile/entries/001.p/44").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(layout::split_bundle(&bundle, 44).unwrap().len(), 44);
    for absent in [
        "/tile/0/002",
        "/tile/0/001.p/45",
        "/tile/0/1",
        "/tile/0/..%2f..%2flock",
        "/lock",
        "/stage/00",
    ] {
        assert_eq!(get(absent).await.0, StatusCode::NOT_FOUND, "{absent}");
    }
}
