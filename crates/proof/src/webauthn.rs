//! A passkey's assertion over an entry, verified long after it was made.
//!
//! Follows WebAuthn level 3, §7.2, with the challenge fixed to the entry's
//! digest: the assertion is itself the evidence of what the person signed, so it
//! is kept whole. User presence and user verification are both required. The
//! signature counter is not used: passkeys that synchronise keep it at zero.

use crate::keys::{Passkey, verify_es256};
use base::{Bytes, Digest, sha256};
use serde::{Deserialize, Serialize};

/// The most bytes that `clientDataJSON` may have.
const MAX_CLIENT_DATA: usize = 4096;
/// Authenticator data: 32 bytes of RP id hash, flags, a 4-byte counter, and
/// extensions, bounded.
const MAX_AUTHENTICATOR_DATA: usize = 1024;

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;

/// What `navigator.credentials.get()` returned, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// `authenticatorData`.
    pub authenticator_data: Bytes,
    /// `clientDataJSON`.
    pub client_data: Bytes,
    /// The ES256 signature, ASN.1 DER.
    pub signature: Bytes,
}

/// Why an assertion does not prove that this person signed this entry.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AssertionError {
    /// A part is malformed.
    #[error("assertion: {0}")]
    Format(String),
    /// It was made for something else.
    #[error("assertion {what} is `{found}`, expected `{expected}`")]
    Mismatch {
        /// Which part differs.
        what: &'static str,
        /// What it says.
        found: String,
        /// What it must say.
        expected: String,
    },
    /// The signature does not verify.
    #[error("assertion signature does not verify under the enrolled passkey")]
    Signature,
}

#[derive(Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(default, rename = "crossOrigin")]
    cross_origin: bool,
}

impl Assertion {
    /// Verifies that `passkey` signed the entry with this digest, on its own
    /// origin, with the person present and verified.
    pub fn verify(&self, passkey: &Passkey, entry: &Digest) -> Result<(), AssertionError> {
        let format = |text: &str| AssertionError::Format(text.into());
        if self.client_data.0.len() > MAX_CLIENT_DATA {
            return Err(format("client data is over 4096 bytes"));
        }
        if self.authenticator_data.0.len() > MAX_AUTHENTICATOR_DATA {
            return Err(format("authenticator data is over 1024 bytes"));
        }
        let client: ClientData = serde_json::from_slice(&self.client_data.0)
            .map_err(|e| AssertionError::Format(format!("client data: {e}")))?;
        same("type", &client.kind, "webauthn.get")?;
        same("challenge", &client.challenge, &Bytes(entry.0.to_vec()).to_string())?;
        same("origin", &client.origin, &passkey.origin)?;
        same("crossOrigin", &client.cross_origin.to_string(), "false")?;

        let (rp, rest) = self
            .authenticator_data
            .0
            .split_first_chunk::<32>()
            .ok_or_else(|| format("authenticator data is shorter than 37 bytes"))?;
        same(
            "relying party",
            &Digest(*rp).to_string(),
            &sha256(passkey.rp_id.as_bytes()).to_string(),
        )?;
        let flags = match rest {
            [flags, _, _, _, _, ..] => *flags,
            _ => return Err(format("authenticator data is shorter than 37 bytes")),
        };
        let need = USER_PRESENT | USER_VERIFIED;
        same("flags (present, verified)", &(flags & need).to_string(), &need.to_string())?;

        let signed = [&self.authenticator_data.0[..], &sha256(&self.client_data.0).0].concat();
        if verify_es256(&passkey.es256.0, &signed, &self.signature.0) {
            Ok(())
        } else {
            Err(AssertionError::Signature)
        }
    }
}

fn same(what: &'static str, found: &str, expected: &str) -> Result<(), AssertionError> {
    if found == expected {
        return Ok(());
    }
    let found = found.chars().take(100).collect();
    Err(AssertionError::Mismatch { what, found, expected: expected.into() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
    };
    use serde_json::json;

    struct Authenticator(EcdsaKeyPair);

    impl Authenticator {
        fn new() -> Self {
            Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
        }

        fn passkey(&self) -> Passkey {
            Passkey {
                credential: Bytes(vec![1, 2, 3]),
                es256: Bytes(self.0.public_key().as_ref().to_vec()),
                rp_id: "plant.example".into(),
                origin: "https://plant.example".into(),
            }
        }

        fn get(&self, rp_id: &str, origin: &str, challenge: &Digest, flags: u8) -> Assertion {
            let client = json!({
                "type": "webauthn.get", "origin": origin,
                "challenge": Bytes(challenge.0.to_vec()), "crossOrigin": false,
            });
            let client = serde_json::to_vec(&client).unwrap();
            let mut data = sha256(rp_id.as_bytes()).0.to_vec();
            data.extend([flags, 0, 0, 0, 0]);
            let signed = [&data[..], &sha256(&client).0].concat();
            let signature = self.0.sign(&SystemRandom::new(), &signed).unwrap();
            Assertion {
                authenticator_data: Bytes(data),
                client_data: Bytes(client),
                signature: Bytes(signature.as_ref().to_vec()),
            }
        }
    }

    #[test]
    fn only_this_person_on_this_origin_for_this_entry() {
        let person = Authenticator::new();
        let passkey = person.passkey();
        let entry = sha256(b"order");
        let (rp, origin) = ("plant.example", "https://plant.example");
        assert_eq!(person.get(rp, origin, &entry, 0x05).verify(&passkey, &entry), Ok(()));
        for bad in [
            person.get(rp, origin, &sha256(b"another"), 0x05),
            person.get(rp, "https://evil.example", &entry, 0x05),
            person.get("evil.example", origin, &entry, 0x05),
            person.get(rp, origin, &entry, 0x01),
            person.get(rp, origin, &entry, 0x04),
            Authenticator::new().get(rp, origin, &entry, 0x05),
        ] {
            assert!(bad.verify(&passkey, &entry).is_err());
        }
        let mut cut = person.get(rp, origin, &entry, 0x05);
        cut.authenticator_data.0.truncate(36);
        assert!(matches!(cut.verify(&passkey, &entry), Err(AssertionError::Format(_))));
    }
}
