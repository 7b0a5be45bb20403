//! The cells, as the console shows them: asked over mutual TLS, never believed to
//! decide anything.

use super::http::Answer;
use anyhow::Result;
use api::console::{CellCard, Stopped};
use axum::{
    body::Body,
    http::{
        HeaderName, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use base::Id;
use futures::StreamExt;
use node::{Node, config::CellAddress, now};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::{sync::Mutex, time::timeout};
use transport::{Places, Problem, client::AnswerError};

/// For how long what a cell said is shown to others who ask.
const FRESH: Duration = Duration::from_millis(500);
/// How long a cell may take to say how it is.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How long it may take to stop; its controller has to answer.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// How many watch one cell at a time, which is what it allows the site, and how many
/// times one person does.
const WATCHERS: usize = 16;
const OF_ONE: usize = 4;
/// The most bytes of a cell's status.
const MAX_STATUS: usize = 1024 * 1024;
/// The most bytes of a picture.
const MAX_PICTURE: usize = 16 * 1024 * 1024;
const DAY_MS: i64 = 86_400_000;
/// What a picture says of itself.
const PICTURE_HEADERS: [HeaderName; 2] =
    [HeaderName::from_static("interlock-order"), HeaderName::from_static("interlock-viewpoint")];
/// The kinds of pictures that a browser may show.
const PICTURES: [&str; 3] = ["image/png", "image/jpeg", "image/webp"];

/// The configured cells.
pub struct Cells(BTreeMap<Id, Cell>);

struct Cell {
    url: String,
    http: Client,
    /// Who watches it.
    watching: Places,
    /// What it said last; the lock lets one request ask for all.
    last: Mutex<Option<(Instant, CellCard)>>,
}

impl Cells {
    /// Clients to the cells of a site.
    pub fn of(node: &Node, addresses: &[CellAddress]) -> Result<Self> {
        let mut cells = BTreeMap::new();
        for CellAddress { member, url } in addresses {
            let http = transport::client::connect(&node.trust, Some(&node.identity), Some(member))?;
            let url = url.trim_end_matches('/').to_owned();
            cells.insert(
                member.clone(),
                Cell { url, http, watching: Places::new(WATCHERS, OF_ONE), last: Mutex::new(None) },
            );
        }
        Ok(Self(cells))
    }

    /// How each cell is, asked at the same time.
    pub async fn cards(&self) -> Vec<CellCard> {
        futures::future::join_all(self.0.iter().map(|(id, cell)| cell.card(id))).await
    }

    /// The cell's states as they come, server-sent events. To the cell all who watch
    /// here are the site, so it is here that nobody takes the others' places.
    pub async fn live(&self, id: &Id, member: &Id) -> Answer<Response> {
        let cell = self.get(id)?;
        let place = cell.watching.take(member.to_string()).ok_or_else(|| {
            let detail = format!("`{member}` watches cell `{id}` {OF_ONE} times, or too many do");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
        })?;
        let answer = cell.ask(id, cell.get("/live"), PATIENCE).await?;
        if !kind(&answer).is_some_and(|k| k.starts_with("text/event-stream")) {
            return Err(odd(id, "something else than events"));
        }
        let kind = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
        let frames = answer.bytes_stream().map(move |frame| {
            // The stream holds its place for as long as it runs.
            let _ = &place;
            frame
        });
        Ok((kind, Body::from_stream(frames)).into_response())
    }

    /// The newest picture of the run.
    pub async fn view(&self, id: &Id) -> Answer<Response> {
        let cell = self.get(id)?;
        let answer = cell.ask(id, cell.get("/view"), PATIENCE).await?;
        let kind = kind(&answer).filter(|k| PICTURES.contains(k)).map(str::to_owned);
        let kind = kind.ok_or_else(|| odd(id, "something else than a picture"))?;
        let said: Vec<_> = PICTURE_HEADERS
            .into_iter()
            .filter_map(|name| Some((name.clone(), answer.headers().get(&name)?.clone())))
            .collect();
        let read = timeout(STOP_PATIENCE, transport::client::read(answer, MAX_PICTURE));
        let bytes = read.await.map_err(|_| odd(id, "half a picture"))?.map_err(|e| lost(id, &e))?;
        let mut shown = ([(CONTENT_TYPE, kind)], bytes).into_response();
        shown.headers_mut().extend(said);
        Ok(shown)
    }

    /// Stops the robot for a member.
    pub async fn stop(&self, id: &Id, member: &Id) -> Answer<Stopped> {
        let cell = self.get(id)?;
        let request = cell.http.post(format!("{}/stop", cell.url)).json(&json!({ "for": member }));
        cell.ask(id, request, STOP_PATIENCE).await?;
        Ok(Stopped { stopped: true })
    }

    fn get(&self, id: &Id) -> Answer<&Cell> {
        self.0.get(id).ok_or_else(|| {
            let detail = format!("no cell `{id}` is configured: name it in the site's [server]");
            Problem::new(StatusCode::NOT_FOUND, detail)
        })
    }
}

impl Cell {
    fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.url))
    }

    async fn card(&self, id: &Id) -> CellCard {
        let mut last = self.last.lock().await;
        if let Some((at, card)) = last.as_ref()
            && at.elapsed() < FRESH
        {
            return card.clone();
        }
        let card = self.fresh(id).await;
        *last = Some((Instant::now(), card.clone()));
        card
    }

    async fn fresh(&self, id: &Id) -> CellCard {
        let read = async {
            let answer = self.ask(id, self.get("/status"), PATIENCE).await?;
            transport::client::json::<Value>(answer, MAX_STATUS).await.map_err(|e| lost(id, &e))
        };
        let read = timeout(2 * PATIENCE, read).await;
        match read.unwrap_or_else(|_| Err(odd(id, "half an answer"))) {
            Ok(status) => CellCard {
                cell: id.clone(),
                reachable: true,
                error: None,
                certificate_days: days_left(&status),
                status: Some(status),
            },
            Err(problem) => CellCard {
                cell: id.clone(),
                reachable: false,
                error: Some(problem.detail),
                certificate_days: None,
                status: None,
            },
        }
    }

    /// Sends a request and takes a successful answer's head; a problem goes on as it
    /// is.
    async fn ask(
        &self,
        id: &Id,
        request: RequestBuilder,
        patience: Duration,
    ) -> Answer<reqwest::Response> {
        let sent = timeout(patience, request.send()).await.map_err(|_| {
            let detail = format!("cell `{id}` does not answer: is it running and on the network?");
            Problem::new(StatusCode::GATEWAY_TIMEOUT, detail)
        })?;
        let answer = sent.map_err(|e| lost(id, &e.into()))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        match timeout(patience, transport::client::read(answer, MAX_STATUS)).await {
            Ok(Err(error)) => Err(lost(id, &error)),
            _ => Err(odd(id, "half a refusal")),
        }
    }
}

