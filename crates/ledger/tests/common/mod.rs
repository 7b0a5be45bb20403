//! What the ledger's tests share: keys, an admission, a witness without a network.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod faulty;
pub mod volatile;

use async_trait::async_trait;
use base::{Digest, Millis, Refusal, Rule};
use ledger::*;
use proof::keys::{SecretKey, Signer};
use proof::log::*;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub const ORIGIN: &str = "plant.example/ledger";

pub fn key(seed: u8) -> Arc<dyn Signer> {
    Arc::new(SecretKey::from_seed(&[seed; 32]).unwrap())
}

pub fn signer() -> Arc<LogSigner> {
    Arc::new(LogSigner::new(ORIGIN, key(1)).unwrap())
}

pub fn witness_name(n: u8) -> String {
    format!("witness.example/w{n}")
}

pub fn witness_key(n: u8) -> VKey {
    VKey::new(&witness_name(n), KeyKind::Witness, key(10 + n).public()).unwrap()
}

pub fn policy(witnesses: u8, quorum: usize) -> LogPolicy {
    let keys = (0..witnesses).map(witness_key).collect();
    LogPolicy::new(ORIGIN, signer().vkey().clone(), keys, quorum).unwrap()
}

pub fn clock() -> Clock {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    Arc::new(move || Millis(now()))
}

/// A clock that a test sets, in milliseconds.
pub fn set_clock() -> (Clock, Arc<AtomicU64>) {
    let now = Arc::new(AtomicU64::new(0));
    let read = now.clone();
    (Arc::new(move || Millis(read.load(Ordering::SeqCst))), now)
}

/// Admits each entry once; a leaf is the time, a space and the entry. An entry that
/// starts with `refuse` is refused.
pub struct OnceEach {
    seen: HashMap<Vec<u8>, (u64, Millis)>,
    last: Millis,
    signer: InForce,
}

/// The key that signs the log after what was admitted; none is the store's own.
pub type InForce = fn(&OnceEach) -> Option<Arc<LogSigner>>;

pub fn leaf(logged_at: Millis, entry: &[u8]) -> Vec<u8> {
    [format!("{} ", logged_at.0).as_bytes(), entry].concat()
}

pub fn entry_of(leaf: &[u8]) -> (Millis, Vec<u8>) {
    let space = leaf.iter().position(|b| *b == b' ').unwrap();
    let time = std::str::from_utf8(&leaf[..space]).unwrap().parse().unwrap();
    (Millis(time), leaf[space + 1..].to_vec())
}

impl OnceEach {
    /// The state after all entries of a log. Panics if one stands there twice.
    pub fn replay(reader: &Reader, size: u64) -> Self {
        let mut state = Self { seen: HashMap::new(), last: Millis::default(), signer: |_| None };
        let visit = |index, leaf: &[u8]| {
            let (time, entry) = entry_of(leaf);
            assert!(time >= state.last, "logged_at runs backwards at {index}");
            state.last = time;
            assert_eq!(state.seen.insert(entry, (index, time)), None, "twice in the log");
            Ok::<_, ReadError>(())
        };
        reader.for_each_entry(0..size, size, visit).unwrap();
        state
    }

    pub fn signed_by(self, signer: InForce) -> Self {
        Self { signer, ..self }
    }

    pub fn index_of(&self, entry: &[u8]) -> Option<u64> {
        self.seen.get(entry).map(|(index, _)| *index)
    }
}

impl Admission for OnceEach {
    type Request = Vec<u8>;

    fn admit(
        &mut self,
        index: u64,
        logged_at: Millis,
        entry: Vec<u8>,
    ) -> Result<Admitted, Refusal> {
        if entry.starts_with(b"refuse") {
            return Err(Refusal {
                who: "a test".into(),
                what: "an entry".into(),
                rule: Rule::Format,
                reason: "it starts with `refuse`".into(),
                accepted: "another one".into(),
            });
        }
        if let Some((index, logged_at)) = self.seen.get(&entry) {
            return Ok(Admitted::Known { index: *index, logged_at: *logged_at });
        }
        let leaf = leaf(logged_at, &entry);
        self.seen.insert(entry, (index, logged_at));
        self.last = logged_at;
        Ok(Admitted::New { leaf })
    }

    fn last_logged_at(&self) -> Millis {
        self.last
    }

