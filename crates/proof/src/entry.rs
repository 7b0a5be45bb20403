//! One signed statement, as it goes on the ledger.
//!
//! A [`Statement`] says who states what, when, for which site. Its canonical
//! bytes (RFC 8785) are what is signed, and their SHA-256 digest is the entry's
//! identifier. A key file signs `interlock/entry/v1`, a zero byte, then those
//! bytes; a passkey signs a WebAuthn assertion whose challenge is the digest.
//! A log leaf is the entry together with the time at which the site logged it.

use crate::{
    keys::{Invitation, PublicKey, Signer, verify_ed25519},
    webauthn,
};
use base::{
    Bytes, CanonicalError, Digest, Id, MAX_CANONICAL_BYTES, MAX_NUMBER, Millis, check_numbers,
    from_canonical, sha256, to_canonical,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The format that this crate reads and writes.
pub const VERSION: &str = "interlock/1";

/// Separates entry signatures from all others made with the same key.
const DOMAIN: &[u8] = b"interlock/entry/v1\0";

/// What somebody states. Field order here is irrelevant: canonical bytes sort.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The issuer's clock.
    pub at: Millis,
    /// What is stated; the plant crate gives it its type.
    pub body: Value,
    /// Who states it.
    pub issuer: Id,
    /// The fingerprint of the key that signs.
    pub key: Digest,
    /// 16 random bytes that the issuer never uses twice.
    pub nonce: Bytes,
    /// The site that it is meant for.
    pub site: Id,
    /// [`VERSION`].
    pub v: String,
}

impl Statement {
    /// The canonical bytes.
    ///
    /// # Errors
    /// They are too long, or a number in them is beyond what every reader counts alike.
    pub fn bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        self.check()?;
        to_canonical(self)
    }

    fn check(&self) -> Result<(), CanonicalError> {
        time(self.at).and_then(|()| check_numbers(&self.body))
    }
}

fn time(at: Millis) -> Result<(), CanonicalError> {
    if at.0 <= MAX_NUMBER { Ok(()) } else { Err(CanonicalError::Number(at.0.to_string())) }
}

/// A signature over a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Signature {
    /// By a key file: 64 bytes.
    Ed25519(Bytes),
    /// By a passkey.
    Passkey(webauthn::Assertion),
}

/// A statement with its signature, not yet verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The signature.
    pub signature: Signature,
    /// What was signed.
    pub statement: Statement,
}

/// What the log holds: an entry and when the site logged it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// The entry.
    pub entry: Entry,
    /// The site's clock when it took the entry; it never runs backwards.
    pub logged_at: Millis,
}

/// Why an entry is not what it claims to be.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// The bytes are no canonical entry.
    #[error("entry: {0}")]
    Format(#[from] CanonicalError),
    /// Another format version.
    #[error("entry version `{0}`, expected `{VERSION}`")]
    Version(String),
    /// The signature does not verify, or names another key.
    #[error("signature of `{issuer}`: {reason}")]
    Signature {
        /// The claimed issuer.
        issuer: Id,
        /// What was wrong with it.
        reason: String,
    },
}

impl Entry {
    /// Signs a statement with an Ed25519 key.
    pub fn sign(statement: Statement, signer: &dyn Signer) -> Result<Self, CanonicalError> {
        let signature = signer.sign(&message(&statement.bytes()?));
        Ok(Self { signature: Signature::Ed25519(Bytes(signature.to_vec())), statement })
    }

