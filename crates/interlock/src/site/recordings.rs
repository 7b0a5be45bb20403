//! The vault's side of the API: recordings in from the cells, bytes and keys out
//! to processors through the data gate.

use super::{
    Site,
    http::{Answer, SiteState, fault, larger},
};
use anyhow::Context;
use api::{Delivery, SealedKey};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
};
use base::{Digest, Id, Refusal, Rule};
use gate::ReadPermit;
use ledger::AppendError;
use node::now;
use plant::{Body as Stated, Plant};
use policy::Role;
use proof::recording::{SignedCheckpoint, SignedManifest};
use std::{io, sync::Arc};
use tokio_util::io::{StreamReader, SyncIoBridge};
use transport::{Peer, Problem};
use utoipa_axum::{router::OpenApiRouter, routes};
use vault::{
    Cid,
    gateway::{Config, DataGate, Provider, ReadRequest, peer_id},
    grant_key::{WrappedKey, unwrap, wrap_for},
    ingest::{IngestError, ingest_car},
    seal::StreamKey,
};

/// The largest recording (16 GiB).
const MAX_RECORDING: u64 = 16 << 30;
/// The most bytes of a recording's signed checkpoints.
const MAX_CHECKPOINTS: usize = 32 * 1024 * 1024;
/// The bytes that a served key counts.
const KEY_BYTES: u64 = 32;

/// The recordings' routes below the API's prefix.
pub fn routes() -> OpenApiRouter<Arc<Site>> {
    OpenApiRouter::new()
        .routes(routes!(put_key))
        .routes(routes!(get_manifest))
        .routes(routes!(sealed_key))
        .merge(larger(routes!(put_checkpoints, get_checkpoints), MAX_CHECKPOINTS))
        // It streams; the ingest bounds it.
        .merge(
            OpenApiRouter::new().routes(routes!(put_recording)).layer(DefaultBodyLimit::disable()),
        )
}

/// The IPFS gateway, behind the data gate.
pub fn gateway(site: Arc<Site>) -> Router {
    use proof::keys::Signer;
    let provider = site.node.config.listen.map(|address| {
        Provider::https(
            peer_id(&site.node.signer.public()),
            &address.ip().to_string(),
            address.port(),
        )
    });
    let config = Config { provider, ..Config::default() };
    let blocks = site.blocks.clone();
    vault::gateway::router(blocks, Arc::new(LedgerGate(site)), config)
}

/// The data gate: the plant decides, and the read is on the ledger before a byte
/// leaves.
struct LedgerGate(Arc<Site>);

#[async_trait::async_trait]
impl DataGate for LedgerGate {
    async fn authorise(&self, peer: &Peer, read: &ReadRequest) -> Result<ReadPermit, Refusal> {
        let roots = read.roots.iter().map(Cid::to_string).collect::<Vec<_>>();
        self.0.permit(peer, &roots, &read.cid.to_string(), read.bytes, read.grant).await
    }
}

impl Site {
    /// Decides on a read of one of `roots` and logs it, or logs the refusal.
    async fn permit(
        &self,
        peer: &Peer,
        roots: &[String],
        cid: &str,
        bytes: u64,
        grant: Option<Digest>,
    ) -> Result<ReadPermit, Refusal> {
        let decided = {
            let plant = self.plant.read();
            let mut decided = Err(None);
            for root in roots {
                let request = gate::ReadRequest {
                    reader: peer.member.clone(),
                    root: root.clone(),
                    cid: cid.into(),
                    bytes,
                    grant,
                };
                decided = gate::read::decide(&plant, &request, now()).map_err(Some);
                if decided.is_ok() {
                    break;
                }
            }
            decided
        };
        let refusal = |rule, reason: String| Refusal {
            who: peer.member.to_string(),
            what: format!("a read of `{cid}`"),
            rule,
            reason,
            accepted: "a read under a live grant".into(),
        };
        let permit = match decided {
            Ok(permit) => permit,
            Err(found) => {
                let found = found
                    .unwrap_or_else(|| refusal(Rule::Grant, "it belongs to no recording".into()));
                self.refuse("data", peer.member.as_str(), None, &found).await;
                return Err(found);
            }
        };
        // The fold checks grant and budget once more in the order of the ledger, so
        // two reads at once cannot spend the same bytes.
        match self.state(&Stated::Read(permit.read().clone())).await {
            Ok(_) => Ok(permit),
            Err(AppendError::Refused(found)) => {
                let found = Refusal { who: peer.member.to_string(), ..found };
                self.refuse("data", peer.member.as_str(), None, &found).await;
                Err(found)
            }
            Err(error) => Err(refusal(Rule::State, error.to_string())),
        }
    }
}

/// The signed manifest of a registered recording.
pub fn manifest(site: &Site, root: &str) -> Option<serde_json::Value> {
    let digest = site.plant.read().recordings.get(root)?.recording.manifest;
    serde_json::from_slice(&site.blobs.get(&digest).ok()??).ok()
}

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

