//! A member's key files on their way from one key to the next.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use base::{Digest, Id};
use node::{
    Node, fresh_nonce,
    init::{Blueprint, NewMember, init},
    now,
    rotation::Turn,
};
use policy::Role;
use proof::keys::{PublicKey, Signer};
use std::{collections::BTreeSet, os::unix::fs::PermissionsExt, path::Path};

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn plant(dir: &Path) {
    let member = |name: &str, role: Option<Role>, port: Option<u16>| NewMember {
        id: id(name),
        name: name.into(),
        roles: role.into_iter().collect(),
        listen: port.map(|port| ([127, 0, 0, 1], port).into()),
        cell: None,
    };
    let blueprint = Blueprint {
        site: id("plant"),
        name: "Plant".into(),
        host: "plant.example".into(),
        members: vec![
            member("site", Some(Role::Site), Some(7440)),
            member("analyst", Some(Role::Processor), None),
            member("olga", Some(Role::SecurityOfficer), None),
            member("otto", Some(Role::SecurityOfficer), None),
        ],
        witnesses: vec![member("witness-1", None, None)],
        quorum: 1,
        freshness_ms: 10_000,
        days: 1,
        console: None,
    };
    init(dir, &blueprint, now()).unwrap();
}

fn name(turn: &Turn) -> &'static str {
    match turn {
        Turn::Rest => "rest",
        Turn::Switch => "switch",
        Turn::GiveUp(_) => "give up",
        Turn::Forget => "forget",
    }
}

fn turn(node: &Node, counts: &BTreeSet<Digest>) -> &'static str {
    name(&node.turn(|key| counts.contains(key)).unwrap())
}

#[test]
fn a_folder_goes_from_key_to_key_step_by_step_and_a_crash_takes_none_away() {
    let dir = tempfile::tempdir().unwrap();
    plant(dir.path());
    let home = dir.path().join("analyst");
    let load = || Node::load(&home).unwrap();
    let node = load();
    let own = |node: &Node| PublicKey::of(&*node.signer).fingerprint();
    let first = own(&node);
    let mut counts = BTreeSet::from([first]);
    assert_eq!(turn(&node, &counts), "rest");
    let next = node.prepare_next().unwrap();
    assert_eq!(node.prepare_next().unwrap(), next, "it makes one");
    for file in ["sign.next.key", "seal.next.key"] {
        let mode = home.join(file).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(node.seal_keys().unwrap().len(), 2, "sealed to either, it opens");
    assert_eq!((turn(&node, &counts), own(&node)), ("rest", first), "nobody enrolled it");

    counts.insert(next.sign.fingerprint());
    assert_eq!(turn(&load(), &counts), "switch");
    // The power went between the two steps of a switch.
    std::fs::hard_link(home.join("sign.key"), home.join("sign.old.key")).unwrap();
    let node = load();
    assert_eq!((turn(&node, &counts), own(&node)), ("switch", first));
    let held = node.signer.current();
    node.switch().unwrap();
    assert_eq!(own(&node), next.sign.fingerprint());
    assert_eq!(PublicKey::of(&*held).fingerprint(), first, "a run under way keeps its key");
    assert_eq!(own(&load()), own(&node), "on the disk as well");
    let seal = vault::grant_key::public_of(&load().seal_key().unwrap()).unwrap();
    assert_eq!(next.seal.unwrap().0, seal);
    assert!(!home.join("sign.next.key").exists() && !home.join("seal.next.key").exists());

    let node = load();
    assert!(node.prepare_next().is_err(), "one rotation at a time");
    let Turn::GiveUp(old) = node.turn(|key| counts.contains(key)).unwrap() else {
        panic!("the old key is to be given up");
    };
    let entry = node.give_up(&old, now(), fresh_nonce().unwrap()).unwrap();
    assert_eq!((entry.statement.key, own(&node)), (first, next.sign.fingerprint()));
    entry.verify(&PublicKey::of(&old)).unwrap();
    // The new key must count before the old one goes.
    assert_eq!(turn(&node, &BTreeSet::from([first])), "rest");
    counts.remove(&first);
    assert_eq!(turn(&node, &counts), "forget");
    node.forget_old().unwrap();
    assert_eq!((turn(&node, &counts), home.join("sign.old.key").exists()), ("rest", false));
}

#[test]
fn a_key_that_is_kept_is_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    plant(dir.path());
    let home = dir.path().join("olga");
    let node = Node::load(&home).unwrap();
    let before = node.signer.public();
    assert!(node.prepare_next().unwrap().seal.is_none(), "an officer's file seals nothing");
    std::fs::copy(home.join("sign.next.key"), home.join("sign.old.key")).unwrap();
    assert!(node.switch().is_err(), "an old key of another rotation is there");
    assert_eq!(node.signer.public(), before);
    assert_eq!(Node::load(&home).unwrap().signer.public(), before);
    // The site's sealing key is the vault's and stays.
    let site = Node::load(&dir.path().join("site")).unwrap();
    assert!(site.prepare_next().unwrap().seal.is_none());
    assert!(!dir.path().join("site/seal.next.key").exists());
}
