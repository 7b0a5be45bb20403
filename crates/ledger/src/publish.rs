//! Publishing: a committed checkpoint gets its quorum of cosignatures, then becomes
//! the `checkpoint` that readers see.
//!
//! Each round takes the newest commit, asks all witnesses at once, and publishes as
//! soon as a quorum has answered. A log that stands still is cosigned again before
//! its cosignatures grow old, so that readers can tell a quiet log from a hidden
//! one. Without a quorum nothing is published: readers see the old checkpoint age,
//! and their gates close.
//!
//! The file is replaced, not synced: it says nothing that the committed log and the
//! witnesses cannot say again. After a power loss an old or torn one may be found. It
//! is taken for none unless it covers all that is committed: readers that have seen
//! more would take an older one for a log that was cut. The first round replaces it.
//!
//! The first round after a start is more than a publication: it finds out whether
//! this folder still is the log. A restored backup is a log with a valid signature
//! and too few entries; whoever appended to it would fork it. So [`Standing`] is
//! [`Standing::Unconfirmed`] until a quorum has cosigned what is here, and whoever
//! takes entries waits for that. With a quorum of more than half of the witnesses a
//! published checkpoint leaves too few of them behind it for an older log to be
//! confirmed.

use async_trait::async_trait;
use proof::log::{
    AddCheckpoint, Checkpoint, LogPolicy, SignedCheckpoint, VKey, WitnessedCheckpoint,
    append_signature_lines,
};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use crate::fs::{Fs, place};
use crate::reader::Reader;

/// The file with the newest witnessed checkpoint.
pub const CHECKPOINT: &str = "checkpoint";

/// The most bytes of a witness's answer that are looked at.
pub const MAX_ANSWER_BYTES: usize = 4096;

/// Sends `add-checkpoint` requests to one witness.
#[async_trait]
pub trait CosignClient: Send + Sync {
    /// Posts a body to the witness; returns its signature lines. Read no more than
    /// [`MAX_ANSWER_BYTES`], and see [`CosignError::from_answer`].
    async fn add_checkpoint(&self, body: Vec<u8>) -> Result<Vec<u8>, CosignError>;
}

/// Why a witness gave no cosignature.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CosignError {
    /// It has cosigned another size (409).
    #[error("it has cosigned size {0}")]
    Conflict(u64),
    /// It refused.
    #[error("status {0}: {1}")]
    Refused(u16, String),
    /// It cannot be reached, or did not answer in time.
    #[error("no answer: {0}")]
    Unreachable(String),
}

impl CosignError {
    /// Reads a witness's HTTP status and body (C2SP tlog-witness).
    pub fn from_answer(status: u16, body: Vec<u8>) -> Result<Vec<u8>, Self> {
        let text =
            || String::from_utf8_lossy(&body).trim_end().chars().take(200).collect::<String>();
        match status {
            200 => Ok(body),
            409 => match text().parse() {
                Ok(size) => Err(Self::Conflict(size)),
                Err(_) => Err(Self::Refused(status, text())),
            },
            _ => Err(Self::Refused(status, text())),
        }
    }
}

/// A witness and the way to it.
#[derive(Clone)]
pub struct Witness {
    /// Its key, one of the policy's.
    pub key: VKey,
    /// The way to it.
    pub client: Arc<dyn CosignClient>,
}

/// Who signs and cosigns a log, by its size: keys may change by what the log says.
pub trait Crew: Send + Sync {
    /// The policy that a checkpoint of `size` entries must satisfy, and its witnesses
    /// as far as there is a way to them. None when the log is not that long.
    fn at(&self, size: u64) -> Option<(LogPolicy, Vec<Witness>)>;
}

/// A log whose keys never change.
struct Fixed(LogPolicy, Vec<Witness>);

impl Crew for Fixed {
    fn at(&self, _: u64) -> Option<(LogPolicy, Vec<Witness>)> {
        Some((self.0.clone(), self.1.clone()))
    }
}

/// When to ask witnesses.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long a witness may take to answer.
    pub answer: Duration,
    /// How old cosignatures may get on a log that stands still.
    pub refresh: Duration,
    /// How long to wait after a round without a quorum.
    pub retry: Duration,
}

impl Default for Timing {
    /// Two seconds to answer, refreshed each second, tried again after 200 ms.
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(2),
            refresh: Duration::from_secs(1),
            retry: Duration::from_millis(200),
        }
    }
}

/// What the witnesses say of the log in this folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No quorum has cosigned this log since the start: it may be an old copy.
    Unconfirmed,
    /// A quorum has: nothing longer was ever published.
    Confirmed,
    /// So many witnesses have cosigned more than is here that there is no quorum
    /// without them: entries are lost here.
    Behind {
        /// One of these witnesses.
        witness: String,
        /// The size that it has cosigned.
        cosigned: u64,
        /// The size of the log in this folder.
        here: u64,
    },
}

