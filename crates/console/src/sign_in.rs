//! Signing in and out, and the sessions that a person has open.
//!
//! The browser asks for a challenge, the passkey signs it, the session's token goes
//! into a cookie. The challenge is bound to its use and to the console's origin, so
//! that no assertion of a sign-in is ever one over an entry, or the other way round.

use crate::{
    Console, Person, Signed,
    guard::{self, COOKIE_NAME},
};
use api::console::{Assertion, Challenge, Me, SessionCard, SignIn};
use axum::{
    Extension, Json,
    body::Bytes as Body,
    extract::{ConnectInfo, DefaultBodyLimit, Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header::SET_COOKIE},
    response::{IntoResponse, Response},
};
use base::{Bytes, Digest, sha256};
use proof::webauthn;
use std::{net::SocketAddr, sync::Arc};
use transport::Problem;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The most bytes of a sign-in.
const MAX_BODY: usize = 16 * 1024;
/// Separates sign-ins from all else that a passkey signs.
const DOMAIN: &[u8] = b"interlock/sign-in/v1\0";

/// The sessions' addresses, below the console's prefix.
pub fn routes() -> OpenApiRouter<Arc<Console>> {
    OpenApiRouter::new()
        .routes(routes!(challenge))
        .routes(routes!(sign_in, list, end_others))
        .routes(routes!(end))
        .routes(routes!(show, sign_out))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

/// What a passkey signs to sign in at an origin.
pub fn digest(origin: &str, nonce: &[u8]) -> Digest {
    sha256(&[DOMAIN, origin.as_bytes(), b"\0", nonce].concat())
}

/// A challenge for a sign-in, taken once and within two minutes.
#[utoipa::path(post, path = "/challenges", tag = "console", responses(
    (status = 200, body = Challenge), (status = 429, description = "Too many attempts")
))]
async fn challenge(
    State(console): State<Arc<Console>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
) -> Result<Json<Challenge>, Problem> {
    console.attempt(&from)?;
    let nonce = random()?;
    let expires_at = console.challenges().issue(nonce, console.now());
    Ok(Json(Challenge { nonce: Bytes(nonce.to_vec()), expires_at }))
}

/// Sign in with a passkey. The answer sets the session's cookie.
#[utoipa::path(post, path = "/sessions", tag = "console", request_body = SignIn, responses(
    (status = 200, body = Me), (status = 401, description = "Not signed in"),
    (status = 429, description = "Too many attempts")
))]
async fn sign_in(
    State(console): State<Arc<Console>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    console.attempt(&from)?;
    let asked: SignIn = serde_json::from_slice(&body)
        .map_err(|e| Problem::new(StatusCode::BAD_REQUEST, format!("not a sign-in: {e}")))?;
    let person = verify(&console, asked).map_err(|why| {
        tracing::warn!(%from, ?why, "a sign-in was refused");
        let mut problem = Problem::new(StatusCode::UNAUTHORIZED, why.to_string());
        problem.accepted =
            Some("a passkey that is enrolled for this console, over a fresh challenge".into());
        problem
    })?;
    let token = random()?;
    let ticket = sha256(&token);
    let session = {
        let mut sessions = console.sessions();
        // A new sign-in replaces the browser's old one.
        if let Some(old) = guard::ticket(&headers) {
            sessions.close(&old);
        }
        let address = from.ip().to_canonical();
        sessions.open(ticket, person.member.clone(), person.key, address, console.now())
    };
    let session = session.map_err(|_| {
        let detail = "too many people are signed in: wait until a session has ended";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    })?;
    tracing::info!(member = %person.member, key = %person.key.short(), %from, "signed in");
    let cookie = set_cookie(&Bytes(token.to_vec()).to_string(), "")?;
    let me = me(&Signed { ticket, session, person });
    Ok(([(SET_COOKIE, cookie)], Json(me)).into_response())
}

/// Why nobody was signed in. Told in words that do not say which passkeys exist.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the challenge was used before, is too old or is not of this console: try again")]
    Challenge,
    #[error("this passkey is not enrolled for this console, or its signature does not verify")]
    Passkey(String),
}

/// Whose passkey answered the challenge.
fn verify(console: &Console, asked: SignIn) -> Result<Person, Refused> {
    let nonce = asked.nonce.0.as_slice().try_into().map_err(|_| Refused::Challenge)?;
    if !console.challenges().take(&nonce, console.now()) {
        return Err(Refused::Challenge);
    }
    let Assertion { authenticator_data, client_data, signature } = asked.assertion;
    let assertion = webauthn::Assertion { authenticator_data, client_data, signature };
    let home = console.origin().as_str();
    let signed = digest(home, &nonce);
    let mut why = "no such credential".to_owned();
    for person in console.directory.by_credential(&asked.credential) {
        match assertion.verify(&person.passkey, &signed) {
            Ok(()) if person.passkey.origin == home => return Ok(person),
            Ok(()) => why = "it is enrolled for another origin".to_owned(),
            Err(error) => why = error.to_string(),
        }
    }
    Err(Refused::Passkey(why))
}

