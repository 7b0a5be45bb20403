//! A tiny plant with real keys, a real fold, a real log and a real witness.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod export;

use base::{Bytes, Digest, Id, Millis, sha256};
use passport::{Anchors, Draft, ProvenLeaf, excerpt_for};
use plant::{Body, Plant, body::*};
use policy::Role;
use proof::{
    entry::{Entry, Leaf, Statement, VERSION},
    keys::{PublicKey, SecretKey, Signer},
    log::{
        KeyKind, LogPolicy, LogSigner, VKey, append_signature_lines, cosign,
        merkle::{self, HashSource, leaf_hash, node_hash},
    },
    recording::{Manifest, Sealing, Signed, SignedManifest},
};
use std::{collections::BTreeMap, sync::Arc};

pub const ORIGIN: &str = "plant.example/ledger";
pub const DID: &str = "did:web:plant.example";
const MEMBERS: [&str; 8] = ["olga", "omar", "ada", "ivan", "cell-1", "site", "vision", "log"];

pub fn id(text: &str) -> Id {
    text.parse().unwrap()
}

/// The key of a member, or of `log`, `witness-1`, `witness-2`.
pub fn key(name: &str) -> Arc<SecretKey> {
    Arc::new(SecretKey::from_seed(&sha256(name.as_bytes()).0).unwrap())
}

pub fn vkey(name: &str) -> VKey {
    VKey::new(name, KeyKind::Witness, key(name).public()).unwrap()
}

pub fn log_signer() -> LogSigner {
    signer_of("log")
}

pub fn signer_of(seed: &str) -> LogSigner {
    LogSigner::new(ORIGIN, key(seed)).unwrap()
}

pub fn policy_of(witnesses: &[&str], quorum: usize) -> LogPolicy {
    let witnesses = witnesses.iter().map(|w| vkey(w)).collect();
    LogPolicy::new(ORIGIN, log_signer().vkey().clone(), witnesses, quorum).unwrap()
}

pub fn picture(name: &str) -> Vec<u8> {
    format!("not really a picture of {name}").into_bytes()
}

fn member(name: &str, title: &str, roles: &[Role]) -> Member {
    Member {
        id: id(name),
        keys: vec![PublicKey::of(&*key(name))],
        name: title.into(),
        roles: roles.iter().copied().collect(),
        seal: roles.contains(&Role::Processor).then(|| Bytes(vec![9; 32])),
    }
}

/// A plant as it grows.
#[derive(Clone)]
pub struct World {
    pub leaves: Vec<Leaf>,
    pub plant: Plant,
    pub manifests: BTreeMap<String, SignedManifest>,
    pub pictures: Vec<(String, Vec<u8>)>,
    pub now: Millis,
    /// Who signs checkpoints: the log's key and the witnesses, by their seeds.
    pub signers: (&'static str, [&'static str; 2]),
    nonce: u8,
}

/// A run that was scanned and reported.
pub struct Scan {
    pub order: Digest,
    pub grant: Digest,
    pub report: Digest,
    pub roots: Vec<String>,
}

impl World {
    /// A plant with an approved program and template.
    pub fn new() -> Self {
        let genesis = Body::Genesis(Box::new(Genesis {
            clock_skew_ms: 2000,
            freshness_ms: 60_000,
            issuer: DID.into(),
            log: log_signer().vkey().to_string(),
            members: vec![
                member("olga", "Olga Officer", &[Role::SecurityOfficer]),
                member("omar", "Omar Officer", &[Role::SecurityOfficer]),
                member("ada", "Ada Operator", &[Role::Operator]),
                member("ivan", "Ivan Integrator", &[Role::Integrator]),
                member("cell-1", "Scan cell 1", &[Role::Cell]),
                member("site", "Site server", &[Role::Site]),
                member("vision", "Vision AI Ltd", &[Role::Processor]),
            ],
            name: "Sample plant".into(),
            origin: ORIGIN.into(),
            policy: policy::DEFAULT.into(),
            quorum: 2,
            vault: Bytes(vec![8; 32]),
            witnesses: vec![vkey("witness-1").to_string(), vkey("witness-2").to_string()],
        }));
        let now = Millis(1_795_219_200_000);
        let leaf = Leaf { entry: sign("olga", genesis, now, 0), logged_at: now };
        let mut world = Self {
            plant: Plant::begin(&leaf).unwrap(),
            leaves: vec![leaf],
            manifests: BTreeMap::new(),
            pictures: Vec::new(),
            now,
            signers: ("log", ["witness-1", "witness-2"]),
            nonce: 1,
        };
        let speed = Parameter {
            default: 50,
            max: 100,
            min: 10,
            title: "Speed".into(),
            unit: "mm/s".into(),
        };
        world.change(
            "ivan",
            Change::Program(Program {
                cells: [id("cell-1")].into(),
                id: id("scan-spindle"),
                parameters: [(id("speed"), speed)].into(),
                sha256: sha256(b"program"),
                title: "Scan a spindle from eight sides".into(),
            }),
        );
        world.change(
            "ivan",
            Change::Template(Template {
                id: id("spindle"),
                sha256: sha256(b"template"),
                title: "A good spindle".into(),
                view: 1,
            }),
        );
        world
    }

