//! Notes, checkpoints, cosignatures, proofs and the witness's decisions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use base::{Digest, Millis};
use proof::keys::{SecretKey, Signer};
use proof::log::merkle::{Frontier, leaf_hash, node_hash};
use proof::log::*;
use proptest::prelude::*;
use std::sync::Arc;

const ORIGIN: &str = "plant.example/ledger";

fn key(seed: u8) -> Arc<dyn Signer> {
    Arc::new(SecretKey::from_seed(&[seed; 32]).unwrap())
}

fn log() -> LogSigner {
    LogSigner::new(ORIGIN, key(1)).unwrap()
}

fn witness_key(n: u8) -> VKey {
    VKey::new(&format!("witness.example/w{n}"), KeyKind::Witness, key(10 + n).public()).unwrap()
}

fn policy(witnesses: u8, quorum: usize) -> LogPolicy {
    let keys = (0..witnesses).map(witness_key).collect();
    LogPolicy::new(ORIGIN, log().vkey().clone(), keys, quorum).unwrap()
}

fn cosigned(signed: &SignedCheckpoint, times: &[(u8, u64)]) -> Vec<u8> {
    let mut note = signed.note().to_vec();
    for (n, time) in times {
        let name = format!("witness.example/w{n}");
        let line = cosign(&name, key(10 + n).as_ref(), signed.checkpoint(), *time).unwrap();
        note.extend_from_slice(line.as_bytes());
    }
    note
}

/// A log of two leaves.
fn two() -> (SignedCheckpoint, Digest, Digest) {
    let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
    (log().sign(2, node_hash(&a, &b)), a, b)
}

#[test]
fn keys_have_one_spelling() {
    // The example key of Go's sumdb.
    let text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
    let vkey: VKey = text.parse().unwrap();
    assert_eq!((vkey.name(), vkey.kind()), ("sum.golang.org", KeyKind::Log));
    assert_eq!(vkey.to_string(), text);
    for bad in [
        "",
        "a",
        "a+b",
        "sum.golang.org+033DE0AE+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
        "sum.golang.org+033de0af+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
        "sum golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
        "sum.golang.org+033de0ae+As4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
        "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAg=",
    ] {
        assert!(bad.parse::<VKey>().is_err(), "{bad}");
    }
    assert!(VKey::new("a\u{7f}", KeyKind::Log, [0; 32]).is_err());
}

#[test]
fn a_quorum_is_needed_and_sets_the_time() {
    let (signed, ..) = two();
    let policy = policy(3, 2);
    let quorum = |times: &[(u8, u64)]| policy.verify_checkpoint(&cosigned(&signed, times));
    assert_eq!(quorum(&[]), Err(CheckpointError::Quorum { got: 0, needed: 2 }));
    assert_eq!(quorum(&[(0, 5)]), Err(CheckpointError::Quorum { got: 1, needed: 2 }));
    let twice = quorum(&[(0, 5), (0, 6)]);
    assert_eq!(twice, Err(CheckpointError::Quorum { got: 1, needed: 2 }), "one counts once");
    let stranger = quorum(&[(0, 5), (9, 6)]);
    assert_eq!(stranger, Err(CheckpointError::Quorum { got: 1, needed: 2 }));
    let good = quorum(&[(0, 5), (1, 9_000_000_000), (2, 7)]).unwrap();
    assert_eq!(good.witnessed_at(), Millis(7000), "one fast clock does not count alone");
    assert_eq!((good.origin(), good.size()), (ORIGIN, 2));
    assert_eq!(good.root(), signed.checkpoint().root);
}

#[test]
fn another_log_or_key_is_refused() {
    let (signed, ..) = two();
    let policy = policy(1, 1);
    let other = LogSigner::new("plant.example/other", key(1)).unwrap().sign(2, Digest([0; 32]));
    assert!(matches!(
        policy.verify_checkpoint(&cosigned(&other, &[(0, 5)])),
        Err(CheckpointError::Bad(BadCheckpoint::Origin { .. }))
    ));
    let forged = LogSigner::new(ORIGIN, key(2)).unwrap().sign(2, signed.checkpoint().root);
    assert_eq!(
        policy.verify_checkpoint(&cosigned(&forged, &[(0, 5)])),
        Err(BadCheckpoint::Signature(ORIGIN.into()).into()),
        "a witness alone does not make a checkpoint"
    );
}

