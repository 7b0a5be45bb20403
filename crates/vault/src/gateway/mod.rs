//! Serving over HTTP: the IPFS trustless gateway, with a gate before each byte.
//!
//! `GET` and `HEAD /ipfs/{cid}` answer with a raw block (with byte ranges) or a
//! CAR v1 in depth-first order (`dag-scope`, `entity-bytes`), and nothing that a
//! client could not verify. `GET /routing/v1/providers/{cid}` names this gateway.
//! The specifications are the IPFS trustless gateway and delegated routing over
//! HTTP.
//!
//! The peer comes from the TLS server as a [`transport::Peer`]; without one nothing
//! is answered. The exact bytes of an answer are planned first, the [`DataGate`]
//! decides and logs, and only its [`ReadPermit`], consumed by [`serve`], lets them
//! out; a permit for less, or for another recording, does not. `HEAD` and `304`
//! pass the gate with 0 bytes, because they too tell that a recording is here.

// A problem is large, and made at most once for an answer.
#![allow(clippy::result_large_err)]

mod negotiate;
mod plan;
mod routing;
mod serve;

pub use gate::ReadPermit;
pub use routing::{Provider, peer_id};

use crate::{
    Cid,
    address::parse_cid,
    store::{Root, Store},
};
use axum::{
    Router,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base::{Digest, Refusal};
use negotiate::{Wanted, byte_range};
use plan::{Plan, broken};
use std::sync::Arc;
use tokio::{sync::Semaphore, task::spawn_blocking};
use transport::{Peer, Problem};

/// The request header that names the grant to read under: 64 hexadecimal digits.
/// Without it the gate looks for one.
pub const GRANT_HEADER: &str = "interlock-grant";
/// The CID of nothing, which probes ask for.
const PROBE: &str = "bafkqaaa";

/// What a peer wants to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// The block asked for: for a CAR its first.
    pub cid: Cid,
    /// The live recordings that the block belongs to, at least one.
    pub roots: Vec<Cid>,
    /// The exact number of bytes that the answer will carry.
    pub bytes: u64,
    /// The grant that the peer named.
    pub grant: Option<Digest>,
}

/// Decides on each read, and puts it on record, before a byte is served.
#[async_trait::async_trait]
pub trait DataGate: Send + Sync + 'static {
    /// Permits or refuses. The permit's root must be one of the request's roots.
    async fn authorise(&self, peer: &Peer, read: &ReadRequest) -> Result<ReadPermit, Refusal>;
}

/// A gateway's bounds and address.
#[derive(Clone, Debug)]
pub struct Config {
    /// Answers in progress at a time; more are told to come again.
    pub concurrent: usize,
    /// The most bytes of one answer.
    pub most: u64,
    /// Where routing clients find this gateway; `None` names nobody.
    pub provider: Option<Provider>,
}

impl Default for Config {
    fn default() -> Self {
        Self { concurrent: 64, most: 16 << 30, provider: None }
    }
}

struct Gateway {
    store: Arc<Store>,
    gate: Arc<dyn DataGate>,
    config: Config,
    turns: Arc<Semaphore>,
}

/// The gateway's routes. The TLS server in front adds the [`Peer`].
pub fn router(store: Arc<Store>, gate: Arc<dyn DataGate>, config: Config) -> Router {
    let turns = Arc::new(Semaphore::new(config.concurrent));
    let state = Arc::new(Gateway { store, gate, config, turns });
    Router::new()
        .route("/ipfs/{cid}", get(content))
        .route("/ipfs/{cid}/{*path}", get(path))
        .route("/routing/v1/providers/{cid}", get(providers))
        .with_state(state)
        .layer(axum::middleware::map_response(async |mut response: Response| {
            let nosniff = HeaderValue::from_static("nosniff");
            response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
            response
        }))
}

type Pairs = Query<Vec<(String, String)>>;

