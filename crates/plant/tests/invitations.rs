//! Invitations: who may accept one, with what, until when, and only once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base::{Bytes, Digest, Millis, Refusal, Rule};
use common::*;
use plant::{Body, Plant, body::*};
use policy::Role;
use proof::{
    entry::Leaf,
    keys::{Passkey, PublicKey},
};
use proptest::prelude::*;
use std::collections::BTreeSet;

const END: Millis = Millis(NOW.0 + 7 * DAY);

/// A member with nothing but an invitation.
fn invitee(name: &str, seed: &str, not_after: Millis) -> Member {
    Member { keys: vec![invitation(seed, not_after)], ..member(name, &[Role::Auditor]) }
}

/// A plant that has invited `ana` until [`END`], by the link `ana.link`.
fn invited() -> World {
    let mut world = World::new();
    world.change("olga", Change::Member(invitee("ana", "ana.link", END)), &["omar"]);
    world
}

fn accept(passkey: Passkey) -> Body {
    Body::Accept(Accept { passkey, seal: None })
}

fn try_accept(world: &mut World, body: Body) -> Result<Digest, Refusal> {
    world.try_invited("ana", "ana.link", END, body)
}

fn rule(result: Result<Digest, Refusal>) -> Result<(), Rule> {
    result.map(|_| ()).map_err(|refusal| refusal.rule)
}

fn keys(world: &World, name: &str) -> Vec<PublicKey> {
    world.plant.members[&id(name)].member.keys.clone()
}

#[test]
fn an_invitation_becomes_a_passkey_once() {
    let mut world = invited();
    assert!(!world.plant.stands(&id("ana"), Role::Auditor), "an invitation is no live key");
    let seal = Some(Bytes(vec![3; 32]));
    let body = Body::Accept(Accept { passkey: passkey("ana"), seal: seal.clone() });
    let entry = try_accept(&mut world, body.clone()).unwrap();
    assert_eq!(keys(&world, "ana"), [PublicKey::Passkey(passkey("ana"))]);
    assert!(world.plant.stands(&id("ana"), Role::Auditor));
    let state = &world.plant.members[&id("ana")];
    assert_eq!(state.member.seal, seal);
    let used = invitation("ana.link", END).fingerprint();
    assert_eq!(state.accepted.get(&used).copied(), world.plant.index_of(&entry));

    assert_eq!(rule(try_accept(&mut world, body)), Err(Rule::Enrolment));
    assert_eq!(rule(try_accept(&mut world, accept(passkey("ana.2")))), Err(Rule::Enrolment));
    let again = Change::Member(invitee("ana", "ana.link", END));
    world.refused("olga", Body::Propose(again), Rule::Enrolment);
    let anew = Change::Member(invitee("ann", "ana.link", END));
    world.refused("olga", Body::Propose(anew), Rule::Enrolment);
}

#[test]
fn a_proposal_from_before_brings_no_used_invitation_back() {
    let mut world = invited();
    let change = Change::Member(invitee("ana", "ana.link", END));
    let proposal = world.by("olga", Body::Propose(change));
    try_accept(&mut world, accept(passkey("ana"))).unwrap();
    world.refused("omar", approve(proposal), Rule::Enrolment);
    assert_eq!(keys(&world, "ana"), [PublicKey::Passkey(passkey("ana"))]);
}

#[test]
fn it_signs_nothing_else_and_nothing_else_signs_an_acceptance() {
    let mut world = invited();
    let proposal = world.by("olga", Body::Propose(roles("ada", &[])));
    let order = Body::Order(world.order());
    for body in [hold(None), approve(proposal), revoke("ada", "ada"), order] {
        assert_eq!(rule(try_accept(&mut world, body)), Err(Rule::Enrolment));
    }
    for by in ["ada", "olga", "cell-1", "site", "vision"] {
        world.refused(by, accept(passkey("ana")), Rule::Enrolment);
    }
    // With the key of another's invitation, and with one that was never enrolled.
    let theirs = world.try_invited("ada", "ana.link", END, accept(passkey("ana")));
    assert_eq!(rule(theirs), Err(Rule::Enrolment));
    let other_end = world.try_invited("ana", "ana.link", END.plus(1), accept(passkey("ana")));
    assert_eq!(rule(other_end), Err(Rule::Enrolment));
    // An officer who enrols by an invitation begins no plant with it.
    let mut terms = genesis();
    terms.members[0].keys.push(invitation("olga.link", END));
    let mut leaf = genesis_leaf(terms, "olga");
    assert!(Plant::begin(&leaf).is_ok());
    leaf.entry.statement.key = invitation("olga.link", END).fingerprint();
    leaf.entry = sign(leaf.entry.statement, &key("olga.link"));
    assert_eq!(Plant::begin(&leaf).unwrap_err().rule, Rule::Enrolment);
}

