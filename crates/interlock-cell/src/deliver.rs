//! Delivering the outbox, in order, for as long as it takes. Entries travel by
//! themselves: a hold must not wait until gigabytes are across.
//!
//! A recording travels in four steps, each of which may be repeated: its key,
//! sealed to the vault's key of the genesis; its ciphertext as a CAR; its signed
//! checkpoints; its entry. Then its key is destroyed here, and the rest of it is
//! taken away, as that of a recording which was destroyed at the site meanwhile. A site
//! that does not answer is tried again; what it refuses for good is set aside with its
//! reason.

use crate::{
    cell::Cell,
    outbox::{Item, Parcel},
    spool::random,
};
use api::{Delivery, PREFIX, SealedKey};
use base::Rule;
use bytes::Bytes;
use node::{ClientError, now};
use proof::entry::Entry;
use reqwest::{Body, Method, header::CONTENT_TYPE};
use std::{
    collections::HashSet,
    io::{self, BufWriter, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use vault::{address::parse_cid, grant_key::wrap_for, ingest::export_car, keys::KeyError};

/// The first wait after an error, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How long the site's answer to an entry, or the end of any answer, may take.
const ANSWER: Duration = Duration::from_secs(30);
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
    /// Never, and there is nothing left to do: a recording was destroyed since (410), or
    /// stands on the ledger already.
    Over(String),
    /// Not now.
    Later(String),
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Problem(problem)
                if problem.status == 410 || problem.rule == Some(Rule::Replay) =>
            {
                Self::Over(error.to_string())
            }
            _ if error.is_final() => Self::Refused(error.to_string()),
            _ => Self::Later(error.to_string()),
        }
    }
}

fn later(error: impl std::fmt::Display) -> Trouble {
    Trouble::Later(error.to_string())
}

/// Delivers until the cell closes; then what is left, as long as the site answers.
///
/// # Errors
/// None: a disk that fails is tried again, as a site is.
pub async fn deliver(cell: Arc<Cell>) -> anyhow::Result<()> {
    let entries_over = AtomicBool::new(false);
    let entries = async {
        lane(&cell, Lane::Entries, &AtomicBool::new(true)).await;
        entries_over.store(true, Relaxed);
    };
    tokio::join!(entries, lane(&cell, Lane::Recordings, &entries_over));
    Ok(())
}

/// What travels by itself.
#[derive(Clone, Copy)]
enum Lane {
    Entries,
    Recordings,
}

