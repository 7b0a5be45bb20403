//! The newest picture of a run, for people who watch.
//!
//! It is kept in memory only, from the moment it is recorded until the next run's
//! first picture takes its place: plaintext never touches a disk.

use crate::{cell::Cell, live};
use axum::{
    extract::State,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    },
    response::IntoResponse,
};
use base::Digest;
use bytes::Bytes;
use capture::Image;
use std::sync::Arc;
use transport::{Peer, Problem};

/// A picture with what it shows.
#[derive(Clone)]
pub struct Picture {
    order: Digest,
    viewpoint: u32,
    media_type: &'static str,
    bytes: Bytes,
}

impl Picture {
    /// The picture of an order's viewpoint.
    pub fn of(order: Digest, viewpoint: u32, image: &Image) -> Self {
        let bytes = Bytes::copy_from_slice(&image.bytes);
        Self { order, viewpoint, media_type: image.encoding.media_type(), bytes }
    }
}

/// `GET /view`: the newest picture, as the camera gave it.
pub async fn view(peer: Peer, State(cell): State<Arc<Cell>>) -> Result<impl IntoResponse, Problem> {
    live::may_watch(&cell, &peer.member)?;
    let newest = cell.picture().clone();
    let Picture { order, viewpoint, media_type, bytes } = newest.ok_or_else(|| {
        let detail = "no picture was taken since the cell started";
        let mut problem = Problem::new(StatusCode::NOT_FOUND, detail);
        problem.accepted = Some("a look after a run's first viewpoint".to_owned());
        problem
    })?;
    let known = [
        (CONTENT_TYPE, media_type),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let shown =
        [("interlock-order", order.to_string()), ("interlock-viewpoint", viewpoint.to_string())];
    Ok((known, shown, bytes))
}