#[test]
fn a_policy_that_cannot_hold_is_refused() {
    let log = log().vkey().clone();
    let new = |witnesses, quorum| LogPolicy::new(ORIGIN, log.clone(), witnesses, quorum);
    let (w0, w1) = (witness_key(0), witness_key(1));
    assert!(matches!(new(vec![w0.clone()], 0), Err(BadPolicy::Quorum { .. })));
    assert!(matches!(new(vec![w0.clone()], 2), Err(BadPolicy::Quorum { .. })));
    assert!(matches!(new(vec![log.clone()], 1), Err(BadPolicy::Kind(_))));
    assert!(LogPolicy::new(ORIGIN, w0.clone(), vec![w1.clone()], 1).is_err());
    let alias = VKey::new("witness.example/alias", KeyKind::Witness, *w0.public()).unwrap();
    assert!(matches!(new(vec![w0.clone(), alias], 1), Err(BadPolicy::Repeated(_))));
    let good = new(vec![w0, w1], 2).unwrap();
    let text = serde_json::to_string(&good).unwrap();
    assert_eq!(serde_json::from_str::<LogPolicy>(&text).unwrap(), good);
    assert!(
        serde_json::from_str::<LogPolicy>(&text.replace("\"quorum\":2", "\"quorum\":0")).is_err()
    );
}

#[test]
fn inclusion_by_path_and_by_recomputing() {
    let (signed, a, b) = two();
    let checkpoint = policy(1, 1).verify_checkpoint(&cosigned(&signed, &[(0, 5)])).unwrap();
    let by_path = checkpoint.include(1, b"b", &[a]).unwrap();
    assert!(by_path.is(b"b") && !by_path.is(b"a"));
    assert!(checkpoint.include(0, b"b", &[a]).is_err());
    assert!(checkpoint.include(1, b"c", &[a]).is_err());
    let (frontier, all) = checkpoint.extend(&Frontier::new(), &[b"a", b"b"]).unwrap();
    assert_eq!((frontier.size(), &all[1]), (2, &by_path));
    assert_eq!(all[0], checkpoint.include(0, b"a", &[b]).unwrap());
    let mut known = Frontier::new();
    known.push(a);
    assert!(checkpoint.extend(&known, &[b"b"]).is_ok());
    assert!(matches!(checkpoint.extend(&known, &[b"c"]), Err(ExtendError::Root { .. })));
    assert!(matches!(checkpoint.extend(&known, &[b"b", b"c"]), Err(ExtendError::Size { .. })));

    // The same by reading twice and keeping nothing.
    let mut sizes = Vec::new();
    let mut read = Recomputed::behind(Frontier::new());
    read.push(&[b"a"], |tree| sizes.push(tree.size()));
    let half = checkpoint.reach(read.clone()).unwrap_err();
    assert_eq!(half, ExtendError::Size { known: 0, new: 1, size: 2 });
    let mut other = read.clone();
    other.push(&[b"c"], |_| {});
    assert!(matches!(checkpoint.reach(other), Err(ExtendError::Root { .. })));
    read.push(&[b"b"], |tree| sizes.push(tree.size()));
    assert_eq!(sizes, [1, 2]);
    let mut proven = checkpoint.reach(read).unwrap();
    for wrong in [&[b"b"][..], &[b"a", b"b"], &[]] {
        assert_eq!(proven.show(wrong), Err(OtherRun { from: 0 }));
    }
    assert_eq!(proven.show(&[b"a"]).unwrap(), all[..1]);
    assert_eq!(proven.show(&[b"a"]), Err(OtherRun { from: 1 }));
    assert_eq!(proven.show(&[b"b"]).unwrap(), all[1..]);
    assert!(proven.is_over() && *proven.tree() == frontier);
    assert_eq!(proven.show::<&[u8]>(&[]), Err(OtherRun { from: 2 }));
}

