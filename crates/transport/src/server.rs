//! Bounded HTTP servers over mutual TLS.
//!
//! What a client can make the server hold is bounded before a handler runs:
//! connections, the time of a handshake, of a request's head and of a handler,
//! header and body sizes, streams of one connection and its age. A connection
//! over the limit is closed and counted. Streamed answers (server-sent events,
//! recordings) may run on: the time limit ends with the answer's head. Who sends a
//! body or reads an answer too slowly is cut off, see [`Limits::pace`].
//!
//! Strangers do not keep members out: until its handshake is over, a connection
//! waits on a porch of its own and leaves it for others when it is full.
//!
//! When a root is withdrawn that [`Trust`] held, each connection takes no further request
//! and is cut after [`Limits::drain`]: whose certificate counts comes back at once.
//!
//! Shutdown closes the listener, lets requests in flight finish for
//! [`Limits::drain`], and then cuts what is left.

use crate::{
    pace::{Answers, Arriving, Guarded, Patience},
    peer::Peer,
    places::Places,
    porch::{Porch, Seat},
    problem::Problem,
    tls::{ClientAuth, Identity, TlsError, Trust, Withdrawal, server_config},
};
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, DefaultBodyLimit, Request},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use tower_http::limit::RequestBodyLimitLayer;

/// What one server holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Connections at a time of one member, or from one address where there are no
    /// certificates, so that none can take all.
    pub per_peer: usize,
    /// Connections at a time whose handshake is not over. One more makes the oldest of
    /// the address with most of them leave.
    pub handshakes: usize,
    /// From the accepted socket to the end of the TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a request's head to its last, and the idle time
    /// between two requests of an HTTP/1.1 connection.
    pub head: Duration,
    /// For this long a connection may stand still: nothing comes and nothing goes.
    pub idle: Duration,
    /// For this long the other side may keep us waiting without taking or sending
    /// anything of a body.
    pub stall: Duration,
    /// Bytes of a body that earn it another second, in either direction. Only the time
    /// in which we wait for the other side counts.
    pub pace: u64,
    /// From the request to the head of its answer.
    pub request: Duration,
    /// Bytes of a request's body; a route may allow less.
    pub body: usize,
    /// After this age a connection takes no further request, so that an expired
    /// certificate is noticed.
    pub age: Duration,
    /// At shutdown, and when a root is withdrawn, the time for requests in flight.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            per_peer: 128,
            handshakes: 128,
            handshake: Duration::from_secs(5),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            stall: Duration::from_secs(15),
            pace: 16 * 1024,
            request: Duration::from_secs(30),
            body: 1024 * 1024,
            age: Duration::from_secs(3600),
            drain: Duration::from_secs(10),
        }
    }
}

/// What happened to the connections of a server since it started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that reached HTTP.
    pub served: AtomicU64,
    /// Connections closed because of [`Limits::connections`] or [`Limits::per_peer`].
    pub over_limit: AtomicU64,
    /// Connections that left for others before their handshake was over.
    pub ousted: AtomicU64,
    /// Connections whose handshake failed or took too long.
    pub handshake_failed: AtomicU64,
}

/// One listening server.
pub struct Server {
    router: Router,
    tls: Option<(TlsAcceptor, Trust)>,
    limits: Limits,
    counters: Arc<Counters>,
    answered: Option<Answered>,
}

/// Changes every answer, the server's own refusals too.
type Answered = Arc<dyn Fn(&mut Response) + Send + Sync>;

impl Server {
    /// A server of mutual TLS.
    pub fn new(
        router: Router,
        trust: &Trust,
        identity: &Identity,
        auth: ClientAuth,
    ) -> Result<Self, TlsError> {
        let acceptor = TlsAcceptor::from(server_config(trust, identity, auth)?);
        Ok(Self { tls: Some((acceptor, trust.clone())), ..Self::plain(router) })
    }

    /// A server without TLS, for this machine's own loopback addresses; it refuses
    /// to [`run`](Self::run) on any other.
    pub fn plain(router: Router) -> Self {
        Self {
            router,
            tls: None,
            limits: Limits::default(),
            counters: Arc::default(),
            answered: None,
        }
    }

