//! What stands before every address of the console.
//!
//! [`address`] lets through what was asked of this console's own host name and was
//! not made by another site's page. [`session`] turns the cookie into a
//! [`Peer`]. [`signed_in`] closes an address to everybody without one.

use crate::{Console, Person, sessions::Session};
use axum::{
    body::{Body, HttpBody},
    extract::{ConnectInfo, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{ACCEPT, CONTENT_TYPE, COOKIE, HOST, ORIGIN},
    },
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use base::{Bytes, Digest, sha256};
use futures::StreamExt;
use std::{net::SocketAddr, sync::Arc};
use transport::{Peer, Problem};

/// The cookie. Its prefix makes browsers refuse it from other hosts, without TLS and
/// for a part of the paths.
pub const COOKIE_NAME: &str = "__Host-interlock";
/// What a page puts on a request that nobody's hand caused, so that it does not keep
/// the session alive.
pub const BACKGROUND: HeaderName = HeaderName::from_static("interlock-background");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who is signed in, for handlers that want more than the [`Peer`].
#[derive(Clone, Debug)]
pub struct Signed {
    /// The digest of the session's token.
    pub ticket: Digest,
    /// The session.
    pub session: Session,
    /// Who it is.
    pub person: Person,
}

/// Refuses what was asked of another host name, and what another site's page asks.
pub async fn address(
    State(console): State<Arc<Console>>,
    request: Request,
    next: Next,
) -> Response {
    if let Err(refused) = at_home(&console, &request).and_then(|()| same_origin(&console, &request))
    {
        return *refused;
    }
    next.run(request).await
}

/// The request names this console's host: a page that an attacker's name leads to
/// this machine (DNS rebinding) ends here.
fn at_home(console: &Console, request: &Request) -> Result<(), Box<Response>> {
    let named = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => single(request.headers(), &HOST),
    };
    if named == Some(console.origin().authority()) {
        return Ok(());
    }
    let home = console.origin();
    let looks = request.method() == Method::GET && accepts(request.headers(), "text/html");
    if looks {
        return Err(Box::new(Redirect::temporary(&format!("{home}/")).into_response()));
    }
    let detail = format!("this console is at {home} and answers to no other name");
    Err(refused(StatusCode::MISDIRECTED_REQUEST, detail))
}

/// What changes something comes from the console's own page, and so does every call
/// of the API. A page may be opened from anywhere.
fn same_origin(console: &Console, request: &Request) -> Result<(), Box<Response>> {
    let headers = request.headers();
    let home = console.origin().as_str();
    let origin = headers.get(ORIGIN).map(|_| single(headers, &ORIGIN) == Some(home));
    let site = headers.get(FETCH_SITE).map(|_| single(headers, &FETCH_SITE).unwrap_or_default());
    let is_safe = [Method::GET, Method::HEAD].contains(request.method());
    let allowed = match (is_safe, origin, site) {
        (_, Some(false), _) => false,
        (false, None, None) => false,
        (false, _, Some(site)) => site == "same-origin",
        (false, Some(true), None) => true,
        (true, _, Some(site)) => {
            !is_api(request.uri().path()) || ["same-origin", "none"].contains(&site)
        }
        (true, _, None) => true,
    };
    if allowed {
        return Ok(());
    }
    let detail = format!("only the console's own page at {home} may ask this");
    Err(refused(StatusCode::FORBIDDEN, detail))
}

/// Whether a path is called by programs, not looked at.
pub(crate) fn is_api(path: &str) -> bool {
    ["/api/", "/console/", "/ipfs/", "/routing/", "/tile/", "/checkpoint", "/metrics"]
        .iter()
        .any(|prefix| path.starts_with(prefix))
}

fn refused(status: StatusCode, detail: String) -> Box<Response> {
    Box::new(Problem::new(status, detail).into_response())
}

/// The value of a header that stands there exactly once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}

fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    headers.get(ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains(kind))
}

/// Says who asks, while the session lasts. Streams end with it.
pub async fn session(
    State(console): State<Arc<Console>>,
    mut request: Request,
    next: Next,
) -> Response {
    // Who asks comes from the session and nothing else.
    request.extensions_mut().remove::<Peer>();
    let Some(signed) = who(&console, request.headers()) else {
        return next.run(request).await;
    };
    if let Some(ConnectInfo(from)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let person = &signed.person;
        let peer = Peer::of_session(person.member.clone(), person.key, *from);
        request.extensions_mut().insert(peer);
    }
    request.extensions_mut().insert(signed.clone());
    bounded(&console, &signed, next.run(request).await)
}

/// Whose session it is; what the person's hand caused keeps it alive.
fn who(console: &Console, headers: &HeaderMap) -> Option<Signed> {
    let mut signed = console.signed(ticket(headers)?)?;
    if !accepts(headers, "text/event-stream") && !headers.contains_key(BACKGROUND) {
        signed.session = console.sessions().touch(&signed.ticket, console.now())?;
    }
    Some(signed)
}

/// An event stream counts against its member and ends with the session.
fn bounded(console: &Arc<Console>, signed: &Signed, answer: Response) -> Response {
    let kind = answer.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !kind.is_some_and(|k| k.starts_with(b"text/event-stream")) || answer.body().is_end_stream() {
        return answer;
    }
    let Some(held) = console.streams.hold(&signed.person.member) else {
        let detail = format!(
            "`{}` holds {} streams open already: close a page",
            signed.person.member,
            crate::streams::PER_MEMBER
        );
        return Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).into_response();
    };
    let ended = console.ended(signed.ticket);
    answer.map(|body| {
        let stream = body.into_data_stream().take_until(Box::pin(ended));
        Body::from_stream(stream.map(move |chunk| {
            // The stream holds its place for as long as it runs.
            let _ = &held;
            chunk
        }))
    })
}

/// Closes an address to whoever is not signed in.
pub async fn signed_in(
    State(console): State<Arc<Console>>,
    request: Request,
    next: Next,
) -> Response {
    match request.extensions().get::<Signed>() {
        Some(_) => next.run(request).await,
        None => nobody(&console).into_response(),
    }
}

/// The refusal of a request without a session.
pub(crate) fn nobody(console: &Console) -> Problem {
    let mut problem =
        Problem::new(StatusCode::UNAUTHORIZED, "nobody is signed in, or the session has ended");
    problem.accepted = Some(format!("a sign-in with a passkey at {}", console.origin()));
    problem
}

/// The ticket of the token in the cookie.
pub(crate) fn ticket(headers: &HeaderMap) -> Option<Digest> {
    let crumbs = headers.get_all(COOKIE).iter().filter_map(|v| v.to_str().ok());
    let token = crumbs
        .flat_map(|line| line.split(';'))
        .filter_map(|crumb| crumb.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE_NAME).then_some(value))?;
    let token: Bytes = serde_json::from_value(token.into()).ok()?;
    (token.0.len() == 32).then(|| sha256(&token.0))
}
