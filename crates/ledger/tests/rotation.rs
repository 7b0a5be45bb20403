//! A log whose key and witnesses are replaced by what it says: the batch that says so is
//! signed by the new ones, through crashes too, and followers believe no other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::volatile::Volatile;
use common::*;
use ledger::*;
use proof::log::*;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The leaf `rotate` replaces the log's key and the witness, by the rules of this test.
const ROTATE: &[u8] = b"rotate";

fn new_signer() -> Arc<LogSigner> {
    Arc::new(LogSigner::new(ORIGIN, key(3)).unwrap())
}

fn ring() -> Vec<Arc<LogSigner>> {
    vec![signer(), new_signer()]
}

fn policy_after() -> LogPolicy {
    LogPolicy::new(ORIGIN, new_signer().vkey().clone(), vec![witness_key(1)], 1).unwrap()
}

fn rotates(leaf: &[u8]) -> bool {
    leaf.ends_with(ROTATE)
}

/// Where the rotation stands, as far as it was folded.
#[derive(Clone, Default)]
struct Folded(Arc<Mutex<Option<u64>>>);

impl KeysInForce for Folded {
    fn reads(&self, leaf: &[u8]) -> bool {
        rotates(leaf)
    }

    fn policy(&self, size: u64, new: &[(u64, &[u8])]) -> Option<LogPolicy> {
        let told = new.iter().find(|(_, leaf)| rotates(leaf)).map(|(index, _)| *index);
        let at = self.0.lock().unwrap().or(told);
        Some(if at.is_some_and(|at| at < size) { policy_after() } else { policy(1, 1) })
    }
}

impl Folded {
    fn take(&self, leaves: &[NewLeaf]) {
        let found = leaves.iter().find(|new| rotates(&new.leaf));
        let mut at = self.0.lock().unwrap();
        *at = at.or(found.map(|new| new.included.index()));
    }
}

/// The log of these leaves, signed by `log` and cosigned by witness `w`.
fn served(leaves: &[&str], log: &LogSigner, w: u8) -> Served {
    let signed = log.sign(leaves.len() as u64, root_of(leaves));
    let line = cosign(&witness_name(w), key(10 + w).as_ref(), signed.checkpoint(), 9).unwrap();
    Served::new(append_signature_lines(signed.note(), line.as_bytes()), leaves)
}

async fn poll(
    follower: &mut Follower,
    folded: &Folded,
    source: &Served,
) -> Result<usize, FollowError> {
    let leaves = follower.poll(source).await?;
    folded.take(&leaves);
    Ok(leaves.len())
}

#[tokio::test]
async fn a_follower_goes_over_to_the_new_keys_and_never_back() {
    let (old, new) = (signer(), new_signer());
    for slept in [true, false] {
        let folded = Folded::default();
        let mut f = Follower::new(folded.clone(), FollowerState::default(), 1 << 20);
        if !slept {
            assert_eq!(poll(&mut f, &folded, &served(&["a"], &old, 0)).await, Ok(1));
        }
        // The rotation and what follows, signed by who signed before: whoever has the old
        // keys only, a thief or the site itself, is not believed.
        let before = f.size();
        let retired = poll(&mut f, &folded, &served(&["a", "rotate", "b"], &old, 0)).await;
        assert!(matches!(retired, Err(FollowError::Retired(_))), "{retired:?}");
        // Half of the new keys are not enough.
        for (log, w) in [(&new, 0), (&old, 1)] {
            let half = poll(&mut f, &folded, &served(&["a", "rotate", "b"], log, w)).await;
            assert!(matches!(half, Err(FollowError::Checkpoint(_))), "{half:?}");
        }
        // New keys that no entry names are unknown ones.
        let unnamed = poll(&mut f, &folded, &served(&["a", "x", "b"], &new, 1)).await;
        assert!(matches!(unnamed, Err(FollowError::Checkpoint(_))), "{unnamed:?}");
        // The new keys prove the leaves; other leaves than the root's are a fork.
        let mut other = served(&["a", "rotate", "b"], &new, 1);
        other.leaves[2] = b"x".to_vec();
        let fork = poll(&mut f, &folded, &other).await;
        assert!(matches!(fork, Err(FollowError::Fork(_))), "{fork:?}");
        assert_eq!(f.size(), before, "nothing of it had an effect");

        let whole = served(&["a", "rotate", "b"], &new, 1);
        assert_eq!(poll(&mut f, &folded, &whole).await, Ok(3 - before as usize));
        let thief = poll(&mut f, &folded, &served(&["a", "rotate", "b", "c"], &old, 0)).await;
        assert!(matches!(thief, Err(FollowError::Checkpoint(_))), "{thief:?}");
        let same = poll(&mut f, &folded, &served(&["a", "rotate", "b"], &old, 0)).await;
        assert!(matches!(same, Err(FollowError::Checkpoint(_))), "{same:?}");
        let back = poll(&mut f, &folded, &served(&["a"], &old, 0)).await;
        assert_eq!(back, Err(FollowError::Rollback { got: 1, seen: 3 }));
        assert_eq!(
            poll(&mut f, &folded, &served(&["a", "rotate", "b", "c"], &new, 1)).await,
            Ok(1)
        );
    }
}

