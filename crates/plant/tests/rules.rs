//! Entries, orders, runs, holds and changes of rules: what the fold takes and refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base::{Bytes, Digest, Millis, Rule, sha256};
use common::*;
use plant::{Body, Plant, RunStatus, body::*};
use policy::Role;

#[test]
fn a_genesis_needs_two_officers_with_keys_of_their_own() {
    let refused = |edit: fn(&mut Genesis), by: &str| {
        let mut terms = genesis();
        edit(&mut terms);
        Plant::begin(&genesis_leaf(terms, by)).map(|_| ()).map_err(|r| r.rule)
    };
    assert_eq!(refused(|_| (), "olga"), Ok(()));
    assert_eq!(refused(|_| (), "ada"), Err(Rule::Enrolment), "signed by no officer");
    assert_eq!(refused(|g| g.policy = "permit (".into(), "olga"), Err(Rule::Policy));
    let cases: [fn(&mut Genesis); 4] = [
        |g| g.members.retain(|m| m.id != id("omar")),
        |g| g.members.push(g.members[2].clone()),
        |g| g.members[1].keys = g.members[0].keys.clone(),
        |g| g.members[1].keys.clear(),
    ];
    for edit in cases {
        assert_eq!(refused(edit, "olga"), Err(Rule::Enrolment));
    }
    let mut forged = genesis_leaf(genesis(), "olga");
    forged.entry.statement.site = id("other");
    assert_eq!(Plant::begin(&forged).unwrap_err().rule, Rule::Signature);
    let other = sign(statement("olga", "olga", NOW, 0, &hold(None)), &key("olga"));
    let other = proof::entry::Leaf { entry: other, logged_at: NOW };
    assert_eq!(Plant::begin(&other).unwrap_err().rule, Rule::Format);
    let mut world = World::bare();
    world.refused("olga", Body::Genesis(Box::new(genesis())), Rule::Replay);
}

#[test]
fn an_entry_is_for_this_site_by_a_live_key_and_in_its_form() {
    let mut world = World::new();
    let base = statement("ada", "ada", world.now, 99, &hold(None));
    let mut other_site = base.clone();
    other_site.site = id("other");
    let rule = |w: &mut World, s, k: &str| w.log(sign(s, &key(k))).unwrap_err().rule;
    assert_eq!(rule(&mut world, other_site, "ada"), Rule::Target);
    let mut unknown_key = base.clone();
    unknown_key.body["hold"]["extra"] = 1.into();
    assert_eq!(rule(&mut world, unknown_key, "ada"), Rule::Format);
    assert_eq!(rule(&mut world, base.clone(), "omar"), Rule::Signature);
    let stranger = statement("eve", "eve", world.now, 1, &hold(None));
    assert_eq!(rule(&mut world, stranger, "eve"), Rule::Enrolment);
    let not_hers = statement("ada", "eve", world.now, 1, &hold(None));
    assert_eq!(rule(&mut world, not_hers, "eve"), Rule::Enrolment);
    let mut old = base.clone();
    old.v = "interlock/0".into();
    assert_eq!(rule(&mut world, old, "ada"), Rule::Signature);
    let mut short = base;
    short.nonce = Bytes(vec![1; 15]);
    assert_eq!(rule(&mut world, short, "ada"), Rule::Signature);
    assert_eq!(world.plant.append(b"{}").unwrap_err().rule, Rule::Format);
}

#[test]
fn clocks_are_bounded_to_the_millisecond() {
    let signed = |by: &str, at: Millis| sign(statement(by, by, at, 7, &hold(None)), &key(by));
    let fresh = World::new;
    let late = 10 * MINUTE;
    for (by, at, ok) in [
        ("ada", NOW.plus(SKEW), true),
        ("ada", NOW.plus(SKEW + 1), false),
        ("ada", Millis(NOW.0 - late), true),
        ("ada", Millis(NOW.0 - late - 1), false),
        ("cell-1", Millis(NOW.0 - 30 * DAY), true),
        ("cell-1", NOW.plus(SKEW + 1), false),
        ("vision", Millis(NOW.0 - late - 1), false),
    ] {
        let rule = fresh().log(signed(by, at)).map(|_| ()).map_err(|r| r.rule);
        assert_eq!(rule, if ok { Ok(()) } else { Err(Rule::Time) }, "{by} {at}");
    }
    let mut world = fresh();
    world.now = Millis(NOW.0 - 1);
    world.refused("ada", hold(None), Rule::Time);
}

