//! HTTP clients of a plant's machines.
//!
//! A client trusts the site's root alone, shows its own certificate, follows no
//! redirect and uses no proxy. Reads time out when nothing arrives, not after a
//! total, so that one client serves event streams too. What a server sends is
//! read through [`read`] and [`json`], which bound it and turn a problem into an
//! error.

use crate::{
    problem::{MEDIA_TYPE, Problem},
    tls::{Identity, TlsError, Trust, client_config},
};
use axum::http::{StatusCode, header::CONTENT_TYPE};
use base::{Id, Rule};
use reqwest::{Client, Response, redirect::Policy};
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};

/// The most bytes of a problem that are read (64 KiB).
const MAX_PROBLEM_BYTES: usize = 64 * 1024;
/// How long [`patiently`] asks again: longer than the minute of any limit.
const PATIENCE: Duration = Duration::from_secs(90);
/// The pause before it does; each attempt may be put on record.
const PAUSE: Duration = Duration::from_secs(5);

/// A client in three PEM texts, for any member of the site as server.
pub fn build(ca_pem: &str, cert_pem: &str, key_pem: &str) -> Result<Client, TlsError> {
    let identity = Identity::from_pem(cert_pem, key_pem)?;
    connect(&Trust::from_pem(ca_pem)?, Some(&identity), None)
}

/// A client that shows `identity`, and with `server` talks to that member only.
pub fn connect(
    trust: &Trust,
    identity: Option<&Identity>,
    server: Option<&Id>,
) -> Result<Client, TlsError> {
    Client::builder()
        .tls_backend_preconfigured(client_config(trust, identity, server)?)
        .https_only(true)
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(Duration::from_secs(30))
        .pool_idle_timeout(Duration::from_secs(60))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(15))
        .http2_keep_alive_timeout(Duration::from_secs(10))
        .user_agent(concat!("interlock/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| TlsError::Unusable(deepest(&e)))
}

/// Why an answer is of no use.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The server answered with a problem.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// The answer is longer than allowed, or not the expected JSON.
    #[error("an answer from {url} was not taken: {reason}")]
    Unexpected {
        /// The address asked.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// No answer, or half of one.
    #[error("no whole answer: {}", deepest(.0))]
    Transport(#[from] reqwest::Error),
}

impl AnswerError {
    /// Whether the server said that repeating the same request is of no use.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Problem(problem) if problem.is_final())
    }
}

/// Asks again for a while when the server refuses by `limit`: it counts by the minute,
/// and who reads more than that in one is as honest as who reads less.
///
/// # Errors
/// That of the last attempt.
pub async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T, AnswerError>
where
    F: Future<Output = Result<T, AnswerError>>,
{
    let end = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Err(AnswerError::Problem(problem))
                if problem.rule == Some(Rule::Limit) && Instant::now() < end =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

/// Reads a successful answer of at most `limit` bytes.
pub async fn read(response: Response, limit: usize) -> Result<Vec<u8>, AnswerError> {
    let (status, url) = (response.status(), response.url().to_string());
    if status.is_success() {
        return body(response, limit).await;
    }
    let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|v| v == MEDIA_TYPE);
    let bytes = body(response, MAX_PROBLEM_BYTES).await?;
    let parsed = serde_json::from_slice(&bytes).ok().filter(|_| is_problem);
    Err(AnswerError::Problem(Box::new(parsed.unwrap_or_else(|| {
        let text: String = String::from_utf8_lossy(&bytes).chars().take(200).collect();
        let status = StatusCode::from_u16(status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
        Problem::new(status, format!("{url}: {text}"))
    }))))
}

/// Reads a successful answer of at most `limit` bytes as JSON.
pub async fn json<T: DeserializeOwned>(response: Response, limit: usize) -> Result<T, AnswerError> {
    let url = response.url().to_string();
    let bytes = read(response, limit).await?;
    serde_json::from_slice(&bytes)
        .map_err(|e| AnswerError::Unexpected { url, reason: format!("not the expected JSON: {e}") })
}

async fn body(mut response: Response, limit: usize) -> Result<Vec<u8>, AnswerError> {
    let url = response.url().to_string();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > limit {
            let reason = format!("more than {limit} bytes");
            return Err(AnswerError::Unexpected { url, reason });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The innermost cause, with the address asked: what a person can act on.
fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    match error.url() {
        Some(url) => format!("{url}: {cause}"),
        None => cause.to_string(),
    }
}
