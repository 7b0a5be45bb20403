//! A plant of two cells whose first one has a program to run, and what a cell
//! delivers of a run.

use super::{Plant, id};
use api::{Delivery, SealedKey};
use base::{Digest, sha256};
use node::{Client, Node, now};
use plant::{
    Body,
    body::{
        Approve, Change, Grant, Order, Outcome, Program, ProgramRef, Recording, RunEnded,
        RunStarted,
    },
};
use proof::recording::{
    Checkpoints, Manifest, Sealing, Signed, SignedManifest, recording_name, run_name,
};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use vault::{
    Cid,
    grant_key::wrap_for,
    seal::{SEGMENT, StreamKey},
};

/// The program that these cells may run.
pub fn program(cells: &[&str]) -> Program {
    Program {
        cells: cells.iter().map(|cell| id(cell)).collect(),
        id: id("scan"),
        parameters: BTreeMap::new(),
        sha256: sha256(b"scan"),
        title: "Scan".into(),
    }
}

/// An order of it, for a minute.
pub fn order(cell: &str, part: &str) -> Order {
    Order {
        cell: id(cell),
        max_lag: 1000,
        not_after: now().plus(60_000),
        not_before: now(),
        parameters: BTreeMap::new(),
        part: id(part),
        program: ProgramRef { id: id("scan"), sha256: sha256(b"scan") },
    }
}

/// What a cell states when a run starts.
pub fn started(order: Digest) -> Body {
    Body::RunStarted(RunStarted { checkpoint: 1, order })
}

/// What a cell states when a run ends well.
pub fn ended(order: Digest) -> Body {
    Body::RunEnded(RunEnded {
        lost: 0,
        order,
        outcome: Outcome::Finished,
        reason: String::new(),
        samples: 1,
        viewpoints: 1,
    })
}

/// A recording for the analyst to read, for ten minutes.
pub fn grant(order: Digest, root: &str) -> Body {
    Body::Grant(granting(order, root))
}

/// What such a grant says.
pub fn granting(order: Digest, root: &str) -> Grant {
    Grant {
        budget: 1000,
        not_after: now().plus(600_000),
        not_before: now(),
        order,
        processor: id("analyst"),
        purpose: "a look".into(),
        recordings: BTreeSet::from([root.to_owned()]),
        terms: Vec::new(),
    }
}

/// What a cell delivers of one stream.
pub struct Parcel {
    pub manifest: Manifest,
    /// The lines of the checkpoints.
    pub chain: Vec<Vec<u8>>,
    pub key: StreamKey,
}

impl Parcel {
    /// A recording of `order`, whose leaf holds `content`.
    pub fn of(cell: &Node, order: Digest, stream: &str, content: &[u8]) -> Self {
        let (now, stream) = (now(), id(stream));
        let root: Cid = vault::address::raw_cid(content);
        let recording = recording_name(&order, &stream).unwrap();
        let mut checkpoints = Checkpoints::new(recording.clone(), order, now);
        checkpoints.leaf(&root.to_bytes(), content.len() as u64);
        let open = checkpoints.checkpoint(now, &*cell.signer).unwrap();
        let last = checkpoints.finish(&*cell.signer).unwrap();
        let key = StreamKey::from_bytes(sha256(content).0);
        let manifest = Manifest {
            run: run_name(&order).unwrap(),
            order,
            stream,
            media_type: "application/mcap".into(),
            cell: cell.member().clone(),
            robot: id("ur3e-1"),
            cameras: vec![],
            root_cid: root.to_string(),
            leaves: last.claim.leaves,
            leaves_root: last.claim.root,
            plaintext_bytes: 1,
            ciphertext_bytes: content.len() as u64,
            sealing: Sealing {
                template: "AES256_GCM_HKDF_1MB".into(),
                segment_bytes: SEGMENT as u32,
                associated_data: recording.to_string(),
                key_commitment: key.commitment().0,
            },
            recording,
            started: now,
            ended: now.plus(1),
            samples: 0,
            gaps: 0,
            last_checkpoint: last.digest().unwrap(),
        };
        let chain = [open, last].map(|signed| signed.to_bytes().unwrap()).to_vec();
        Self { manifest, chain, key }
    }

    pub fn signed(&self, signer: &Node) -> SignedManifest {
        Signed::new(self.manifest.clone(), &*signer.signer).unwrap()
    }

    pub fn body(&self) -> Vec<u8> {
        let lines = self.chain.iter().map(|line| [line.as_slice(), b"\n"].concat());
        lines.collect::<Vec<_>>().concat()
    }

    pub fn entry(&self, signer: &Node) -> Body {
        Body::Recording(Recording {
            bytes: self.manifest.ciphertext_bytes,
            commitment: self.manifest.sealing.key_commitment,
            manifest: self.signed(signer).digest().unwrap(),
            order: self.manifest.order,
            root: self.manifest.root_cid.clone(),
            stream: self.manifest.stream.clone(),
        })
    }
}

