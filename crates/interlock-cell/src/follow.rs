//! Following the ledger without trusting who serves it.
//!
//! Each new checkpoint is verified, its entries are fetched and their root is
//! recomputed, and what was seen is on the disk before anything is decided from
//! it. A log that shrinks, forks or holds what it must not is distrusted, for
//! good: a person at the cell says when it may be trusted again
//! (`interlock-cell trust --reset`). A site that is silent or slow is only that.
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
use ledger::{
    FollowError, Follower, FollowerState, KeysInForce, LogSource, SourceError,
    layout::{FULL, MAX_LEAF_BYTES, Tile},
};
use node::{Client, keys::in_force, now};
use proof::log::{LogPolicy, MAX_NOTE_BYTES, WitnessedCheckpoint, append_signature_lines, cosign};
use reqwest::{Method, header::CONTENT_TYPE};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The most bytes of a bundle: 256 leaves with their lengths.
const MAX_BUNDLE: usize = FULL as usize * (MAX_LEAF_BYTES + 2);
/// The most bytes of entries taken in one step.
const MOST_BYTES: usize = 1 << 30;
/// How often an idle log is looked at.
const IDLE: Duration = Duration::from_millis(200);
/// How soon a log that has just grown is looked at again.
const BUSY: Duration = Duration::from_millis(40);
/// How long to wait after an error.
const RETRY: Duration = Duration::from_millis(500);

/// The site's log over HTTP.
struct SiteLog(Client);

#[async_trait]
impl LogSource for SiteLog {
    async fn checkpoint(&self) -> Result<Vec<u8>, SourceError> {
        self.read("/checkpoint", MAX_NOTE_BYTES).await
    }

    async fn entries(&self, index: u64, width: u64) -> Result<Vec<u8>, SourceError> {
        let tile = Tile { level: None, index, width };
        self.read(&format!("/{tile}"), MAX_BUNDLE).await
    }
}

impl SiteLog {
    async fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, SourceError> {
        self.0.bytes(path, limit).await.map_err(|e| SourceError(e.to_string()))
    }
}

/// The keys of the log as the cell's own fold has them.
struct FoldedKeys(Arc<Cell>);

impl KeysInForce for FoldedKeys {
    fn reads(&self, leaf: &[u8]) -> bool {
        plant::trust::bears_on_keys(leaf)
    }

    fn policy(&self, size: u64, new: &[(u64, &[u8])]) -> Option<LogPolicy> {
        in_force(&self.0.node.anchors, self.0.view().plant.as_ref(), size, new)
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
fn seen(dir: &Path) -> anyhow::Result<Option<Seen>> {
    let path = seen_path(dir);
    let text = absent_is_none(fs::read(&path))?;
    let parse = |bytes: Vec<u8>| {
        serde_json::from_slice(&bytes).with_context(|| format!("`{}`", path.display()))
    };
    text.map(parse).transpose()
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
    files::remove(&seen_path(dir))?;
    files::remove(&distrust_path(dir))?;
    Ok(why)
}

/// Whether an error says that the ledger lies, rather than that it is not to be
/// had.
fn lies(error: &FollowError) -> bool {
    matches!(error, FollowError::Rollback { .. } | FollowError::Fork(_) | FollowError::Retired(_))
}

/// Follows the ledger until the cell closes or distrusts it.
///
/// # Errors
/// What was seen cannot be written down, or read from an earlier run.
pub async fn follow(cell: Arc<Cell>) -> anyhow::Result<()> {
    let mut closing = cell.closing.subscribe();
    let mut log = Log {
        source: SiteLog(cell.client.clone()),
        follower: Follower::new(FoldedKeys(cell.clone()), FollowerState::default(), MOST_BYTES),
        seen: seen(cell.dir())?,
        trouble: None,
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
    seen: Option<Seen>,
    trouble: Option<String>,
}

impl Log {
    /// One look at the log; returns when to look again.
    async fn step(&mut self, cell: &Arc<Cell>) -> anyhow::Result<Duration> {
        let first = self.follower.latest().is_none();
        let leaves = match self.follower.poll(&self.source).await {
            Ok(leaves) => leaves,
            Err(error) => return Ok(self.failed(cell, &error)),
        };
        if self.trouble.take().is_some() {
            tracing::info!("the ledger is followed again");
        }
        let newest = self.follower.latest().cloned();
        if first
            && let Some(seen) = &self.seen
            && let Err(why) = seen.begins(&leaves)
        {
            // The fold is not begun, and `fold` records why.
            let _ = cell.fold(|_| Err(why));
            return Ok(IDLE);
        }
        let grown = !leaves.is_empty();
        if let Some(newest) = newest.as_ref().filter(|_| grown) {
            let now_seen = Seen::of(newest);
            let bytes = serde_json::to_vec(&now_seen)?;
            tokio::task::block_in_place(|| files::replace(&seen_path(cell.dir()), &bytes))?;
            self.seen = Some(now_seen);
        }
        let (genesis, id) = (&cell.node.anchors.genesis, &cell.id);
        let take = |view: &mut View| view.take(genesis, id, leaves, newest.clone());
        let folded = tokio::task::block_in_place(|| cell.fold(take));
        if let (Ok(()), true, Some(newest)) = (folded, grown, newest) {
            tracing::debug!(size = newest.size(), "the ledger has grown");
            tokio::spawn(cosigned(cell.clone(), newest));
        }
        Ok(if grown { BUSY } else { IDLE })
    }

    fn failed(&mut self, cell: &Cell, error: &FollowError) -> Duration {
        let text = error.to_string();
        if lies(error) {
            // `fold` records why.
            let _ = cell.fold(|_| Err(text));
        } else if self.trouble.as_ref() != Some(&text) {
            tracing::warn!(%error, "the ledger cannot be followed, trying again");
            self.trouble = Some(text);
        }
        RETRY
    }
}

/// Leaves this cell's cosignature with the site.
async fn cosigned(cell: Arc<Cell>, newest: WitnessedCheckpoint) {
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