fn example_proof(extra: Option<Vec<u8>>) -> (LogPolicy, TlogProof) {
    let (signed, a, _) = two();
    let checkpoint = cosigned(&signed, &[(0, 5)]);
    (policy(1, 1), TlogProof { extra, index: 1, path: vec![a], checkpoint })
}

#[test]
fn proof_files_are_strict() {
    for extra in [None, Some(b"more".to_vec())] {
        let (policy, proof) = example_proof(extra);
        let text = proof.to_string();
        assert_eq!(TlogProof::parse(text.as_bytes()).unwrap(), proof);
        assert_eq!(policy.verify_proof(text.as_bytes(), b"b").unwrap().index(), 1);
        assert!(matches!(
            policy.verify_proof(text.as_bytes(), b"x"),
            Err(ProofError::NotIncluded(_))
        ));
        for (from, to) in [
            ("index 1", "index 01"),
            ("index 1", "index +1"),
            ("index 1", "index"),
            ("index 1\n", "index 1\r\n"),
            ("tlog-proof@v1", "tlog-proof@v2"),
            ("=\n", "\n"),
        ] {
            let bad = text.replacen(from, to, 1);
            assert!(TlogProof::parse(bad.as_bytes()).is_err(), "{from} -> {to}");
        }
    }
}

proptest! {
    /// A byte changed anywhere in a proof file without extra data breaks it.
    #[test]
    fn no_mutated_proof_verifies(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (policy, proof) = example_proof(None);
        let mut text = proof.to_string().into_bytes();
        let at = at.index(text.len());
        text[at] ^= 1 << bit;
        prop_assert!(policy.verify_proof(&text, b"b").is_err());
    }

    #[test]
    fn no_mutated_checkpoint_verifies(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let note = cosigned(&two().0, &[(0, 5), (1, 6)]);
        let mut bad = note.clone();
        let at = at.index(bad.len());
        bad[at] = byte;
        prop_assume!(bad != note);
        prop_assert!(policy(2, 2).verify_checkpoint(&bad).is_err());
    }

    #[test]
    fn parsers_take_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Checkpoint::from_text(&bytes);
        let _ = policy(1, 1).verify_checkpoint(&bytes);
        let _ = TlogProof::parse(&bytes);
        let _ = AddCheckpoint::parse(&bytes);
        let _ = String::from_utf8_lossy(&bytes).parse::<VKey>();
    }

    #[test]
    fn parsers_take_any_lines(lines in proptest::collection::vec("[ -~]{0,50}", 0..8)) {
        let text = lines.join("\n");
        for text in [text.clone(), format!("c2sp.org/tlog-proof@v1\n{text}"), format!("old {text}")] {
            let _ = TlogProof::parse(text.as_bytes());
            let _ = AddCheckpoint::parse(text.as_bytes()).and_then(|r| r.origin());
            let _ = policy(1, 1).verify_checkpoint(text.as_bytes());
        }
    }
}

fn witness() -> WitnessCore {
    let logs = vec![(ORIGIN.to_owned(), log().vkey().clone())];
    WitnessCore::new("witness.example/w0", key(10), logs).unwrap()
}

fn request(old: u64, proof: &[Digest], signed: &SignedCheckpoint) -> AddCheckpoint {
    let request = AddCheckpoint { old, proof: proof.to_vec(), note: signed.note().to_vec() };
    assert_eq!(AddCheckpoint::parse(&request.to_body()).unwrap(), request);
    request
}

