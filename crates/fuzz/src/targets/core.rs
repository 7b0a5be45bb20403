//! Canonical JSON, small texts, entries and assertions.

use super::key;
use base::{Bytes, Digest, Id, Millis, check_numbers, from_canonical, sha256, to_canonical};
use proof::{
    entry::{Entry, Leaf, Signature, Statement, VERSION},
    keys::{Passkey, PublicKey, Signer, origin_host},
    log::VKey,
    webauthn::Assertion,
};
use serde_json::{Value, json};
use std::sync::LazyLock;
use vault::address::{cid_from_bytes, parse_cid};

/// What is canonical has one spelling, and making canonical is done once.
pub fn canonical(bytes: &[u8]) {
    let strict = from_canonical::<Value>(bytes);
    if let Ok(value) = &strict {
        assert_eq!(to_canonical(value).unwrap(), bytes);
    }
    let Ok(loose) = serde_json::from_slice::<Value>(bytes) else {
        return assert!(strict.is_err());
    };
    let small = check_numbers(&loose).is_ok();
    if let Ok(made) = to_canonical(&loose) {
        let again: Value = from_canonical(&made).expect("what was made canonical is");
        assert_eq!(to_canonical(&again).unwrap(), made);
        assert_eq!(check_numbers(&again).is_ok(), small, "a number changed its size");
    }
}

