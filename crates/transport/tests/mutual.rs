//! Servers and clients over real sockets, and a foreign client (OpenSSL).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use axum::{
    Router,
    body::Bytes,
    routing::{get, post},
};
use base::{Id, Millis};
use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use transport::{
    Authority, ClientAuth, Counters, Identity, Issued, Limits, Peer, Server, Trust, Validity,
    client::{self, AnswerError},
};

fn now() -> Millis {
    Millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64)
}

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn authority() -> Authority {
    Authority::new(&id("plant"), Validity::days(now(), 30)).unwrap()
}

fn leaf(authority: &Authority, member: &str) -> Issued {
    authority.issue(&id(member), &["127.0.0.1".to_owned()], Validity::days(now(), 7)).unwrap()
}

fn identity(issued: &Issued) -> Identity {
    Identity::from_pem(&issued.cert_pem, &issued.key_pem).unwrap()
}

fn client(trusted: &Authority, own: Option<&Issued>, server: Option<&str>) -> reqwest::Client {
    let trust = Trust::from_pem(trusted.certificate()).unwrap();
    let own = own.map(identity);
    client::connect(&trust, own.as_ref(), server.map(id).as_ref()).unwrap()
}

fn router() -> Router {
    Router::new()
        .route(
            "/who",
            get(|peer: Peer| async move { format!("{} {}", peer.member, peer.credential) }),
        )
        .route("/open", get(|peer: Option<Peer>| async move { format!("{}", peer.is_some()) }))
        .route("/put", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/never", get(std::future::pending::<String>))
        .route(
            "/slow",
            get(|| async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                "done"
            }),
        )
}

