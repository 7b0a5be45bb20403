//! Keys: who can sign, and how a signature is checked.
//!
//! Machines and command-line users sign with Ed25519 (RFC 8032), people at a
//! console with a passkey (ES256 over a WebAuthn assertion). Primitives are
//! aws-lc's. A secret key lives behind [`Signer`], so that a file, a PKCS#11
//! token or a TPM can hold it.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey,
};
use base::{Bytes, Digest, sha256, to_canonical};
use serde::{Deserialize, Serialize};

/// Something that signs with an Ed25519 key it may never show.
pub trait Signer: Send + Sync {
    /// The 32-byte public key.
    fn public(&self) -> [u8; 32];
    /// The 64-byte Ed25519 signature of `message`.
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

/// An Ed25519 key in memory; the primitive library wipes it when dropped.
pub struct SecretKey(Ed25519KeyPair);

/// A seed that is no Ed25519 key.
#[derive(Debug, thiserror::Error)]
#[error("not an Ed25519 seed: 32 bytes are expected")]
pub struct BadSeed;

impl SecretKey {
    /// The key that RFC 8032 derives from a 32-byte seed.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, BadSeed> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(Self).map_err(|_| BadSeed)
    }
}

impl Signer for SecretKey {
    fn public(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.public_key().as_ref());
        out
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut out = [0; 64];
        out.copy_from_slice(self.0.sign(message).as_ref());
        out
    }
}

/// Whether `signature` is the Ed25519 signature of `message` under `public`.
pub fn verify_ed25519(public: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public).verify(message, signature).is_ok()
}

/// Whether `signature` (ASN.1 DER) is the ES256 signature of `message` under an
/// uncompressed P-256 point.
pub(crate) fn verify_es256(point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature).is_ok()
}

/// An enrolled public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PublicKey {
    /// A plain Ed25519 key: 32 bytes.
    Ed25519(Bytes),
    /// A passkey's credential.
    Passkey(Passkey),
}

/// A WebAuthn credential with the relying party that it is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passkey {
    /// The credential's identifier, as the authenticator chose it.
    pub credential: Bytes,
    /// The P-256 public key as an uncompressed point: 65 bytes.
    pub es256: Bytes,
    /// The relying party's identifier: the console's host name.
    pub rp_id: String,
    /// The only origin that assertions may come from.
    pub origin: String,
}

impl PublicKey {
    /// The Ed25519 public key of a signer.
    pub fn of(signer: &dyn Signer) -> Self {
        Self::Ed25519(Bytes(signer.public().to_vec()))
    }

    /// The key's fingerprint: SHA-256 of its canonical JSON.
    pub fn fingerprint(&self) -> Digest {
        // A key is a few hundred bytes of plain fields: this cannot fail, and
        // an empty input's digest would match no enrolled key.
        sha256(&to_canonical(self).unwrap_or_default())
    }

    /// The raw Ed25519 key, when it is one.
    pub fn as_ed25519(&self) -> Option<[u8; 32]> {
        match self {
            Self::Ed25519(bytes) => bytes.0.as_slice().try_into().ok(),
            Self::Passkey(_) => None,
        }
    }
}
