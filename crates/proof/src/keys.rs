//! Keys: who can sign, and how a signature is checked.
//!
//! Machines and command-line users sign with Ed25519 (RFC 8032), people at a
//! console with a passkey (ES256 over a WebAuthn assertion). An invitation is an
//! Ed25519 key in a link, good for enrolling one passkey. Primitives are aws-lc's. A secret key lives behind [`Signer`], so that a file, a PKCS#11
//! token or a TPM can hold it.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey,
};
use base::{Bytes, Digest, Millis, sha256, to_canonical};
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
    /// A link that enrols one passkey.
    Invitation(Invitation),
}

/// A one-time key: whoever holds its seed may enrol one passkey until it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// The Ed25519 public key: 32 bytes.
    pub ed25519: Bytes,
    /// Until when it may be accepted.
    pub not_after: Millis,
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

    /// The raw Ed25519 key, when it is a plain one. An invitation is none: what
    /// is signed beside the ledger (manifests, checkpoints) never verifies under it.
    pub fn as_ed25519(&self) -> Option<[u8; 32]> {
        match self {
            Self::Ed25519(bytes) => bytes.0.as_slice().try_into().ok(),
            Self::Passkey(_) | Self::Invitation(_) => None,
        }
    }

    /// The raw public key. Two keys of one material have one owner, whatever is
    /// written beside it.
    pub fn material(&self) -> &[u8] {
        match self {
            Self::Ed25519(bytes) => &bytes.0,
            Self::Passkey(passkey) => &passkey.es256.0,
            Self::Invitation(invitation) => &invitation.ed25519.0,
        }
    }

    /// Whether the key has the form that its kind demands.
    ///
    /// # Errors
    /// What is malformed.
    pub fn check_form(&self) -> Result<(), BadKey> {
        match self {
            Self::Ed25519(bytes) => length("Ed25519 key", bytes, 32),
            Self::Passkey(passkey) => passkey.check_form(),
            Self::Invitation(invitation) => length("invitation", &invitation.ed25519, 32),
        }
    }
}

/// A public key that no signature could verify under.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct BadKey(String);

fn length(what: &str, bytes: &Bytes, expected: usize) -> Result<(), BadKey> {
    match bytes.0.len() {
        found if found == expected => Ok(()),
        found => Err(BadKey(format!("{what} of {found} bytes, expected {expected}"))),
    }
}

/// The longest credential identifier (WebAuthn level 3, §4).
const MAX_CREDENTIAL: usize = 1023;

impl Passkey {
    /// Whether the credential is bounded, its key an uncompressed point, and its
    /// origin one that a browser binds to its relying party.
    ///
    /// # Errors
    /// What is malformed.
    pub fn check_form(&self) -> Result<(), BadKey> {
        if !(1..=MAX_CREDENTIAL).contains(&self.credential.0.len()) {
            let found = self.credential.0.len();
            return Err(BadKey(format!("credential of {found} bytes, expected 1 to 1023")));
        }
        length("passkey", &self.es256, 65)?;
        if self.es256.0.first() != Some(&0x04) {
            return Err(BadKey("passkey is no uncompressed P-256 point".into()));
        }
        let cut = |text: &str| text.chars().take(80).collect::<String>();
        if !is_host(&self.rp_id) {
            let found = cut(&self.rp_id);
            return Err(BadKey(format!("relying party `{found}` is no host name")));
        }
        let host = origin_host(&self.origin).ok_or_else(|| {
            let found = cut(&self.origin);
            BadKey(format!(
                "origin `{found}` is neither https://HOST[:PORT] nor http://localhost[:PORT]"
            ))
        })?;
        let sub = host.strip_suffix(&self.rp_id).is_some_and(|s| s.is_empty() || s.ends_with('.'));
        if sub {
            Ok(())
        } else {
            Err(BadKey(format!("origin of `{host}` is not within relying party `{}`", self.rp_id)))
        }
    }
}

/// The host of an origin that passkeys can be bound to: `https://HOST[:PORT]`, or
/// `http://localhost[:PORT]`, which browsers take for secure.
pub fn origin_host(origin: &str) -> Option<&str> {
    let (secure, rest) = match origin.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, origin.strip_prefix("http://")?),
    };
    let host = match rest.split_once(':') {
        None => rest,
        Some((host, port)) => {
            let number: u16 = port.parse().ok()?;
            // One spelling each: `+80` and `080` parse as well.
            if number == 0 || number.to_string() != port {
                return None;
            }
            host
        }
    };
    (is_host(host) && (secure || host == "localhost")).then_some(host)
}

/// A host name in lower case; an address is none, because no passkey binds to one.
fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let numeric = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    text.len() <= 253 && text.split('.').all(label) && !text.rsplit('.').next().is_some_and(numeric)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn passkey(rp_id: &str, origin: &str) -> Passkey {
        Passkey {
            credential: Bytes(vec![1]),
            es256: Bytes([&[4][..], &[7; 64]].concat()),
            rp_id: rp_id.into(),
            origin: origin.into(),
        }
    }

    #[test]
    fn a_passkey_is_bound_to_its_own_host() {
        for (rp_id, origin) in [
            ("hall.example", "https://hall.example"),
            ("hall.example", "https://hall.example:7450"),
            ("hall.example", "https://console.hall.example"),
            ("localhost", "http://localhost:7450"),
            ("localhost", "http://localhost"),
            ("localhost", "https://localhost:1"),
        ] {
            assert_eq!(passkey(rp_id, origin).check_form(), Ok(()), "{rp_id} {origin}");
        }
        let long = format!("{}.example", "a.".repeat(130));
        for (rp_id, origin) in [
            ("hall.example", "http://hall.example"),
            ("hall.example", "https://evilhall.example"),
            ("hall.example", "https://hall.example.evil"),
            ("hall.example", "https://hall.example/"),
            ("hall.example", "https://HALL.example"),
            ("hall.example", "https://user@hall.example"),
            ("hall.example", "https://hall.example:"),
            ("hall.example", "https://hall.example:0"),
            ("hall.example", "https://hall.example:0443"),
            ("hall.example", "https://hall.example:65536"),
            ("hall.example", "https://hall.example:1:2"),
            ("hall.example", "hall.example"),
            ("hall.example", ""),
            ("127.0.0.1", "https://127.0.0.1"),
            ("example", "http://localhost"),
            ("", "https://hall.example"),
            (".example", "https://hall.example"),
            ("-a.example", "https://-a.example"),
            ("hall..example", "https://hall..example"),
            (&long, &format!("https://{long}")),
        ] {
            assert!(passkey(rp_id, origin).check_form().is_err(), "{rp_id} {origin}");
        }
    }

    #[test]
    fn keys_have_the_length_of_their_kind() {
        let good = passkey("hall.example", "https://hall.example");
        let mut compressed = good.clone();
        compressed.es256.0 = [&[2][..], &[7; 32]].concat();
        let mut other_point = good.clone();
        other_point.es256.0[0] = 3;
        let (mut none, mut long) = (good.clone(), good.clone());
        none.credential.0.clear();
        long.credential.0 = vec![0; 1024];
        for bad in [compressed, other_point, none, long] {
            assert!(bad.check_form().is_err(), "{bad:?}");
        }
        for (bytes, ok) in [(31, false), (32, true), (33, false)] {
            let bytes = Bytes(vec![1; bytes]);
            let invitation = Invitation { ed25519: bytes.clone(), not_after: Millis(1) };
            assert_eq!(PublicKey::Invitation(invitation).check_form().is_ok(), ok);
            assert_eq!(PublicKey::Ed25519(bytes).check_form().is_ok(), ok);
        }
    }
}
