//! npm's `jose` verifies a passport under our key set, and refuses a changed one.

// A test may write files; the crate may not.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use passport::{DidWeb, issue, jwks};
use proof::keys::Signer;
use serde_json::Value;
use std::{
    fs::{self, File},
    path::Path,
    process::Command,
};

fn jose(jwt: &str, keys: &Value) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let peers = root.join("target/peers/node");
    assert!(
        peers.join("node_modules/jose").exists(),
        "npm's jose is missing: run `cargo xtask peers` first"
    );
    let folder = tempfile::tempdir().unwrap();
    let (jwt_file, jwks_file) = (folder.path().join("jwt"), folder.path().join("jwks"));
    fs::write(&jwt_file, jwt).unwrap();
    fs::write(&jwks_file, keys.to_string()).unwrap();
    let script = File::open(root.join("crates/testkit/peers/jose_verify.mjs")).unwrap();
    let output = Command::new("node")
        .args(["--input-type=module", "-"])
        .args([&jwt_file, &jwks_file])
        .current_dir(peers)
        .stdin(script)
        .output()
        .expect("Node.js is missing: run `cargo xtask peers` first");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn jose_verifies_a_passport_and_refuses_a_changed_one() {
    let (world, scan) = sample();
    let verified = issue(world.draft(&scan.report), &*key("site")).unwrap();
    let did: DidWeb = DID.parse().unwrap();
    let keys = |name: &str| jwks(&[(did.key_id(&id("site")), key(name).public())]);
    let answer: Value = serde_json::from_str(&jose(verified.jwt(), &keys("site"))).unwrap();
    assert_eq!(answer["part"], "spindle-7");
    assert_eq!(answer["header"]["alg"], "EdDSA");
    assert_eq!(answer["header"]["typ"], "vc+jwt");
    assert_eq!(answer["header"]["kid"], format!("{DID}#site"));

    let mut flipped = verified.jwt().as_bytes().to_vec();
    let middle = flipped.len() / 2;
    flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let refused = "refused ERR_JWS_SIGNATURE_VERIFICATION_FAILED";
    assert_eq!(jose(&flipped, &keys("site")), refused);
    assert_eq!(jose(verified.jwt(), &keys("ada")), refused);
}
