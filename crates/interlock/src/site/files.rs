//! What hangs on entries: small files, grants' dossiers, passports, cosignatures.

use super::{
    Site,
    http::{Answer, SiteState, fault, not_logged},
    issue, recordings,
};
use api::{Dossier, MAX_BLOB_BYTES};
use axum::{
    Json,
    body::Bytes as Body,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use base::Digest;
use node::now;
use policy::Role;
use std::{collections::BTreeMap, sync::Arc};
use transport::{Peer, Problem};

/// Store bytes under their digest: a picture, template or program.
#[utoipa::path(put, path = "/blobs/{digest}", request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses((status = 204)))]
pub(super) async fn put_blob(
    State(site): SiteState,
    peer: Peer,
    Path(digest): Path<String>,
    body: Body,
) -> Answer<StatusCode> {
    site.enrolled(&peer, "to store a file")?;
    site.room.for_data()?;
    if body.len() > MAX_BLOB_BYTES {
        let detail = format!("{} bytes, at most {MAX_BLOB_BYTES}", body.len());
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let expected: Digest =
        digest.parse().map_err(|e| Problem::new(StatusCode::BAD_REQUEST, format!("{e}")))?;
    let found = base::sha256(&body);
    if found != expected {
        let detail = format!("the bytes have digest {found}, the path names {expected}");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    if !site.uploads.spend(peer.member.as_str(), body.len() as u64, now()) {
        let detail = format!("`{}` has stored as much as a member may in an hour", peer.member);
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail));
    }
    let kept = site.clone();
    tokio::task::spawn_blocking(move || kept.blobs.put(&body))
        .await
        .map_err(fault)?
        .map_err(fault)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Bytes by their digest. A processor gets templates, and what it stored itself is
/// named in its own reports; all else is for readers of the ledger.
#[utoipa::path(get, path = "/blobs/{digest}", responses((status = 200, content_type = "application/octet-stream")))]
pub(super) async fn get_blob(
    State(site): SiteState,
    peer: Peer,
    Path(digest): Path<String>,
) -> Answer<Response> {
    let digest: Digest =
        digest.parse().map_err(|e| Problem::new(StatusCode::BAD_REQUEST, format!("{e}")))?;
    let template = site.plant.read().templates.values().any(|t| t.sha256 == digest)
        && site.plant.read().has_role(&peer.member, Role::Processor);
    if !template {
        site.readable(&peer)?;
    }
    let kept = site.clone();
    let bytes = tokio::task::spawn_blocking(move || kept.blobs.get(&digest))
        .await
        .map_err(fault)?
        .map_err(fault)?;
    let bytes = bytes.ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, format!("no file {digest} is stored"))
    })?;
    let kind = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((kind, bytes).into_response())
}

/// The caller's own grants that are in force and have no report yet.
#[utoipa::path(get, path = "/grants/own", responses((status = 200, body = Vec<String>)))]
pub(super) async fn own_grants(State(site): SiteState, peer: Peer) -> Answer<Json<Vec<Digest>>> {
    site.enrolled(&peer, "its grants")?;
    let plant = site.plant.read();
    let reported: std::collections::BTreeSet<Digest> =
        plant.reports.values().map(|r| r.report.grant).collect();
    let live = |g: &plant::GrantState| {
        g.grant.processor == peer.member && g.revoked.is_none() && g.grant.not_after > now()
    };
    let mut own: Vec<(u64, Digest)> = plant
        .grants
        .iter()
        .filter(|(id, g)| live(g) && !reported.contains(id))
        .map(|(id, g)| (g.index, *id))
        .collect();
    own.sort_unstable();
    Ok(Json(own.into_iter().map(|(_, id)| id).collect()))
}

/// What a processor needs to verify a grant by itself: the entries that it rests
/// on, each with its proof, and the manifests of the recordings.
#[utoipa::path(get, path = "/grants/{id}/dossier", responses((status = 200, body = Dossier)))]
pub(super) async fn dossier(
    State(site): SiteState,
    peer: Peer,
    Path(id): Path<String>,
) -> Answer<Json<Dossier>> {
    let id: Digest =
        id.parse().map_err(|e| Problem::new(StatusCode::BAD_REQUEST, format!("{e}")))?;
    let (own, roots) = {
        let plant = site.plant.read();
        let Some(state) = plant.grants.get(&id) else {
            return Err(not_logged(&id.to_string()));
        };
        let own = state.grant.processor == peer.member;
        (own && plant.may_be_reader(&peer.member).is_ok(), state.grant.recordings.clone())
    };
    if !own {
        site.readable(&peer)?;
    }
    let newest = site.newest()?;
    let work = site.clone();
    let made = tokio::task::spawn_blocking(move || -> anyhow::Result<Dossier> {
        let indexes = issue::excerpt(&work, &id, newest.size())?;
        let leaves = work.proven(&indexes, &newest)?;
        let mut manifests = BTreeMap::new();
        for root in roots {
            if let Some(manifest) = recordings::manifest(&work, &root) {
                manifests.insert(root, manifest);
            }
        }
        let checkpoint = String::from_utf8_lossy(newest.note()).into_owned();
        Ok(Dossier { checkpoint, leaves, manifests })
    });
    made.await.map_err(fault)?.map(Json).map_err(fault)
}

