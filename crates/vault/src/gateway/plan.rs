//! What an answer will carry, to the byte, before the gate is asked.

use super::negotiate::{CarParams, Scope, Wanted};
use crate::{
    address::RAW,
    car,
    dag::{Node, WalkError, walk},
    store::{Store, StoreError},
};
use axum::http::StatusCode;
use cid::Cid;
use std::{collections::HashSet, ops::Range};
use transport::Problem;

/// One piece of an answer: bytes before a block, and a range of the block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub before: Vec<u8>,
    pub block: Option<(Cid, Range<u64>)>,
}

impl Piece {
    pub(super) fn len(&self) -> u64 {
        let block = self.block.as_ref().map_or(0, |(_, range)| range.end - range.start);
        self.before.len() as u64 + block
    }
}

/// An answer's pieces in order, and their bytes together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub pieces: Vec<Piece>,
    pub bytes: u64,
}

impl Plan {
    fn push(&mut self, piece: Piece) {
        self.bytes += piece.len();
        self.pieces.push(piece);
    }

    /// One block, or a range of it.
    pub(super) fn block(cid: &Cid, range: Range<u64>) -> Self {
        let mut plan = Self::default();
        plan.push(Piece { before: Vec::new(), block: Some((*cid, range)) });
        plan
    }

    /// A CAR of at most `most` bytes. Blocking: it reads the tree's nodes.
    pub(super) fn car(
        store: &Store,
        cid: &Cid,
        params: &CarParams,
        most: u64,
    ) -> Result<Self, Problem> {
        let range = match &params.scope {
            Scope::Whole => None,
            Scope::Block => Some(0..0),
            Scope::Bytes(bytes) => {
                let range = bytes.resolve(entity_size(store, cid)?).ok_or_else(|| {
                    let detail = "entity-bytes lies beyond the end of the recording";
                    Problem::new(StatusCode::BAD_REQUEST, detail)
                })?;
                // An empty range is answered as `dag-scope=block`.
                Some(if range.is_empty() { 0..0 } else { range })
            }
        };
        let mut plan = Self::default();
        plan.push(Piece { before: car::header(cid), block: None });
        let mut seen = HashSet::new();
        let absent = || StoreError::Damaged(format!("a block of `{cid}` is absent"));
        let load = |cid: &Cid| store.get(cid)?.ok_or_else(absent).map_err(Stop::Store);
        walk(cid, range, load, |visit| {
            if !params.dups && !seen.insert(visit.cid) {
                return Ok(());
            }
            let len = store.block_len(&visit.cid).ok_or_else(absent).map_err(Stop::Store)?;
            let before = car::section(&visit.cid, len);
            plan.push(Piece { before, block: Some((visit.cid, 0..len)) });
            if plan.bytes > most { Err(Stop::TooLong) } else { Ok(()) }
        })
        .map_err(|error| match error {
            WalkError::Block(Stop::TooLong) => {
                let detail = format!("the answer has over {most} bytes: ask by entity-bytes");
                Problem::new(StatusCode::BAD_REQUEST, detail)
            }
            WalkError::Block(Stop::Store(error)) => broken(&error),
            other => broken(&other),
        })?;
        Ok(plan)
    }

    /// The blocks of a request for a whole block.
    pub(super) fn of(
        store: &Store,
        cid: &Cid,
        wanted: &Wanted,
        range: Range<u64>,
        most: u64,
    ) -> Result<Self, Problem> {
        match wanted {
            Wanted::Raw => Ok(Self::block(cid, range)),
            Wanted::Car(params) => Self::car(store, cid, params, most),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the answer is too long")]
    TooLong,
}

/// Bytes of the file below an address.
fn entity_size(store: &Store, cid: &Cid) -> Result<u64, Problem> {
    let absent = || broken(&format!("`{cid}` is absent"));
    if cid.codec() == RAW {
        return store.block_len(cid).ok_or_else(absent);
    }
    let bytes = store.get(cid).map_err(|e| broken(&e))?.ok_or_else(absent)?;
    Ok(Node::decode(&bytes).map_err(|e| broken(&e))?.size())
}

/// The vault itself is in trouble. The reason is for the log, not for the peer.
pub(super) fn broken(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "the vault cannot serve a block");
    let detail = "the vault cannot read what is asked for; its operator finds why in `check`";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
}
