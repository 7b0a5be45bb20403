//! `interlock audit trace` as a person runs it: a file in, words and an exit code out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../passport/tests/common/mod.rs"]
mod common;

use common::export::exported;
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Command, Output},
};
use tempfile::TempDir;

fn audit(file: &Path, more: &[&str]) -> (i32, Output) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_interlock"));
    let output = command.args(["audit", "trace"]).arg(file).args(more).output().unwrap();
    (output.status.code().unwrap(), output)
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn an_export_is_verified_with_the_files_or_the_readers_anchors() {
    let dir = TempDir::new().unwrap();
    let (_, scan, export) = exported();
    let file = dir.path().join("trace.json");
    std::fs::write(&file, export.to_string()).unwrap();
    let anchors = dir.path().join("anchors.json");
    std::fs::write(&anchors, export["anchors"].to_string()).unwrap();

    let (code, output) = audit(&file, &[]);
    let text = said(&output);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(&scan.order.to_string()) && text.contains("all 11 steps hold"), "{text}");
    assert_eq!((text.matches('✓').count(), text.matches('✗').count()), (11, 0), "{text}");
    assert!(text.contains("trust: the file's own anchors"), "{text}");
    let anchors = anchors.to_str().unwrap();
    let (code, output) = audit(&file, &["--anchors", anchors]);
    assert_eq!(code, 0);
    assert!(said(&output).contains("trust: pinned to plant"));
    let (code, output) = audit(&file, &["--anchors", anchors, "--json"]);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (code, &value["verified"], &value["trace"]["pinned"]),
        (0, &json!(true), &json!(true))
    );
    assert_eq!(value["trace"]["order"], json!(scan.order));
}

#[test]
fn what_is_broken_is_marked_and_ends_with_exit_code_four() {
    let dir = TempDir::new().unwrap();
    let (_, scan, mut export) = exported();
    let file = dir.path().join("trace.json");
    let root = &scan.roots[0];
    export["manifests"][root]["claim"]["robot"] = json!("other");
    std::fs::write(&file, export.to_string()).unwrap();
    let (code, output) = audit(&file, &[]);
    let text = said(&output);
    assert_eq!(code, 4, "{text}");
    assert_eq!((text.matches('✓').count(), text.matches('✗').count()), (10, 1), "{text}");
    assert!(text.contains("✗ recording") && text.contains("broken: 1 of 11 steps"), "{text}");
    let (code, output) = audit(&file, &["--json"]);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((code, &value["verified"]), (4, &json!(false)));

    export["anchors"]["site"] = json!("plant-2");
    std::fs::write(&file, export.to_string()).unwrap();
    assert_eq!(audit(&file, &[]).0, 4);
    std::fs::write(&file, "{}").unwrap();
    assert_eq!(audit(&file, &[]).0, 4);
    std::fs::write(&file, vec![b' '; passport::MAX_TRACE_BYTES + 1]).unwrap();
    assert_eq!(audit(&file, &[]).0, 4);
    assert_eq!(audit(&dir.path().join("absent"), &[]).0, 1);
}
