//! Notes, checkpoints, Merkle proofs, bundles, and the chains of recordings.

use super::{core::public, key};
use base::{Digest, Id, Millis};
use ledger::layout::{bundle_prefix, push_entry, split_bundle};
use proof::{
    log::{
        AddCheckpoint, Checkpoint, KeyKind, LogPolicy, LogSigner, SignedCheckpoint, TlogProof,
        VKey, WitnessCore, WitnessState, append_signature_lines, cosign,
        merkle::{self, Frontier, HashSource, leaf_hash, node_hash},
    },
    recording::{self, Manifest, SignedManifest, verify_chain, verify_links},
};
use std::{convert::Infallible, sync::LazyLock};

/// As in `docs/vectors`.
const ORIGIN: &str = "plant.example/ledger";

fn witness(name: &str) -> VKey {
    VKey::new(name, KeyKind::Witness, public(name)).unwrap()
}

static LOG: LazyLock<LogSigner> = LazyLock::new(|| LogSigner::new(ORIGIN, key("log")).unwrap());
static POLICY: LazyLock<LogPolicy> = LazyLock::new(|| {
    let witnesses = vec![witness("witness-1"), witness("witness-2")];
    LogPolicy::new(ORIGIN, LOG.vkey().clone(), witnesses, 2).unwrap()
});
static WITNESS: LazyLock<WitnessCore> = LazyLock::new(|| {
    let logs = vec![(ORIGIN.to_owned(), LOG.vkey().clone())];
    WitnessCore::new("witness-1", key("witness-1"), logs).unwrap()
});

/// Checkpoints, proofs and requests to a witness; then a checkpoint that the fuzzer
/// chose, signed and cosigned for real, with the fuzzer's lines after it.
pub fn note(bytes: &[u8]) {
    if let Ok(seen) = POLICY.verify_checkpoint(bytes) {
        assert_eq!(seen.note(), bytes);
        assert!(SignedCheckpoint::verify(ORIGIN, LOG.vkey(), bytes).is_ok());
    }
    if let Ok(request) = AddCheckpoint::parse(bytes) {
        assert_eq!(request.to_body(), bytes);
        let state = WitnessState { size: request.old, root: Digest([0; 32]), log: None };
        let _ = (request.origin(), WITNESS.decide(&request, &state, 1));
    }
    if let Ok(proof) = TlogProof::parse(bytes) {
        assert_eq!(TlogProof::parse(proof.to_string().as_bytes()).as_ref(), Ok(&proof));
        let _ = POLICY.verify_proof(bytes, b"leaf");
    }
    if let Ok(policy) = serde_json::from_slice::<LogPolicy>(bytes) {
        let again = serde_json::to_vec(&policy).unwrap();
        assert_eq!(serde_json::from_slice::<LogPolicy>(&again).unwrap(), policy);
    }
    if let Ok(checkpoint) = Checkpoint::from_text(bytes) {
        assert_eq!(checkpoint.to_text(), bytes);
    }
    cosigned(bytes);
}

fn cosigned(bytes: &[u8]) {
    let Some((size, lines)) = bytes.split_first_chunk() else {
        return;
    };
    let size = u64::from_le_bytes(*size) >> 11;
    let signed = LOG.sign(size, Digest([5; 32]));
    let line = |name: &str| cosign(name, key(name).as_ref(), signed.checkpoint(), 7).unwrap();
    let both = [line("witness-1"), line("witness-2")].concat();
    let good = append_signature_lines(signed.note(), both.as_bytes());
    assert_eq!(POLICY.verify_checkpoint(&good).unwrap().size(), size);
    let one = append_signature_lines(signed.note(), line("witness-1").as_bytes());
    assert!(POLICY.verify_checkpoint(&append_signature_lines(&one, lines)).is_err());
    if let Ok(seen) = POLICY.verify_checkpoint(&append_signature_lines(&good, lines)) {
        assert_eq!((seen.size(), seen.root()), (size, Digest([5; 32])));
    }
    let request = AddCheckpoint { old: size, proof: Vec::new(), note: signed.note().to_vec() };
    let state = WitnessState { size, root: Digest([5; 32]), log: None };
    let parsed = AddCheckpoint::parse(&request.to_body()).unwrap();
    assert_eq!(WITNESS.decide(&parsed, &state, 1).unwrap().state, state);
    let other = WitnessState { size, root: Digest([6; 32]), log: None };
    assert!(WITNESS.decide(&parsed, &other, 1).is_err(), "a fork was cosigned");
}

/// A tree hashed from its leaves, naively.
struct Tree(u64);

impl HashSource for Tree {
    type Error = Infallible;
    fn hash(&self, level: u8, index: u64) -> Result<Digest, Infallible> {
        match level {
            0 => Ok(leaf_hash(&index.to_be_bytes())),
            _ => Ok(node_hash(
                &self.hash(level - 1, 2 * index)?,
                &self.hash(level - 1, 2 * index + 1)?,
            )),
        }
    }
}

