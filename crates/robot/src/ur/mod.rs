//! Universal Robots: CB3 and e-Series controllers over Dashboard and RTDE.
//!
//! ```text
//!   VerifiedOrder ─► start ─┬─ Dashboard 29999: load FILE, play, stop (closed set)
//!                           └─ RTDE 30004 inputs: parameters, token, captured
//!   Samples, Event ◄────────── RTDE 30004 outputs at 500 Hz (CB3: 125 Hz)
//! ```
//!
//! **Handshake with the program.** Input registers 24–31 carry the parameters in
//! the order of their names, 37 the order token, 36 the viewpoint that has been
//! captured. The program copies the token to output register 25 as its first act,
//! shows viewpoint *k* in output register 24 and waits until input register 36 is
//! *k* (at most 10 s, then it ends with outcome 2), and writes its outcome to
//! output register 26 as its last. A start first waits until the controller shows
//! all inputs as written, so a program never sees another order's parameters.
//!
//! **What is and isn't proven.** The file name pins the program (see
//! [`ProgramFile`](crate::ProgramFile)); the controller does not attest the bytes
//! behind it. CB3 has no remote mode: there, nothing but the network keeps the
//! pendant and the gateway from both giving commands.
//!
//! **How it fails.** A lost RTDE connection ends a run with
//! [`Event::ConnectionLost`](crate::Event::ConnectionLost) after a stop was tried
//! on the Dashboard; the program's own wait for `captured` bounds what it does
//! alone. After any end but `Finished` the program is stopped, also after a
//! protective stop, so that releasing the stop resumes nothing.

pub mod dashboard;
pub(crate) mod fields;
mod motion;
pub mod rtde;
mod start;
mod stream;
mod tracker;

#[cfg(test)]
mod tests;

use crate::{
    driver::{Driver, Health, Link, Motion, Samples, StartError, StopError},
    launch::Launch,
};
use async_trait::async_trait;
use gate::VerifiedOrder;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use stream::Stream;
use tokio::{
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
};

/// Nanoseconds on the host's clock.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Where a controller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrConfig {
    /// The Dashboard server, by default port 29999.
    pub dashboard: SocketAddr,
    /// The RTDE server, by default port 30004.
    pub rtde: SocketAddr,
    /// The address to connect from; none leaves it to the system.
    pub from: Option<IpAddr>,
    /// How long a Dashboard answer may take; loading a program takes seconds on a
    /// real controller.
    pub patience: Duration,
}

impl UrConfig {
    /// A controller on its usual ports, with 10 s of patience.
    pub fn new(controller: IpAddr) -> Self {
        Self {
            dashboard: SocketAddr::new(controller, 29999),
            rtde: SocketAddr::new(controller, 30004),
            from: None,
            patience: Duration::from_secs(10),
        }
    }
}

/// Connects to a port of a controller, from a certain address when there is one.
async fn dial(peer: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if peer.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(from) = from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    socket.connect(peer).await
}

/// The driver of one Universal Robots controller. It keeps its connection up
/// until it is dropped.
pub struct UrDriver {
    config: UrConfig,
    stream: Stream,
    active: Arc<AtomicBool>,
    session: JoinHandle<()>,
}

impl UrDriver {
    /// Starts connecting, inside a Tokio runtime. `clock` stamps each sample.
    pub fn connect(config: UrConfig, clock: Clock) -> Self {
        let stream = Stream::new();
        let session = tokio::spawn(stream.clone().run(config.rtde, config.from, clock));
        Self { config, stream, active: Arc::default(), session }
    }

    /// Waits until samples arrive.
    ///
    /// # Errors
    /// The state of the link when they have not within `patience`.
    pub async fn ready(&self, patience: Duration) -> Result<(), Link> {
        let mut link = self.stream.link.subscribe();
        let connected = link.wait_for(|link| matches!(link, Link::Connected(_)));
        match tokio::time::timeout(patience, connected).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(self.stream.link.borrow().clone()),
        }
    }

    pub(crate) async fn launch(&self, launch: Launch) -> Result<Box<dyn Motion>, StartError> {
        let claim = Claim::take(&self.active)?;
        let (config, stream) = (self.config, self.stream.clone());
        // In a task of its own: a caller that stops waiting drops the handle, which
        // stops the program, and never leaves one that nobody follows.
        let started =
            tokio::spawn(async move { start::start(&config, &stream, launch, claim).await });
        let motion = started.await.map_err(|e| StartError::Controller(e.to_string()))??;
        Ok(Box::new(motion))
    }
}

impl Drop for UrDriver {
    fn drop(&mut self) {
        self.session.abort();
        self.stream.latest.send_replace(None);
        // A run in progress hears of it, and stops the program.
        self.stream.link.send_replace(Link::Lost { why: "the driver has ended".to_owned() });
    }
}

#[async_trait]
impl Driver for UrDriver {
    fn health(&self) -> Health {
        Health {
            link: self.stream.link.borrow().clone(),
            sample: self.stream.latest.borrow().clone(),
            run_active: self.active.load(Ordering::SeqCst),
        }
    }

    fn samples(&self) -> Samples {
        Samples(self.stream.samples.subscribe())
    }

    async fn start(&self, order: VerifiedOrder) -> Result<Box<dyn Motion>, StartError> {
        self.launch(order.into()).await
    }

    async fn stop(&self) -> Result<(), StopError> {
        dashboard::stop(&self.config, self.config.patience)
            .await
            .map_err(|e| StopError(e.to_string()))
    }
}

/// The right to be the one run of a driver; given back when dropped.
pub(crate) struct Claim(Arc<AtomicBool>);

impl Claim {
    fn take(active: &Arc<AtomicBool>) -> Result<Self, StartError> {
        if active.swap(true, Ordering::SeqCst) {
            return Err(crate::driver::NotReady::Busy.into());
        }
        Ok(Self(active.clone()))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}
