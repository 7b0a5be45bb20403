//! The gateway serves what a grant covers, to the byte, and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use axum::{
    Extension, Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
};
use common::{PlantGate, peer, plaintext, record};
use http_body_util::BodyExt;
use std::sync::Arc;
use tower::ServiceExt;
use vault::{
    Cid,
    address::{parse_cid, raw_cid, verify},
    car::CarReader,
    dag::Node,
    gateway::{Config, DataGate, Provider, ReadPermit, ReadRequest, peer_id, router},
    record::Recorded,
    seal::SEGMENT,
    store::Store,
};

struct Site {
    _dir: tempfile::TempDir,
    store: Arc<Store>,
    gate: Arc<PlantGate>,
    made: Recorded,
    router: Router,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A recording of four segments, and a grant to `analyst` for `budget` bytes.
fn site(budget: u64) -> Site {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path()).unwrap());
    let made = record(&store, &plaintext(3 * SEGMENT));
    let gate = PlantGate::granting(&made.root.cid.to_string(), "analyst", budget);
    let provider = Provider::https(peer_id(&[7; 32]), "vault.plant.example", 443);
    let config = Config { provider: Some(provider), ..Config::default() };
    let router = router(store.clone(), gate.clone(), config);
    Site { _dir: dir, store, gate, made, router }
}

async fn send(router: &Router, request: Request<Body>, member: Option<&str>) -> Answer {
    let router = router.clone();
    let router = match member {
        Some(member) => router.layer(Extension(peer(member))),
        None => router,
    };
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    assert_eq!(parts.headers["x-content-type-options"], "nosniff");
    Answer { status: parts.status, headers: parts.headers, body }
}

impl Site {
    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(&self.router, request.body(Body::empty()).unwrap(), Some("analyst")).await
    }

    fn root(&self) -> Cid {
        self.made.root.cid
    }
}

fn blocks(car: &[u8]) -> Vec<Cid> {
    let mut reader = CarReader::new(car).unwrap();
    let mut out = Vec::new();
    while let Some((cid, _)) = reader.next_block().unwrap() {
        out.push(cid);
    }
    out
}

#[tokio::test]
async fn without_a_certificate_or_a_grant_no_byte_leaves() {
    let site = site(1 << 30);
    let path = format!("/ipfs/{}?format=raw", site.made.leaves[0]);
    let request = || Request::get(&path).body(Body::empty()).unwrap();
    let answer = send(&site.router, request(), None).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/problem+json");
    let answer = send(&site.router, request(), Some("stranger")).await;
    assert_eq!((answer.status.as_u16(), answer.json()["rule"].as_str()), (403, Some("grant")));
    assert!(answer.json()["accepted"].is_string());
    site.gate.revoke();
    assert_eq!(site.get(&path, &[]).await.status, 403);
    assert_eq!(site.gate.served(), 0);
}

#[tokio::test]
async fn a_raw_block_is_served_with_its_headers() {
    let site = site(1 << 30);
    let leaf = site.made.leaves[1];
    let answer =
        site.get(&format!("/ipfs/{leaf}"), &[("accept", "application/vnd.ipld.raw")]).await;
    assert_eq!(answer.status, 200);
    verify(&leaf, &answer.body).unwrap();
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/vnd.ipld.raw");
    assert_eq!(answer.header(header::CONTENT_LENGTH), SEGMENT.to_string());
    assert_eq!(answer.header(header::ETAG), format!("\"{leaf}.raw\""));
    assert_eq!(answer.header(header::ACCEPT_RANGES), "bytes");
    assert!(answer.header(header::CACHE_CONTROL).starts_with("private"));
    assert_eq!(answer.header(header::CONTENT_LOCATION), format!("/ipfs/{leaf}?format=raw"));
    let name = format!("attachment; filename=\"{leaf}.bin\"");
    assert_eq!(answer.header(header::CONTENT_DISPOSITION), name);
    assert_eq!(*site.gate.reads.lock().unwrap(), [SEGMENT as u64]);
}

