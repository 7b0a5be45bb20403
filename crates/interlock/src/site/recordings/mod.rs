//! The vault's side of the API: recordings in from the cells, bytes and keys out
//! to processors through the data gate.

mod data_gate;
mod ingest;

pub use data_gate::gateway;
pub(super) use ingest::{as_delivered, signing_keys};

use super::{
    Site,
    http::{Answer, bad, larger},
};
use axum::extract::DefaultBodyLimit;
use ingest::MAX_CHECKPOINTS;
use proof::recording::SignedManifest;
use std::sync::Arc;
use utoipa_axum::{router::OpenApiRouter, routes};
use vault::Cid;

/// The recordings' routes below the API's prefix.
pub fn routes() -> OpenApiRouter<Arc<Site>> {
    OpenApiRouter::new()
        .routes(routes!(ingest::put_key))
        .routes(routes!(data_gate::get_manifest))
        .routes(routes!(data_gate::sealed_key))
        .merge(larger(
            routes!(ingest::put_checkpoints, data_gate::get_checkpoints),
            MAX_CHECKPOINTS,
        ))
        // It streams; the ingest bounds it.
        .merge(
            OpenApiRouter::new()
                .routes(routes!(ingest::put_recording))
                .layer(DefaultBodyLimit::disable()),
        )
}

/// The signed manifest of a registered recording; none when what the ledger names is
/// another recording's.
pub fn manifest(site: &Site, root: &str) -> Option<serde_json::Value> {
    let digest = site.plant.read().recordings.get(root)?.recording.manifest;
    let bytes = site.blobs.get(&digest).ok()??;
    let signed: SignedManifest = serde_json::from_slice(&bytes).ok()?;
    (signed.claim.root_cid == root).then(|| serde_json::from_slice(&bytes).ok())?
}

fn cid(text: &str) -> Answer<Cid> {
    vault::address::parse_cid(text).map_err(bad)
}
