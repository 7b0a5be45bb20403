//! A passport verifies offline, and anything that is not one is refused by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base::{Bytes, sha256};
use common::*;
use passport::{
    Anchors, Broken, Draft, Form, Idle, Overall, Verified, issue, rests_on, verify, verify_file,
};
use plant::{Body, body::*};
use proof::{
    entry::{Entry, Leaf, Statement, VERSION},
    keys::{Invitation, Passkey, PublicKey, Signer},
    recording::Signed,
};

fn passport() -> (World, Verified) {
    let (world, scan) = sample();
    let verified = issue(world.draft(&scan.report), &*key("site")).unwrap();
    (world, verified)
}

/// Issues a tampered draft and gives what broke.
fn broken(draft: Draft) -> String {
    issue(draft, &*key("site")).unwrap_err().to_string()
}

/// Invites `eva` by a link and has her accept it; the invitation's key and the entry.
fn accepted(world: &mut World) -> base::Digest {
    let link = key("eva.link");
    let ed25519 = Bytes(link.public().to_vec());
    let invitation =
        PublicKey::Invitation(Invitation { ed25519, not_after: world.now.plus(86_400_000) });
    let eva = Member {
        id: id("eva"),
        keys: vec![invitation.clone()],
        name: "Eva".into(),
        roles: [policy::Role::Operator].into(),
        seal: None,
    };
    world.change("olga", Change::Member(eva));
    let passkey = Passkey {
        credential: Bytes(vec![1]),
        es256: Bytes([&[4][..], &[7; 64]].concat()),
        rp_id: "plant.example".into(),
        origin: "https://plant.example".into(),
    };
    let statement = Statement {
        at: world.now,
        body: serde_json::to_value(Body::Accept(Accept { passkey, seal: None })).unwrap(),
        issuer: id("eva"),
        key: invitation.fingerprint(),
        nonce: Bytes(vec![200; 16]),
        site: id("plant"),
        v: VERSION.into(),
    };
    let entry = Entry::sign(statement, &*link).unwrap();
    let leaf = Leaf { entry, logged_at: world.now.plus(7) };
    let id = world.plant.append(&leaf.bytes().unwrap()).unwrap();
    world.leaves.push(leaf);
    id
}

#[test]
fn who_enrolled_is_among_the_rules_that_a_reader_folds() {
    let mut world = World::new();
    let accepted = accepted(&mut world);
    let scan = world.scan("spindle-7", &[Verdict::Enrolled]);
    let index = world.plant.index_of(&accepted).unwrap();
    let draft = world.draft(&scan.report);
    assert!(draft.entries.iter().any(|e| e.index == index));
    issue(draft, &*key("site")).unwrap();

    let (other, _) = world.run("spindle-8");
    let (orders, roots) = ([scan.order].into(), scan.roots.iter().cloned().collect());
    let rests = |leaf: &&Leaf| rests_on(leaf, &scan.grant, &orders, &roots);
    let words: Vec<String> = world
        .leaves
        .iter()
        .filter(rests)
        .flat_map(|leaf| leaf.entry.statement.body.as_object().unwrap().keys().cloned())
        .collect();
    let rules = ["genesis", "propose", "approve", "propose", "approve", "propose", "approve"];
    let run = ["accept", "order", "run-started", "run-ended", "recording", "recording", "grant"];
    assert_eq!(words, [rules, run].concat());
    assert!(world.plant.orders.contains_key(&other), "another run is left out");
}

#[test]
fn proposals_that_nobody_approved_fill_no_passport() {
    let mut world = World::new();
    let scan = world.scan("spindle-7", &[Verdict::Enrolled]);
    let template = |nth| Template {
        id: id(&format!("part-{nth}")),
        sha256: base::sha256(b"picture"),
        title: "a good part".into(),
        view: 1,
    };
    for nth in 0..9 {
        world.log("olga", Body::Propose(Change::Template(template(nth))));
    }
    let approved = world.log("olga", Body::Propose(Change::Template(template(9))));
    world.log("omar", Body::Approve(Approve { proposal: approved }));
    let mut draft = world.draft(&scan.report);
    let mut idle = Idle::default();
    (0..).zip(&world.leaves).for_each(|(index, leaf)| idle.see(index, leaf));
    let before: Vec<u64> = draft.entries.iter().map(|e| e.index).collect();
    let kept = idle.without(before.clone());
    assert_eq!(before.len() - kept.len(), 9);
    assert!(kept.contains(&world.plant.index_of(&approved).unwrap()));
    draft.entries.retain(|entry| kept.contains(&entry.index));
    issue(draft, &*key("site")).unwrap();
}

