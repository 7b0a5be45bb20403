//! The sequencer: one thread that admits entries, in order, and commits them.
//!
//! Group commit has no timer: while one batch is being made durable the next one
//! gathers, and is committed as soon as the disk returns. Alone, an entry waits for
//! nobody; under load a batch holds thousands.
//!
//! ```text
//! append --queue--> admit (fold: roles, policy, uniqueness) --> commit --> answer
//! ```
//!
//! What needs no state, an entry's form and its signature, is checked before the
//! queue, on any core: [`Admission::Request`] is what came of it.
//!
//! Admission advances the plant's state in memory before the disk has the batch. So
//! when a commit fails the sequencer stops for good: memory may be ahead of the
//! disk. Everything queued is answered [`AppendError::Stopped`], and reopening the
//! log replays the state from what is durable.

use base::{Millis, Refusal};
use proof::log::{LogSigner, SignedCheckpoint};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot, watch};

use crate::layout::MAX_LEAF_BYTES;
use crate::reader::Reader;
use crate::store::Store;

/// What a sender asks to have appended.
pub trait Request: Send + 'static {
    /// Its length, in bytes.
    fn bytes(&self) -> usize;
}

impl Request for Vec<u8> {
    fn bytes(&self) -> usize {
        self.len()
    }
}

/// What decides whether an entry enters the log. It has been fed every entry of the
/// log so far when the sequencer starts.
pub trait Admission: Send {
    /// An entry, checked as far as that takes no state.
    type Request: Request;

    /// Decides on the entry that would stand at `index`. On [`Admitted::New`] the
    /// state has advanced by it; otherwise it is unchanged. The leaf must not be
    /// longer than [`MAX_LEAF_BYTES`]: refuse an entry whose leaf would be, for a
    /// longer leaf stops the sequencer.
    fn admit(
        &mut self,
        index: u64,
        logged_at: Millis,
        entry: Self::Request,
    ) -> Result<Admitted, Refusal>;

    /// When the newest entry of the log was logged; zero when there is none. Later
    /// entries are never logged before it.
    fn last_logged_at(&self) -> Millis;

    /// The key that signs the checkpoint over all that was admitted so far, when it may
    /// be another than before: the batch that replaces a key is signed with the new one.
    fn signer(&self) -> Option<Arc<LogSigner>> {
        None
    }

    /// All entries below the checkpoint's size are durable now.
    fn durable(&mut self, checkpoint: &SignedCheckpoint) {
        let _ = checkpoint;
    }
}

/// An entry that may stand in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is new; this is the leaf to append.
    New {
        /// The leaf's bytes: the entry with the time it was logged.
        leaf: Vec<u8>,
    },
    /// The very same entry stands in the log already (a sender's retry).
    Known {
        /// Where it stands.
        index: u64,
        /// When it was logged.
        logged_at: Millis,
    },
}

/// Where an entry stands in the log, durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its index.
    pub index: u64,
    /// When it was logged.
    pub logged_at: Millis,
    /// Whether it stood there before this request.
    pub known: bool,
}

/// Why an entry was not appended.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum AppendError {
    /// The admission refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is too long.
    #[error("an entry of {got} bytes: at most {most} are allowed")]
    TooLong {
        /// Its length in bytes.
        got: usize,
        /// The longest that is allowed.
        most: usize,
    },
    /// The log has stopped; whether the entry is in it shows after reopening.
    #[error("the log has stopped: {0}")]
    Stopped(String),
}

/// Bounds on what the sequencer holds in memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries that may wait; `append` waits while the queue is full.
    pub queue: usize,
    /// The most entries in a batch.
    pub batch_entries: usize,
    /// A batch is closed once its leaves have this many bytes.
    pub batch_bytes: usize,
    /// The longest entry, in bytes.
    pub entry_bytes: usize,
}

impl Default for Limits {
    /// 8192 waiting, batches of 4096 entries or 1 MiB, entries of 60 KiB.
    fn default() -> Self {
        Self {
            queue: 8192,
            batch_entries: 4096,
            batch_bytes: 1 << 20,
            entry_bytes: MAX_LEAF_BYTES - 4096,
        }
    }
}

/// Reads the clock: milliseconds since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

type Answer = Result<Appended, AppendError>;

/// An answer and where it goes, once the batch is durable.
type Answered = (oneshot::Sender<Answer>, Answer);

/// What stands in the queue.
enum Queued<R> {
    Append(R, oneshot::Sender<Answer>),
    /// Makes the thread look whether it is to stop.
    Wake,
}

/// A handle on a running sequencer; clones share it. It stops when the last handle
/// is gone, or by [`Sequencer::close`].
pub struct Sequencer<R: Request = Vec<u8>> {
    queue: mpsc::Sender<Queued<R>>,
    stop: watch::Sender<bool>,
    committed: watch::Receiver<SignedCheckpoint>,
    reader: Reader,
    limits: Limits,
    stopped: Arc<Mutex<Option<String>>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl<R: Request> Clone for Sequencer<R> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            stop: self.stop.clone(),
            committed: self.committed.clone(),
            reader: self.reader.clone(),
            limits: self.limits,
            stopped: self.stopped.clone(),
            thread: self.thread.clone(),
        }
    }
}

