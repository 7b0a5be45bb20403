//! A real plant: `interlock init` makes it, `interlock serve` runs its site, a passkey
//! in software is a person. Witness and cell are the plant's own certificates behind
//! servers of the test.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod house;
pub mod processes;

use api::Submitted;
use axum::{
    Json, Router,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, sse},
    routing::{get, post},
};
use base::{Bytes, Digest, Id, Millis};
use ledger::{RealFs, WitnessStore, witness_router};
use node::{Client as Machine, Node, fresh_nonce, now};
use plant::{Body, body::Accept};
use proof::{
    entry::{Entry, Statement, VERSION},
    keys::{Invitation, PublicKey, SecretKey, Signer},
    log::WitnessCore,
};
use reqwest::{Client, Method, RequestBuilder, StatusCode, header};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::{SocketAddr, TcpListener as Probe},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use testkit::authenticator::Authenticator;
use transport::{ClientAuth, Server};

/// A plant in a folder, its site running.
pub struct Plant {
    pub dir: TempDir,
    pub site: Child,
    pub origin: String,
    pub client: Client,
    pub stops: Arc<Mutex<Vec<Value>>>,
    /// How far the witness's clock is behind, in milliseconds.
    pub lag: Arc<AtomicU64>,
}

impl Drop for Plant {
    fn drop(&mut self) {
        let _ = self.site.kill();
        let _ = self.site.wait();
    }
}

/// The first of five free ports in a row.
pub fn ports() -> u16 {
    let free = |port: u16| Probe::bind(("127.0.0.1", port)).is_ok();
    let mut byte = [0; 2];
    loop {
        aws_lc_rs::rand::fill(&mut byte).unwrap();
        let base = 20_000 + u16::from_le_bytes(byte) % 12_000;
        if (base..base + 5).all(free) {
            return base;
        }
    }
}

impl Plant {
    pub async fn start(options: &[&str]) -> Self {
        Self::start_at(|port| format!("http://localhost:{port}"), options).await
    }

