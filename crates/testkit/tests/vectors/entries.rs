//! Entries, signed by a key file, an invitation and a passkey.

use super::{
    common::*,
    ecdsa::{integer, integers, minus, padded, plus, raw_sequence, sequence},
};
use crate::plant_in_memory::key;
use base::{Bytes, Millis, sha256};
use proof::{
    entry::{Entry, Signature, Statement},
    keys::PublicKey,
};
use serde_json::{Value, json};

/// The order of the Ed25519 group, little-endian.
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

pub fn vectors(person: &Person) -> Vec<Value> {
    let at = Millis(1_795_219_200_000);
    let ada = key("ada");
    let plain = PublicKey::of(&*ada);
    let invitation = PublicKey::Invitation(invitation_key());
    let body = || json!({"hold": {"reason": "a hose is loose: “stop”"}});
    let stated = |key: &PublicKey| statement("ada", key, at, 7, body());
    let entry = Entry::sign(stated(&plain), &*ada).unwrap();
    let ask = |name: &str, bytes: Vec<u8>, key: &PublicKey, valid: bool, why: &str| {
        let input = json!({ "entry": b64(bytes), "key": b64(canonical_of(key)) });
        vector("entry", name, input, valid, why)
    };
    let bytes = |entry: &Entry| entry.bytes().unwrap();
    let edited = |change: &dyn Fn(&mut Entry)| {
        let mut entry = entry.clone();
        change(&mut entry);
        bytes(&entry)
    };
    let signed = |change: &dyn Fn(&mut Statement)| {
        let mut statement = stated(&plain);
        change(&mut statement);
        bytes(&Entry::sign(statement, &*ada).unwrap())
    };
    let text = String::from_utf8(bytes(&entry)).unwrap();
    let signature = match &entry.signature {
        Signature::Ed25519(bytes) => bytes.0.clone(),
        Signature::Passkey(_) => unreachable!(),
    };
    let malleated = {
        let mut carry = 0u16;
        let s = signature[32..].iter().zip(L).map(|(a, b)| {
            carry += u16::from(*a) + u16::from(b);
            let byte = carry as u8;
            carry >>= 8;
            byte
        });
        let s: Vec<u8> = s.collect();
        [&signature[..32], &s].concat()
    };
    let with_signature =
        |s: &[u8]| edited(&|e| e.signature = Signature::Ed25519(Bytes(s.to_vec())));
    let accept =
        Statement { body: json!({"accept": {"passkey": person.passkey()}}), ..stated(&invitation) };
    let accepted = Entry::sign(accept, &invitation_signer()).unwrap();
    let mut later = invitation_key();
    later.not_after = later.not_after.plus(1);
    let mut out = vec![
        ask("by a key file", bytes(&entry), &plain, true, "its signature verifies"),
        ask("by an invitation", bytes(&accepted), &invitation, true, "its signature verifies"),
        ask(
            "by an invitation with another end",
            bytes(&accepted),
            &PublicKey::Invitation(later),
            false,
            "another end is another key",
        ),
        ask(
            "an edited body",
            edited(&|e| e.statement.body = json!({"hold": {"reason": "none"}})),
            &plain,
            false,
            "not what was signed",
        ),
        ask(
            "an edited time",
            edited(&|e| e.statement.at = Millis(1)),
            &plain,
            false,
            "not what was signed",
        ),
        ask("another's key", bytes(&entry), &PublicKey::of(&*key("olga")), false, "it names ada's"),
        ask(
            "a signature with S + L",
            with_signature(&malleated),
            &plain,
            false,
            "S must be below L",
        ),
        ask("a cut signature", with_signature(&signature[..63]), &plain, false, "64 bytes"),
        ask("no signature", with_signature(&[]), &plain, false, "64 bytes"),
        ask("a short nonce", signed(&|s| s.nonce.0.truncate(15)), &plain, false, "16 bytes"),
        ask("another version", signed(&|s| s.v = "interlock/2".into()), &plain, false, "unknown"),
        ask(
            "padding",
            text.replacen("==", "", 1).replacen("\",\"site", "==\",\"site", 1).into(),
            &plain,
            false,
            "no padding in base64url",
        ),
        ask("a space", text.replacen(':', ": ", 1).into(), &plain, false, "not canonical"),
        ask(
            "a repeated key",
            text.replacen("\"at\"", "\"at\":1,\"at\"", 1).into(),
            &plain,
            false,
            "each key once",
        ),
        ask(
            "an unknown key",
            text.replacen("\"at\"", "\"as\":1,\"at\"", 1).into(),
            &plain,
            false,
            "no such key",
        ),
        ask(
            "a time that is no whole number",
            text.replacen("1795219200000", "1795219200000.5", 1).into(),
            &plain,
            false,
            "whole milliseconds",
        ),
        ask(
            "a name in capitals",
            text.replacen("\"ada\"", "\"Ada\"", 1).into(),
            &plain,
            false,
            "no identifier",
        ),
    ];
    out.extend(passkey_entries(person, &stated(&person.key())));
    out
}