fn cid(text: &str) -> Answer<Cid> {
    vault::address::parse_cid(text)
        .map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.to_string()))
}

fn bad(detail: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail.to_string())
}

/// A recording's manifest and its key, sealed to the vault. May be repeated.
#[utoipa::path(put, path = "/recordings/{root}/key", request_body = Delivery, responses((status = 204)))]
async fn put_key(
    State(site): SiteState,
    peer: Peer,
    Path(root): Path<String>,
    Json(delivery): Json<Delivery>,
) -> Answer<StatusCode> {
    cell_only(&site.plant.read(), &peer)?;
    cid(&root)?;
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
    let (recording, commitment) = (manifest.recording.clone(), manifest.sealing.key_commitment);
    let work = site.clone();
    let secret = site.node.seal_key().map_err(fault)?;
    let wrapped = WrappedKey { enc: delivery.key.enc, ciphertext: delivery.key.ciphertext };
    let key = unwrap(&secret, recording.as_str().as_bytes(), root.as_bytes(), &wrapped)
        .map_err(|e| bad(format!("the key was not taken: {e}")))?;
    if key.commitment().0 != commitment {
        return Err(bad("the key is not the one that the manifest commits to"));
    }
    let kept = tokio::task::spawn_blocking(move || -> anyhow::Result<bool> {
        match work.keys.get(&recording) {
            Ok(kept) if !kept.matches(&key.commitment()) => return Ok(false),
            Ok(_) => {}
            Err(_) => {
                let mut nonce = [0; 12];
                aws_lc_rs::rand::fill(&mut nonce)?;
                work.keys.keep(&recording, &key, nonce)?;
            }
        }
        work.blobs.put(&bytes)?;
        Ok(true)
    });
    match kept.await.map_err(fault)?.map_err(fault)? {
        true => Ok(StatusCode::NO_CONTENT),
        false => {
            let detail = "another key is kept under this recording's name";
            Err(Problem::new(StatusCode::CONFLICT, detail))
        }
    }
}

fn signing_keys(plant: &Plant, member: &Id) -> Vec<[u8; 32]> {
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
async fn put_recording(
    State(site): SiteState,
    peer: Peer,
    Path(root): Path<String>,
    body: Body,
) -> Answer<StatusCode> {
    use futures::TryStreamExt;
    cell_only(&site.plant.read(), &peer)?;
    let root = cid(&root)?;
    let stream = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
    let reader = SyncIoBridge::new(stream);
    let blocks = site.blocks.clone();
    let ingested =
        tokio::task::spawn_blocking(move || ingest_car(&blocks, &root, b"", MAX_RECORDING, reader));
    match ingested.await.map_err(fault)? {
        Ok(report) if report.root.is_some() => Ok(StatusCode::NO_CONTENT),
        Ok(report) => Err(bad(format!("{} blocks are missing", report.missing.len()))),
        Err(IngestError::Store(e)) => Err(fault(e)),
        Err(e) => Err(bad(e)),
    }
}

/// The signed checkpoints of a recording, one canonical JSON text a line.
#[utoipa::path(put, path = "/recordings/{root}/checkpoints", request_body(content = String, content_type = "application/jsonl"), responses((status = 204)))]
async fn put_checkpoints(
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
    if site.plant.read().recordings.contains_key(&root) {
        let detail = "the recording is registered: its checkpoints are final";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let keys = signing_keys(&site.plant.read(), &peer.member);
    for line in body.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let checkpoint = SignedCheckpoint::from_bytes(line).map_err(bad)?;
        if !keys.iter().any(|key| checkpoint.verify(key).is_ok()) {
            return Err(bad("a checkpoint is not signed by this cell"));
        }
    }
    let work = site.clone();
    let kept = tokio::task::spawn_blocking(move || work.keep_named("checkpoints", &root, &body));
    kept.await.map_err(fault)?.map_err(fault)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The signed checkpoints of a recording.
#[utoipa::path(get, path = "/recordings/{root}/checkpoints", responses((status = 200, body = String, content_type = "application/jsonl")))]
async fn get_checkpoints(
    State(site): SiteState,
    peer: Peer,
    Path(root): Path<String>,
) -> Answer<Vec<u8>> {
    let root = cid(&root)?.to_string();
    site.may_know(&peer, &root)?;
    let kept = tokio::task::spawn_blocking(move || site.read_named("checkpoints", &root));
    kept.await
        .map_err(fault)?
        .map_err(|_| Problem::new(StatusCode::NOT_FOUND, "no checkpoints are kept for it"))
}

/// The signed manifest of a recording.
#[utoipa::path(get, path = "/recordings/{root}/manifest", responses((status = 200, body = Object)))]
async fn get_manifest(
    State(site): SiteState,
    peer: Peer,
    Path(root): Path<String>,
) -> Answer<Json<serde_json::Value>> {
    let root = cid(&root)?.to_string();
    site.may_know(&peer, &root)?;
    let found = manifest(&site, &root);
    found
        .map(Json)
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("no recording `{root}`")))
}