    pub async fn start_at(origin: impl Fn(u16) -> String, options: &[&str]) -> Self {
        transport::install_crypto_provider();
        let dir = TempDir::new().unwrap();
        let base = ports();
        let made = Command::new(env!("CARGO_BIN_EXE_interlock"))
            .arg("init")
            .arg(dir.path())
            .args(["--port", &base.to_string(), "--console-origin", &origin(base + 4)])
            .args(options)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let config = node::config::read_config(&dir.path().join("site/interlock.toml")).unwrap();
        let console = config.console.expect("init makes a console");
        let stops = Arc::default();
        let lag = Arc::<AtomicU64>::default();
        witness(&dir.path().join("witness-1"), Arc::clone(&lag)).await;
        cell(&dir.path().join("cell-1"), Arc::clone(&stops)).await;
        let site = Command::new(env!("CARGO_BIN_EXE_interlock"))
            .arg("serve")
            .arg(dir.path().join("site"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The browser: it trusts the plant's authority and finds the host here.
        let trust = transport::Trust::load(&dir.path().join("site/tls")).unwrap();
        let tls = transport::tls::client_config(&trust, None, None).unwrap();
        let host = proof::keys::origin_host(&console.origin).unwrap();
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .tls_backend_preconfigured(tls)
            .resolve(host, console.listen);
        let plant =
            Self { dir, site, origin: console.origin, client: client.build().unwrap(), stops, lag };
        plant.ready().await;
        plant
    }

    /// Waits until the site takes entries.
    pub async fn ready(&self) {
        let machine = self.machine("auditor").1;
        let ready = async {
            while machine.bytes("/readyz", 1024).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), ready).await.expect("the site is ready");
    }

    pub fn client_address(&self) -> SocketAddr {
        let site = node::config::read_config(&self.folder("site").join("interlock.toml"));
        site.unwrap().console.unwrap().listen
    }

    pub fn folder(&self, member: &str) -> PathBuf {
        self.dir.path().join(member)
    }

    /// A member at the command line: its folder and its client over mutual TLS.
    pub fn machine(&self, member: &str) -> (Node, Machine) {
        let node = Node::load(&self.folder(member)).unwrap();
        let client = Machine::of(&node).unwrap();
        (node, client)
    }

    pub async fn state_by_file(&self, member: &str, body: &Body) -> Submitted {
        let (node, client) = self.machine(member);
        let entry = node.sign(body, now(), fresh_nonce().unwrap()).unwrap();
        client.submit(&entry).await.unwrap()
    }

    /// States something and waits until witnesses have cosigned it.
    pub async fn state_witnessed(&self, member: &str, body: &Body) -> Submitted {
        let (node, client) = self.machine(member);
        let entry = node.sign(body, now(), fresh_nonce().unwrap()).unwrap();
        client.submit_witnessed(&entry).await.unwrap()
    }

    /// A request as the console's own page makes it.
    pub fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.origin))
            .header(header::ORIGIN, &self.origin)
            .header("sec-fetch-site", "same-origin")
    }

    /// A fresh passkey of this console.
    pub fn authenticator(&self) -> Authenticator {
        let host = proof::keys::origin_host(&self.origin).unwrap();
        Authenticator::new(host, &self.origin).unwrap()
    }

    pub fn link(&self, member: &str) -> Link {
        let text = std::fs::read_to_string(self.folder(member).join("enrol-link.txt")).unwrap();
        let fragment = text.trim().split_once("/enrol#").unwrap().1.to_owned();
        let fields: BTreeMap<&str, &str> =
            fragment.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
        assert_eq!(fields["member"], member);
        let seed: Bytes = serde_json::from_value(fields["key"].into()).unwrap();
        let key = invitation(&seed.0, fields["until"].parse().unwrap());
        Link { anchors: fields["anchors"].parse().unwrap(), key }
    }

    pub fn statement(&self, member: &str, key: Digest, body: &Body) -> Statement {
        Statement {
            at: now(),
            body: serde_json::to_value(body).unwrap(),
            issuer: id(member),
            key,
            nonce: fresh_nonce().unwrap(),
            site: id("plant"),
            v: VERSION.into(),
        }
    }

    /// The entry by which `key`, an invitation, enrols a passkey.
    pub fn accept(&self, member: &str, key: &Key, passkey: proof::keys::Passkey) -> Entry {
        let body = Body::Accept(Accept { passkey, seal: Some(Bytes(vec![9; 32])) });
        Entry::sign(self.statement(member, key.public.fingerprint(), &body), &key.secret).unwrap()
    }

    pub async fn post(
        &self,
        path: &str,
        cookie: &str,
        body: &impl serde::Serialize,
    ) -> (StatusCode, Value) {
        let body = serde_json::to_string(body).unwrap();
        let request = self.ask(Method::POST, path).header(header::COOKIE, cookie).body(body);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap_or_default())
    }

    pub async fn get(&self, path: &str, cookie: &str) -> (StatusCode, Value) {
        let request = self.ask(Method::GET, path).header(header::COOKIE, cookie);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap_or_default())
    }

    pub async fn sign_in(&self, person: &Authenticator) -> (StatusCode, String, Value) {
        let (status, challenge) = self.post("/console/v1/challenges", "", &json!({})).await;
        assert_eq!(status, StatusCode::OK);
        let nonce: Bytes = serde_json::from_value(challenge["nonce"].clone()).unwrap();
        let signed = person.get(&console::sign_in::digest(&self.origin, &nonce.0)).unwrap();
        let body = json!({
            "nonce": nonce, "credential": person.passkey().credential, "assertion": signed,
        });
        let request = self.ask(Method::POST, "/console/v1/sessions").body(body.to_string());
        let answer = request.send().await.unwrap();
        let cookie = answer.headers().get(header::SET_COOKIE);
        let cookie = cookie.map(|c| c.to_str().unwrap().split(';').next().unwrap().to_owned());
        (answer.status(), cookie.unwrap_or_default(), answer.json().await.unwrap_or_default())
    }

    /// Enrols a fresh passkey with a link and signs in.
    pub async fn enter(&self, member: &str, key: &Key) -> (Authenticator, String) {
        let person = self.authenticator();
        let accept = self.accept(member, key, person.passkey());
        let (status, taken) = self.post("/console/v1/enrolments", "", &accept).await;
        assert_eq!(status, StatusCode::OK, "{taken}");
        let (status, cookie, me) = self.sign_in(&person).await;
        assert_eq!(status, StatusCode::OK, "{me}");
        (person, cookie)
    }

    /// Signs as a person at the console.
    pub fn sign(&self, member: &str, person: &Authenticator, body: &Body) -> Entry {
        let key = PublicKey::Passkey(person.passkey()).fingerprint();
        person.sign(self.statement(member, key, body)).unwrap()
    }
}

