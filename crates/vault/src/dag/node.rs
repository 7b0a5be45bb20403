//! One dag-pb node of a UnixFS file, in the single spelling that tools write.
//!
//! ```text
//! PBNode  = { 2: PBLink }* , { 1: UnixFS }
//! PBLink  = { 1: CID bytes, 2: name (empty), 3: bytes of the whole subtree }
//! UnixFS  = { 1: 2 (file), 3: file size, 4: size of each child in the file }
//! ```
//!
//! The decoder accepts exactly what [`Node::encode`] writes: fields in order,
//! shortest integers, no unknown field, one to [`WIDTH`] links. So a node has one
//! encoding, and a decoder without choices is easy to trust.

use super::WIDTH;
use crate::address::{cid_from_bytes, digest_of};
use cid::Cid;

/// The longest node that is read; a full one of ours has about 9 KiB.
pub const MAX_NODE_BYTES: usize = 64 * 1024;

/// One child of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The child's address.
    pub cid: Cid,
    /// Bytes of the file below this child.
    pub size: u64,
    /// Bytes of all blocks of this subtree (dag-pb's `Tsize`).
    pub total: u64,
}

/// A node: its children in file order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The children, 1 to [`WIDTH`].
    pub links: Vec<Link>,
}

/// Why bytes are not a node of a UnixFS file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NodeError {
    /// More bytes or links than a node may have.
    #[error(
        "a dag-pb node of {0} bytes; at most {MAX_NODE_BYTES} bytes and {WIDTH} links are read"
    )]
    Size(usize),
    /// Not the one spelling of a UnixFS file node.
    #[error("not a UnixFS file node: {0}")]
    Form(&'static str),
}

impl Node {
    /// Bytes of the file below this node.
    pub fn size(&self) -> u64 {
        self.links.iter().fold(0, |sum, link| sum.saturating_add(link.size))
    }

    /// The node's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.links.len() * 56 + 16);
        for link in &self.links {
            let cid = link.cid.to_bytes();
            let mut body = Vec::with_capacity(cid.len() + 16);
            field(&mut body, 0x0a, &cid);
            field(&mut body, 0x12, b"");
            body.push(0x18);
            varint(&mut body, link.total);
            field(&mut out, 0x12, &body);
        }
        let mut file = vec![0x08, 0x02, 0x18];
        varint(&mut file, self.size());
        for link in &self.links {
            file.push(0x20);
            varint(&mut file, link.size);
        }
        field(&mut out, 0x0a, &file);
        out
    }

    /// Reads a node's bytes; refuses any that [`Node::encode`] would not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, NodeError> {
        if bytes.len() > MAX_NODE_BYTES {
            return Err(NodeError::Size(bytes.len()));
        }
        let mut rest = Reader(bytes);
        let mut links = Vec::new();
        while rest.tag(0x12) {
            if links.len() == WIDTH {
                return Err(NodeError::Size(bytes.len()));
            }
            links.push(rest.sized()?.link()?);
        }
        if links.is_empty() {
            return Err(NodeError::Form("it has no links"));
        }
        let mut file = rest.expect(0x0a, "no UnixFS data after the links")?.sized()?;
        rest.end()?;
        if file.expect(0x08, "no UnixFS type")?.varint()? != 2 {
            return Err(NodeError::Form("its UnixFS type is not file"));
        }
        let size = file.expect(0x18, "no file size")?.varint()?;
        let mut sum = 0u64;
        for link in &mut links {
            link.size = file.expect(0x20, "fewer block sizes than links")?.varint()?;
            sum = sum.checked_add(link.size).ok_or(NodeError::Form("its sizes overflow"))?;
        }
        file.end()?;
        if sum != size {
            return Err(NodeError::Form("its block sizes do not add up to its file size"));
        }
        Ok(Self { links })
    }
}

/// A cursor over protobuf bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn tag(&mut self, tag: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == tag => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, tag: u8, missing: &'static str) -> Result<&mut Self, NodeError> {
        if self.tag(tag) { Ok(self) } else { Err(NodeError::Form(missing)) }
    }

    fn varint(&mut self) -> Result<u64, NodeError> {
        let (value, rest) = crate::varint::read(self.0)
            .ok_or(NodeError::Form("an integer is cut or not in its shortest form"))?;
        self.0 = rest;
        Ok(value)
    }

    fn sized(&mut self) -> Result<Reader<'a>, NodeError> {
        let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        let (body, rest) =
            self.0.split_at_checked(length).ok_or(NodeError::Form("a field is cut"))?;
        self.0 = rest;
        Ok(Reader(body))
    }

    fn link(mut self) -> Result<Link, NodeError> {
        let cid = self.expect(0x0a, "a link has no hash")?.sized()?;
        let cid = cid_from_bytes(cid.0)
            .map_err(|_| NodeError::Form("a link is not a CIDv1 with SHA-256"))?;
        if !self.expect(0x12, "a link has no name field")?.sized()?.0.is_empty() {
            return Err(NodeError::Form("a link of a file has a name"));
        }
        let total = self.expect(0x18, "a link has no size")?.varint()?;
        self.end()?;
        debug_assert!(digest_of(&cid).is_some());
        Ok(Link { cid, size: 0, total })
    }

    fn end(&self) -> Result<(), NodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(NodeError::Form("bytes follow its end")) }
    }
}

fn field(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    out.push(tag);
    varint(out, body.len() as u64);
    out.extend_from_slice(body);
}

fn varint(out: &mut Vec<u8>, value: u64) {
    crate::varint::write(out, value);
}