/// A recording's key under a grant, sealed to the processor that it names. Each
/// one is a read on the ledger.
#[utoipa::path(post, path = "/grants/{id}/keys/{root}", responses((status = 200, body = SealedKey)))]
async fn sealed_key(
    State(site): SiteState,
    peer: Peer,
    Path((grant, root)): Path<(String, String)>,
) -> Answer<Json<SealedKey>> {
    let grant: Digest = grant.parse().map_err(bad)?;
    let root = cid(&root)?.to_string();
    let permit =
        site.permit(&peer, std::slice::from_ref(&root), "key", KEY_BYTES, Some(grant)).await?;
    let (seal, terms) = {
        let plant = site.plant.read();
        let seal = plant.members.get(&peer.member).and_then(|m| m.member.seal.clone());
        (seal, plant.grants.get(&grant).map(|g| g.grant.terms_digest()))
    };
    let work = site.clone();
    let wrapped = tokio::task::spawn_blocking(move || -> anyhow::Result<WrappedKey> {
        let recipient: [u8; 32] = seal
            .and_then(|b| b.0.try_into().ok())
            .context("the processor has no usable sealing key")?;
        let terms = terms.context("the grant is gone")?;
        let key = work.key_of(permit.root())?;
        let aad = [permit.root().as_bytes(), &terms.0].concat();
        Ok(wrap_for(&recipient, &grant.0, &aad, &key, aws_lc_rs::rand::fill)?)
    });
    let wrapped = wrapped.await.map_err(fault)?.map_err(fault)?;
    Ok(Json(SealedKey { enc: wrapped.enc, ciphertext: wrapped.ciphertext }))
}

impl Site {
    /// Whether a peer may know of a recording: a reader of the ledger, or somebody
    /// with a grant for it that is not revoked.
    fn may_know(&self, peer: &Peer, root: &str) -> Result<(), Refusal> {
        let granted = self.plant.read().grants.values().any(|g| {
            g.grant.processor == peer.member
                && g.revoked.is_none()
                && g.grant.recordings.contains(root)
        });
        if granted || self.readable(peer).is_ok() {
            return Ok(());
        }
        Err(Refusal {
            who: peer.member.to_string(),
            what: format!("what is known of recording `{root}`"),
            rule: Rule::Grant,
            reason: "no grant in force names it".into(),
            accepted: "a read under a live grant".into(),
        })
    }

    fn recording_of(&self, root: &str) -> anyhow::Result<Id> {
        let value = manifest(self, root).context("the recording has no manifest")?;
        let signed: SignedManifest = serde_json::from_value(value)?;
        Ok(signed.claim.recording)
    }

    fn key_of(&self, root: &str) -> anyhow::Result<StreamKey> {
        Ok(self.keys.get(&self.recording_of(root)?)?)
    }

    /// Destroys a recording's key and takes its bytes out of service; returns the
    /// commitment to the key that is gone.
    pub(super) fn destroy(&self, root: &str) -> anyhow::Result<Digest> {
        let recording = self.recording_of(root)?;
        let commitment = match self.keys.shred(&recording) {
            Ok(gone) => gone.commitment.0,
            // It was destroyed before and the record of it is what is missing.
            Err(vault::keys::KeyError::Absent(_)) => {
                let value = manifest(self, root).context("the recording has no manifest")?;
                serde_json::from_value::<SignedManifest>(value)?.claim.sealing.key_commitment
            }
            Err(e) => return Err(e.into()),
        };
        let parsed = vault::address::parse_cid(root)?;
        if self.blocks.root(&parsed).is_some_and(|r| !r.gone) {
            self.blocks.remove(&parsed)?;
        }
        Ok(commitment)
    }

    /// Keeps a file of the site's under a name that was validated before.
    pub(super) fn keep_named(&self, kind: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
        use std::io::Write;
        let dir = self.node.dir.join("data").join(kind);
        std::fs::create_dir_all(&dir)?;
        let temporary = dir.join(format!(".{name}.{:?}", std::thread::current().id()));
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, dir.join(name))?;
        std::fs::File::open(&dir)?.sync_all()
    }

    pub(super) fn read_named(&self, kind: &str, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.node.dir.join("data").join(kind).join(name))
    }

    /// Keeps the newest cosigned checkpoint of a cell, after checking that it is a
    /// note of this log.
    pub(super) fn keep_cosignature(&self, member: &Id, note: &[u8]) -> anyhow::Result<()> {
        let log = &self.node.anchors.log;
        proof::log::SignedCheckpoint::verify(log.origin(), log.log_key(), note)?;
        self.keep_named("cosignatures", member.as_str(), note)?;
        Ok(())
    }
}