    pub fn change(&mut self, proposer: &str, change: Change) {
        let proposal = self.log(proposer, Body::Propose(change));
        self.log("omar", Body::Approve(Approve { proposal }));
    }

    /// Puts a new key of the log and a new witness in force, and signs with them.
    pub fn rotate(&mut self) {
        let keys = vec![vkey("witness-1"), vkey("witness-3")];
        let witnesses = Some(Witnesses { keys, quorum: 2 });
        let log = Some(signer_of("log-2").vkey().clone());
        let vault = Some(Bytes(vec![7; 32]));
        self.change("olga", Change::Keys(Keys { authorities: None, log, vault, witnesses }));
        self.signers = ("log-2", ["witness-1", "witness-3"]);
    }

    /// Signs a body and appends it.
    pub fn log(&mut self, issuer: &str, body: Body) -> Digest {
        self.try_log(issuer, body).unwrap()
    }

    pub fn try_log(&mut self, issuer: &str, body: Body) -> Result<Digest, base::Refusal> {
        let leaf = self.leaf(issuer, body);
        let bytes = leaf.bytes().unwrap();
        let id = self.plant.append(&bytes)?;
        self.leaves.push(leaf);
        Ok(id)
    }

    /// Puts a leaf on the log that the fold would not admit.
    pub fn force(&mut self, issuer: &str, body: Body) -> Digest {
        let leaf = self.leaf(issuer, body);
        let id = leaf.entry.id().unwrap();
        self.leaves.push(leaf);
        id
    }

    fn leaf(&mut self, issuer: &str, body: Body) -> Leaf {
        self.now = self.now.plus(1234);
        self.nonce += 1;
        Leaf { entry: sign(issuer, body, self.now, self.nonce), logged_at: self.now.plus(7) }
    }

    pub fn order_of(&self, part: &str) -> Order {
        Order {
            cell: id("cell-1"),
            max_lag: 100,
            not_after: self.now.plus(600_000),
            not_before: self.now,
            parameters: [(id("speed"), 60)].into(),
            part: id(part),
            program: ProgramRef { id: id("scan-spindle"), sha256: sha256(b"program") },
        }
    }

    /// From order to recordings.
    pub fn run(&mut self, part: &str) -> (Digest, Vec<String>) {
        let order = self.log("ada", Body::Order(self.order_of(part)));
        let checkpoint = self.plant.size;
        self.log("cell-1", Body::RunStarted(RunStarted { checkpoint, order }));
        let roots = self.end(order);
        (order, roots)
    }

    /// From the start of a run to its grant.
    pub fn finish(&mut self, order: Digest) -> (Vec<String>, Digest) {
        let roots = self.end(order);
        let grant = self.grant(order, &roots);
        (roots, grant)
    }

    fn end(&mut self, order: Digest) -> Vec<String> {
        let ended = RunEnded {
            lost: 0,
            order,
            outcome: Outcome::Finished,
            reason: String::new(),
            samples: 15_000,
            viewpoints: 8,
        };
        self.log("cell-1", Body::RunEnded(ended));
        ["camera", "state"].map(|stream| self.record(order, stream)).to_vec()
    }

