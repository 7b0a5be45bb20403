//! Delivering the outbox, in order, for as long as it takes.
//!
//! A recording travels in four steps, each of which may be repeated: its key,
//! sealed to the vault's key of the genesis; its ciphertext as a CAR; its signed
//! checkpoints; its entry. Then its key is destroyed here, and the rest of it is
//! taken away. A site that does not answer is tried again; what it refuses for good is set aside with its reason.

use crate::{
    cell::Cell,
    outbox::{Item, Parcel},
    spool::random,
};
use api::{Delivery, PREFIX, SealedKey};
use base::Rule;
use bytes::Bytes;
use node::ClientError;
use reqwest::{Body, Method, header::CONTENT_TYPE};
use std::{
    collections::HashSet,
    io::{self, BufWriter, Write},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use vault::{address::parse_cid, grant_key::wrap_for, ingest::export_car, keys::KeyError};

/// The first wait after an error, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How often an empty outbox is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// The most bytes of an answer to a delivery.
const MAX_ANSWER: usize = 1024 * 1024;
/// Bytes of a CAR sent at once, and how many of them wait at most.
const CHUNK: usize = 256 * 1024;
const CHUNKS: usize = 8;

/// Why an item is not delivered.
enum Trouble {
    /// Never: the site refused it.
    Refused(String),
    /// Not now.
    Later(String),
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Problem(problem) if for_good(problem) => Self::Refused(error.to_string()),
            _ => Self::Later(error.to_string()),
        }
    }
}

/// Whether repeating the same request is of no use.
fn for_good(problem: &transport::Problem) -> bool {
    match problem.rule {
        // A full disk, too many requests, a clock that is ahead: these pass.
        Some(rule) => !matches!(rule, Rule::Limit | Rule::Freshness | Rule::Time),
        None => matches!(problem.status, 400 | 404 | 405 | 409 | 410 | 413 | 415 | 422),
    }
}

fn later(error: impl std::fmt::Display) -> Trouble {
    Trouble::Later(error.to_string())
}

