//! Entries over HTTP: submit, list, show, prove, explain.

use super::{
    Site,
    fold::{Checked, Unfit},
    http::{Answer, SiteState, check, fault, not_logged},
    index::Filter,
    legible,
    recordings::as_delivered,
};
use api::{Event, Explanation, Logged, OrderDraft, Submitted};
use axum::{
    Json,
    body::Bytes as Body,
    extract::{Path, Query, State},
    http::StatusCode,
};
use base::{Digest, Refusal, Rule};
use ledger::{AppendError, Appended};
use node::now;
use plant::{Plant, body::Report};
use proof::entry::Entry;
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use transport::{Peer, Problem};

/// The most entries that one page of a list holds.
const PAGE: u64 = 500;
/// The most entries of one order's trace, without reads.
const TRACE: usize = 1000;
/// The most reads in it, the newest.
const READS: usize = 500;
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
    // Each attempt counts: one that is refused costs a verification.
    if let Err(refusal) = site.within(&site.submitted, &peer, "to submit an entry".into()) {
        site.refuse("entry", peer.member.as_str(), None, &refusal).await;
        return Err(refusal.into());
    }
    let entry = parse(&body)?;
    legible::check(&site.plant.read(), &entry)?;
    let taken = match delivered(&site, &peer, &entry).await {
        Ok(()) => site.take(&entry).await,
        Err(problem) => Err(problem),
    };
    let (id, appended) = match taken {
        Ok(taken) => taken,
        Err(problem) => {
            if let (Some(refusal), Ok(id)) = (problem.refusal(), entry.id()) {
                let refusal = attributed(refusal, &peer, &entry);
                site.refuse("entry", peer.member.as_str(), Some(id), &refusal).await;
            }
            return Err(problem);
        }
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

impl Site {
    /// Appends what somebody sent, when the plant's rules admit it.
    pub(super) async fn take(&self, entry: &Entry) -> Answer<(Digest, Appended)> {
        let checked = Checked::of(&self.plant, entry).map_err(|unfit| match unfit {
            Unfit::Form(e) => Problem::new(StatusCode::BAD_REQUEST, e.to_string()),
            Unfit::Refused(refusal) => refusal.into(),
        })?;
        let id = checked.id();
        let appended = self.append_checked(checked).await.map_err(append_problem)?;
        Ok((id, appended))
    }
}

/// Whom a refusal is about: an entry whose signature did not hold says nothing about
/// the member that it names, and something about who brought it.
fn attributed(refusal: Refusal, peer: &Peer, entry: &Entry) -> Refusal {
    let issuer = &entry.statement.issuer;
    let proven = !matches!(refusal.rule, Rule::Format | Rule::Signature | Rule::Enrolment);
    if proven || peer.member == *issuer {
        return refusal;
    }
    let what = format!("to deliver an entry in the name of `{issuer}`");
    Refusal { who: peer.member.to_string(), what, ..refusal }
}

/// What an entry names must be here before it is logged, and be what the entry says.
async fn delivered(site: &Arc<Site>, peer: &Peer, entry: &Entry) -> Answer<()> {
    match serde_json::from_value(entry.statement.body.clone()) {
        Ok(plant::Body::Report(report)) => pictures(site, &report),
        Ok(plant::Body::Recording(recording)) => as_delivered(site, peer, recording).await,
        _ => Ok(()),
    }
}

/// Without its pictures a report's passport could never be issued.
fn pictures(site: &Site, report: &Report) -> Answer<()> {
    for picture in &report.pictures {
        if !site.blobs.has(&picture.sha256) {
            let detail =
                format!("picture `{}` was not stored: put it under /blobs first", picture.name);
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
    }
    Ok(())
}

/// An entry as somebody sent it, canonical or not.
pub(super) fn parse(body: &[u8]) -> Answer<Entry> {
    serde_json::from_slice(body)
        .map_err(|e| Problem::new(StatusCode::BAD_REQUEST, format!("not an entry: {e}")))
}

#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct PageQuery {
    /// The first index; the newest page when absent.
    from: Option<u64>,
    /// How many at most; 500 at most.
    limit: Option<u64>,
    /// Newest first, only entries below this index.
    before: Option<u64>,
    /// Newest first, only entries that state this word, e.g. `order`.
    word: Option<String>,
    /// Newest first, only entries that this member stated.
    issuer: Option<String>,
}

/// Entries a page at a time: in the order of the ledger, or newest first when
/// `before`, `word` or `issuer` is given.
#[utoipa::path(get, path = "/entries", params(PageQuery), responses((status = 200, body = Vec<Event>)))]
pub(super) async fn list_entries(
    State(site): SiteState,
    peer: Peer,
    Query(page): Query<PageQuery>,
) -> Answer<Json<Vec<Event>>> {
    site.readable(&peer)?;
    let limit = page.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let size = site.durable();
    if page.before.is_some() || page.word.is_some() || page.issuer.is_some() {
        let before = page.before.unwrap_or(size).min(size);
        let filter = Filter { word: page.word.as_deref(), issuer: page.issuer.as_deref() };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let found = site.index.read().newest(before, limit, &filter);
        return picked(&site, found, size).await.map(Json);
    }
    let from = page.from.unwrap_or_else(|| size.saturating_sub(limit)).min(size);
    let to = from.saturating_add(limit).min(size);
    let leaves = site.sequencer.reader().read_entries(from..to, size).map_err(fault)?;
    (from..).zip(leaves).map(|(index, leaf)| event(index, &leaf)).collect::<Answer<_>>().map(Json)
}

/// Entries that do not stand together.
async fn picked(site: &Arc<Site>, indexes: Vec<u64>, size: u64) -> Answer<Vec<Event>> {
    let site = site.clone();
    let read = move || {
        let reader = site.sequencer.reader();
        let one = |index: u64| {
            let leaf = reader.read_entries(index..index + 1, size).map_err(fault)?.pop();
            event(index, &leaf.unwrap_or_default())
        };
        indexes.into_iter().map(one).collect()
    };
    tokio::task::spawn_blocking(read).await.map_err(fault)?
}

fn event(index: u64, leaf: &[u8]) -> Answer<Event> {
    let leaf = proof::entry::Leaf::parse(leaf).map_err(fault)?;
    let id = leaf.entry.id().map_err(fault)?;
    let statement = leaf.entry.statement;
    Ok(Event {
        index,
        id,
        issuer: statement.issuer,
        logged_at: leaf.logged_at,
        body: statement.body,
    })
}

/// Every entry that concerns an order, in the order of the ledger: the order, its
/// refusal or run, recordings, grants, reads, reports, passports and what was
/// revoked or destroyed. At most 1000, and the newest 500 reads beside them.
#[utoipa::path(get, path = "/orders/{id}/trace", responses((status = 200, body = Vec<Event>)))]
pub(super) async fn trace(
    State(site): SiteState,
    peer: Peer,
    Path(id): Path<String>,
) -> Answer<Json<Vec<Event>>> {
    site.readable(&peer)?;
    let id = digest(&id)?;
    let size = site.durable();
    let indexes: Vec<u64> = {
        let index = site.index.read();
        let all = index.of_order(&id).iter().copied().filter(|i| *i < size);
        let (reads, chain): (Vec<u64>, Vec<u64>) = all.partition(|i| index.states(*i, "read"));
        // Each block that is served is a read; they must not push out the chain.
        let newest = reads.len().saturating_sub(READS);
        let mut found: Vec<u64> = chain.into_iter().take(TRACE).collect();
        found.extend(reads.get(newest..).unwrap_or_default());
        found.sort_unstable();
        found
    };
    if indexes.is_empty() {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("no order {id} is on the ledger")));
    }
    picked(&site, indexes, size).await.map(Json)
}