/// The only path that verifies is the right one: sizes and an edit from the fuzzer.
pub fn merkle(bytes: &[u8]) {
    if let Ok(frontier) = serde_json::from_slice::<Frontier>(bytes) {
        let again = serde_json::to_vec(&frontier).unwrap();
        assert_eq!(serde_json::from_slice::<Frontier>(&again).unwrap(), frontier);
        let _ = frontier.root();
    }
    let Some(([size, index, place, kind], rest)) = bytes.split_first_chunk::<4>() else {
        return;
    };
    let size = u64::from(*size).max(1);
    let (index, old) = (u64::from(*index) % size, 1 + u64::from(*index) % size);
    let tree = Tree(size);
    let top = merkle::root(&tree, tree.0).unwrap();
    let edit = |mut path: Vec<Digest>| {
        let at = usize::from(*place) % (path.len() + 1);
        let hash = rest.first_chunk().map_or(Digest([0; 32]), |b| Digest(*b));
        match kind % 5 {
            0 => path.insert(at, hash),
            1 if at < path.len() => drop(path.remove(at)),
            2 if at < path.len() => path[at] = hash,
            3 if at + 1 < path.len() => path.swap(at, at + 1),
            _ => {}
        }
        path
    };
    let leaf = leaf_hash(&index.to_be_bytes());
    let right = merkle::inclusion(&tree, index, size).unwrap();
    let edited = edit(right.clone());
    let same = edited == right;
    assert_eq!(merkle::verify_inclusion(&leaf, index, size, &edited, &top), same);
    let right = merkle::consistency(&tree, old, size).unwrap();
    let edited = edit(right.clone());
    let before = merkle::root(&tree, old).unwrap();
    let same = edited == right;
    assert_eq!(merkle::verify_consistency(old, &before, size, &top, &edited), same);
    if let Some((numbers, rest)) = rest.split_first_chunk::<16>() {
        let number = |at: usize| u64::from_le_bytes(*numbers[at..].first_chunk().unwrap());
        let path: Vec<Digest> =
            rest.chunks_exact(32).map(|c| Digest(c.try_into().unwrap())).collect();
        let (a, b) = (number(0), number(8));
        assert!(!merkle::verify_inclusion(&leaf, a, b, &path, &Digest([1; 32])));
        assert!(!merkle::verify_consistency(a, &leaf, b, &Digest([1; 32]), &path));
    }
}

/// Bundles of leaves.
pub fn bundle(bytes: &[u8]) {
    let whole =
        (0..=u64::from(ledger::layout::FULL as u16)).find_map(|w| split_bundle(bytes, w).ok());
    if let Some(leaves) = whole {
        let mut again = Vec::new();
        for leaf in &leaves {
            push_entry(&mut again, leaf).unwrap();
        }
        assert_eq!(again, bytes);
        let part = bundle_prefix(bytes, leaves.len() as u64 / 2).unwrap();
        assert_eq!(
            split_bundle(part, leaves.len() as u64 / 2).unwrap(),
            leaves[..leaves.len() / 2]
        );
    }
    let _ = bundle_prefix(bytes, 300);
}

/// Logs of checkpoints and manifests as they are stored, and with each claim signed
/// and linked for real.
pub fn recording(bytes: &[u8]) {
    if let Ok(manifest) = SignedManifest::from_bytes(bytes) {
        assert_eq!(manifest.to_bytes().unwrap(), bytes);
        let _ = manifest.verify(&public("cell-1"));
    }
    if let Ok(chain) = capture::read_checkpoints(bytes) {
        let _ = verify_links(&chain, &public("cell-1"));
        let _ = verify_chain::<[u8; 1]>(&chain, &public("cell-1"), &[]);
    }
    let cell = key("cell-1");
    let (mut chain, mut leaves) = (Vec::new(), Vec::new());
    let mut tree = Frontier::new();
    for chunk in bytes.chunks_exact(8).take(60) {
        for _ in 0..chunk[1] % 4 {
            leaves.push(leaves.len().to_be_bytes());
            tree.push(leaf_hash(leaves.last().unwrap()));
        }
        let honest = recording::Checkpoint {
            recording: "rec-1".parse::<Id>().unwrap(),
            order: Digest([1; 32]),
            seq: chain.len() as u64,
            previous: chain.last().map(|c: &recording::SignedCheckpoint| c.digest().unwrap()),
            leaves: tree.size(),
            root: tree.root(),
            samples: u64::from(chunk[2]),
            last: Millis(u64::from(chunk[3])),
            phase: if chunk[0] & 1 == 1 { recording::Phase::Final } else { recording::Phase::Open },
        };
        let claim = match chunk[0] >> 1 {
            1 => recording::Checkpoint { seq: u64::from(chunk[4]), ..honest },
            2 => recording::Checkpoint { leaves: u64::from(chunk[4]), ..honest },
            3 => recording::Checkpoint { previous: None, ..honest },
            4 => recording::Checkpoint { root: Digest([chunk[4]; 32]), ..honest },
            _ => honest,
        };
        chain.push(recording::SignedCheckpoint::new(claim, cell.as_ref()).unwrap());
    }
    let links = verify_links(&chain, &cell_public());
    let whole = verify_chain(&chain, &cell_public(), &leaves);
    if let Ok(whole) = whole {
        let (last, digest) = links.expect("what verifies with leaves verifies without");
        assert_eq!((last, digest), (whole.last(), whole.digest()));
        assert_eq!((last.leaves, last.root), (leaves.len() as u64, tree.root()));
        let ends = chain.iter().filter(|c| c.claim.phase == recording::Phase::Final);
        assert_eq!(ends.count(), 1, "something follows the end");
        assert!(verify_chain(&chain[..chain.len() - 1], &cell_public(), &leaves).is_err());
        leaves.push([9; 8]);
        assert!(verify_chain(&chain, &cell_public(), &leaves).is_err(), "a leaf too many");
    }
    if let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes)
        && let Some(last) = chain.last()
    {
        let _ = manifest.matches(&last.claim, &Digest([2; 32]));
    }
}

fn cell_public() -> [u8; 32] {
    public("cell-1")
}