/// Whole days until the certificate ends that the cell says it has.
fn days_left(status: &Value) -> Option<i64> {
    let ends = status.get("certificate_not_after")?.as_i64()?;
    let now = i64::try_from(now().0).ok()?;
    Some(ends.saturating_sub(now).div_euclid(DAY_MS))
}

fn kind(answer: &reqwest::Response) -> Option<&str> {
    answer.headers().get(CONTENT_TYPE)?.to_str().ok()
}

/// A cell that cannot be reached, or the problem that it answered with.
fn lost(id: &Id, error: &AnswerError) -> Problem {
    match error {
        // The cell does not know the site: nothing that the person's session lacks.
        AnswerError::Problem(problem) if problem.status == 401 => {
            let detail = format!("cell `{id}` does not take the site's certificate");
            Problem::new(StatusCode::BAD_GATEWAY, detail)
        }
        AnswerError::Problem(problem) => (**problem).clone(),
        other => Problem::new(StatusCode::BAD_GATEWAY, format!("cell `{id}`: {other}")),
    }
}

fn odd(id: &Id, what: &str) -> Problem {
    Problem::new(StatusCode::BAD_GATEWAY, format!("cell `{id}` answered with {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_may_be_over() {
        let ends = |ms: i64| {
            let at = i64::try_from(now().0).unwrap_or(0) + ms;
            days_left(&json!({ "certificate_not_after": at }))
        };
        assert_eq!(ends(3 * DAY_MS + 60_000), Some(3));
        assert_eq!(ends(-60_000), Some(-1));
        assert_eq!(days_left(&json!({})), None);
    }
}
