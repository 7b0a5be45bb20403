//! Letting bytes out: a permit in, a body out.

use super::{
    ReadPermit, ReadRequest,
    plan::{Piece, Plan, broken},
};
use crate::store::Store;
use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use std::{io, sync::Arc};
use tokio::{sync::OwnedSemaphorePermit, task::spawn_blocking};
use transport::Problem;

/// Blocks read ahead of the connection.
const AHEAD: usize = 2;

/// The body of an answer without one; the permit is used up.
pub(super) fn nothing(permit: ReadPermit, read: &ReadRequest) -> Result<Body, Problem> {
    covers(&permit, read)?;
    Ok(Body::empty())
}

/// The body of an answer: the planned pieces, read as the peer takes them. Uses up
/// the permit; the turn is held until the body ends.
pub(super) fn stream(
    permit: ReadPermit,
    read: &ReadRequest,
    plan: Plan,
    store: Arc<Store>,
    turn: OwnedSemaphorePermit,
) -> Result<Body, Problem> {
    covers(&permit, read)?;
    if permit.bytes() < plan.bytes {
        return Err(broken(&"a plan has more bytes than its permit"));
    }
    let held = Arc::new((permit, turn));
    let pieces = stream::iter(plan.pieces)
        .map(move |piece| {
            let (store, held) = (store.clone(), held.clone());
            async move {
                let read = spawn_blocking(move || load(&store, piece)).await;
                drop(held);
                read.map_err(io::Error::other)?
            }
        })
        .buffered(AHEAD)
        .inspect_err(|error| tracing::error!(%error, "an answer breaks off"));
    Ok(Body::from_stream(pieces))
}

fn load(store: &Store, piece: Piece) -> io::Result<Bytes> {
    let expected = piece.len();
    let Piece { mut before, block } = piece;
    if let Some((cid, range)) = block {
        let found = store.get_range(&cid, range).map_err(io::Error::other)?;
        let bytes = found.ok_or_else(|| io::Error::other(format!("`{cid}` is gone")))?;
        if before.is_empty() {
            before = bytes;
        } else {
            before.extend_from_slice(&bytes);
        }
    }
    // The length was promised, and logged.
    let whole = before.len() as u64 == expected;
    if whole { Ok(before.into()) } else { Err(io::Error::other("a block has another length")) }
}

/// A permit that does not cover its request is a fault of the gate: nothing leaves.
fn covers(permit: &ReadPermit, read: &ReadRequest) -> Result<(), Problem> {
    let root = read.roots.iter().any(|root| root.to_string() == permit.root());
    if root && permit.bytes() >= read.bytes {
        Ok(())
    } else {
        Err(broken(&"a permit does not cover the read that it was made for"))
    }
}
