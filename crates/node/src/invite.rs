//! Invitations: one-time links by which a person enrols a passkey.
//!
//! ```text
//! https://hall-7.example.com/enrol#member=ana&key=…&until=…&anchors=…
//! ```
//!
//! The link is a key: whoever opens it first can enrol as that member. Its secret
//! stands in the fragment, which a browser sends to no server, and so does the
//! digest of the plant's anchors, so that the page trusts the plant that made the
//! link and no other.

use crate::{config::Anchors, sources::fresh_seed};
use base::{Bytes, CanonicalError, Digest, Id, Millis, sha256, to_canonical};
use proof::keys::{self, PublicKey, SecretKey, Signer};
use zeroize::{Zeroize, Zeroizing};

/// How long an invitation of a new plant lasts; no other may last longer.
pub const MAX_VALID_MS: u64 = 14 * 24 * 60 * 60 * 1000;

/// No invitation could be made: there is no randomness.
#[derive(Debug, thiserror::Error)]
#[error("no invitation can be made: the random source failed")]
pub struct NoRandomness;

/// A fresh invitation: the public half for the ledger, the secret for the link.
pub struct Invitation {
    seed: Zeroizing<[u8; 32]>,
    not_after: Millis,
    key: PublicKey,
}

impl Invitation {
    /// A fresh one that ends at `not_after`.
    ///
    /// # Errors
    /// The random source failed.
    pub fn new(not_after: Millis) -> Result<Self, NoRandomness> {
        let seed = fresh_seed().map_err(|_| NoRandomness)?;
        let public = SecretKey::from_seed(&seed).map_err(|_| NoRandomness)?.public();
        let ed25519 = Bytes(public.to_vec());
        let key = PublicKey::Invitation(keys::Invitation { ed25519, not_after });
        Ok(Self { seed, not_after, key })
    }

    /// The key to enrol.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The link for `member`, to be handed over in private. It carries the secret,
    /// the invitation's end (both make its key, and so its fingerprint) and the
    /// digest of the plant's anchors.
    pub fn link(&self, origin: &str, member: &Id, anchors: &Digest) -> Zeroizing<String> {
        // `Bytes` shows base64url; what it copies is wiped here and not by it, so it
        // is taken apart again.
        let mut secret = Bytes(self.seed.to_vec());
        let text = Zeroizing::new(secret.to_string());
        secret.0.zeroize();
        Zeroizing::new(format!(
            "{origin}/enrol#member={member}&key={}&until={}&anchors={anchors}",
            text.as_str(),
            self.not_after.0,
        ))
    }
}

/// What a link pins: the digest of the canonical bytes of `anchors.json`.
///
/// # Errors
/// The anchors are longer than an entry may be.
pub fn anchors_digest(anchors: &Anchors) -> Result<Digest, CanonicalError> {
    Ok(sha256(&to_canonical(anchors)?))
}
