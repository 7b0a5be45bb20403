//! Recordings, grants, reads, reports and passports: what the fold takes and refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base::{Millis, Rule, sha256};
use common::*;
use plant::{Body, body::*};
use policy::Role;
use std::collections::BTreeSet;

#[test]
fn a_grant_is_by_an_officer_to_a_processor_for_what_is_in_the_vault() {
    let mut world = World::new();
    let order = world.recorded("bafy1");
    let mut grant = world.grant(order, &["bafy1"]);
    grant.order = world.ran();
    world.refused("olga", Body::Grant(grant.clone()), Rule::Target);
    grant.order = order;
    for by in ["ada", "audit", "cell-1", "site", "vision"] {
        world.refused(by, Body::Grant(grant.clone()), Rule::Policy);
    }
    type Edit = fn(&mut Grant);
    let cases: [(Edit, Rule); 9] = [
        (|g| g.processor = id("ada"), Rule::Target),
        (|g| g.processor = id("nobody"), Rule::Target),
        (|g| g.recordings.clear(), Rule::Limit),
        (|g| g.recordings = (0..65).map(|n| n.to_string()).collect(), Rule::Limit),
        (
            |g| {
                g.recordings.insert("bafy2".into());
            },
            Rule::Target,
        ),
        (|g| g.order = sha256(b"none"), Rule::Target),
        (|g| (g.not_before, g.not_after) = (Millis(NOW.0 - 2), NOW), Rule::Time),
        (|g| g.not_after = g.not_before.plus(90 * DAY + 1), Rule::Time),
        (
            |g| {
                g.not_before = NOW.plus(90 * DAY + 1);
                g.not_after = NOW.plus(90 * DAY + 2);
            },
            Rule::Time,
        ),
    ];
    for (edit, rule) in cases {
        let mut grant = grant.clone();
        edit(&mut grant);
        world.refused("olga", Body::Grant(grant), rule);
    }
    world.by("olga", Body::Grant(Grant { not_after: grant.not_before.plus(90 * DAY), ..grant }));
}

#[test]
fn reads_end_exactly_at_the_budget() {
    let mut world = World::new();
    let (_, grant) = world.granted();
    world.refused("vision", read(grant, "bafy1", 1), Rule::Policy);
    world.refused("site", read(sha256(b"none"), "bafy1", 1), Rule::Grant);
    world.refused("site", read(grant, "bafy2", 1), Rule::Grant);
    world.refused("site", read(grant, "bafy1", 101), Rule::Budget);
    world.by("site", read(grant, "bafy1", 60));
    world.refused("site", read(grant, "bafy1", 41), Rule::Budget);
    world.by("site", read(grant, "bafy1", 40));
    world.refused("site", read(grant, "bafy1", 1), Rule::Budget);
    world.refused("site", read(grant, "bafy1", (1 << 53) - 1), Rule::Budget);
    let state = &world.plant.grants[&grant];
    assert_eq!((state.used, state.reads), (100, 2));
}

#[test]
fn reads_end_exactly_with_the_grant() {
    let mut world = World::new();
    let order = world.recorded("bafy1");
    let terms = world.grant(order, &["bafy1"]);
    let begin = NOW.plus(MINUTE);
    let grant = world.by("olga", Body::Grant(Grant { not_before: begin, ..terms.clone() }));
    world.now = Millis(begin.0 - 1);
    world.refused("site", read(grant, "bafy1", 1), Rule::Grant);
    world.now = begin;
    world.by("site", read(grant, "bafy1", 1));
    world.now = Millis(terms.not_after.0 - 1);
    world.by("site", read(grant, "bafy1", 1));
    world.now = terms.not_after;
    world.refused("site", read(grant, "bafy1", 1), Rule::Grant);
}

#[test]
fn a_revoked_grant_gives_nothing() {
    let mut world = World::new();
    let (order, grant) = world.granted();
    let revoke = |grant| Body::RevokeGrant(RevokeGrant { grant, reason: "done".into() });
    world.refused("vision", revoke(grant), Rule::Policy);
    world.refused("olga", revoke(sha256(b"none")), Rule::Target);
    world.by("olga", revoke(grant));
    world.refused("olga", revoke(grant), Rule::Target);
    world.refused("site", read(grant, "bafy1", 1), Rule::Grant);
    let filed = Body::Report(Box::new(report(grant, order, Verdict::Pass)));
    world.refused("vision", filed, Rule::Grant);
}

