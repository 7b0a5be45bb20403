//! Entries as they become durable, as server-sent events.

use super::http::SiteState;
use axum::{
    extract::State,
    http::StatusCode,
    response::sse::{self, KeepAlive, Sse},
};
use futures::{Stream, StreamExt};
use std::convert::Infallible;
use tokio_stream::wrappers::BroadcastStream;
use transport::{Peer, Places, Problem};

/// How many may listen at a time, and how many of one member.
const LISTENERS: usize = 512;
const OF_ONE: usize = 8;

/// Places for those who listen.
pub(super) fn places() -> Places {
    Places::new(LISTENERS, OF_ONE)
}

/// Entries as they are logged, while the listener may read the ledger. One that falls
/// behind gets an event `lost` and reads the list.
#[utoipa::path(get, path = "/events", responses(
    (status = 200, content_type = "text/event-stream", body = api::Event),
    (status = 429, description = "Too many streams are open")
))]
pub(super) async fn stream(
    State(site): SiteState,
    peer: Peer,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    site.readable(&peer)?;
    let place = site.listening.take(peer.member.to_string()).ok_or_else(|| {
        let detail = format!("`{}` listens {OF_ONE} times already, or too many do", peer.member);
        let mut problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail);
        problem.accepted = Some(format!("at most {OF_ONE} streams of one member"));
        problem
    })?;
    let subscribed = BroadcastStream::new(site.events.subscribe());
    // Rights that are taken away end a stream that is open.
    let allowed = subscribed.take_while(move |_| std::future::ready(site.readable(&peer).is_ok()));
    let events = allowed.map(move |event| {
        // The stream holds its place for as long as it runs.
        let _ = &place;
        let lost = || sse::Event::default().event("lost").data("read the list of entries");
        Ok(match event {
            Ok(event) => sse::Event::default()
                .event("entry")
                .id(event.index.to_string())
                .json_data(&event)
                .unwrap_or_else(|_| lost()),
            Err(_) => lost(),
        })
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}