/// A running publisher; it stops when it is dropped.
pub struct Publisher {
    published: watch::Receiver<Option<WitnessedCheckpoint>>,
    standing: watch::Receiver<Standing>,
    task: JoinHandle<()>,
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Publisher {
    /// Starts publishing what a sequencer commits into the log's folder `dir`, under
    /// keys that never change.
    pub fn start(
        fs: Arc<dyn Fs>,
        dir: &Path,
        policy: LogPolicy,
        witnesses: Vec<Witness>,
        committed: watch::Receiver<SignedCheckpoint>,
        timing: Timing,
    ) -> Self {
        Self::start_with(fs, dir, Arc::new(Fixed(policy, witnesses)), committed, timing)
    }

    /// Starts publishing, each checkpoint under the keys in force at its size.
    pub fn start_with(
        fs: Arc<dyn Fs>,
        dir: &Path,
        crew: Arc<dyn Crew>,
        committed: watch::Receiver<SignedCheckpoint>,
        timing: Timing,
    ) -> Self {
        let path = dir.join(CHECKPOINT);
        let verified = |note: Vec<u8>| {
            let size = Checkpoint::claimed(&note).ok()?.size;
            crew.at(size)?.0.verify_checkpoint(&note).ok()
        };
        let all = committed.borrow().checkpoint().size;
        let on_disk = fs.read(&path).ok().and_then(verified).filter(|c| c.size() == all);
        let (publish, published) = watch::channel(on_disk);
        let (stand, standing) = watch::channel(Standing::Unconfirmed);
        let reader = Reader::new(fs.clone(), dir);
        let known = HashMap::new();
        let worker = Worker { fs, path, crew, known, committed, publish, stand, reader, timing };
        Self { published, standing, task: tokio::spawn(worker.run()) }
    }

    /// What the witnesses say of this log, as it changes.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// The newest witnessed checkpoint.
    pub fn latest(&self) -> Option<WitnessedCheckpoint> {
        self.published.borrow().clone()
    }

    /// The witnessed checkpoints as they come.
    pub fn subscribe(&self) -> watch::Receiver<Option<WitnessedCheckpoint>> {
        self.published.clone()
    }

    /// Waits until a witnessed checkpoint covers the entry at `index`; none when the
    /// publisher stops before.
    pub async fn wait_witnessed(&self, index: u64) -> Option<WitnessedCheckpoint> {
        let mut published = self.published.clone();
        let covers = |c: &Option<WitnessedCheckpoint>| c.as_ref().is_some_and(|c| c.size() > index);
        published.wait_for(covers).await.ok()?.clone()
    }
}

/// A witness with what is known of it.
#[derive(Clone)]
struct Asked {
    name: String,
    client: Arc<dyn CosignClient>,
    /// Accepts this witness's cosignature alone.
    policy: LogPolicy,
    /// The size that it cosigned last, as far as known.
    size: Arc<AtomicU64>,
}

impl Asked {
    fn new(witness: Witness, policy: &LogPolicy, size: Arc<AtomicU64>) -> Option<Self> {
        let name = witness.key.name().to_owned();
        let log = policy.log_key().clone();
        match LogPolicy::new(policy.origin(), log, vec![witness.key], 1) {
            Ok(policy) => Some(Self { name, client: witness.client, policy, size }),
            Err(error) => {
                tracing::error!(witness = name, %error, "a witness is left out");
                None
            }
        }
    }

    /// Asks for a cosignature of a checkpoint; returns the signature line, or the
    /// witness that has cosigned more and how much.
    async fn ask(
        self,
        reader: Reader,
        target: SignedCheckpoint,
        limit: Duration,
    ) -> Result<String, Option<(String, u64)>> {
        match timeout(limit, self.exchange(reader, &target)).await {
            Ok(Ok(line)) => return Ok(line),
            Ok(Err(error)) => tracing::warn!(witness = self.name, error, "no cosignature"),
            Err(_) => tracing::warn!(witness = self.name, ?limit, "no cosignature in time"),
        }
        let known = self.size.load(Ordering::Relaxed);
        Err((known > target.checkpoint().size).then_some((self.name, known)))
    }

