//! The web console's server side: who sits before the browser, and what the browser
//! may ask.
//!
//! A person signs in with a passkey and gets a short session. The [guard]
//! turns the session's cookie into the same [`transport::Peer`] that a certificate
//! gives a machine, so every address behind it asks the same questions of the same
//! plant. A session reads; it states nothing: whatever changes the plant is an
//! entry that the passkey signed in the browser. A stolen cookie therefore moves
//! nothing.
//!
//! | layer, from outside | refuses |
//! |---|---|
//! | [`headers`] | nothing; puts the browser's own defences on every answer |
//! | [`guard`]: the address | another host name, requests that another site's page made |
//! | [`guard`]: the session | nothing; says who asks while passkey and member count |
//! | [`guard`]: closed addresses | requests without a session |

pub mod assets;
pub mod challenges;
pub mod guard;
pub mod headers;
pub mod origin;
pub mod people;
pub mod sessions;
pub mod sign_in;
mod streams;

pub use guard::Signed;
pub use origin::Origin;
pub use people::{Directory, Person};

use axum::{
    Router,
    http::StatusCode,
    middleware::{from_fn_with_state, map_response_with_state},
    response::Response,
};
use base::{Digest, Millis};
use challenges::Challenges;
use sessions::{Sessions, Terms};
use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use streams::Streams;
use tokio::sync::watch;
use transport::{Limiter, Problem};

/// Requests that one address may make in a minute without being signed in: half as
/// many sign-ins, for each takes two.
const ATTEMPTS_A_MINUTE: u64 = 60;
/// Challenges that wait for their answer.
const CHALLENGES: usize = 4096;
/// How long a challenge is taken.
const CHALLENGE_MS: u64 = 2 * 60 * 1000;
/// How soon an open stream notices that its session has ended.
const PULSE: Duration = Duration::from_secs(1);

/// What a console needs.
pub struct Settings {
    /// What people type into the browser.
    pub origin: Origin,
    /// How long sessions last, and how many there are.
    pub terms: Terms,
    /// Tells the time.
    pub clock: fn() -> Millis,
}

/// The console of one site.
pub struct Console {
    origin: Origin,
    clock: fn() -> Millis,
    directory: Arc<dyn Directory>,
    sessions: Mutex<Sessions>,
    challenges: Mutex<Challenges>,
    attempts: Limiter,
    streams: Streams,
    closing: watch::Sender<bool>,
}

impl Console {
    /// A console for the people of a directory.
    pub fn new(settings: Settings, directory: Arc<dyn Directory>) -> Arc<Self> {
        Arc::new(Self {
            origin: settings.origin,
            clock: settings.clock,
            directory,
            sessions: Mutex::new(Sessions::new(settings.terms)),
            challenges: Mutex::new(Challenges::new(CHALLENGES, CHALLENGE_MS)),
            attempts: Limiter::new(ATTEMPTS_A_MINUTE, Duration::from_secs(60)),
            streams: Streams::default(),
            closing: watch::Sender::new(false),
        })
    }

    /// What people type into the browser.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Counts a request by somebody who is not signed in.
    ///
    /// # Errors
    /// 429 when there were too many from this address.
    pub fn attempt(&self, address: &SocketAddr) -> Result<(), Problem> {
        if self.attempts.spend(&network(address.ip()), 1, self.now()) {
            return Ok(());
        }
        let detail = "too many attempts from this address: wait a minute and try again";
        Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail))
    }

    /// Ends all open streams, so that the server can stop.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    fn now(&self) -> Millis {
        (self.clock)()
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn challenges(&self) -> MutexGuard<'_, Challenges> {
        self.challenges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session behind a ticket, while it lasts and its passkey and member count.
    fn signed(&self, ticket: Digest) -> Option<Signed> {
        let session = self.sessions().find(&ticket, self.now())?.clone();
        match self.directory.by_key(&session.member, &session.key) {
            Some(person) => Some(Signed { ticket, session, person }),
            None => {
                tracing::info!(member = %session.member, "a session ended: its passkey or member counts no longer");
                self.sessions().close(&ticket);
                None
            }
        }
    }

    /// Completes when a session has ended, or the console closes.
    fn ended(self: &Arc<Self>, ticket: Digest) -> impl Future<Output = ()> + Send + 'static {
        let (console, mut closing) = (self.clone(), self.closing.subscribe());
        async move {
            loop {
                tokio::select! {
                    // A closed channel means the console is gone: the same as closing.
                    _ = closing.wait_for(|closing| *closing) => return,
                    () = tokio::time::sleep(PULSE) => if console.signed(ticket).is_none() {
                        return;
                    }
                }
            }
        }
    }
}

/// What counts as one address: a host, or the network that one customer has in
/// IPv6.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// All that one console serves: the page, the sessions, `open` to anybody and
/// `closed` to all but who is signed in.
pub fn router(console: &Arc<Console>, open: Router, closed: Router) -> Router {
    let sessions = sign_in::routes().with_state(console.clone()).split_for_parts().0;
    let dress = |axum::extract::State(console): axum::extract::State<Arc<Console>>,
                 mut answer: Response| async move {
        headers::dress(&mut answer, console.origin().is_secure());
        answer
    };
    Router::new()
        .merge(closed.route_layer(from_fn_with_state(console.clone(), guard::signed_in)))
        .merge(open)
        .nest(api::console::PREFIX, sessions)
        .fallback(assets::serve)
        .layer(from_fn_with_state(console.clone(), guard::session))
        .layer(from_fn_with_state(console.clone(), guard::address))
        .layer(map_response_with_state(console.clone(), dress))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_one_address_and_so_is_an_ipv6_network() {
        let of = |text: &str| text.parse().map(network).unwrap_or_default();
        assert_eq!(of("192.0.2.7"), of("::ffff:192.0.2.7"));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }
}
