//! The log over HTTP (C2SP tlog-tiles): `/checkpoint` and `/tile/...`.
//!
//! The checkpoint is the newest that was published, from memory. Only names that tlog-tiles defines are served. Tiles never change, so they may
//! be cached for good; the checkpoint may not.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use proof::log::WitnessedCheckpoint;
use tokio::sync::watch;

use crate::layout::Tile;
use crate::reader::{ReadError, Reader};

/// The checkpoints of a publisher, as they come.
type Published = watch::Receiver<Option<WitnessedCheckpoint>>;

/// The routes of a log, to be mounted at its prefix.
pub fn router(reader: Reader, published: Published) -> Router {
    Router::new()
        .route("/checkpoint", get(checkpoint))
        .with_state(published)
        .route("/tile/{*path}", get(tile))
        .with_state(reader)
}

async fn checkpoint(State(published): State<Published>) -> Response {
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    match published.borrow().as_ref() {
        Some(checkpoint) => (headers, checkpoint.note().to_vec()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn tile(State(reader): State<Reader>, Path(path): Path<String>) -> Response {
    let Some(tile) = Tile::parse(&format!("tile/{path}")) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (CONTENT_TYPE, "application/octet-stream"),
        (CACHE_CONTROL, "max-age=31536000, immutable"),
    ];
    match blocking(move || reader.tile(tile)).await {
        Ok(bytes) => (headers, bytes).into_response(),
        Err(status) => status.into_response(),
    }
}

/// Reads off the async threads.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, StatusCode> {
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(ReadError::File(error))) if error.is_absent() => Err(StatusCode::NOT_FOUND),
        Ok(Err(error)) => {
            tracing::error!(%error, "cannot serve a part of the log");
            Err(StatusCode::INTERNAL_SERVER_ERROR)
        }
        Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
