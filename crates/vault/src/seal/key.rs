//! The data key of one stream, its commitment, and the public stream header.

use super::HEADER;
use aws_lc_rs::{
    aead::{AES_256_GCM, LessSafeKey, UnboundKey},
    constant_time::verify_slices_are_equal,
    digest,
    error::Unspecified,
    hkdf,
};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Domain separation of a key commitment.
const COMMITMENT: &[u8] = b"interlock/key-commitment/v1";
/// Bytes of the salt in the header.
const SALT: usize = 32;
/// Bytes of the nonce prefix in the header.
const PREFIX: usize = 7;

/// The 32-byte data key of one stream, wiped from memory when dropped. Never use
/// one for two streams.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct StreamKey([u8; 32]);

/// SHA-256 over `interlock/key-commitment/v1` and the key: says which key opens a
/// stream without saying the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyCommitment(pub base::Digest);

impl std::fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StreamKey(commitment {})", self.commitment().0.short())
    }
}

impl StreamKey {
    /// A fresh key from a secure random source; its error when it has one.
    pub fn generate<E>(fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut key = Self([0; 32]);
        fill(&mut key.0)?;
        Ok(key)
    }

    /// A key that was unwrapped.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key itself, to wrap it for somebody.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The commitment to this key.
    pub fn commitment(&self) -> KeyCommitment {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(COMMITMENT);
        hash.update(&self.0);
        let mut out = [0; 32];
        out.copy_from_slice(hash.finish().as_ref());
        KeyCommitment(base::Digest(out))
    }

    /// Whether this is the key that a manifest committed to; in constant time.
    pub fn matches(&self, commitment: &KeyCommitment) -> bool {
        verify_slices_are_equal(&self.commitment().0.0, &commitment.0.0).is_ok()
    }

    /// The AES-256-GCM key of one stream, bound to its salt and associated data.
    pub(super) fn derive(
        &self,
        header: &StreamHeader,
        associated: &[u8],
    ) -> Result<LessSafeKey, Unspecified> {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &header.salt).extract(&self.0);
        let info = [associated];
        let key: UnboundKey = prk.expand(&info, &AES_256_GCM)?.into();
        Ok(LessSafeKey::new(key))
    }
}

/// The public start of a stream: HKDF salt and nonce prefix, both random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamHeader {
    salt: [u8; SALT],
    prefix: [u8; PREFIX],
}

impl StreamHeader {
    /// A fresh header from a secure random source; its error when it has one.
    pub fn generate<E>(mut fill: impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut header = Self { salt: [0; SALT], prefix: [0; PREFIX] };
        fill(&mut header.salt)?;
        fill(&mut header.prefix)?;
        Ok(header)
    }

    /// The header as it stands in the ciphertext.
    pub fn to_bytes(&self) -> [u8; HEADER] {
        let mut out = [HEADER as u8; HEADER];
        let [_, rest @ ..] = &mut out;
        let (salt, prefix) = rest.split_at_mut(SALT);
        salt.copy_from_slice(&self.salt);
        prefix.copy_from_slice(&self.prefix);
        out
    }

    /// Reads the header at the start of a ciphertext; `None` when it has none.
    pub fn from_start(ciphertext: &[u8]) -> Option<Self> {
        let (length, rest) = ciphertext.split_first()?;
        let (salt, rest) = rest.split_first_chunk()?;
        let (prefix, _) = rest.split_first_chunk()?;
        (usize::from(*length) == HEADER).then_some(Self { salt: *salt, prefix: *prefix })
    }

    /// The nonce of one segment.
    pub(super) fn nonce(&self, index: u32, last: bool) -> aws_lc_rs::aead::Nonce {
        let mut nonce = [0; 12];
        let (prefix, rest) = nonce.split_at_mut(PREFIX);
        prefix.copy_from_slice(&self.prefix);
        let (counter, end) = rest.split_at_mut(4);
        counter.copy_from_slice(&index.to_be_bytes());
        end.fill(u8::from(last));
        aws_lc_rs::aead::Nonce::assume_unique_for_key(nonce)
    }
}
