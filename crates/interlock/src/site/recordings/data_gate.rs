//! The data gate: no block and no key leaves without a live grant, and each read is an
//! entry first.

use super::{cid, manifest};
use crate::site::{
    Site,
    http::{Answer, SiteState, bad, fault},
};
use anyhow::{Context, bail};
use api::SealedKey;
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
};
use base::{Digest, Id, Refusal, Rule};
use gate::ReadPermit;
use ledger::AppendError;
use node::now;
use plant::{Body, GrantState};
use proof::recording::recording_name;
use std::sync::Arc;
use transport::{Peer, Problem};
use vault::{
    Cid,
    gateway::{Config, DataGate, Provider, ReadRequest, peer_id},
    grant_key::{WrappedKey, wrap_for},
    keys::KeyError,
    seal::StreamKey,
};

/// The bytes that a served key counts.
const KEY_BYTES: u64 = 32;

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
        let decided = decided.and_then(|permit| {
            // A grant bounds bytes, and a read of none is an entry all the same.
            self.within(&self.reads, peer, format!("a read of `{cid}`")).map_err(Some)?;
            Ok(permit)
        });
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
        match self.state(&Body::Read(permit.read().clone())).await {
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

/// The signed checkpoints of a recording.
#[utoipa::path(get, path = "/recordings/{root}/checkpoints", responses((status = 200, body = String, content_type = "application/jsonl")))]
pub(super) async fn get_checkpoints(
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
pub(super) async fn get_manifest(
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
pub(super) async fn sealed_key(
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

    /// What the ledger says of a recording's key: the name that it is kept under, and
    /// the commitment to it. Never what a manifest says, which a cell wrote.
    fn key_named(&self, root: &str) -> anyhow::Result<(Id, Digest)> {
        let plant = self.plant.read();
        let state = plant.recordings.get(root).context("the ledger has no such recording")?;
        let recording = &state.recording;
        Ok((recording_name(&recording.order, &recording.stream)?, recording.commitment))
    }

    fn key_of(&self, root: &str) -> anyhow::Result<StreamKey> {
        let (name, commitment) = self.key_named(root)?;
        let key = self.keys.get(&name)?;
        if key.commitment().0 != commitment {
            bail!("the key that is kept as `{name}` is not the one that the ledger names");
        }
        Ok(key)
    }

    /// Destroys a recording's key and takes its bytes out of service; returns the
    /// commitment to the key that is gone.
    pub(in crate::site) fn destroy(&self, root: &str) -> anyhow::Result<Digest> {
        let (name, commitment) = self.key_named(root)?;
        match self.keys.get(&name) {
            Ok(key) if key.commitment().0 != commitment => {
                bail!("the key that is kept as `{name}` is another recording's");
            }
            // A crash may have left half of it.
            Ok(_) | Err(KeyError::Refused(..)) => drop(self.keys.shred(&name)?),
            // It was destroyed before and the record of it is what is missing.
            Err(KeyError::Absent(_)) => {}
            Err(e @ KeyError::Io { .. }) => return Err(e.into()),
        }
        let parsed = vault::address::parse_cid(root)?;
        if self.blocks.root(&parsed).is_some_and(|r| !r.gone) {
            self.blocks.remove(&parsed)?;
        }
        Ok(commitment)
    }
}
