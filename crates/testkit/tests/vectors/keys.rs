//! Keys of members, of logs and of witnesses.

use super::common::*;
use crate::plant_in_memory::{self as fixture, key};
use base::Bytes;
use proof::keys::{Passkey, PublicKey};
use serde_json::{Value, json};

pub fn vectors(person: &Person) -> Vec<Value> {
    let plain = PublicKey::of(&*key("ada"));
    let invitation = PublicKey::Invitation(invitation_key());
    let ask = |name: &str, bytes: Vec<u8>, valid: bool, why: &str| {
        vector("key", name, json!({ "key": b64(bytes) }), valid, why)
    };
    let edit = |change: fn(&mut Passkey)| {
        let mut passkey = person.passkey();
        change(&mut passkey);
        canonical_of(&PublicKey::Passkey(passkey))
    };
    let mut out = vec![
        ask("an Ed25519 key", canonical_of(&plain), true, "32 bytes"),
        ask("a passkey", canonical_of(&person.key()), true, "a point on its own origin"),
        ask("an invitation", canonical_of(&invitation), true, "32 bytes and an end"),
        ask(
            "a console on a port",
            edit(|p| p.origin = "https://hall.plant.example:7450".into()),
            true,
            "a subdomain of the relying party",
        ),
        ask(
            "a short key",
            canonical_of(&PublicKey::Ed25519(Bytes(vec![1; 31]))),
            false,
            "32 bytes are expected",
        ),
        ask("no known kind", b"{\"rsa\":\"AA\"}".to_vec(), false, "no such kind of key"),
        ask(
            "a stranger's origin",
            edit(|p| p.origin = "https://evilplant.example".into()),
            false,
            "not within the relying party",
        ),
        ask(
            "an insecure origin",
            edit(|p| p.origin = "http://plant.example".into()),
            false,
            "browsers bind no passkey to it",
        ),
        ask("a compressed point", edit(|p| p.es256.0.truncate(33)), false, "65 bytes are expected"),
        ask("no credential", edit(|p| p.credential.0.clear()), false, "1 to 1023 bytes"),
    ];
    let vkey = fixture::log_signer().vkey().to_string();
    let ask = |name: &str, text: String, valid: bool, why: &str| {
        vector("vkey", name, json!({ "text": b64(text) }), valid, why)
    };
    let witness = fixture::vkey("witness-1").to_string();
    out.extend([
        ask("a log's key", vkey.clone(), true, "type 1"),
        ask("a witness's key", witness.clone(), true, "type 4"),
        ask("a key with a byte of padding", format!("{vkey}="), false, "it needs none"),
        ask("another's identifier", vkey.replacen('/', "-", 1), false, "the name was changed"),
        ask("a name with a space", vkey.replacen('.', " ", 1), false, "no space in a name"),
        ask(
            "an identifier in capitals",
            {
                let mut parts: Vec<String> = witness.splitn(3, '+').map(String::from).collect();
                parts[1] = parts[1].to_uppercase();
                parts.join("+")
            },
            false,
            "lower case",
        ),
        ask("two parts", vkey.replace('+', ""), false, "`name+id+key`"),
    ]);
    out
}
