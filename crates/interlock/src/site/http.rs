//! The HTTP API: who may ask is the peer's certificate and the plant's policy,
//! what changes anything is a signed entry.

use super::{Site, entries, events, files, recordings, wait::Wait, witnessed_at};
use api::{Check, Explanation, MAX_BLOB_BYTES, Overview, ProvenLeaf};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use base::{Digest, Refusal, Rule};
use node::now;
use plant::Plant;
use policy::{Action, Resource};
use proof::log::{LogPolicy, WitnessedCheckpoint};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use transport::{Peer, Problem};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The most bytes of a request's body, where a route does not say otherwise.
const MAX_BODY: usize = 256 * 1024;

pub(super) type Answer<T> = Result<T, Problem>;
pub(super) type SiteState = State<Arc<Site>>;

#[derive(OpenApi)]
#[openapi(info(
    title = "Interlock site",
    description = "The site's API. Mutual TLS or a console's session says who asks; a signed entry says what is wanted. Errors are RFC 9457 problems."
))]
struct Doc;

fn versioned() -> OpenApiRouter<Arc<Site>> {
    OpenApiRouter::new()
        .routes(routes!(overview))
        .routes(routes!(entries::submit))
        .routes(routes!(entries::list_entries))
        .routes(routes!(entries::show_entry))
        .routes(routes!(entries::prove_entry))
        .routes(routes!(state))
        .routes(routes!(entries::explain_order))
        .routes(routes!(entries::explain_draft))
        .routes(routes!(entries::trace))
        .routes(routes!(entries::explain_entry))
        .routes(routes!(may))
        .routes(routes!(files::dossier))
        .routes(routes!(files::own_grants))
        .routes(routes!(files::cosignature))
        .routes(routes!(files::passport))
        .routes(routes!(events::stream))
        .merge(recordings::routes())
        .merge(larger(routes!(files::put_blob, files::get_blob), MAX_BLOB_BYTES))
}

/// The OpenAPI document, made from the code.
pub fn openapi() -> utoipa::openapi::OpenApi {
    OpenApiRouter::with_openapi(Doc::openapi())
        .nest(api::PREFIX, versioned())
        .into_openapi()
        .nest(api::console::PREFIX, super::console::openapi())
}

/// All routes of the site for machines.
pub fn router(site: Arc<Site>) -> Router {
    documents(false)
        .route("/livez", axum::routing::get(|| async { "live\n" }))
        .route("/readyz", axum::routing::get(ready))
        .with_state(site.clone())
        .merge(api(site))
}

