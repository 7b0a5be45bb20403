//! Keys that are replaced, given up, revoked or lost: what counts when, what never
//! comes back, and what the officers who are left can do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base::{Bytes, Rule};
use common::*;
use plant::{Body, body::*, history::Ended};
use policy::Role;
use proof::keys::{Passkey, PublicKey, Signer};

fn with_keys(name: &str, roles: &[Role], keys: &[PublicKey]) -> Change {
    Change::Member(Member { keys: keys.to_vec(), ..member(name, roles) })
}

fn file(name: &str) -> PublicKey {
    PublicKey::of(&key(name))
}

fn public(name: &str) -> [u8; 32] {
    key(name).public()
}

fn revoke_of(member: &str, key: &PublicKey) -> Body {
    Body::RevokeKey(RevokeKey {
        key: key.fingerprint(),
        member: id(member),
        reason: "stolen".into(),
    })
}

/// Three officers, as `init` makes them.
fn three() -> World {
    let mut world = World::new();
    world.change("olga", with_keys("otto", &[Role::SecurityOfficer], &[file("otto")]), &["omar"]);
    world
}

#[test]
fn a_key_is_replaced_beside_the_old_one_and_the_old_one_given_up_by_itself() {
    let cases = [
        ("cell-1", Role::Cell),
        ("site", Role::Site),
        ("vision", Role::Processor),
        ("ada", Role::Operator),
        ("omar", Role::SecurityOfficer),
    ];
    for (name, role) in cases {
        let mut world = three();
        let next = format!("{name}.2");
        let rotated = with_keys(name, &[role], &[file(name), file(&next)]);
        world.change("olga", rotated, &["otto"]);
        let hold = || hold(None);
        // An outside processor holds nothing; each of the others can, with both keys.
        if role != Role::Processor {
            world.try_with(name, name, hold()).unwrap();
            world.try_with(name, &next, hold()).unwrap();
        }
        // Nobody but its holder gives a key up, unless the policy lets it revoke.
        if role != Role::SecurityOfficer {
            let other = world.try_with(name, &next, revoke(name, name)).unwrap_err();
            assert_eq!(other.rule, Rule::Policy, "{name}");
        }
        world.try_with(name, name, revoke(name, name)).unwrap();
        let refused = world.try_with(name, name, hold()).unwrap_err();
        assert_eq!(refused.rule, Rule::Enrolment, "{name}");
        if role != Role::Processor {
            world.try_with(name, &next, hold()).unwrap();
        }
        let back = world.try_by("olga", Body::Propose(with_keys(name, &[role], &[file(name)])));
        assert_eq!(back.unwrap_err().rule, Rule::Enrolment, "{name}: it came back");
        let id = id(name);
        let ends: Vec<_> = world.plant.history.of(&id).map(|s| s.end.map(|(_, why)| why)).collect();
        assert_eq!(ends, [Some(Ended::Retired), None], "{name}");
    }
}

#[test]
fn a_key_that_its_thief_gave_up_is_revoked_all_the_same() {
    let mut world = three();
    let site = id("site");
    let rotated = with_keys("site", &[Role::Site], &[file("site"), file("site.2")]);
    world.change("olga", rotated, &["otto"]);
    world.try_with("site", "site", revoke("site", "site")).unwrap();
    let span = |world: &World| world.plant.history.of(&site).next().unwrap().end.unwrap();
    let (given_up, _) = span(&world);
    world.by("olga", revoke("site", "site"));
    assert_eq!(span(&world), (given_up, Ended::Revoked), "what it signed stays where it was");
    assert_eq!(world.plant.members[&site].revoked[&file("site").fingerprint()], given_up);
    world.refused("olga", revoke("site", "site"), Rule::Enrolment);
    // One that was replaced may come back by two officers, until it is revoked.
    world.change("olga", with_keys("site", &[Role::Site], &[file("site.3")]), &["otto"]);
    world.by("olga", revoke_of("site", &file("site.2")));
    let back = with_keys("site", &[Role::Site], &[file("site.2")]);
    world.refused("olga", Body::Propose(back), Rule::Enrolment);
    world.refused("olga", revoke_of("site", &file("site.9")), Rule::Enrolment);
}