#[test]
fn it_ends_to_the_millisecond_and_within_fourteen_days() {
    for (now, expected) in [(END, Ok(())), (END.plus(1), Err(Rule::Time))] {
        let mut world = invited();
        world.now = now;
        assert_eq!(rule(try_accept(&mut world, accept(passkey("ana")))), expected, "{now}");
    }
    // The proposer's clock may be ahead.
    let latest = NOW.plus(14 * DAY + SKEW);
    for (end, ok) in [(latest, true), (latest.plus(1), false), (NOW, true)] {
        let change = Body::Propose(Change::Member(invitee("ana", "ana.link", end)));
        let result = rule(World::new().try_by("olga", change));
        assert_eq!(result, if ok { Ok(()) } else { Err(Rule::Enrolment) }, "{end}");
    }
    // A genesis may be logged by a clock that is behind its issuer's.
    let begins = |end: Millis| {
        let mut terms = genesis();
        terms.members[2].keys.push(invitation("ada.link", end));
        let mut leaf = genesis_leaf(terms, "olga");
        leaf.logged_at = Millis(NOW.0 - MINUTE);
        Plant::begin(&leaf).is_ok()
    };
    assert!(begins(NOW.plus(14 * DAY)) && !begins(NOW.plus(14 * DAY + 1)));
    // A person accepts within ten minutes of signing.
    let mut world = invited();
    let mut late = statement("ana", "ana.link", world.now, 7, &accept(passkey("ana")));
    late.key = invitation("ana.link", END).fingerprint();
    world.now = world.now.plus(10 * MINUTE + 1);
    assert_eq!(rule(world.log(sign(late, &key("ana.link")))), Err(Rule::Time));
}

#[test]
fn what_is_accepted_is_a_sound_passkey() {
    type Edit = fn(&mut Accept);
    let cases: [(&str, Edit); 12] = [
        ("no point", |a| a.passkey.es256.0[0] = 2),
        ("short point", |a| a.passkey.es256.0.truncate(64)),
        ("long point", |a| a.passkey.es256.0.push(0)),
        ("no credential", |a| a.passkey.credential.0.clear()),
        ("long credential", |a| a.passkey.credential.0 = vec![0; 1024]),
        ("plain origin", |a| a.passkey.origin = "http://plant.example".into()),
        ("another origin", |a| a.passkey.origin = "https://evil.example".into()),
        ("a path", |a| a.passkey.origin.push('/')),
        ("no relying party", |a| a.passkey.rp_id.clear()),
        ("a longer relying party", |a| a.passkey.rp_id = "x.plant.example".into()),
        ("short seal", |a| a.seal = Some(Bytes(vec![3; 31]))),
        ("long seal", |a| a.seal = Some(Bytes(vec![3; 33]))),
    ];
    for (what, edit) in cases {
        let mut body = Accept { passkey: passkey("ana"), seal: Some(Bytes(vec![3; 32])) };
        edit(&mut body);
        let refused = rule(try_accept(&mut invited(), Body::Accept(body.clone())));
        assert_eq!(refused, Err(Rule::Enrolment), "{what}");
        // Nor does a proposal enrol it.
        let keys = vec![PublicKey::Passkey(body.passkey)];
        let change = Member { keys, seal: body.seal, ..member("ana", &[Role::Auditor]) };
        World::new().refused("olga", Body::Propose(Change::Member(change)), Rule::Enrolment);
    }
    let mut world = invited();
    try_accept(
        &mut world,
        accept(Passkey { origin: "https://a.plant.example:7450".into(), ..passkey("ana") }),
    )
    .unwrap();
}

#[test]
fn one_authenticator_is_one_person() {
    let elsewhere = Passkey {
        credential: Bytes(vec![1]),
        rp_id: "other.example".into(),
        origin: "https://other.example".into(),
        ..passkey("eva")
    };
    let mut world = invited();
    let eva = |key| Member { keys: vec![key], ..member("eva", &[Role::Operator]) };
    let enrolled = Change::Member(eva(PublicKey::Passkey(passkey("eva"))));
    world.change("olga", enrolled, &["omar"]);
    for key in [passkey("eva"), elsewhere.clone()] {
        assert_eq!(rule(try_accept(&mut world, accept(key))), Err(Rule::Enrolment));
    }
    // Revoked, it is nobody's.
    let revoked = RevokeKey {
        key: PublicKey::Passkey(passkey("eva")).fingerprint(),
        member: id("eva"),
        reason: "lost".into(),
    };
    world.by("olga", Body::RevokeKey(revoked));
    assert_eq!(rule(try_accept(&mut world, accept(passkey("eva")))), Err(Rule::Enrolment));
    let fresh = Change::Member(eva(PublicKey::of(&key("eva"))));
    world.change("olga", fresh, &["omar"]);
    assert_eq!(rule(try_accept(&mut world, accept(passkey("eva")))), Err(Rule::Enrolment));
    try_accept(&mut world, accept(passkey("ana"))).unwrap();
    // Twice under one name is refused as well, in a proposal too.
    let twice = Passkey { es256: passkey("eve").es256, ..elsewhere };
    let keys = vec![PublicKey::Passkey(passkey("eve")), PublicKey::Passkey(twice)];
    let change = Change::Member(Member { keys, ..member("eve", &[Role::Operator]) });
    world.refused("olga", Body::Propose(change), Rule::Enrolment);
    // An invitation whose secret is somebody's key file is two people's key.
    let change = Change::Member(invitee("ann", "ada", END));
    world.refused("olga", Body::Propose(change), Rule::Enrolment);
}

