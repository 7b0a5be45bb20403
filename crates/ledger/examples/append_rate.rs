//! Durable signed orders a second, each verified and kept unique by the plant's fold.
//!
//! `cargo run --release -p ledger --example append_rate -- [ENTRIES] [FOLDER]`
//! signs that many distinct orders, appends them from many tasks at once to a new
//! log in the folder, and prints one line of JSON.
#![allow(clippy::print_stdout)]

use base::{Bytes, Id, Millis, Refusal, Rule, sha256};
use ledger::{Admission, Admitted, Limits, RealFs, Request, Sequencer, Store};
use plant::{Body, Plant, body::*};
use policy::Role;
use proof::{
    entry::{Entry, Leaf, Statement, VERSION, VerifiedEntry},
    keys::{PublicKey, SecretKey},
    log::{KeyKind, LogSigner, VKey},
};
use std::{
    error::Error,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

const ORIGIN: &str = "bench.example/ledger";
/// Senders at once: enough that a batch gathers while another is synced.
const TASKS: usize = 2000;

type Fallible<T> = Result<T, Box<dyn Error>>;

fn now() -> Millis {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

fn key(name: &str) -> Fallible<SecretKey> {
    Ok(SecretKey::from_seed(&sha256(name.as_bytes()).0)?)
}

fn sign(issuer: &str, body: &Body, nonce: u64) -> Fallible<Entry> {
    let key = key(issuer)?;
    let mut unique = vec![0; 8];
    unique.extend(nonce.to_be_bytes());
    let statement = Statement {
        at: now(),
        body: serde_json::to_value(body)?,
        issuer: issuer.parse()?,
        key: PublicKey::of(&key).fingerprint(),
        nonce: Bytes(unique),
        site: "bench".parse()?,
        v: VERSION.into(),
    };
    Ok(Entry::sign(statement, &key)?)
}

fn member(name: &str, role: Role) -> Fallible<Member> {
    Ok(Member {
        id: name.parse()?,
        keys: vec![PublicKey::of(&key(name)?)],
        name: name.into(),
        roles: [role].into(),
        seal: None,
    })
}

/// A plant's first entries: its genesis and one approved program.
fn beginning(log: &LogSigner) -> Fallible<Vec<Leaf>> {
    let mut witnesses = Vec::new();
    for name in ["witness-1", "witness-2"] {
        let public = proof::keys::Signer::public(&key(name)?);
        witnesses.push(VKey::new(name, KeyKind::Witness, public)?.to_string());
    }
    let genesis = Body::Genesis(Box::new(Genesis {
        clock_skew_ms: 2000,
        freshness_ms: 60_000,
        issuer: "did:web:bench.example".into(),
        log: log.vkey().to_string(),
        members: vec![
            member("olga", Role::SecurityOfficer)?,
            member("omar", Role::SecurityOfficer)?,
            member("ada", Role::Operator)?,
            member("ivan", Role::Integrator)?,
            member("cell-1", Role::Cell)?,
        ],
        name: "Bench".into(),
        origin: ORIGIN.into(),
        policy: policy::DEFAULT.into(),
        quorum: 2,
        vault: Bytes(vec![8; 32]),
        witnesses,
    }));
    let program = Body::Propose(Change::Program(Program {
        cells: ["cell-1".parse()?].into(),
        id: "scan".parse()?,
        parameters: Default::default(),
        sha256: sha256(b"program"),
        title: "Scan".into(),
    }));
    let proposed = sign("ivan", &program, 1)?;
    let approve = Body::Approve(Approve { proposal: proposed.id()? });
    let entries = [sign("olga", &genesis, 0)?, proposed, sign("omar", &approve, 2)?];
    Ok(entries.map(|entry| Leaf { entry, logged_at: now() }).to_vec())
}

fn order(number: u64) -> Fallible<Vec<u8>> {
    let at = now();
    let body = Body::Order(Order {
        cell: "cell-1".parse()?,
        max_lag: 10_000,
        not_after: at.plus(600_000),
        not_before: at,
        parameters: Default::default(),
        part: format!("part-{number}").parse::<Id>()?,
        program: ProgramRef { id: "scan".parse()?, sha256: sha256(b"program") },
    });
    Ok(sign("ada", &body, number)?.bytes()?)
}

/// The plant's fold: roles, policy, uniqueness, and that the key still counts.
struct Fold(Arc<RwLock<Plant>>);

/// An entry whose signature was verified.
struct Verified(VerifiedEntry);

impl Request for Verified {
    fn bytes(&self) -> usize {
        self.0.bytes().len()
    }
}

fn read(plant: &RwLock<Plant>) -> RwLockReadGuard<'_, Plant> {
    plant.read().unwrap_or_else(PoisonError::into_inner)
}

/// Parses and verifies what a sender sent, as the site does before the queue.
fn verified(plant: &RwLock<Plant>, bytes: &[u8]) -> Result<Verified, Refusal> {
    let entry: Entry = serde_json::from_slice(bytes).map_err(unreadable)?;
    let key = read(plant).key_of(&entry.statement)?.clone();
    plant::verify_under(entry, &key).map(Verified)
}

fn unreadable(reason: impl ToString) -> Refusal {
    Refusal {
        who: "the sender".into(),
        what: "an entry on the ledger".into(),
        rule: Rule::Format,
        reason: reason.to_string(),
        accepted: "a canonical entry (RFC 8785)".into(),
    }
}

impl Admission for Fold {
    type Request = Verified;

    fn admit(
        &mut self,
        _: u64,
        logged_at: Millis,
        Verified(entry): Verified,
    ) -> Result<Admitted, Refusal> {
        let admitted = {
            let plant = read(&self.0);
            if let Some((index, logged_at)) = plant.logged(&entry.id()) {
                return Ok(Admitted::Known { index, logged_at });
            }
            plant.admit(entry, logged_at)?
        };
        let leaf = admitted.leaf().map_err(unreadable)?;
        self.0.write().unwrap_or_else(PoisonError::into_inner).apply(admitted);
        Ok(Admitted::New { leaf })
    }

    fn last_logged_at(&self) -> Millis {
        read(&self.0).logged_at
    }
}

#[tokio::main]
async fn main() -> Fallible<()> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().map_or(Ok(20_000), |text| text.parse())?;
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::Builder::new().prefix("append-rate").tempdir_in(parent)?;
    let dir = folder.path().join("log");

    let signer = LogSigner::new(ORIGIN, Arc::new(key("log")?))?;
    Store::create(&RealFs, &dir, &signer)?;
    let leaves = beginning(&signer)?;
    let mut store = Store::open(Arc::new(RealFs), &dir, Arc::new(signer))?;
    let (first, rest) = leaves.split_first().ok_or("no genesis")?;
    let mut plant = Plant::begin(first).map_err(|refusal| refusal.reason)?;
    for leaf in rest {
        plant.append(&leaf.bytes()?).map_err(|refusal| refusal.reason)?;
    }
    let bytes = leaves.iter().map(Leaf::bytes).collect::<Result<Vec<_>, _>>()?;
    store.commit(&bytes)?;

    let entries = (0..count).map(|n| order(100 + n)).collect::<Fallible<Vec<_>>>()?;
    let length = entries.first().map_or(0, Vec::len);
    let plant = Arc::new(RwLock::new(plant));
    let fold = Box::new(Fold(plant.clone()));
    let log = Sequencer::start(store, fold, Arc::new(now), Limits::default());
    let mut shares: Vec<Vec<Vec<u8>>> = vec![Vec::new(); TASKS];
    for (share, entry) in (0..TASKS).cycle().zip(entries) {
        if let Some(share) = shares.get_mut(share) {
            share.push(entry);
        }
    }
    let started = Instant::now();
    let tasks: Vec<_> = shares
        .into_iter()
        .map(|share| {
            let (log, plant) = (log.clone(), plant.clone());
            tokio::spawn(async move {
                for entry in share {
                    log.append(verified(&plant, &entry)?).await?;
                }
                Ok::<_, ledger::AppendError>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let seconds = started.elapsed().as_secs_f64();
    let report = serde_json::json!({
        "entries": count, "entry_bytes": length, "seconds": seconds,
        "entries_per_s": count as f64 / seconds,
    });
    println!("{report}");
    log.close().await;
    Ok(())
}
