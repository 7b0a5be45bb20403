//! An export of the console's trace page: whole, and with each of its parts broken.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base::{Refusal, Rule};
use common::{World, export::exported, id, key, policy_of, sample};
use passport::{Anchors, Trace, verify_trace};
use plant::{
    Body,
    body::{Order, Refused, RevokeGrant, RunStarted, Shred, Verdict},
};
use serde_json::{Value, json};

fn verify(export: &Value, pin: Option<&Anchors>) -> Trace {
    verify_trace(&serde_json::to_vec(export).unwrap(), pin).unwrap()
}

/// The steps that do not hold, with why.
fn broken(export: &Value) -> Vec<(&'static str, String)> {
    let trace = verify(export, None);
    let broken: Vec<_> =
        trace.checks.iter().filter(|c| !c.ok).map(|c| (c.step, c.words.clone())).collect();
    assert_eq!(broken.is_empty(), trace.holds());
    broken
}

/// Requires exactly one broken step, whose words hold `words`.
fn breaks(export: &Value, step: &str, words: &str) {
    match &broken(export)[..] {
        [(found, said)] => {
            assert_eq!(*found, step, "{said}");
            assert!(said.contains(words), "`{words}` is not in: {said}");
        }
        other => panic!("one broken step is expected: {other:?}"),
    }
}

/// Where an entry of this word stands in the export.
fn at(export: &Value, word: &str) -> usize {
    let entries = export["entries"].as_array().unwrap();
    let states = |e: &Value| e["leaf"]["entry"]["statement"]["body"].get(word).is_some();
    entries.iter().rposition(states).unwrap()
}

fn without(export: &Value, word: &str) -> Value {
    let mut cut = export.clone();
    cut["entries"].as_array_mut().unwrap().remove(at(export, word));
    cut
}

#[test]
fn a_whole_export_verifies_and_says_whose_anchors_it_rests_on() {
    let (world, scan, export) = exported();
    let trace = verify(&export, None);
    assert!(trace.holds(), "{:?}", broken(&export));
    assert!(!trace.pinned);
    assert_eq!((trace.order, trace.genesis), (scan.order, world.plant.genesis));
    let steps: Vec<_> = trace.checks.iter().map(|c| c.step).collect();
    let recordings = ["recording", "recording"];
    let ends = ["grant", "read", "report", "passport"];
    let all = [&["anchors", "ledger", "rules", "order", "motion"][..], &recordings, &ends].concat();
    assert_eq!(steps, all);
    assert!(trace.checks[0].words.contains("the file's own"));
    assert!(trace.checks[4].words.contains("it finished with 15000 samples"));

    let pinned = verify(&export, Some(&world.anchors()));
    assert!(pinned.holds() && pinned.pinned);
    assert!(pinned.checks[0].words.starts_with("yours"));
}

#[test]
fn runs_that_ended_early_or_never_began_verify_as_what_they_are() {
    let mut world = World::new();
    let (order, _) = world.run("part-1");
    assert_eq!(broken(&world.export(order, &[])), []);

    let pending = world.log("ada", Body::Order(world.order_of("part-2")));
    let trace = verify(&world.export(pending, &[]), None);
    assert!(trace.holds());
    assert!(trace.checks[4].words.contains("no entry of the file says that the robot moved"));
    let refusal = Refusal {
        who: "ada".into(),
        what: "a run".into(),
        rule: Rule::State,
        reason: "the robot is off".into(),
        accepted: "a robot that is on".into(),
    };
    let refused = Refused { gate: "motion".into(), refusal, request: Some(pending) };
    world.log("cell-1", Body::Refused(refused));
    let trace = verify(&world.export(pending, &[]), None);
    assert!(trace.holds() && trace.checks[4].words.contains("refused the order by rule `state`"));
}