#[test]
fn a_grant_ends_with_its_processor() {
    for by_key in [true, false] {
        let mut world = World::new();
        let (_, grant) = world.granted();
        if by_key {
            world.by("olga", revoke("vision", "vision"));
        } else {
            world.change("olga", roles("vision", &[Role::Operator]), &["omar"]);
        }
        world.refused("site", read(grant, "bafy1", 1), Rule::Grant);
        // It is over, even when the member may read again.
        let mut back = member("vision", &[Role::Processor]);
        back.keys = vec![proof::keys::PublicKey::of(&key("vision.2"))];
        world.change("olga", Change::Member(back), &["omar"]);
        world.refused("site", read(grant, "bafy1", 1), Rule::Grant);
    }
    let mut world = World::new();
    let (_, grant) = world.granted();
    let mut moved = member("vision", &[Role::Processor]);
    moved.keys = vec![proof::keys::PublicKey::of(&key("vision.2"))];
    world.change("olga", Change::Member(moved), &["omar"]);
    world.by("olga", revoke("rival", "rival"));
    world.by("site", read(grant, "bafy1", 1));
    // Another role that may read is no reason to end it.
    world.change("olga", roles("vision", &[Role::Auditor]), &["omar"]);
    world.by("site", read(grant, "bafy1", 1));
}

#[test]
fn a_reader_is_whom_the_policy_lets_read_with_a_key_to_seal_to() {
    let mut world = World::new();
    let order = world.recorded("bafy1");
    let enrol = |world: &mut World, role: Role, seal: bool| {
        let mut eva = member("eva", &[role]);
        eva.seal = seal.then(|| base::Bytes(vec![3; 32]));
        world.change("olga", Change::Member(eva), &["omar"]);
    };
    let reads =
        [Role::Processor, Role::MlEngineer, Role::Integrator, Role::Auditor, Role::SecurityOfficer];
    for role in Role::ALL.iter().copied() {
        let mut world = world.clone();
        enrol(&mut world, role, true);
        let grant = Grant { processor: id("eva"), ..world.grant(order, &["bafy1"]) };
        match world.try_by("olga", Body::Grant(grant.clone())) {
            Ok(granted) => {
                assert!(reads.contains(&role), "`{role}` was granted");
                world.by("site", read(granted, "bafy1", 1));
                // Without a sealing key, or a key that signs, it reads no more.
                enrol(&mut world, role, false);
                world.refused("site", read(granted, "bafy1", 1), Rule::Grant);
                world.refused("olga", Body::Grant(grant), Rule::Target);
            }
            Err(refusal) => {
                assert!(!reads.contains(&role), "{refusal}");
                assert_eq!(refusal.rule, Rule::Target);
            }
        }
    }
    enrol(&mut world, Role::Auditor, true);
    let end = NOW.plus(DAY);
    let mut eva = world.plant.members[&id("eva")].member.clone();
    eva.keys.push(invitation("eva.link", end));
    world.change("olga", Change::Member(eva), &["omar"]);
    let grant = Grant { processor: id("eva"), ..world.grant(order, &["bafy1"]) };
    let granted = world.by("olga", Body::Grant(grant));
    world.by("olga", revoke("eva", "eva"));
    world.refused("site", read(granted, "bafy1", 1), Rule::Grant);
}