/// One leaf, whole.
#[utoipa::path(get, path = "/entries/{id}", responses((status = 200, body = Logged)))]
pub(super) async fn show_entry(
    State(site): SiteState,
    peer: Peer,
    Path(id): Path<String>,
) -> Answer<Json<Logged>> {
    site.readable(&peer)?;
    let index = index_of(&site.plant.read(), &id)?;
    let size = site.durable();
    if index >= size {
        return Err(not_logged(&id));
    }
    let leaf = site.sequencer.reader().read_entries(index..index + 1, size).map_err(fault)?.pop();
    let leaf = serde_json::from_slice(&leaf.unwrap_or_default()).map_err(fault)?;
    Ok(Json(Logged { index, leaf }))
}

/// An entry by index or identifier.
fn index_of(plant: &Plant, text: &str) -> Answer<u64> {
    if let Ok(index) = text.parse::<u64>()
        && text.len() < 16
    {
        return Ok(index);
    }
    let id = digest(text)?;
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
    let entry = parse(&body)?;
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
    site.explain(&digest(&id)?).map(Json)
}

/// Why an order that nobody has signed yet would or would not be accepted, rule by
/// rule.
#[utoipa::path(post, path = "/orders/explanation", request_body = OrderDraft, responses((status = 200, body = Explanation)))]
pub(super) async fn explain_draft(
    State(site): SiteState,
    peer: Peer,
    body: Body,
) -> Answer<Json<Explanation>> {
    site.readable(&peer)?;
    let bad = |e: serde_json::Error| {
        Problem::new(StatusCode::BAD_REQUEST, format!("not the draft of an order: {e}"))
    };
    let draft: OrderDraft = serde_json::from_slice(&body).map_err(bad)?;
    let order = serde_json::from_value(draft.order).map_err(bad)?;
    let newest = site.newest()?;
    let plant = site.plant.read();
    let asked = gate::Draft {
        issuer: &draft.issuer,
        key: &draft.key,
        user_verified: draft.user_verified,
        order: &order,
    };
    let checks: Vec<_> =
        gate::motion::foresee(&plant, &asked, &newest, now()).into_iter().map(check).collect();
    Ok(Json(Explanation { accepted: checks.iter().all(|c| c.ok), checks, refusal: None }))
}

fn digest(text: &str) -> Answer<Digest> {
    text.parse().map_err(|e| Problem::new(StatusCode::BAD_REQUEST, format!("{e}")))
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