fn passkey_entries(person: &Person, stated: &Statement) -> Vec<Value> {
    let key = person.key();
    let client = client_data(stated);
    let ask = |name: &str, entry: Entry, valid: bool, why: &str| {
        let input = json!({ "entry": b64(entry.bytes().unwrap()), "key": b64(canonical_of(&key)) });
        vector("entry", name, input, valid, why)
    };
    let client_edited = |field: &str, value: Value| {
        let mut client = client.clone();
        client[field] = value;
        person.sign_with(stated.clone(), &client, RP, 0x05)
    };
    let with_der = |der: Vec<u8>| {
        let mut entry = person.sign(stated.clone());
        if let Signature::Passkey(assertion) = &mut entry.signature {
            assertion.signature.0 = der;
        }
        entry
    };
    let der = match person.sign(stated.clone()).signature {
        Signature::Passkey(assertion) => assertion.signature.0,
        Signature::Ed25519(_) => unreachable!(),
    };
    let (r, s) = integers(&der);
    let mut no_cross = client.clone();
    no_cross.as_object_mut().unwrap().remove("crossOrigin");
    let mut more = client.clone();
    more["other_keys_can_be_added_here"] =
        "do not compare clientDataJSON against a template".into();
    let long = [vec![0x30, 0x81], der[1..].to_vec()].concat();
    vec![
        ask(
            "by a passkey",
            person.sign(stated.clone()),
            true,
            "present and verified, on its origin",
        ),
        ask(
            "by a passkey without crossOrigin",
            person.sign_with(stated.clone(), &no_cross, RP, 0x05),
            true,
            "absent is false",
        ),
        ask(
            "by a passkey with more client data",
            person.sign_with(stated.clone(), &more, RP, 0x05),
            true,
            "unknown members are allowed",
        ),
        ask(
            "a backed-up passkey",
            person.sign_with(stated.clone(), &client, RP, 0x1d),
            true,
            "other flags are free",
        ),
        ask(
            "with the other root of s",
            with_der(sequence(&r, &minus(&s))),
            true,
            "ECDSA allows both",
        ),
        ask(
            "a person who was not verified",
            person.sign_with(stated.clone(), &client, RP, 0x01),
            false,
            "user verification",
        ),
        ask(
            "a person who was not present",
            person.sign_with(stated.clone(), &client, RP, 0x04),
            false,
            "user presence",
        ),
        ask(
            "another relying party",
            person.sign_with(stated.clone(), &client, "evil.example", 0x05),
            false,
            "the hash differs",
        ),
        ask(
            "another origin",
            client_edited("origin", "https://evil.example".into()),
            false,
            "not the enrolled origin",
        ),
        ask(
            "a frame of another origin",
            client_edited("crossOrigin", true.into()),
            false,
            "crossOrigin",
        ),
        ask("crossOrigin null", client_edited("crossOrigin", Value::Null), false, "true or false"),
        ask(
            "a registration",
            client_edited("type", "webauthn.create".into()),
            false,
            "webauthn.get",
        ),
        ask(
            "another challenge",
            client_edited("challenge", b64(sha256(b"other").0)),
            false,
            "not this entry",
        ),
        ask("a byte after the signature", with_der([&der[..], &[0]].concat()), false, "strict DER"),
        ask("a long length", with_der(long), false, "strict DER"),
        ask(
            "a padded integer",
            with_der(raw_sequence(&padded(&r), &integer(&s))),
            false,
            "strict DER",
        ),
        ask(
            "a negative integer",
            with_der(raw_sequence(&[&[2, 32, 0x80][..], &[1; 31]].concat(), &integer(&s))),
            false,
            "strict DER",
        ),
        ask("r of zero", with_der(sequence(&[0], &s)), false, "1 to n - 1"),
        ask("r + n", with_der(sequence(&plus(&r), &s)), false, "1 to n - 1"),
        ask("no signature at all", with_der(vec![]), false, "strict DER"),
    ]
}
