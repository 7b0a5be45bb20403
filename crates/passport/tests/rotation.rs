//! Passports and traces across a rotation of the log's key and a witness: whoever has the
//! anchors of the beginning verifies both sides of it, and believes no retired key.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{World, id, key, policy_of, sample, signer_of, vkey};
use passport::{Anchors, Draft, issue, verify, verify_trace};
use plant::{Body, body::Verdict};
use proof::log::LogPolicy;
use serde_json::Value;

/// A plant with a passport from before a rotation, and the draft of one from after it.
fn rotated() -> (World, String, Draft) {
    let (mut world, scan) = sample();
    let before = issue(world.draft(&scan.report), &*key("site")).unwrap().jwt().to_owned();
    world.rotate();
    let scan = world.scan("spindle-7", &[Verdict::Confirmed]);
    let after = world.draft(&scan.report);
    (world, before, after)
}

fn new_policy() -> LogPolicy {
    let witnesses = ["witness-1", "witness-3"].map(vkey).to_vec();
    LogPolicy::new(common::ORIGIN, signer_of("log-2").vkey().clone(), witnesses, 2).unwrap()
}

#[test]
fn passports_from_both_sides_of_a_rotation_verify() {
    let (world, before, draft) = rotated();
    let after = issue(draft, &*key("site")).unwrap();
    for pin in [None, Some(world.anchors())] {
        verify(&before, pin.as_ref()).unwrap();
        let trust = verify(after.jwt(), pin.as_ref()).unwrap().trust().clone();
        assert_eq!(trust.witnesses, ["witness-1", "witness-3"], "those that cosigned it");
    }
    // Who learned the new keys by another way believes them too, and no older checkpoint.
    let newer = Anchors { log: new_policy(), ..world.anchors() };
    verify(after.jwt(), Some(&newer)).unwrap();
    assert!(verify(&before, Some(&newer)).unwrap_err().to_string().contains("log"));
    // Stricter terms of a reader go with what was rotated.
    let strict = Anchors { log: policy_of(&["witness-1", "mine"], 2), ..world.anchors() };
    verify(after.jwt(), Some(&strict)).unwrap();
}

#[test]
fn retired_and_unnamed_keys_sign_no_passport() {
    let (mut world, _, draft) = rotated();
    let report = draft.report;
    let mut by = |log: &'static str, witnesses: [&'static str; 2]| {
        world.signers = (log, witnesses);
        issue(world.draft(&report), &*key("site")).map(drop).map_err(|e| e.to_string())
    };
    let retired = by("log", ["witness-1", "witness-2"]).unwrap_err();
    assert!(retired.contains("the log's signature"), "{retired}");
    let half = by("log-2", ["witness-1", "witness-2"]).unwrap_err();
    assert!(half.contains("cosignatures"), "{half}");
    by("log-3", ["witness-1", "witness-3"]).unwrap_err();
    by("log-2", ["witness-1", "witness-3"]).unwrap();
    // Without the rotation in its excerpt nothing says whose the new keys are.
    for word in ["propose", "approve"] {
        let mut draft = draft.clone();
        let is = |e: &passport::ProvenLeaf| {
            e.leaf.entry.statement.body.get(word).is_some() && e.index > 5
        };
        let at = draft.entries.iter().position(is).unwrap();
        draft.entries.remove(at);
        let error = issue(draft, &*key("site")).unwrap_err().to_string();
        assert!(error.contains("the log's signature"), "{error}");
    }
    // A rotation that one officer alone signed brings nothing into force.
    let (mut alone, scan) = sample();
    let keys = plant::body::Keys {
        authorities: None,
        log: Some(signer_of("log-2").vkey().clone()),
        vault: None,
        witnesses: None,
    };
    alone.log("olga", Body::Propose(plant::body::Change::Keys(keys)));
    alone.signers.0 = "log-2";
    let error = issue(alone.draft(&scan.report), &*key("site")).unwrap_err().to_string();
    assert!(error.contains("the log's signature"), "{error}");
}

#[test]
fn a_trace_may_hold_proofs_from_both_sides() {
    let (mut world, scan) = sample();
    let jwt = world.issue(scan.report);
    let early = world.export(scan.order, &[(scan.report, jwt.clone())]);
    world.rotate();
    let scanned = world.scan("spindle-7", &[Verdict::Confirmed]);
    let later = world.issue(scanned.report);
    let export = world.export(scanned.order, &[(scanned.report, later)]);
    let holds = |export: &Value, pin: Option<&Anchors>| {
        let trace = verify_trace(&serde_json::to_vec(export).unwrap(), pin).unwrap();
        trace.checks.iter().find(|c| !c.ok).map_or(Ok(()), |c| Err(c.words.clone()))
    };
    let anchors = world.anchors();
    for pin in [None, Some(&anchors)] {
        assert_eq!(holds(&early, pin), Ok(()));
        assert_eq!(holds(&export, pin), Ok(()));
    }
    // The proofs that a browser kept from before stand beside newer ones.
    let mut mixed = world.export(scan.order, &[(scan.report, jwt)]);
    for (n, entry) in early["entries"].as_array().unwrap().iter().enumerate() {
        assert_eq!(mixed["entries"][n]["index"], entry["index"]);
        mixed["entries"][n]["proof"] = entry["proof"].clone();
    }
    assert_eq!(holds(&mixed, Some(&anchors)), Ok(()));
    world.signers = ("log", ["witness-1", "witness-2"]);
    let stolen = world.export(scanned.order, &[]);
    assert!(holds(&stolen, Some(&anchors)).unwrap_err().contains("the log's signature"));
    assert_eq!(id("spindle-7"), scan_part(&world, &scanned.report));
}

fn scan_part(world: &World, report: &base::Digest) -> base::Id {
    world.plant.reports[report].report.part.clone()
}