#[test]
fn a_policy_suspends_a_grant_and_ends_none() {
    let mut world = World::new();
    let (order, grant) = world.granted();
    let forbid = |who: &str| {
        let text = format!(
            "{}\nforbid (principal == Interlock::Member::\"{who}\", action == Interlock::Action::\"recording.read\", resource);",
            policy::DEFAULT
        );
        Change::Policy(SetPolicy { text })
    };
    world.change("olga", forbid("rival"), &["omar"]);
    world.by("site", read(grant, "bafy1", 1));
    world.change("olga", forbid("vision"), &["omar"]);
    world.refused("site", read(grant, "bafy1", 1), Rule::Grant);
    world.refused("olga", Body::Grant(world.grant(order, &["bafy1"])), Rule::Target);
    assert_eq!(world.plant.grants[&grant].revoked, None);
    world.change("olga", forbid("rival"), &["omar"]);
    world.by("site", read(grant, "bafy1", 1));
    // What ended otherwise stays ended.
    world.change("olga", roles("vision", &[]), &["omar"]);
    world.change("olga", roles("vision", &[Role::Processor]), &["omar"]);
    let text = policy::DEFAULT.to_owned();
    world.change("olga", Change::Policy(SetPolicy { text }), &["omar"]);
    world.refused("site", read(grant, "bafy1", 1), Rule::Grant);
}

#[test]
fn a_key_is_destroyed_once_and_as_asked() {
    let mut world = World::new();
    let (order, grant) = world.granted();
    let shred = |root: &str| Body::Shred(Shred { reason: "asked".into(), root: root.into() });
    let shredded = |shred| {
        let commitment = sha256(b"bafy1");
        Body::Shredded(Shredded { commitment, root: "bafy1".into(), shred })
    };
    world.refused("ada", shred("bafy1"), Rule::Policy);
    world.refused("olga", shred("bafy2"), Rule::Target);
    world.refused("site", shredded(sha256(b"none")), Rule::Target);
    let asked = world.by("olga", shred("bafy1"));
    world.refused("olga", shred("bafy1"), Rule::Target);
    world.refused("site", read(grant, "bafy1", 1), Rule::Grant);
    let again = Body::Grant(world.grant(order, &["bafy1"]));
    world.refused("olga", again, Rule::Target);
    world.refused("olga", shredded(asked), Rule::Policy);
    world.refused("site", shredded(sha256(b"none")), Rule::Target);
    world.by("site", shredded(asked));
    world.refused("site", shredded(asked), Rule::Target);
    world.refused("cell-1", recording(order, "bafy1"), Rule::Replay);
    assert!(world.plant.recordings["bafy1"].shredded);
}

#[test]
fn a_report_is_by_the_grantee_on_what_it_was_granted() {
    let mut world = World::new();
    let (order, grant) = world.granted();
    let other = world.ordered();
    let good = report(grant, order, Verdict::Enrolled);
    let filed = |report: &Report| Body::Report(Box::new(report.clone()));
    world.refused("rival", filed(&good), Rule::Grant);
    world.refused("ada", filed(&good), Rule::Policy);
    type Edit = fn(&mut Report);
    let cases: [(Edit, Rule); 4] = [
        (|r| r.grant = sha256(b"none"), Rule::Grant),
        (|r| r.inputs = BTreeSet::new(), Rule::Grant),
        (
            |r| {
                r.inputs.insert("bafy2".into());
            },
            Rule::Grant,
        ),
        (|r| r.part = id("spindle-8"), Rule::Target),
    ];
    for (edit, rule) in cases {
        let mut report = good.clone();
        edit(&mut report);
        world.refused("vision", filed(&report), rule);
    }
    world.refused("vision", filed(&Report { order: other, ..good.clone() }), Rule::Grant);
    let first = world.by("vision", filed(&good));
    assert_eq!(world.plant.enrolments[&id("spindle-7")], first);
    world.refused("vision", filed(&good), Rule::Replay);
    world.by("vision", filed(&report(grant, order, Verdict::Confirmed)));
    assert_eq!(world.plant.enrolments[&id("spindle-7")], first);
}

#[test]
fn a_report_has_one_passport() {
    let mut world = World::new();
    let (order, grant) = world.granted();
    let filed = Body::Report(Box::new(report(grant, order, Verdict::Pass)));
    let report = world.by("vision", filed);
    let issue = |report, part: &str| {
        let credential = sha256(b"credential");
        Body::Passport(PassportIssued { credential, part: id(part), report })
    };
    world.refused("olga", issue(report, "spindle-7"), Rule::Policy);
    world.refused("site", issue(sha256(b"none"), "spindle-7"), Rule::Target);
    world.refused("site", issue(report, "spindle-8"), Rule::Target);
    world.by("site", issue(report, "spindle-7"));
    world.refused("site", issue(report, "spindle-7"), Rule::Target);
}