fn edited(edit: impl FnOnce(&mut Draft)) -> String {
    let (world, scan) = sample();
    let mut draft = world.draft(&scan.report);
    edit(&mut draft);
    broken(draft)
}

#[test]
fn a_passport_verifies_in_all_three_forms() {
    let (world, issued) = passport();
    let pictures = world.picture_bytes();
    let html = issued.to_html(&pictures).unwrap();
    let files = [
        (Form::Jwt, issued.jwt().to_owned()),
        (Form::Json, issued.to_json().unwrap()),
        (Form::Html, html),
    ];
    for (form, text) in &files {
        let (found, verified) = verify_file(text.as_bytes(), None).unwrap();
        assert_eq!((found, &verified), (*form, &issued));
        assert!(!verified.trust().pinned);
        let (_, pinned) = verify_file(text.as_bytes(), Some(&world.anchors())).unwrap();
        assert!(pinned.trust().pinned);
        assert_eq!(pinned.facts(), issued.facts());
    }
    let facts = issued.facts();
    assert_eq!(facts.part.as_str(), "spindle-7");
    assert_eq!(facts.overall, Overall::Passed);
    let kinds: Vec<_> = facts.steps.iter().map(|s| s.kind).collect();
    let expected = [
        "enrolment",
        "order",
        "ledger",
        "motion",
        "capture",
        "vault",
        "grant",
        "analysis",
        "passport",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(issued.digest(), sha256(issued.jwt().as_bytes()));
}

#[test]
fn only_entries_of_the_story_are_carried() {
    let (world, scan) = sample();
    let draft = world.draft(&scan.report);
    let text = serde_json::to_string(&draft.entries).unwrap();
    assert!(text.contains("spindle-7") && !text.contains("spindle-8") && !text.contains("lunch"));
    let first =
        issue(world.draft(world.plant.enrolments.get(&id("spindle-8")).unwrap()), &*key("site"));
    assert_eq!(first.unwrap().facts().overall, Overall::Failed);
}

#[test]
fn wrong_anchors_are_refused() {
    let (world, issued) = passport();
    let check = |anchors: Anchors| verify(issued.jwt(), Some(&anchors)).unwrap_err();
    let good = world.anchors();
    let other = Anchors { genesis: sha256(b"another plant"), ..good.clone() };
    assert!(matches!(check(other), Broken::Untrusted { .. }));
    let log = policy_of(&["witness-1", "witness-3"], 2);
    let error = check(Anchors { log, ..good.clone() }).to_string();
    assert!(error.contains("cosignatures"), "{error}");
    let log = policy_of(&["witness-1", "witness-3"], 1);
    assert!(verify(issued.jwt(), Some(&Anchors { log, ..good })).is_ok());
}

#[test]
fn each_broken_proof_is_named() {
    type Edit = fn(&mut Draft);
    let cases: [(&str, Edit); 12] = [
        ("inclusion of entry", |d| d.entries[3].path[0].0[0] ^= 1),
        ("(order) doesn't hold", |d| {
            let order =
                d.entries.iter_mut().find(|e| e.leaf.entry.statement.body.get("order").is_some());
            order.unwrap().leaf.logged_at.0 += 1;
        }),
        ("entry 0 (genesis)", |d| {
            d.entries[0].leaf.entry.statement.body["genesis"]["name"] = "Mine".into()
        }),
        ("the excerpt of the ledger", |d| drop(d.entries.remove(0))),
        ("(approve)", |d| drop(d.entries.remove(1))),
        ("cosignature of `witness-2`", |d| {
            let at = d.checkpoint.len() - 10;
            d.checkpoint[at] = if d.checkpoint[at] == b'A' { b'B' } else { b'A' };
        }),
        ("cosignatures", |d| {
            let text = String::from_utf8(d.checkpoint.clone()).unwrap();
            d.checkpoint =
                text.lines().take(5).map(|l| format!("{l}\n")).collect::<String>().into_bytes();
        }),
        ("the manifest of recording", |d| drop(d.manifests.pop())),
        ("its digest is", |d| d.manifests[0].claim.samples += 1),
        ("the list of manifests", |d| d.manifests.push(d.manifests[0].clone())),
        ("the time of issue", |d| d.issued_at.0 -= 600_000),
        ("the report", |d| d.report = sha256(b"another report")),
    ];
    for (expected, edit) in cases {
        let error = edited(edit);
        assert!(error.contains(expected), "expected `{expected}`, got `{error}`");
    }
}

#[test]
fn a_manifest_by_another_key_is_refused() {
    let mut world = World::new();
    let (order, _) = world.run("spindle-7");
    // The ledger names a manifest that the cell did not sign.
    let mut claim = world.manifests.values().next().unwrap().claim.clone();
    claim.root_cid = "bafyforged".into();
    let forged = Signed::new(claim.clone(), &*key("ada")).unwrap();
    world.log(
        "cell-1",
        Body::Recording(Recording {
            bytes: claim.ciphertext_bytes,
            commitment: claim.sealing.key_commitment,
            manifest: forged.digest().unwrap(),
            order,
            root: "bafyforged".into(),
            stream: claim.stream,
        }),
    );
    world.manifests.insert("bafyforged".into(), forged);
    let roots: Vec<String> = world.manifests.keys().cloned().collect();
    let grant = world.grant(order, &roots);
    let report = world.report_of("spindle-7", order, grant, &roots, &[Verdict::Enrolled]);
    let report = world.log("vision", Body::Report(Box::new(report)));
    let error = broken(world.draft(&report));
    assert!(error.contains("bafyforged") && error.contains("cell's key"), "{error}");
}

#[test]
fn a_run_that_did_not_finish_has_no_passport() {
    let mut world = World::new();
    let order = world.log("ada", Body::Order(world.order_of("spindle-7")));
    world.log("cell-1", Body::RunStarted(RunStarted { checkpoint: 5, order }));
    world.log(
        "cell-1",
        Body::RunEnded(RunEnded {
            lost: 0,
            order,
            outcome: Outcome::Stopped,
            reason: "protective stop".into(),
            samples: 10,
            viewpoints: 0,
        }),
    );
    let (_, roots) = world.run("spindle-8");
    let grant = world.grant_of(order, &roots);
    let refusal = world.try_log("olga", Body::Grant(grant.clone())).unwrap_err();
    assert_eq!(refusal.rule, base::Rule::Target);
    // On a ledger of a site that logs it all the same, no reader takes it.
    let grant = world.force("olga", Body::Grant(grant));
    let report = world.report_of("spindle-7", order, grant, &roots, &[Verdict::Enrolled]);
    let report = world.force("vision", Body::Report(Box::new(report)));
    let error = broken(world.draft(&report));
    assert!(error.contains("(grant)"), "{error}");
}

#[test]
fn a_run_outside_its_order_s_bounds_has_no_passport() {
    let run = |checkpoint: u64, late: u64| {
        let mut world = World::new();
        let order = world.log("ada", Body::Order(world.order_of("spindle-7")));
        world.now = world.now.plus(late);
        world.log("cell-1", Body::RunStarted(RunStarted { checkpoint, order }));
        let (roots, grant) = world.finish(order);
        let report = world.report_of("spindle-7", order, grant, &roots, &[Verdict::Enrolled]);
        let report = world.log("vision", Body::Report(Box::new(report)));
        issue(world.draft(&report), &*key("site")).map_err(|e| e.to_string())
    };
    assert!(run(6, 0).is_ok() && run(106, 0).is_ok());
    for (checkpoint, late) in [(5, 0), (107, 0), (6, 700_000)] {
        let error = run(checkpoint, late).unwrap_err();
        assert!(error.contains("(run-started) doesn't hold"), "{error}");
    }
}

#[test]
fn what_the_rules_forbid_is_refused_although_it_is_logged() {
    // An order for a program that nobody approved.
    let mut world = World::new();
    let mut order = world.order_of("spindle-7");
    order.program.sha256 = sha256(b"another program");
    let order = world.force("ada", Body::Order(order));
    let error = forced(world, order);
    assert!(error.contains("(order)") && error.contains("not the approved one"), "{error}");

    // An order by a key that was revoked before.
    let mut world = World::new();
    let revoke = RevokeKey {
        key: PublicKey::of(&*key("ada")).fingerprint(),
        member: id("ada"),
        reason: "lost".into(),
    };
    world.log("olga", Body::RevokeKey(revoke));
    let order = world.force("ada", Body::Order(world.order_of("spindle-7")));
    let error = forced(world, order);
    assert!(error.contains("(order)") && error.contains("revoked"), "{error}");

    // An order by somebody whose role allows none.
    let mut world = World::new();
    let order = world.force("ivan", Body::Order(world.order_of("spindle-7")));
    let error = forced(world, order);
    assert!(error.contains("(order)") && error.contains("may not"), "{error}");
}

/// Carries on from an order that the site must not have logged.
fn forced(mut world: World, order: base::Digest) -> String {
    world.force("cell-1", Body::RunStarted(RunStarted { checkpoint: 5, order }));
    let grant = Grant {
        budget: 1,
        not_after: world.now.plus(1000),
        not_before: world.now,
        order,
        processor: id("vision"),
        purpose: "test".into(),
        recordings: ["bafy".to_owned()].into(),
        terms: vec![],
    };
    let grant = world.force("olga", Body::Grant(grant));
    let report = world.report_of("spindle-7", order, grant, &["bafy".into()], &[Verdict::Pass]);
    let report = world.force("vision", Body::Report(Box::new(report)));
    broken(world.draft(&report))
}

#[test]
fn only_the_site_s_live_key_signs() {
    let (mut world, scan) = sample();
    let draft = world.draft(&scan.report);
    for other in ["ada", "cell-1", "olga", "stranger"] {
        let error = issue(draft.clone(), &*key(other)).unwrap_err().to_string();
        assert!(error.contains("the key to sign with"), "{error}");
    }
    let revoke = RevokeKey {
        key: PublicKey::of(&*key("site")).fingerprint(),
        member: id("site"),
        reason: "stolen".into(),
    };
    world.log("olga", Body::RevokeKey(revoke));
    let error = broken(world.draft(&scan.report));
    assert!(error.contains("the key to sign with"), "{error}");
}

/// Signs an edited credential with the site's own key: even the issuer can say
/// nothing that the evidence does not give.
#[test]
fn the_issuer_cannot_state_more_than_the_evidence() {
    let (_, issued) = passport();
    let edits: [(&str, &str, serde_json::Value); 4] = [
        ("credentialSubject/product/name", "/credentialSubject/product/name", "spindle-1".into()),
        (
            "credentialSubject/conformityClaim/0/conformance",
            "/credentialSubject/conformityClaim/0/conformance",
            false.into(),
        ),
        ("validFrom", "/validFrom", "2020-01-01T00:00:00.000Z".into()),
        ("issuer/name", "/issuer/name", "Somebody".into()),
    ];
    for (place, pointer, value) in edits {
        let mut credential = issued.credential().clone();
        *credential.pointer_mut(pointer).unwrap() = value;
        let error = verify(&resign(&issued, &credential), None).unwrap_err().to_string();
        assert!(error.contains(place), "expected `{place}`, got `{error}`");
    }
    let mut credential = issued.credential().clone();
    credential["credentialSubject"]["award"] = "gold".into();
    let error = verify(&resign(&issued, &credential), None).unwrap_err().to_string();
    assert!(error.contains("credentialSubject/award"), "{error}");
}

fn resign(issued: &Verified, credential: &serde_json::Value) -> String {
    let header = issued.jwt().split('.').next().unwrap();
    let payload = serde_json_canonical(credential);
    let signed = format!("{header}.{}", Bytes(payload));
    let signature = key("site").sign(signed.as_bytes());
    format!("{signed}.{}", Bytes(signature.to_vec()))
}

fn serde_json_canonical(value: &serde_json::Value) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).unwrap()
}

#[test]
fn a_credential_has_one_spelling() {
    let (_, issued) = passport();
    let jwt = issued.jwt();
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    let last = signature.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(last).unwrap();
    let loose = alphabet.chars().nth(at + 1).unwrap();
    let others = [
        format!("{jwt}\n"),
        format!(" {jwt}"),
        format!("{jwt}="),
        format!("{jwt}."),
        format!("{signed}.{}{loose}", &signature[..signature.len() - 1]),
    ];
    for other in others {
        assert!(verify_file(other.as_bytes(), None).is_err());
    }
}
