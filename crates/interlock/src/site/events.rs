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

/// Entries as they are logged, while the listener may read the ledger. One that falls
/// behind gets an event `lost` and reads the list.
#[utoipa::path(get, path = "/events", responses((status = 200, content_type = "text/event-stream", body = api::Event)))]
pub(super) async fn stream(
    State(site): SiteState,
    peer: Peer,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    site.readable(&peer)?;
    let subscribed = BroadcastStream::new(site.events.subscribe());
    // Rights that are taken away end a stream that is open.
    let allowed = subscribed.take_while(move |_| std::future::ready(site.readable(&peer).is_ok()));
    let events = allowed.map(|event| {
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
