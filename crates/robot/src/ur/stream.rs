//! The RTDE session: one connection that reads every sample and holds the
//! controller's writer registers.
//!
//! The session sets itself up (version, rate, recipes), publishes samples, and
//! on any fault says why, waits and starts anew: a silent second, a foreign byte,
//! a refused recipe. A lost connection is visible in [`Link`] and in the next
//! sample's session number; samples are never made up. Holding the input recipe
//! keeps other RTDE clients from writing the same registers (`IN_USE`).

use super::{
    Clock,
    fields::{self, INPUTS, Inputs, OUTPUTS},
    rtde::{self, Recipe, Reply, Request},
};
use crate::{
    driver::{Controller, Link, Series},
    sample::Sample,
};
use bytes::BytesMut;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{broadcast, watch},
    time::{Instant, sleep, timeout},
};

/// Samples kept for a slow reader: eight seconds at 500 Hz.
const CHANNEL: usize = 4096;
/// A live controller sends every 2 or 8 ms.
const SILENCE: Duration = Duration::from_secs(1);
/// What is taken in a second: forty times the samples that a controller sends, so
/// that what waited in the socket while this host stood still fits.
const BUDGET: u32 = 20_000;
/// What a message for people costs of it, since each is written down.
const MESSAGE: u32 = 100;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What the session shows to the driver.
#[derive(Clone)]
pub(crate) struct Stream {
    pub(crate) samples: broadcast::Sender<Arc<Sample>>,
    pub(crate) latest: watch::Sender<Option<Arc<Sample>>>,
    pub(crate) link: watch::Sender<Link>,
    pub(crate) inputs: watch::Sender<Inputs>,
}

impl Stream {
    pub(crate) fn new() -> Self {
        Self {
            samples: broadcast::Sender::new(CHANNEL),
            latest: watch::Sender::new(None),
            link: watch::Sender::new(Link::Connecting),
            inputs: watch::Sender::new(Inputs::default()),
        }
    }