/// A log that is longer than what its follower may hold, whose keys change on the way.
#[tokio::test]
async fn a_log_of_many_steps_is_proven_before_its_first_is_handed_out() {
    const STEP: usize = 40_000;
    let (old, new) = (signer(), new_signer());
    let mut names: Vec<String> = (0..2000).map(|n| format!("{n} {}", "x".repeat(100))).collect();
    names[1000] = "rotate".into();
    let leaves: Vec<&str> = names.iter().map(String::as_str).collect();
    let whole = served(&leaves, &new, 1);
    for slept in [0, 10, 1500] {
        let folded = Folded::default();
        let mut f = Follower::new(folded.clone(), FollowerState::default(), STEP);
        if slept > 0 {
            let (log, w) = if slept > 1000 { (&new, 1) } else { (&old, 0) };
            let first = served(&leaves[..slept], log, w);
            let mut found = 0;
            while found < slept {
                found += poll(&mut f, &folded, &first).await.unwrap();
            }
        }
        let (before, known) = (f.state().clone(), f.latest().cloned());
        let stands = |f: &Follower| {
            assert_eq!((f.state(), f.latest()), (&before, known.as_ref()));
            assert!(f.ahead().is_none(), "nothing of it had an effect");
        };
        // A lie that shows at the very end.
        let mut forked = served(&leaves, &new, 1);
        *forked.leaves.last_mut().unwrap() = b"x".to_vec();
        let fork = poll(&mut f, &folded, &forked).await.unwrap_err();
        assert!(matches!(fork, FollowError::Fork(_)) && fork.is_lie(), "{fork:?}");
        stands(&f);
        let retired = poll(&mut f, &folded, &served(&leaves, &old, 0)).await.unwrap_err();
        match slept > 1000 {
            true => assert!(matches!(retired, FollowError::Checkpoint(_)), "{retired:?}"),
            false => assert!(matches!(retired, FollowError::Retired(_)), "{retired:?}"),
        }
        stands(&f);
        // So does a source that ends too early.
        let mut cut = served(&leaves, &new, 1);
        cut.leaves.pop();
        let error = poll(&mut f, &folded, &cut).await.unwrap_err();
        assert!(matches!(error, FollowError::Bundle { index: 7, .. }) && !error.is_lie());
        stands(&f);

        let mut found = Vec::new();
        let mut steps = 0;
        loop {
            let at = f.size();
            // The second look at what is proven meets other entries, and half of them.
            if f.ahead().is_some() {
                let mut other = served(&leaves, &new, 1);
                other.leaves[at as usize] = b"other".to_vec();
                let lie = poll(&mut f, &folded, &other).await.unwrap_err();
                assert!(matches!(lie, FollowError::Other(_)) && lie.is_lie(), "{lie:?}");
                other.leaves.truncate(at as usize);
                let cut = poll(&mut f, &folded, &other).await.unwrap_err();
                assert!(matches!(cut, FollowError::Bundle { .. }), "{cut:?}");
                assert_eq!((f.size(), f.latest()), (at, known.as_ref()));
            }
            let step = f.poll(&whole).await.unwrap();
            let bytes: usize = step.iter().map(|new| new.leaf.len()).sum();
            assert!(bytes < STEP + 256 * 105, "a step of {bytes} bytes");
            folded.take(&step);
            found.extend(step);
            steps += 1;
            if f.ahead().is_none() {
                break;
            }
        }
        assert!(steps > 1, "{steps} steps");
        assert_eq!(f.latest().unwrap().size(), 2000);
        assert_eq!(found.len(), 2000 - slept);
        for (index, leaf) in (slept..).zip(&found) {
            assert_eq!(leaf.leaf, leaves[index].as_bytes());
            assert_eq!(leaf.included.index(), index as u64);
            assert!(leaf.included.is(&leaf.leaf));
            assert_eq!(Some(leaf.included.checkpoint()), f.latest());
        }
        // And on from there, as ever.
        let longer: Vec<&str> = leaves.iter().copied().chain(["y"]).collect();
        assert_eq!(poll(&mut f, &folded, &served(&longer, &new, 1)).await, Ok(1));
    }
}