pub struct Key {
    pub secret: SecretKey,
    pub public: PublicKey,
}

pub struct Link {
    pub anchors: Digest,
    pub key: Key,
}

pub fn invitation(seed: &[u8], not_after: u64) -> Key {
    let secret = SecretKey::from_seed(seed.try_into().unwrap()).unwrap();
    let ed25519 = Bytes(secret.public().to_vec());
    let public = PublicKey::Invitation(Invitation { ed25519, not_after: Millis(not_after) });
    Key { secret, public }
}

pub fn id(text: &str) -> Id {
    text.parse().unwrap()
}

pub async fn listen(node: &Node, router: Router) {
    let server = Server::new(router, &node.trust, &node.identity, ClientAuth::Required).unwrap();
    let address = node.config.listen.unwrap();
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(server.run(listener, std::future::pending()));
}

pub async fn witness(dir: &Path, lag: Arc<AtomicU64>) {
    let node = Node::load(dir).unwrap();
    let log = &node.anchors.log;
    let name = log.witnesses()[0].name().to_owned();
    let logs = vec![(log.origin().to_owned(), log.log_key().clone())];
    let core = WitnessCore::new(&name, node.signer.clone(), logs).unwrap();
    let clock = move || Millis(now().0 - lag.load(Ordering::Relaxed));
    let store = WitnessStore::open(Arc::new(RealFs), &dir.join("data"), core, Arc::new(clock));
    listen(&node, witness_router(Arc::new(store.unwrap()))).await;
}

/// A cell that stands still and says so.
pub async fn cell(dir: &Path, stops: Arc<Mutex<Vec<Value>>>) {
    let node = Node::load(dir).unwrap();
    let ends = now().0 + 3 * 86_400_000 + 60_000;
    let status = json!({ "ready": true, "certificate_not_after": ends });
    let live = async || {
        let frame =
            |n: u64| Ok::<_, Infallible>(sse::Event::default().event("frame").data(n.to_string()));
        sse::Sse::new(futures::stream::iter((0..5).map(frame)))
    };
    let view = async || {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "image/png".parse().unwrap());
        headers.insert("interlock-order", "abc".parse().unwrap());
        headers.insert("interlock-viewpoint", "3".parse().unwrap());
        headers.insert("set-cookie", "__Host-interlock=evil".parse().unwrap());
        (headers, vec![0x89, b'P', b'N', b'G']).into_response()
    };
    let stop = async |State(stops): State<Arc<Mutex<Vec<Value>>>>, Json(body): Json<Value>| {
        stops.lock().unwrap().push(body);
        Json(json!({ "stopped": true }))
    };
    let router = Router::new()
        .route("/status", get(async move || Json(status)))
        .route("/live", get(live))
        .route("/view", get(view))
        .route("/stop", post(stop))
        .with_state(stops);
    listen(&node, router).await;
}
