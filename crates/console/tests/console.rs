//! The console over real sockets: who gets in, how long, and what every answer
//! carries.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use api::console::{Challenge, Me, SessionCard};
use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    response::sse::{Event, Sse},
    routing::{get, post},
};
use base::{Bytes, Digest, Id, Millis, sha256};
use console::{Console, Directory, Origin, Person, Settings, headers, sessions::Terms, sign_in};
use futures::StreamExt;
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

const ORIGIN: &str = "http://localhost:7450";
const IDLE: u64 = 15 * 60_000;

thread_local! {
    /// The console's clock; a test's server runs in the test's own thread.
    static NOW: Cell<u64> = const { Cell::new(1_000_000) };
}

fn clock() -> Millis {
    Millis(NOW.get())
}

fn later(ms: u64) {
    NOW.set(NOW.get() + ms);
}

#[derive(Default)]
struct People(Mutex<Vec<Person>>);

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

struct House {
    people: Arc<People>,
    address: SocketAddr,
    client: Client,
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
    async fn open() -> Self {
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

    fn enrol(&self, member: &str) -> Authenticator {
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
    fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        self.client.request(method, url).header(header::HOST, "localhost:7450")
    }

    /// A request as the console's own page makes it.
    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.bare(method.clone(), path).header("sec-fetch-site", "same-origin");
        if method == Method::GET { request } else { request.header(header::ORIGIN, ORIGIN) }
    }

    async fn challenge(&self) -> Vec<u8> {
        let answer = self.ask(Method::POST, "/console/v1/challenges").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json::<Challenge>().await.unwrap().nonce.0
    }

