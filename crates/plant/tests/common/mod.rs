//! A small plant with real keys, for the tests.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use base::{Bytes, Digest, Id, Millis, Refusal, Rule, sha256};
use plant::{Body, Plant, body::*};
use policy::Role;
use proof::{
    entry::{Entry, Leaf, Statement, VERSION},
    keys::{Invitation, Passkey, PublicKey, SecretKey, Signer},
    log::{KeyKind, VKey},
};
use std::collections::{BTreeMap, BTreeSet};

pub const NOW: Millis = Millis(1_795_219_200_000);
pub const SKEW: u64 = 2000;
pub const MINUTE: u64 = 60_000;
pub const DAY: u64 = 24 * 60 * MINUTE;
pub const ORIGIN: &str = "plant.example/log";

pub fn id(text: &str) -> Id {
    text.parse().unwrap()
}

/// A member's key; `olga.2` is another key of hers.
pub fn key(name: &str) -> SecretKey {
    SecretKey::from_seed(&sha256(name.as_bytes()).0).unwrap()
}

pub fn print(name: &str) -> Digest {
    PublicKey::of(&key(name)).fingerprint()
}

/// The key of a log or a witness whose seed is a name's.
pub fn vkey(name: &str, seed: &str, kind: KeyKind) -> VKey {
    VKey::new(name, kind, key(seed).public()).unwrap()
}

/// An invitation whose seed is the name's.
pub fn invitation(name: &str, not_after: Millis) -> PublicKey {
    let ed25519 = Bytes(key(name).public().to_vec());
    PublicKey::Invitation(Invitation { ed25519, not_after })
}

/// A passkey with a well-formed key that nobody holds.
pub fn passkey(name: &str) -> Passkey {
    let x = sha256(name.as_bytes()).0;
    Passkey {
        credential: Bytes(name.as_bytes().to_vec()),
        es256: Bytes([&[4][..], &x, &x].concat()),
        rp_id: "plant.example".into(),
        origin: "https://plant.example".into(),
    }
}

pub fn member(name: &str, roles: &[Role]) -> Member {
    Member {
        id: id(name),
        keys: vec![PublicKey::of(&key(name))],
        name: name.into(),
        roles: roles.iter().copied().collect(),
        seal: roles.contains(&Role::Processor).then(|| Bytes(vec![9; 32])),
    }
}

pub fn genesis() -> Genesis {
    Genesis {
        clock_skew_ms: SKEW,
        freshness_ms: MINUTE,
        issuer: "did:web:plant.example".into(),
        log: vkey(ORIGIN, "log", KeyKind::Log).to_string(),
        members: vec![
            member("olga", &[Role::SecurityOfficer]),
            member("omar", &[Role::SecurityOfficer]),
            member("ada", &[Role::Operator]),
            member("audit", &[Role::Auditor]),
            member("ivan", &[Role::Integrator]),
            member("cell-1", &[Role::Cell]),
            member("cell-2", &[Role::Cell]),
            member("site", &[Role::Site]),
            member("vision", &[Role::Processor]),
            member("rival", &[Role::Processor]),
        ],
        name: "Sample plant".into(),
        origin: ORIGIN.into(),
        policy: policy::DEFAULT.into(),
        quorum: 1,
        vault: Bytes(vec![8; 32]),
        witnesses: vec![vkey("witness.example", "witness", KeyKind::Witness).to_string()],
    }
}

pub fn statement(by: &str, key: &str, at: Millis, nonce: u64, body: &Body) -> Statement {
    Statement {
        at,
        body: serde_json::to_value(body).unwrap(),
        issuer: id(by),
        key: print(key),
        nonce: Bytes(sha256(&nonce.to_be_bytes()).0[..16].to_vec()),
        site: id("plant"),
        v: VERSION.into(),
    }
}

pub fn sign(statement: Statement, key: &dyn Signer) -> Entry {
    Entry::sign(statement, key).unwrap()
}

pub fn genesis_leaf(genesis: Genesis, by: &str) -> Leaf {
    let body = Body::Genesis(Box::new(genesis));
    Leaf { entry: sign(statement(by, by, NOW, 0, &body), &key(by)), logged_at: NOW }
}

/// A plant as it grows.
#[derive(Clone)]
pub struct World {
    pub plant: Plant,
    pub leaves: Vec<Vec<u8>>,
    pub now: Millis,
    pub nonce: u64,
}

impl World {
    /// A plant with nothing but its genesis.
    pub fn bare() -> Self {
        let leaf = genesis_leaf(genesis(), "olga");
        let plant = Plant::begin(&leaf).unwrap();
        Self { plant, leaves: vec![leaf.bytes().unwrap()], now: NOW, nonce: 1 }
    }

    /// A plant with the approved program `scan` for cell 1.
    pub fn new() -> Self {
        let mut world = Self::bare();
        world.change("ivan", Change::Program(program()), &["olga"]);
        world
    }

    /// Takes a leaf in. A refusal leaves the plant as it was.
    pub fn log(&mut self, entry: Entry) -> Result<Digest, Refusal> {
        let bytes = Leaf { entry, logged_at: self.now }.bytes().unwrap();
        let before = self.plant.clone();
        let result = self.plant.append(&bytes);
        match &result {
            Ok(_) => self.leaves.push(bytes),
            Err(_) => assert_eq!(self.plant, before, "a refused entry changed the plant"),
        }
        result
    }

    pub fn try_by(&mut self, by: &str, body: Body) -> Result<Digest, Refusal> {
        self.try_with(by, by, body)
    }