    /// Parses canonical bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, CanonicalError> {
        let entry: Self = from_canonical(bytes)?;
        entry.statement.check().map(|()| entry)
    }

    /// The canonical bytes.
    pub fn bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        self.statement.check()?;
        to_canonical(self)
    }

    /// The entry's identifier: the digest of its statement.
    pub fn id(&self) -> Result<Digest, CanonicalError> {
        Ok(sha256(&self.statement.bytes()?))
    }

    /// Verifies the signature under `key`, the issuer's enrolled key that the
    /// statement names.
    pub fn verify(self, key: &PublicKey) -> Result<VerifiedEntry, EntryError> {
        let statement = &self.statement;
        if statement.v != VERSION {
            return Err(EntryError::Version(statement.v.chars().take(40).collect()));
        }
        let fail =
            |reason: String| EntryError::Signature { issuer: statement.issuer.clone(), reason };
        if key.fingerprint() != statement.key {
            return Err(fail(format!("names key {}, not the enrolled one", statement.key.short())));
        }
        if statement.nonce.0.len() != 16 {
            return Err(fail(format!("nonce of {} bytes, expected 16", statement.nonce.0.len())));
        }
        let bytes = statement.bytes()?;
        let canonical = wrapped(&self.signature, &bytes)?;
        let id = sha256(&bytes);
        let user_verified = match (key, &self.signature) {
            (
                PublicKey::Ed25519(public)
                | PublicKey::Invitation(Invitation { ed25519: public, .. }),
                Signature::Ed25519(signature),
            ) => {
                let public = public.0.as_slice().try_into();
                let public: [u8; 32] = public.map_err(|_| fail("key is not 32 bytes".into()))?;
                if !verify_ed25519(&public, &message(&bytes), &signature.0) {
                    return Err(fail("does not verify over this statement".into()));
                }
                false
            }
            (PublicKey::Passkey(passkey), Signature::Passkey(assertion)) => {
                assertion.verify(passkey, &id).map_err(|e| fail(e.to_string()))?;
                true
            }
            _ => return Err(fail("is of another kind than the enrolled key".into())),
        };
        Ok(VerifiedEntry { id, user_verified, key: key.clone(), entry: self, canonical })
    }
}

/// An entry whose signature verified under [`VerifiedEntry::key`]. Only
/// [`Entry::verify`] makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedEntry {
    id: Digest,
    user_verified: bool,
    key: PublicKey,
    entry: Entry,
    /// The entry's canonical bytes, made once.
    canonical: Vec<u8>,
}

impl VerifiedEntry {
    /// The entry's identifier.
    pub fn id(&self) -> Digest {
        self.id
    }

    /// Whether an authenticator verified the person (PIN or biometric).
    pub fn user_verified(&self) -> bool {
        self.user_verified
    }

    /// The key that it verified under.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// What was stated.
    pub fn statement(&self) -> &Statement {
        &self.entry.statement
    }

    /// The entry with its signature.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The entry's canonical bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.canonical
    }

    /// The canonical bytes of the leaf that the log holds when it was logged at
    /// `logged_at`: those of [`Leaf::bytes`], without writing the entry anew.
    ///
    /// # Errors
    /// They are too long, or the time is beyond what every reader counts alike.
    pub fn leaf_bytes(&self, logged_at: Millis) -> Result<Vec<u8>, CanonicalError> {
        time(logged_at)?;
        let end = format!(",\"logged_at\":{}}}", logged_at.0);
        bounded([br#"{"entry":"#, self.canonical.as_slice(), end.as_bytes()].concat())
    }
}

impl Leaf {
    /// Parses the canonical bytes of a log leaf.
    pub fn parse(bytes: &[u8]) -> Result<Self, CanonicalError> {
        let leaf: Self = from_canonical(bytes)?;
        leaf.check().map(|()| leaf)
    }

    /// The canonical bytes, which the log hashes.
    pub fn bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        self.check()?;
        to_canonical(self)
    }

    fn check(&self) -> Result<(), CanonicalError> {
        time(self.logged_at).and_then(|()| self.entry.statement.check())
    }
}