#[test]
fn nothing_is_taken_twice() {
    let mut world = World::new();
    world.change(
        "ivan",
        Change::Program(Program { cells: [id("cell-1"), id("cell-2")].into(), ..program() }),
        &["olga"],
    );
    let order = world.order();
    let first = sign(statement("ada", "ada", NOW, 7, &Body::Order(order.clone())), &key("ada"));
    world.log(first.clone()).unwrap();
    assert_eq!(world.log(first).unwrap_err().rule, Rule::Replay);
    let same_nonce = Order { max_lag: 3, ..order.clone() };
    let entry = sign(statement("ada", "ada", NOW, 7, &Body::Order(same_nonce)), &key("ada"));
    assert_eq!(world.log(entry).unwrap_err().rule, Rule::Replay);
    let other_cell = Order { cell: id("cell-2"), ..order };
    let entry = sign(statement("ada", "ada", NOW, 7, &Body::Order(other_cell)), &key("ada"));
    world.log(entry).expect("the nonce is new for another cell");
}

#[test]
fn an_order_is_by_an_operator_within_the_program_and_in_time() {
    let mut world = World::new();
    let order = world.order();
    for by in ["olga", "audit", "ivan", "cell-1", "site", "vision"] {
        world.refused(by, Body::Order(order.clone()), Rule::Policy);
    }
    type Edit = fn(&mut Order);
    let cases: [(Edit, Rule); 14] = [
        (|o| o.cell = id("cell-9"), Rule::Target),
        (|o| o.cell = id("cell-2"), Rule::Target),
        (|o| o.cell = id("ada"), Rule::Target),
        (|o| o.program.id = id("weld"), Rule::Parameters),
        (|o| o.program.sha256 = sha256(b"other"), Rule::Parameters),
        (|o| o.parameters.clear(), Rule::Parameters),
        (
            |o| {
                o.parameters.insert(id("force"), 1);
            },
            Rule::Parameters,
        ),
        (
            |o| {
                o.parameters.insert(id("speed"), 9);
            },
            Rule::Parameters,
        ),
        (
            |o| {
                o.parameters.insert(id("speed"), 101);
            },
            Rule::Parameters,
        ),
        (|o| (o.not_before, o.not_after) = (Millis(1), NOW), Rule::Time),
        (|o| o.not_after = o.not_before, Rule::Time),
        (|o| o.not_after = Millis(NOW.0 - 1), Rule::Time),
        (|o| o.not_after = o.not_before.plus(DAY + 1), Rule::Time),
        (
            |o| {
                o.not_before = NOW.plus(DAY + 1);
                o.not_after = NOW.plus(DAY + 2);
            },
            Rule::Time,
        ),
    ];
    for (edit, rule) in cases {
        let mut order = order.clone();
        edit(&mut order);
        world.refused("ada", Body::Order(order), rule);
    }
    for speed in [10, 100] {
        let mut order = order.clone();
        order.parameters.insert(id("speed"), speed);
        order.not_after = order.not_before.plus(DAY);
        world.by("ada", Body::Order(order));
    }
}

#[test]
fn a_run_is_recorded_once_by_its_own_cell() {
    let mut world = World::new();
    let order = world.ordered();
    world.refused("cell-1", started(sha256(b"none")), Rule::Target);
    world.refused("cell-2", started(order), Rule::Target);
    world.refused("ada", started(order), Rule::Policy);
    world.refused("cell-1", ended(order), Rule::State);
    world.refused("cell-1", recording(order, "bafy1"), Rule::State);
    world.by("cell-1", started(order));
    world.refused("cell-1", started(order), Rule::Replay);
    world.refused("cell-2", recording(order, "bafy1"), Rule::Target);
    world.refused("cell-1", recording(order, "../etc"), Rule::Format);
    world.by("cell-1", recording(order, "bafy1"));
    world.refused("cell-1", recording(order, "bafy1"), Rule::Replay);
    world.refused("cell-2", ended(order), Rule::Target);
    world.by("cell-1", ended(order));
    world.refused("cell-1", ended(order), Rule::State);
    world.by("cell-1", recording(order, "bafy2"));
    let state = &world.plant.orders[&order];
    assert_eq!(state.status, RunStatus::Ended(Outcome::Finished));
    assert_eq!(state.recordings.len(), 2);
}