/// Identifiers, digests, times, addresses, origins, keys of notes.
pub fn text(bytes: &[u8]) {
    if let Some(first) = bytes.first_chunk() {
        let time = Millis(u64::from_le_bytes(*first));
        assert!(time.to_string().ends_with('Z'));
    }
    if let Ok(cid) = cid_from_bytes(bytes) {
        assert_eq!(cid.to_bytes(), bytes);
        assert_eq!(parse_cid(&cid.to_string()).unwrap(), cid);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let quoted = json!(text);
    if let Ok(id) = text.parse::<Id>() {
        assert_eq!(id.as_str(), text);
        assert_eq!(serde_json::from_value::<Id>(quoted.clone()).unwrap(), id);
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
    if let Ok(decoded) = serde_json::from_value::<Bytes>(quoted) {
        assert_eq!(decoded.to_string(), text);
    }
    if let Ok(key) = text.parse::<VKey>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(cid) = parse_cid(text) {
        assert_eq!(parse_cid(&cid.to_string()).unwrap(), cid);
        assert_eq!(cid_from_bytes(&cid.to_bytes()).unwrap(), cid);
    }
    if let Some(host) = origin_host(text) {
        assert!(text.contains(host));
    }
    if let Some(tile) = ledger::layout::Tile::parse(text) {
        assert_eq!(tile.to_string(), text);
    }
}

/// Entries, leaves and keys; statements that the fuzzer chose, signed for real.
pub fn entry(bytes: &[u8]) {
    let ada = key("ada");
    let ada_public = PublicKey::of(ada.as_ref());
    if let Ok(entry) = Entry::parse(bytes) {
        assert_eq!(entry.bytes().unwrap(), bytes);
        if let Ok(verified) = entry.clone().verify(&ada_public) {
            assert_eq!(verified.id(), entry.id().unwrap());
            assert_eq!(verified.entry().clone().verify(&ada_public).unwrap(), verified);
            forged(entry, &ada_public);
        }
    }
    if let Ok(leaf) = Leaf::parse(bytes) {
        assert_eq!(leaf.bytes().unwrap(), bytes);
    }
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    if let Ok(made) = to_canonical(&value) {
        let _ = (Entry::parse(&made), Leaf::parse(&made));
        if let Ok(key) = from_canonical::<PublicKey>(&made) {
            let _ = key.check_form();
            assert_eq!(key.fingerprint(), sha256(&made));
            assert_eq!(key.as_ed25519().is_some(), {
                matches!(&key, PublicKey::Ed25519(_)) && key.check_form().is_ok()
            });
        }
    }
    let stated = value.get("statement").unwrap_or(&value);
    if let Ok(statement) = serde_json::from_value::<Statement>(stated.clone()) {
        let statement = Statement { key: ada_public.fingerprint(), ..statement };
        let sound = statement.v == VERSION && statement.nonce.0.len() == 16;
        let Ok(entry) = Entry::sign(statement, ada.as_ref()) else {
            return;
        };
        assert_eq!(entry.clone().verify(&ada_public).is_ok(), sound);
        if let Ok(bytes) = entry.bytes() {
            let again = Entry::parse(&bytes).expect("what was signed is read");
            assert_eq!(again.id().unwrap(), entry.id().unwrap());
            assert_eq!(again.verify(&ada_public).is_ok(), sound);
        }
    }
}

/// No change of a statement keeps its signature.
fn forged(mut entry: Entry, public: &PublicKey) {
    entry.statement.at = Millis(entry.statement.at.0 ^ 1);
    assert!(entry.clone().verify(public).is_err());
    entry.statement.at = Millis(entry.statement.at.0 ^ 1);
    if let Signature::Ed25519(signature) = &mut entry.signature {
        signature.0[9] ^= 1;
    }
    assert!(entry.verify(public).is_err());
}

/// A P-256 key pair that signs whatever the fuzzer chose.
struct Authenticator {
    pair: aws_lc_rs::signature::EcdsaKeyPair,
    passkey: Passkey,
}

static AUTHENTICATOR: LazyLock<Authenticator> = LazyLock::new(|| {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let passkey = Passkey {
        credential: Bytes(vec![1]),
        es256: Bytes(pair.public_key().as_ref().to_vec()),
        rp_id: "plant.example".into(),
        origin: "https://plant.example".into(),
    };
    Authenticator { pair, passkey }
});

/// An assertion as JSON; and one whose parts the fuzzer chose, signed for real:
/// one length byte, authenticator data, client data. `@` in client data stands for the
/// challenge, a leading `@` in authenticator data for the relying party's hash.
pub fn assertion(bytes: &[u8]) {
    let Authenticator { pair, passkey } = &*AUTHENTICATOR;
    let entry = sha256(b"entry");
    if let Ok(assertion) = serde_json::from_slice::<Assertion>(bytes) {
        assert!(assertion.verify(passkey, &entry).is_err(), "nobody signed it");
    }
    let Some((length, rest)) = bytes.split_first() else {
        return;
    };
    let (data, client) = rest.split_at_checked((*length).into()).unwrap_or((&[], rest));
    let data = match data.split_first() {
        Some((b'@', rest)) => [&sha256(passkey.rp_id.as_bytes()).0[..], rest].concat(),
        _ => data.to_vec(),
    };
    let challenge = Bytes(entry.0.to_vec()).to_string();
    let client: Vec<u8> = match std::str::from_utf8(client) {
        Ok(text) => text.replacen('@', &challenge, 1).into_bytes(),
        Err(_) => client.to_vec(),
    };
    let signed = [&data[..], &sha256(&client).0].concat();
    let signature = pair.sign(&aws_lc_rs::rand::SystemRandom::new(), &signed).unwrap();
    let assertion = Assertion {
        authenticator_data: Bytes(data.clone()),
        client_data: Bytes(client.clone()),
        signature: Bytes(signature.as_ref().to_vec()),
    };
    if assertion.verify(passkey, &entry).is_ok() {
        // Another reader of the same bytes agrees with what was verified.
        let read: Value = serde_json::from_slice(&client).expect("client data is JSON");
        assert_eq!(read["type"], "webauthn.get");
        assert_eq!(read["challenge"], challenge);
        assert_eq!(read["origin"], passkey.origin);
        assert_ne!(read["crossOrigin"], true);
        assert!(data.len() >= 37 && data[32] & 5 == 5);
        assert!(assertion.verify(passkey, &sha256(b"another")).is_err());
    }
}

/// The public key of a name, for the targets beside this one.
pub fn public(name: &str) -> [u8; 32] {
    key(name).public()
}
