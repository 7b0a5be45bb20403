//! A new plant's invitations: their links lie with their owners, and open the door.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use base::{Bytes, Id, Millis, sha256, to_canonical};
use node::{
    config::{CellConfig, ConsoleConfig, read_anchors, read_config},
    fresh_nonce,
    init::{Blueprint, NewMember, init, link_file},
    invite::MAX_VALID_MS,
    now,
};
use plant::{
    Body, Plant,
    body::{Accept, Genesis},
};
use policy::Role;
use proof::{
    entry::{Entry, Leaf, Statement, VERSION},
    keys::{Invitation, Passkey, PublicKey, SecretKey, Signer},
};
use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, path::Path};

const ORIGIN: &str = "https://hall-7.example.com:7450";
const PEOPLE: [&str; 3] = ["ana", "olga", "otto"];

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn member(name: &str, role: Role, port: Option<u16>) -> NewMember {
    NewMember {
        id: id(name),
        name: name.into(),
        roles: [role].into(),
        listen: port.map(|port| ([127, 0, 0, 1], port).into()),
        cell: None::<CellConfig>,
    }
}

fn blueprint(console: Option<&str>) -> Blueprint {
    Blueprint {
        site: id("plant"),
        name: "Plant".into(),
        host: "plant.example".into(),
        members: vec![
            member("site", Role::Site, Some(7440)),
            member("cell-1", Role::Cell, Some(7442)),
            member("analyst", Role::Processor, None),
            member("ana", Role::Operator, None),
            member("olga", Role::SecurityOfficer, None),
            member("otto", Role::SecurityOfficer, None),
        ],
        witnesses: vec![NewMember { roles: [].into(), ..member("witness-1", Role::Site, None) }],
        quorum: 1,
        freshness_ms: 10_000,
        days: 1,
        console: console.map(|origin| ConsoleConfig {
            listen: ([127, 0, 0, 1], 7450).into(),
            origin: origin.into(),
            public_passports: true,
            idle_minutes: 15,
            session_hours: 8,
        }),
    }
}

fn genesis(dir: &Path) -> (Entry, Genesis) {
    let bytes = std::fs::read(dir.join("site/genesis.json")).unwrap();
    let entry = Entry::parse(&bytes).unwrap();
    let Body::Genesis(genesis) = serde_json::from_value(entry.statement.body.clone()).unwrap()
    else {
        panic!("no genesis")
    };
    (entry, *genesis)
}

/// The parts of a link's fragment, and what stands before it.
fn parse(link: &str) -> (&str, BTreeMap<&str, &str>) {
    let (address, fragment) = link.split_once('#').unwrap();
    (address, fragment.split('&').map(|part| part.split_once('=').unwrap()).collect())
}

fn accept(member: &str, link: &SecretKey, key: &PublicKey, at: Millis) -> Entry {
    let passkey = Passkey {
        credential: Bytes(vec![1]),
        es256: Bytes([&[4][..], &[7; 64]].concat()),
        rp_id: "hall-7.example.com".into(),
        origin: ORIGIN.into(),
    };
    let statement = Statement {
        at,
        body: serde_json::to_value(Body::Accept(Accept { passkey, seal: None })).unwrap(),
        issuer: id(member),
        key: key.fingerprint(),
        nonce: fresh_nonce().unwrap(),
        site: id("plant"),
        v: VERSION.into(),
    };
    Entry::sign(statement, link).unwrap()
}

#[test]
fn every_person_gets_a_private_link_that_enrols_once() {
    let dir = tempfile::tempdir().unwrap();
    let at = now();
    init(dir.path(), &blueprint(Some(ORIGIN)), at).unwrap();
    let (entry, terms) = genesis(dir.path());
    let mut plant = Plant::begin(&Leaf { entry, logged_at: at }).unwrap();
    let anchors = std::fs::read(dir.path().join("site/anchors.json")).unwrap();
    let anchors: serde_json::Value = serde_json::from_slice(&anchors).unwrap();
    let pinned = sha256(&to_canonical(&anchors).unwrap()).to_string();
    for member in &terms.members {
        let name = member.id.as_str();
        let path = link_file(dir.path(), &member.id);
        if !PEOPLE.contains(&name) {
            assert!(!path.exists() && member.keys.len() == 1, "a link for `{name}`");
            continue;
        }
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        let (address, parts) = parse(text.trim());
        assert_eq!(address, format!("{ORIGIN}/enrol"));
        assert_eq!((parts["member"], parts["anchors"]), (name, pinned.as_str()));
        assert_eq!(parts["until"], at.plus(MAX_VALID_MS).0.to_string());
        assert_eq!(parts.len(), 4);
        let seed: Bytes = serde_json::from_value(parts["key"].into()).unwrap();
        let link = SecretKey::from_seed(&seed.0.try_into().unwrap()).unwrap();
        let ed25519 = Bytes(link.public().to_vec());
        let not_after = at.plus(MAX_VALID_MS);
        let key = PublicKey::Invitation(Invitation { ed25519, not_after });
        assert_eq!(member.keys.len(), 2);
        assert_eq!(member.keys[1], key);
        if name == "ana" {
            let leaf = |entry| Leaf { entry, logged_at: at }.bytes().unwrap();
            plant.append(&leaf(accept(name, &link, &key, at))).unwrap();
            assert!(plant.append(&leaf(accept(name, &link, &key, at))).is_err());
        }
    }
}

#[test]
fn the_site_knows_its_console_and_cells() {
    let dir = tempfile::tempdir().unwrap();
    let blueprint = blueprint(Some(ORIGIN));
    init(dir.path(), &blueprint, now()).unwrap();
    let config = |name: &str| read_config(&dir.path().join(name).join("interlock.toml")).unwrap();
    assert_eq!(config("site").console, blueprint.console);
    let cells = config("site").server.unwrap().cells;
    assert_eq!(cells.len(), 1);
    assert_eq!(
        (cells[0].member.as_str(), cells[0].url.as_str()),
        ("cell-1", "https://127.0.0.1:7442")
    );
    assert_eq!(config("ana").console, None);
    read_anchors(&dir.path().join("ana/anchors.json")).unwrap();
}

#[test]
fn without_a_console_nobody_is_invited() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path(), &blueprint(None), now()).unwrap();
    let (_, terms) = genesis(dir.path());
    assert!(terms.members.iter().all(|m| m.keys.len() == 1));
    assert!(PEOPLE.iter().all(|name| !link_file(dir.path(), &id(name)).exists()));
}

#[test]
fn an_origin_that_no_passkey_binds_to_makes_no_plant() {
    for origin in ["http://hall-7.example.com", "https://192.0.2.1", "hall-7", "https://a/b"] {
        let dir = tempfile::tempdir().unwrap();
        let error = init(dir.path(), &blueprint(Some(origin)), now()).unwrap_err();
        assert!(error.to_string().contains(origin), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
