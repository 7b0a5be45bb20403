//! Reading under a grant, and believing nothing on the way.
//!
//! The site hands over a dossier: the entries that the grant rests on with their
//! proofs. The reader folds them itself from its own anchors, so it knows that the
//! recordings came from runs that were ordered, proven and recorded by a cell of
//! this plant. Bytes are then checked against their CIDs, the signed checkpoints
//! and manifest, and opened with a key that the manifest commits to.

use crate::{Client, Node, config::Anchors};
use api::{Dossier, PREFIX, SealedKey};
use base::Digest;
use plant::{Plant, body::Grant};
use proof::{
    entry::Leaf,
    recording::{SignedCheckpoint, SignedManifest, verify_chain},
};
use std::{collections::BTreeMap, io};
use transport::client::patiently;
use vault::{
    Cid,
    fetch::{BlockGetter, fetch, fetch_leaves},
    grant_key::{WrappedKey, unwrap},
    seal::{KeyCommitment, StreamKey},
};

/// The most segments of one recording (16 GiB).
const MAX_SEGMENTS: usize = 16 * 1024;
/// The most bytes of a recording's checkpoints.
const MAX_CHECKPOINTS: usize = 32 * 1024 * 1024;

/// Why a granted recording was not read.
#[derive(Debug, thiserror::Error)]
pub enum GrantedError {
    /// The site did not answer, or refused.
    #[error(transparent)]
    Site(#[from] crate::ClientError),
    /// What it answered does not verify.
    #[error("not proven: {0}")]
    Unproven(String),
    /// Something of ours failed.
    #[error("{0}")]
    Local(String),
}

fn unproven(what: &str, e: impl std::fmt::Display) -> GrantedError {
    GrantedError::Unproven(format!("{what}: {e}"))
}

/// A grant whose whole chain was verified from this node's own anchors. Each block and
/// key that it reads is an entry at the site, which logs so many a minute: beyond, the
/// reader waits.
pub struct Granted<'a> {
    node: &'a Node,
    client: &'a Client,
    id: Digest,
    /// The plant, as far as the dossier shows it.
    pub plant: Plant,
    /// The grant.
    pub grant: Grant,
    /// The verified manifests of its recordings, by root CID.
    pub manifests: BTreeMap<String, SignedManifest>,
}

/// Verifies a dossier: each leaf in the witnessed log, folded by the plant's own
/// rules.
///
/// # Errors
/// The first thing that does not hold.
pub fn fold(anchors: &Anchors, dossier: &Dossier) -> Result<Plant, GrantedError> {
    let checkpoint = checkpoint(anchors, dossier)?;
    let mut plant = None::<Plant>;
    for proven in &dossier.leaves {
        let what = format!("entry {}", proven.index);
        checkpoint
            .include(proven.index, &proven.leaf.0, &proven.path)
            .map_err(|e| unproven(&what, e))?;
        match &mut plant {
            None => {
                let leaf = Leaf::parse(&proven.leaf.0).map_err(|e| unproven(&what, e))?;
                let begun = Plant::begin(&leaf).map_err(|e| unproven(&what, e))?;
                if proven.index != 0 || begun.genesis != anchors.genesis {
                    return Err(unproven(&what, "not the genesis that the anchors name"));
                }
                plant = Some(begun);
            }
            Some(plant) => {
                plant.append_at(proven.index, &proven.leaf.0).map_err(|e| unproven(&what, e))?;
            }
        }
    }
    plant.ok_or_else(|| GrantedError::Unproven("the dossier is empty".into()))
}

/// The dossier's checkpoint, under the keys in force at its size: those of the anchors,
/// or those that its own entries put in their place.
fn checkpoint(
    anchors: &Anchors,
    dossier: &Dossier,
) -> Result<proof::log::WitnessedCheckpoint, GrantedError> {
    let note = dossier.checkpoint.as_bytes();
    let broken = |e: &dyn std::fmt::Display| unproven("checkpoint", e);
    let size = proof::log::Checkpoint::claimed(note).map_err(|e| broken(&e))?.size;
    let leaves: Vec<(u64, &[u8])> =
        dossier.leaves.iter().map(|proven| (proven.index, proven.leaf.0.as_slice())).collect();
    let keys = crate::keys::in_force(anchors, None, size, &leaves);
    // Entries that do not fold replace no key; the fold says what is wrong.
    let keys = keys.unwrap_or_else(|| anchors.log.clone());
    keys.verify_checkpoint(note).map_err(|e| broken(&e))
}

impl<'a> Granted<'a> {
    /// Obtains and verifies what the site says of a grant.
    pub async fn obtain(
        node: &'a Node,
        client: &'a Client,
        id: Digest,
    ) -> Result<Self, GrantedError> {
        let dossier: Dossier = client.get(&format!("/grants/{id}/dossier")).await?;
        let plant = fold(&node.anchors, &dossier)?;
        let state = plant.grants.get(&id).ok_or_else(|| {
            GrantedError::Unproven(format!("the dossier does not hold grant {id}"))
        })?;
        let grant = state.grant.clone();
        let mut manifests = BTreeMap::new();
        for root in &grant.recordings {
            let manifest = manifest(&plant, &dossier, root).map_err(|e| unproven(root, e))?;
            manifests.insert(root.clone(), manifest);
        }
        Ok(Self { node, client, id, plant, grant, manifests })
    }

