//! Entries as they become durable, as server-sent events.

use super::http::SiteState;
use axum::{
    extract::State,
    response::sse::{self, KeepAlive, Sse},
};
use futures::{Stream, StreamExt};
use std::convert::Infallible;
use tokio_stream::wrappers::BroadcastStream;
use transport::{Peer, Problem};

/// Entries as they are logged. A listener that falls behind gets an event `lost`
/// and reads the list.
#[utoipa::path(get, path = "/events", responses((status = 200, content_type = "text/event-stream", body = api::Event)))]
pub(super) async fn stream(
    State(site): SiteState,
    peer: Peer,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    site.readable(&peer)?;
    let events = BroadcastStream::new(site.events.subscribe()).map(|event| {
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