#[tokio::test]
async fn ranges_of_a_block_cost_their_bytes() {
    let site = site(1 << 30);
    let leaf = site.made.leaves[1];
    let whole = site.store.get(&leaf).unwrap().unwrap();
    let path = format!("/ipfs/{leaf}?format=raw");
    let answer = site.get(&path, &[("range", "bytes=100-199")]).await;
    assert_eq!(answer.status, 206);
    assert!(answer.body == whole[100..200]);
    assert_eq!(answer.header(header::CONTENT_RANGE), format!("bytes 100-199/{SEGMENT}"));
    let answer = site.get(&path, &[("range", "bytes=-5")]).await;
    assert!(answer.body == whole[SEGMENT - 5..]);
    let stale = [("range", "bytes=0-1"), ("if-range", "\"other\"")];
    assert_eq!(site.get(&path, &stale).await.status, 200);
    let answer = site.get(&path, &[("range", "bytes=1048576-")]).await;
    assert_eq!(answer.status, 416);
    assert_eq!(answer.header(header::CONTENT_RANGE), format!("bytes */{SEGMENT}"));
    assert_eq!(*site.gate.reads.lock().unwrap(), [100, 5, SEGMENT as u64]);
}

#[tokio::test]
async fn head_and_not_modified_pass_the_gate_and_carry_nothing() {
    let site = site(1 << 30);
    let path = format!("/ipfs/{}?format=car", site.root());
    let whole = site.get(&path, &[]).await;
    let head = |who: &'static str| {
        let request = Request::head(&path).body(Body::empty()).unwrap();
        let router = site.router.clone();
        async move { send(&router, request, Some(who)).await }
    };
    let answer = head("analyst").await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    let length = whole.body.len().to_string();
    assert_eq!(answer.header(header::CONTENT_LENGTH), length);
    let etag = whole.header(header::ETAG);
    assert!(etag.starts_with("W/"));
    let answer = site.get(&path, &[("if-none-match", etag)]).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0));
    assert_eq!(head("stranger").await.status, 403);
    assert_eq!(*site.gate.reads.lock().unwrap(), [whole.body.len() as u64, 0, 0]);
}

#[tokio::test]
async fn a_car_has_the_whole_tree_and_costs_its_length() {
    let site = site(1 << 30);
    let accept = "application/vnd.ipld.car; version=1; order=dfs; dups=y";
    let answer = site.get(&format!("/ipfs/{}", site.root()), &[("accept", accept)]).await;
    assert_eq!(answer.status, 200);
    let kind = "application/vnd.ipld.car; version=1; order=dfs; dups=y";
    assert_eq!(answer.header(header::CONTENT_TYPE), kind);
    assert_eq!(answer.header(header::CONTENT_LENGTH), answer.body.len().to_string());
    let expected: Vec<Cid> = [site.root()].into_iter().chain(site.made.leaves.clone()).collect();
    assert_eq!(blocks(&answer.body), expected);
    assert_eq!(*site.gate.reads.lock().unwrap(), [answer.body.len() as u64]);
}

#[tokio::test]
async fn parts_of_a_car_have_the_blocks_that_prove_them() {
    let site = site(1 << 30);
    let root = site.root();
    let part = async |query: &str| site.get(&format!("/ipfs/{root}?format=car&{query}"), &[]).await;
    assert_eq!(blocks(&part("dag-scope=block").await.body), [root]);
    let leaves = &site.made.leaves;
    let one = part("entity-bytes=1048576:2097151").await;
    assert_eq!(blocks(&one.body), [root, leaves[1]]);
    assert_eq!(
        blocks(&part("entity-bytes=1048575:1048576").await.body),
        [root, leaves[0], leaves[1]]
    );
    assert_eq!(blocks(&part("entity-bytes=-1:*").await.body), [root, leaves[3]]);
    assert_eq!(blocks(&part("entity-bytes=9:5").await.body), [root]);
    assert_eq!(part("entity-bytes=99999999:*").await.status, 400);
    let leaf = format!("/ipfs/{}?format=car", leaves[2]);
    assert_eq!(blocks(&site.get(&leaf, &[]).await.body), [leaves[2]]);
}

#[tokio::test]
async fn the_byte_budget_is_counted_before_serving() {
    let site = site(SEGMENT as u64 + 10);
    let path = format!("/ipfs/{}?format=raw", site.made.leaves[0]);
    assert_eq!(site.get(&path, &[]).await.status, 200);
    let answer = site.get(&path, &[]).await;
    assert_eq!((answer.status.as_u16(), answer.json()["rule"].as_str()), (403, Some("budget")));
    assert_eq!(site.get(&path, &[("range", "bytes=0-9")]).await.status, 206);
    assert_eq!(site.gate.served(), SEGMENT as u64 + 10);
}