async fn content(
    State(gateway): State<Arc<Gateway>>,
    peer: Peer,
    method: Method,
    Path(text): Path<String>,
    Query(query): Pairs,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wanted = Wanted::of(&query, &headers)?;
    if text == PROBE && wanted == Wanted::Raw {
        return Ok(([(header::CONTENT_TYPE, wanted.content_type())], ()).into_response());
    }
    let cid = parse(&text)?;
    let roots = gateway.live_roots(&cid, &headers)?;
    let turn = gateway.turns.clone().try_acquire_owned().map_err(|_| {
        let detail = "as many answers as this gateway gives at a time are in progress";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    })?;

    let size = gateway.store.block_len(&cid).ok_or_else(|| not_found(&cid))?;
    let etag = wanted.etag(&cid);
    let range = match &wanted {
        Wanted::Raw if fresh_range(&headers, &etag) => byte_range(&headers, size),
        _ => Ok(None),
    };
    let Ok(range) = range else {
        return Ok(unsatisfiable(size));
    };
    let (store, most, asked) = (gateway.store.clone(), gateway.config.most, wanted.clone());
    let whole = range.clone().unwrap_or(0..size);
    let plan = spawn_blocking(move || Plan::of(&store, &cid, &asked, whole, most));
    let plan = plan.await.map_err(|e| broken(&e))??;

    let unchanged = matches(&headers, header::IF_NONE_MATCH, &etag);
    let silent = method == Method::HEAD || unchanged;
    let bytes = if silent { 0 } else { plan.bytes };
    let grant = grant_of(&headers)?;
    let read = ReadRequest { cid, roots, bytes, grant };
    let permit = gateway.gate.authorise(&peer, &read).await?;

    let total = plan.bytes;
    let body = if silent {
        serve::nothing(permit, &read)?
    } else {
        serve::stream(permit, &read, plan, gateway.store.clone(), turn)?
    };
    let mut response = Response::new(body);
    *response.status_mut() = match (&range, unchanged) {
        (_, true) => StatusCode::NOT_MODIFIED,
        (Some(_), _) => StatusCode::PARTIAL_CONTENT,
        (None, _) => StatusCode::OK,
    };
    let (format, extension) = wanted.names();
    let set = |response: &mut Response, name, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(&mut response, header::ETAG, etag);
    // The bytes never change, and they are for this peer alone.
    set(&mut response, header::CACHE_CONTROL, "private, max-age=29030400, immutable".into());
    set(&mut response, header::VARY, "accept, range".into());
    if !unchanged {
        set(&mut response, header::CONTENT_TYPE, wanted.content_type());
        set(&mut response, header::CONTENT_LENGTH, total.to_string());
        let name = format!("attachment; filename=\"{cid}.{extension}\"");
        set(&mut response, header::CONTENT_DISPOSITION, name);
        let ranges = if format == "raw" { "bytes" } else { "none" };
        set(&mut response, header::ACCEPT_RANGES, ranges.into());
        if !query.iter().any(|(name, _)| name == "format") {
            set(&mut response, header::CONTENT_LOCATION, format!("/ipfs/{cid}?format={format}"));
        }
    }
    if let Some(range) = range.filter(|_| !unchanged) {
        let text = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
        set(&mut response, header::CONTENT_RANGE, text);
    }
    Ok(response)
}

/// Recordings are files: there is nothing below them.
async fn path(peer: Peer, Path((cid, path)): Path<(String, String)>) -> Problem {
    tracing::debug!(member = %peer.member, "a path below a recording");
    let path: String = path.chars().take(80).collect();
    let cid: String = cid.chars().take(80).collect();
    Problem::new(StatusCode::NOT_FOUND, format!("`{cid}` is a file and has no path `{path}`"))
}

async fn providers(
    State(gateway): State<Arc<Gateway>>,
    _peer: Peer,
    Path(text): Path<String>,
) -> Result<Response, Problem> {
    let cid = parse(&text)?;
    let here = gateway.store.roots_of(&cid).iter().any(|root| !root.gone);
    let body = routing::answer(gateway.config.provider.as_ref().filter(|_| here));
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CACHE_CONTROL, "private, max-age=15".to_owned()),
        (header::VARY, "accept".to_owned()),
        (header::ETAG, routing::etag(&body)),
    ];
    Ok((headers, Body::from(body)).into_response())
}

impl Gateway {
    /// The live recordings that a block belongs to; 404 or 410 when there is none.
    fn live_roots(&self, cid: &Cid, headers: &HeaderMap) -> Result<Vec<Cid>, Problem> {
        let roots = self.store.roots_of(cid);
        let live: Vec<Cid> = roots.iter().filter(|r| !r.gone).map(|r: &Root| r.cid).collect();
        if !live.is_empty() {
            return Ok(live);
        }
        if !roots.is_empty() {
            let detail = format!("the recording of `{cid}` was taken out of use");
            return Err(Problem::new(StatusCode::GONE, detail));
        }
        let cached = headers.get(header::CACHE_CONTROL).and_then(|v| v.to_str().ok());
        if cached.is_some_and(|v| v.contains("only-if-cached")) {
            let detail = format!("`{cid}` is not in this vault");
            return Err(Problem::new(StatusCode::PRECONDITION_FAILED, detail));
        }
        Err(not_found(cid))
    }
}

fn parse(text: &str) -> Result<Cid, Problem> {
    parse_cid(text).map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.to_string()))
}

fn not_found(cid: &Cid) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("`{cid}` is not in a recording of this vault"))
}

fn unsatisfiable(size: u64) -> Response {
    let detail = format!("the range lies beyond the block's {size} bytes");
    let mut response = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, detail).into_response();
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

fn grant_of(headers: &HeaderMap) -> Result<Option<Digest>, Problem> {
    let Some(value) = headers.get(GRANT_HEADER) else {
        return Ok(None);
    };
    let parsed = value.to_str().ok().and_then(|text| text.parse().ok());
    let detail = format!("{GRANT_HEADER} is not a grant's entry: 64 hexadecimal digits");
    parsed.map(Some).ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, detail))
}

/// Whether a header's list of entity tags has this one, weakly compared.
fn matches(headers: &HeaderMap, name: header::HeaderName, etag: &str) -> bool {
    let weak = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    headers
        .get(name)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.split(',').any(|tag| tag.trim() == "*" || weak(tag) == weak(etag)))
}

/// Whether a range may be answered: `If-Range` is absent or names this block.
fn fresh_range(headers: &HeaderMap, etag: &str) -> bool {
    headers.get(header::IF_RANGE).is_none_or(|v| v.as_bytes() == etag.as_bytes())
}
