//! The HTTP API: who may ask is the peer's certificate and the plant's policy,
//! what changes anything is a signed entry.

use super::{Site, events, recordings, witnessed_at};
use api::{Check, Dossier, Event, Explanation, MAX_BLOB_BYTES, Overview, ProvenLeaf, Submitted};
use axum::{
    Json, Router,
    body::Bytes as Body,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use base::{Digest, Refusal, Rule};
use ledger::AppendError;
use node::now;
use plant::Plant;
use policy::{Action, Resource, Role};
use proof::{entry::Entry, log::WitnessedCheckpoint};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use transport::{Peer, Problem};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The most entries that one page of a list holds.
const PAGE: u64 = 500;
/// How long a caller waits for the witnesses.
const WITNESS_WAIT: Duration = Duration::from_secs(20);

type Answer<T> = Result<T, Problem>;
pub(super) type SiteState = State<Arc<Site>>;

#[derive(OpenApi)]
#[openapi(info(
    title = "Interlock site",
    description = "The site's API. Mutual TLS says who asks; a signed entry says what is wanted. Errors are RFC 9457 problems."
))]
struct Doc;

fn versioned() -> OpenApiRouter<Arc<Site>> {
    OpenApiRouter::new()
        .routes(routes!(overview))
        .routes(routes!(submit))
        .routes(routes!(list_entries))
        .routes(routes!(show_entry))
        .routes(routes!(prove_entry))
        .routes(routes!(state))
        .routes(routes!(explain_order))
        .routes(routes!(explain_entry))
        .routes(routes!(may))
        .routes(routes!(put_blob, get_blob))
        .routes(routes!(dossier))
        .routes(routes!(own_grants))
        .routes(routes!(cosignature))
        .routes(routes!(passport))
        .routes(routes!(events::stream))
        .merge(recordings::routes())
}

/// The OpenAPI document, made from the code.
pub fn openapi() -> utoipa::openapi::OpenApi {
    OpenApiRouter::with_openapi(Doc::openapi()).nest(api::PREFIX, versioned()).into_openapi()
}

/// All routes of the site.
pub fn router(site: Arc<Site>) -> Router {
    let (versioned, doc) = OpenApiRouter::with_openapi(Doc::openapi())
        .nest(api::PREFIX, versioned())
        .split_for_parts();
    let doc = Arc::new(doc);
    let ledger = ledger::router(site.sequencer.reader().clone())
        .layer(axum::middleware::from_fn_with_state(site.clone(), only_readers));
    versioned
        .route("/api/openapi.json", axum::routing::get(move || async move { Json((*doc).clone()) }))
        .route("/livez", axum::routing::get(|| async { "live\n" }))
        .route("/readyz", axum::routing::get(ready))
        .route("/metrics", axum::routing::get(metrics))
        .with_state(site.clone())
        .merge(ledger)
        .merge(recordings::gateway(site))
}

async fn only_readers(
    State(site): SiteState,
    peer: Peer,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    match site.readable(&peer) {
        Ok(()) => next.run(request).await,
        Err(refusal) => Problem::from(refusal).into_response(),
    }
}

impl Site {
    /// Whether a peer may read the ledger and what is derived from it.
    pub(super) fn readable(&self, peer: &Peer) -> Result<(), Refusal> {
        let plant = self.plant.read();
        let site = Resource::Site(&plant.site);
        let decision = plant.may(&peer.member, Action::ReadPlant, site, false, "");
        if decision.allowed {
            return Ok(());
        }
        Err(Refusal {
            who: peer.member.to_string(),
            what: "a read of the plant's ledger".into(),
            rule: Rule::Policy,
            reason: decision.because.join("; "),
            accepted: "a member whom the policy allows to `plant.read`".into(),
        })
    }

    /// Whether a peer is enrolled at all.
    pub(super) fn enrolled(&self, peer: &Peer, what: &str) -> Result<(), Refusal> {
        let plant = self.plant.read();
        let member = plant.members.get(&peer.member);
        if member.is_some_and(|m| !m.member.roles.is_empty()) {
            return Ok(());
        }
        Err(Refusal {
            who: peer.member.to_string(),
            what: what.into(),
            rule: Rule::Enrolment,
            reason: format!("`{}` is not enrolled, or has no role", peer.member),
            accepted: "a certificate of an enrolled member".into(),
        })
    }

