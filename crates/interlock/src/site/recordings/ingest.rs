//! What cells deliver: recordings of their own runs, with keys and checkpoints.

use super::cid;
use crate::site::{
    Site,
    http::{Answer, SiteState, bad, fault},
    own,
};
use api::Delivery;
use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, State},
    http::StatusCode,
};
use base::{Id, Refusal, Rule};
use plant::{Plant, body::Recording};
use policy::Role;
use proof::recording::{
    Manifest, SignedCheckpoint, SignedManifest, recording_name, run_name, verify_links,
};
use std::{io, sync::Arc};
use tokio_util::io::{StreamReader, SyncIoBridge};
use transport::{Peer, Problem};
use vault::{
    grant_key::{WrapError, WrappedKey, unwrap},
    ingest::{IngestError, ingest_car},
};

/// The largest recording (16 GiB).
const MAX_RECORDING: u64 = 16 << 30;
/// The most bytes of a recording's signed checkpoints.
pub(super) const MAX_CHECKPOINTS: usize = 32 * 1024 * 1024;
/// Manifests as they were delivered, by root.
const MANIFESTS: &str = "manifests";

fn cell_only(plant: &Plant, peer: &Peer) -> Result<(), Refusal> {
    if plant.has_role(&peer.member, Role::Cell) {
        return Ok(());
    }
    Err(Refusal {
        who: peer.member.to_string(),
        what: "to store a recording".into(),
        rule: Rule::Policy,
        reason: format!("`{}` is not a cell", peer.member),
        accepted: "a cell's certificate".into(),
    })
}

/// Refuses what belongs to a recording that somebody asked to destroy: a delivery that
/// is repeated late brings back neither its key nor its ciphertext.
fn not_destroyed(plant: &Plant, root: &str) -> Answer<()> {
    if plant.recordings.get(root).is_none_or(|state| state.shred.is_none()) {
        return Ok(());
    }
    let detail = format!("recording `{root}` was destroyed: nothing of it is kept any more");
    Err(Problem::new(StatusCode::GONE, detail))
}

/// Refuses a manifest that is not of a run which the ledger ordered from this cell,
/// or whose recording is called otherwise than that run's: nobody stands in the way
/// of another run's recordings.
fn of_own_run(plant: &Plant, manifest: &Manifest) -> Result<(), Refusal> {
    let order = &manifest.order;
    let refuse = |reason: String, accepted: &str| {
        Err(Refusal {
            who: manifest.cell.to_string(),
            what: format!("to store recording `{}`", manifest.recording),
            rule: Rule::Target,
            reason,
            accepted: accepted.into(),
        })
    };
    match plant.orders.get(order).map(|state| &state.order.cell) {
        Some(cell) if *cell == manifest.cell => {}
        Some(cell) => {
            let reason = format!("order {} is for cell `{cell}`", order.short());
            return refuse(reason, "a recording of a run that was ordered from this cell");
        }
        None => {
            let reason = format!("no order {} is on the ledger", order.short());
            return refuse(reason, "a recording of a run that was ordered from this cell");
        }
    }
    let named = run_name(order).is_ok_and(|run| run == manifest.run)
        && recording_name(order, &manifest.stream).is_ok_and(|name| name == manifest.recording);
    if named {
        return Ok(());
    }
    let reason = format!("it is called otherwise than stream `{}` of its order", manifest.stream);
    refuse(reason, "the order's first 32 hexadecimal digits, a hyphen and the stream")
}

/// Refuses an entry that registers a recording otherwise than as its manifest was
/// delivered: whoever has a cell's key must not pass another recording's manifest, and
/// so its key, off as its own.
pub(in crate::site) async fn as_delivered(
    site: &Arc<Site>,
    peer: &Peer,
    entry: Recording,
) -> Answer<()> {
    let root = cid(&entry.root)?.to_string();
    let known = site.plant.read().recordings.get(&root).map(|known| known.recording == entry);
    if known == Some(true) {
        return Ok(());
    }
    let (work, name) = (site.clone(), root.clone());
    let kept = tokio::task::spawn_blocking(move || work.read_named(MANIFESTS, &name));
    let kept = kept.await.map_err(fault)?.map_err(|_| {
        let detail = "its manifest is not here: deliver the recording's key first";
        Problem::new(StatusCode::CONFLICT, detail)
    })?;
    let signed = SignedManifest::from_bytes(&kept).map_err(fault)?;
    let (digest, claim) = (signed.digest().map_err(fault)?, signed.claim);
    let stated = (&entry.manifest, &entry.root, &entry.order, &entry.stream, &entry.commitment);
    let commitment = &claim.sealing.key_commitment;
    if stated == (&digest, &root, &claim.order, &claim.stream, commitment) {
        return Ok(());
    }
    Err(Problem::from(Refusal {
        who: peer.member.to_string(),
        what: format!("to register recording `{root}`"),
        rule: Rule::Target,
        reason: "its manifest is not the one that was delivered for this root".into(),
        accepted: "manifest, order, stream and commitment as they were delivered".into(),
    }))
}

