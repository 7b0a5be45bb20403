//! `did:web` identifiers, their documents, and the site's key as a JWK.
//!
//! Follows the did:web method and DID Core 1.0; keys are JWKs of RFC 8037
//! (`OKP`, `Ed25519`). The document belongs at [`DidWeb::document_url`].

use base::{Bytes, Digest, Id};
use plant::{Plant, history::Ended};
use policy::Role;
use proof::keys::PublicKey;
use serde_json::{Value, json};
use std::{fmt, str::FromStr};

/// A `did:web` identifier: a host, perhaps a port, and a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DidWeb {
    text: String,
    origin: String,
    path: String,
}

/// Text that is not a `did:web` identifier.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a did:web identifier: `did:web:host`, `did:web:host%3Aport` or `did:web:host:path` is expected"
)]
pub struct BadDid(String);

impl FromStr for DidWeb {
    type Err = BadDid;
    fn from_str(s: &str) -> Result<Self, BadDid> {
        let bad = || BadDid(s.chars().take(80).collect());
        if s.len() > 512 {
            return Err(bad());
        }
        let mut parts = s.strip_prefix("did:web:").ok_or_else(bad)?.split(':');
        let host = parts.next().unwrap_or_default();
        let (name, port) = match host.split_once("%3A") {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        };
        let word = |text: &str| {
            let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            !text.is_empty() && text.bytes().all(fits) && !text.starts_with('.')
        };
        if !word(name) || port.is_some_and(|p| p.parse::<u16>().is_err()) {
            return Err(bad());
        }
        let origin = match port {
            Some(port) => format!("https://{name}:{port}"),
            None => format!("https://{name}"),
        };
        let mut path = String::new();
        for part in parts {
            if !word(part) {
                return Err(bad());
            }
            path.push('/');
            path.push_str(part);
        }
        Ok(Self { text: s.into(), origin, path })
    }
}

impl fmt::Display for DidWeb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl DidWeb {
    /// Where the DID document is served.
    pub fn document_url(&self) -> String {
        let folder = match self.path.as_str() {
            "" => "/.well-known",
            path => path,
        };
        format!("{}{folder}/did.json", self.origin)
    }

    /// Where a part's passport is served; its QR code leads there. The path has
    /// the form of a GS1 Digital Link with a name of the plant's own instead of a
    /// GS1 key, since no GS1 key is assigned to the part.
    pub fn passport_url(&self, part: &Id) -> String {
        format!("{}{}/passports/{part}", self.origin, self.path)
    }

    /// Where a thing is found by its hash (RFC 6920 over HTTP).
    pub fn hash_url(&self, digest: &Digest) -> String {
        let digest = Bytes(digest.0.to_vec());
        format!("{}/.well-known/ni/sha-256/{digest}", self.origin)
    }

    /// Where a recording is found by its root CID, encrypted, under a grant (IPFS
    /// trustless gateway).
    pub fn recording_url(&self, root: &str) -> String {
        format!("{}/ipfs/{root}", self.origin)
    }

    /// The identifier of a member's first key.
    pub fn key_id(&self, member: &Id) -> String {
        format!("{}#{member}", self.text)
    }

    /// The identifier of a key that took the first one's place: a passport that the
    /// first one signed still names that one.
    pub fn later_key_id(&self, member: &Id, public: &[u8; 32]) -> String {
        let print = PublicKey::Ed25519(Bytes(public.to_vec())).fingerprint().to_string();
        let digits: String = print.chars().take(16).collect();
        format!("{}-{digits}", self.key_id(member))
    }

    /// The identifier of a member's key in a plant.
    pub fn key_id_in(&self, plant: &Plant, member: &Id, public: &[u8; 32]) -> String {
        match plant.history.of(member).find_map(|span| span.key.as_ed25519()) {
            Some(first) if first != *public => self.later_key_id(member, public),
            _ => self.key_id(member),
        }
    }
}

/// A public key with the identifier under which it is published.
pub type NamedKey = (String, [u8; 32]);

/// The keys that an issuer's passports verify under: all that a member with the site's
/// role ever had, so that a passport outlives its key, but for those that somebody else
/// revoked, with which a thief could sign.
pub fn issuer_keys(issuer: &DidWeb, plant: &Plant) -> Vec<NamedKey> {
    let mut keys: Vec<NamedKey> = Vec::new();
    for site in plant.members.keys().filter(|id| plant.has_role(id, Role::Site)) {
        let safe = plant.history.of(site).filter(|s| !matches!(s.end, Some((_, Ended::Revoked))));
        for public in safe.filter_map(|span| span.key.as_ed25519()) {
            let named = (issuer.key_id_in(plant, site, &public), public);
            if !keys.contains(&named) {
                keys.push(named);
            }
        }
    }
    keys
}

fn jwk((id, public): &NamedKey) -> Value {
    json!({
        "alg": "EdDSA",
        "crv": "Ed25519",
        "kid": id,
        "kty": "OKP",
        "use": "sig",
        "x": Bytes(public.to_vec()),
    })
}

/// The DID document of an issuer whose passports verify under `keys`.
pub fn did_document(issuer: &DidWeb, keys: &[NamedKey]) -> Value {
    let method = |key: &NamedKey| {
        json!({
            "id": key.0,
            "type": "JsonWebKey",
            "controller": issuer.to_string(),
            "publicKeyJwk": jwk(key),
        })
    };
    json!({
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/jwk/v1"],
        "id": issuer.to_string(),
        "verificationMethod": keys.iter().map(method).collect::<Vec<_>>(),
        "assertionMethod": keys.iter().map(|(id, _)| id).collect::<Vec<_>>(),
    })
}

/// The same keys as a JSON Web Key Set (RFC 7517).
pub fn jwks(keys: &[NamedKey]) -> Value {
    json!({ "keys": keys.iter().map(jwk).collect::<Vec<_>>() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_did_leads_to_its_document() {
        let cases = [
            ("did:web:plant.example", "https://plant.example/.well-known/did.json"),
            ("did:web:localhost%3A8443", "https://localhost:8443/.well-known/did.json"),
            ("did:web:a.example:plants:one", "https://a.example/plants/one/did.json"),
        ];
        for (did, url) in cases {
            assert_eq!(did.parse::<DidWeb>().unwrap().document_url(), url);
        }
        for bad in [
            "did:web:",
            "did:key:z6",
            "did:web:a b",
            "did:web:a:",
            "did:web:a%3Ax",
            "did:web:a/\"b",
        ] {
            assert!(bad.parse::<DidWeb>().is_err(), "{bad}");
        }
    }
}
