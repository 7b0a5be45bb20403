//! A small plant with a real log, for tests of decisions.

#![allow(clippy::unwrap_used)]

use crate::view::View;
use base::{Bytes, Digest, Id, Millis, sha256, to_canonical};
use ledger::NewLeaf;
use plant::{
    Body,
    body::{Approve, Change, Genesis, Member, Order, Parameter, Program, ProgramRef},
};
use policy::Role;
use proof::{
    entry::{Entry, Leaf, Statement, VERSION},
    keys::{PublicKey, SecretKey, Signer},
    log::{
        KeyKind, LogPolicy, LogSigner, VKey, WitnessedCheckpoint, append_signature_lines, cosign,
        merkle::{Frontier, leaf_hash},
    },
};
use std::{collections::BTreeSet, sync::Arc};

pub const ORIGIN: &str = "plant.example/plant";
const PEOPLE: [(&str, Role); 6] = [
    ("site", Role::Site),
    ("cell-1", Role::Cell),
    ("anna", Role::Operator),
    ("ivan", Role::Integrator),
    ("olga", Role::SecurityOfficer),
    ("otto", Role::SecurityOfficer),
];

pub fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn key(who: &str) -> SecretKey {
    SecretKey::from_seed(&sha256(who.as_bytes()).0).unwrap()
}

/// Entries, each logged a second after the one before, from second 1000 on.
pub struct Log {
    pub leaves: Vec<Vec<u8>>,
    nonce: u8,
}

impl Log {
    /// A log with the scan program approved for `cell-1`.
    pub fn new() -> Self {
        let member = |(name, role): (&str, Role)| Member {
            id: id(name),
            keys: vec![PublicKey::of(&key(name))],
            name: name.into(),
            roles: BTreeSet::from([role]),
            seal: None,
        };
        let genesis = Genesis {
            clock_skew_ms: 1000,
            freshness_ms: 10_000,
            issuer: "did:web:plant.example".into(),
            log: LogSigner::new(ORIGIN, Arc::new(key("log"))).unwrap().vkey().to_string(),
            members: PEOPLE.map(member).into(),
            name: "Plant".into(),
            origin: ORIGIN.into(),
            policy: policy::DEFAULT.into(),
            quorum: 1,
            vault: Bytes(vec![8; 32]),
            witnesses: vec![
                VKey::new("witness", KeyKind::Witness, key("witness").public())
                    .unwrap()
                    .to_string(),
            ],
        };
        let mut log = Self { leaves: Vec::new(), nonce: 0 };
        log.state("olga", &Body::Genesis(Box::new(genesis)));
        let parameter =
            Parameter { default: 1, max: 6, min: 1, title: String::new(), unit: String::new() };
        let program = Program {
            cells: BTreeSet::from([id("cell-1")]),
            id: id("scan"),
            parameters: [(id("viewpoints"), parameter)].into(),
            sha256: sha256(b"scan"),
            title: String::new(),
        };
        let proposal = log.state("ivan", &Body::Propose(Change::Program(program)));
        log.state("olga", &Body::Approve(Approve { proposal }));
        log
    }

    /// The time at which the last entry was logged.
    pub fn now(&self) -> Millis {
        Millis(1_000_000 + 1000 * self.leaves.len() as u64)
    }

    /// Logs a statement.
    pub fn state(&mut self, who: &str, body: &Body) -> Digest {
        self.nonce += 1;
        let at = Millis(self.now().0 + 1000);
        let statement = Statement {
            at,
            body: serde_json::from_slice(&to_canonical(body).unwrap()).unwrap(),
            issuer: id(who),
            key: PublicKey::of(&key(who)).fingerprint(),
            nonce: Bytes(vec![self.nonce; 16]),
            site: id("plant"),
            v: VERSION.into(),
        };
        let entry = Entry::sign(statement, &key(who)).unwrap();
        let digest = entry.id().unwrap();
        self.leaves.push(Leaf { entry, logged_at: at }.bytes().unwrap());
        digest
    }

    /// Logs an order of Anna's, good for a minute.
    pub fn order(&mut self) -> Digest {
        let now = self.now();
        let order = Order {
            cell: id("cell-1"),
            max_lag: 5,
            not_after: now.plus(60_000),
            not_before: now.plus(2000),
            parameters: [(id("viewpoints"), 3)].into(),
            part: id("part-1"),
            program: ProgramRef { id: id("scan"), sha256: sha256(b"scan") },
        };
        self.state("anna", &Body::Order(order))
    }

    /// The first `size` leaves, proven, under a checkpoint witnessed just then.
    pub fn proven(&self, size: usize) -> (Vec<NewLeaf>, WitnessedCheckpoint) {
        self.proven_at(size, self.now())
    }

    fn proven_at(&self, size: usize, at: Millis) -> (Vec<NewLeaf>, WitnessedCheckpoint) {
        let leaves: Vec<_> = self.leaves.iter().take(size).cloned().collect();
        let mut tree = Frontier::new();
        leaves.iter().for_each(|leaf| tree.push(leaf_hash(leaf)));
        let log = LogSigner::new(ORIGIN, Arc::new(key("log"))).unwrap();
        let signed = log.sign(size as u64, tree.root());
        let time = at.0 / 1000;
        let line = cosign("witness", &key("witness"), signed.checkpoint(), time).unwrap();
        let witness = VKey::new("witness", KeyKind::Witness, key("witness").public()).unwrap();
        let policy = LogPolicy::new(ORIGIN, log.vkey().clone(), vec![witness], 1).unwrap();
        let note = append_signature_lines(signed.note(), line.as_bytes());
        let checkpoint = policy.verify_checkpoint(&note).unwrap();
        let (_, included) = checkpoint.extend(&Frontier::new(), &leaves).unwrap();
        let pairs = included.into_iter().zip(leaves);
        (pairs.map(|(included, leaf)| NewLeaf { included, leaf }).collect(), checkpoint)
    }

    pub fn genesis(&self) -> Digest {
        Leaf::parse(self.leaves.first().unwrap()).unwrap().entry.id().unwrap()
    }

    /// The plant after all leaves.
    pub fn view(&self) -> View {
        self.view_at(self.now())
    }

    /// The plant after all leaves, witnessed at a time.
    pub fn view_at(&self, at: Millis) -> View {
        let (leaves, newest) = self.proven_at(self.leaves.len(), at);
        let mut view = View::default();
        view.take(&self.genesis(), &id("cell-1"), leaves, Some(newest)).unwrap();
        view
    }
}