    fn signer(&self) -> Option<Arc<LogSigner>> {
        (self.signer)(self)
    }
}

pub fn open(fs: Arc<dyn Fs>, dir: &Path) -> Result<Sequencer, OpenError> {
    open_with(fs, dir, clock())
}

pub fn open_with(fs: Arc<dyn Fs>, dir: &Path, clock: Clock) -> Result<Sequencer, OpenError> {
    let store = Store::open(fs, dir, signer())?;
    let admission = OnceEach::replay(&store.reader(), store.size());
    Ok(Sequencer::start(store, Box::new(admission), clock, Limits::default()))
}

pub fn create(dir: &Path) -> Arc<dyn Fs> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    Store::create(fs.as_ref(), dir, &signer()).unwrap();
    fs
}

/// A witness in this process; `reachable` switches it on and off.
pub struct LocalWitness {
    pub store: WitnessStore,
    pub reachable: std::sync::atomic::AtomicBool,
}

impl LocalWitness {
    pub fn open(dir: &Path, n: u8, clock: Clock) -> Arc<Self> {
        let logs = vec![(ORIGIN.to_owned(), signer().vkey().clone())];
        let core = WitnessCore::new(&witness_name(n), key(10 + n), logs).unwrap();
        let store = WitnessStore::open(Arc::new(RealFs), dir, core, clock).unwrap();
        Arc::new(Self { store, reachable: true.into() })
    }
}

#[async_trait]
impl CosignClient for LocalWitness {
    async fn add_checkpoint(&self, body: Vec<u8>) -> Result<Vec<u8>, CosignError> {
        if !self.reachable.load(Ordering::SeqCst) {
            return Err(CosignError::Unreachable("switched off".into()));
        }
        match self.store.add_checkpoint(&body) {
            Ok(line) => Ok(line.into_bytes()),
            Err(WitnessError::Refused(WitnessRefusal::Conflict(size))) => {
                CosignError::from_answer(409, format!("{size}\n").into_bytes())
            }
            Err(WitnessError::Refused(refusal)) => {
                CosignError::from_answer(refusal.status(), refusal.to_string().into_bytes())
            }
            Err(error) => Err(CosignError::Unreachable(error.to_string())),
        }
    }
}

pub fn witness(n: u8, client: Arc<dyn CosignClient>) -> Witness {
    Witness { key: witness_key(n), client }
}

/// Quick rounds, for tests.
pub fn timing() -> Timing {
    Timing {
        answer: Duration::from_secs(20),
        refresh: Duration::from_millis(50),
        retry: Duration::from_millis(10),
    }
}

/// A log's folder as a source for followers.
pub struct LocalSource(pub Reader, pub std::path::PathBuf);

#[async_trait]
impl LogSource for LocalSource {
    async fn checkpoint(&self) -> Result<Vec<u8>, SourceError> {
        std::fs::read(self.1.join("checkpoint")).map_err(|e| SourceError(e.to_string()))
    }
    async fn entries(&self, index: u64, width: u64) -> Result<Vec<u8>, SourceError> {
        let tile = layout::Tile { level: None, index, width };
        self.0.tile(tile).map_err(|e| SourceError(e.to_string()))
    }
}

/// Serves a made-up log.
pub struct Served {
    pub note: Vec<u8>,
    pub leaves: Vec<Vec<u8>>,
}

impl Served {
    /// The log of these leaves, under a note of it or of another.
    pub fn new(note: Vec<u8>, leaves: &[&str]) -> Self {
        Self { note, leaves: leaves.iter().map(|leaf| leaf.as_bytes().to_vec()).collect() }
    }
}

/// The root of the log of these leaves.
pub fn root_of(leaves: &[&str]) -> Digest {
    let mut frontier = merkle::Frontier::new();
    leaves.iter().for_each(|leaf| frontier.push(merkle::leaf_hash(leaf.as_bytes())));
    frontier.root()
}

#[async_trait]
impl LogSource for Served {
    async fn checkpoint(&self) -> Result<Vec<u8>, SourceError> {
        Ok(self.note.clone())
    }
    async fn entries(&self, index: u64, width: u64) -> Result<Vec<u8>, SourceError> {
        let mut bundle = Vec::new();
        for leaf in self.leaves.iter().skip(index as usize * 256).take(width as usize) {
            layout::push_entry(&mut bundle, leaf).unwrap();
        }
        Ok(bundle)
    }
}
