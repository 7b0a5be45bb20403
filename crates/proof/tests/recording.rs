//! Any change to a recording's checkpoints or leaves is found and named.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use base::{Digest, Id, Millis, sha256};
use proof::{
    keys::{SecretKey, Signer},
    recording::{
        CHECKPOINT_BYTES, ChainError, Checkpoints, ClaimError, Manifest, Phase, Sealing, Signed,
        SignedCheckpoint, SignedManifest, recording_name, run_name, verify_chain, verify_links,
    },
};
use proptest::prelude::*;

fn key() -> SecretKey {
    SecretKey::from_seed(&[7; 32]).unwrap()
}

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn cid(n: u64) -> Vec<u8> {
    [&[1, 0x55, 0x12, 0x20][..], &sha256(&n.to_be_bytes()).0].concat()
}

/// A recording whose checkpoints follow so many new leaves each.
fn record(steps: &[u8]) -> (Vec<SignedCheckpoint>, Vec<Vec<u8>>) {
    let mut now = Millis(1_795_219_200_000);
    let mut state = Checkpoints::new(id("r-1"), sha256(b"order"), now);
    let (mut chain, mut leaves) = (Vec::new(), Vec::new());
    for step in steps {
        for _ in 0..*step {
            leaves.push(cid(leaves.len() as u64));
            state.leaf(leaves.last().unwrap(), 1 << 20);
            state.sample(now);
        }
        now = now.plus(1000);
        chain.push(state.checkpoint(now, &key()).unwrap());
    }
    chain.push(state.finish(&key()).unwrap());
    (chain, leaves)
}

fn verify(chain: &[SignedCheckpoint], leaves: &[Vec<u8>]) -> Result<(), ChainError> {
    verify_chain(chain, &key().public(), leaves).map(|_| ())
}

fn contradicts(chain: &[SignedCheckpoint], leaves: &[Vec<u8>]) -> bool {
    matches!(verify(chain, leaves), Err(ChainError::Leaves { .. }))
}

fn steps() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0..6u8, 1..12)
}

#[test]
fn runs_and_recordings_are_named_by_128_bits_of_their_order() {
    let order = sha256(b"order");
    let run = run_name(&order).unwrap();
    assert_eq!((run.as_str().len(), run.as_str()), (32, &order.to_string()[..32]));
    let recording = recording_name(&order, &id("camera")).unwrap();
    assert_eq!(recording.as_str(), format!("{run}-camera"));
    assert!(recording_name(&order, &id(&"s".repeat(31))).is_ok());
    assert!(recording_name(&order, &id(&"s".repeat(32))).is_err(), "a name has 64 characters");
}