#[test]
fn only_its_own_cell_can_refuse_an_order() {
    let mut world = World::new();
    let order = world.ordered();
    world.refused("ada", refusal(order), Rule::Policy);
    world.refused("vision", refusal(order), Rule::Policy);
    for other in ["cell-2", "site"] {
        world.by(other, refusal(order));
        assert_eq!(world.plant.orders[&order].status, RunStatus::Pending, "{other}");
    }
    world.by("cell-1", refusal(order));
    assert!(matches!(world.plant.orders[&order].status, RunStatus::Refused(_)));
    world.refused("cell-1", started(order), Rule::Replay);
    let run = world.ran();
    world.by("cell-1", refusal(run));
    assert!(matches!(world.plant.orders[&run].status, RunStatus::Started(_)));
    assert_eq!(world.plant.refusals, 4);
}

#[test]
fn a_hold_stops_orders_until_two_people_lift_it() {
    let mut world = World::new();
    let order = Body::Order(world.order());
    world.by("audit", hold(Some("cell-2")));
    world.by("ada", order.clone());
    for cell in [None, Some("cell-1")] {
        let placed = world.by("audit", hold(cell));
        world.refused("ada", order.clone(), Rule::Hold);
        world.refused("audit", release(placed), Rule::Policy);
        world.refused("ada", release(sha256(b"none")), Rule::Target);
        world.by("ada", release(placed));
        world.refused("ada", release(placed), Rule::Approval);
        world.refused("ada", order.clone(), Rule::Hold);
        world.by("omar", release(placed));
        world.by("ada", order.clone());
        world.refused("olga", release(placed), Rule::Target);
    }
}

#[test]
fn a_change_of_rules_takes_two_officers() {
    let mut world = World::new();
    let change = roles("audit", &[Role::Operator]);
    for by in ["ada", "audit", "ivan", "cell-1", "site", "vision"] {
        world.refused(by, Body::Propose(change.clone()), Rule::Policy);
    }
    let proposal = world.by("olga", Body::Propose(change));
    world.refused("olga", approve(proposal), Rule::Approval);
    world.refused("ada", approve(proposal), Rule::Policy);
    world.refused("omar", approve(sha256(b"none")), Rule::Target);
    assert!(!world.plant.has_role(&id("audit"), Role::Operator), "in force too early");
    world.by("omar", approve(proposal));
    assert!(world.plant.has_role(&id("audit"), Role::Operator));
    world.refused("omar", approve(proposal), Rule::Approval);
    let order = Body::Order(world.order());
    world.by("audit", order);
}

#[test]
fn no_policy_takes_the_second_officer_away() {
    let mut world = World::new();
    let text = "permit (principal, action, resource);".to_owned();
    world.change("olga", Change::Policy(SetPolicy { text }), &["omar"]);
    let proposal = world.by("ada", Body::Propose(roles("ada", &[Role::SecurityOfficer])));
    world.refused("ada", approve(proposal), Rule::Approval);
    world.refused("audit", approve(proposal), Rule::Approval);
    world.by("olga", approve(proposal));
    assert!(!world.plant.has_role(&id("ada"), Role::SecurityOfficer), "one officer is not two");
    world.by("omar", approve(proposal));
    assert!(world.plant.has_role(&id("ada"), Role::SecurityOfficer));
}

#[test]
fn a_program_takes_one_officer_beside_its_proposer() {
    let mut world = World::bare();
    let order = Body::Order(world.order());
    let proposal = world.by("olga", Body::Propose(Change::Program(program())));
    world.refused("olga", approve(proposal), Rule::Approval);
    world.refused("ada", order.clone(), Rule::Parameters);
    world.by("omar", approve(proposal));
    world.by("ada", order);
    world.refused("ivan", Body::Propose(roles("ivan", &[])), Rule::Policy);
    let mut bad = program();
    bad.cells.insert(id("ada"));
    world.refused("ivan", Body::Propose(Change::Program(bad)), Rule::Target);
    let mut bad = program();
    bad.parameters.get_mut(&id("speed")).unwrap().default = 9;
    world.refused("ivan", Body::Propose(Change::Program(bad)), Rule::Parameters);
}

#[test]
fn a_policy_change_restricts_at_once() {
    let mut world = World::new();
    let bad = Change::Policy(SetPolicy { text: "permit (".into() });
    world.refused("olga", Body::Propose(bad), Rule::Policy);
    let text = format!(
        "{}\nforbid (principal, action == Interlock::Action::\"order.place\", resource) unless {{ context.userVerified }};",
        policy::DEFAULT
    );
    let order = Body::Order(world.order());
    let proposal = world.by("olga", Body::Propose(Change::Policy(SetPolicy { text })));
    world.by("ada", order.clone());
    world.by("omar", approve(proposal));
    world.refused("ada", order, Rule::Policy);
}