#[test]
fn recordings_of_another_run_that_were_granted_with_it_are_verified_too() {
    let (mut world, scan) = sample();
    let (order, mut roots) = world.run("spindle-7");
    let first = world.plant.orders.iter().find(|(_, o)| o.index < 20).unwrap().0.to_owned();
    assert_ne!(first, scan.order);
    let own = roots.clone();
    roots.extend(scan.roots.clone());
    let grant = world.grant(order, &roots);
    let report = world.report_of("spindle-7", order, grant, &roots, &[Verdict::Confirmed]);
    world.log("vision", Body::Report(Box::new(report)));
    let revoke = RevokeGrant { grant, reason: "done".into() };
    world.log("olga", Body::RevokeGrant(revoke));
    world.log("olga", Body::Shred(Shred { reason: "old".into(), root: own[0].clone() }));
    for order in [order, scan.order] {
        let export = world.export(order, &[]);
        let words: Vec<_> = verify(&export, None).checks.into_iter().map(|c| c.words).collect();
        let said = words.join("\n");
        assert!(said.contains("of another run") && said.contains("revoked at entry"), "{said}");
    }
    let export = world.export(order, &[]);
    assert_eq!(broken(&export), []);
    // Nothing is proven of a manifest whose recording the file does not register.
    let mut stranger = export.clone();
    let root = scan.roots[0].clone();
    let entries = stranger["entries"].as_array_mut().unwrap();
    let registers =
        |e: &Value| e["leaf"]["entry"]["statement"]["body"]["recording"]["root"] == json!(root);
    entries.retain(|e| !registers(e));
    breaks(&stranger, "rules", "is not in the vault");
}

#[test]
fn another_plants_export_and_anchors_that_it_did_not_begin_with_are_not_trusted() {
    let (world, _, export) = exported();
    let other = Anchors { genesis: base::sha256(b"other"), ..world.anchors() };
    let trace = verify(&export, Some(&other));
    assert_eq!((trace.holds(), trace.checks.len()), (false, 1));
    let log = policy_of(&["witness-1", "witness-3"], 2);
    let trace = verify(&export, Some(&Anchors { log: log.clone(), ..world.anchors() }));
    assert_eq!((trace.checks.len(), trace.checks[1].ok), (2, false), "one of two cosigned");

    let mut edited = export.clone();
    edited["anchors"]["log"] = json!(policy_of(&["witness-1", "witness-2"], 1));
    breaks(&edited, "anchors", "states another log or other witnesses");
    edited["anchors"]["log"] = export["anchors"]["log"].clone();
    edited["anchors"]["site"] = json!("plant-2");
    breaks(&edited, "anchors", "the plant's first entry says `plant`");
    let mut headless = export.clone();
    headless["entries"].as_array_mut().unwrap().remove(0);
    breaks(&headless, "anchors", "genesis");
    headless["entries"] = json!([]);
    breaks(&headless, "anchors", "it has no entries");
}

#[test]
fn a_leaf_or_proof_that_was_touched_is_named() {
    let (world, _, export) = exported();
    let order = at(&export, "order");
    let mut edited = export.clone();
    edited["entries"][order]["leaf"]["entry"]["statement"]["body"]["order"]["part"] =
        json!("spindle-8");
    breaks(&edited, "ledger", "(order)");
    let mut late = export.clone();
    let at_ms = late["entries"][order]["leaf"]["logged_at"].as_u64().unwrap();
    late["entries"][order]["leaf"]["logged_at"] = json!(at_ms + 1);
    breaks(&late, "ledger", "(order)");
    let mut swapped = export.clone();
    swapped["entries"][order]["proof"] = export["entries"][order + 1]["proof"].clone();
    breaks(&swapped, "ledger", "it is of entry");
    let mut moved = export.clone();
    moved["entries"][order]["index"] = json!(1);
    breaks(&moved, "ledger", "it is of entry");

    let proof = export["entries"][order]["proof"].as_str().unwrap();
    let mut bare = export.clone();
    let line = proof.lines().last().unwrap();
    bare["entries"][order]["proof"] = json!(proof.replace(&format!("{line}\n"), ""));
    breaks(&bare, "ledger", "witnesses");
    let mut forged = export.clone();
    let text = proof.replacen(&line[line.len() - 8..], "AAAAAAA=", 1);
    forged["entries"][order]["proof"] = json!(text);
    breaks(&forged, "ledger", "does not verify");
    let mut garbage = export.clone();
    garbage["entries"][order]["proof"] = json!("c2sp.org/tlog-proof@v1\n");
    breaks(&garbage, "ledger", "malformed tlog-proof");

    // The same size with another root means that the witnesses saw two histories.
    let mut fork = World::new();
    while fork.leaves.len() < world.leaves.len() {
        fork.log("ada", Body::Order(fork.order_of("part-1")));
    }
    let mut forked = export.clone();
    let other = fork.export(fork.leaves.last().unwrap().entry.id().unwrap(), &[]);
    let last = other["entries"].as_array().unwrap().last().unwrap().clone();
    forked["entries"].as_array_mut().unwrap().push(last);
    breaks(&forked, "ledger", "another root");
}