proptest! {
    #[test]
    fn without_its_leaves_a_chain_is_whole_or_refused(steps in steps(), at in any::<prop::sample::Index>()) {
        let (chain, _) = record(&steps);
        let public = key().public();
        let (last, digest) = verify_links(&chain, &public).unwrap();
        let end = chain.last().unwrap();
        prop_assert_eq!((last, digest), (&end.claim, end.digest().unwrap()));
        prop_assert!(verify_links(&chain[..chain.len() - 1], &public).is_err());
        prop_assert!(verify_links(&[], &public).is_err());
        prop_assert!(verify_links(&chain, &[9; 32]).is_err());
        let mut dropped = chain.clone();
        dropped.remove(at.index(chain.len()));
        prop_assert!(verify_links(&dropped, &public).is_err());
        let mut edited = chain.clone();
        edited[at.index(chain.len())].claim.leaves += 1;
        prop_assert!(verify_links(&edited, &public).is_err());
    }

    #[test]
    fn a_whole_recording_verifies(steps in steps()) {
        let (chain, leaves) = record(&steps);
        let verified = verify_chain(&chain, &key().public(), &leaves).unwrap();
        prop_assert_eq!(verified.last().leaves, leaves.len() as u64);
        prop_assert_eq!(verified.last().samples, leaves.len() as u64);
        prop_assert_eq!(verified.checkpoints(), chain.len() as u64);
        prop_assert_eq!(verified.digest(), chain.last().unwrap().digest().unwrap());
    }

    #[test]
    fn an_edited_leaf_is_named(steps in steps(), pick: prop::sample::Index, byte: prop::sample::Index) {
        let (chain, mut leaves) = record(&steps);
        prop_assume!(!leaves.is_empty());
        let at = pick.index(leaves.len());
        let byte = byte.index(leaves[at].len());
        leaves[at][byte] ^= 1;
        let Err(ChainError::Leaves { from, to, .. }) = verify(&chain, &leaves) else {
            panic!("an edited leaf was taken");
        };
        prop_assert!((from..to).contains(&(at as u64)));
    }

    #[test]
    fn moved_dropped_and_added_leaves_are_found(steps in steps(), a: prop::sample::Index, b: prop::sample::Index) {
        let (chain, leaves) = record(&steps);
        prop_assume!(leaves.len() >= 2);
        let (a, b) = (a.index(leaves.len()), b.index(leaves.len()));
        let mut dropped = leaves.clone();
        dropped.remove(a);
        prop_assert!(contradicts(&chain, &dropped));
        let mut added = leaves.clone();
        added.insert(a, cid(u64::MAX));
        prop_assert!(contradicts(&chain, &added));
        prop_assume!(a != b);
        let mut moved = leaves;
        moved.swap(a, b);
        prop_assert!(contradicts(&chain, &moved));
    }

    #[test]
    fn an_edited_checkpoint_is_named(steps in steps(), pick: prop::sample::Index, field in 0..9u8) {
        let (mut chain, leaves) = record(&steps);
        let at = pick.index(chain.len());
        let signed = &mut chain[at];
        match field {
            0 => signed.claim.recording = id("r-2"),
            1 => signed.claim.order = Digest([0; 32]),
            2 => signed.claim.seq += 1,
            3 => signed.claim.previous = Some(Digest([9; 32])),
            4 => signed.claim.leaves += 1,
            5 => signed.claim.root = Digest([0; 32]),
            6 => signed.claim.samples += 1,
            7 => signed.claim.last = signed.claim.last.plus(1),
            _ => signed.signature.0[0] ^= 1,
        }
        let Err(ChainError::Checkpoint { at: named, .. }) = verify(&chain, &leaves) else {
            panic!("an edited checkpoint was taken");
        };
        prop_assert_eq!(named, at as u64);
    }

    #[test]
    fn moved_and_dropped_checkpoints_are_named(steps in steps(), a: prop::sample::Index, b: prop::sample::Index) {
        let (chain, leaves) = record(&steps);
        let (a, b) = (a.index(chain.len()), b.index(chain.len()));
        let mut dropped = chain.clone();
        dropped.remove(a);
        let expected = if a + 1 == chain.len() {
            ChainError::Truncated(a as u64)
        } else {
            let reason = format!("it is number {}: one was dropped or moved", a + 1);
            ChainError::Checkpoint { at: a as u64, reason }
        };
        prop_assert_eq!(verify(&dropped, &leaves), Err(expected));
        prop_assume!(a != b);
        let mut moved = chain;
        moved.swap(a, b);
        let refused = verify(&moved, &leaves).unwrap_err();
        let first = a.min(b) as u64;
        prop_assert!(matches!(refused, ChainError::Checkpoint { at, .. } if at == first), "{refused}");
    }

    #[test]
    fn a_cut_recording_is_found(steps in steps(), keep: prop::sample::Index) {
        let (chain, leaves) = record(&steps);
        let kept = &chain[..keep.index(chain.len())];
        let covered = kept.last().map_or(0, |c| c.claim.leaves as usize);
        let refused = verify(kept, &leaves[..covered]);
        prop_assert_eq!(refused, Err(ChainError::Truncated(kept.len() as u64)));
    }

    #[test]
    fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(SignedCheckpoint::from_bytes(&bytes).is_err());
        prop_assert!(SignedManifest::from_bytes(&bytes).is_err());
    }
}

#[test]
fn nothing_follows_a_final_checkpoint_and_another_recording_cannot_be_spliced_in() {
    let now = Millis(1_795_219_200_000);
    let mut state = Checkpoints::new(id("r-1"), sha256(b"order"), now);
    let first = state.checkpoint(now, &key()).unwrap();
    let mut after = state.finish(&key()).unwrap().claim;
    let last = state.finish(&key()).unwrap();
    after.seq = 2;
    after.previous = Some(last.digest().unwrap());
    let after = Signed::new(after, &key()).unwrap();
    let refused = verify(&[first.clone(), last.clone(), after], &[]).unwrap_err();
    assert!(refused.to_string().contains("follows a final one"), "{refused}");

    let mut other = last.claim;
    other.recording = id("r-2");
    let other = Signed::new(other, &key()).unwrap();
    let refused = verify(&[first, other], &[]).unwrap_err();
    assert!(refused.to_string().contains("is of recording r-2"), "{refused}");
}