#[test]
fn a_recording_is_verified_by_the_key_that_its_cell_had_then() {
    let mut world = World::new();
    let keys = |world: &World, root: &str| world.plant.recording_keys(root);
    world.recorded("bafy1");
    let (one, two, three) = (public("cell-1"), public("cell-1.2"), public("cell-1.3"));
    let cell = |keys: &[PublicKey]| with_keys("cell-1", &[Role::Cell], keys);
    world.change("olga", cell(&[file("cell-1"), file("cell-1.2")]), &["omar"]);
    let order = world.ran();
    world.try_with("cell-1", "cell-1.2", recording(order, "bafy2")).unwrap();
    world.try_with("cell-1", "cell-1", revoke("cell-1", "cell-1")).unwrap();
    world.try_with("cell-1", "cell-1.2", recording(order, "bafy3")).unwrap();
    // Replaced by others at once, without a time of both.
    world.change("olga", cell(&[file("cell-1.3")]), &["omar"]);
    world.try_with("cell-1", "cell-1.3", recording(order, "bafy4")).unwrap();
    for (root, expected) in [
        ("bafy1", vec![one]),
        ("bafy2", vec![one, two]),
        ("bafy3", vec![two]),
        ("bafy4", vec![three]),
    ] {
        assert_eq!(keys(&world, root), expected, "{root}");
    }
    assert!(keys(&world, "bafy5").is_empty());
    // A stolen key that was revoked: what it signed before stays proven.
    world.by("olga", revoke("cell-1", "cell-1.3"));
    assert_eq!(keys(&world, "bafy4"), [three]);
    // An excerpt without the other runs knows the same.
    let mut excerpt =
        plant::Plant::begin(&proof::entry::Leaf::parse(&world.leaves[0]).unwrap()).unwrap();
    for (index, leaf) in (0u64..).zip(&world.leaves).skip(1) {
        let text = String::from_utf8_lossy(leaf);
        if !text.contains("bafy1") {
            let _ = excerpt.append_at(index, leaf);
        }
    }
    assert_eq!(excerpt.recording_keys("bafy4"), [three]);
    assert_eq!(excerpt.recording_keys("bafy2"), [one, two]);
}

#[test]
fn a_key_comes_back_in_no_spelling() {
    let mut world = World::new();
    let elsewhere = |name: &str| {
        let (rp_id, origin) = ("other.example".into(), "https://other.example".into());
        PublicKey::Passkey(Passkey { credential: Bytes(vec![1]), rp_id, origin, ..passkey(name) })
    };
    let end = world.now.plus(DAY);
    let pia = PublicKey::Passkey(passkey("pia"));
    world.change(
        "olga",
        with_keys("pia", &[Role::Operator], std::slice::from_ref(&pia)),
        &["omar"],
    );
    world.change(
        "olga",
        with_keys("ida", &[Role::Operator], &[invitation("ida.link", end), file("ida")]),
        &["omar"],
    );
    let accept = Accept { passkey: passkey("ida"), seal: None };
    world.try_invited("ida", "ida.link", end, Body::Accept(accept)).unwrap();
    // Before: another spelling of a key that counts may take its place.
    let moved = with_keys("pia", &[Role::Operator], &[elsewhere("pia")]);
    world.change("olga", moved, &["omar"]);
    world.by("olga", revoke_of("pia", &elsewhere("pia")));
    world.by("olga", revoke("ada", "ada"));
    let spent = [
        ("a passkey as it was", pia),
        ("a passkey of another origin", elsewhere("pia")),
        ("a key file", file("ada")),
        ("a key file as an invitation", invitation("ada", end)),
        ("a used invitation", invitation("ida.link", end)),
        ("a used invitation of another end", invitation("ida.link", end.plus(1))),
        ("a used invitation as a key file", file("ida.link")),
    ];
    for (what, key) in spent {
        for name in ["pia", "ada", "eve"] {
            let keys = [file("fresh"), key.clone()];
            let change = with_keys(name, &[Role::Operator], &keys);
            let refusal = world.try_by("olga", Body::Propose(change)).unwrap_err();
            assert_eq!(refusal.rule, Rule::Enrolment, "{what} for `{name}`: {refusal}");
        }
        if let PublicKey::Passkey(passkey) = key {
            let mut world = world.clone();
            let invite = with_keys("eve", &[Role::Operator], &[invitation("eve.link", end)]);
            world.change("olga", invite, &["omar"]);
            let accept = Body::Accept(Accept { passkey, seal: None });
            let refusal = world.try_invited("eve", "eve.link", end, accept).unwrap_err();
            assert_eq!(refusal.rule, Rule::Enrolment, "{what} by an invitation");
        }
    }
}