#[test]
fn two_officers_remain() {
    let mut world = World::new();
    world.refused("olga", Body::Propose(roles("omar", &[])), Rule::Approval);
    world.refused("olga", Body::Propose(roles("eve", &[])), Rule::Enrolment);
    let demoted = Change::Member(member("omar", &[Role::Auditor]));
    world.refused("olga", Body::Propose(demoted), Rule::Approval);
    world.change("olga", roles("audit", &[Role::SecurityOfficer]), &["omar"]);
    // Sound when proposed, not any more when approved.
    let first = world.by("olga", Body::Propose(roles("omar", &[])));
    let second = world.by("olga", Body::Propose(roles("audit", &[])));
    world.by("audit", approve(first));
    world.refused("audit", approve(second), Rule::Approval);
}

#[test]
fn a_revoked_key_signs_nothing_and_comes_back_nowhere() {
    let mut world = World::new();
    world.refused("ada", revoke("omar", "omar"), Rule::Policy);
    world.refused("olga", revoke("ada", "omar"), Rule::Enrolment);
    world.by("olga", revoke("ada", "ada"));
    let order = Body::Order(world.order());
    world.refused("ada", order.clone(), Rule::Enrolment);
    world.refused("olga", revoke("ada", "ada"), Rule::Enrolment);
    let mut twin = member("ada", &[Role::Operator]);
    world.refused("olga", Body::Propose(Change::Member(twin.clone())), Rule::Enrolment);
    twin.id = id("ada-2");
    world.refused("olga", Body::Propose(Change::Member(twin.clone())), Rule::Enrolment);
    twin.keys = Vec::new();
    world.refused("olga", Body::Propose(Change::Member(twin.clone())), Rule::Enrolment);
    twin.keys = vec![proof::keys::PublicKey::of(&key("omar"))];
    world.refused("olga", Body::Propose(Change::Member(twin.clone())), Rule::Enrolment);
    twin.keys = vec![proof::keys::PublicKey::of(&key("ada.2"))];
    twin.id = id("ada");
    world.change("olga", Change::Member(twin), &["omar"]);
    world.try_with("ada", "ada.2", order.clone()).unwrap();
    assert_eq!(world.try_with("ada", "ada", order).unwrap_err().rule, Rule::Enrolment);
}

#[test]
fn what_a_revoked_key_signed_is_no_second_signature() {
    let mut world = World::new();
    world.change("olga", roles("audit", &[Role::SecurityOfficer]), &["omar"]);
    let proposed = world.by("omar", Body::Propose(roles("ada", &[])));
    let placed = world.by("ada", hold(None));
    world.by("omar", release(placed));
    world.by("olga", revoke("omar", "omar"));
    world.refused("audit", approve(proposed), Rule::Target);
    world.by("ada", release(placed));
    assert_eq!(world.plant.holds.len(), 1, "one person lifted a hold");
    world.by("audit", release(placed));
    assert!(world.plant.holds.is_empty());
}

#[test]
fn what_was_proposed_about_a_member_does_not_undo_what_came_since() {
    let mut world = World::new();
    let again = Member { ..member("ada", &[Role::Operator, Role::Auditor]) };
    let member: Digest = world.by("omar", Body::Propose(Change::Member(again)));
    let given: Digest = world.by("olga", Body::Propose(roles("ada", &[Role::Integrator])));
    let other: Digest = world.by("olga", Body::Propose(roles("audit", &[Role::Operator])));
    world.change("olga", roles("ada", &[]), &["omar"]);
    world.refused("olga", approve(member), Rule::Target);
    world.refused("omar", approve(given), Rule::Target);
    world.by("omar", approve(other));
}

#[test]
fn what_a_former_officer_signed_is_no_second_signature() {
    let mut world = World::new();
    world.change("olga", roles("audit", &[Role::SecurityOfficer]), &["omar"]);
    let proposed: Digest = world.by("omar", Body::Propose(roles("ada", &[Role::Auditor])));
    world.change("olga", roles("omar", &[]), &["audit"]);
    world.refused("olga", approve(proposed), Rule::Target);
    assert!(world.plant.has_role(&id("ada"), Role::Operator));
}
