//! Entries over HTTP: submit, list, show, prove, explain.

use super::{
    Site,
    http::{Answer, SiteState, fault, not_logged},
};
use api::{Event, Explanation, Submitted};
use axum::{
    Json,
    body::Bytes as Body,
    extract::{Path, Query, State},
    http::StatusCode,
};
use base::{Digest, Refusal, Rule};
use ledger::AppendError;
use node::now;
use plant::Plant;
use proof::entry::Entry;
use serde::Deserialize;
use std::time::Duration;
use transport::{Peer, Problem};

/// The most entries that one page of a list holds.
const PAGE: u64 = 500;
/// How long a caller waits for the witnesses.
const WITNESS_WAIT: Duration = Duration::from_secs(20);

#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct SubmitQuery {
    /// `witnessed` waits until a witnessed checkpoint covers the entry.
    wait: Option<String>,
}

/// Submit a signed entry. Anyone enrolled may deliver it; its own signature says
/// whose it is.
#[utoipa::path(
    post, path = "/entries", params(SubmitQuery), request_body(content = Object, description = "An entry, canonical JSON"),
    responses((status = 200, body = Submitted), (status = 403, description = "Refused, with the rule"))
)]
pub(super) async fn submit(
    State(site): SiteState,
    peer: Peer,
    Query(query): Query<SubmitQuery>,
    body: Body,
) -> Answer<Json<Submitted>> {
    site.enrolled(&peer, "to submit an entry")?;
    let parsed: Result<Entry, _> = serde_json::from_slice(&body);
    let entry = match parsed {
        Ok(entry) => entry,
        Err(e) => {
            return Err(Problem::new(StatusCode::BAD_REQUEST, format!("not an entry: {e}")));
        }
    };
    let bytes = entry.bytes().map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.to_string()))?;
    let id = entry.id().map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.to_string()))?;
    delivered(&site, &entry)?;
    let appended = match site.sequencer.append(bytes).await {
        Ok(appended) => appended,
        Err(AppendError::Refused(refusal)) => {
            site.refuse("entry", peer.member.as_str(), Some(id), &refusal).await;
            return Err(refusal.into());
        }
        Err(error) => return Err(append_problem(error)),
    };
    if appended.known && peer.member != entry.statement.issuer {
        // An honest sender repeats its own entry; somebody else's is a replay.
        let refusal = Refusal {
            who: peer.member.to_string(),
            what: format!("entry {} by `{}` once more", id.short(), entry.statement.issuer),
            rule: Rule::Replay,
            reason: format!("it stands at index {} already", appended.index),
            accepted: "a new entry, or a repetition by its issuer".into(),
        };
        site.refuse("entry", peer.member.as_str(), None, &refusal).await;
        return Err(refusal.into());
    }
    if query.wait.as_deref() == Some("witnessed") {
        let wait = site.publisher.wait_witnessed(appended.index);
        if tokio::time::timeout(WITNESS_WAIT, wait).await.ok().flatten().is_none() {
            let detail = format!("entry {} is logged and not witnessed yet", appended.index);
            return Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, detail));
        }
    }
    Ok(Json(Submitted { id, index: appended.index, known: appended.known }))
}

/// The pictures that a report names must be here before it is logged, or its
/// passport could never be issued.
fn delivered(site: &Site, entry: &Entry) -> Answer<()> {
    let Ok(plant::Body::Report(report)) = serde_json::from_value(entry.statement.body.clone())
    else {
        return Ok(());
    };
    for picture in &report.pictures {
        if !site.blobs.has(&picture.sha256) {
            let detail =
                format!("picture `{}` was not stored: put it under /blobs first", picture.name);
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
    }
    Ok(())
}

#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct PageQuery {
    /// The first index; the newest page when absent.
    from: Option<u64>,
    /// How many at most; 500 at most.
    limit: Option<u64>,
}

