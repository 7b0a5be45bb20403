//! A member's key files on their way from one key to the next.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use base::{Bytes, Digest, Id};
use node::{
    Node, fresh_nonce,
    init::{Blueprint, NewMember, init},
    now,
    rotation::Turn,
};
use plant::{Plant, Rotation, body::Keys};
use policy::Role;
use proof::{
    entry::{Entry, Leaf},
    keys::{PublicKey, Signer},
};
use std::{collections::BTreeSet, os::unix::fs::PermissionsExt, path::Path};
use transport::{Authority, Trust, Validity};

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

#[test]
fn roots_are_taken_from_a_proven_plant_and_only_ever_later_ones() {
    let dir = tempfile::tempdir().unwrap();
    plant(dir.path());
    let home = dir.path().join("olga");
    let node = Node::load(&home).unwrap();
    let genesis = std::fs::read(dir.path().join("site/genesis.json")).unwrap();
    let leaf = Leaf { entry: Entry::parse(&genesis).unwrap(), logged_at: now() };
    let plant = Plant::begin(&leaf).unwrap();
    assert!(node.newer_authorities(&plant).is_none(), "the genesis states none");
    node.vouched().unwrap();

    let root = |pem: &str| Bytes(Trust::from_pem(pem).unwrap().certificates().remove(0));
    let old = root(&std::fs::read_to_string(home.join("tls/ca.pem")).unwrap());
    let authority = |site: &str| Authority::new(&id(site), Validity::days(now(), 9)).unwrap();
    let (new, foreign) = (authority("plant"), authority("elsewhere"));
    let new = root(new.certificate());
    let stating = |changes: &[(u64, Vec<Bytes>)]| {
        let mut plant = plant.clone();
        plant.rotations.extend(changes.iter().map(|(index, roots)| Rotation {
            index: *index,
            keys: Keys {
                authorities: Some(roots.clone()),
                log: None,
                vault: None,
                witnesses: None,
            },
        }));
        plant
    };
    let both = (5, vec![old, new.clone()]);
    let earlier = stating(std::slice::from_ref(&both));
    let (since, roots) = node.newer_authorities(&earlier).unwrap();
    // What is no authority of this site changes nothing.
    let mixed = [new.clone(), root(foreign.certificate())];
    for wrong in [&mixed[..], &[Bytes(vec![1; 32])], &[]] {
        assert!(node.take_authorities(since, wrong).is_err());
        assert_eq!(node.trust.since(), None);
    }
    node.take_authorities(since, &roots).unwrap();
    assert!(node.newer_authorities(&earlier).is_none());
    node.vouched().unwrap();

    let later = stating(&[both, (8, vec![new.clone()])]);
    let (since, roots) = node.newer_authorities(&later).unwrap();
    node.take_authorities(since, &roots).unwrap();
    assert!(node.vouched().is_err(), "its certificate is of the old root");
    // After a restart, too: an old checkpoint proves what was in force then.
    let node = Node::load(&home).unwrap();
    assert_eq!((node.trust.since(), node.trust.certificates()), (Some(8), vec![new.0]));
    assert!(node.newer_authorities(&earlier).is_none());
}