#[test]
fn a_checkpoint_is_due_each_second_or_16_mib() {
    let start = Millis(1_795_219_200_000);
    let mut state = Checkpoints::new(id("r-1"), sha256(b"order"), start);
    assert!(!state.due(start.plus(999)));
    assert!(state.due(start.plus(1000)));
    state.leaf(&cid(0), CHECKPOINT_BYTES - 1);
    assert!(!state.due(start));
    state.leaf(&cid(1), 1);
    assert!(state.due(start));
    state.checkpoint(start, &key()).unwrap();
    assert!(!state.due(start));
    // A clock set back does not turn the recording's time back.
    state.sample(Millis(5));
    assert_eq!(state.finish(&key()).unwrap().claim.last, start);
}

fn manifest(chain: &[SignedCheckpoint]) -> Manifest {
    let last = chain.last().unwrap();
    Manifest {
        recording: id("r-1"),
        run: id("run-1"),
        order: sha256(b"order"),
        stream: id("camera"),
        media_type: "application/mcap".to_owned(),
        cell: id("cell-1"),
        robot: id("ur3e"),
        cameras: vec![id("wrist")],
        root_cid: "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi".to_owned(),
        leaves: last.claim.leaves,
        leaves_root: last.claim.root,
        plaintext_bytes: 5_000_000,
        ciphertext_bytes: 5_000_100,
        sealing: Sealing {
            template: "AES256_GCM_HKDF_1MB".to_owned(),
            segment_bytes: 1 << 20,
            associated_data: "r-1".to_owned(),
            key_commitment: sha256(b"key"),
        },
        started: Millis(1_795_219_200_000),
        ended: Millis(1_795_219_230_000),
        samples: last.claim.samples,
        gaps: 0,
        last_checkpoint: last.digest().unwrap(),
    }
}

#[test]
fn a_manifest_verifies_and_matches_its_checkpoint_only() {
    let (chain, leaves) = record(&[2, 1, 3]);
    let verified = verify_chain(&chain, &key().public(), &leaves).unwrap();
    let good = manifest(&chain);
    let signed = Signed::new(good.clone(), &key()).unwrap();
    let read = SignedManifest::from_bytes(&signed.to_bytes().unwrap()).unwrap();
    assert_eq!(read.verify(&key().public()).unwrap(), &good);
    assert_eq!(good.matches(verified.last(), &verified.digest()), Ok(()));

    let other = SecretKey::from_seed(&[8; 32]).unwrap();
    assert_eq!(read.verify(&other.public()), Err(ClaimError::Signature));
    let mut edited = read;
    edited.claim.gaps = 1;
    assert_eq!(edited.verify(&key().public()), Err(ClaimError::Signature));

    type Edit = fn(&mut Manifest);
    let edits: [(Edit, &str); 7] = [
        (|m| m.recording = id("r-2"), "recording"),
        (|m| m.order = sha256(b"other"), "order"),
        (|m| m.leaves += 1, "number of leaves"),
        (|m| m.leaves_root = sha256(b"other"), "root"),
        (|m| m.samples += 1, "number of samples"),
        (|m| m.ended = Millis(0), "time"),
        (|m| m.last_checkpoint = sha256(b"other"), "digest"),
    ];
    for (edit, named) in edits {
        let mut wrong = good.clone();
        edit(&mut wrong);
        let refused = wrong.matches(verified.last(), &verified.digest()).unwrap_err();
        assert!(refused.what.contains(named), "{refused}");
    }
    let mut open = verified.last().clone();
    open.phase = Phase::Open;
    assert!(good.matches(&open, &verified.digest()).is_err());
}

#[test]
fn signatures_of_one_claim_do_not_serve_another() {
    let (chain, _) = record(&[1]);
    let manifest = manifest(&chain);
    let checkpoint = &chain[0];
    let borrowed = Signed { claim: manifest, signature: checkpoint.signature.clone() };
    assert_eq!(borrowed.verify(&key().public()), Err(ClaimError::Signature));
}
