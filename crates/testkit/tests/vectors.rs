//! The vectors in `docs/vectors`: questions to a verifier with known answers.
//!
//! The Rust verifier must agree with each; the console's TypeScript does in its own
//! tests. `cargo test --workspace --test vectors -- --ignored` writes them anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "vectors/make.rs"]
mod make;
#[path = "../../passport/tests/common/mod.rs"]
mod plant_in_memory;

use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors")
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Asks the program that other implementations are compared with.
fn verdicts(questions: &[&Value]) -> Vec<Value> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_verdicts"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = questions
        .iter()
        .map(|q| format!("{}\n", json!({ "kind": q["kind"], "input": q["input"] })))
        .collect();
    let mut stdin = program.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = program.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let answers = String::from_utf8(output.stdout).unwrap();
    answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_rust_verifier_agrees_with_every_vector() {
    let mut seen = 0;
    for name in make::FILES {
        let file = read(&folder().join(format!("{name}.json")));
        let vectors: Vec<&Value> = file["vectors"].as_array().unwrap().iter().collect();
        let answers = verdicts(&vectors);
        assert_eq!(answers.len(), vectors.len());
        for (vector, answer) in vectors.iter().zip(answers) {
            let (name, why) = (&vector["name"], &vector["why"]);
            assert_eq!(answer["ok"], vector["valid"], "{name} ({why}): {}", answer["error"]);
            seen += 1;
        }
        assert!(vectors.iter().any(|v| v["valid"] == true), "{name}");
        assert!(vectors.iter().any(|v| v["valid"] == false), "{name}");
    }
    assert!(seen > 100, "{seen}");
}

/// Whoever changes a format runs this, and reads what changed.
#[test]
#[ignore = "writes docs/vectors"]
fn the_vectors_are_written() {
    let kept = folder().join("signatures.json");
    let drawn = if kept.exists() { read(&kept) } else { json!({}) };
    let (files, drawn) = make::all(drawn.as_object().unwrap().clone());
    for (name, vectors) in files {
        let file = json!({ "format": "interlock/vectors/1", "vectors": vectors });
        let text = serde_json::to_string_pretty(&file).unwrap();
        fs::write(folder().join(format!("{name}.json")), text + "\n").unwrap();
    }
    fs::write(kept, serde_json::to_string_pretty(&drawn).unwrap() + "\n").unwrap();
}
