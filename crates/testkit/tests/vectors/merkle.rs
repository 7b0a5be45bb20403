//! Proofs in the log: inclusion, consistency, tlog-proof.

use super::common::*;
use crate::plant_in_memory as fixture;
use base::Digest;
use proof::log::{
    TlogProof,
    merkle::{self, HashSource, leaf_hash, node_hash},
};
use serde_json::{Value, json};

/// A Merkle tree in memory.
struct Tree(Vec<Digest>);

impl HashSource for Tree {
    type Error = ();
    fn hash(&self, level: u8, index: u64) -> Result<Digest, ()> {
        match level.checked_sub(1) {
            None => self.0.get(index as usize).copied().ok_or(()),
            Some(below) => {
                Ok(node_hash(&self.hash(below, 2 * index)?, &self.hash(below, 2 * index + 1)?))
            }
        }
    }
}

pub fn vectors() -> Vec<Value> {
    let leaves: Vec<Digest> = (0..40u8).map(|n| leaf_hash(&[n])).collect();
    let tree = Tree(leaves.clone());
    let root = |size: u64| merkle::root(&tree, size).unwrap();
    let include = |name: String,
                   index: u64,
                   size: u64,
                   path: &[Digest],
                   root: Digest,
                   at: u64,
                   valid| {
        let input = json!({ "leaf": leaves[at as usize], "index": index, "size": size, "path": path, "root": root });
        vector(
            "inclusion",
            &name,
            input,
            valid,
            if valid { "the path leads there" } else { "it does not" },
        )
    };
    let mut out = Vec::new();
    for (size, indexes) in [
        (1, vec![0]),
        (2, vec![0, 1]),
        (3, vec![0, 2]),
        (5, vec![3, 4]),
        (7, vec![6]),
        (8, vec![5]),
        (11, vec![8, 10]),
        (21, vec![16, 20]),
        (33, vec![32]),
        (40, vec![17]),
    ] {
        for index in indexes {
            let path = merkle::inclusion(&tree, index, size).unwrap();
            let name = format!("leaf {index} of {size}");
            out.push(include(name.clone(), index, size, &path, root(size), index, true));
            out.push(include(
                format!("{name} under another root"),
                index,
                size,
                &path,
                root(size + 7 - 40 * u64::from(size + 7 > 40)),
                index,
                false,
            ));
            out.push(include(
                format!("{name} past the end"),
                size,
                size,
                &path,
                root(size),
                index,
                false,
            ));
            let mut longer = path.clone();
            longer.push(leaves[39]);
            out.push(include(
                format!("{name} with a longer path"),
                index,
                size,
                &longer,
                root(size),
                index,
                false,
            ));
            if let Some((_, rest)) = path.split_first() {
                out.push(include(
                    format!("{name} with a shorter path"),
                    index,
                    size,
                    rest,
                    root(size),
                    index,
                    false,
                ));
                out.push(include(
                    format!("{name} at its neighbour's place"),
                    index ^ 1,
                    size,
                    &path,
                    root(size),
                    index,
                    false,
                ));
            }
        }
    }
    for (old, size) in [
        (0, 1),
        (0, 7),
        (1, 1),
        (1, 2),
        (2, 3),
        (3, 7),
        (4, 7),
        (6, 8),
        (8, 21),
        (13, 21),
        (20, 33),
        (32, 33),
        (39, 40),
    ] {
        let path = merkle::consistency(&tree, old, size).unwrap();
        let ask = |what: &str, path: &[Digest], valid: bool| {
            let input = json!({ "old": old, "old_root": root(old), "size": size, "root": root(size), "path": path });
            vector(
                "consistency",
                &format!("{old} to {size}{what}"),
                input,
                valid,
                if valid {
                    "the old tree is its beginning"
                } else {
                    "the path does not lead there"
                },
            )
        };
        out.push(ask("", &path, true));
        out.push(ask(" with a longer path", &[&path[..], &[leaves[0]]].concat(), false));
        if let Some((_, rest)) = path.split_first() {
            out.push(ask(" with a shorter path", rest, false));
            let mut turned = path.clone();
            turned[0].0[31] ^= 1;
            out.push(ask(" with a changed hash", &turned, false));
        }
    }
    out.extend(proofs());
    out
}

fn proofs() -> Vec<Value> {
    let (world, _) = fixture::sample();
    let policy = canonical_of(&fixture::policy_of(&["witness-1", "witness-2"], 2));
    let proven = world.proven(7);
    let leaf = proven.leaf.bytes().unwrap();
    let proof = |extra: Option<&str>| {
        let extra = extra.map(|e| e.as_bytes().to_vec());
        let path = proven.path.clone();
        TlogProof { extra, index: 7, path, checkpoint: world.checkpoint() }.to_string()
    };
    let good = proof(None);
    let ask = |name: &str, proof: String, leaf: &[u8], valid: bool, why: &str| {
        let input = json!({ "proof": b64(proof), "leaf": b64(leaf), "policy": b64(&policy) });
        vector("proof", name, input, valid, why)
    };
    let other = world.leaves[8].bytes().unwrap();
    vec![
        ask("a proof", good.clone(), &leaf, true, "entry 7 stands in a witnessed log"),
        ask("a proof with extra data", proof(Some("more")), &leaf, true, "extra data is allowed"),
        ask("another leaf", good.clone(), &other, false, "not what stands there"),
        ask(
            "another index",
            good.replacen("index 7", "index 6", 1),
            &leaf,
            false,
            "not where it stands",
        ),
        ask(
            "a zero before the index",
            good.replacen("index 7", "index 07", 1),
            &leaf,
            false,
            "one spelling",
        ),
        ask(
            "a plus before the index",
            good.replacen("index 7", "index +7", 1),
            &leaf,
            false,
            "one spelling",
        ),
        ask("another header", good.replacen("@v1", "@v2", 1), &leaf, false, "the version"),
        ask(
            "extra data with a loose bit",
            proof(Some("more")).replacen("bW9yZQ==", "bW9yZR==", 1),
            &leaf,
            false,
            "strict base64",
        ),
        ask("no index", good.replacen("index 7\n", "", 1), &leaf, false, "index"),
        ask(
            "no checkpoint",
            good.split("\n\n").next().unwrap().into(),
            &leaf,
            false,
            "a checkpoint",
        ),
        ask("a cut end", good[..good.len() - 5].into(), &leaf, false, "a whole signature"),
        ask(
            "an empty line in the path",
            good.replacen("index 7\n", "index 7\n\n", 1),
            &leaf,
            false,
            "no hash",
        ),
    ]
}