    /// As a member, with a key by its seed's name.
    pub fn try_with(&mut self, by: &str, with: &str, body: Body) -> Result<Digest, Refusal> {
        self.nonce += 1;
        let statement = statement(by, with, self.now, self.nonce, &body);
        self.log(sign(statement, &key(with)))
    }

    /// As a member, with an invitation by its seed's name.
    pub fn try_invited(
        &mut self,
        by: &str,
        seed: &str,
        not_after: Millis,
        body: Body,
    ) -> Result<Digest, Refusal> {
        self.nonce += 1;
        let mut statement = statement(by, seed, self.now, self.nonce, &body);
        statement.key = invitation(seed, not_after).fingerprint();
        self.log(sign(statement, &key(seed)))
    }

    pub fn by(&mut self, by: &str, body: Body) -> Digest {
        self.try_by(by, body).unwrap()
    }

    #[track_caller]
    pub fn refused(&mut self, by: &str, body: Body, rule: Rule) {
        let refusal = self.try_by(by, body).unwrap_err();
        assert_eq!(refusal.rule, rule, "{refusal}");
    }

    pub fn change(&mut self, by: &str, change: Change, approvers: &[&str]) -> Digest {
        let proposal = self.by(by, Body::Propose(change));
        for officer in approvers {
            self.by(officer, Body::Approve(Approve { proposal }));
        }
        proposal
    }

    pub fn order(&self) -> Order {
        Order {
            cell: id("cell-1"),
            max_lag: 8,
            not_after: self.now.plus(5 * MINUTE),
            not_before: self.now,
            parameters: BTreeMap::from([(id("speed"), 50)]),
            part: id("spindle-7"),
            program: ProgramRef { id: id("scan"), sha256: sha256(b"program") },
        }
    }

    pub fn ordered(&mut self) -> Digest {
        let order = self.order();
        self.by("ada", Body::Order(order))
    }

    pub fn ran(&mut self) -> Digest {
        let order = self.ordered();
        self.by("cell-1", started(order));
        order
    }

    /// A finished run with the recording `root`.
    pub fn recorded(&mut self, root: &str) -> Digest {
        let order = self.ran();
        self.by("cell-1", recording(order, root));
        self.by("cell-1", ended(order));
        order
    }

    pub fn grant(&self, order: Digest, roots: &[&str]) -> Grant {
        Grant {
            budget: 100,
            not_after: self.now.plus(60 * MINUTE),
            not_before: self.now,
            order,
            processor: id("vision"),
            purpose: "inspection".into(),
            recordings: roots.iter().map(|r| (*r).to_owned()).collect(),
            terms: Vec::new(),
        }
    }

    /// A recorded run `bafy1` that is granted to `vision`: order and grant.
    pub fn granted(&mut self) -> (Digest, Digest) {
        let order = self.recorded("bafy1");
        let grant = self.grant(order, &["bafy1"]);
        (order, self.by("olga", Body::Grant(grant)))
    }
}

pub fn program() -> Program {
    let speed =
        Parameter { default: 50, max: 100, min: 10, title: "Speed".into(), unit: "mm/s".into() };
    Program {
        cells: [id("cell-1")].into(),
        id: id("scan"),
        parameters: BTreeMap::from([(id("speed"), speed)]),
        sha256: sha256(b"program"),
        title: "Scan".into(),
    }
}

pub fn started(order: Digest) -> Body {
    Body::RunStarted(RunStarted { checkpoint: 1, order })
}

pub fn ended(order: Digest) -> Body {
    let (outcome, reason) = (Outcome::Finished, String::new());
    Body::RunEnded(RunEnded { lost: 0, order, outcome, reason, samples: 1, viewpoints: 1 })
}

pub fn recording(order: Digest, root: &str) -> Body {
    let digest = sha256(root.as_bytes());
    Body::Recording(Recording {
        bytes: 100,
        commitment: digest,
        manifest: digest,
        order,
        root: root.into(),
        stream: id("camera"),
    })
}

pub fn read(grant: Digest, root: &str, bytes: u64) -> Body {
    Body::Read(Read { bytes, cid: root.into(), grant, root: root.into() })
}

pub fn refusal(request: Digest) -> Body {
    let refusal = Refusal {
        who: "ada".into(),
        what: "a run".into(),
        rule: Rule::Hold,
        reason: "a hold".into(),
        accepted: "none".into(),
    };
    Body::Refused(Refused { gate: "motion".into(), refusal, request: Some(request) })
}

pub fn hold(cell: Option<&str>) -> Body {
    Body::Hold(Hold { cell: cell.map(id), reason: "oil".into() })
}

pub fn release(hold: Digest) -> Body {
    Body::Release(Release { hold })
}

pub fn revoke(member: &str, key: &str) -> Body {
    Body::RevokeKey(RevokeKey { key: print(key), member: id(member), reason: "lost".into() })
}

pub fn roles(member: &str, roles: &[Role]) -> Change {
    Change::Roles(SetRoles { member: id(member), roles: roles.iter().copied().collect() })
}

pub fn approve(proposal: Digest) -> Body {
    Body::Approve(Approve { proposal })
}

pub fn report(grant: Digest, order: Digest, verdict: Verdict) -> Report {
    Report {
        analyses: vec![Analysis {
            details: serde_json::json!({}),
            name: id("identity"),
            program: sha256(b"analysis"),
            reference: None,
            score: 1.0,
            threshold: 0.5,
            verdict,
        }],
        grant,
        inputs: BTreeSet::from(["bafy1".to_owned()]),
        order,
        part: id("spindle-7"),
        pictures: Vec::new(),
        software: sha256(b"software"),
    }
}