    fn record(&mut self, order: Digest, stream: &str) -> String {
        let seed = sha256(format!("{order}{stream}").as_bytes());
        let root = format!("bafybei{seed}");
        let commitment = sha256(&seed.0);
        let claim = Manifest {
            recording: id(&format!("r-{}-{stream}", order.short())),
            run: id(&format!("run-{}", order.short())),
            order,
            stream: id(stream),
            media_type: "application/mcap".into(),
            cell: id("cell-1"),
            robot: id("ur3e-1"),
            cameras: vec![],
            root_cid: root.clone(),
            leaves: 12,
            leaves_root: seed,
            plaintext_bytes: 12_000_000,
            ciphertext_bytes: 12_000_512,
            sealing: Sealing {
                template: "AES256_GCM_HKDF_1MB".into(),
                segment_bytes: 1 << 20,
                associated_data: "r".into(),
                key_commitment: commitment,
            },
            started: self.now,
            ended: self.now.plus(30_000),
            samples: 15_000,
            gaps: 0,
            last_checkpoint: seed,
        };
        let manifest = Signed::new(claim, &*key("cell-1")).unwrap();
        let recording = Recording {
            bytes: 12_000_512,
            commitment,
            manifest: manifest.digest().unwrap(),
            order,
            root: root.clone(),
            stream: id(stream),
        };
        self.manifests.insert(root.clone(), manifest);
        self.log("cell-1", Body::Recording(recording));
        root
    }

    pub fn grant_of(&self, order: Digest, roots: &[String]) -> Grant {
        Grant {
            budget: 100_000_000,
            not_after: self.now.plus(86_400_000),
            not_before: self.now,
            order,
            processor: id("vision"),
            purpose: "Compare the part with its enrolment and its template".into(),
            recordings: roots.iter().cloned().collect(),
            terms: vec![],
        }
    }

    pub fn grant(&mut self, order: Digest, roots: &[String]) -> Digest {
        let grant = self.grant_of(order, roots);
        let id = self.log("olga", Body::Grant(grant));
        for root in roots {
            let read = Read { bytes: 12_000_512, cid: root.clone(), grant: id, root: root.clone() };
            self.log("site", Body::Read(read));
        }
        id
    }

    pub fn report_of(
        &self,
        part: &str,
        order: Digest,
        grant: Digest,
        roots: &[String],
        verdicts: &[Verdict],
    ) -> Report {
        let analyses = verdicts
            .iter()
            .map(|verdict| {
                let inspects = matches!(verdict, Verdict::Pass | Verdict::Fail);
                Analysis {
                    details: serde_json::json!({"blocks": 96, "agreeing": 91.5}),
                    name: id(if inspects { "inspection" } else { "identity" }),
                    program: sha256(b"analysis program"),
                    reference: match verdict {
                        Verdict::Enrolled => None,
                        Verdict::Pass | Verdict::Fail => Some(sha256(b"template")),
                        _ => self.plant.enrolments.get(&id(part)).copied(),
                    },
                    score: if inspects { 0.0213 } else { 0.947_318_2 },
                    threshold: if inspects { 0.1 } else { 0.35 },
                    verdict: *verdict,
                }
            })
            .collect();
        let pictures = self.pictures.iter().map(|(name, bytes)| Picture {
            media_type: if bytes.starts_with(&[0xff, 0xd8]) { "image/jpeg" } else { "image/png" }
                .into(),
            name: name.clone(),
            sha256: sha256(bytes),
        });
        Report {
            analyses,
            grant,
            inputs: roots.iter().cloned().collect(),
            order,
            part: id(part),
            pictures: pictures.collect(),
            software: sha256(b"analyst"),
        }
    }

    /// A whole job on a part.
    pub fn scan(&mut self, part: &str, verdicts: &[Verdict]) -> Scan {
        let (order, roots) = self.run(part);
        let grant = self.grant(order, &roots);
        let report = self.report_of(part, order, grant, &roots, verdicts);
        let report = self.log("vision", Body::Report(Box::new(report)));
        Scan { order, grant, report, roots }
    }

    pub fn anchors(&self) -> Anchors {
        Anchors { genesis: self.plant.genesis, log: policy_of(&["witness-1", "witness-2"], 2) }
    }