    /// With other limits than the default.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// With a change to every answer, the server's own refusals too: headers, say.
    pub fn on_answer(mut self, change: impl Fn(&mut Response) + Send + Sync + 'static) -> Self {
        self.answered = Some(Arc::new(change));
        self
    }

    /// The counters, to be read while the server runs.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Serves until `shutdown` completes, then drains. Fails only when the
    /// listener cannot be used at all.
    pub async fn run(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        let address = listener.local_addr()?;
        if self.tls.is_none() && !address.ip().is_loopback() {
            let reason = format!(
                "{address} is open to a network: without TLS only a loopback address is served"
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
        }
        let shared = Arc::new(Shared {
            router: bounded(self.router, self.limits, self.answered),
            tls: self.tls,
            limits: self.limits,
            counters: self.counters,
            places: Places::new(self.limits.connections, self.limits.per_peer),
        });
        let porch = Porch::new(self.limits.handshakes);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let (stream, from) = tokio::select! {
                () = &mut shutdown => break,
                Some(_) = tasks.join_next() => continue,
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // Out of file descriptors, or a peer gone before its turn:
                        // wait for connections to end rather than spin.
                        tracing::warn!(%error, "a connection was not accepted");
                        sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
            };
            let (seat, full) = porch.enter(from.ip());
            if full && shared.counters.ousted.fetch_add(1, Relaxed) == 0 {
                tracing::warn!(%from, "so many handshakes at a time that some are cut off");
            }
            let (shared, stopped) = (shared.clone(), stopped.clone());
            tasks.spawn(async move { shared.connection(stream, from, seat, stopped).await });
        }
        drop(listener);
        // The receivers are gone when there is nothing left to stop.
        let _ = stop.send(true);
        let drained = async { while tasks.join_next().await.is_some() {} };
        if timeout(self.limits.drain, drained).await.is_err() {
            tracing::warn!("requests still ran when the time to drain was over");
        }
        tasks.shutdown().await;
        Ok(())
    }
}

struct Shared {
    router: Router,
    tls: Option<(TlsAcceptor, Trust)>,
    limits: Limits,
    counters: Arc<Counters>,
    places: Places,
}

impl Shared {
    async fn connection(
        &self,
        stream: TcpStream,
        from: SocketAddr,
        seat: Seat,
        mut stopped: watch::Receiver<bool>,
    ) {
        // Latency only; a socket that refuses it works all the same.
        let _ = stream.set_nodelay(true);
        let stream = Guarded::new(stream, self.limits.idle, self.patience());
        let Some((acceptor, trust)) = &self.tls else {
            drop(seat);
            return self.placed(stream, from, None, false, stopped, None).await;
        };
        // From before the handshake, which may be judged by a root that goes meanwhile.
        let withdrawal = trust.withdrawal();
        let handshake = tokio::select! {
            done = timeout(self.limits.handshake, acceptor.accept(stream)) => done,
            _ = stopped.wait_for(|stop| *stop) => return,
            () = seat.ousted() => return,
        };
        drop(seat);
        let failed = |error: &dyn std::fmt::Display| {
            self.counters.handshake_failed.fetch_add(1, Relaxed);
            tracing::info!(%from, %error, "a TLS handshake failed");
        };
        let stream = match handshake {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return failed(&error),
            Err(elapsed) => return failed(&elapsed),
        };
        let session = stream.get_ref().1;
        let h2 = session.alpn_protocol() == Some(b"h2");
        let first = session.peer_certificates().and_then(|chain| chain.first());
        let peer = match first.map(|der| Peer::new(trust.site(), der, from)).transpose() {
            Ok(peer) => peer,
            Err(error) => return failed(&error),
        };
        // Who showed no certificate owes nothing to a root.
        let withdrawal = peer.is_some().then_some(withdrawal);
        self.placed(stream, from, peer, h2, stopped, withdrawal).await;
    }

