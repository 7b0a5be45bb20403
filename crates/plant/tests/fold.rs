//! The fold is deterministic, total, and changes nothing when it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base::{Digest, Rule, sha256};
use common::*;
use plant::{Body, Plant, body::*};
use policy::Role;
use proof::{entry::Leaf, log::MAX_LOG_SIZE};
use proptest::prelude::*;

const PEOPLE: [&str; 10] =
    ["olga", "omar", "ada", "audit", "ivan", "cell-1", "cell-2", "site", "vision", "eve"];

/// A body about something that may or may not be there.
fn body(world: &World, kind: u8, pick: u8) -> Body {
    let any = |ids: Vec<Digest>| {
        ids.get(usize::from(pick) % ids.len().max(1)).copied().unwrap_or(sha256(&[pick]))
    };
    let plant = &world.plant;
    let order = any(plant.orders.keys().copied().collect());
    let grant = any(plant.grants.keys().copied().collect());
    let root = format!("bafy{}", pick % 3);
    let person = PEOPLE[usize::from(pick) % PEOPLE.len()];
    match kind % 16 {
        0 => Body::Order(Order { max_lag: pick.into(), ..world.order() }),
        1 => started(order),
        2 => ended(order),
        3 => recording(order, &root),
        4 => Body::Grant(world.grant(order, &[&root])),
        5 => read(grant, &root, u64::from(pick) * 3),
        6 => Body::Shred(Shred { reason: String::new(), root }),
        7 => Body::Shredded(Shredded { commitment: sha256(root.as_bytes()), shred: order, root }),
        8 => hold(pick.is_multiple_of(2).then_some(person)),
        9 => release(any(plant.holds.keys().copied().collect())),
        10 => revoke(person, person),
        11 => Body::Propose(roles(person, &[Role::ALL[usize::from(pick) % Role::ALL.len()]])),
        12 => approve(any(plant.proposals.keys().copied().collect())),
        13 => refusal(order),
        14 => Body::Report(Box::new(report(grant, order, Verdict::Enrolled))),
        _ => Body::RevokeGrant(RevokeGrant { grant, reason: String::new() }),
    }
}

fn folded(leaves: &[Vec<u8>]) -> Plant {
    let mut plant = Plant::begin(&Leaf::parse(&leaves[0]).unwrap()).unwrap();
    for leaf in &leaves[1..] {
        plant.append(leaf).unwrap();
    }
    plant
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// `World::log` asserts that each refused entry left the plant as it was.
    #[test]
    fn any_entries_fold_the_same_from_any_prefix(
        entries in prop::collection::vec((0..10usize, any::<u8>(), any::<u8>(), 0..90_000u64), 1..60),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut world = World::new();
        world.recorded("bafy0");
        for (who, kind, pick, wait) in entries {
            world.now = world.now.plus(wait);
            let body = body(&world, kind, pick);
            let _ = world.try_by(PEOPLE[who], body);
        }
        prop_assert_eq!(world.plant.size, world.leaves.len() as u64);
        let cut = 1 + cut.index(world.leaves.len());
        let mut plant = folded(&world.leaves[..cut]);
        for leaf in &world.leaves[cut..] {
            plant.append(leaf).unwrap();
        }
        prop_assert_eq!(&plant, &world.plant);
        for leaf in &world.leaves {
            prop_assert!(plant.append(leaf).is_err(), "a leaf was taken twice");
        }
        let officers = plant.members.values();
        let officers = officers.filter(|m| m.member.roles.contains(&Role::SecurityOfficer));
        prop_assert!(officers.count() >= 2);
    }

    #[test]
    fn foreign_bytes_never_panic(cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut world = World::new();
        let entry = sign(statement("ada", "ada", NOW, 9, &hold(None)), &key("ada"));
        let mut leaf = Leaf { entry, logged_at: NOW }.bytes().unwrap();
        let at = cut.index(leaf.len());
        let same = leaf[at] == byte;
        leaf[at] = byte;
        let before = world.plant.clone();
        // The site's time is outside the member's signature; the rest is within.
        let time = leaf.windows(9).position(|w| w == b"logged_at").unwrap_or(0);
        if world.plant.append(&leaf).is_err() {
            prop_assert_eq!(world.plant, before);
        } else {
            prop_assert!(same || (time > 0 && at > time), "byte {} was forged", at);
        }
    }
}

#[test]
fn an_excerpt_gives_the_same_order_and_grant() {
    let mut world = World::new();
    for _ in 0..3 {
        world.by("audit", hold(Some("cell-2")));
    }
    let (order, grant) = world.granted();
    world.by("audit", hold(Some("cell-2")));
    world.by("site", read(grant, "bafy1", 40));
    let mut excerpt = Plant::begin(&Leaf::parse(&world.leaves[0]).unwrap()).unwrap();
    for (index, bytes) in world.leaves.iter().enumerate().skip(1) {
        let word = Leaf::parse(bytes).unwrap().entry.statement.body;
        if word.get("hold").is_none() {
            excerpt.append_at(index as u64, bytes).unwrap();
        }
    }
    assert_eq!(excerpt.orders[&order], world.plant.orders[&order]);
    assert_eq!(excerpt.grants[&grant], world.plant.grants[&grant]);
    assert_eq!(excerpt.recordings, world.plant.recordings);
    assert_eq!(excerpt.size, world.plant.size);
    assert!(excerpt.holds.is_empty());
}

#[test]
fn an_excerpt_runs_forwards_and_ends_somewhere() {
    let mut world = World::new();
    let bytes = world.leaves.clone();
    world.by("ada", hold(None));
    let next = world.leaves.last().unwrap();
    let mut plant = folded(&bytes);
    let before = plant.clone();
    for index in [0, plant.size - 1, MAX_LOG_SIZE, u64::MAX] {
        assert_eq!(plant.append_at(index, next).unwrap_err().rule, Rule::Inclusion);
        assert_eq!(plant, before);
    }
    assert_eq!(plant.append_at(90, b"{}").unwrap_err().rule, Rule::Format);
    assert_eq!(plant, before);
    plant.append_at(90, next).unwrap();
    assert_eq!(plant.size, 91);
}
