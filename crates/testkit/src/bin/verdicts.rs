//! What the Rust verifier says, for other implementations to compare with.
//!
//! Each line of standard input is a question, `{"kind": …, "input": {…}}`, with
//! bytes in base64url; each line of output its answer, `{"ok": …, "error": …}`.
//! A question that does not parse is answered with `"ok": false` too, since what
//! is asked about is foreign. `docs/vectors` holds questions with known answers.

use base::{Bytes, Digest, from_canonical};
use passport::Anchors;
use plant::Plant;
use proof::{
    entry::{Entry, Leaf},
    keys::PublicKey,
    log::{LogPolicy, VKey, merkle},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{self, BufRead, Write};

/// One question. Keys, policies and anchors come as bytes as well, so that their
/// spelling is asked about.
#[derive(Deserialize)]
#[serde(tag = "kind", content = "input", rename_all = "kebab-case", deny_unknown_fields)]
enum Question {
    /// Are these canonical JSON?
    Canonical { bytes: Bytes },
    /// Is this a well-formed public key?
    Key { key: Bytes },
    /// Did this key sign this entry?
    Entry { entry: Bytes, key: Bytes },
    /// Is this a key of a log or a witness?
    Vkey { text: Bytes },
    /// Is this checkpoint witnessed?
    Checkpoint { note: Bytes, policy: Bytes },
    /// Does this path lead from the leaf's hash to the root?
    Inclusion { leaf: Digest, index: u64, size: u64, path: Vec<Digest>, root: Digest },
    /// Does this path lead from the old root to the new one?
    Consistency { old: u64, old_root: Digest, size: u64, root: Digest, path: Vec<Digest> },
    /// Does this file prove that a log holds the leaf?
    Proof { proof: Bytes, leaf: Bytes, policy: Bytes },
    /// May these leaves stand on a ledger, in this order?
    Ledger { leaves: Vec<Bytes> },
    /// Is this file a passport?
    Passport { file: Bytes, anchors: Option<Bytes> },
}

fn main() -> io::Result<()> {
    let (input, mut output) = (io::stdin().lock(), io::stdout().lock());
    for line in input.lines() {
        let answer = match serde_json::from_str(&line?).map_err(text).and_then(verdict) {
            Ok(()) => json!({ "ok": true, "error": null }),
            Err(error) => json!({ "ok": false, "error": error }),
        };
        writeln!(output, "{answer}")?;
    }
    output.flush()
}

/// Any error, in words.
fn text(error: impl ToString) -> String {
    error.to_string()
}

fn holds(holds: bool) -> Result<(), String> {
    if holds { Ok(()) } else { Err("the path does not lead there".into()) }
}

fn verdict(question: Question) -> Result<(), String> {
    match question {
        Question::Canonical { bytes } => {
            from_canonical::<Value>(&bytes.0).map(|_| ()).map_err(text)
        }
        Question::Key { key } => {
            from_canonical::<PublicKey>(&key.0).map_err(text)?.check_form().map_err(text)
        }
        Question::Entry { entry, key } => {
            let key: PublicKey = from_canonical(&key.0).map_err(text)?;
            Entry::parse(&entry.0).map_err(text)?.verify(&key).map(|_| ()).map_err(text)
        }
        Question::Vkey { text: bytes } => {
            let key = String::from_utf8(bytes.0).map_err(text)?;
            key.parse::<VKey>().map(|_| ()).map_err(text)
        }
        Question::Checkpoint { note, policy } => {
            policy_of(&policy)?.verify_checkpoint(&note.0).map(|_| ()).map_err(text)
        }
        Question::Inclusion { leaf, index, size, path, root } => {
            holds(merkle::verify_inclusion(&leaf, index, size, &path, &root))
        }
        Question::Consistency { old, old_root, size, root, path } => {
            holds(merkle::verify_consistency(old, &old_root, size, &root, &path))
        }
        Question::Proof { proof, leaf, policy } => {
            policy_of(&policy)?.verify_proof(&proof.0, &leaf.0).map(|_| ()).map_err(text)
        }
        Question::Ledger { leaves } => fold(&leaves),
        Question::Passport { file, anchors } => {
            let anchors: Option<Anchors> =
                anchors.map(|a| serde_json::from_slice(&a.0)).transpose().map_err(text)?;
            passport::verify_file(&file.0, anchors.as_ref()).map(|_| ()).map_err(text)
        }
    }
}

fn policy_of(bytes: &Bytes) -> Result<LogPolicy, String> {
    serde_json::from_slice(&bytes.0).map_err(text)
}

fn fold(leaves: &[Bytes]) -> Result<(), String> {
    let (first, rest) = leaves.split_first().ok_or("no leaves")?;
    let mut plant = Plant::begin(&Leaf::parse(&first.0).map_err(text)?).map_err(text)?;
    rest.iter().try_for_each(|leaf| plant.append(&leaf.0).map(|_| ()).map_err(text))
}