#[tokio::test]
async fn what_is_not_here_not_kept_or_not_asked_for_well() {
    let site = site(1 << 30);
    let (root, other) = (site.root(), raw_cid(b"elsewhere"));
    let status =
        async |path: String, headers: &[(&str, &str)]| site.get(&path, headers).await.status;
    assert_eq!(status(format!("/ipfs/{other}?format=raw"), &[]).await, 404);
    let cached = [("cache-control", "only-if-cached")];
    assert_eq!(status(format!("/ipfs/{other}?format=raw"), &cached).await, 412);
    assert_eq!(status("/ipfs/nonsense?format=raw".into(), &[]).await, 400);
    assert_eq!(status(format!("/ipfs/{root}"), &[]).await, 400);
    assert_eq!(status(format!("/ipfs/{root}"), &[("accept", "text/html")]).await, 406);
    assert_eq!(status(format!("/ipfs/{root}/a/b?format=car"), &[]).await, 404);
    assert_eq!(status("/ipfs/bafkqaaa?format=raw".into(), &[]).await, 200);
    let bad_grant = [("interlock-grant", "xyz")];
    assert_eq!(status(format!("/ipfs/{root}?format=raw"), &bad_grant).await, 400);
    // A block that no recording holds is nobody's to grant.
    site.store.put(&other, b"elsewhere").unwrap();
    assert_eq!(status(format!("/ipfs/{other}?format=raw"), &[]).await, 404);
    site.store.remove(&root).unwrap();
    let leaf = site.made.leaves[0];
    assert_eq!(status(format!("/ipfs/{leaf}?format=raw"), &[]).await, 410);
    assert_eq!(site.gate.served(), 0);
}

#[tokio::test]
async fn routing_names_this_gateway_for_what_it_keeps() {
    let site = site(0);
    let answer = site.get(&format!("/routing/v1/providers/{}", site.root()), &[]).await;
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/json");
    let provider = &answer.json()["Providers"][0];
    assert_eq!(provider["Addrs"][0], "/dns/vault.plant.example/tcp/443/tls/http");
    assert_eq!(provider["Protocols"][0], "transport-ipfs-gateway-http");
    let other = raw_cid(b"elsewhere");
    let answer = site.get(&format!("/routing/v1/providers/{other}"), &[]).await;
    assert_eq!(answer.json(), serde_json::json!({"Providers": []}));
}

/// A broken gate: decides on another recording than it was asked about.
struct Confused(Arc<PlantGate>, Cid);

#[async_trait::async_trait]
impl DataGate for Confused {
    async fn authorise(
        &self,
        peer: &transport::Peer,
        read: &ReadRequest,
    ) -> Result<ReadPermit, base::Refusal> {
        let read = ReadRequest { roots: vec![self.1], ..read.clone() };
        self.0.authorise(peer, &read).await
    }
}

#[tokio::test]
async fn a_permit_for_another_recording_lets_nothing_out() {
    let site = site(1 << 30);
    let other = raw_cid(b"other");
    let gate = PlantGate::granting(&other.to_string(), "analyst", 1 << 30);
    let confused = Arc::new(Confused(gate, other));
    let router = router(site.store.clone(), confused, Config::default());
    let request = Request::get(format!("/ipfs/{}?format=raw", site.root()));
    let answer = send(&router, request.body(Body::empty()).unwrap(), Some("analyst")).await;
    assert_eq!(answer.status, 500);
    assert!(Node::decode(&answer.body).is_err());
}

#[tokio::test]
async fn beyond_its_bounds_it_asks_to_come_again_or_in_parts() {
    let site = site(1 << 30);
    let bounded = |config| router(site.store.clone(), site.gate.clone(), config);
    let request = || {
        let path = format!("/ipfs/{}?format=car", site.root());
        Request::get(path).body(Body::empty()).unwrap()
    };
    let busy = bounded(Config { concurrent: 0, ..Config::default() });
    assert_eq!(send(&busy, request(), Some("analyst")).await.status, 503);
    let small = bounded(Config { most: 2 << 20, ..Config::default() });
    let answer = send(&small, request(), Some("analyst")).await;
    assert_eq!(answer.status, 400);
    assert!(answer.json()["detail"].as_str().unwrap().contains("entity-bytes"));
    assert_eq!(parse_cid(&site.root().to_string()).unwrap(), site.root());
    assert_eq!(site.gate.served(), 0);
}
