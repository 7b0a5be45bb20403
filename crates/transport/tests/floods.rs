//! What a client that means harm can make a server hold: floods of connections, one
//! byte a second, answers that nobody reads, and the known attacks on HTTP/2. Each
//! over real sockets, and each time a member is served meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use axum::{
    Router,
    body::{Body, Bytes},
    routing::{get, post},
};
use base::{Id, Millis};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc,
    time::timeout,
};
use transport::{
    Authority, ClientAuth, Counters, Identity, Limits, Server, Trust, Validity, client,
    tls::client_config,
};

/// Longer than any bound here, so that what should end and does not fails the test.
const LONG: Duration = Duration::from_secs(30);

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

/// A plant's authority and a server with small bounds.
struct Site {
    authority: Authority,
    address: SocketAddr,
    counters: Arc<Counters>,
    /// Told when an endless answer's body is dropped.
    dropped: mpsc::UnboundedReceiver<()>,
}

struct Told(mpsc::UnboundedSender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

fn limits() -> Limits {
    Limits {
        handshakes: 8,
        handshake: Duration::from_secs(20),
        idle: Duration::from_secs(2),
        stall: Duration::from_millis(500),
        pace: 100_000,
        body: 1 << 20,
        ..Limits::default()
    }
}

fn endless(tell: mpsc::UnboundedSender<()>) -> Body {
    let told = Told(tell);
    let pieces = futures::stream::repeat_with(move || {
        let _held = &told;
        Ok::<_, Infallible>(Bytes::from_static(&[7; 4096]))
    });
    Body::from_stream(pieces)
}

fn validity() -> Validity {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    Validity::days(Millis(now as u64), 2)
}

impl Site {
    async fn start(tls: bool) -> Self {
        let authority = Authority::new(&id("plant"), validity()).unwrap();
        let (tell, dropped) = mpsc::unbounded_channel();
        let router = Router::new()
            .route("/open", get(|| async { "open" }))
            .route("/put", post(|body: Bytes| async move { body.len().to_string() }))
            .route("/large", get(|| async { vec![7_u8; 8 << 20] }))
            .route("/endless", get(move || std::future::ready(endless(tell.clone()))));
        let server = match tls {
            true => {
                let trust = Trust::from_pem(authority.certificate()).unwrap();
                let own = Self::identity(&authority, "site");
                Server::new(router, &trust, &own, ClientAuth::Required).unwrap()
            }
            false => Server::plain(router),
        };
        let server = server.limits(limits());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, counters) = (listener.local_addr().unwrap(), server.counters());
        tokio::spawn(server.run(listener, std::future::pending()));
        Self { authority, address, counters, dropped }
    }

    fn identity(authority: &Authority, member: &str) -> Identity {
        let issued = authority.issue(&id(member), &["127.0.0.1".to_owned()], validity()).unwrap();
        Identity::from_pem(&issued.cert_pem, &issued.key_pem).unwrap()
    }

    /// A connection over mutual TLS on which the test speaks for itself.
    async fn member(&self, protocol: &[u8]) -> tokio_rustls::client::TlsStream<TcpStream> {
        let trust = Trust::from_pem(self.authority.certificate()).unwrap();
        let own = Self::identity(&self.authority, "cell-1");
        let mut config = client_config(&trust, Some(&own), None).unwrap();
        config.alpn_protocols = vec![protocol.to_vec()];
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(self.address).await.unwrap();
        connector.connect("127.0.0.1".try_into().unwrap(), stream).await.unwrap()
    }

    /// An honest member is served.
    async fn serves(&self) {
        let trust = Trust::from_pem(self.authority.certificate()).unwrap();
        let own = Self::identity(&self.authority, "cell-2");
        let http = client::connect(&trust, Some(&own), None).unwrap();
        let asked = http.get(format!("https://{}/open", self.address)).send();
        let answer = timeout(LONG, asked).await.expect("an honest member waits").unwrap();
        assert_eq!(client::read(answer, 10).await.unwrap(), b"open");
    }
}

/// Reads until the server closes; what it said.
async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut said = Vec::new();
    let _ = timeout(LONG, stream.read_to_end(&mut said)).await.expect("it is not closed");
    said
}

#[tokio::test]
async fn strangers_from_many_addresses_keep_no_member_out() {
    let site = Site::start(true).await;
    let mut held = Vec::new();
    for nth in 0..120_u8 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 1, nth % 30 + 1], 0))).unwrap();
        held.push(socket.connect(site.address).await.unwrap());
        if nth % 40 == 39 {
            site.serves().await;
        }
    }
    // The oldest of them was cut off long before its handshake's time was over.
    until_closed(&mut held[0]).await;
    assert!(site.counters.ousted.load(Relaxed) >= 100, "eight wait at a time");
    assert_eq!(site.counters.over_limit.load(Relaxed), 0);
}