/// Entries in the order of the ledger, a page at a time.
#[utoipa::path(get, path = "/entries", params(PageQuery), responses((status = 200, body = Vec<Event>)))]
pub(super) async fn list_entries(
    State(site): SiteState,
    peer: Peer,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Vec<Event>>> {
    site.readable(&peer)?;
    let limit = page.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let size = site.sequencer.committed().borrow().checkpoint().size;
    let from = page.from.unwrap_or_else(|| size.saturating_sub(limit)).min(size);
    events(&site, from, (from + limit).min(size), size).map(Json)
}

fn events(site: &Site, from: u64, to: u64, size: u64) -> Answer<Vec<Event>> {
    let leaves = site.sequencer.reader().read_entries(from..to, size).map_err(fault)?;
    (from..)
        .zip(leaves)
        .map(|(index, leaf)| {
            let leaf = proof::entry::Leaf::parse(&leaf).map_err(fault)?;
            let id = leaf.entry.id().map_err(fault)?;
            let statement = leaf.entry.statement;
            Ok(Event {
                index,
                id,
                issuer: statement.issuer,
                logged_at: leaf.logged_at,
                body: statement.body,
            })
        })
        .collect()
}

/// One leaf, whole.
#[utoipa::path(get, path = "/entries/{id}", responses((status = 200, body = Object)))]
pub(super) async fn show_entry(
    State(site): SiteState,
    peer: Peer,
    Path(id): Path<String>,
) -> Answer<Json<serde_json::Value>> {
    site.readable(&peer)?;
    let index = index_of(&site.plant.read(), &id)?;
    let size = site.sequencer.committed().borrow().checkpoint().size;
    if index >= size {
        return Err(not_logged(&id));
    }
    let leaf = site.sequencer.reader().read_entries(index..index + 1, size).map_err(fault)?.pop();
    let leaf =
        serde_json::from_slice::<serde_json::Value>(&leaf.unwrap_or_default()).map_err(fault)?;
    Ok(Json(serde_json::json!({ "index": index, "leaf": leaf })))
}

/// An entry by index, full identifier or the beginning of one.
fn index_of(plant: &Plant, text: &str) -> Answer<u64> {
    if let Ok(index) = text.parse::<u64>()
        && text.len() < 16
    {
        return Ok(index);
    }
    let id: Digest =
        text.parse().map_err(|e| Problem::new(StatusCode::BAD_REQUEST, format!("{e}")))?;
    plant.index_of(&id).ok_or_else(|| not_logged(text))
}

/// An entry's proof: a C2SP `tlog-proof` against the newest witnessed checkpoint.
#[utoipa::path(get, path = "/entries/{id}/proof", responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn prove_entry(
    State(site): SiteState,
    peer: Peer,
    Path(id): Path<String>,
) -> Answer<String> {
    site.readable(&peer)?;
    let index = index_of(&site.plant.read(), &id)?;
    let newest = site.newest()?;
    if index >= newest.size() {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            format!("entry {index} is not witnessed yet"),
        ));
    }
    let proof =
        site.sequencer.reader().tlog_proof(index, newest.size(), newest.note()).map_err(fault)?;
    Ok(proof.to_string())
}

/// Whether a signed entry would be admitted now, without logging it.
#[utoipa::path(post, path = "/entries/explanation", request_body(content = Object), responses((status = 200, body = Explanation)))]
pub(super) async fn explain_entry(
    State(site): SiteState,
    peer: Peer,
    body: Body,
) -> Answer<Json<Explanation>> {
    site.readable(&peer)?;
    let entry: Entry = serde_json::from_slice(&body)
        .map_err(|e| Problem::new(StatusCode::BAD_REQUEST, format!("not an entry: {e}")))?;
    let plant = site.plant.read();
    let admitted =
        plant.verify(entry).and_then(|verified| plant.admit(verified, now().max(plant.logged_at)));
    let refusal = admitted.err();
    Ok(Json(Explanation { accepted: refusal.is_none(), checks: Vec::new(), refusal }))
}

/// Why a logged order is or is not accepted, rule by rule.
#[utoipa::path(get, path = "/orders/{id}/explanation", responses((status = 200, body = Explanation)))]
pub(super) async fn explain_order(
    State(site): SiteState,
    peer: Peer,
    Path(id): Path<String>,
) -> Answer<Json<Explanation>> {
    site.readable(&peer)?;
    let id: Digest =
        id.parse().map_err(|e| Problem::new(StatusCode::BAD_REQUEST, format!("{e}")))?;
    site.explain(&id).map(Json)
}

fn append_problem(error: AppendError) -> Problem {
    match error {
        AppendError::Refused(refusal) => refusal.into(),
        AppendError::TooLong { .. } => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
        }
        AppendError::Stopped(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}