    /// Keeps a session up for as long as the future is polled.
    pub(crate) async fn run(self, peer: SocketAddr, from: Option<IpAddr>, clock: Clock) {
        let mut pause = FIRST_PAUSE;
        for session in 1.. {
            let why = match self.session(peer, from, &clock, session).await {
                Ok(never) => match never {},
                Err(why) => why,
            };
            if matches!(*self.link.borrow(), Link::Connected(_)) {
                pause = FIRST_PAUSE;
            }
            tracing::warn!(%peer, why, "robot connection lost");
            self.latest.send_replace(None);
            self.link.send_replace(Link::Lost { why });
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn session(
        &self,
        peer: SocketAddr,
        from: Option<IpAddr>,
        clock: &Clock,
        session: u32,
    ) -> Result<std::convert::Infallible, String> {
        let connected = timeout(SILENCE, super::dial(peer, from)).await;
        let socket = connected
            .map_err(|_| format!("no connection to {peer} within {SILENCE:?}"))?
            .map_err(|e| format!("no connection to {peer}: {e}"))?;
        socket.set_nodelay(true).map_err(|e| e.to_string())?;
        let buffer = BytesMut::with_capacity(16 * 1024);
        let mut wire = Wire { socket, buffer, second: Instant::now(), spent: 0 };
        let mut inputs = self.inputs.subscribe();
        let (controller, outputs, writer) = wire.set_up().await?;
        tracing::info!(%peer, ?controller, "robot connected");
        let values = inputs.borrow_and_update().values();
        wire.send(Request::Data { recipe: writer, values: &values }).await?;
        let mut connected = false;
        loop {
            let reply = tokio::select! {
                changed = inputs.changed() => {
                    changed.map_err(|e| e.to_string())?;
                    let values = inputs.borrow_and_update().values();
                    wire.send(Request::Data { recipe: writer, values: &values }).await?;
                    continue;
                }
                reply = wire.next() => reply?,
            };
            match reply {
                Reply::Data { recipe, fields } if recipe == outputs => {
                    let sample = fields::sample(fields, session, clock());
                    let sample = Arc::new(sample.map_err(|e| e.to_string())?);
                    self.latest.send_replace(Some(sample.clone()));
                    // No subscriber is no fault.
                    let _ = self.samples.send(sample);
                    if !connected {
                        connected = true;
                        self.link.send_replace(Link::Connected(controller));
                    }
                }
                Reply::Text { message, level, .. } => {
                    tracing::warn!(%peer, message, level, "the controller says");
                }
                other => return Err(format!("unexpected {other:?} while receiving samples")),
            }
        }
    }
}

/// A socket that carries whole packages. Both directions are cancel-safe enough
/// for a `select!`: a read leaves partial bytes in the buffer, and writes are
/// never raced.
struct Wire {
    socket: TcpStream,
    buffer: BytesMut,
    /// When the second began of which `spent` is spent.
    second: Instant,
    spent: u32,
}

impl Wire {
    async fn set_up(&mut self) -> Result<(Controller, u8, u8), String> {
        match self.ask(Request::ProtocolVersion(2)).await? {
            Reply::ProtocolVersion(true) => {}
            other => return Err(format!("RTDE version 2 was refused: {other:?}")),
        }
        let controller = match self.ask(Request::ControllerVersion).await? {
            Reply::ControllerVersion(version) => controller(version)?,
            other => return Err(format!("no controller version: {other:?}")),
        };
        let names = OUTPUTS.map(|(name, _)| name);
        let request = Request::Outputs { frequency: controller.frequency_hz, names: &names };
        let outputs = match self.ask(request).await? {
            Reply::Outputs(recipe) => accept(OUTPUTS.into_iter(), recipe)?,
            other => return Err(format!("no output recipe: {other:?}")),
        };
        let inputs = match self.ask(Request::Inputs(&INPUTS)).await? {
            Reply::Inputs(recipe) => {
                accept(INPUTS.map(|name| (name, "INT32")).into_iter(), recipe)?
            }
            other => return Err(format!("no input recipe: {other:?}")),
        };
        match self.ask(Request::Start).await? {
            Reply::Started(true) => Ok((controller, outputs, inputs)),
            other => Err(format!("the controller did not start to send: {other:?}")),
        }
    }

    async fn ask(&mut self, request: Request<'_>) -> Result<Reply, String> {
        self.send(request).await?;
        loop {
            match self.next().await? {
                Reply::Text { message, level, .. } => {
                    tracing::warn!(message, level, "the controller says");
                }
                reply => return Ok(reply),
            }
        }
    }

    async fn send(&mut self, request: Request<'_>) -> Result<(), String> {
        let bytes = request.encode().map_err(|e| e.to_string())?;
        match timeout(SILENCE, self.socket.write_all(&bytes)).await {
            Ok(written) => written.map_err(|e| format!("writing failed: {e}")),
            Err(_) => Err(format!("the controller took nothing for {SILENCE:?}")),
        }
    }

    async fn next(&mut self) -> Result<Reply, String> {
        loop {
            if let Some((kind, payload)) =
                rtde::split(&mut self.buffer).map_err(|e| e.to_string())?
            {
                self.spend(if kind == b'M' { MESSAGE } else { 1 })?;
                return rtde::decode(kind, payload).map_err(|e| e.to_string());
            }
            match timeout(SILENCE, self.socket.read_buf(&mut self.buffer)).await {
                Err(_) => return Err(format!("the controller sent nothing for {SILENCE:?}")),
                Ok(Ok(0)) => return Err("the controller closed the connection".to_owned()),
                Ok(Ok(_)) => {}
                Ok(Err(e)) => return Err(format!("reading failed: {e}")),
            }
        }
    }
}

impl Wire {
    /// A controller that floods us is cut off; the session is then set up anew.
    fn spend(&mut self, cost: u32) -> Result<(), String> {
        if self.second.elapsed() >= Duration::from_secs(1) {
            (self.second, self.spent) = (Instant::now(), 0);
        }
        self.spent = self.spent.saturating_add(cost);
        match self.spent <= BUDGET {
            true => Ok(()),
            false => Err("the controller sends more packages than any of its kind".to_owned()),
        }
    }
}

fn accept<'a>(
    asked: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
    recipe: Recipe,
) -> Result<u8, String> {
    fields::check(asked, &recipe)?;
    if recipe.id == 0 {
        return Err("the controller refused a recipe without saying why".to_owned());
    }
    Ok(recipe.id)
}

/// The family follows from the major version; the rate is the highest it sends.
fn controller(version: [u32; 4]) -> Result<Controller, String> {
    let [major, ..] = version;
    let (series, frequency_hz) = match major {
        3 => (Series::Cb3, 125.0),
        5 => (Series::ESeries, 500.0),
        10.. => (Series::PolyScopeX, 500.0),
        other => {
            return Err(format!("software version {other}.x; 3, 5 or 10 is expected"));
        }
    };
    Ok(Controller { series, version, frequency_hz })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_controller_that_floods_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let message = [0, 7, b'M', 1, b'x', 0, 3].repeat(1000);
            while socket.write_all(&message).await.is_ok() {}
        });
        let stream = Stream::new();
        let mut link = stream.link.subscribe();
        let session = tokio::spawn(stream.run(peer, None, Arc::new(|| 0)));
        let cut = |link: &Link| matches!(link, Link::Lost { why } if why.contains("packages"));
        let lost = timeout(Duration::from_secs(30), link.wait_for(cut)).await;
        assert!(lost.expect("it is listened to for ever").is_ok());
        session.abort();
    }
}
