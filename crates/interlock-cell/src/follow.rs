//! Following the ledger without trusting who serves it.
//!
//! Each new checkpoint is verified, its entries are fetched and their root is
//! recomputed, and what was seen is on the disk before anything is decided from
//! it. What is missed after a long time, or at a start, is folded beside the view that
//! decisions rest on, in steps, and takes its place when it is whole. A log that shrinks,
//! forks or holds what it must not is distrusted, for good: a person at the cell says when
//! it may be trusted again (`interlock-cell trust --reset`). A site that is silent or slow
//! is only that.
//!
//! The site is asked to answer when it has another checkpoint, so that nothing here
//! waits for a clock. It may answer at once, late or never: then the log is looked at
//! at a slow pace, as any other.
//!
//! The cell also cosigns what it has seen (C2SP tlog-cosignature) and leaves the
//! cosignature with the site, for whoever audits the log.

use crate::{
    cell::Cell,
    files,
    view::{Seen, View},
};
use anyhow::Context;
use async_trait::async_trait;
use base::Millis;
use ledger::{
    FollowError, Follower, FollowerState, KeysInForce, LogSource, Pair, RealFs, SourceError,
    layout::{FULL, MAX_LEAF_BYTES, Tile},
};
use node::{Client, keys::in_force, now};
use proof::log::{LogPolicy, MAX_NOTE_BYTES, WitnessedCheckpoint, append_signature_lines, cosign};
use reqwest::{Method, header::CONTENT_TYPE};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// The most bytes of a bundle: 256 leaves with their lengths.
const MAX_BUNDLE: usize = FULL as usize * (MAX_LEAF_BYTES + 2);
/// How many bytes of entries are taken in one step. A longer log takes more steps.
const STEP_BYTES: usize = 4 << 20;
/// How long the site may keep an answer until it has another checkpoint.
const WAIT: Duration = Duration::from_secs(10);
/// How soon a log that had nothing new is looked at again, should the site not wait.
const PACE: Duration = Duration::from_millis(200);
/// How long a checkpoint is acted upon before it is cosigned: the robot comes first.
const COSIGN: Duration = Duration::from_millis(500);
/// How long a checkpoint may take to arrive, and a bundle: a site that answers a byte
/// at a time must not keep the cell from asking again.
const NOTE_PATIENCE: Duration = Duration::from_secs(10);
const BUNDLE_PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait after an error.
const RETRY: Duration = Duration::from_millis(500);

/// The site's log over HTTP.
struct SiteLog {
    client: Client,
    /// Size and witnessed time of the checkpoint at hand: another one is waited for.
    /// None to take what there is.
    have: Option<(u64, Millis)>,
}

#[async_trait]
impl LogSource for SiteLog {
    async fn checkpoint(&self) -> Result<Vec<u8>, SourceError> {
        let Some((size, time)) = self.have else {
            return self.read("/checkpoint", MAX_NOTE_BYTES, NOTE_PATIENCE).await;
        };
        let wait = WAIT.as_millis();
        let path = format!("/checkpoint?size={size}&time={}&wait_ms={wait}", time.0);
        self.read(&path, MAX_NOTE_BYTES, WAIT + NOTE_PATIENCE).await
    }

    async fn entries(&self, index: u64, width: u64) -> Result<Vec<u8>, SourceError> {
        let tile = Tile { level: None, index, width };
        self.read(&format!("/{tile}"), MAX_BUNDLE, BUNDLE_PATIENCE).await
    }
}

impl SiteLog {
    async fn read(&self, path: &str, most: usize, long: Duration) -> Result<Vec<u8>, SourceError> {
        let late = |_| SourceError(format!("`{path}` took longer than {} s", long.as_secs()));
        let read = tokio::time::timeout(long, self.client.bytes(path, most)).await.map_err(late)?;
        read.map_err(|e| SourceError(e.to_string()))
    }
}

/// What a step makes of the cell's view, or why the ledger is not to be trusted.
type Change<'a> = Box<dyn FnOnce(&mut View) -> Result<(), String> + Send + 'a>;

/// A view that is not whole yet: of a ledger that takes more than one step.
type Ahead = Arc<Mutex<Option<View>>>;

fn locked(ahead: &Ahead) -> MutexGuard<'_, Option<View>> {
    ahead.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The keys of the log as the cell's own fold has them, as far as it has come.
struct FoldedKeys(Arc<Cell>, Ahead);