/// An entry's canonical bytes, of a statement's: keys stand in alphabetical order.
fn wrapped(signature: &Signature, statement: &[u8]) -> Result<Vec<u8>, CanonicalError> {
    let signature = to_canonical(signature)?;
    let parts: [&[u8]; 5] = [br#"{"signature":"#, &signature, br#","statement":"#, statement, b"}"];
    bounded(parts.concat())
}

fn bounded(bytes: Vec<u8>) -> Result<Vec<u8>, CanonicalError> {
    if bytes.len() <= MAX_CANONICAL_BYTES {
        Ok(bytes)
    } else {
        Err(CanonicalError::TooLong(bytes.len()))
    }
}

fn message(statement: &[u8]) -> Vec<u8> {
    [DOMAIN, statement].concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;
    use serde_json::json;

    fn statement(signer: &dyn Signer) -> Statement {
        Statement {
            at: Millis(1),
            body: json!({"hold": {"reason": "test"}}),
            issuer: "alice".parse().unwrap(),
            key: PublicKey::of(signer).fingerprint(),
            nonce: Bytes(vec![7; 16]),
            site: "plant".parse().unwrap(),
            v: VERSION.into(),
        }
    }

    #[test]
    fn a_signed_entry_verifies_and_any_edit_does_not() {
        let signer = SecretKey::from_seed(&[1; 32]).unwrap();
        let key = PublicKey::of(&signer);
        let entry = Entry::sign(statement(&signer), &signer).unwrap();
        assert_eq!(Entry::parse(&entry.bytes().unwrap()).unwrap(), entry);
        let verified = entry.clone().verify(&key).unwrap();
        assert_eq!(verified.bytes(), entry.bytes().unwrap());
        for logged_at in [Millis(0), Millis(7), Millis(base::MAX_NUMBER)] {
            let leaf = Leaf { entry: entry.clone(), logged_at };
            assert_eq!(verified.leaf_bytes(logged_at), leaf.bytes());
        }
        assert!(verified.leaf_bytes(Millis(base::MAX_NUMBER + 1)).is_err());

        let mut edits = vec![entry.clone(); 6];
        edits[0].statement.at = Millis(2);
        edits[1].statement.body = json!({"hold": {"reason": "tesu"}});
        edits[2].statement.issuer = "bob".parse().unwrap();
        edits[3].statement.nonce.0[0] ^= 1;
        edits[4].statement.site = "other".parse().unwrap();
        edits[5].signature = Signature::Ed25519(Bytes(vec![0; 64]));
        for edit in edits {
            assert!(edit.verify(&key).is_err());
        }
        let other = SecretKey::from_seed(&[2; 32]).unwrap();
        assert!(entry.verify(&PublicKey::of(&other)).is_err());
    }

    #[test]
    fn no_number_is_signed_logged_or_read_that_a_browser_reads_as_another() {
        let signer = SecretKey::from_seed(&[1; 32]).unwrap();
        let with = |at: u64, number: serde_json::Value| Statement {
            at: Millis(at),
            body: json!({"grant": {"budget": number}}),
            ..statement(&signer)
        };
        let most = base::MAX_NUMBER;
        let whole = Entry::sign(with(most, json!(most)), &signer).unwrap();
        assert_eq!(Entry::parse(&whole.bytes().unwrap()).unwrap(), whole);
        let leaf = Leaf { entry: whole.clone(), logged_at: Millis(most) };
        assert_eq!(Leaf::parse(&leaf.bytes().unwrap()).unwrap(), leaf);
        assert!(Leaf { logged_at: Millis(most + 1), ..leaf.clone() }.bytes().is_err());

        for statement in [
            with(most + 1, json!(1)),
            with(1, json!(most + 1)),
            with(1, json!(-9_007_199_254_740_992_i64)),
            with(1, json!(u64::MAX)),
            with(1, json!([1e20])),
        ] {
            let number = |e| matches!(e, CanonicalError::Number(_));
            assert!(Entry::sign(statement.clone(), &signer).is_err_and(number));
            let entry = Entry { statement, ..whole.clone() };
            assert!(entry.bytes().is_err_and(number) && entry.id().is_err_and(number));
            // Written by somebody else, in canonical form all the same.
            let bytes = to_canonical(&entry).unwrap();
            assert!(Entry::parse(&bytes).is_err());
            let leaf = to_canonical(&Leaf { entry, logged_at: Millis(1) }).unwrap();
            assert!(Leaf::parse(&leaf).is_err());
        }
    }

    #[test]
    fn an_invitation_signs_as_itself_and_is_no_plain_key() {
        let signer = SecretKey::from_seed(&[1; 32]).unwrap();
        let invitation = |not_after| {
            let ed25519 = Bytes(signer.public().to_vec());
            PublicKey::Invitation(Invitation { ed25519, not_after: Millis(not_after) })
        };
        let key = invitation(9);
        let named = Statement { key: key.fingerprint(), ..statement(&signer) };
        let entry = Entry::sign(named, &signer).unwrap();
        let verified = entry.clone().verify(&key).unwrap();
        assert!(!verified.user_verified());
        assert_eq!((verified.key(), key.as_ed25519()), (&key, None));
        // Another end is another key, and neither stands for the plain one.
        assert!(entry.clone().verify(&invitation(10)).is_err());
        assert!(entry.verify(&PublicKey::of(&signer)).is_err());
        let plain = Entry::sign(statement(&signer), &signer).unwrap();
        assert!(plain.verify(&key).is_err());
    }
}