/// Whoever revokes a key believes that it signs no more: so it must not, in any
/// spelling or name.
#[test]
fn a_key_laid_down_is_not_revoked_while_it_counts_elsewhere() {
    let mut world = World::new();
    let elsewhere = {
        let (rp_id, origin) = ("other.example".into(), "https://other.example".into());
        PublicKey::Passkey(Passkey { rp_id, origin, ..passkey("pia") })
    };
    let pia = PublicKey::Passkey(passkey("pia"));
    for key in [&pia, &elsewhere] {
        let keys = std::slice::from_ref(key);
        world.change("olga", with_keys("pia", &[Role::Operator], keys), &["omar"]);
    }
    let old = revoke_of("pia", &pia);
    let refusal = world.try_by("olga", old.clone()).unwrap_err();
    assert_eq!(refusal.rule, Rule::Enrolment);
    assert!(refusal.accepted.contains(&elsewhere.fingerprint().to_string()), "{refusal}");
    // Another's name is no hiding place either.
    world.change("olga", with_keys("pia", &[Role::Operator], &[file("pia.2")]), &["omar"]);
    world.change(
        "olga",
        with_keys("eve", &[Role::Operator], std::slice::from_ref(&elsewhere)),
        &["omar"],
    );
    let refusal = world.try_by("olga", old.clone()).unwrap_err();
    assert!(refusal.reason.contains("`eve`"), "{refusal}");
    world.by("olga", revoke_of("eve", &elsewhere));
    world.by("olga", old);
}

#[test]
fn an_officer_counts_who_can_sign() {
    // Without a key, or with an invitation alone, an officer is none for the rule of two.
    let officer = [Role::SecurityOfficer];
    let demote = || Body::Propose(roles("omar", &[]));
    let mut world = three();
    world.clone().try_by("olga", demote()).unwrap();
    let invited = with_keys("otto", &officer, &[invitation("otto.link", world.now.plus(DAY))]);
    let mut waiting = world.clone();
    waiting.change("olga", invited.clone(), &["omar"]);
    waiting.refused("olga", demote(), Rule::Approval);
    world.by("olga", revoke("otto", "otto"));
    world.refused("olga", demote(), Rule::Approval);
    // What leaves those two is allowed, and so is what makes a third.
    world.try_by("olga", Body::Propose(roles("otto", &[]))).unwrap();
    world.try_by("olga", Body::Propose(invited)).unwrap();
}

#[test]
fn the_loss_of_one_officers_key_is_mended_by_the_others() {
    let end = NOW.plus(DAY);
    for (lost, left) in
        [("olga", ["omar", "otto"]), ("omar", ["olga", "otto"]), ("otto", ["olga", "omar"])]
    {
        let mut world = three();
        let [first, second] = left;
        world.by(first, revoke(lost, lost));
        world.refused(lost, hold(None), Rule::Enrolment);
        let again = with_keys(lost, &[Role::SecurityOfficer], &[invitation("again", end)]);
        world.change(first, again, &[second]);
        let accept = Body::Accept(Accept { passkey: passkey(lost), seal: None });
        world.try_invited(lost, "again", end, accept).unwrap();
        assert_eq!(world.plant.officers().count(), 3, "{lost}");
    }
}

#[test]
fn a_theft_is_answered_whoever_is_left_and_the_rules_then_stand_still() {
    let mut world = World::new();
    // Of two officers, one revokes the other; and a stolen one its own.
    world.by("olga", revoke("omar", "omar"));
    assert_eq!(world.plant.officers().collect::<Vec<_>>(), [&id("olga")]);
    // One officer still takes away and grants, and changes nothing.
    world.by("olga", revoke("ada", "ada"));
    let again = with_keys("omar", &[Role::SecurityOfficer], &[file("omar.2")]);
    let proposal = world.by("olga", Body::Propose(again));
    world.refused("olga", approve(proposal), Rule::Approval);
    assert_eq!(world.plant.officers().count(), 1);
    world.by("olga", revoke("olga", "olga"));
    assert_eq!(world.plant.officers().count(), 0);
}