impl KeysInForce for FoldedKeys {
    fn reads(&self, leaf: &[u8]) -> bool {
        plant::trust::bears_on_keys(leaf)
    }

    fn policy(&self, size: u64, new: &[(u64, &[u8])]) -> Option<LogPolicy> {
        let anchors = &self.0.node.anchors;
        match &*locked(&self.1) {
            Some(view) => in_force(anchors, view.plant.as_ref(), size, new),
            None => in_force(anchors, self.0.view().plant.as_ref(), size, new),
        }
    }
}

/// The file that says why the ledger is distrusted.
pub fn distrust_path(dir: &Path) -> PathBuf {
    dir.join("distrust")
}

fn seen_path(dir: &Path) -> PathBuf {
    dir.join("seen.json")
}

/// Why the ledger is distrusted, from an earlier run of this program.
pub fn distrust(dir: &Path) -> io::Result<Option<String>> {
    absent_is_none(fs::read_to_string(distrust_path(dir)))
}

/// The newest checkpoint seen, from an earlier run of this program.
fn seen(kept: &Pair, dir: &Path) -> anyhow::Result<Option<Seen>> {
    let parse = |bytes: &[u8]| {
        serde_json::from_slice(bytes).with_context(|| format!("`{}`", seen_path(dir).display()))
    };
    kept.value().map(parse).transpose()
}

fn absent_is_none<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Forgets what was seen of the ledger and why it is distrusted; returns the
/// latter. A person decides this, at the cell, while it does not run.
pub fn reset(dir: &Path) -> anyhow::Result<Option<String>> {
    let why = distrust(dir)?;
    let seen = seen_path(dir);
    Pair::files(&seen).iter().chain([&seen]).try_for_each(|file| files::remove(file))?;
    files::remove(&distrust_path(dir))?;
    Ok(why)
}

/// Follows the ledger until the cell closes or distrusts it.
///
/// # Errors
/// What was seen cannot be written down, or read from an earlier run.
pub async fn follow(cell: Arc<Cell>) -> anyhow::Result<()> {
    let mut closing = cell.closing.subscribe();
    let kept = Pair::open(Arc::new(RealFs), &seen_path(cell.dir()))?;
    let (newest, told) = watch::channel(None);
    tokio::spawn(cosigned(cell.clone(), told));
    let ahead = Ahead::default();
    let keys = FoldedKeys(cell.clone(), ahead.clone());
    let mut follower = Follower::new(keys, FollowerState::default(), STEP_BYTES);
    if let Some(seen) = seen(&kept, cell.dir())? {
        follower = follower.having_seen(seen.size, seen.root);
    }
    let mut log = Log {
        source: SiteLog { client: cell.client.clone(), have: None },
        follower,
        ahead,
        kept,
        newest,
    };
    while cell.distrust().is_none() {
        let pause = tokio::select! {
            pause = log.step(&cell) => pause?,
            _ = closing.wait_for(|closing| *closing) => return Ok(()),
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = closing.wait_for(|closing| *closing) => return Ok(()),
        }
    }
    Ok(())
}

struct Log {
    source: SiteLog,
    follower: Follower,
    /// What was folded beside the cell's view, to take its place.
    ahead: Ahead,
    /// What was seen, on the disk.
    kept: Pair,
    /// The newest checkpoint that was acted upon, to be cosigned.
    newest: watch::Sender<Option<WitnessedCheckpoint>>,
}

/// What tells a checkpoint from another.
fn mark(checkpoint: &WitnessedCheckpoint) -> (u64, Millis) {
    (checkpoint.size(), checkpoint.witnessed_at())
}