/// The API, the ledger and the gateway: what people and machines ask alike.
pub fn api(site: Arc<Site>) -> Router {
    let doc = Arc::new(openapi());
    let versioned = OpenApiRouter::new().nest(api::PREFIX, versioned()).split_for_parts().0;
    let ledger = ledger::router(site.sequencer.reader().clone(), site.publisher.subscribe())
        .layer(axum::middleware::from_fn_with_state(site.clone(), only_readers));
    versioned
        .route("/api/openapi.json", axum::routing::get(move || async move { Json((*doc).clone()) }))
        .route("/metrics", axum::routing::get(metrics))
        .with_state(site.clone())
        .merge(ledger)
        .merge(recordings::gateway(site))
        // The server's own limit is that of the largest upload; a route that takes
        // more than this says so.
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

/// Passports' pages and the keys that verify them; for anybody when `public`.
pub fn documents(public: bool) -> Router<Arc<Site>> {
    let passports = match public {
        true => axum::routing::get(files::public_passport),
        false => axum::routing::get(files::newest_passport),
    };
    Router::new()
        .route("/.well-known/did.json", axum::routing::get(files::did_document))
        .route("/.well-known/jwks.json", axum::routing::get(files::jwks))
        .route("/passports/{part}", passports)
}

async fn only_readers(
    State(site): SiteState,
    peer: Peer,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    if let Err(refusal) = site.readable(&peer) {
        return Problem::from(refusal).into_response();
    }
    if let Some(wait) = Wait::asked(request.uri()) {
        site.wait(&peer.member, &wait).await;
        // What the peer may has perhaps changed meanwhile.
        if let Err(refusal) = site.readable(&peer) {
            return Problem::from(refusal).into_response();
        }
    }
    next.run(request).await
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

    /// How many entries are durable.
    pub(super) fn durable(&self) -> u64 {
        self.sequencer.committed().borrow().checkpoint().size
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
    pub(super) fn explain(&self, order: &Digest) -> Answer<Explanation> {
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

pub(super) fn check(c: gate::Check) -> Check {
    Check { rule: c.rule, ok: c.ok, found: c.found, accepted: c.accepted, transient: c.transient }
}

/// What was sent cannot be taken.
pub(super) fn bad(detail: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail.to_string())
}

/// A fault of ours: logged in full, told in short.
pub(super) fn fault(error: impl std::fmt::Display) -> Problem {
    tracing::error!(%error, "a request failed");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the site could not do this; its log says why")
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
struct StateQuery {
    /// The newest so many of `orders`, `recordings`, `grants` or `reports`; all when
    /// neither this nor `before` is given.
    limit: Option<usize>,
    /// Only those whose entry stands below this index.
    before: Option<u64>,
}

impl StateQuery {
    /// The newest of a map that pass, as the map that they are a part of.
    fn of<K: ToString, V: Serialize>(
        &self,
        map: &BTreeMap<K, V>,
        index: impl Fn(&V) -> u64,
    ) -> serde_json::Result<serde_json::Value> {
        let before = self.before.unwrap_or(u64::MAX);
        let mut found: Vec<(&K, &V)> = map.iter().filter(|(_, v)| index(v) < before).collect();
        if let Some(limit) = self.limit {
            found.sort_unstable_by_key(|(_, v)| std::cmp::Reverse(index(v)));
            found.truncate(limit);
        }
        let pairs = found.into_iter().map(|(k, v)| Ok((k.to_string(), serde_json::to_value(v)?)));
        pairs.collect::<serde_json::Result<_>>().map(serde_json::Value::Object)
    }
}

/// A part of the plant's state: `members`, `programs`, `templates`, `orders`,
/// `recordings`, `grants`, `reports`, `holds`, `proposals`, `enrolments`, `policy` or
/// `keys`. Orders, recordings, grants and reports come a page at a time on
/// request.
#[utoipa::path(get, path = "/state/{part}", params(StateQuery), responses((status = 200, body = Object)))]
async fn state(
    State(site): SiteState,
    peer: Peer,
    Path(part): Path<String>,
    Query(query): Query<StateQuery>,
) -> Answer<Json<serde_json::Value>> {
    site.readable(&peer)?;
    let plant = site.plant.read();
    let value = match part.as_str() {
        "members" => serde_json::to_value(&plant.members),
        "programs" => serde_json::to_value(&plant.programs),
        "templates" => serde_json::to_value(&plant.templates),
        "orders" => query.of(&plant.orders, |o| o.index),
        "recordings" => query.of(&plant.recordings, |r| r.index),
        "grants" => query.of(&plant.grants, |g| g.index),
        "reports" => query.of(&plant.reports, |r| r.index),
        "holds" => serde_json::to_value(&plant.holds),
        "proposals" => serde_json::to_value(&plant.proposals),
        "enrolments" => serde_json::to_value(&plant.enrolments),
        "policy" => serde_json::to_value(plant.policy.text()),
        "keys" => keys(&plant),
        _ => {
            return Err(Problem::new(StatusCode::NOT_FOUND, "no such part of the plant's state"));
        }
    };
    value.map(Json).map_err(fault)
}

/// The plant's own keys: the first, those in force, and each change between.
fn keys(plant: &Plant) -> serde_json::Result<serde_json::Value> {
    let log = |policy: Result<LogPolicy, String>| policy.map_err(serde::ser::Error::custom);
    let authorities = plant.authorities().map(|(_, roots)| roots);
    Ok(serde_json::json!({
        "first": { "log": log(plant::trust::stated(&plant.anchors))?, "vault": plant.anchors.vault },
        "now": { "log": log(plant.log_now())?, "vault": plant.vault(), "authorities": authorities },
        "rotations": plant.rotations,
    }))
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

async fn ready(State(site): SiteState) -> Response {
    if *site.publisher.standing().borrow() != ledger::Standing::Confirmed {
        let text = "no quorum of witnesses has confirmed this ledger since the start\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
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

/// Routes whose bodies may be larger than [`MAX_BODY`].
pub(super) fn larger(
    routes: utoipa_axum::router::UtoipaMethodRouter<Arc<Site>>,
    most: usize,
) -> OpenApiRouter<Arc<Site>> {
    OpenApiRouter::new().routes(routes).layer(DefaultBodyLimit::max(most))
}

pub(super) fn not_logged(id: &str) -> Problem {
    let shown: String = id.chars().take(80).collect();
    Problem::new(StatusCode::NOT_FOUND, format!("no entry `{shown}` is on the ledger"))
}