#[test]
fn a_revoked_or_withdrawn_invitation_is_dead() {
    let mut world = invited();
    let key = invitation("ana.link", END).fingerprint();
    let revoked = RevokeKey { key, member: id("ana"), reason: "wrong person".into() };
    world.by("olga", Body::RevokeKey(revoked));
    assert_eq!(rule(try_accept(&mut world, accept(passkey("ana")))), Err(Rule::Enrolment));
    let mut world = invited();
    world.change("olga", Change::Member(invitee("ana", "ana.link.2", END)), &["omar"]);
    assert_eq!(rule(try_accept(&mut world, accept(passkey("ana")))), Err(Rule::Enrolment));
    world.try_invited("ana", "ana.link.2", END, accept(passkey("ana"))).unwrap();
}

#[test]
fn accepting_takes_nothing_else_away() {
    let mut world = World::new();
    let mut omar = member("omar", &[Role::SecurityOfficer]);
    omar.keys.push(invitation("omar.link", END));
    world.change("olga", Change::Member(omar), &["omar"]);
    let proposal = world.by("omar", Body::Propose(roles("audit", &[Role::Operator])));
    let body = accept(passkey("omar"));
    world.try_invited("omar", "omar.link", END, body).unwrap();
    assert_eq!(keys(&world, "omar").len(), 2, "the key file still counts");
    world.by("olga", approve(proposal));
    assert!(world.plant.has_role(&id("audit"), Role::Operator));
}

/// What may happen to `PEOPLE` with `pick`-numbered links and authenticators.
fn step(world: &mut World, kind: u8, who: usize, pick: u8) {
    const PEOPLE: [&str; 3] = ["ana", "ben", "cy"];
    let name = PEOPLE[who];
    let link = format!("link.{}", pick % 4);
    let device = passkey(&format!("device.{}", pick / 4 % 4));
    let _ = match kind % 4 {
        0 => {
            let mut keys: Vec<PublicKey> = match world.plant.members.get(&id(name)) {
                Some(state) if pick.is_multiple_of(2) => state.member.keys.clone(),
                _ => Vec::new(),
            };
            keys.push(invitation(&link, END));
            let change = Member { keys, ..member(name, &[Role::Auditor]) };
            let proposed = world.try_by("olga", Body::Propose(Change::Member(change)));
            proposed.and_then(|proposal| world.try_by("omar", approve(proposal)))
        }
        1 | 2 => world.try_invited(name, &link, END, accept(device)),
        _ => {
            let keys = world.plant.members.get(&id(name)).map(|m| m.member.keys.clone());
            let keys = keys.unwrap_or_default();
            let Some(key) = keys.get(usize::from(pick) % keys.len().max(1)) else {
                return;
            };
            let (key, reason) = (key.fingerprint(), String::new());
            world.try_by("olga", Body::RevokeKey(RevokeKey { key, member: id(name), reason }))
        }
    };
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_key_has_two_owners_and_no_link_works_twice(
        steps in prop::collection::vec((any::<u8>(), 0..3usize, any::<u8>()), 1..40),
    ) {
        let mut world = World::bare();
        for (kind, who, pick) in steps {
            step(&mut world, kind, who, pick);
            let mut seen = BTreeSet::new();
            for state in world.plant.members.values() {
                for key in &state.member.keys {
                    prop_assert!(seen.insert(key.material().to_vec()), "two owners of {:?}", key);
                }
            }
        }
        let mut used = BTreeSet::new();
        for bytes in &world.leaves {
            let statement = Leaf::parse(bytes).unwrap().entry.statement;
            if statement.body.get("accept").is_some() {
                prop_assert!(used.insert(statement.key), "a link was used twice");
            }
        }
        let mut plant = Plant::begin(&Leaf::parse(&world.leaves[0]).unwrap()).unwrap();
        for bytes in &world.leaves[1..] {
            plant.append(bytes).unwrap();
        }
        prop_assert_eq!(plant, world.plant);
    }
}