/// A recording's manifest and its key, sealed to the vault. May be repeated.
#[utoipa::path(put, path = "/recordings/{root}/key", request_body = Delivery, responses((status = 204)))]
pub(super) async fn put_key(
    State(site): SiteState,
    peer: Peer,
    Path(root): Path<String>,
    Json(delivery): Json<Delivery>,
) -> Answer<StatusCode> {
    cell_only(&site.plant.read(), &peer)?;
    site.room.for_data()?;
    let root = cid(&root)?.to_string();
    not_destroyed(&site.plant.read(), &root)?;
    let bytes = base::to_canonical(&delivery.manifest).map_err(bad)?;
    let signed = SignedManifest::from_bytes(&bytes).map_err(bad)?;
    let keys = signing_keys(&site.plant.read(), &peer.member);
    let verified = keys.iter().find_map(|key| signed.verify(key).ok());
    let manifest = verified.ok_or_else(|| bad("the manifest is not signed by this cell's key"))?;
    if manifest.cell != peer.member || manifest.root_cid != root {
        return Err(bad(format!(
            "the manifest is of `{}` by `{}`",
            manifest.root_cid, manifest.cell
        )));
    }
    of_own_run(&site.plant.read(), manifest)?;
    let (recording, commitment) = (manifest.recording.clone(), manifest.sealing.key_commitment);
    let work = site.clone();
    let secrets = own::vault_secrets(&site.node.dir).map_err(fault)?;
    let wrapped = WrappedKey { enc: delivery.key.enc, ciphertext: delivery.key.ciphertext };
    // A cell may have sealed it before it saw that the vault's key was replaced.
    let opened = secrets
        .iter()
        .map(|secret| unwrap(secret, recording.as_str().as_bytes(), root.as_bytes(), &wrapped));
    let key = opened
        .reduce(|first, next| first.or(next))
        .unwrap_or(Err(WrapError::Open))
        .map_err(|e| bad(format!("the key was not taken: {e}")))?;
    if key.commitment().0 != commitment {
        return Err(bad("the key is not the one that the manifest commits to"));
    }
    let kept = tokio::task::spawn_blocking(move || -> anyhow::Result<Kept> {
        let known = match work.keys.get(&recording) {
            Ok(kept) if !kept.matches(&key.commitment()) => return Ok(Kept::OtherKey),
            known => known.is_ok(),
        };
        // Whoever comes first with a root keeps it: its checkpoints are held against
        // this manifest, and no other one takes its place.
        if work.keep_first(MANIFESTS, &root, &bytes)? != bytes {
            return Ok(Kept::OtherManifest);
        }
        if !known {
            let mut nonce = [0; 12];
            aws_lc_rs::rand::fill(&mut nonce)?;
            work.keys.keep(&recording, &key, nonce)?;
            // Whoever asked for its end meanwhile may have come before the key.
            if not_destroyed(&work.plant.read(), &root).is_err() {
                work.keys.shred(&recording)?;
            }
        }
        work.blobs.put(&bytes)?;
        Ok(Kept::Whole)
    });
    let conflict = |detail| Err(Problem::new(StatusCode::CONFLICT, detail));
    match kept.await.map_err(fault)?.map_err(fault)? {
        Kept::Whole => Ok(StatusCode::NO_CONTENT),
        Kept::OtherKey => conflict("another key is kept under this recording's name"),
        Kept::OtherManifest => conflict("another manifest is kept for this root"),
    }
}

/// What became of a key that was delivered.
enum Kept {
    Whole,
    OtherKey,
    OtherManifest,
}

pub(in crate::site) fn signing_keys(plant: &Plant, member: &Id) -> Vec<[u8; 32]> {
    let Some(state) = plant.members.get(member) else {
        return Vec::new();
    };
    let live = |key: &&proof::keys::PublicKey| !state.revoked.contains_key(&key.fingerprint());
    state.member.keys.iter().filter(live).filter_map(|key| key.as_ed25519()).collect()
}