    /// Why an order is or is not accepted right now, as the site sees it. The cell
    /// decides by itself, from its own copy.
    fn explain(&self, order: &Digest) -> Answer<Explanation> {
        let newest = self.newest()?;
        let plant = self.plant.read();
        let Some(state) = plant.orders.get(order) else {
            return Err(Problem::new(
                StatusCode::NOT_FOUND,
                format!("no order {order} is on the ledger"),
            ));
        };
        let cell = state.order.cell.clone();
        let request =
            gate::MotionRequest { cell: &cell, order: *order, consumed: false, distrust: None };
        let checks: Vec<Check> = gate::motion::explain(&plant, &request, &newest, now())
            .into_iter()
            // The site's plant may be ahead of the newest checkpoint for a moment.
            .filter(|c| c.rule != Rule::Inclusion)
            .map(check)
            .collect();
        Ok(Explanation { accepted: checks.iter().all(|c| c.ok), checks, refusal: None })
    }

    pub(super) fn newest(&self) -> Answer<WitnessedCheckpoint> {
        self.publisher.latest().ok_or_else(|| {
            let detail = "no checkpoint is witnessed yet; are the witnesses reachable?";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        })
    }

    /// Leaves with their proofs against the newest witnessed checkpoint.
    pub(super) fn proven(
        &self,
        indexes: &[u64],
        newest: &WitnessedCheckpoint,
    ) -> anyhow::Result<Vec<ProvenLeaf>> {
        let reader = self.sequencer.reader();
        let mut leaves = Vec::new();
        for index in indexes.iter().copied().filter(|i| *i < newest.size()) {
            let leaf =
                reader.read_entries(index..index + 1, newest.size())?.pop().unwrap_or_default();
            let path = reader.inclusion(index, newest.size())?;
            leaves.push(ProvenLeaf { index, leaf: base::Bytes(leaf), path });
        }
        Ok(leaves)
    }
}

fn check(c: gate::Check) -> Check {
    Check { rule: c.rule, ok: c.ok, found: c.found, accepted: c.accepted, transient: c.transient }
}

/// A fault of ours: logged in full, told in short.
pub(super) fn fault(error: impl std::fmt::Display) -> Problem {
    tracing::error!(%error, "a request failed");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the site could not do this; its log says why")
}