    async fn exchange(&self, reader: Reader, target: &SignedCheckpoint) -> Result<String, String> {
        let size = target.checkpoint().size;
        // Twice: a first answer may only tell us what the witness knows.
        for _ in 0..2 {
            let old = self.size.load(Ordering::Relaxed);
            if old > size {
                return Err(format!(
                    "it has cosigned size {old}, this log has {size}: lost entries"
                ));
            }
            let reader = reader.clone();
            let proof = tokio::task::spawn_blocking(move || reader.consistency(old, size));
            let proof = proof.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
            let request = AddCheckpoint { old, proof, note: target.note().to_vec() };
            match self.client.add_checkpoint(request.to_body()).await {
                Ok(answer) => {
                    let line = self.own_line(target, &answer)?;
                    self.size.store(size, Ordering::Relaxed);
                    return Ok(line);
                }
                Err(CosignError::Conflict(known)) if known != old => {
                    self.size.store(known, Ordering::Relaxed);
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        Err("it has cosigned another size again".into())
    }

    /// The line in an answer that is this witness's valid cosignature.
    fn own_line(&self, target: &SignedCheckpoint, answer: &[u8]) -> Result<String, String> {
        let answer = answer.get(..MAX_ANSWER_BYTES.min(answer.len())).unwrap_or_default();
        let answer = String::from_utf8_lossy(answer);
        let valid = |line: &&str| {
            let note = append_signature_lines(target.note(), line.as_bytes());
            self.policy.verify_checkpoint(&note).is_ok()
        };
        let line = answer.split_inclusive('\n').find(valid);
        line.map(str::to_owned).ok_or_else(|| "its answer has no valid cosignature".into())
    }
}

/// The task's side.
struct Worker {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    crew: Arc<dyn Crew>,
    /// What each witness cosigned last, as far as known.
    known: HashMap<VKey, Arc<AtomicU64>>,
    committed: watch::Receiver<SignedCheckpoint>,
    publish: watch::Sender<Option<WitnessedCheckpoint>>,
    stand: watch::Sender<Standing>,
    reader: Reader,
    timing: Timing,
}

impl Worker {
    /// Runs until the sequencer is gone.
    async fn run(mut self) {
        loop {
            let started = Instant::now();
            let target = self.committed.borrow_and_update().clone();
            let done = match self.round(target).await {
                Ok(()) => true,
                Err(reason) => {
                    tracing::warn!(reason, "no new checkpoint is published");
                    false
                }
            };
            let pause = if done { self.timing.refresh } else { self.timing.retry };
            let pause = pause.saturating_sub(started.elapsed());
            // After a failure new commits must not turn the retry into a busy loop.
            let changed = async {
                if !done {
                    sleep(self.timing.retry).await;
                }
                self.committed.changed().await
            };
            tokio::select! {
                changed = changed => if changed.is_err() { return },
                () = sleep(pause) => {}
            }
        }
    }

    /// Asks all witnesses and publishes once a quorum has answered.
    async fn round(&mut self, target: SignedCheckpoint) -> Result<(), String> {
        let size = target.checkpoint().size;
        tracing::debug!(size, "witnesses are asked for cosignatures");
        let crew = self.crew.at(size);
        let (policy, witnesses) = crew.ok_or_else(|| format!("no keys are known at {size}"))?;
        let spare = witnesses.len().saturating_sub(policy.quorum());
        let mut asked = JoinSet::new();
        for witness in witnesses {
            let cosigned = self.known.entry(witness.key.clone()).or_default().clone();
            let Some(witness) = Asked::new(witness, &policy, cosigned) else { continue };
            asked.spawn(witness.ask(self.reader.clone(), target.clone(), self.timing.answer));
        }
        let (mut note, mut got, mut ahead) = (target.note().to_vec(), 0, Vec::new());
        while got < policy.quorum() {
            match asked.join_next().await {
                Some(Ok(Ok(line))) => {
                    note = append_signature_lines(&note, line.as_bytes());
                    got += 1;
                }
                Some(Ok(Err(known))) => ahead.extend(known),
                Some(Err(_)) => {}
                None => {
                    self.behind(ahead, size, spare);
                    return Err(format!("{got} of {} cosignatures", policy.quorum()));
                }
            }
        }
        let witnessed = policy.verify_checkpoint(&note).map_err(|error| error.to_string())?;
        let (fs, path) = (self.fs.clone(), self.path.clone());
        let written = tokio::task::spawn_blocking(move || place(fs.as_ref(), &path, &note)).await;
        written.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
        self.publish.send_replace(Some(witnessed));
        tracing::debug!(size, "a witnessed checkpoint is published");
        self.stand.send_if_modified(|standing| {
            let first = *standing == Standing::Unconfirmed;
            if first {
                *standing = Standing::Confirmed;
            }
            first
        });
        Ok(())
    }

    /// Notes for good that this log is short, when those who know more are more than
    /// the witnesses to spare, so that no quorum is left. One of several alone cannot
    /// stop the log.
    fn behind(&self, ahead: Vec<(String, u64)>, here: u64, spare: usize) {
        if ahead.len() <= spare {
            return;
        }
        if let Some((witness, cosigned)) = ahead.into_iter().max_by_key(|(_, size)| *size) {
            self.stand.send_replace(Standing::Behind { witness, cosigned, here });
        }
    }
}
