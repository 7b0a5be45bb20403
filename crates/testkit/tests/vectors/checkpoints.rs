//! Checkpoints and the policies that witness them.

use super::common::*;
use crate::plant_in_memory::{self as fixture, key};
use base::sha256;
use proof::log::{LogSigner, append_signature_lines, cosign};
use serde_json::{Value, json};

/// A hash in base64 with a bit set that belongs to no byte.
fn loose(hash: &str) -> String {
    let (start, last) = hash.trim_end_matches('=').split_at(42);
    let next = char::from(last.as_bytes()[0] + 1);
    format!("{start}{next}=")
}

pub fn vectors() -> Vec<Value> {
    let root = sha256(b"a root");
    let note = |signer: &LogSigner, size: u64, times: &[(&str, u64)]| {
        let signed = signer.sign(size, root);
        let mut note = signed.note().to_vec();
        for (witness, time) in times {
            let line = cosign(witness, &*key(witness), signed.checkpoint(), *time).unwrap();
            note = append_signature_lines(&note, line.as_bytes());
        }
        String::from_utf8(note).unwrap()
    };
    let log = fixture::log_signer();
    let both = [("witness-1", 1_795_219_200), ("witness-2", 1_795_219_203)];
    let good = note(&log, 42, &both);
    let policy = |quorum| canonical_of(&fixture::policy_of(&["witness-1", "witness-2"], quorum));
    let ask = |name: &str, note: String, quorum: usize, valid: bool, why: &str| {
        let input = json!({ "note": b64(note), "policy": b64(policy(quorum)) });
        vector("checkpoint", name, input, valid, why)
    };
    let lines: Vec<&str> = good.lines().collect();
    let without = |at: usize| {
        let kept = lines.iter().enumerate().filter(|(n, _)| *n != at);
        kept.map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    let other = LogSigner::new("other.example/log", key("log")).unwrap();
    let thief = LogSigner::new(fixture::ORIGIN, key("ada")).unwrap();
    let stranger = note(&log, 42, &[both[0], both[1], ("witness-3", 1)]);
    let json_policy = |change: fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(&policy(2)).unwrap();
        change(&mut value);
        canonical_of(&value)
    };
    let ask_policy = |name: &str, policy: Vec<u8>, why: &str| {
        let input = json!({ "note": b64(&good), "policy": b64(policy) });
        vector("checkpoint", name, input, false, why)
    };
    vec![
        ask("two of two", good.clone(), 2, true, "log and both witnesses signed"),
        ask("one of two", without(5), 1, true, "one is enough"),
        ask("an unknown witness beside them", stranger, 2, true, "unknown keys are ignored"),
        ask("an empty log", note(&log, 0, &both), 2, true, "a size of zero"),
        ask("the largest log", note(&log, (1 << 53) - 1, &both), 2, true, "below 2^53"),
        ask(
            "a time that JavaScript cannot hold",
            note(&log, 42, &[("witness-1", (1 << 62) + 1), both[1]]),
            2,
            true,
            "63 bits",
        ),
        ask("a log too large", note(&log, 1 << 53, &both), 2, false, "below 2^53"),
        ask(
            "a time of 64 bits",
            note(&log, 42, &[("witness-1", 1 << 63), both[1]]),
            1,
            false,
            "63 bits",
        ),
        ask("one where two are needed", without(5), 2, false, "the quorum"),
        ask("one witness twice", format!("{}{}\n", without(5), lines[6]), 2, false, "counts once"),
        ask("no log signature", without(4), 2, false, "the log must sign"),
        ask("another log", note(&other, 42, &both), 2, false, "the origin"),
        ask("another key of that name", note(&thief, 42, &both), 2, false, "the log must sign"),
        ask(
            "another root",
            good.replacen(lines[2], "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 1),
            2,
            false,
            "not what was signed",
        ),
        ask(
            "a loose bit in the root",
            good.replacen(lines[2], &loose(lines[2]), 1),
            2,
            false,
            "strict base64",
        ),
        ask("another size", good.replacen("\n42\n", "\n43\n", 1), 2, false, "not what was signed"),
        ask(
            "a zero before the size",
            good.replacen("\n42\n", "\n042\n", 1),
            2,
            false,
            "one spelling",
        ),
        ask("an extension line", good.replacen("\n\n", "\nmore\n\n", 1), 2, false, "three lines"),
        ask("no newline at the end", good.trim_end().into(), 2, false, "a line ends"),
        ask(
            "a carriage return",
            good.replacen("\n42", "\r\n42", 1),
            2,
            false,
            "no control characters",
        ),
        ask("a hyphen for a dash", good.replacen('\u{2014}', "-", 1), 2, false, "U+2014"),
        ask("nothing", String::new(), 2, false, "text and signatures"),
        ask_policy("a quorum of none", json_policy(|p| p["quorum"] = 0.into()), "at least one"),
        ask_policy("a quorum of three", json_policy(|p| p["quorum"] = 3.into()), "two witnesses"),
        ask_policy(
            "one witness named twice",
            json_policy(|p| p["witnesses"][1] = p["witnesses"][0].clone()),
            "distinct ones",
        ),
        ask_policy(
            "a witness for a log",
            json_policy(|p| p["log_key"] = p["witnesses"][0].clone()),
            "type 1",
        ),
        ask_policy("an unknown key", json_policy(|p| p["more"] = 1.into()), "no such key"),
    ]
}