/// A recording's ciphertext as CAR v1. Each block is checked against its address;
/// an upload that broke off is repeated, and blocks that are here cost only their
/// transfer.
#[utoipa::path(put, path = "/recordings/{root}", request_body(content = Vec<u8>, content_type = "application/vnd.ipld.car"), responses((status = 204)))]
pub(super) async fn put_recording(
    State(site): SiteState,
    peer: Peer,
    Path(root): Path<String>,
    body: Body,
) -> Answer<StatusCode> {
    use futures::TryStreamExt;
    cell_only(&site.plant.read(), &peer)?;
    site.room.for_data()?;
    let root = cid(&root)?;
    not_destroyed(&site.plant.read(), &root.to_string())?;
    let stream = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
    let reader = SyncIoBridge::new(stream);
    let blocks = site.blocks.clone();
    let ingested =
        tokio::task::spawn_blocking(move || ingest_car(&blocks, &root, b"", MAX_RECORDING, reader));
    match ingested.await.map_err(fault)? {
        Ok(report) if report.root.is_some() => {
            // Whoever asked for its end while it came may have come before the pin.
            let gone = not_destroyed(&site.plant.read(), &root.to_string());
            if gone.is_err() {
                site.blocks.remove(&root).map_err(fault)?;
            }
            gone.map(|()| StatusCode::NO_CONTENT)
        }
        Ok(report) => Err(bad(format!("{} blocks are missing", report.missing.len()))),
        Err(IngestError::Store(e)) => {
            // A disk that filled up meanwhile has its own words.
            site.room.for_data()?;
            Err(fault(e))
        }
        Err(e) => Err(bad(e)),
    }
}

/// The signed checkpoints of a recording, one canonical JSON text a line.
#[utoipa::path(put, path = "/recordings/{root}/checkpoints", request_body(content = String, content_type = "application/jsonl"), responses((status = 204)))]
pub(super) async fn put_checkpoints(
    State(site): SiteState,
    peer: Peer,
    Path(root): Path<String>,
    body: Bytes,
) -> Answer<StatusCode> {
    cell_only(&site.plant.read(), &peer)?;
    let root = cid(&root)?.to_string();
    if body.len() > MAX_CHECKPOINTS {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("at most {MAX_CHECKPOINTS} bytes"),
        ));
    }
    let registered = site.plant.read().recordings.contains_key(&root);
    let kept = tokio::task::spawn_blocking(move || {
        // A cell that heard no answer to its entry repeats all that came before it.
        if registered {
            let same = site.read_named("checkpoints", &root).is_ok_and(|kept| kept == body);
            let detail = "the recording is registered: its checkpoints are final";
            let other = || Problem::new(StatusCode::CONFLICT, detail);
            return same.then_some(()).ok_or_else(other);
        }
        site.chain_of(&peer.member, &root, &body)?;
        site.keep_named("checkpoints", &root, &body).map_err(fault)
    });
    kept.await.map_err(fault)??;
    Ok(StatusCode::NO_CONTENT)
}

impl Site {
    /// Refuses checkpoints that are not the whole chain which the root's manifest
    /// names. There is one such chain only, so none is ever replaced by another.
    fn chain_of(&self, cell: &Id, root: &str, body: &[u8]) -> Answer<()> {
        let manifest = self.read_named(MANIFESTS, root).map_err(|_| {
            let detail = "its manifest is not here: deliver the recording's key first";
            Problem::new(StatusCode::CONFLICT, detail)
        })?;
        let manifest = SignedManifest::from_bytes(&manifest).map_err(fault)?.claim;
        {
            let plant = self.plant.read();
            if manifest.cell != *cell {
                return Err(Problem::from(Refusal {
                    who: cell.to_string(),
                    what: format!("to store the checkpoints of `{}`", manifest.recording),
                    rule: Rule::Target,
                    reason: format!("cell `{}` made that recording", manifest.cell),
                    accepted: "the checkpoints of a recording of its own".into(),
                }));
            }
            of_own_run(&plant, &manifest)?;
        }
        let lines = body.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        let chain: Vec<_> =
            lines.map(SignedCheckpoint::from_bytes).collect::<Result<_, _>>().map_err(bad)?;
        let mut found = Err(bad("this cell has no key that counts"));
        for key in signing_keys(&self.plant.read(), cell) {
            found = verify_links(&chain, &key).map_err(bad);
            if found.is_ok() {
                break;
            }
        }
        let (last, digest) = found?;
        manifest.matches(last, &digest).map_err(bad)
    }
}
