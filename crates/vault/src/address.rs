//! Content addresses: CIDv1 with SHA-256, of raw bytes or of a dag-pb node.
//!
//! Nothing else is accepted from a peer. One hash function means that a block has
//! one address in every plant and every public IPFS client can verify it; two
//! codecs are all that a UnixFS file with raw leaves is made of. An address that
//! is well formed but of another kind is refused by name, never guessed at.

use cid::Cid;
use multihash::Multihash;

/// Multicodec of a raw leaf.
pub const RAW: u64 = 0x55;
/// Multicodec of a dag-pb node.
pub const DAG_PB: u64 = 0x70;
/// Multihash code of SHA-256.
const SHA2_256: u64 = 0x12;
/// The longest text taken for a CID; a base32 one of ours has 59 characters.
const MAX_TEXT: usize = 128;

/// Text or bytes that are not an address this vault can hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AddressError {
    /// The text or bytes do not parse as a CID at all.
    #[error("`{0}` is not a CID: a CIDv1 such as `bafkrei…` is expected")]
    Parse(String),
    /// A CID, but not CIDv1 of raw or dag-pb bytes with SHA-256.
    #[error("`{0}` is not a CIDv1 of raw or dag-pb bytes with SHA-256")]
    Kind(String),
}

/// Bytes that do not have the address they were sent under.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{size} bytes do not hash to `{cid}`")]
pub struct Mismatch {
    /// The address they were sent under.
    pub cid: Cid,
    /// How many bytes there were.
    pub size: usize,
}

/// The address of raw bytes.
pub fn raw_cid(bytes: &[u8]) -> Cid {
    of_digest(RAW, &base::sha256(bytes).0)
}

/// The address of an encoded dag-pb node.
pub fn dag_pb_cid(bytes: &[u8]) -> Cid {
    of_digest(DAG_PB, &base::sha256(bytes).0)
}

/// The address with this codec and SHA-256 digest.
pub(crate) fn of_digest(codec: u64, digest: &[u8; 32]) -> Cid {
    // A 32-byte digest always fits; the default is unreachable and harmless: no
    // block verifies against it.
    Cid::new_v1(codec, Multihash::wrap(SHA2_256, digest).unwrap_or_default())
}

/// The digest in an address of a kind that this vault holds.
pub(crate) fn digest_of(cid: &Cid) -> Option<[u8; 32]> {
    let known = cid.version() == cid::Version::V1
        && matches!(cid.codec(), RAW | DAG_PB)
        && cid.hash().code() == SHA2_256;
    known.then(|| cid.hash().digest().try_into().ok()).flatten()
}

/// Parses the text of an address, in any multibase.
pub fn parse_cid(text: &str) -> Result<Cid, AddressError> {
    let shown = || text.chars().take(MAX_TEXT).collect::<String>();
    if text.len() > MAX_TEXT {
        return Err(AddressError::Parse(shown()));
    }
    let cid: Cid = text.parse().map_err(|_| AddressError::Parse(shown()))?;
    digest_of(&cid).map(|_| cid).ok_or_else(|| AddressError::Kind(shown()))
}

/// Parses the bytes of an address; all of them must belong to it.
pub fn cid_from_bytes(bytes: &[u8]) -> Result<Cid, AddressError> {
    let shown = || hex_prefix(bytes);
    let cid = Cid::try_from(bytes).map_err(|_| AddressError::Parse(shown()))?;
    if cid.encoded_len() != bytes.len() {
        return Err(AddressError::Parse(shown()));
    }
    digest_of(&cid).map(|_| cid).ok_or_else(|| AddressError::Kind(shown()))
}

/// Checks that bytes have the address they were sent under.
pub fn verify(cid: &Cid, bytes: &[u8]) -> Result<(), Mismatch> {
    match digest_of(cid) {
        Some(digest) if digest == base::sha256(bytes).0 => Ok(()),
        _ => Err(Mismatch { cid: *cid, size: bytes.len() }),
    }
}

fn hex_prefix(bytes: &[u8]) -> String {
    bytes.iter().take(40).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn known_address_of_the_empty_leaf() {
        let text = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
        assert_eq!(raw_cid(b"").to_string(), text);
        assert_eq!(parse_cid(text).unwrap(), raw_cid(b""));
    }

    #[test]
    fn other_kinds_and_trailing_bytes_are_refused() {
        let v0 = "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n";
        assert!(matches!(parse_cid(v0), Err(AddressError::Kind(_))));
        assert!(matches!(parse_cid("bafkqaaa"), Err(AddressError::Kind(_))));
        assert!(matches!(parse_cid(&"b".repeat(500)), Err(AddressError::Parse(_))));
        let mut bytes = raw_cid(b"x").to_bytes();
        bytes.push(0);
        assert!(cid_from_bytes(&bytes).is_err());
    }

    #[test]
    fn a_changed_byte_does_not_verify() {
        let cid = raw_cid(b"bytes");
        assert_eq!(verify(&cid, b"bytes"), Ok(()));
        assert!(verify(&cid, b"bytez").is_err());
    }
}