struct Running {
    address: SocketAddr,
    counters: Arc<Counters>,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Running {
    async fn start(authority: &Authority, auth: ClientAuth, limits: Limits) -> Self {
        let trust = Trust::from_pem(authority.certificate()).unwrap();
        let own = identity(&leaf(authority, "site"));
        let server = Server::new(router(), &trust, &own, auth).unwrap().limits(limits);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let counters = server.counters();
        let task = tokio::spawn(server.run(listener, async move {
            let _ = stopped.await;
        }));
        Self { address, counters, stop: Some(stop), task }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_member_is_seen_by_name() {
    let authority = authority();
    let server = Running::start(&authority, ClientAuth::Required, Limits::default()).await;
    let cell = leaf(&authority, "cell-1");
    let expected = format!("cell-1 {}", identity(&cell).digest());

    let http = client(&authority, Some(&cell), Some("site"));
    let response = http.get(server.url("/who")).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert_eq!(client::read(response, 1000).await.unwrap(), expected.as_bytes());

    let http = client::build(authority.certificate(), &cell.cert_pem, &cell.key_pem).unwrap();
    let response = http.get(server.url("/who")).send().await.unwrap();
    assert!(matches!(
        client::read(response, 10).await,
        Err(AnswerError::Unexpected { reason, .. }) if reason.contains("more than 10 bytes")
    ));
    server.stop().await;
}

#[tokio::test]
async fn other_certificates_are_refused() {
    let (ours, other) = (authority(), authority());
    let server = Running::start(&ours, ClientAuth::Required, Limits::default()).await;
    let expired = ours
        .issue(
            &id("cell-1"),
            &[],
            Validity {
                not_before: Millis(now().0 - 2_000_000),
                not_after: Millis(now().0 - 60_000),
            },
        )
        .unwrap();
    let early = ours
        .issue(
            &id("cell-1"),
            &[],
            Validity { not_before: now().plus(3_600_000), not_after: now().plus(7_200_000) },
        )
        .unwrap();
    let refused = [
        ("no certificate", None),
        ("another authority of the same site name", Some(leaf(&other, "cell-1"))),
        ("expired", Some(expired)),
        ("not valid yet", Some(early)),
        ("another site's name under our root", Some(foreign_name(&ours))),
    ];
    for (case, issued) in &refused {
        let sent = client(&ours, issued.as_ref(), None).get(server.url("/open")).send().await;
        assert!(sent.is_err(), "{case}: {sent:?}");
    }
    assert_eq!(server.counters.served.load(Relaxed), 0);
    assert!(server.counters.handshake_failed.load(Relaxed) >= refused.len() as u64);
    server.stop().await;
}

/// A leaf signed by our root whose name is in another site's namespace.
fn foreign_name(ours: &Authority) -> Issued {
    use rcgen::{CertificateParams, Issuer, KeyPair, SanType};
    let dir = tempfile::tempdir().unwrap();
    ours.save(dir.path()).unwrap();
    let root = KeyPair::from_pem(&std::fs::read_to_string(dir.path().join("ca.key")).unwrap());
    let issuer = Issuer::from_ca_cert_pem(ours.certificate(), root.unwrap()).unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names =
        vec![SanType::URI("urn:interlock:elsewhere:cell-1".try_into().unwrap())];
    let key = KeyPair::generate().unwrap();
    let cert = params.signed_by(&key, &issuer).unwrap();
    Issued { cert_pem: cert.pem(), key_pem: key.serialize_pem().into() }
}

/// Trust in the roots of these authorities, as a ledger states it.
fn stated(authorities: &[&Authority], since: u64) -> Trust {
    let alone = |a: &&Authority| Trust::from_pem(a.certificate()).unwrap().certificates();
    let roots: Vec<Vec<u8>> = authorities.iter().flat_map(alone).collect();
    Trust::stated(&id("plant"), roots.iter().map(Vec::as_slice), since).unwrap()
}

#[tokio::test]
async fn roots_are_replaced_under_a_running_server_and_client() {
    let (old, new) = (authority(), authority());
    let trust = Trust::from_pem(old.certificate()).unwrap();
    let server =
        Server::new(router(), &trust, &identity(&leaf(&old, "site")), ClientAuth::Required)
            .unwrap()
            .limits(Limits { drain: Duration::from_millis(500), ..Limits::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = |path: &str| format!("https://{}{path}", listener.local_addr().unwrap());
    let (who, never) = (url("/who"), url("/never"));
    let task = tokio::spawn(server.run(listener, std::future::pending()));
    let client = |trust: &Trust, own: &Authority| {
        client::connect(trust, Some(&identity(&leaf(own, "cell-1"))), Some(&id("site"))).unwrap()
    };
    let ask = async |http: &reqwest::Client| http.get(&who).send().await.map(|_| ());

    let towards_old = Trust::from_pem(old.certificate()).unwrap();
    let (first, second) = (client(&towards_old, &old), client(&towards_old, &new));
    ask(&first).await.unwrap();
    assert!(ask(&second).await.is_err(), "a root that nobody stated");
    trust.replace(&stated(&[&old, &new], 7)).unwrap();
    ask(&second).await.unwrap();

    // One that is withdrawn ends what it vouched for: the connection that is open, and
    // a request on it that would last for ever.
    let lasting = tokio::spawn(first.get(never).send());
    tokio::time::sleep(Duration::from_millis(100)).await;
    trust.replace(&stated(&[&new], 9)).unwrap();
    assert!(lasting.await.unwrap().is_err(), "it was cut");
    assert!(ask(&first).await.is_err(), "a new handshake with an old certificate");
    // The server's own certificate is still the old one: who trusts the new root only
    // does not talk to it, and a client that is running learns that, too.
    ask(&second).await.unwrap();
    let later = client(&towards_old, &new);
    towards_old.replace(&stated(&[&new], 9)).unwrap();
    assert!(ask(&later).await.is_err());
    task.abort();
}

#[test]
fn only_authorities_of_one_site_are_trusted_and_a_file_keeps_since_when() {
    let (old, new) = (authority(), authority());
    let both = stated(&[&old, &new], 7);
    let again = Trust::from_pem(&both.to_pem()).unwrap();
    assert_eq!((again.certificates(), again.since()), (both.certificates(), Some(7)));
    assert_eq!(Trust::from_pem(old.certificate()).unwrap().since(), None);
    assert_eq!(Trust::from_pem(old.certificate()).unwrap().to_pem(), old.certificate());

    let other = Authority::new(&id("elsewhere"), Validity::days(now(), 30)).unwrap();
    let member = leaf(&old, "cell-1");
    for (case, pem) in [
        ("another site's", format!("{}{}", old.certificate(), other.certificate())),
        ("a member's", format!("{}{}", old.certificate(), member.cert_pem)),
        ("none", "In force from this entry of the ledger on: 7\n".to_owned()),
    ] {
        assert!(Trust::from_pem(&pem).is_err(), "{case}");
    }
    let foreign = Trust::from_pem(other.certificate()).unwrap();
    assert!(both.replace(&foreign).is_err());

    both.accepts(&identity(&member), now()).unwrap();
    assert!(stated(&[&new], 9).accepts(&identity(&member), now()).is_err());
    let ends = identity(&member).not_after().unwrap();
    assert!(ends < old.not_after() && ends > now());
}

#[tokio::test]
async fn a_client_talks_to_the_named_server_only() {
    let (ours, other) = (authority(), authority());
    let server = Running::start(&ours, ClientAuth::Required, Limits::default()).await;
    let cell = leaf(&ours, "cell-1");
    let error = client(&ours, Some(&cell), Some("ledger")).get(server.url("/who")).send().await;
    assert!(format!("{:?}", error.unwrap_err()).contains("urn:interlock:plant:ledger"));
    let untrusted = client(&other, Some(&cell), None).get(server.url("/who")).send().await;
    assert!(untrusted.is_err());
    server.stop().await;
}

#[tokio::test]
async fn an_open_address_takes_clients_without_certificate() {
    let (ours, other) = (authority(), authority());
    let server = Running::start(&ours, ClientAuth::Optional, Limits::default()).await;
    let anonymous = client(&ours, None, Some("site"));
    let response = anonymous.get(server.url("/open")).send().await.unwrap();
    assert_eq!(client::read(response, 100).await.unwrap(), b"false");
    let response = anonymous.get(server.url("/who")).send().await.unwrap();
    let Err(AnswerError::Problem(problem)) = client::read(response, 100).await else {
        panic!("a peer without certificate was served");
    };
    assert_eq!(problem.status, 401);
    assert!(problem.accepted.unwrap().contains("certificate"));

    let member = client(&ours, Some(&leaf(&ours, "cell-1")), None);
    let response = member.get(server.url("/open")).send().await.unwrap();
    assert_eq!(client::read(response, 100).await.unwrap(), b"true");
    let forged = client(&ours, Some(&leaf(&other, "cell-1")), None);
    assert!(forged.get(server.url("/open")).send().await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn a_browsers_address_asks_for_no_certificate_and_changes_every_answer() {
    let ours = authority();
    let trust = Trust::from_pem(ours.certificate()).unwrap();
    let server =
        Server::new(router(), &trust, &identity(&leaf(&ours, "site")), ClientAuth::Unasked)
            .unwrap()
            .limits(Limits { body: 10, ..Limits::default() })
            .on_answer(|answer| {
                answer.headers_mut().insert("x-seen", "yes".parse().unwrap());
            });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(server.run(listener, async {
        let _ = stopped.await;
    }));
    let url = |path: &str| format!("https://{address}{path}");
    let cell = leaf(&ours, "cell-1");
    for own in [None, Some(&cell)] {
        let answer = client(&ours, own, Some("site")).get(url("/open")).send().await.unwrap();
        assert_eq!(answer.headers()["x-seen"], "yes");
        assert_eq!(client::read(answer, 100).await.unwrap(), b"false", "nobody was asked");
    }
    let refused = client(&ours, None, None).post(url("/put")).body(vec![0; 11]).send();
    let refused = refused.await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["x-seen"]),
        (413, &"yes".parse().unwrap())
    );
    stop.send(()).unwrap();
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn bodies_and_times_are_bounded() {
    let ours = authority();
    let limits = Limits { body: 1000, request: Duration::from_millis(200), ..Limits::default() };
    let server = Running::start(&ours, ClientAuth::Required, limits).await;
    let http = client(&ours, Some(&leaf(&ours, "cell-1")), None);
    let put = |body: reqwest::Body| http.post(server.url("/put")).body(body).send();

    let response = put(vec![0; 1000].into()).await.unwrap();
    assert_eq!(client::read(response, 100).await.unwrap(), b"1000");
    let declared = put(vec![0; 1001].into()).await.unwrap();
    let pieces = (0..3).map(|_| Ok::<_, std::io::Error>(vec![0_u8; 500]));
    let undeclared = put(reqwest::Body::wrap_stream(futures::stream::iter(pieces))).await.unwrap();
    for response in [declared, undeclared] {
        let Err(AnswerError::Problem(problem)) = client::read(response, 100).await else {
            panic!("a body over the limit was taken");
        };
        assert_eq!(problem.status, 413);
    }
    let late = http.get(server.url("/never")).send().await.unwrap();
    assert_eq!(late.status(), 408);
    server.stop().await;
}

#[tokio::test]
async fn slow_clients_are_dropped() {
    let limits = Limits {
        handshake: Duration::from_millis(100),
        head: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = Running::start(&authority(), ClientAuth::Required, limits).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(silent.read(&mut [0; 64]).await.unwrap_or(0), 0, "closed without a byte");
    assert_eq!(server.counters.handshake_failed.load(Relaxed), 1);
    server.stop().await;

    let plain = Server::plain(router()).limits(limits);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(plain.run(listener, std::future::pending()));
    for beginning in ["", "GET /open HTTP/1.1\r\nhost: x\r\nslow"] {
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(beginning.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = slow.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{beginning}");
    }
    task.abort();
}

#[tokio::test]
async fn connections_are_counted_and_bounded() {
    let ours = authority();
    let limits = Limits { connections: 3, per_peer: 2, ..Limits::default() };
    let server = Running::start(&ours, ClientAuth::Required, limits).await;
    let asked = async |member: &str| {
        let http = client(&ours, Some(&leaf(&ours, member)), None);
        http.get(server.url("/open")).send().await.map(|_| http)
    };
    let mut held = Vec::new();
    for member in ["cell-1", "cell-1", "cell-2"] {
        held.push(asked(member).await.unwrap());
    }
    assert!(asked("cell-1").await.is_err(), "a third of one member");
    assert!(asked("cell-3").await.is_err(), "a fourth of all");
    assert_eq!(server.counters.over_limit.load(Relaxed), 2);
    drop(held);
    let free = async { while asked("cell-3").await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(20), free).await.expect("a place is free again");
    server.stop().await;
}

#[tokio::test]
async fn shutdown_finishes_requests_in_flight() {
    let ours = authority();
    let server = Running::start(&ours, ClientAuth::Required, Limits::default()).await;
    let http = client(&ours, Some(&leaf(&ours, "cell-1")), None);
    // The connection is up before the slow request, so that it is in flight for sure.
    http.get(server.url("/open")).send().await.unwrap();
    let slow = tokio::spawn(http.get(server.url("/slow")).send());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let url = server.url("/open");
    server.stop().await;
    let response = slow.await.unwrap().unwrap();
    assert_eq!(client::read(response, 100).await.unwrap(), b"done");
    assert!(http.get(url).send().await.is_err(), "the listener is closed");
}

#[tokio::test]
async fn plain_http_stays_on_loopback() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = Server::plain(router()).run(listener, std::future::pending()).await;
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn openssl_agrees() {
    let ours = authority();
    let server = Running::start(&ours, ClientAuth::Required, Limits::default()).await;
    let dir = tempfile::tempdir().unwrap();
    ours.save(dir.path()).unwrap();
    leaf(&ours, "cell-1").save(dir.path(), "cell-1").unwrap();
    leaf(&authority(), "cell-1").save(dir.path(), "forged").unwrap();

    let text = openssl(dir.path(), &["x509", "-in", "cell-1.pem", "-noout", "-text"], "").await;
    assert!(text.contains("URI:urn:interlock:plant:cell-1"), "{text}");
    let verified =
        openssl(dir.path(), &["verify", "-x509_strict", "-CAfile", "ca.pem", "cell-1.pem"], "");
    assert!(verified.await.contains("cell-1.pem: OK"));

    let connect = server.address.to_string();
    let ask = |name: &'static str, extra: &'static [&'static str]| {
        let (cert, key) = (format!("{name}.pem"), format!("{name}.key"));
        let (dir, connect) = (dir.path().to_owned(), connect.clone());
        async move {
            let mut args = vec!["s_client", "-connect", &connect, "-CAfile", "ca.pem", "-ign_eof"];
            args.extend(["-verify_return_error", "-cert", &cert, "-key", &key]);
            args.extend(extra);
            let request = "GET /who HTTP/1.1\r\nhost: plant\r\nconnection: close\r\n\r\n";
            openssl(&dir, &args, request).await
        }
    };
    let answer = ask("cell-1", &[]).await;
    assert!(answer.contains("TLSv1.3") && answer.contains("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("cell-1 "), "{answer}");
    assert!(!ask("cell-1", &["-tls1_2"]).await.contains("HTTP/1.1 200"));
    assert!(!ask("forged", &[]).await.contains("HTTP/1.1 200"));
    server.stop().await;
}

async fn openssl(dir: &Path, args: &[&str], input: &str) -> String {
    let mut command = Command::new("openssl");
    command.current_dir(dir).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let input = input.to_owned();
    let run = move || {
        let mut child = command.spawn().expect("openssl is installed");
        // A refused handshake may close the pipe before all is written.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
        let output = child.wait_with_output().unwrap();
        [output.stdout, output.stderr].concat()
    };
    String::from_utf8_lossy(&tokio::task::spawn_blocking(run).await.unwrap()).into_owned()
}