    /// Serves a connection when there is a place for it.
    async fn placed(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        from: SocketAddr,
        peer: Option<Peer>,
        h2: bool,
        stopped: watch::Receiver<bool>,
        withdrawal: Option<Withdrawal>,
    ) {
        let holder = match &peer {
            Some(peer) => format!("member {}", peer.member),
            None => from.ip().to_canonical().to_string(),
        };
        let Some(_place) = self.places.take(holder) else {
            self.counters.over_limit.fetch_add(1, Relaxed);
            tracing::warn!(%from, "too many connections, one was closed");
            return;
        };
        self.counters.served.fetch_add(1, Relaxed);
        self.http(stream, from, peer, h2, stopped, withdrawal).await;
    }

    fn patience(&self) -> Patience {
        Patience { grace: self.limits.stall, rate: self.limits.pace }
    }

    async fn http(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        from: SocketAddr,
        peer: Option<Peer>,
        h2: bool,
        mut stopped: watch::Receiver<bool>,
        withdrawal: Option<Withdrawal>,
    ) {
        let withdrawn = async |withdrawal: Option<Withdrawal>| match withdrawal {
            Some(withdrawal) => withdrawal.wait().await,
            None => std::future::pending().await,
        };
        let (router, patience) = (self.router.clone(), self.patience());
        let answers = Answers::new(patience);
        let watched = answers.clone();
        let service = hyper::service::service_fn(move |request: hyper::Request<_>| {
            let mut request = request.map(|body| Body::new(Arriving::new(body, patience)));
            request.extensions_mut().insert(ConnectInfo(from));
            if let Some(peer) = &peer {
                request.extensions_mut().insert(peer.clone());
            }
            let (answer, answers) = (router.clone().oneshot(request), answers.clone());
            async move { answer.await.map(|answer| answer.map(|body| answers.watch(body))) }
        });
        let builder = builder(h2, self.limits.head);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let ends = async {
            tokio::select! {
                // A closed channel means the server is gone: the same as a stop.
                _ = stopped.wait_for(|stop| *stop) => {}
                () = sleep(self.limits.age) => {}
                () = withdrawn(withdrawal.clone()) => {}
            }
        };
        let too_late = async {
            withdrawn(withdrawal.clone()).await;
            sleep(self.limits.drain).await;
        };
        let served = async {
            tokio::select! {
                result = &mut connection => result,
                () = ends => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        };
        tokio::select! {
            result = served => if let Err(error) = result {
                tracing::debug!(%from, %error, "a connection broke");
            },
            () = too_late => tracing::info!(%from, "a root was withdrawn, a connection was cut"),
            () = watched.unread() => tracing::info!(%from, "an answer was not read, its connection was cut"),
        }
    }
}

/// The protocol is known from ALPN (HTTP/1.1 without TLS). Detecting it from the
/// first bytes, as serving with upgrades does, would wait for them without limit.
fn builder(h2: bool, head: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(64 * 1024)
        .max_headers(64);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(head)
        .max_concurrent_streams(64)
        .max_header_list_size(16 * 1024)
        // What a client can make us hold for one connection: requests' bodies that
        // are not read yet, answers that it does not take, streams that it resets.
        .initial_connection_window_size(1024 * 1024)
        .initial_stream_window_size(1024 * 1024)
        .max_send_buf_size(64 * 1024)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(64);
    if h2 { builder.http2_only() } else { builder.http1_only() }
}

fn bounded(router: Router, limits: Limits, answered: Option<Answered>) -> Router {
    let in_time = move |request: Request, next: Next| async move {
        match timeout(limits.request, next.run(request)).await {
            Ok(response) => response,
            Err(_) => late(limits.request),
        }
    };
    let dressed = move |mut response: Response| {
        if let Some(change) = &answered {
            change(&mut response);
        }
        std::future::ready(response)
    };
    router
        .layer(DefaultBodyLimit::max(limits.body))
        .layer(RequestBodyLimitLayer::new(limits.body))
        .layer(middleware::map_response(oversize))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::map_response(dressed))
}

fn late(limit: Duration) -> Response {
    let detail = format!("the request took more than {} ms", limit.as_millis());
    Problem::new(StatusCode::REQUEST_TIMEOUT, detail).into_response()
}

/// The limit answers in plain text; our clients read problems.
async fn oversize(response: Response) -> Response {
    if response.status() != StatusCode::PAYLOAD_TOO_LARGE {
        return response;
    }
    let detail = "the body is larger than this address takes";
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail).into_response()
}