/// Who is signed in. Asking counts as doing something.
#[utoipa::path(get, path = "/session", tag = "console", responses(
    (status = 200, body = Me), (status = 401, description = "Nobody is signed in")
))]
async fn show(
    State(console): State<Arc<Console>>,
    signed: Option<Extension<Signed>>,
) -> Result<Json<Me>, Problem> {
    let Extension(signed) = signed.ok_or_else(|| guard::nobody(&console))?;
    Ok(Json(me(&signed)))
}

/// Sign out.
#[utoipa::path(delete, path = "/session", tag = "console", responses((status = 204)))]
async fn sign_out(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(ticket) = guard::ticket(&headers) {
        console.sessions().close(&ticket);
    }
    out()
}

/// The answer that takes the cookie away.
fn out() -> Result<Response, Problem> {
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, set_cookie("", "; Max-Age=0")?)]).into_response())
}

/// One's own sessions, the newest first.
#[utoipa::path(get, path = "/sessions", tag = "console", responses(
    (status = 200, body = Vec<SessionCard>), (status = 401, description = "Nobody is signed in")
))]
async fn list(
    State(console): State<Arc<Console>>,
    signed: Option<Extension<Signed>>,
) -> Result<Json<Vec<SessionCard>>, Problem> {
    let Extension(signed) = signed.ok_or_else(|| guard::nobody(&console))?;
    let sessions = console.sessions();
    let own = sessions.of(&signed.person.member, console.now());
    let cards = own.into_iter().map(|(ticket, session)| SessionCard {
        id: handle(&ticket),
        created_at: session.since,
        last_used_at: session.last_used_at,
        address: session.address.to_string(),
        current: ticket == signed.ticket,
    });
    Ok(Json(cards.collect()))
}

/// End one of one's own sessions; ending the one that asks signs out.
#[utoipa::path(delete, path = "/sessions/{id}", tag = "console", responses(
    (status = 204), (status = 401, description = "Nobody is signed in"),
    (status = 404, description = "It has ended, or is somebody else's")
))]
async fn end(
    State(console): State<Arc<Console>>,
    signed: Option<Extension<Signed>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let Extension(signed) = signed.ok_or_else(|| guard::nobody(&console))?;
    match close(&console, &signed, |ticket| handle(ticket) == id).as_slice() {
        [] => {
            let detail = "you have no such session: it may have ended already";
            Err(Problem::new(StatusCode::NOT_FOUND, detail))
        }
        closed if closed.contains(&signed.ticket) => out(),
        _ => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// End all of one's own sessions but the one that asks.
#[utoipa::path(delete, path = "/sessions", tag = "console", responses(
    (status = 204), (status = 401, description = "Nobody is signed in")
))]
async fn end_others(
    State(console): State<Arc<Console>>,
    signed: Option<Extension<Signed>>,
) -> Result<StatusCode, Problem> {
    let Extension(signed) = signed.ok_or_else(|| guard::nobody(&console))?;
    close(&console, &signed, |ticket| *ticket != signed.ticket);
    Ok(StatusCode::NO_CONTENT)
}

/// Ends those of a member's own sessions that are wanted; returns which.
fn close(console: &Console, signed: &Signed, wanted: impl Fn(&Digest) -> bool) -> Vec<Digest> {
    let mut sessions = console.sessions();
    let own = sessions.of(&signed.person.member, console.now());
    let closed: Vec<_> = own.into_iter().map(|(t, _)| t).filter(|t| wanted(t)).collect();
    closed.iter().for_each(|ticket| sessions.close(ticket));
    tracing::info!(member = %signed.person.member, closed = closed.len(), "sessions were ended");
    closed
}

/// What a session is called to its owner. It tells nothing of the token: it is a part
/// of the token's digest.
fn handle(ticket: &Digest) -> String {
    ticket.to_string().chars().take(16).collect()
}

fn me(signed: &Signed) -> Me {
    let Signed { session, person, .. } = signed;
    Me {
        member: person.member.clone(),
        name: person.name.clone(),
        roles: person.roles.clone(),
        key: person.key,
        credential: person.passkey.credential.clone(),
        seal: person.seal.clone(),
        expires_at: session.expires_at,
        idle_ends_at: session.idle_ends_at,
    }
}

/// A session's cookie: it ends with the browser, and the server ends it sooner.
fn set_cookie(value: &str, more: &str) -> Result<HeaderValue, Problem> {
    let text = format!("{COOKIE_NAME}={value}; Path=/; Secure; HttpOnly; SameSite=Strict{more}");
    HeaderValue::try_from(text).map_err(fault)
}

fn random() -> Result<[u8; 32], Problem> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(fault)?;
    Ok(bytes)
}

fn fault(error: impl std::fmt::Display) -> Problem {
    tracing::error!(%error, "a request failed");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the site could not do this; its log says why")
}
