//! The vault's side of the API: recordings in from the cells, bytes and keys out
//! to processors through the data gate.

use super::{
    Site,
    http::{Answer, SiteState, fault, larger},
    own,
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
use plant::{Body as Stated, GrantState, Plant};
use policy::Role;
use proof::{
    log::{Checkpoint, KeyKind, LogPolicy, VKey, WitnessedCheckpoint},
    recording::{
        Manifest, SignedCheckpoint, SignedManifest, recording_name, run_name, verify_links,
    },
};
use std::{
    io,
    sync::{Arc, PoisonError},
};
use tokio_util::io::{StreamReader, SyncIoBridge};
use transport::{Peer, Problem};
use utoipa_axum::{router::OpenApiRouter, routes};
use vault::{
    Cid,
    gateway::{Config, DataGate, Provider, ReadRequest, peer_id},
    grant_key::{WrapError, WrappedKey, unwrap, wrap_for},
    ingest::{IngestError, ingest_car},
    seal::StreamKey,
};

/// The largest recording (16 GiB).
const MAX_RECORDING: u64 = 16 << 30;
/// The most bytes of a recording's signed checkpoints.
const MAX_CHECKPOINTS: usize = 32 * 1024 * 1024;
/// Manifests as they were delivered, by root.
const MANIFESTS: &str = "manifests";
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
    let root = cid(&root)?.to_string();
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
    let kept = tokio::task::spawn_blocking(move || {
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
    /// with a grant for it that is not revoked, and whom the policy lets read.
    fn may_know(&self, peer: &Peer, root: &str) -> Result<(), Refusal> {
        let granted = {
            let plant = self.plant.read();
            let names = |g: &GrantState| {
                g.grant.processor == peer.member
                    && g.revoked.is_none()
                    && g.grant.recordings.contains(root)
            };
            plant.grants.values().any(names) && plant.may_be_reader(&peer.member).is_ok()
        };
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

    /// Keeps a file once for all: returns what is kept under the name, which is
    /// another one's when that came first.
    fn keep_first(&self, kind: &str, name: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self.read_named(kind, name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            kept => return kept,
        }
        // Whole before it has its name, and a link never replaces.
        let whole = format!(".{name}.first.{:?}", std::thread::current().id());
        self.keep_named(kind, &whole, bytes)?;
        let dir = self.node.dir.join("data").join(kind);
        let linked = std::fs::hard_link(dir.join(&whole), dir.join(name));
        std::fs::remove_file(dir.join(&whole))?;
        match linked {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => std::fs::File::open(&dir)?.sync_all()?,
        }
        self.read_named(kind, name)
    }

    /// Keeps the newest checkpoint that a cell or a witness has cosigned: a note of
    /// this log with the member's own line, not older than the one that is kept.
    pub(super) fn keep_cosignature(&self, member: &Id, note: &[u8]) -> Answer<()> {
        let policies = |note: &[u8]| {
            let claimed = Checkpoint::claimed(note).map_or(u64::MAX, |claimed| claimed.size);
            self.cosigning(member, claimed)
        };
        if policies(note).is_empty() {
            return Err(Problem::from(Refusal {
                who: member.to_string(),
                what: "to leave a cosignature".into(),
                rule: Rule::Policy,
                reason: format!("`{member}` is neither a cell nor a witness"),
                accepted: "a cosignature by a cell or a witness of this plant".into(),
            }));
        }
        let verified = |note: &[u8]| -> Result<WitnessedCheckpoint, Problem> {
            let mut found = Err(bad("no key of its own counts"));
            for policy in policies(note) {
                found = policy.verify_checkpoint(note).map_err(bad);
                if found.is_ok() {
                    break;
                }
            }
            found
        };
        let new = verified(note)?;
        let _one = self.cosigned.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.read_named("cosignatures", member.as_str()).ok();
        // What an earlier key signed makes room.
        if let Some(kept) = kept.and_then(|kept| verified(&kept).ok())
            && (new.size(), new.witnessed_at()) < (kept.size(), kept.witnessed_at())
        {
            let detail = format!(
                "a newer one is kept: {} entries, cosigned {}",
                kept.size(),
                kept.witnessed_at()
            );
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
        self.keep_named("cosignatures", member.as_str(), note).map_err(fault)
    }

    /// For each key that a member cosigns with, the policy that its line satisfies on a
    /// log of `size` entries.
    fn cosigning(&self, member: &Id, size: u64) -> Vec<LogPolicy> {
        let plant = self.plant.read();
        let Ok(log) = own::in_force(&plant, &self.node.anchors, size) else {
            return Vec::new();
        };
        let cell = plant.has_role(member, Role::Cell);
        let own = if cell { signing_keys(&plant, member) } else { Vec::new() };
        let own = own
            .into_iter()
            .filter_map(|key| VKey::new(member.as_str(), KeyKind::Witness, key).ok());
        // A witness's key is named after its member, behind the log's name.
        let ends = format!("/{member}");
        let witness = log.witnesses().iter().filter(|key| key.name().ends_with(&ends)).cloned();
        let alone = |key| LogPolicy::new(log.origin(), log.log_key().clone(), vec![key], 1).ok();
        own.chain(witness).filter_map(alone).collect()
    }
}