/// Delivers until the cell closes; then what is left, as long as the site answers.
///
/// # Errors
/// The outbox on disk failed.
pub async fn deliver(cell: Arc<Cell>) -> anyhow::Result<()> {
    let (mut changed, closing) = (cell.changed.subscribe(), cell.closing.subscribe());
    let mut wait = BACKOFF.0;
    loop {
        let first = cell.books().outbox.first().map(|(number, item)| (number, item.clone()));
        let Some((number, item)) = first else {
            if *closing.borrow() && cell.running().is_none() {
                return Ok(());
            }
            // The sender lives as long as the cell.
            let _ = tokio::time::timeout(LOOK, changed.changed()).await;
            continue;
        };
        match send(&cell, &item).await {
            Ok(()) => {
                tracing::info!(what = item.word(), "delivered");
                tokio::task::block_in_place(|| cell.books().outbox.delivered(number))?;
                wait = BACKOFF.0;
            }
            Err(Trouble::Refused(reason)) => {
                tracing::error!(
                    what = item.word(),
                    reason,
                    "the site refused it; it is kept aside"
                );
                tokio::task::block_in_place(|| cell.books().outbox.refuse(number, &reason))?;
            }
            Err(Trouble::Later(reason)) => {
                if *closing.borrow() && cell.running().is_none() {
                    tracing::warn!(reason, "what was not delivered waits for the next start");
                    return Ok(());
                }
                if wait == BACKOFF.0 {
                    tracing::warn!(what = item.word(), reason, "not delivered yet");
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(BACKOFF.1);
            }
        }
    }
}

async fn send(cell: &Arc<Cell>, item: &Item) -> Result<(), Trouble> {
    match item {
        Item::Entry(entry) => cell.client.submit(entry).await.map(|_| ()).map_err(Trouble::from),
        Item::Recording(parcel) => recording(cell, parcel).await,
    }
}

async fn recording(cell: &Arc<Cell>, parcel: &Parcel) -> Result<(), Trouble> {
    let claim = &parcel.manifest.claim;
    let base = format!("{PREFIX}/recordings/{}", claim.root_cid);
    let key = match cell.spool.keys.get(&claim.recording) {
        Ok(key) => key,
        // It is destroyed last, so everything was delivered.
        Err(KeyError::Absent(_)) => return Ok(()),
        Err(error) => return Err(later(error)),
    };
    let vault = cell.view().plant.as_ref().map(|plant| plant.vault().0.clone());
    let vault = vault.ok_or_else(|| later("the vault's key is not known yet"))?;
    let vault: [u8; 32] =
        vault.try_into().map_err(|_| later("the vault's key is no X25519 key"))?;
    let (info, aad) = (claim.recording.as_str().as_bytes(), claim.root_cid.as_bytes());
    let sealed = wrap_for(&vault, info, aad, &key, random).map_err(later)?;
    let manifest = serde_json::to_value(&parcel.manifest).map_err(later)?;
    let sealed = SealedKey { enc: sealed.enc, ciphertext: sealed.ciphertext };
    let delivery = serde_json::to_vec(&Delivery { manifest, key: sealed }).map_err(later)?;
    put(cell, &format!("{base}/key"), "application/json", delivery.into()).await?;

    let car = car(cell, &claim.root_cid).map_err(later)?;
    put(cell, &base, "application/vnd.ipld.car", car).await?;

    let log = tokio::fs::read(cell.spool.checkpoints(&claim.recording)).await.map_err(later)?;
    put(cell, &format!("{base}/checkpoints"), "application/jsonl", log.into()).await?;

    cell.client.submit(&parcel.entry).await?;
    tokio::task::block_in_place(|| {
        cell.spool.forget(&claim.recording).map_err(later)?;
        cell.spool.tidy();
        Ok(())
    })
}

async fn put(cell: &Cell, path: &str, kind: &str, body: Body) -> Result<(), Trouble> {
    let request = cell.client.request(Method::PUT, path).header(CONTENT_TYPE, kind).body(body);
    let answer = request.send().await.map_err(ClientError::from)?;
    transport::client::read(answer, MAX_ANSWER).await?;
    Ok(())
}

/// The recording as a CAR, made while it is sent.
fn car(cell: &Arc<Cell>, root: &str) -> anyhow::Result<Body> {
    let root = parse_cid(root)?;
    let (chunks, sent) = mpsc::channel::<io::Result<Bytes>>(CHUNKS);
    let store = cell.spool.store.clone();
    tokio::task::spawn_blocking(move || {
        let mut out = BufWriter::with_capacity(CHUNK, Pipe(chunks.clone()));
        let written = export_car(&store, &root, &HashSet::new(), &mut out)
            .map_err(io::Error::other)
            .and_then(|_| out.flush());
        if let Err(error) = written {
            // The receiver may be gone; then the request has failed already.
            let _ = chunks.blocking_send(Err(error));
        }
    });
    Ok(Body::wrap_stream(ReceiverStream::new(sent)))
}

/// A writer into a request's body.
struct Pipe(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the upload broke off");
        self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use axum::http::StatusCode;
    use base::Refusal;
    use transport::Problem;

    #[test]
    fn only_what_stays_refused_is_set_aside() {
        let refusal = |rule| Refusal {
            who: "cell-1".into(),
            what: "an entry".into(),
            rule,
            reason: "because".into(),
            accepted: "another".into(),
        };
        for rule in [Rule::Policy, Rule::Replay, Rule::Target, Rule::State, Rule::Format] {
            assert!(for_good(&Problem::from(refusal(rule))), "{rule}");
        }
        for rule in [Rule::Limit, Rule::Freshness, Rule::Time] {
            assert!(!for_good(&Problem::from(refusal(rule))), "{rule}");
        }
        for (status, good) in [(400, true), (413, true), (401, false), (429, false), (503, false)] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(for_good(&Problem::new(status, "")), good, "{status}");
        }
    }
}