/// Delivers one kind of items. When the cell closes it ends with the last of them,
/// once nothing more can come from `before`.
async fn lane(cell: &Arc<Cell>, lane: Lane, before: &AtomicBool) {
    let (mut changed, closing) = (cell.changed.subscribe(), cell.closing.subscribe());
    let mut wait = BACKOFF.0;
    loop {
        // Asked before the outbox is looked at, so that nothing is missed in between.
        let last = *closing.borrow() && cell.running().is_none() && before.load(Relaxed);
        let Some((number, item)) = tokio::task::block_in_place(|| first(cell, lane)) else {
            if last {
                return;
            }
            // The sender lives as long as the cell.
            let _ = tokio::time::timeout(LOOK, changed.changed()).await;
            continue;
        };
        match send(cell, &item).await {
            Ok(()) => {
                tracing::info!(what = item.word(), "delivered");
                settled(tokio::task::block_in_place(|| cell.books().outbox.delivered(number)))
                    .await;
                wait = BACKOFF.0;
            }
            Err(Trouble::Refused(reason) | Trouble::Over(reason)) => {
                tracing::error!(
                    what = item.word(),
                    reason,
                    "the site refused it; it is kept aside"
                );
                settled(tokio::task::block_in_place(|| {
                    cell.books().outbox.refuse(number, &reason)
                }))
                .await;
            }
            Err(Trouble::Later(reason)) => {
                if *closing.borrow() && cell.running().is_none() {
                    tracing::warn!(reason, "what was not delivered waits for the next start");
                    return;
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

/// The item to deliver next and its number, stated anew if need be.
fn first(cell: &Cell, lane: Lane) -> Option<(u64, Item)> {
    cell.catch_up();
    let mut books = cell.books();
    if let Err(error) = books.queue(now()) {
        tracing::debug!(%error, "the disk has no room for what is to be delivered");
    }
    let (number, item) = match lane {
        Lane::Entries => books.outbox.first_entry(),
        Lane::Recordings => books.outbox.first_recording(),
    }?;
    let item = item.clone();
    let Some(entry) = restated(cell, item.entry()) else { return Some((number, item)) };
    let item = match item {
        Item::Entry(_) => Item::Entry(Box::new(entry)),
        Item::Recording(parcel) => Item::Recording(Box::new(Parcel { entry, ..*parcel })),
    };
    // On the disk first: should the site take it, this very entry is repeated.
    match books.outbox.replace(number, item.clone()) {
        Ok(()) => Some((number, item)),
        Err(error) => {
            tracing::warn!(%error, "an entry could not be stated anew");
            None
        }
    }
}

/// The same statement as of now, when it was signed by a clock that has been set back
/// since: the ledger would not take it before that time comes. A hold keeps its
/// entry's name, by which it is released, and waits.
fn restated(cell: &Cell, entry: &Entry) -> Option<Entry> {
    let (statement, now) = (&entry.statement, now());
    if statement.at <= now {
        return None;
    }
    let body: plant::Body = serde_json::from_value(statement.body.clone()).ok()?;
    if matches!(body, plant::Body::Hold(_)) {
        return None;
    }
    tracing::warn!(signed = %statement.at, "the clock was set back: an entry is stated anew");
    cell.node.sign(&body, now, statement.nonce.clone()).ok()
}

/// Waits when the outbox could not be changed; the item is then sent once more.
async fn settled(changed: io::Result<()>) {
    if let Err(error) = changed {
        tracing::error!(%error, "the outbox could not be changed");
        tokio::time::sleep(BACKOFF.1).await;
    }
}

async fn send(cell: &Arc<Cell>, item: &Item) -> Result<(), Trouble> {
    match item {
        Item::Entry(entry) => submit(cell, entry).await,
        Item::Recording(parcel) => recording(cell, parcel).await,
    }
}

async fn submit(cell: &Cell, entry: &Entry) -> Result<(), Trouble> {
    match tokio::time::timeout(ANSWER, cell.client.submit(entry)).await {
        Ok(answer) => answer.map(|_| ()).map_err(Trouble::from),
        Err(_) => Err(Trouble::Later(format!("no answer within {} s", ANSWER.as_secs()))),
    }
}

/// Delivers a recording, then forgets it; one that is over is only forgotten, so that
/// its key stays nowhere.
async fn recording(cell: &Arc<Cell>, parcel: &Parcel) -> Result<(), Trouble> {
    let recording = &parcel.manifest.claim.recording;
    match vaulted(cell, parcel).await {
        Err(Trouble::Over(reason)) => {
            tracing::warn!(%recording, reason, "nothing of it is delivered any more");
        }
        done => done?,
    }
    tokio::task::block_in_place(|| {
        cell.spool.forget(recording).map_err(later)?;
        cell.spool.tidy();
        Ok(())
    })
}

/// Brings a recording into the vault and onto the ledger.
async fn vaulted(cell: &Arc<Cell>, parcel: &Parcel) -> Result<(), Trouble> {
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

    submit(cell, &parcel.entry).await
}

async fn put(cell: &Cell, path: &str, kind: &str, body: Body) -> Result<(), Trouble> {
    let request = cell.client.request(Method::PUT, path).header(CONTENT_TYPE, kind).body(body);
    let answer = request.send().await.map_err(ClientError::from)?;
    match tokio::time::timeout(ANSWER, transport::client::read(answer, MAX_ANSWER)).await {
        Ok(read) => Ok(read.map(|_| ())?),
        Err(_) => Err(Trouble::Later("half an answer".to_owned())),
    }
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