    async fn answer(
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

    async fn sign_in(&self, person: &Authenticator) -> (String, Me) {
        let nonce = self.challenge().await;
        let assertion = person.get(&sign_in::digest(ORIGIN, &nonce)).unwrap();
        let answer = self.answer(&nonce, &person.passkey().credential, assertion).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        (cookie, answer.json().await.unwrap())
    }

    async fn status(&self, request: RequestBuilder) -> StatusCode {
        request.send().await.unwrap().status()
    }

    /// Who the console says holds this cookie.
    async fn who(&self, cookie: &str) -> Option<String> {
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

#[tokio::test]
async fn a_passkey_opens_a_session_and_signing_out_ends_it() {
    let house = House::open().await;
    let ana = house.enrol("ana");
    let (cookie, me) = house.sign_in(&ana).await;
    assert_eq!((me.member.as_str(), me.name.as_str()), ("ana", "ANA"));
    assert_eq!(me.roles, ["operator"]);
    assert_eq!(me.credential, ana.passkey().credential);
    assert_eq!(me.key, PublicKey::Passkey(ana.passkey()).fingerprint());
    assert_eq!(house.who(&cookie).await.as_deref(), Some("ana"));
    let show = house.ask(Method::GET, "/console/v1/session").header(header::COOKIE, &cookie);
    assert_eq!(show.send().await.unwrap().json::<Me>().await.unwrap(), me);

    let out = house.ask(Method::DELETE, "/console/v1/session").header(header::COOKIE, &cookie);
    let out = out.send().await.unwrap();
    assert_eq!(out.status(), StatusCode::NO_CONTENT);
    let gone = out.headers()[header::SET_COOKIE].to_str().unwrap();
    assert_eq!(gone, "__Host-interlock=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
    assert_eq!(house.who(&cookie).await, None);
}

#[tokio::test]
async fn the_cookie_is_out_of_reach_of_scripts_other_hosts_and_other_sites() {
    let house = House::open().await;
    let ana = house.enrol("ana");
    let nonce = house.challenge().await;
    let assertion = ana.get(&sign_in::digest(ORIGIN, &nonce)).unwrap();
    let answer = house.answer(&nonce, &ana.passkey().credential, assertion).await;
    let cookies: Vec<_> = answer.headers().get_all(header::SET_COOKIE).iter().collect();
    assert_eq!(cookies.len(), 1);
    let cookie = cookies[0].to_str().unwrap();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Strict");
    let token = pair.strip_prefix("__Host-interlock=").unwrap();
    let token: Bytes = serde_json::from_value(token.into()).unwrap();
    assert_eq!(token.0.len(), 32);
}

#[tokio::test]
async fn a_new_sign_in_replaces_the_browsers_old_session() {
    let house = House::open().await;
    let ana = house.enrol("ana");
    let (old, _) = house.sign_in(&ana).await;
    let nonce = house.challenge().await;
    let body = serde_json::json!({
        "nonce": Bytes(nonce.clone()), "credential": ana.passkey().credential,
        "assertion": ana.get(&sign_in::digest(ORIGIN, &nonce)).unwrap(),
    });
    let again = house.ask(Method::POST, "/console/v1/sessions").header(header::COOKIE, &old);
    assert_eq!(house.status(again.body(body.to_string())).await, StatusCode::OK);
    assert_eq!(house.who(&old).await, None);
}

#[tokio::test]
async fn a_person_sees_and_ends_its_own_sessions_and_nobody_elses() {
    let house = House::open().await;
    let (ana, bob) = (house.enrol("ana"), house.enrol("bob"));
    let (first, _) = house.sign_in(&ana).await;
    later(1000);
    let (second, _) = house.sign_in(&ana).await;
    let (third, _) = house.sign_in(&ana).await;
    let (other, _) = house.sign_in(&bob).await;
    let list = async |cookie: &str| -> Vec<SessionCard> {
        let request = house.ask(Method::GET, "/console/v1/sessions");
        let answer = request.header(header::COOKIE, cookie).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    };
    let end = async |cookie: &str, path: &str| {
        let request = house.ask(Method::DELETE, &format!("/console/v1/sessions{path}"));
        request.header(header::COOKIE, cookie).send().await.unwrap()
    };
    later(500);
    let mine = list(&first).await;
    assert_eq!(mine.len(), 3);
    let oldest = mine.last().unwrap();
    assert!(oldest.current && mine.iter().filter(|s| s.current).count() == 1);
    assert_eq!(oldest.last_used_at.0, oldest.created_at.0 + 1500, "asking is doing something");
    assert_eq!(mine[0].last_used_at, mine[0].created_at);
    assert!(mine.iter().all(|s| s.address == "127.0.0.1" && s.id.len() == 16));
    let theirs = list(&other).await;
    assert_eq!(theirs.len(), 1);

    // What one names must be one's own, whole, and there.
    for id in [&theirs[0].id, "0000000000000000", &oldest.id[..8], ""] {
        let path = format!("/{id}");
        let status = end(&first, &path).await.status();
        assert!([StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&status), "{id}");
    }
    assert!(house.who(&other).await.is_some());
    assert_eq!(list(&first).await.len(), 3);
    let named = list(&second).await.into_iter().find(|s| s.current).unwrap();
    let ended = end(&first, &format!("/{}", named.id)).await;
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    assert!(ended.headers().get(header::SET_COOKIE).is_none(), "the one that asks goes on");
    assert_eq!(house.who(&second).await, None);
    assert!(house.who(&third).await.is_some());

    assert_eq!(end(&first, "").await.status(), StatusCode::NO_CONTENT);
    assert_eq!(house.who(&third).await, None);
    assert!(house.who(&first).await.is_some() && house.who(&other).await.is_some());
    let ended = end(&first, &format!("/{}", oldest.id)).await;
    assert!(ended.headers()[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(house.who(&first).await, None);

    // Nobody is nobody's owner, and another site's page ends nothing.
    for (method, path) in [
        (Method::GET, "/console/v1/sessions"),
        (Method::DELETE, "/console/v1/sessions"),
        (Method::DELETE, "/console/v1/sessions/0000000000000000"),
    ] {
        let nobody = house.ask(method.clone(), path).header(header::COOKIE, &first);
        assert_eq!(house.status(nobody).await, StatusCode::UNAUTHORIZED, "{method} {path}");
        let strange = house.bare(method.clone(), path).header(header::COOKIE, &other);
        let strange = strange.header("sec-fetch-site", "cross-site");
        assert_eq!(house.status(strange).await, StatusCode::FORBIDDEN, "{method} {path}");
    }
    assert!(house.who(&other).await.is_some());
}

#[tokio::test]
async fn an_ended_session_ends_its_streams() {
    let house = House::open().await;
    let ana = house.enrol("ana");
    let (watching, _) = house.sign_in(&ana).await;
    let (ending, _) = house.sign_in(&ana).await;
    let open = house.ask(Method::GET, "/api/v1/stream").header(header::COOKIE, &watching);
    let mut stream = open.send().await.unwrap().bytes_stream();
    assert!(stream.next().await.is_some());
    let end = house.ask(Method::DELETE, "/console/v1/sessions").header(header::COOKIE, &ending);
    assert_eq!(house.status(end).await, StatusCode::NO_CONTENT);
    let ends = async { while stream.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), ends).await.expect("the stream ends");
}

#[tokio::test]
async fn a_challenge_is_answered_once_and_in_time() {
    let house = House::open().await;
    let ana = house.enrol("ana");
    let credential = ana.passkey().credential;
    let nonce = house.challenge().await;
    let assertion = ana.get(&sign_in::digest(ORIGIN, &nonce)).unwrap();
    let first = house.answer(&nonce, &credential, assertion.clone()).await;
    assert_eq!(first.status(), StatusCode::OK);
    let second = house.answer(&nonce, &credential, assertion).await;
    assert_eq!(second.status(), StatusCode::UNAUTHORIZED);
    assert!(second.headers().get(header::SET_COOKIE).is_none());

    let nonce = house.challenge().await;
    later(2 * 60_000);
    let assertion = ana.get(&sign_in::digest(ORIGIN, &nonce)).unwrap();
    let late = house.answer(&nonce, &credential, assertion).await;
    assert_eq!(late.status(), StatusCode::UNAUTHORIZED);

    let invented = vec![7; 32];
    let assertion = ana.get(&sign_in::digest(ORIGIN, &invented)).unwrap();
    let invented = house.answer(&invented, &credential, assertion).await;
    assert_eq!(invented.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn only_this_persons_passkey_over_this_challenge_at_this_origin_signs_in() {
    let house = House::open().await;
    let (ana, bob) = (house.enrol("ana"), house.enrol("bob"));
    let stranger = Authenticator::new("localhost", ORIGIN).unwrap();
    let elsewhere = "http://localhost:7451";
    let (credential, other) = (ana.passkey().credential, bob.passkey().credential);
    let refused = [
        ("another page", &credential, &ana, elsewhere, ORIGIN, 0x05),
        ("a challenge of another console", &credential, &ana, ORIGIN, elsewhere, 0x05),
        ("nobody verified", &credential, &ana, ORIGIN, ORIGIN, 0x01),
        ("another's credential", &other, &ana, ORIGIN, ORIGIN, 0x05),
        ("a stranger's key", &credential, &stranger, ORIGIN, ORIGIN, 0x05),
        ("a stranger", &stranger.passkey().credential, &stranger, ORIGIN, ORIGIN, 0x05),
    ];
    for (name, credential, signer, page, challenged, flags) in refused {
        let nonce = house.challenge().await;
        let assertion = signer.get_on(page, &sign_in::digest(challenged, &nonce), flags).unwrap();
        let answer = house.answer(&nonce, credential, assertion).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{name}");
        assert!(answer.headers().get(header::SET_COOKIE).is_none(), "{name}");
    }
    // What an entry's signature covers is never a sign-in.
    let nonce = house.challenge().await;
    let over_entry = ana.get(&sha256(&nonce)).unwrap();
    let answer = house.answer(&nonce, &credential, over_entry).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    // A passkey that was enrolled for another address of the same host.
    let moved = Authenticator::new("localhost", elsewhere).unwrap();
    house.people.0.lock().unwrap()[0].passkey = moved.passkey();
    let nonce = house.challenge().await;
    let assertion = moved.get(&sign_in::digest(ORIGIN, &nonce)).unwrap();
    let answer = house.answer(&nonce, &moved.passkey().credential, assertion).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_ends_when_idle_and_pages_do_not_keep_it_alive_by_themselves() {
    let house = House::open().await;
    let (cookie, _) = house.sign_in(&house.enrol("ana")).await;
    later(IDLE - 1);
    assert!(house.who(&cookie).await.is_some(), "a request begins the idle time anew");
    later(IDLE - 1);
    let by_itself = house
        .ask(Method::GET, "/api/v1/who")
        .header(header::COOKIE, &cookie)
        .header("interlock-background", "true");
    assert_eq!(house.status(by_itself).await, StatusCode::OK);
    let listening = house
        .ask(Method::GET, "/api/v1/stream")
        .header(header::COOKIE, &cookie)
        .header(header::ACCEPT, "text/event-stream");
    assert_eq!(house.status(listening).await, StatusCode::OK);
    later(1);
    assert_eq!(house.who(&cookie).await, None);
}

#[tokio::test]
async fn a_session_ends_after_its_whole_time_whatever_happens() {
    let house = House::open().await;
    let (cookie, me) = house.sign_in(&house.enrol("ana")).await;
    while NOW.get() + IDLE / 2 < me.expires_at.0 {
        later(IDLE / 2);
        assert!(house.who(&cookie).await.is_some());
    }
    later(IDLE / 2);
    assert_eq!(house.who(&cookie).await, None);
}

#[tokio::test]
async fn a_revoked_passkey_ends_its_session_and_its_streams_at_once() {
    let house = House::open().await;
    let (cookie, _) = house.sign_in(&house.enrol("ana")).await;
    let (other, _) = house.sign_in(&house.enrol("bob")).await;
    let open =
        |cookie: &str| house.ask(Method::GET, "/api/v1/stream").header(header::COOKIE, cookie);
    let mut stream = open(&cookie).send().await.unwrap().bytes_stream();
    assert!(stream.next().await.is_some());
    house.people.0.lock().unwrap().retain(|p| p.member.as_str() != "ana");
    assert_eq!(house.who(&cookie).await, None);
    let ends = async { while stream.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), ends).await.expect("the stream ends");
    assert_eq!(house.who(&other).await.as_deref(), Some("bob"));
}

#[tokio::test]
async fn each_member_holds_only_so_many_streams() {
    let house = House::open().await;
    let (cookie, _) = house.sign_in(&house.enrol("ana")).await;
    let open = || house.ask(Method::GET, "/api/v1/stream").header(header::COOKIE, &cookie).send();
    let mut held = Vec::new();
    for _ in 0..8 {
        let answer = open().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        held.push(answer);
    }
    assert_eq!(open().await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
    held.pop();
    let room = async {
        while open().await.unwrap().status() != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), room).await.expect("a closed stream makes room");
}

#[tokio::test]
async fn without_a_session_every_closed_address_is_closed() {
    let house = House::open().await;
    for cookie in [
        "",
        "__Host-interlock=",
        "__Host-interlock=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "interlock=AAAA",
        "__Host-interlock=../../etc/passwd; a=b",
    ] {
        for path in ["/api/v1/who", "/api/v1/forgetful", "/api/v1/stream", "/console/v1/session"] {
            let request = house.ask(Method::GET, path).header(header::COOKIE, cookie);
            assert_eq!(house.status(request).await, StatusCode::UNAUTHORIZED, "{path} {cookie}");
        }
        let act = house.ask(Method::POST, "/api/v1/act").header(header::COOKIE, cookie);
        assert_eq!(house.status(act).await, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn only_the_consoles_own_page_acts() {
    let house = House::open().await;
    let (cookie, _) = house.sign_in(&house.enrol("ana")).await;
    let act = |named: &[(&'static str, &'static str)]| {
        let mut request = house.bare(Method::POST, "/api/v1/act").header(header::COOKIE, &cookie);
        for (name, value) in named {
            request = request.header(*name, *value);
        }
        house.status(request)
    };
    for allowed in [
        &[("origin", ORIGIN)][..],
        &[("sec-fetch-site", "same-origin")],
        &[("origin", ORIGIN), ("sec-fetch-site", "same-origin")],
    ] {
        assert_eq!(act(allowed).await, StatusCode::OK, "{allowed:?}");
    }
    for refused in [
        &[][..],
        &[("origin", "null")],
        &[("origin", "https://evil.example")],
        &[("origin", "http://localhost:7451")],
        &[("origin", "http://localhost:7450.evil.example")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", ORIGIN), ("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
        &[("origin", ORIGIN), ("origin", "https://evil.example")],
    ] {
        assert_eq!(act(refused).await, StatusCode::FORBIDDEN, "{refused:?}");
    }
    // Signing in and out as well, and reading the API from another site's page.
    for (method, path) in [
        (Method::POST, "/console/v1/challenges"),
        (Method::POST, "/console/v1/sessions"),
        (Method::DELETE, "/console/v1/session"),
    ] {
        assert_eq!(house.status(house.bare(method, path)).await, StatusCode::FORBIDDEN);
    }
    let read = house
        .bare(Method::GET, "/api/v1/who")
        .header(header::COOKIE, &cookie)
        .header("sec-fetch-site", "cross-site");
    assert_eq!(house.status(read).await, StatusCode::FORBIDDEN);
    let link = house.bare(Method::GET, "/runs/7").header("sec-fetch-site", "cross-site");
    assert_eq!(house.status(link).await, StatusCode::OK, "a page may be opened from anywhere");
}

#[tokio::test]
async fn another_host_name_is_not_this_console() {
    let house = House::open().await;
    for host in ["evil.example", "localhost", "localhost:7451", "127.0.0.1:7450"] {
        let request = house.client.get(format!("http://{}/api/v1/who", house.address));
        let status = house.status(request.header(header::HOST, host)).await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    let typed = house.client.get(format!("http://{}/runs?x=1", house.address));
    let typed = typed.header(header::ACCEPT, "text/html").send().await.unwrap();
    assert_eq!(typed.status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(typed.headers()[header::LOCATION], "http://localhost:7450/");
}

#[tokio::test]
async fn too_many_attempts_from_one_address_wait() {
    let house = House::open().await;
    let challenge = || house.status(house.ask(Method::POST, "/console/v1/challenges"));
    for _ in 0..60 {
        assert_eq!(challenge().await, StatusCode::OK);
    }
    assert_eq!(challenge().await, StatusCode::TOO_MANY_REQUESTS);
    let sign_in = house.ask(Method::POST, "/console/v1/sessions").body("{}");
    assert_eq!(house.status(sign_in).await, StatusCode::TOO_MANY_REQUESTS);
    later(60_000);
    assert_eq!(challenge().await, StatusCode::OK);
}

#[tokio::test]
async fn every_answer_carries_the_browsers_defences() {
    let house = House::open().await;
    let (cookie, _) = house.sign_in(&house.enrol("ana")).await;
    let big = "x".repeat(20_000);
    let answers = [
        (200, house.ask(Method::GET, "/")),
        (200, house.ask(Method::GET, "/runs/7")),
        (200, house.ask(Method::GET, "/console/v1/plant")),
        (200, house.ask(Method::GET, "/api/v1/who").header(header::COOKIE, &cookie)),
        (200, house.ask(Method::POST, "/console/v1/challenges")),
        (400, house.ask(Method::POST, "/console/v1/sessions").body("{")),
        (401, house.ask(Method::GET, "/api/v1/who")),
        (403, house.bare(Method::POST, "/console/v1/challenges")),
        (404, house.ask(Method::GET, "/assets/none.js")),
        (404, house.ask(Method::GET, "/api/v1/nothing")),
        (405, house.ask(Method::PUT, "/console/v1/plant")),
        (
            413,
            house
                .ask(Method::POST, "/api/v1/act")
                .header(header::COOKIE, &cookie)
                .body(big.clone()),
        ),
        (
            413,
            house
                .ask(Method::POST, "/api/v1/act")
                .header(header::COOKIE, &cookie)
                .body("x".repeat(2_000)),
        ),
        (421, house.client.get(format!("http://{}/", house.address))),
    ];
    for (status, request) in answers {
        let answer = request.send().await.unwrap();
        let url = answer.url().path().to_owned();
        assert_eq!(answer.status().as_u16(), status, "{url}");
        let said = |name: &str| {
            let values: Vec<_> = answer.headers().get_all(name).iter().collect();
            assert_eq!(values.len(), 1, "{status} {url}: {name}");
            values[0].to_str().unwrap().to_owned()
        };
        let policy = said("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"));
        for part in ["frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"] {
            assert!(policy.contains(part));
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(said("x-content-type-options"), "nosniff");
        assert_eq!(said("referrer-policy"), "no-referrer");
        assert_eq!(said("cross-origin-opener-policy"), "same-origin");
        assert_eq!(said("cross-origin-resource-policy"), "same-origin");
        assert!(said("permissions-policy").contains("publickey-credentials-get=(self)"));
        let page = status == 200 && ["/", "/runs/7"].contains(&url.as_str());
        assert_eq!(said("cache-control"), if page { "no-cache" } else { "no-store" });
        assert!(answer.headers().get("access-control-allow-origin").is_none());
        assert!(answer.headers().get("server").is_none());
        assert!(answer.headers().get("strict-transport-security").is_none(), "no TLS here");
    }
    let mut answer = axum::response::Response::default();
    headers::dress(&mut answer, true);
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=63072000");
}
