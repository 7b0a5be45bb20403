//! A plant with one grant, and the real data gate over it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use base::{Bytes, Digest, Id, Millis, Refusal, sha256};
use gate::ReadPermit;
use plant::{
    GrantState, MemberState, Plant, RecordingState,
    body::{Body, Genesis, Grant, Member, Recording},
};
use policy::Role;
use proof::{
    entry::{Entry, Leaf, Statement, VERSION},
    keys::{PublicKey, SecretKey, Signer},
    log::{KeyKind, VKey},
};
use std::{
    collections::BTreeMap,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::SystemTime,
};
use tokio::{net::TcpListener, sync::oneshot};
use transport::{Authority, ClientAuth, Identity, Peer, Server, Trust, Validity};
use vault::{
    gateway::{DataGate, ReadRequest},
    record::{Recorded, Recorder},
    seal::{StreamHeader, StreamKey},
    store::Store,
};

pub const NOW: Millis = Millis(1_800_000_000_000);

pub fn id(text: &str) -> Id {
    text.parse().unwrap()
}

pub fn peer(member: &str) -> Peer {
    Peer {
        member: id(member),
        credential: Digest([0; 32]),
        address: "127.0.0.1:1".parse().unwrap(),
    }
}

fn vkey(name: &str, kind: KeyKind, seed: u8) -> String {
    let public = SecretKey::from_seed(&[seed; 32]).unwrap().public();
    VKey::new(name, kind, public).unwrap().to_string()
}

/// A plant of two officers.
pub fn plant() -> Plant {
    let officer = |name: &str, seed: u8| {
        let signer = SecretKey::from_seed(&[seed; 32]).unwrap();
        let member = Member {
            id: id(name),
            keys: vec![PublicKey::of(&signer)],
            name: name.into(),
            roles: [Role::SecurityOfficer].into(),
            seal: None,
        };
        (signer, member)
    };
    let (signer, first) = officer("first", 1);
    let (_, second) = officer("second", 2);
    let genesis = Genesis {
        clock_skew_ms: 1000,
        freshness_ms: 1000,
        issuer: "did:web:plant.example".into(),
        log: vkey("plant.example", KeyKind::Log, 3),
        members: vec![first, second],
        name: "plant".into(),
        origin: "plant.example".into(),
        policy: policy::DEFAULT.into(),
        quorum: 1,
        vault: Bytes(vec![8; 32]),
        witnesses: vec![vkey("witness", KeyKind::Witness, 4)],
    };
    let statement = Statement {
        at: NOW,
        body: serde_json::to_value(Body::Genesis(Box::new(genesis))).unwrap(),
        issuer: id("first"),
        key: PublicKey::of(&signer as &dyn Signer).fingerprint(),
        nonce: Bytes(vec![0; 16]),
        site: id("plant"),
        v: VERSION.into(),
    };
    let entry = Entry::sign(statement, &signer).unwrap();
    Plant::begin(&Leaf { entry, logged_at: NOW }).unwrap()
}

/// The real data gate over a plant, with a ledger of one line: what was read.
pub struct PlantGate {
    pub plant: Mutex<Plant>,
    pub reads: Mutex<Vec<u64>>,
}

impl PlantGate {
    /// A gate at which `processor` may read `budget` bytes of a recording.
    pub fn granting(root: &str, processor: &str, budget: u64) -> Arc<Self> {
        let mut plant = plant();
        let reader = Member {
            id: id(processor),
            keys: vec![PublicKey::of(&SecretKey::from_seed(&[3; 32]).unwrap())],
            name: processor.into(),
            roles: [Role::Processor].into(),
            seal: Some(Bytes(vec![9; 32])),
        };
        let reader =
            MemberState { member: reader, revoked: BTreeMap::new(), accepted: BTreeMap::new() };
        plant.members.insert(id(processor), reader);
        let recording = Recording {
            bytes: 0,
            commitment: Digest([0; 32]),
            manifest: Digest([0; 32]),
            order: Digest([1; 32]),
            root: root.into(),
            stream: id("state"),
        };
        let state = RecordingState { recording, index: 1, shred: None, shredded: false };
        plant.recordings.insert(root.into(), state);
        let grant = Grant {
            budget,
            not_after: NOW.plus(1000),
            not_before: NOW,
            order: Digest([1; 32]),
            processor: id(processor),
            purpose: "inspection".into(),
            recordings: [root.to_owned()].into(),
            terms: Vec::new(),
        };
        let issuer = id("first");
        let state = GrantState { grant, index: 2, issuer, used: 0, reads: 0, revoked: None };
        plant.grants.insert(sha256(b"grant"), state);
        Arc::new(Self { plant: Mutex::new(plant), reads: Mutex::default() })
    }