/// A plant of two cells whose first one has a program to run.
pub struct House {
    pub plant: Plant,
    pub vault: [u8; 32],
}

impl House {
    pub async fn open() -> Self {
        let plant = Plant::start(&["--cell", "cell-1", "--cell", "cell-2"]).await;
        let auditor = plant.machine("auditor").1;
        let genesis: Value = auditor.get("/entries/0").await.unwrap();
        let vault = &genesis["leaf"]["entry"]["statement"]["body"]["genesis"]["vault"];
        let vault: base::Bytes = serde_json::from_value(vault.clone()).unwrap();
        let house = Self { plant, vault: vault.0.try_into().unwrap() };
        house.change("integrator", Change::Program(program(&["cell-1", "cell-2"]))).await;
        house
    }

    pub async fn change(&self, proposer: &str, change: Change) {
        let proposal = self.plant.state_by_file(proposer, &Body::Propose(change)).await.id;
        let approve = Body::Approve(Approve { proposal });
        self.plant.state_by_file("officer-2", &approve).await;
    }

    pub async fn order(&self, cell: &str) -> Digest {
        let order = Body::Order(order(cell, "part-1"));
        self.plant.state_by_file("operator", &order).await.id
    }

    /// A run of `cell-1` with one recording, whose key and checkpoints are delivered.
    pub async fn recorded(&self) -> Parcel {
        self.recorded_of(b"one").await
    }

    async fn recorded_of(&self, content: &[u8]) -> Parcel {
        let order = self.order("cell-1").await;
        let cell = self.plant.machine("cell-1").0;
        let parcel = Parcel::of(&cell, order, "state", content);
        self.put_key("cell-1", &parcel, &parcel.signed(&cell)).await;
        self.put_checkpoints("cell-1", &parcel, parcel.body()).await;
        parcel
    }

    /// A run of `cell-1` that is over, with its one recording in the vault and on the
    /// ledger.
    pub async fn delivered(&self) -> Parcel {
        self.delivered_of(b"one").await
    }

    /// The same, whose leaf holds `content`.
    pub async fn delivered_of(&self, content: &[u8]) -> Parcel {
        let parcel = self.recorded_of(content).await;
        let cell = self.plant.machine("cell-1").0;
        let (status, said) = self.put_car("cell-1", &parcel, content).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{said}");
        let order = parcel.manifest.order;
        for body in [started(order), ended(order), parcel.entry(&cell)] {
            self.plant.state_by_file("cell-1", &body).await;
        }
        parcel
    }

    /// The ciphertext of a recording of one leaf.
    pub async fn put_car(
        &self,
        member: &str,
        parcel: &Parcel,
        content: &[u8],
    ) -> (StatusCode, Value) {
        let root = vault::address::parse_cid(&parcel.manifest.root_cid).unwrap();
        let mut car = vault::car::CarWriter::new(Vec::new(), &root).unwrap();
        car.block(&root, content).unwrap();
        self.put(member, &root.to_string(), car.finish().unwrap()).await
    }

    /// Grants the analyst a recording; the grant is witnessed.
    pub async fn grant(&self, parcel: &Parcel) -> Digest {
        let grant = grant(parcel.manifest.order, &parcel.manifest.root_cid);
        self.plant.state_witnessed("officer-1", &grant).await.id
    }

    pub async fn put(&self, member: &str, path: &str, body: Vec<u8>) -> (StatusCode, Value) {
        let client = self.plant.machine(member).1;
        let request = client.request(Method::PUT, &format!("/api/v1/recordings/{path}"));
        let request = request.header("content-type", "application/json").body(body);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap_or_default())
    }

    pub async fn put_key(
        &self,
        member: &str,
        parcel: &Parcel,
        signed: &SignedManifest,
    ) -> (StatusCode, Value) {
        let claim = &signed.claim;
        let (info, aad) = (claim.recording.as_str().as_bytes(), claim.root_cid.as_bytes());
        let sealed = wrap_for(&self.vault, info, aad, &parcel.key, aws_lc_rs::rand::fill).unwrap();
        let delivery = Delivery {
            manifest: serde_json::to_value(signed).unwrap(),
            key: SealedKey { enc: sealed.enc, ciphertext: sealed.ciphertext },
        };
        let body = serde_json::to_vec(&delivery).unwrap();
        self.put(member, &format!("{}/key", claim.root_cid), body).await
    }

    pub async fn put_checkpoints(
        &self,
        member: &str,
        parcel: &Parcel,
        body: Vec<u8>,
    ) -> (StatusCode, Value) {
        self.put(member, &format!("{}/checkpoints", parcel.manifest.root_cid), body).await
    }

    pub async fn status(&self, client: &Client, path: &str) -> StatusCode {
        client.request(Method::GET, path).send().await.unwrap().status()
    }
}
