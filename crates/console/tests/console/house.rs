//! A console at work, and a browser before it.

use api::console::{Challenge, Me};
use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    response::sse::{Event, Sse},
    routing::{get, post},
};
use base::{Bytes, Digest, Id, Millis};
use console::{Console, Directory, Origin, Person, Settings, headers, sessions::Terms, sign_in};
use proof::keys::PublicKey;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, header};
use std::{
    cell::Cell,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use testkit::authenticator::Authenticator;
use tokio::{net::TcpListener, sync::oneshot};
use transport::{Limits, Peer, Server};

pub const ORIGIN: &str = "http://localhost:7450";
pub const IDLE: u64 = 15 * 60_000;

thread_local! {
    /// The console's clock; a test's server runs in the test's own thread.
    pub static NOW: Cell<u64> = const { Cell::new(1_000_000) };
}

fn clock() -> Millis {
    Millis(NOW.get())
}

pub fn later(ms: u64) {
    NOW.set(NOW.get() + ms);
}

#[derive(Default)]
pub struct People(pub Mutex<Vec<Person>>);

impl Directory for People {
    fn by_credential(&self, credential: &Bytes) -> Vec<Person> {
        let people = self.0.lock().unwrap();
        people.iter().filter(|p| p.passkey.credential == *credential).cloned().collect()
    }

    fn by_key(&self, member: &Id, key: &Digest) -> Option<Person> {
        let people = self.0.lock().unwrap();
        people.iter().find(|p| p.member == *member && p.key == *key).cloned()
    }
}

pub struct House {
    pub people: Arc<People>,
    pub address: SocketAddr,
    pub client: Client,
    _stop: oneshot::Sender<()>,
}

/// An endless stream that says something now and then.
async fn stream(_: Peer) -> Sse<impl futures::Stream<Item = Result<Event, Infallible>>> {
    Sse::new(futures::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Ok(Event::default().data("tick")), ()))
    }))
}

impl House {
    pub async fn open() -> Self {
        transport::install_crypto_provider();
        let people = Arc::new(People::default());
        let terms = Terms { idle_ms: IDLE, whole_ms: 8 * 3_600_000, per_member: 8, total: 64 };
        let settings = Settings { origin: Origin::parse(ORIGIN).unwrap(), terms, clock };
        let console = Console::new(settings, people.clone());
        let closed = Router::new()
            .route("/api/v1/who", get(async |peer: Peer| peer.member.to_string()))
            .route("/api/v1/forgetful", get(async || "for anybody, by mistake"))
            .route(
                "/api/v1/act",
                post(async |_: Peer, body: axum::body::Bytes| body.len().to_string()),
            )
            .route("/api/v1/stream", get(stream))
            .layer(DefaultBodyLimit::max(1000));
        let open = Router::new().route("/console/v1/plant", get(async || Json("plant")));
        let server = Server::plain(console::router(&console, open, closed))
            .limits(Limits { body: 10_000, ..Limits::default() })
            .on_answer(|answer| headers::dress(answer, false));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(server.run(listener, async {
            let _ = stopped.await;
        }));
        let client = Client::builder().redirect(reqwest::redirect::Policy::none());
        Self { people, address, client: client.build().unwrap(), _stop: stop }
    }

    pub fn enrol(&self, member: &str) -> Authenticator {
        let authenticator = Authenticator::new("localhost", ORIGIN).unwrap();
        let passkey = authenticator.passkey();
        self.people.0.lock().unwrap().push(Person {
            member: member.parse().unwrap(),
            name: member.to_uppercase(),
            roles: vec!["operator".into()],
            key: PublicKey::Passkey(passkey.clone()).fingerprint(),
            passkey,
            seal: None,
        });
        authenticator
    }

    /// A request as nobody in particular makes it, to the right host.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        self.client.request(method, url).header(header::HOST, "localhost:7450")
    }

    /// A request as the console's own page makes it.
    pub fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.bare(method.clone(), path).header("sec-fetch-site", "same-origin");
        if method == Method::GET { request } else { request.header(header::ORIGIN, ORIGIN) }
    }

    pub async fn challenge(&self) -> Vec<u8> {
        let answer = self.ask(Method::POST, "/console/v1/challenges").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json::<Challenge>().await.unwrap().nonce.0
    }

    pub async fn answer(
        &self,
        nonce: &[u8],
        credential: &Bytes,
        assertion: proof::webauthn::Assertion,
    ) -> Response {
        let body = serde_json::json!({
            "nonce": Bytes(nonce.to_vec()), "credential": credential, "assertion": assertion,
        });
        self.ask(Method::POST, "/console/v1/sessions").body(body.to_string()).send().await.unwrap()
    }

    pub async fn sign_in(&self, person: &Authenticator) -> (String, Me) {
        let nonce = self.challenge().await;
        let assertion = person.get(&sign_in::digest(ORIGIN, &nonce)).unwrap();
        let answer = self.answer(&nonce, &person.passkey().credential, assertion).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        (cookie, answer.json().await.unwrap())
    }

    pub async fn status(&self, request: RequestBuilder) -> StatusCode {
        request.send().await.unwrap().status()
    }

    /// Who the console says holds this cookie.
    pub async fn who(&self, cookie: &str) -> Option<String> {
        let request = self.ask(Method::GET, "/api/v1/who").header(header::COOKIE, cookie);
        let answer = request.send().await.unwrap();
        match answer.status() {
            StatusCode::OK => Some(answer.text().await.unwrap()),
            status => {
                assert_eq!(status, StatusCode::UNAUTHORIZED);
                None
            }
        }
    }
}