    pub fn revoke(&self) {
        self.plant.lock().unwrap().grants.values_mut().for_each(|g| g.revoked = Some(3));
    }

    pub fn served(&self) -> u64 {
        self.reads.lock().unwrap().iter().sum()
    }
}

#[async_trait::async_trait]
impl DataGate for PlantGate {
    async fn authorise(&self, peer: &Peer, read: &ReadRequest) -> Result<ReadPermit, Refusal> {
        let mut plant = self.plant.lock().unwrap();
        let request = gate::ReadRequest {
            reader: peer.member.clone(),
            root: read.roots[0].to_string(),
            cid: read.cid.to_string(),
            bytes: read.bytes,
            grant: read.grant,
        };
        let permit = gate::read::decide(&plant, &request, NOW)?;
        plant.grants.get_mut(&permit.read().grant).unwrap().used += permit.bytes();
        self.reads.lock().unwrap().push(permit.bytes());
        Ok(permit)
    }
}

pub fn key() -> StreamKey {
    StreamKey::from_bytes([0x5a; 32])
}

pub fn plaintext(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

/// Records plaintext under [`key`], for the recording `rec-1`.
pub fn record(store: &Arc<Store>, plain: &[u8]) -> Recorded {
    let header = StreamHeader::generate(aws_lc_rs::rand::fill).unwrap();
    let mut recorder = Recorder::start(store.clone(), &key(), header, b"rec-1").unwrap();
    recorder.write_all(plain).unwrap();
    recorder.finish(|_| b"manifest".to_vec()).unwrap()
}

/// A server of mutual TLS on loopback, until it is dropped.
pub struct TlsSite {
    pub authority: Authority,
    pub validity: Validity,
    pub url: String,
    pub _stop: oneshot::Sender<()>,
}

/// Serves routes as the member `vault` of the site `plant`.
pub async fn serve(routes: axum::Router) -> TlsSite {
    transport::install_crypto_provider();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let validity = Validity::days(Millis(now.as_millis() as u64), 1);
    let authority = Authority::new(&id("plant"), validity).unwrap();
    let trust = Trust::from_pem(authority.certificate()).unwrap();
    let issued = authority.issue(&id("vault"), &["127.0.0.1".into()], validity).unwrap();
    let identity = Identity::from_pem(&issued.cert_pem, &issued.key_pem).unwrap();
    let server = Server::new(routes, &trust, &identity, ClientAuth::Required).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(server.run(listener, async {
        stopped.await.ok();
    }));
    TlsSite { authority, validity, url, _stop: stop }
}

/// A folder of the repository's root.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn output(command: &mut Command, input: &[u8]) -> String {
    let missing = "a peer is missing: run `cargo xtask peers` first";
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect(missing);
    child.stdin.take().unwrap().write_all(input).unwrap();
    let out = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&out.stderr);
    let absent = error.contains("ERR_MODULE_NOT_FOUND") || error.contains("ModuleNotFoundError");
    assert!(!absent, "{missing}: {error}");
    assert!(out.status.success(), "the peer failed: {error}");
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// Runs a Python peer of `crates/testkit/peers`.
pub fn python(script: &str, args: &[String]) -> String {
    let python = repository("target/peers/venv/bin/python");
    let script = repository("crates/testkit/peers").join(script);
    output(Command::new(python).arg(script).args(args), b"")
}

/// Runs a Node peer of `crates/testkit/peers`; modules are found in the folder
/// where npm put them because the script comes over standard input.
pub fn node(script: &str, args: &[String]) -> String {
    let text = std::fs::read(repository("crates/testkit/peers").join(script)).unwrap();
    let folder = repository("target/peers/node");
    assert!(folder.is_dir(), "a peer is missing: run `cargo xtask peers` first");
    let mut command = Command::new("node");
    command.args(["--input-type=module", "-"]).args(args).current_dir(folder);
    output(&mut command, &text)
}
