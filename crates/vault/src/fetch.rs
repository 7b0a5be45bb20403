//! The reader at the other end: fetches a recording block by block, trusts nothing.
//!
//! Blocks come from any [`BlockGetter`], an HTTP client of a gateway for one. Each
//! is hashed against the address that its parent, and in the end the signed
//! manifest, names; each segment is then opened under its number and the end mark.
//! So neither gateway nor network can change, cut or reorder what is read. Several
//! blocks are asked for at once and used in order.

use crate::{
    address::{Mismatch, RAW, verify},
    dag::{Node, NodeError},
    seal::{KeyCommitment, Layout, OpenError, SegmentOpener, StreamKey},
};
use cid::Cid;
use futures::{StreamExt, TryStreamExt, stream};
use std::io;
use zeroize::Zeroizing;

/// Blocks asked for at once.
const AHEAD: usize = 4;

/// Gives blocks by address; what it gives is verified.
#[async_trait::async_trait]
pub trait BlockGetter: Send + Sync {
    /// The bytes of a block. Should refuse to take more than 1 MiB.
    async fn block(&self, cid: &Cid) -> io::Result<Vec<u8>>;
}

/// Why a recording was not read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A block could not be had, or its bytes could not be handed on.
    #[error("`{cid}`: {source}")]
    Block {
        /// The block's address.
        cid: Cid,
        /// What went wrong.
        source: io::Error,
    },
    /// A block, or the tree, is not what its address promised.
    #[error("{0}")]
    Forged(String),
    /// The key is not the one that the manifest commits to, or a segment does not
    /// open.
    #[error("{0}")]
    Closed(String),
}

impl From<Mismatch> for FetchError {
    fn from(error: Mismatch) -> Self {
        Self::Forged(error.to_string())
    }
}

impl From<OpenError> for FetchError {
    fn from(error: OpenError) -> Self {
        Self::Closed(error.to_string())
    }
}

/// Leaves of a recording with their lengths, from its verified tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaves {
    /// Address and bytes of each leaf; the length of a leaf that is the root is
    /// not known before it came.
    pub list: Vec<(Cid, Option<u64>)>,
    /// Bytes of the tree's nodes that were fetched.
    pub nodes: u64,
}

/// Fetches the tree of a recording, without its leaves. Refuses one with more than
/// `most` leaves.
pub async fn fetch_leaves(
    getter: &dyn BlockGetter,
    root: &Cid,
    most: usize,
) -> Result<Leaves, FetchError> {
    let mut out = Leaves { list: Vec::new(), nodes: 0 };
    let mut todo = vec![(*root, None, 0)];
    while let Some((cid, stated, depth)) = todo.pop() {
        if cid.codec() == RAW {
            if out.list.len() == most {
                return Err(FetchError::Forged(format!("`{root}` has more than {most} leaves")));
            }
            out.list.push((cid, stated));
            continue;
        }
        if depth == crate::dag::MAX_DEPTH {
            return Err(FetchError::Forged(format!("`{root}` is deeper than six levels")));
        }
        let bytes = get(getter, &cid).await?;
        out.nodes += bytes.len() as u64;
        let node = Node::decode(&bytes)
            .map_err(|e: NodeError| FetchError::Forged(format!("`{cid}`: {e}")))?;
        if stated.is_some_and(|size| size != node.size()) {
            return Err(FetchError::Forged(format!(
                "`{cid}` has another size than its parent states"
            )));
        }
        todo.extend(node.links.iter().rev().map(|l| (l.cid, Some(l.size), depth + 1)));
    }
    Ok(out)
}

/// Fetches a recording, verifies and opens it, and hands its plaintext to `take`
/// piece by piece, in order. Returns the plaintext's bytes. `most` bounds the
/// number of segments. What `take` got before an error is authentic but not whole.
pub async fn fetch(
    getter: &dyn BlockGetter,
    root: &Cid,
    key: &StreamKey,
    commitment: &KeyCommitment,
    associated: &[u8],
    most: usize,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<u64, FetchError> {
    if !key.matches(commitment) {
        let text = "the key is not the one that the recording's manifest commits to";
        return Err(FetchError::Closed(text.into()));
    }
    let leaves = fetch_leaves(getter, root, most).await?.list;
    let last = leaves.len().saturating_sub(1);
    let stated: Option<u64> = leaves.iter().map(|(_, size)| *size).sum();
    if stated.is_some_and(|size| !fits(size, leaves.len())) {
        return Err(FetchError::Forged(format!("`{root}` is not divided into 1 MiB segments")));
    }
    let mut blocks = stream::iter(leaves.into_iter().enumerate())
        .map(|(i, (cid, _))| async move { Ok::<_, FetchError>((i, cid, get(getter, &cid).await?)) })
        .buffered(AHEAD);
    let (mut opener, mut total) = (None, 0);
    while let Some((i, cid, bytes)) = blocks.try_next().await? {
        let mut bytes = Zeroizing::new(bytes);
        let opener: &SegmentOpener = match &mut opener {
            Some(opener) => opener,
            empty => empty.insert(SegmentOpener::new(key, associated, &bytes)?),
        };
        let index = u32::try_from(i).unwrap_or(u32::MAX);
        let plain = opener.open(index, i == last, &mut bytes)?;
        take(plain).map_err(|source| FetchError::Block { cid, source })?;
        total += plain.len() as u64;
    }
    Ok(total)
}

fn fits(size: u64, leaves: usize) -> bool {
    Layout::of_ciphertext(size).is_some_and(|l| l.segments() as usize == leaves)
}

async fn get(getter: &dyn BlockGetter, cid: &Cid) -> Result<Vec<u8>, FetchError> {
    let bytes = getter.block(cid).await;
    let bytes = bytes.map_err(|source| FetchError::Block { cid: *cid, source })?;
    verify(cid, &bytes)?;
    Ok(bytes)
}