impl<R: Request> Sequencer<R> {
    /// Starts a sequencer on an open log.
    pub fn start(
        store: Store,
        admission: Box<dyn Admission<Request = R>>,
        clock: Clock,
        limits: Limits,
    ) -> Self {
        let (queue, requests) = mpsc::channel(limits.queue.max(1));
        let (publish, committed) = watch::channel(store.committed().clone());
        let (stop, stopping) = watch::channel(false);
        let (reader, stopped) = (store.reader(), Arc::new(Mutex::new(None)));
        let last = admission.last_logged_at();
        let worker = Worker { store, admission, clock, last, publish, stopping, limits };
        let reason = stopped.clone();
        let thread = std::thread::spawn(move || {
            let end = worker.run(requests);
            if let Ok(mut reason) = reason.lock() {
                *reason = Some(end);
            }
        });
        let thread = Arc::new(Mutex::new(Some(thread)));
        Self { queue, stop, committed, reader, limits, stopped, thread }
    }

    /// Appends an entry; returns once it is durable on this machine. An exact
    /// repetition returns where the entry stands already.
    pub async fn append(&self, entry: R) -> Result<Appended, AppendError> {
        let (got, most) = (entry.bytes(), self.limits.entry_bytes);
        if got > most {
            return Err(AppendError::TooLong { got, most });
        }
        let (answer, answered) = oneshot::channel();
        if self.queue.send(Queued::Append(entry, answer)).await.is_err() {
            return Err(self.why_stopped());
        }
        answered.await.unwrap_or_else(|_| Err(self.why_stopped()))
    }

    /// The newest committed checkpoints, durable here and not yet witnessed.
    pub fn committed(&self) -> watch::Receiver<SignedCheckpoint> {
        self.committed.clone()
    }

    /// A reader of the log.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Commits what is queued, makes all tiles durable and stops, for all handles.
    pub async fn close(&self) {
        self.stop.send_replace(true);
        let _ = self.queue.send(Queued::Wake).await;
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    fn why_stopped(&self) -> AppendError {
        let reason = self.stopped.lock().ok().and_then(|reason| reason.clone());
        AppendError::Stopped(reason.unwrap_or_else(|| "its thread has ended".into()))
    }
}

/// The thread's side.
struct Worker<R> {
    store: Store,
    admission: Box<dyn Admission<Request = R>>,
    clock: Clock,
    last: Millis,
    publish: watch::Sender<SignedCheckpoint>,
    stopping: watch::Receiver<bool>,
    limits: Limits,
}

impl<R: Request> Worker<R> {
    /// Runs until it is told to stop or a commit fails; returns the reason.
    fn run(mut self, mut requests: mpsc::Receiver<Queued<R>>) -> String {
        while let Some(first) = requests.blocking_recv() {
            if *self.stopping.borrow() {
                requests.close();
            }
            let (answers, leaves) = self.gather(first, &mut requests);
            if let Err(reason) = self.commit(&leaves) {
                tracing::error!(%reason, "the ledger has stopped");
                for (answer, _) in answers {
                    let _ = answer.send(Err(AppendError::Stopped(reason.clone())));
                }
                return reason;
            }
            for (answer, result) in answers {
                let _ = answer.send(result);
            }
        }
        match self.store.close() {
            Ok(()) => "it was closed".into(),
            Err(error) => error.to_string(),
        }
    }

    /// Admits the first request and all that wait, up to the limits of a batch.
    /// Refusals too are answered after the commit only: the state that led to them
    /// may be in this batch.
    fn gather(
        &mut self,
        first: Queued<R>,
        requests: &mut mpsc::Receiver<Queued<R>>,
    ) -> (Vec<Answered>, Vec<Vec<u8>>) {
        let (mut answers, mut leaves, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut next = Some(first);
        while let Some(Queued::Append(entry, answer)) = next {
            let index = self.store.size() + leaves.len() as u64;
            let logged_at = (self.clock)().max(self.last);
            let result = match self.admission.admit(index, logged_at, entry) {
                Ok(Admitted::New { leaf }) => {
                    self.last = logged_at;
                    bytes += leaf.len();
                    leaves.push(leaf);
                    Ok(Appended { index, logged_at, known: false })
                }
                Ok(Admitted::Known { index, logged_at }) => {
                    Ok(Appended { index, logged_at, known: true })
                }
                Err(refusal) => Err(refusal.into()),
            };
            answers.push((answer, result));
            let full =
                answers.len() >= self.limits.batch_entries || bytes >= self.limits.batch_bytes;
            next = if full { None } else { requests.try_recv().ok() };
        }
        (answers, leaves)
    }

    fn commit(&mut self, leaves: &[Vec<u8>]) -> Result<(), String> {
        if leaves.is_empty() {
            return Ok(());
        }
        if let Some(signer) = self.admission.signer() {
            self.store.sign_with(signer);
        }
        let signed = self.store.commit(leaves).map_err(|error| error.to_string())?.clone();
        self.admission.durable(&signed);
        self.publish.send_replace(signed);
        Ok(())
    }
}
