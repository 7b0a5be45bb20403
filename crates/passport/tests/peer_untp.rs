//! PyPI's `dppvalidator` accepts each kind of passport as a UNTP digital product
//! passport 0.6.1, by the schema that the UN publishes, and refuses a broken one.

// A test may write files; the crate may not.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use passport::issue;
use plant::body::Verdict;
use serde_json::Value;
use std::{fs, path::Path, process::Command};

fn validate(credential: &Value) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join("target/peers/venv/bin/python");
    assert!(python.exists(), "{} is missing: run `cargo xtask peers` first", python.display());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credential.json");
    fs::write(&file, credential.to_string()).unwrap();
    let output = Command::new(python)
        .arg(root.join("crates/testkit/peers/untp_validate.py"))
        .arg(&file)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "dppvalidator failed, `cargo xtask peers` installs it: {errors}"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn dppvalidator_accepts_every_kind_of_passport() {
    let kinds: [&[Verdict]; 4] = [
        &[Verdict::Enrolled, Verdict::Pass],
        &[Verdict::Enrolled, Verdict::Fail],
        &[Verdict::Undetermined],
        &[Verdict::Enrolled],
    ];
    for verdicts in kinds {
        let mut world = World::new();
        let scan = world.scan("spindle-7", verdicts);
        let verified = issue(world.draft(&scan.report), &*key("site")).unwrap();
        let answer = validate(verified.credential());
        assert_eq!(answer["valid"], true, "{verdicts:?}: {}", answer["errors"]);
        assert_eq!(answer["version"], "0.6.1");
    }
}

#[test]
fn dppvalidator_refuses_what_is_no_product_passport() {
    let (world, scan) = sample();
    let verified = issue(world.draft(&scan.report), &*key("site")).unwrap();
    assert_eq!(validate(verified.credential())["valid"], true);
    let mut broken = verified.credential().clone();
    broken["credentialSubject"]["granularityLevel"] = "atom".into();
    assert_eq!(validate(&broken)["valid"], false);
}
