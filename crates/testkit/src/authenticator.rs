//! A passkey in software: what a browser and its authenticator would answer.

use aws_lc_rs::{
    rand::{self, SystemRandom},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use base::{Bytes, Digest, sha256};
use proof::{
    entry::{Entry, Signature, Statement},
    keys::Passkey,
    webauthn::Assertion,
};
use serde_json::json;

/// The person is present and verified.
pub const PRESENT_AND_VERIFIED: u8 = 0x05;

/// One discoverable credential, bound to one origin.
pub struct Authenticator {
    key: EcdsaKeyPair,
    credential: Bytes,
    rp_id: String,
    origin: String,
}

impl Authenticator {
    /// A new credential of a fresh key. None when the machine has no randomness.
    pub fn new(rp_id: &str, origin: &str) -> Option<Self> {
        let mut credential = vec![0; 16];
        rand::fill(&mut credential).ok()?;
        Some(Self {
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).ok()?,
            credential: Bytes(credential),
            rp_id: rp_id.to_owned(),
            origin: origin.to_owned(),
        })
    }

    /// What is enrolled.
    pub fn passkey(&self) -> Passkey {
        Passkey {
            credential: self.credential.clone(),
            es256: Bytes(self.key.public_key().as_ref().to_vec()),
            rp_id: self.rp_id.clone(),
            origin: self.origin.clone(),
        }
    }

    /// The answer of `navigator.credentials.get()` on the credential's own origin.
    pub fn get(&self, challenge: &Digest) -> Option<Assertion> {
        self.get_on(&self.origin, challenge, PRESENT_AND_VERIFIED)
    }

    /// The same with another origin or other flags, as an attacker's page or a bad
    /// authenticator would answer.
    pub fn get_on(&self, origin: &str, challenge: &Digest, flags: u8) -> Option<Assertion> {
        let client = json!({
            "type": "webauthn.get", "challenge": Bytes(challenge.0.to_vec()),
            "origin": origin, "crossOrigin": false,
        });
        let client = serde_json::to_vec(&client).ok()?;
        let mut data = sha256(self.rp_id.as_bytes()).0.to_vec();
        data.extend([flags, 0, 0, 0, 0]);
        let signed = [&data[..], &sha256(&client).0].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).ok()?;
        Some(Assertion {
            authenticator_data: Bytes(data),
            client_data: Bytes(client),
            signature: Bytes(signature.as_ref().to_vec()),
        })
    }

    /// Signs a statement as an entry.
    pub fn sign(&self, statement: Statement) -> Option<Entry> {
        let id = sha256(&statement.bytes().ok()?);
        Some(Entry { signature: Signature::Passkey(self.get(&id)?), statement })
    }
}