/// The passport issued from a report: `vc.jwt`, `json` or `html`.
#[utoipa::path(get, path = "/reports/{id}/passport/{form}", responses((status = 200, content_type = "application/vc+jwt")))]
pub(super) async fn passport(
    State(site): SiteState,
    peer: Peer,
    Path((id, form)): Path<(String, String)>,
) -> Answer<Response> {
    site.readable(&peer)?;
    read_passport(site, &id, &form).await
}

async fn read_passport(site: Arc<Site>, id: &str, form: &str) -> Answer<Response> {
    let id: Digest =
        id.parse().map_err(|e| Problem::new(StatusCode::BAD_REQUEST, format!("{e}")))?;
    let kind = match form {
        "vc.jwt" => "application/vc+jwt",
        "json" => "application/json",
        "html" => "text/html; charset=utf-8",
        _ => {
            return Err(Problem::new(
                StatusCode::NOT_FOUND,
                "a passport is `vc.jwt`, `json` or `html`",
            ));
        }
    };
    let missing =
        || Problem::new(StatusCode::NOT_FOUND, format!("report {id} has no passport yet"));
    let issued = site.plant.read().reports.get(&id).and_then(|r| r.passport);
    issued.ok_or_else(missing)?;
    let name = format!("{id}.{form}");
    let bytes = tokio::task::spawn_blocking(move || site.read_named("passports", &name))
        .await
        .map_err(fault)?;
    let bytes = bytes.map_err(|_| missing())?;
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, console::headers::DOCUMENT),
    ];
    Ok((headers, bytes).into_response())
}

/// A cell's or a witness's cosignature of a checkpoint that it has seen; the newest
/// one is kept.
#[utoipa::path(post, path = "/cosignatures", request_body(content = String, content_type = "text/plain"), responses((status = 204)))]
pub(super) async fn cosignature(
    State(site): SiteState,
    peer: Peer,
    body: Body,
) -> Answer<StatusCode> {
    const MOST: usize = proof::log::MAX_NOTE_BYTES;
    if body.len() > MOST {
        let detail = format!("{} bytes, a note has at most {MOST}", body.len());
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let kept = tokio::task::spawn_blocking(move || site.keep_cosignature(&peer.member, &body));
    kept.await.map_err(fault)??;
    Ok(StatusCode::NO_CONTENT)
}

/// Who issues the passports, as a did:web document.
pub(super) async fn did_document(State(site): SiteState) -> Answer<Json<serde_json::Value>> {
    let (did, keys) = issuer(&site)?;
    Ok(Json(::passport::did_document(&did, &keys)))
}

/// The keys that passports are signed with, as a JSON Web Key Set.
pub(super) async fn jwks(State(site): SiteState) -> Answer<Json<serde_json::Value>> {
    Ok(Json(::passport::jwks(&issuer(&site)?.1)))
}

fn issuer(site: &Site) -> Answer<(::passport::DidWeb, Vec<::passport::NamedKey>)> {
    let plant = site.plant.read();
    let did = plant.anchors.issuer.parse().map_err(fault)?;
    let keys = ::passport::issuer_keys(&did, &plant);
    Ok((did, keys))
}

/// The newest passport of a part as a page, for readers of the ledger.
pub(super) async fn newest_passport(
    state: SiteState,
    peer: Peer,
    part: Path<String>,
) -> Answer<Response> {
    state.readable(&peer)?;
    public_passport(state, part).await
}

/// The newest passport of a part as a page: what its QR code leads to.
pub(super) async fn public_passport(
    State(state): SiteState,
    Path(part): Path<String>,
) -> Answer<Response> {
    let newest = {
        let plant = state.plant.read();
        let of_part = plant.reports.iter().filter(|(_, r)| r.report.part.as_str() == part);
        of_part
            .filter(|(_, r)| r.passport.is_some())
            .max_by_key(|(_, r)| r.index)
            .map(|(id, _)| *id)
    };
    let shown: String = part.chars().take(64).collect();
    let newest = newest.ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, format!("part `{shown}` has no passport"))
    })?;
    read_passport(state, &newest.to_string(), "html").await
}