impl Log {
    /// One look at the log; returns when to look again.
    async fn step(&mut self, cell: &Arc<Cell>) -> anyhow::Result<Duration> {
        let asked = Instant::now();
        let had = self.follower.latest().map(mark);
        // After trouble what there is will do.
        self.source.have = had.filter(|_| cell.trouble().is_none());
        let leaves = match self.follower.poll(&self.source).await {
            Ok(leaves) => leaves,
            Err(error) => return Ok(self.failed(cell, &error)),
        };
        if cell.trouble().take().is_some() {
            tracing::info!("the ledger is followed again");
        }
        let (genesis, id) = (&cell.node.anchors.genesis, &cell.id);
        let more = self.follower.ahead().is_some();
        let newest = self.follower.latest().filter(|_| !more).cloned();
        let mut grown = !leaves.is_empty();
        let take = |view: &mut View| view.take(genesis, id, leaves, newest.clone());
        let mut beside = locked(&self.ahead).take();
        if more {
            beside.get_or_insert_with(|| cell.view().clone());
        }
        let change: Change<'_> = match beside {
            None => Box::new(take),
            Some(mut view) => {
                let folded = tokio::task::block_in_place(|| take(&mut view));
                if folded.is_ok() && more {
                    *locked(&self.ahead) = Some(view);
                    return Ok(Duration::ZERO);
                }
                grown = true;
                // What does not fold is a lie, which `fold` records; the view stays.
                Box::new(move |whole| folded.map(|()| *whole = view))
            }
        };
        if let Some(newest) = newest.as_ref().filter(|_| grown) {
            let bytes = serde_json::to_vec(&Seen::of(newest))?;
            self.keep(cell, &bytes).await;
        }
        let folded = tokio::task::block_in_place(|| cell.fold(change));
        if folded.is_ok() && grown {
            take_authorities(cell);
        }
        if let (Ok(()), true, Some(newest)) = (folded, grown, newest) {
            tracing::debug!(size = newest.size(), "the ledger has grown");
            self.newest.send_replace(Some(newest));
        }
        // What is newer was signed by witnesses: a site cannot make it up to keep us busy.
        let news = self.follower.latest().map(mark) != had;
        Ok(if news { Duration::ZERO } else { PACE.saturating_sub(asked.elapsed()) })
    }

    /// Writes down what was seen. What is not written down counts as not seen: nothing
    /// is decided from it, so this lasts until the disk takes it.
    async fn keep(&mut self, cell: &Cell, seen: &[u8]) {
        let path = seen_path(cell.dir());
        while let Err(error) = tokio::task::block_in_place(|| self.kept.write(seen)) {
            tracing::error!(%error, "what was seen cannot be written down");
            tokio::time::sleep(RETRY).await;
            let open = || Pair::open(Arc::new(RealFs), &path);
            if let Ok(kept) = tokio::task::block_in_place(open) {
                self.kept = kept;
            }
        }
    }

    fn failed(&mut self, cell: &Cell, error: &FollowError) -> Duration {
        let text = error.to_string();
        if error.is_lie() {
            // `fold` records why.
            let _ = cell.fold(|_| Err(text));
        } else if cell.trouble().replace(text.clone()).as_ref() != Some(&text) {
            tracing::warn!(%error, "the ledger cannot be followed, trying again");
        }
        RETRY
    }
}

/// Trusts the roots of certificates that the folded ledger states. A failure leaves
/// those that were trusted, until the ledger grows again.
fn take_authorities(cell: &Cell) {
    let newer = cell.view().plant.as_ref().and_then(|plant| cell.node.newer_authorities(plant));
    let Some((since, roots)) = newer else { return };
    match tokio::task::block_in_place(|| cell.node.take_authorities(since, &roots)) {
        Ok(()) => tracing::info!(since, "the cell trusts the roots that the ledger states"),
        Err(error) => tracing::error!(%error, "the roots that the ledger states cannot be taken"),
    }
    if let Err(error) = cell.node.vouched() {
        tracing::error!(%error, "no machine takes the cell's certificate any more");
    }
}

/// Leaves this cell's cosignature of the newest checkpoint with the site, a while after
/// it was acted upon.
async fn cosigned(cell: Arc<Cell>, mut told: watch::Receiver<Option<WitnessedCheckpoint>>) {
    while told.changed().await.is_ok() {
        tokio::time::sleep(COSIGN).await;
        let newest = told.borrow_and_update().clone();
        if let Some(newest) = newest {
            cosign_with_site(&cell, &newest).await;
        }
    }
}

async fn cosign_with_site(cell: &Cell, newest: &WitnessedCheckpoint) {
    let time = now().0 / 1000;
    let line = cosign(cell.id.as_str(), &*cell.node.signer, newest.checkpoint(), time);
    let Ok(line) = line else { return };
    let body = append_signature_lines(newest.note(), line.as_bytes());
    let path = format!("{}/cosignatures", api::PREFIX);
    let request = cell.client.request(Method::POST, &path).header(CONTENT_TYPE, "text/plain");
    let sent = request.timeout(Duration::from_secs(5)).body(body).send().await;
    match sent.and_then(|answer| answer.error_for_status()) {
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "a cosignature was not delivered"),
    }
}