/// The new key signs once `rotate` was admitted.
fn in_force(admitted: &OnceEach) -> Option<Arc<LogSigner>> {
    Some(if admitted.index_of(ROTATE).is_some() { new_signer() } else { signer() })
}

fn open_rotating(fs: Arc<dyn Fs>, dir: &Path) -> Result<Sequencer, OpenError> {
    let store = Store::open_with(fs, dir, ring())?;
    let admission = OnceEach::replay(&store.reader(), store.size()).signed_by(in_force);
    Ok(Sequencer::start(store, Box::new(admission), clock(), Limits::default()))
}

/// Power is lost at each operation around the rotation. Afterwards each checkpoint of the
/// log is signed by the key in force at its size.
#[tokio::test(flavor = "multi_thread")]
async fn power_may_be_lost_at_any_operation_of_a_rotation() {
    let dir = Path::new("/log");
    let entries: [&[u8]; 5] = [b"a", b"b", ROTATE, b"c", b"d"];
    let work = |disk: Volatile| async move {
        let fs: Arc<dyn Fs> = Arc::new(disk);
        let Ok(log) = open_rotating(fs, dir) else { return 0 };
        let mut acknowledged = 0;
        for entry in entries {
            if log.append(entry.to_vec()).await.is_err() {
                break;
            }
            acknowledged += 1;
        }
        log.close().await;
        acknowledged
    };
    let begun = || {
        let disk = Volatile::new();
        Store::create(&disk, dir, &signer()).unwrap();
        disk
    };
    let dry = begun();
    let before = dry.operations();
    assert_eq!(work(dry.clone()).await, entries.len() as u64);
    for at in 0..dry.operations() - before {
        let disk = begun();
        disk.fail_after(at);
        let acknowledged = work(disk.clone()).await;
        let disk = disk.after_power_loss(at);
        let fs: Arc<dyn Fs> = Arc::new(disk.clone());
        let log = open_rotating(fs.clone(), dir).unwrap();
        let found = log.committed().borrow().checkpoint().size;
        assert!(
            found >= acknowledged,
            "operation {at}: {acknowledged} acknowledged, {found} found"
        );
        for entry in &entries[found as usize..] {
            log.append(entry.to_vec()).await.unwrap();
            let signed = log.committed().borrow().clone();
            let by = if signed.checkpoint().size > 2 { new_signer() } else { signer() };
            SignedCheckpoint::verify(ORIGIN, by.vkey(), signed.note()).unwrap();
        }
        log.close().await;
        let keys = Folded::default();
        let checked = check(fs.clone(), dir, &keys);
        assert_eq!((checked.size, checked.findings), (5, vec![]), "operation {at}");
        // By the keys of the beginning alone the log does not check.
        assert_ne!(check(fs, dir, &policy(1, 1)).findings, vec![]);
    }
}

/// Asks the old witness before the rotation and the new one from it on.
struct Shift(Vec<Arc<LocalWitness>>);