    /// The key of one granted recording. The site logs this read.
    pub async fn key(&self, root: &str) -> Result<StreamKey, GrantedError> {
        let manifest = self.manifest(root)?;
        let path = format!("/grants/{}/keys/{root}", self.id);
        let ask = || self.client.post(&path, &());
        let sealed: SealedKey = patiently(ask).await?;
        let wrapped = WrappedKey { enc: sealed.enc, ciphertext: sealed.ciphertext };
        let aad = [root.as_bytes(), &self.grant.terms_digest().0].concat();
        let secrets = self.node.seal_keys().map_err(|e| GrantedError::Local(e.to_string()))?;
        // While its key is replaced, the site may seal to the new one already.
        let mut opened = secrets.iter().map(|secret| unwrap(secret, &self.id.0, &aad, &wrapped));
        let first = opened.next().ok_or_else(|| GrantedError::Local("no sealing key".into()))?;
        let key = opened.fold(first, Result::or).map_err(|e| unproven("key", e))?;
        if key.commitment().0 != manifest.claim.sealing.key_commitment {
            return Err(unproven("key", "the manifest commits to another"));
        }
        Ok(key)
    }

    /// Reads one granted recording whole: its plaintext in pieces to `take`.
    /// Returns the number of bytes.
    ///
    /// # Errors
    /// What `take` got before an error is authentic but not whole.
    pub async fn plaintext(
        &self,
        root: &str,
        take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<u64, GrantedError> {
        let manifest = self.manifest(root)?;
        self.check_chain(root).await?;
        let key = self.key(root).await?;
        let commitment = KeyCommitment(manifest.claim.sealing.key_commitment);
        let associated = manifest.claim.recording.as_str().as_bytes();
        let cid = cid(root)?;
        let bytes = fetch(self, &cid, &key, &commitment, associated, MAX_SEGMENTS, take)
            .await
            .map_err(|e| unproven(root, e))?;
        if bytes != manifest.claim.plaintext_bytes {
            let stated = manifest.claim.plaintext_bytes;
            return Err(unproven(root, format!("{bytes} bytes, the manifest says {stated}")));
        }
        Ok(bytes)
    }

    /// Verifies a recording's signed checkpoints against its leaves and manifest,
    /// so that nothing of it was cut, edited or reordered. Returns their number.
    pub async fn check_chain(&self, root: &str) -> Result<u64, GrantedError> {
        let manifest = self.manifest(root)?;
        let path = format!("{PREFIX}/recordings/{root}/checkpoints");
        let lines = self.client.bytes(&path, MAX_CHECKPOINTS).await?;
        let checkpoints = lines
            .split(|b| *b == b'\n')
            .filter(|line| !line.is_empty())
            .map(SignedCheckpoint::from_bytes)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| unproven("checkpoints", e))?;
        let leaves =
            fetch_leaves(self, &cid(root)?, MAX_SEGMENTS).await.map_err(|e| unproven(root, e))?;
        let leaves: Vec<Vec<u8>> = leaves.list.iter().map(|(cid, _)| cid.to_bytes()).collect();
        let signed_by = |key: &[u8; 32]| manifest.verify(key).is_ok();
        let public = self.plant.recording_keys(root).into_iter().find(signed_by);
        let public = public.ok_or_else(|| unproven(root, "no key of its cell signed it"))?;
        let chain = verify_chain(&checkpoints, &public, &leaves).map_err(|e| unproven(root, e))?;
        manifest.claim.matches(chain.last(), &chain.digest()).map_err(|e| unproven(root, e))?;
        Ok(chain.checkpoints())
    }

    fn manifest(&self, root: &str) -> Result<&SignedManifest, GrantedError> {
        self.manifests.get(root).ok_or_else(|| {
            GrantedError::Local(format!("the grant does not name recording `{root}`"))
        })
    }
}

fn cid(root: &str) -> Result<Cid, GrantedError> {
    vault::address::parse_cid(root).map_err(|e| GrantedError::Local(e.to_string()))
}

/// The manifest that the ledger names, signed by the cell that made the run.
fn manifest(plant: &Plant, dossier: &Dossier, root: &str) -> Result<SignedManifest, String> {
    let recording = plant.recordings.get(root).ok_or("it is not on the ledger")?;
    let value = dossier.manifests.get(root).ok_or("its manifest is missing")?;
    let signed: SignedManifest =
        serde_json::from_value(value.clone()).map_err(|e| e.to_string())?;
    let digest = signed.digest().map_err(|e| e.to_string())?;
    if digest != recording.recording.manifest || signed.claim.root_cid != root {
        return Err("its manifest is not the one that the ledger names".into());
    }
    let cell = plant.orders.get(&recording.recording.order).map(|o| &o.order.cell);
    if cell != Some(&signed.claim.cell) {
        return Err("its manifest is by another cell than the order names".into());
    }
    if !plant.recording_keys(root).iter().any(|key| signed.verify(key).is_ok()) {
        return Err("its manifest is not signed by a key that its cell had then".into());
    }
    Ok(signed)
}

#[async_trait::async_trait]
impl BlockGetter for Granted<'_> {
    async fn block(&self, cid: &Cid) -> io::Result<Vec<u8>> {
        let ask = || async {
            let request = self
                .client
                .request(reqwest::Method::GET, &format!("/ipfs/{cid}?format=raw"))
                .header(vault::gateway::GRANT_HEADER, self.id.to_string());
            transport::client::read(request.send().await?, 1 << 20).await
        };
        patiently(ask).await.map_err(io::Error::other)
    }
}