#[test]
fn what_the_fold_does_not_admit_is_no_trace() {
    let (_, _, export) = exported();
    breaks(&without(&export, "run-started"), "rules", "the run is not under way");
    breaks(&without(&export, "run-ended"), "rules", "has no run that finished");
    let mut unapproved = export.clone();
    let first = unapproved["entries"].as_array_mut().unwrap().remove(2);
    assert!(first["leaf"]["entry"]["statement"]["body"]["approve"].is_object());
    breaks(&unapproved, "rules", "no program `scan-spindle` is approved");
    breaks(&without(&export, "grant"), "rules", "(read)");
    breaks(&without(&export, "report"), "rules", "(passport)");
    breaks(&without(&export, "order"), "rules", "(run-started)");
    let mut unsorted = export.clone();
    let read = at(&export, "read");
    unsorted["entries"].as_array_mut().unwrap().swap(read, read - 1);
    breaks(&unsorted, "rules", "in the order of their indexes");
    let mut twice = export.clone();
    let again = twice["entries"][read].clone();
    twice["entries"].as_array_mut().unwrap().push(again);
    breaks(&twice, "rules", "in the order of their indexes");

    // A site that logged what its rules do not admit.
    let mut world = World::new();
    let order = Order { max_lag: 0, ..world.order_of("part-1") };
    let order = world.force("vision", Body::Order(order));
    let index = world.leaves.len() as u64 - 1;
    let mut forced = world_export(&world, order, index);
    breaks(&forced, "rules", "may not `order.place`");
    forced["order"] = json!(base::sha256(b"none"));
    forced["entries"].as_array_mut().unwrap().pop();
    breaks(&forced, "order", "no entry");
}

/// All leaves up to `index`, whatever the fold says to the last one.
fn world_export(world: &World, order: base::Digest, index: u64) -> Value {
    let note = world.checkpoint();
    let shown = |index: u64| {
        let proven = world.proven(index);
        let proof = proof::log::TlogProof {
            extra: None,
            index,
            path: proven.path,
            checkpoint: note.clone(),
        };
        json!({ "index": index, "leaf": proven.leaf, "proof": proof.to_string() })
    };
    json!({
        "format": passport::TRACE_FORMAT, "order": order, "exported_at": 0,
        "anchors": { "genesis": world.plant.genesis, "log": world.anchors().log, "site": "plant" },
        "entries": (0..=index).map(shown).collect::<Vec<_>>(), "manifests": {}, "passports": {},
    })
}

#[test]
fn a_run_that_began_outside_its_orders_bounds_is_named() {
    for (lag, checkpoint, ok) in [(0, 1, true), (0, 2, false), (0, 0, false), (1, 2, true)] {
        let mut world = World::new();
        let order = Order { max_lag: lag, ..world.order_of("part-1") };
        let order = world.log("ada", Body::Order(order));
        let checkpoint = world.plant.orders[&order].index + checkpoint;
        world.log("cell-1", Body::RunStarted(RunStarted { checkpoint, order }));
        let export = world.export(order, &[]);
        match ok {
            true => assert_eq!(broken(&export), []),
            false => breaks(&export, "motion", "it rests on a checkpoint of"),
        }
    }
}