impl Crew for Shift {
    fn at(&self, size: u64) -> Option<(LogPolicy, Vec<Witness>)> {
        let (policy, n) = if size > 2 { (policy_after(), 1) } else { (policy(1, 1), 0) };
        Some((policy, vec![witness(n, self.0[usize::from(n)].clone())]))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_publisher_asks_the_witnesses_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let log_dir = dir.path().join("log");
    let fs = create(&log_dir);
    let logs = ring().iter().map(|s| (ORIGIN.to_owned(), s.vkey().clone())).collect::<Vec<_>>();
    let open_witness = |n: u8| {
        let core = WitnessCore::new(&witness_name(n), key(10 + n), logs.clone()).unwrap();
        let path = dir.path().join(format!("w{n}"));
        let store = WitnessStore::open(Arc::new(RealFs), &path, core, clock()).unwrap();
        Arc::new(LocalWitness { store, reachable: true.into() })
    };
    let witnesses = vec![open_witness(0), open_witness(1)];
    let log = open_rotating(fs.clone(), &log_dir).unwrap();
    let crew = Arc::new(Shift(witnesses.clone()));
    let publisher =
        Publisher::start_with(fs.clone(), &log_dir, crew.clone(), log.committed(), timing());
    let folded = Folded::default();
    let mut follower = Follower::new(folded.clone(), FollowerState::default(), 1 << 20);
    let source = LocalSource(Reader::new(fs.clone(), &log_dir), log_dir.clone());
    for (n, entry) in [b"a", b"b", ROTATE, b"c"].into_iter().enumerate() {
        log.append(entry.to_vec()).await.unwrap();
        publisher.wait_witnessed(n as u64).await.unwrap();
        let leaves = follower.poll(&source).await.unwrap();
        folded.take(&leaves);
    }
    assert_eq!(follower.size(), 4);
    assert_eq!(witnesses[0].store.state(ORIGIN).unwrap().size, 2);
    assert_eq!(witnesses[1].store.state(ORIGIN).unwrap().size, 4);
    drop(publisher);
    let restarted = Publisher::start_with(fs, &log_dir, crew, log.committed(), timing());
    assert_eq!(restarted.latest().unwrap().size(), 4);
}

#[test]
fn a_witness_takes_a_successor_and_then_no_predecessor() {
    let logs: Vec<_> =
        ring().iter().map(|signer| (ORIGIN.to_owned(), signer.vkey().clone())).collect();
    let core = WitnessCore::new(&witness_name(0), key(10), logs).unwrap().also(key(20));
    let mut tree = merkle::Frontier::new();
    let mut state = WitnessState::default();
    let mut ask = |by: &LogSigner, state: &WitnessState| {
        let mut next = tree.clone();
        next.push(merkle::leaf_hash(b"x"));
        let signed = by.sign(next.size(), next.root());
        let proof = match state.size {
            0 => Vec::new(),
            _ => merkle::consistency(&Same, state.size, next.size()).unwrap(),
        };
        let request = AddCheckpoint { old: state.size, proof, note: signed.note().to_vec() };
        core.decide(&request, state, 9).map(|cosigned| {
            tree = next;
            (cosigned, signed)
        })
    };
    let (first, signed) = ask(&signer(), &state).unwrap();
    // Its own key and the next one both cosign.
    let note = append_signature_lines(signed.note(), first.line.as_bytes());
    for own in [key(10), key(20)] {
        let vkey = VKey::new(&witness_name(0), KeyKind::Witness, own.public()).unwrap();
        let policy = LogPolicy::new(ORIGIN, signer().vkey().clone(), vec![vkey], 1).unwrap();
        assert_eq!(policy.verify_checkpoint(&note).unwrap().size(), 1);
    }
    state = first.state;
    state = ask(&new_signer(), &state).unwrap().0.state;
    let refused = ask(&signer(), &state).unwrap_err();
    assert!(matches!(refused, WitnessRefusal::Forbidden(_)), "{refused}");
    assert_eq!(ask(&new_signer(), &state).unwrap().0.state.size, 3);
}

/// A tree whose leaves are all the same.
struct Same;

impl merkle::HashSource for Same {
    type Error = ();
    fn hash(&self, level: u8, _: u64) -> Result<base::Digest, ()> {
        let above = |hash, _| merkle::node_hash(&hash, &hash);
        Ok((0..level).fold(merkle::leaf_hash(b"x"), above))
    }
}