    /// The log's checkpoint over all leaves, cosigned.
    pub fn checkpoint(&self) -> Vec<u8> {
        let tree = Tree::of(&self.leaves);
        let size = self.leaves.len() as u64;
        let signed = signer_of(self.signers.0).sign(size, merkle::root(&tree, size).unwrap());
        let mut note = signed.note().to_vec();
        for witness in self.signers.1 {
            let time = self.now.0 / 1000 + 1;
            let line = cosign(witness, &*key(witness), signed.checkpoint(), time).unwrap();
            note = append_signature_lines(&note, line.as_bytes());
        }
        note
    }

    pub fn proven(&self, index: u64) -> ProvenLeaf {
        let tree = Tree::of(&self.leaves);
        let path = merkle::inclusion(&tree, index, self.leaves.len() as u64).unwrap();
        let leaf = self.leaves[index as usize].bytes().unwrap();
        ProvenLeaf::read(index, &leaf, path).unwrap()
    }

    /// The draft of a report's passport, as a site makes it.
    pub fn draft(&self, report: &Digest) -> Draft {
        let leaves = (0u64..).zip(&self.leaves);
        let indexes = excerpt_for(report, leaves);
        let state = self.plant.reports.get(report);
        let order = state.map(|r| r.report.order);
        let recordings = order.and_then(|o| self.plant.orders.get(&o)).map(|o| &o.recordings);
        let inputs = state.map(|r| &r.report.inputs);
        let roots: std::collections::BTreeSet<&String> =
            recordings.into_iter().flatten().chain(inputs.into_iter().flatten()).collect();
        Draft {
            report: *report,
            issued_at: self.now.plus(5000),
            checkpoint: self.checkpoint(),
            entries: indexes.into_iter().map(|i| self.proven(i)).collect(),
            manifests: roots.into_iter().map(|r| self.manifests[r].clone()).collect(),
        }
    }

    /// The pictures' bytes, in the report's order.
    pub fn picture_bytes(&self) -> Vec<Vec<u8>> {
        self.pictures.iter().map(|(_, bytes)| bytes.clone()).collect()
    }
}

pub fn sign(issuer: &str, body: Body, at: Millis, nonce: u8) -> Entry {
    assert!(MEMBERS.contains(&issuer));
    let key = key(issuer);
    let statement = Statement {
        at,
        body: serde_json::to_value(&body).unwrap(),
        issuer: id(issuer),
        key: PublicKey::of(&*key).fingerprint(),
        nonce: Bytes(vec![nonce; 16]),
        site: id("plant"),
        v: VERSION.into(),
    };
    Entry::sign(statement, &*key).unwrap()
}

/// A Merkle tree in memory.
struct Tree(Vec<Digest>);

impl Tree {
    fn of(leaves: &[Leaf]) -> Self {
        Self(leaves.iter().map(|l| leaf_hash(&l.bytes().unwrap())).collect())
    }
}

impl HashSource for Tree {
    type Error = ();
    fn hash(&self, level: u8, index: u64) -> Result<Digest, ()> {
        match level.checked_sub(1) {
            None => self.0.get(index as usize).copied().ok_or(()),
            Some(below) => {
                Ok(node_hash(&self.hash(below, 2 * index)?, &self.hash(below, 2 * index + 1)?))
            }
        }
    }
}

/// A plant where part `spindle-7` was enrolled, others were scanned, and
/// `spindle-7` was scanned again: its report, with two pictures.
pub fn sample() -> (World, Scan) {
    let mut world = World::new();
    world.scan("spindle-7", &[Verdict::Enrolled]);
    world.scan("spindle-8", &[Verdict::Enrolled, Verdict::Fail]);
    let hold = Hold { cell: None, reason: "lunch".into() };
    let hold = world.log("ada", Body::Hold(hold));
    world.log("ada", Body::Release(Release { hold }));
    world.log("olga", Body::Release(Release { hold }));
    world.pictures = ["photograph", "heat-map"].map(|n| (n.to_owned(), picture(n))).to_vec();
    let scan = world.scan("spindle-7", &[Verdict::Confirmed, Verdict::Pass]);
    world.scan("spindle-9", &[Verdict::Enrolled]);
    (world, scan)
}