#[test]
fn manifests_are_the_cells_own_and_those_that_the_ledger_names() {
    let (_, scan, export) = exported();
    let root = &scan.roots[0];
    let mut missing = export.clone();
    missing["manifests"].as_object_mut().unwrap().remove(root);
    breaks(&missing, "recording", "it is absent");
    let mut edited = export.clone();
    edited["manifests"][root]["claim"]["samples"] = json!(1);
    breaks(&edited, "recording", "its digest is");
    let mut unsigned = export.clone();
    unsigned["manifests"][root]["signature"] = json!("A".repeat(86));
    breaks(&unsigned, "recording", "its digest is");
    let mut swapped = export.clone();
    swapped["manifests"][root] = export["manifests"][&scan.roots[1]].clone();
    breaks(&swapped, "recording", "it is of recording");

    // Signed by another than the cell, and logged so by the cell itself.
    let mut world = World::new();
    let (order, roots) = world.run("part-1");
    let mut export = world.export(order, &[]);
    let claim = world.manifests[&roots[0]].claim.clone();
    let forged = proof::recording::Signed::new(claim, &*key("ada")).unwrap();
    export["manifests"][&roots[0]] = json!(forged);
    breaks(&export, "recording", "its digest is");
}

#[test]
fn a_report_rests_on_reads_and_a_passport_on_its_report() {
    let (mut world, scan, export) = exported();
    breaks(&without(&export, "read"), "report", "no read of its input");

    let report = scan.report.to_string();
    let mut missing = export.clone();
    missing["passports"] = json!({});
    breaks(&missing, "passport", "the file lacks it");
    let jwt = export["passports"][&report].as_str().unwrap();
    let mut edited = export.clone();
    let flipped = if jwt.ends_with('A') { "Q" } else { "A" };
    edited["passports"][&report] = json!(format!("{}{flipped}", &jwt[..jwt.len() - 1]));
    breaks(&edited, "passport", "its digest is");
    let mut unissued = export.clone();
    unissued["passports"][base::sha256(b"other").to_string()] = json!(jwt);
    breaks(&unissued, "passport", "no entry says that the site issued it");
    breaks(&without(&export, "passport"), "passport", "no entry says that the site issued it");

    // The site logged the digest of what is no passport of that report.
    let second = world.scan("spindle-7", &[Verdict::Confirmed]);
    let wrong = jwt.to_owned();
    let issued = plant::body::PassportIssued {
        credential: base::sha256(wrong.as_bytes()),
        part: id("spindle-7"),
        report: second.report,
    };
    world.log("site", Body::Passport(issued));
    let lie = world.export(second.order, &[(second.report, wrong)]);
    breaks(&lie, "passport", "it is issued from report");
}

#[test]
fn what_is_no_export_is_refused_whole() {
    let (_, _, export) = exported();
    let refused = |export: &Value| {
        verify_trace(&serde_json::to_vec(export).unwrap(), None).unwrap_err().to_string()
    };
    let mut other = export.clone();
    other["format"] = json!("interlock/trace/2");
    assert!(refused(&other).contains("`interlock/trace/1` is expected"));
    for (place, value) in [
        ("/note", json!(1)),
        ("/order", json!("abc")),
        ("/entries/0/index", json!(-1)),
        ("/entries/0/leaf/more", json!(1)),
        ("/anchors/log/quorum", json!(0)),
        ("/manifests/x", json!({})),
        ("/passports/x", json!("")),
    ] {
        let mut edited = export.clone();
        let (parent, name) = place.rsplit_once('/').unwrap();
        edited.pointer_mut(parent).unwrap()[name] = value;
        assert!(refused(&edited).contains("can't be read"), "{place}");
    }
    for bytes in [&b""[..], b"{", b"[]", b"null", b"\xff"] {
        assert!(verify_trace(bytes, None).is_err());
    }
    let long = vec![b' '; passport::MAX_TRACE_BYTES + 1];
    assert!(verify_trace(&long, None).unwrap_err().to_string().contains("at most"));
}
