//! Go's `sumdb/note` and `sumdb/tlog` verify our checkpoints, cosignatures, proofs and
//! tiles, and refuse changed ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use ledger::*;
use proof::log::*;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

/// Builds the Go program once.
fn verifier() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let peers = root.join("target/peers");
        std::fs::create_dir_all(&peers).unwrap();
        let program = peers.canonicalize().unwrap().join("tlog_verify");
        let built = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(root.join("crates/testkit/peers/tlog_verify.go"))
            .envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode"), ("GOFLAGS", "")])
            .env("GOCACHE", program.with_file_name("go-cache"))
            .output()
            .expect("Go is missing: run `cargo xtask peers` first");
        let errors = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "run `cargo xtask peers` first: {errors}");
        program
    })
}

/// Runs the program; the error is what it printed.
fn go(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(verifier()).args(arguments).output().unwrap();
    match output.status.code() {
        Some(0) => Ok(()),
        Some(1) => Err(String::from_utf8(output.stderr).unwrap()),
        other => panic!("{other:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn leaf_of(n: u64) -> Vec<u8> {
    format!("leaf {n}").into_bytes()
}

struct Log {
    dir: tempfile::TempDir,
    store: Store,
    old: Vec<u8>,
    new: Vec<u8>,
}

const OLD: u64 = 300;
const NEW: u64 = 70_000;

fn cosigned(signed: &SignedCheckpoint) -> Vec<u8> {
    let line = cosign(&witness_name(0), key(10).as_ref(), signed.checkpoint(), 1_800_000_000);
    append_signature_lines(signed.note(), line.unwrap().as_bytes())
}

fn log() -> Log {
    let dir = tempfile::tempdir().unwrap();
    let fs: Arc<dyn Fs> = create(dir.path());
    let mut store = Store::open(fs, dir.path(), signer()).unwrap();
    let leaves = |range: std::ops::Range<u64>| range.map(leaf_of).collect::<Vec<_>>();
    let old = cosigned(store.commit(&leaves(0..OLD)).unwrap());
    let new = cosigned(store.commit(&leaves(OLD..NEW)).unwrap());
    Log { dir, store, old, new }
}

impl Log {
    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_string_lossy().into_owned()
    }
}

/// Flips one bit of the first byte after `marker`.
fn flipped(text: &[u8], marker: &str) -> Vec<u8> {
    let at = text.windows(marker.len()).position(|w| w == marker.as_bytes()).unwrap();
    let mut out = text.to_vec();
    // Base64 and decimal digits stay such under this bit.
    out[at + marker.len()] ^= 1;
    out
}

#[test]
fn go_verifies_proofs_and_cosignatures() {
    let log = log();
    let (log_key, witness) = (signer().vkey().to_string(), witness_key(0).to_string());
    for index in [0, 255, 256, 65_535, 65_536, NEW - 1] {
        let proof = log.store.reader().tlog_proof(index, NEW, &log.new).unwrap().to_string();
        let leaf = log.write("leaf", &leaf_of(index));
        let run = |proof: &[u8]| {
            go(&["inclusion", &log_key, &witness, &log.write("proof", proof), &leaf])
        };
        run(proof.as_bytes()).unwrap();
        let note_key = format!("\u{2014} {ORIGIN} ");
        let cosignature = format!("\u{2014} {} ", witness_name(0));
        for (marker, error) in [
            (format!("index {index}\n"), "inclusion"),
            (format!("{ORIGIN}\n"), "note"),
            (format!("{ORIGIN}\n{NEW}\n"), "note"),
        ] {
            let refused = run(&flipped(proof.as_bytes(), &marker)).unwrap_err();
            assert!(refused.starts_with(error), "{marker:?}: {refused}");
        }
        // Within the signatures: past the key's identifier, and the witness's time.
        for (marker, skip, error) in [(&note_key, 20, "note"), (&cosignature, 8, "cosignature")] {
            let at = proof.find(marker.as_str()).unwrap() + marker.len() + skip;
            let mut bad = proof.clone().into_bytes();
            bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
            let refused = run(&bad).unwrap_err();
            assert!(refused.starts_with(error), "{marker:?}: {refused}");
        }
        let other = log.write("other", b"another leaf");
        let path = log.write("proof", proof.as_bytes());
        let refused = go(&["inclusion", &log_key, &witness, &path, &other]).unwrap_err();
        assert!(refused.starts_with("inclusion"), "{refused}");
        let stranger = VKey::new(&witness_name(0), KeyKind::Witness, [3; 32]).unwrap().to_string();
        let refused = go(&["inclusion", &log_key, &stranger, &path, &leaf]).unwrap_err();
        assert!(refused.starts_with("cosignature"), "{refused}");
    }
}

#[test]
fn go_verifies_consistency_and_tiles() {
    let log = log();
    let log_key = signer().vkey().to_string();
    let proof = log.store.reader().consistency(OLD, NEW).unwrap();
    let body = AddCheckpoint { old: OLD, proof, note: log.new.clone() }.to_body();
    let old = log.write("old", &log.old);
    let run = |body: &[u8]| go(&["consistency", &log_key, &old, &log.write("body", body)]);
    run(&body).unwrap();
    let refused = run(&flipped(&body, &format!("old {OLD}\n"))).unwrap_err();
    assert!(refused.starts_with("consistency"), "{refused}");

    let dir = log.dir.path().to_string_lossy().into_owned();
    let new = log.write("new", &log.new);
    go(&["tiles", &log_key, &new, &dir]).unwrap();
    for file in ["tile/0/100", "tile/0/273.p/112", "tile/2/000.p/1", "tile/entries/100"] {
        let path = log.dir.path().join(file);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[9] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let refused = go(&["tiles", &log_key, &new, &dir]).unwrap_err();
        // Which of the two notices a changed leaf hash depends on Go's version.
        let noticed = refused.starts_with("tiles") || refused.starts_with("entries");
        assert!(noticed, "{file}: {refused}");
        std::fs::write(&path, &good).unwrap();
    }
}