pub(super) fn append_problem(error: AppendError) -> Problem {
    match error {
        AppendError::Refused(refusal) => refusal.into(),
        AppendError::TooLong { .. } => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
        }
        AppendError::Stopped(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

/// The plant at a glance.
#[utoipa::path(get, path = "/overview", responses((status = 200, body = Overview)))]
async fn overview(State(site): SiteState, peer: Peer) -> Answer<Json<Overview>> {
    site.readable(&peer)?;
    let (witnessed, witnessed_at) = witnessed_at(&site.publisher);
    let plant = site.plant.read();
    let counts = plant.counts().into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    Ok(Json(Overview {
        site: plant.site.clone(),
        name: plant.anchors.name.clone(),
        genesis: plant.genesis,
        witnessed,
        witnessed_at,
        counts,
    }))
}

#[derive(Deserialize, utoipa::IntoParams)]
struct SubmitQuery {
    /// `witnessed` waits until a witnessed checkpoint covers the entry.
    wait: Option<String>,
}

/// Submit a signed entry. Anyone enrolled may deliver it; its own signature says
/// whose it is.
#[utoipa::path(
    post, path = "/entries", params(SubmitQuery), request_body(content = Object, description = "An entry, canonical JSON"),
    responses((status = 200, body = Submitted), (status = 403, description = "Refused, with the rule"))
)]
async fn submit(
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

#[derive(Deserialize, utoipa::IntoParams)]
struct PageQuery {
    /// The first index; the newest page when absent.
    from: Option<u64>,
    /// How many at most; 500 at most.
    limit: Option<u64>,
}

/// Entries in the order of the ledger, a page at a time.
#[utoipa::path(get, path = "/entries", params(PageQuery), responses((status = 200, body = Vec<Event>)))]
async fn list_entries(
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
async fn show_entry(
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

fn not_logged(id: &str) -> Problem {
    let shown: String = id.chars().take(80).collect();
    Problem::new(StatusCode::NOT_FOUND, format!("no entry `{shown}` is on the ledger"))
}

/// An entry's proof: a C2SP `tlog-proof` against the newest witnessed checkpoint.
#[utoipa::path(get, path = "/entries/{id}/proof", responses((status = 200, body = String, content_type = "text/plain")))]
async fn prove_entry(State(site): SiteState, peer: Peer, Path(id): Path<String>) -> Answer<String> {
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

/// A part of the plant's state: `members`, `programs`, `templates`, `orders`,
/// `recordings`, `grants`, `reports`, `holds`, `proposals`, `enrolments` or
/// `policy`.
#[utoipa::path(get, path = "/state/{part}", responses((status = 200, body = Object)))]
async fn state(
    State(site): SiteState,
    peer: Peer,
    Path(part): Path<String>,
) -> Answer<Json<serde_json::Value>> {
    site.readable(&peer)?;
    let plant = site.plant.read();
    let value = match part.as_str() {
        "members" => serde_json::to_value(&plant.members),
        "programs" => serde_json::to_value(&plant.programs),
        "templates" => serde_json::to_value(&plant.templates),
        "orders" => serde_json::to_value(&plant.orders),
        "recordings" => serde_json::to_value(&plant.recordings),
        "grants" => serde_json::to_value(&plant.grants),
        "reports" => serde_json::to_value(&plant.reports),
        "holds" => serde_json::to_value(&plant.holds),
        "proposals" => serde_json::to_value(&plant.proposals),
        "enrolments" => serde_json::to_value(&plant.enrolments),
        "policy" => serde_json::to_value(plant.policy.text()),
        _ => {
            return Err(Problem::new(StatusCode::NOT_FOUND, "no such part of the plant's state"));
        }
    };
    value.map(Json).map_err(fault)
}

/// Whether a signed entry would be admitted now, without logging it.
#[utoipa::path(post, path = "/entries/explanation", request_body(content = Object), responses((status = 200, body = Explanation)))]
async fn explain_entry(
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
async fn explain_order(
    State(site): SiteState,
    peer: Peer,
    Path(id): Path<String>,
) -> Answer<Json<Explanation>> {
    site.readable(&peer)?;
    let id: Digest =
        id.parse().map_err(|e| Problem::new(StatusCode::BAD_REQUEST, format!("{e}")))?;
    site.explain(&id).map(Json)
}

#[derive(Deserialize, utoipa::IntoParams)]
struct MayQuery {
    /// Who.
    member: String,
    /// The action's word, e.g. `order.place`.
    action: String,
    /// The cell; the site when absent.
    cell: Option<String>,
    /// The program of an order, or the kind of a change.
    subject: Option<String>,
    /// Whether a passkey verified the person.
    user_verified: Option<bool>,
}

/// May this member do this, now? With the policies that say so.
#[utoipa::path(get, path = "/policy/decision", params(MayQuery), responses((status = 200, body = Object)))]
async fn may(
    State(site): SiteState,
    peer: Peer,
    Query(query): Query<MayQuery>,
) -> Answer<Json<policy::Decision>> {
    site.readable(&peer)?;
    let bad = |e: String| Problem::new(StatusCode::BAD_REQUEST, e);
    let member = query.member.parse().map_err(|e| bad(format!("{e}")))?;
    let action: Action = query.action.parse().map_err(bad)?;
    let cell: Option<base::Id> = match &query.cell {
        Some(cell) => Some(cell.parse().map_err(|e| bad(format!("{e}")))?),
        None => None,
    };
    let plant = site.plant.read();
    let resource = cell.as_ref().map_or(Resource::Site(&plant.site), Resource::Cell);
    let subject = query.subject.as_deref().unwrap_or_default();
    let verified = query.user_verified.unwrap_or(false);
    Ok(Json(plant.may(&member, action, resource, verified, subject)))
}

/// Store bytes under their digest: a picture, template or program.
#[utoipa::path(put, path = "/blobs/{digest}", request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses((status = 204)))]
async fn put_blob(
    State(site): SiteState,
    peer: Peer,
    Path(digest): Path<String>,
    body: Body,
) -> Answer<StatusCode> {
    site.enrolled(&peer, "to store a file")?;
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
async fn get_blob(
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
async fn own_grants(State(site): SiteState, peer: Peer) -> Answer<Json<Vec<Digest>>> {
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
async fn dossier(
    State(site): SiteState,
    peer: Peer,
    Path(id): Path<String>,
) -> Answer<Json<Dossier>> {
    let id: Digest =
        id.parse().map_err(|e| Problem::new(StatusCode::BAD_REQUEST, format!("{e}")))?;
    let (processor, roots) = {
        let plant = site.plant.read();
        let Some(state) = plant.grants.get(&id) else {
            return Err(not_logged(&id.to_string()));
        };
        (state.grant.processor.clone(), state.grant.recordings.clone())
    };
    if processor != peer.member {
        site.readable(&peer)?;
    }
    let newest = site.newest()?;
    let work = site.clone();
    let made = tokio::task::spawn_blocking(move || -> anyhow::Result<Dossier> {
        let indexes = super::issue::excerpt(&work, &id, newest.size())?;
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

/// A cell's cosignature of a checkpoint that it has seen.
#[utoipa::path(post, path = "/cosignatures", request_body(content = String, content_type = "text/plain"), responses((status = 204)))]
async fn cosignature(State(site): SiteState, peer: Peer, body: Body) -> Answer<StatusCode> {
    site.enrolled(&peer, "to leave a cosignature")?;
    if body.len() > proof::log::MAX_NOTE_BYTES {
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "a note has at most 64 KiB"));
    }
    site.keep_cosignature(&peer.member, &body)
        .map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.to_string()))?;
    Ok(StatusCode::NO_CONTENT)
}

/// The passport issued from a report: `vc.jwt`, `json` or `html`.
#[utoipa::path(get, path = "/reports/{id}/passport/{form}", responses((status = 200, content_type = "application/vc+jwt")))]
async fn passport(
    State(site): SiteState,
    peer: Peer,
    Path((id, form)): Path<(String, String)>,
) -> Answer<Response> {
    site.readable(&peer)?;
    let id: Digest =
        id.parse().map_err(|e| Problem::new(StatusCode::BAD_REQUEST, format!("{e}")))?;
    let kind = match form.as_str() {
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
    Ok(([(header::CONTENT_TYPE, kind)], bytes.map_err(|_| missing())?).into_response())
}

async fn ready(State(site): SiteState) -> Response {
    match site.publisher.latest() {
        Some(c) if now().since(c.witnessed_at()) < 60_000 => "ready\n".into_response(),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "the newest witnessed checkpoint is old\n")
            .into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "no checkpoint is witnessed\n").into_response(),
    }
}

async fn metrics(State(site): SiteState, peer: Peer) -> Answer<String> {
    site.readable(&peer)?;
    let (size, at) = witnessed_at(&site.publisher);
    let mut text = format!(
        "# TYPE interlock_ledger_witnessed_entries gauge\ninterlock_ledger_witnessed_entries {size}\n\
         # TYPE interlock_ledger_checkpoint_age_seconds gauge\ninterlock_ledger_checkpoint_age_seconds {}\n",
        now().since(at) as f64 / 1000.0
    );
    for (name, count) in site.plant.read().counts() {
        text.push_str(&format!("# TYPE interlock_{name} gauge\ninterlock_{name} {count}\n"));
    }
    Ok(text)
}

/// Routes that take no body beyond a few kilobytes keep axum's small default; this
/// lifts it for those that stream.
pub(super) fn unlimited() -> DefaultBodyLimit {
    DefaultBodyLimit::disable()
}