#[test]
fn a_witness_cosigns_what_extends_its_view_only() {
    let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
    let (one, (two, ..)) = (log().sign(1, a), two());
    let w = witness();
    let fresh = WitnessState::default();
    let first = w.decide(&request(0, &[], &one), &fresh, 5).unwrap();
    assert_eq!(first.state, WitnessState { size: 1, root: a, log: None });
    let second = w.decide(&request(1, &[b], &two), &first.state, 6).unwrap();
    let note = append_signature_lines(two.note(), second.line.as_bytes());
    assert_eq!(policy(1, 1).verify_checkpoint(&note).unwrap().witnessed_at(), Millis(6000));
    // Again at the same size: a fresh time, the same state.
    let again = w.decide(&request(2, &[], &two), &second.state, 7).unwrap();
    assert_eq!(again.state, second.state);
    assert_ne!(again.line, second.line);

    let status = |request: &AddCheckpoint, state: &WitnessState| {
        w.decide(request, state, 8).unwrap_err().status()
    };
    assert_eq!(status(&request(0, &[], &two), &first.state), 409, "a wrong old size");
    assert_eq!(status(&request(1, &[a], &two), &first.state), 422, "a wrong proof");
    assert_eq!(status(&request(1, &[], &two), &first.state), 422, "no proof");
    assert_eq!(status(&request(2, &[], &one), &second.state), 400, "a smaller checkpoint");
    let fork = log().sign(2, Digest([9; 32]));
    assert_eq!(status(&request(2, &[], &fork), &second.state), 409, "another root, same size");
    assert_eq!(status(&request(1, &[b], &fork), &first.state), 422, "a fork");
    let stranger = LogSigner::new("other.example", key(1)).unwrap().sign(2, a);
    assert_eq!(status(&request(0, &[], &stranger), &fresh), 404);
    let forged = LogSigner::new(ORIGIN, key(3)).unwrap().sign(2, a);
    assert_eq!(status(&request(0, &[], &forged), &fresh), 403);
}

#[test]
fn a_witness_that_does_not_know_the_last_key_of_a_log_cosigns_nothing() {
    let [first, second, third] = [1, 3, 4].map(|seed| LogSigner::new(ORIGIN, key(seed)).unwrap());
    let knows = |keys: &[&LogSigner]| {
        let logs = keys.iter().map(|log| (ORIGIN.to_owned(), log.vkey().clone())).collect();
        WitnessCore::new("witness.example/w0", key(10), logs).unwrap()
    };
    let root = leaf_hash(b"a");
    let ask = |witness: &WitnessCore, by: &LogSigner, state: &WitnessState| {
        witness.decide(&request(state.size, &[], &by.sign(1, root)), state, 5)
    };
    let fresh = WitnessState::default();
    let replaced = ask(&knows(&[&first, &second]), &second, &fresh).unwrap().state;
    assert_eq!(replaced.log.as_ref(), Some(second.vkey()));
    // Neither the key that was replaced nor one that may have been.
    for (witness, by) in
        [(knows(&[&first]), &first), (knows(&[&first, &third]), &first), (knows(&[&third]), &third)]
    {
        let refusal = ask(&witness, by, &replaced).unwrap_err();
        let (origin, key) = (ORIGIN.to_owned(), second.vkey().clone());
        assert_eq!(refusal, WitnessRefusal::UnknownKey { origin, key });
        assert_eq!(refusal.status(), 403);
        assert!(refusal.to_string().contains(&second.vkey().to_string()), "{refusal}");
    }
    let all = knows(&[&first, &second, &third]);
    assert!(matches!(ask(&all, &first, &replaced), Err(WitnessRefusal::Forbidden(_))));
    assert_eq!(ask(&all, &third, &replaced).unwrap().state.log.as_ref(), Some(third.vkey()));
}

#[test]
fn add_checkpoint_bodies_are_strict_and_bounded() {
    let (two, a, _) = two();
    let body = String::from_utf8(request(1, &[a], &two).to_body()).unwrap();
    for (from, to) in
        [("old 1", "old 01"), ("old 1", "new 1"), ("old 1\n", "old 1\n\n"), ("=\n", "\n")]
    {
        let parsed = AddCheckpoint::parse(body.replacen(from, to, 1).as_bytes());
        let refused = parsed.and_then(|r| r.origin().map(|_| r));
        assert_eq!(refused.map_err(|e| e.status()).unwrap_err(), 400, "{from:?} -> {to:?}");
    }
    let many = AddCheckpoint { old: 1, proof: vec![a; 64], note: two.note().to_vec() };
    assert_eq!(AddCheckpoint::parse(&many.to_body()).unwrap_err().status(), 400);
    let long = vec![b'a'; AddCheckpoint::MAX_BYTES + 1];
    assert_eq!(AddCheckpoint::parse(&long).unwrap_err().status(), 400);
}