#[tokio::test]
async fn a_body_of_a_byte_at_a_time_is_cut() {
    let site = Site::start(false).await;
    let mut slow = TcpStream::connect(site.address).await.unwrap();
    let head = "POST /put HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n";
    slow.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = slow.into_split();
    let drip = tokio::spawn(async move {
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let said = until_closed(&mut reader).await;
    assert!(said.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&said));
    drip.abort();

    // One that pauses and keeps the pace is taken.
    let mut steady = TcpStream::connect(site.address).await.unwrap();
    steady.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..5 {
        steady.write_all(&[b'x'; 20_000]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut said = vec![0; 12];
    timeout(LONG, steady.read_exact(&mut said)).await.unwrap().unwrap();
    assert_eq!(said, b"HTTP/1.1 200");
}

#[tokio::test]
async fn an_answer_that_is_not_read_is_dropped() {
    let mut site = Site::start(false).await;
    let mut deaf = TcpStream::connect(site.address).await.unwrap();
    deaf.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    timeout(LONG, site.dropped.recv()).await.expect("it is held for ever").unwrap();

    // Over HTTP/2 nothing blocks: the client opens no window, or one of a byte.
    let mut site = Site::start(true).await;
    let mut builder = h2::client::Builder::new();
    let stream = site.member(b"h2").await;
    let (mut send, connection) =
        builder.initial_window_size(1).handshake::<_, Bytes>(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get("https://127.0.0.1/large").body(()).unwrap();
    let (answer, _) = send.send_request(request, true).unwrap();
    let _held = answer.await.unwrap();
    let _ = timeout(LONG, connection).await.expect("eight megabytes are held for ever");

    let stream = site.member(b"h2").await;
    let mut builder = h2::client::Builder::new();
    let (mut send, connection) =
        builder.initial_window_size(0).handshake::<_, Bytes>(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get("https://127.0.0.1/endless").body(()).unwrap();
    let (answer, _) = send.send_request(request, true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 200);
    timeout(LONG, site.dropped.recv()).await.expect("it is held for ever").unwrap();
    let _ = timeout(LONG, connection).await.expect("the connection stays");
    site.serves().await;
}

#[tokio::test]
async fn a_reader_that_keeps_up_is_not_cut() {
    let site = Site::start(true).await;
    let trust = Trust::from_pem(site.authority.certificate()).unwrap();
    let own = Site::identity(&site.authority, "cell-2");
    let http = client::connect(&trust, Some(&own), None).unwrap();
    let mut answer = http.get(format!("https://{}/endless", site.address)).send().await.unwrap();
    let mut bytes = 0;
    // Longer than the stall, in pieces with pauses.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        while bytes % 100_000 < 90_000 {
            bytes += timeout(LONG, answer.chunk()).await.unwrap().unwrap().unwrap().len();
        }
        bytes += timeout(LONG, answer.chunk()).await.unwrap().unwrap().unwrap().len();
    }
}

#[tokio::test]
async fn a_connection_that_stands_still_is_closed() {
    let site = Site::start(true).await;
    for protocol in [b"h2".as_slice(), b"http/1.1"] {
        let mut silent = site.member(protocol).await;
        until_closed(&mut silent).await;
    }
    site.serves().await;
}

#[tokio::test]
async fn heads_are_bounded() {
    let site = Site::start(false).await;
    let many: String = (0..500).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(200_000));
    for bomb in [many, long] {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        let head = format!("GET /open HTTP/1.1\r\nhost: x\r\n{bomb}\r\n");
        // The server may close before it has all of it.
        let _ = stream.write_all(head.as_bytes()).await;
        let said = until_closed(&mut stream).await;
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 4"), "it was taken");
    }
    let site = Site::start(true).await;
    let (mut send, connection) = h2::client::handshake(site.member(b"h2").await).await.unwrap();
    tokio::spawn(connection);
    let mut request = http::Request::get("https://127.0.0.1/open");
    for nth in 0..200 {
        request = request.header(format!("x-{nth}"), "y".repeat(200));
    }
    let answer = match send.send_request(request.body(()).unwrap(), true) {
        Ok((answer, _)) => answer.await,
        Err(error) => Err(error),
    };
    assert!(answer.is_err() || answer.unwrap().status() == 431, "40 kB of headers were taken");
    site.serves().await;
}

/// One frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head.as_slice(), payload].concat()
}

async fn preface(stream: &mut (impl AsyncWrite + Unpin)) {
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(4, 0, 0, b"")).await.unwrap();
}

#[tokio::test]
async fn floods_of_frames_are_ended_and_others_are_served() {
    let site = Site::start(true).await;
    // HEADERS that never end, continued and continued.
    let mut stream = site.member(b"h2").await;
    preface(&mut stream).await;
    stream.write_all(&frame(1, 0, 1, &[0x82, 0x87])).await.unwrap();
    let piece = frame(9, 0, 1, &[0x00, 0x01, b'x', 0x01, b'y'].repeat(100));
    let flood = async { while stream.write_all(&piece).await.is_ok() {} };
    timeout(LONG, flood).await.expect("the headers go on for ever");

    // Streams that are reset as soon as they are opened.
    let mut stream = site.member(b"h2").await;
    preface(&mut stream).await;
    let flood = async {
        for batch in 0..1000_u32 {
            let streams = (0..200).map(|nth| (batch * 200 + nth) * 2 + 1);
            let pairs = streams.flat_map(|id| {
                let request = [0x82, 0x84, 0x87, 0x41, 1, b'x'];
                [frame(1, 4, id, &request), frame(3, 0, id, &8_u32.to_be_bytes())].concat()
            });
            if stream.write_all(&pairs.collect::<Vec<u8>>()).await.is_err() {
                return;
            }
        }
        panic!("200,000 resets were borne");
    };
    timeout(LONG, flood).await.expect("the resets go on for ever");

    // Pings, whose answers nobody reads: each is answered before the next is read.
    let mut stream = site.member(b"h2").await;
    preface(&mut stream).await;
    let pings = frame(6, 0, 0, &[1; 8]).repeat(1000);
    let flood = tokio::spawn(async move { while stream.write_all(&pings).await.is_ok() {} });
    for _ in 0..3 {
        site.serves().await;
    }
    flood.abort();
}
