//! Makes the vectors. Keys are fixed and times are, so a second run writes the
//! same; a passkey's signatures draw randomness and are therefore kept in
//! `signatures.json`.

use crate::plant_in_memory::{self as fixture, World, id, key};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use base::{Bytes, Digest, Millis, sha256};
use plant::{Body, body::*};
use policy::Role;
use proof::{
    entry::{Entry, Leaf, Signature, Statement, VERSION},
    keys::{Invitation, Passkey, PublicKey, SecretKey, Signer},
    log::{
        KeyKind, LogSigner, TlogProof, VKey, append_signature_lines, cosign,
        merkle::{self, HashSource, leaf_hash, node_hash},
    },
    webauthn::Assertion,
};
use serde_json::{Map, Value, json};
use std::cell::RefCell;

/// The files, without `.json`.
pub const FILES: [&str; 7] =
    ["canonical", "checkpoints", "entries", "keys", "ledgers", "merkle", "passports"];

/// The order of the Ed25519 group, little-endian.
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];
/// The order of the P-256 group, big-endian.
const N: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
/// A key pair for tests, made with a common tool.
const PRIVATE: &str = "346ff105bd78015042706a734e29c33edec5ef7dac8d87bb8def949b49d0a2ed";
const PUBLIC: &str = "04c83433686fb50c81c358ca324e4508b360c56784faf78357b3718627b5f7d4401\
                      8177a6f632b6437e2c5cf12df16304d78c29f0a44a60ad72197cb9d419c239d";
const RP: &str = "plant.example";
const WEB: &str = "https://plant.example";

type Files = Vec<(&'static str, Vec<Value>)>;

/// All files, and the signatures that were drawn.
pub fn all(drawn: Map<String, Value>) -> (Files, Map<String, Value>) {
    let person = Person { drawn: RefCell::new(drawn), used: RefCell::default() };
    let files = vec![
        ("canonical", canonical()),
        ("checkpoints", checkpoints()),
        ("entries", entries(&person)),
        ("keys", keys(&person)),
        ("ledgers", ledgers(&person)),
        ("merkle", merkle_proofs()),
        ("passports", passports(&person)),
    ];
    (files, person.used.into_inner())
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

fn b64(bytes: impl AsRef<[u8]>) -> Value {
    Bytes(bytes.as_ref().to_vec()).to_string().into()
}

fn canonical_of(value: &impl serde::Serialize) -> Vec<u8> {
    base::to_canonical(value).unwrap()
}

fn vector(kind: &str, name: &str, input: Value, valid: bool, why: &str) -> Value {
    json!({ "kind": kind, "name": name, "input": input, "valid": valid, "why": why })
}

/// A person with a passkey.
struct Person {
    drawn: RefCell<Map<String, Value>>,
    used: RefCell<Map<String, Value>>,
}

impl Person {
    fn passkey(&self) -> Passkey {
        Passkey {
            credential: Bytes(vec![1, 2, 3]),
            es256: Bytes(hex(PUBLIC)),
            origin: WEB.into(),
            rp_id: RP.into(),
        }
    }

    fn key(&self) -> PublicKey {
        PublicKey::Passkey(self.passkey())
    }

    fn draw(&self, message: &[u8]) -> Vec<u8> {
        let name = sha256(message).to_string();
        let fresh = || {
            let scheme = &ECDSA_P256_SHA256_ASN1_SIGNING;
            let pair =
                EcdsaKeyPair::from_private_key_and_public_key(scheme, &hex(PRIVATE), &hex(PUBLIC));
            b64(pair.unwrap().sign(&SystemRandom::new(), message).unwrap())
        };
        let signature = self.drawn.borrow().get(&name).cloned().unwrap_or_else(fresh);
        self.used.borrow_mut().insert(name, signature.clone());
        serde_json::from_value::<Bytes>(signature).unwrap().0
    }

    fn assert(&self, client: &Value, rp: &str, flags: u8) -> Assertion {
        let client = serde_json::to_vec(client).unwrap();
        let mut data = sha256(rp.as_bytes()).0.to_vec();
        data.extend([flags, 0, 0, 0, 0]);
        let signature = self.draw(&[&data[..], &sha256(&client).0].concat());
        Assertion {
            authenticator_data: Bytes(data),
            client_data: Bytes(client),
            signature: Bytes(signature),
        }
    }

    fn sign(&self, statement: Statement) -> Entry {
        let client = client_data(&statement);
        self.sign_with(statement, &client, RP, 0x05)
    }

    fn sign_with(&self, statement: Statement, client: &Value, rp: &str, flags: u8) -> Entry {
        Entry { signature: Signature::Passkey(self.assert(client, rp, flags)), statement }
    }
}

fn client_data(statement: &Statement) -> Value {
    let challenge = Bytes(sha256(&statement.bytes().unwrap()).0.to_vec());
    json!({
        "type": "webauthn.get", "challenge": challenge, "origin": WEB, "crossOrigin": false,
    })
}

fn statement(issuer: &str, key: &PublicKey, at: Millis, nonce: u8, body: Value) -> Statement {
    Statement {
        at,
        body,
        issuer: id(issuer),
        key: key.fingerprint(),
        nonce: Bytes(vec![nonce; 16]),
        site: id("plant"),
        v: VERSION.into(),
    }
}

fn canonical() -> Vec<Value> {
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n)).into_bytes();
    let long = |n: usize| format!("\"{}\"", "a".repeat(n - 2)).into_bytes();
    let text = |text: &str| text.as_bytes().to_vec();
    let good = [
        ("an empty object", text("{}")),
        (
            "sorted by UTF-16",
            text("{\"\\r\":1,\"1\":2,\"\u{80}\":3,\"ö\":4,\"€\":5,\"😀\":6,\"\u{fb33}\":7}"),
        ),
        ("escapes", text("\"\\b\\t\\n\\f\\r\\\"\\\\\\u0000\\u001f/\u{7f}\u{2028}\"")),
        (
            "numbers",
            text(
                "[0,-1,0.1,1e+21,100000000000000000000,1e-7,0.000001,5e-324,333333333.3333333,9007199254740992,-1.7976931348623157e+308]",
            ),
        ),
        ("a key named __proto__", text("{\"__proto__\":{\"a\":1}}")),
        ("as deep as allowed", deep(127)),
        ("as long as allowed", long(64 * 1024)),
    ];
    let bad = [
        ("a space", text("{\"a\": 1}")),
        ("unsorted keys", text("{\"b\":1,\"a\":2}")),
        ("a repeated key", text("{\"a\":1,\"a\":1}")),
        ("a repeated key in a list", text("[{\"a\":1,\"a\":2}]")),
        ("a float's spelling", text("[1.0]")),
        ("an exponent's spelling", text("[1E2]")),
        ("minus zero", text("[-0]")),
        ("a leading zero", text("[01]")),
        ("a number that a float cannot hold", text("[9007199254740993]")),
        ("a number out of range", text("[1e400]")),
        ("an escaped letter", text("\"\\u0041\"")),
        ("an escaped solidus", text("\"\\/\"")),
        ("upper-case hexadecimal", text("\"\\u001F\"")),
        ("half a character", text("\"\\ud83d\"")),
        ("an escaped character", text("\"\\ud83d\\ude00\"")),
        ("a raw control character", vec![b'"', 1, b'"']),
        ("a byte order mark", text("\u{feff}{}")),
        ("no UTF-8", vec![b'"', 0xff, b'"']),
        ("something after it", text("{}\n")),
        ("cut", text("{\"a\":[1,2")),
        ("a comma too many", text("[1,]")),
        ("not a number", text("NaN")),
        ("nothing", vec![]),
        ("too deep", deep(128)),
        ("too long", long(64 * 1024 + 1)),
    ];
    let one = |valid: bool, why: &'static str| {
        move |(name, bytes): (&str, Vec<u8>)| {
            vector("canonical", name, json!({ "bytes": b64(bytes) }), valid, why)
        }
    };
    let good = good.map(one(true, "it is its own canonical form")).into_iter();
    good.chain(bad.map(one(false, "another writer would have written other bytes"))).collect()
}

fn keys(person: &Person) -> Vec<Value> {
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

fn invitation_signer() -> SecretKey {
    SecretKey::from_seed(&sha256(b"invitation").0).unwrap()
}

fn invitation_key() -> Invitation {
    Invitation {
        ed25519: Bytes(invitation_signer().public().to_vec()),
        not_after: Millis(1_795_219_200_000 + 13 * 86_400_000),
    }
}

fn entries(person: &Person) -> Vec<Value> {
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

/// The two numbers in a DER signature, without leading zeros.
fn integers(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let r_end = 4 + usize::from(der[3]);
    let strip = |b: &[u8]| b.iter().copied().skip_while(|b| *b == 0).collect();
    (strip(&der[4..r_end]), strip(&der[r_end + 2..]))
}

fn integer(number: &[u8]) -> Vec<u8> {
    let lead: &[u8] = if number[0] >= 0x80 { &[0] } else { &[] };
    [&[2, (lead.len() + number.len()) as u8], lead, number].concat()
}

fn padded(number: &[u8]) -> Vec<u8> {
    let plain = integer(number);
    [&[2, plain[1] + 1, 0], &plain[2..]].concat()
}

fn raw_sequence(r: &[u8], s: &[u8]) -> Vec<u8> {
    [&[0x30, (r.len() + s.len()) as u8], r, s].concat()
}

fn sequence(r: &[u8], s: &[u8]) -> Vec<u8> {
    raw_sequence(&integer(r), &integer(s))
}

/// `n - number`.
fn minus(number: &[u8]) -> Vec<u8> {
    let mut borrow = 0i16;
    let padded = [vec![0; 32 - number.len()], number.to_vec()].concat();
    let mut out: Vec<u8> = hex(N)
        .iter()
        .zip(padded)
        .rev()
        .map(|(n, x)| {
            let digit = i16::from(*n) - i16::from(x) - borrow;
            borrow = i16::from(digit < 0);
            digit.rem_euclid(256) as u8
        })
        .collect();
    out.reverse();
    out.into_iter().skip_while(|b| *b == 0).collect()
}

/// `number + n`.
fn plus(number: &[u8]) -> Vec<u8> {
    let mut carry = 0u16;
    let padded = [vec![0; 32 - number.len()], number.to_vec()].concat();
    let mut out: Vec<u8> = hex(N)
        .iter()
        .zip(padded)
        .rev()
        .map(|(n, x)| {
            carry += u16::from(*n) + u16::from(x);
            let byte = carry as u8;
            carry >>= 8;
            byte
        })
        .collect();
    if carry > 0 {
        out.push(1);
    }
    out.reverse();
    out
}

/// A hash in base64 with a bit set that belongs to no byte.
fn loose(hash: &str) -> String {
    let (start, last) = hash.trim_end_matches('=').split_at(42);
    let next = char::from(last.as_bytes()[0] + 1);
    format!("{start}{next}=")
}

fn checkpoints() -> Vec<Value> {
    let root = sha256(b"a root");
    let note = |signer: &LogSigner, size: u64, times: &[(&str, u64)]| {
        let signed = signer.sign(size, root);
        let mut note = signed.note().to_vec();
        for (witness, time) in times {
            let line = cosign(witness, &*key(witness), signed.checkpoint(), *time).unwrap();
            note = append_signature_lines(&note, line.as_bytes());
        }
        String::from_utf8(note).unwrap()
    };
    let log = fixture::log_signer();
    let both = [("witness-1", 1_795_219_200), ("witness-2", 1_795_219_203)];
    let good = note(&log, 42, &both);
    let policy = |quorum| canonical_of(&fixture::policy_of(&["witness-1", "witness-2"], quorum));
    let ask = |name: &str, note: String, quorum: usize, valid: bool, why: &str| {
        let input = json!({ "note": b64(note), "policy": b64(policy(quorum)) });
        vector("checkpoint", name, input, valid, why)
    };
    let lines: Vec<&str> = good.lines().collect();
    let without = |at: usize| {
        let kept = lines.iter().enumerate().filter(|(n, _)| *n != at);
        kept.map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    let other = LogSigner::new("other.example/log", key("log")).unwrap();
    let thief = LogSigner::new(fixture::ORIGIN, key("ada")).unwrap();
    let stranger = note(&log, 42, &[both[0], both[1], ("witness-3", 1)]);
    let json_policy = |change: fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(&policy(2)).unwrap();
        change(&mut value);
        canonical_of(&value)
    };
    let ask_policy = |name: &str, policy: Vec<u8>, why: &str| {
        let input = json!({ "note": b64(&good), "policy": b64(policy) });
        vector("checkpoint", name, input, false, why)
    };
    vec![
        ask("two of two", good.clone(), 2, true, "log and both witnesses signed"),
        ask("one of two", without(5), 1, true, "one is enough"),
        ask("an unknown witness beside them", stranger, 2, true, "unknown keys are ignored"),
        ask("an empty log", note(&log, 0, &both), 2, true, "a size of zero"),
        ask("the largest log", note(&log, (1 << 53) - 1, &both), 2, true, "below 2^53"),
        ask(
            "a time that JavaScript cannot hold",
            note(&log, 42, &[("witness-1", (1 << 62) + 1), both[1]]),
            2,
            true,
            "63 bits",
        ),
        ask("a log too large", note(&log, 1 << 53, &both), 2, false, "below 2^53"),
        ask(
            "a time of 64 bits",
            note(&log, 42, &[("witness-1", 1 << 63), both[1]]),
            1,
            false,
            "63 bits",
        ),
        ask("one where two are needed", without(5), 2, false, "the quorum"),
        ask("one witness twice", format!("{}{}\n", without(5), lines[6]), 2, false, "counts once"),
        ask("no log signature", without(4), 2, false, "the log must sign"),
        ask("another log", note(&other, 42, &both), 2, false, "the origin"),
        ask("another key of that name", note(&thief, 42, &both), 2, false, "the log must sign"),
        ask(
            "another root",
            good.replacen(lines[2], "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 1),
            2,
            false,
            "not what was signed",
        ),
        ask(
            "a loose bit in the root",
            good.replacen(lines[2], &loose(lines[2]), 1),
            2,
            false,
            "strict base64",
        ),
        ask("another size", good.replacen("\n42\n", "\n43\n", 1), 2, false, "not what was signed"),
        ask(
            "a zero before the size",
            good.replacen("\n42\n", "\n042\n", 1),
            2,
            false,
            "one spelling",
        ),
        ask("an extension line", good.replacen("\n\n", "\nmore\n\n", 1), 2, false, "three lines"),
        ask("no newline at the end", good.trim_end().into(), 2, false, "a line ends"),
        ask(
            "a carriage return",
            good.replacen("\n42", "\r\n42", 1),
            2,
            false,
            "no control characters",
        ),
        ask("a hyphen for a dash", good.replacen('\u{2014}', "-", 1), 2, false, "U+2014"),
        ask("nothing", String::new(), 2, false, "text and signatures"),
        ask_policy("a quorum of none", json_policy(|p| p["quorum"] = 0.into()), "at least one"),
        ask_policy("a quorum of three", json_policy(|p| p["quorum"] = 3.into()), "two witnesses"),
        ask_policy(
            "one witness named twice",
            json_policy(|p| p["witnesses"][1] = p["witnesses"][0].clone()),
            "distinct ones",
        ),
        ask_policy(
            "a witness for a log",
            json_policy(|p| p["log_key"] = p["witnesses"][0].clone()),
            "type 1",
        ),
        ask_policy("an unknown key", json_policy(|p| p["more"] = 1.into()), "no such key"),
    ]
}

/// A Merkle tree in memory.
struct Tree(Vec<Digest>);

impl HashSource for Tree {
    type Error = ();
    fn hash(&self, level: u8, index: u64) -> Result<Digest, ()> {
        match level.checked_sub(1) {
            None => self.0.get(index as usize).copied().ok_or(()),
            Some(below) => {
                Ok(node_hash(&self.hash(below, 2 * index)?, &self.hash(below, 2 * index + 1)?))
            }
        }
    }
}

fn merkle_proofs() -> Vec<Value> {
    let leaves: Vec<Digest> = (0..40u8).map(|n| leaf_hash(&[n])).collect();
    let tree = Tree(leaves.clone());
    let root = |size: u64| merkle::root(&tree, size).unwrap();
    let include = |name: String,
                   index: u64,
                   size: u64,
                   path: &[Digest],
                   root: Digest,
                   at: u64,
                   valid| {
        let input = json!({ "leaf": leaves[at as usize], "index": index, "size": size, "path": path, "root": root });
        vector(
            "inclusion",
            &name,
            input,
            valid,
            if valid { "the path leads there" } else { "it does not" },
        )
    };
    let mut out = Vec::new();
    for (size, indexes) in [
        (1, vec![0]),
        (2, vec![0, 1]),
        (3, vec![0, 2]),
        (5, vec![3, 4]),
        (7, vec![6]),
        (8, vec![5]),
        (11, vec![8, 10]),
        (21, vec![16, 20]),
        (33, vec![32]),
        (40, vec![17]),
    ] {
        for index in indexes {
            let path = merkle::inclusion(&tree, index, size).unwrap();
            let name = format!("leaf {index} of {size}");
            out.push(include(name.clone(), index, size, &path, root(size), index, true));
            out.push(include(
                format!("{name} under another root"),
                index,
                size,
                &path,
                root(size + 7 - 40 * u64::from(size + 7 > 40)),
                index,
                false,
            ));
            out.push(include(
                format!("{name} past the end"),
                size,
                size,
                &path,
                root(size),
                index,
                false,
            ));
            let mut longer = path.clone();
            longer.push(leaves[39]);
            out.push(include(
                format!("{name} with a longer path"),
                index,
                size,
                &longer,
                root(size),
                index,
                false,
            ));
            if let Some((_, rest)) = path.split_first() {
                out.push(include(
                    format!("{name} with a shorter path"),
                    index,
                    size,
                    rest,
                    root(size),
                    index,
                    false,
                ));
                out.push(include(
                    format!("{name} at its neighbour's place"),
                    index ^ 1,
                    size,
                    &path,
                    root(size),
                    index,
                    false,
                ));
            }
        }
    }
    for (old, size) in [
        (0, 1),
        (0, 7),
        (1, 1),
        (1, 2),
        (2, 3),
        (3, 7),
        (4, 7),
        (6, 8),
        (8, 21),
        (13, 21),
        (20, 33),
        (32, 33),
        (39, 40),
    ] {
        let path = merkle::consistency(&tree, old, size).unwrap();
        let ask = |what: &str, path: &[Digest], valid: bool| {
            let input = json!({ "old": old, "old_root": root(old), "size": size, "root": root(size), "path": path });
            vector(
                "consistency",
                &format!("{old} to {size}{what}"),
                input,
                valid,
                if valid {
                    "the old tree is its beginning"
                } else {
                    "the path does not lead there"
                },
            )
        };
        out.push(ask("", &path, true));
        out.push(ask(" with a longer path", &[&path[..], &[leaves[0]]].concat(), false));
        if let Some((_, rest)) = path.split_first() {
            out.push(ask(" with a shorter path", rest, false));
            let mut turned = path.clone();
            turned[0].0[31] ^= 1;
            out.push(ask(" with a changed hash", &turned, false));
        }
    }
    out.extend(proofs());
    out
}

fn proofs() -> Vec<Value> {
    let (world, _) = fixture::sample();
    let policy = canonical_of(&fixture::policy_of(&["witness-1", "witness-2"], 2));
    let proven = world.proven(7);
    let leaf = proven.leaf.bytes().unwrap();
    let proof = |extra: Option<&str>| {
        let extra = extra.map(|e| e.as_bytes().to_vec());
        let path = proven.path.clone();
        TlogProof { extra, index: 7, path, checkpoint: world.checkpoint() }.to_string()
    };
    let good = proof(None);
    let ask = |name: &str, proof: String, leaf: &[u8], valid: bool, why: &str| {
        let input = json!({ "proof": b64(proof), "leaf": b64(leaf), "policy": b64(&policy) });
        vector("proof", name, input, valid, why)
    };
    let other = world.leaves[8].bytes().unwrap();
    vec![
        ask("a proof", good.clone(), &leaf, true, "entry 7 stands in a witnessed log"),
        ask("a proof with extra data", proof(Some("more")), &leaf, true, "extra data is allowed"),
        ask("another leaf", good.clone(), &other, false, "not what stands there"),
        ask(
            "another index",
            good.replacen("index 7", "index 6", 1),
            &leaf,
            false,
            "not where it stands",
        ),
        ask(
            "a zero before the index",
            good.replacen("index 7", "index 07", 1),
            &leaf,
            false,
            "one spelling",
        ),
        ask(
            "a plus before the index",
            good.replacen("index 7", "index +7", 1),
            &leaf,
            false,
            "one spelling",
        ),
        ask("another header", good.replacen("@v1", "@v2", 1), &leaf, false, "the version"),
        ask(
            "extra data with a loose bit",
            proof(Some("more")).replacen("bW9yZQ==", "bW9yZR==", 1),
            &leaf,
            false,
            "strict base64",
        ),
        ask("no index", good.replacen("index 7\n", "", 1), &leaf, false, "index"),
        ask(
            "no checkpoint",
            good.split("\n\n").next().unwrap().into(),
            &leaf,
            false,
            "a checkpoint",
        ),
        ask("a cut end", good[..good.len() - 5].into(), &leaf, false, "a whole signature"),
        ask(
            "an empty line in the path",
            good.replacen("index 7\n", "index 7\n\n", 1),
            &leaf,
            false,
            "no hash",
        ),
    ]
}

/// A plant in which Paula was invited and has a passkey.
struct Invited<'a> {
    world: World,
    person: &'a Person,
    nonce: u8,
}

impl<'a> Invited<'a> {
    fn new(person: &'a Person) -> Self {
        let mut world = World::new();
        let paula = Member {
            id: id("paula"),
            keys: vec![PublicKey::Invitation(invitation_key())],
            name: "Paula Operator".into(),
            roles: [Role::Operator].into(),
            seal: None,
        };
        world.change("olga", Change::Member(paula));
        Self { world, person, nonce: 200 }
    }

    fn next(&mut self, key: &PublicKey, body: Body) -> Statement {
        self.nonce += 1;
        self.world.now = self.world.now.plus(1000);
        let body = serde_json::to_value(&body).unwrap();
        statement("paula", key, self.world.now, self.nonce, body)
    }

    fn accepted(&mut self) -> Leaf {
        let passkey = self.person.passkey();
        let body = Body::Accept(Accept { passkey, seal: Some(Bytes(vec![5; 32])) });
        let key = PublicKey::Invitation(invitation_key());
        let statement = self.next(&key, body);
        let entry = Entry::sign(statement, &invitation_signer()).unwrap();
        Leaf { entry, logged_at: self.world.now.plus(3) }
    }

    fn signed(&mut self, body: Body) -> Leaf {
        let statement = self.next(&self.person.key(), body);
        Leaf { entry: self.person.sign(statement), logged_at: self.world.now.plus(3) }
    }

    fn append(&mut self, leaf: Leaf) -> Digest {
        let id = self.world.plant.append(&leaf.bytes().unwrap()).unwrap();
        self.world.leaves.push(leaf);
        id
    }

    fn order(&mut self) -> Digest {
        let body = Body::Order(self.world.order_of("spindle-7"));
        let leaf = self.signed(body);
        self.append(leaf)
    }
}

fn ledgers(person: &Person) -> Vec<Value> {
    let ask = |name: &str, leaves: &[Leaf], valid: bool, why: &str| {
        let leaves: Vec<Value> = leaves.iter().map(|l| b64(l.bytes().unwrap())).collect();
        vector("ledger", name, json!({ "leaves": leaves }), valid, why)
    };
    let with = |make: &dyn Fn(&mut Invited<'_>)| {
        let mut plant = Invited::new(person);
        make(&mut plant);
        plant.world.leaves
    };
    let joined = |plant: &mut Invited<'_>| {
        let leaf = plant.accepted();
        plant.append(leaf);
    };
    let force = |plant: &mut Invited<'_>, leaf: Leaf| plant.world.leaves.push(leaf);
    let whole = with(&|p| {
        joined(p);
        p.order();
        let revoke = RevokeKey {
            key: PublicKey::of(&*key("ada")).fingerprint(),
            member: id("ada"),
            reason: "lost".into(),
        };
        p.world.log("olga", Body::RevokeKey(revoke));
        p.world.change(
            "olga",
            Change::Roles(SetRoles { member: id("ivan"), roles: [Role::Auditor].into() }),
        );
    });
    let paula = |keys: Vec<PublicKey>| Member {
        id: id("pia"),
        keys,
        name: "Pia".into(),
        roles: [Role::Operator].into(),
        seal: None,
    };
    let hold = || Body::Hold(Hold { cell: None, reason: "stop".into() });
    vec![
        ask(
            "a plant's beginning",
            &fixture::sample().0.leaves,
            true,
            "every entry may stand there",
        ),
        ask("invited, accepted, ordered, revoked", &whole, true, "every entry may stand there"),
        ask("nothing", &[], false, "a genesis is expected"),
        ask("no genesis", &whole[1..], false, "a genesis is expected"),
        ask("two geneses", &[whole[0].clone(), whole[0].clone()], false, "the plant has begun"),
        ask(
            "an entry left out",
            &[&whole[..3], &whole[4..]].concat(),
            false,
            "its proposal is not there",
        ),
        ask(
            "two entries swapped",
            &{
                let mut l = whole.clone();
                l.swap(1, 2);
                l
            },
            false,
            "time runs backwards",
        ),
        ask("an entry twice", &[&whole[..], &whole[whole.len() - 1..]].concat(), false, "a replay"),
        ask(
            "an invitation that orders",
            &with(&|p| {
                let body = Body::Order(p.world.order_of("spindle-7"));
                let statement = p.next(&PublicKey::Invitation(invitation_key()), body);
                let entry = Entry::sign(statement, &invitation_signer()).unwrap();
                let logged_at = p.world.now;
                force(p, Leaf { entry, logged_at });
            }),
            false,
            "it signs its acceptance only",
        ),
        ask(
            "an invitation used twice",
            &with(&|p| {
                joined(p);
                let leaf = p.accepted();
                force(p, leaf);
            }),
            false,
            "it was used",
        ),
        ask(
            "an invitation that ended",
            &with(&|p| {
                p.world.now = p.world.now.plus(14 * 86_400_000);
                let leaf = p.accepted();
                force(p, leaf);
            }),
            false,
            "it ended",
        ),
        ask(
            "a passkey that signs an acceptance",
            &with(&|p| {
                joined(p);
                let body = Body::Accept(Accept { passkey: p.person.passkey(), seal: None });
                let leaf = p.signed(body);
                force(p, leaf);
            }),
            false,
            "an invitation signs it",
        ),
        ask(
            "an invitation of a year",
            &with(&|p| {
                let mut key = invitation_key();
                key.not_after = p.world.now.plus(365 * 86_400_000);
                key.ed25519 = Bytes(vec![3; 32]);
                p.world.force(
                    "olga",
                    Body::Propose(Change::Member(paula(vec![PublicKey::Invitation(key)]))),
                );
            }),
            false,
            "at most 14 days",
        ),
        ask(
            "one key for two people",
            &with(&|p| {
                p.world.force(
                    "olga",
                    Body::Propose(Change::Member(paula(vec![PublicKey::of(&*key("ada"))]))),
                );
            }),
            false,
            "it is another's key",
        ),
        ask(
            "an officer who approves alone",
            &with(&|p| {
                let proposal = p.world.log(
                    "olga",
                    Body::Propose(Change::Roles(SetRoles {
                        member: id("ada"),
                        roles: [Role::SecurityOfficer].into(),
                    })),
                );
                p.world.force("olga", Body::Approve(Approve { proposal }));
            }),
            false,
            "two officers",
        ),
        ask(
            "the last officers but one",
            &with(&|p| {
                p.world.force(
                    "olga",
                    Body::Propose(Change::Roles(SetRoles { member: id("omar"), roles: [].into() })),
                );
            }),
            false,
            "two officers must remain",
        ),
        ask(
            "a revoked key",
            &with(&|p| {
                let revoke = RevokeKey {
                    key: PublicKey::of(&*key("ada")).fingerprint(),
                    member: id("ada"),
                    reason: "lost".into(),
                };
                p.world.log("olga", Body::RevokeKey(revoke));
                p.world.force("ada", hold());
            }),
            false,
            "it counts no longer",
        ),
        ask(
            "a key replaced beside the old one, which gives itself up",
            &with(&|p| {
                let keys = vec![PublicKey::of(&*key("cell-1")), PublicKey::of(&*key("cell-1.2"))];
                let cell = p.world.plant.members[&id("cell-1")].member.clone();
                p.world.change("olga", Change::Member(Member { keys, ..cell }));
                let old = PublicKey::of(&*key("cell-1")).fingerprint();
                let (member, reason) = (id("cell-1"), "replaced".into());
                p.world.log("cell-1", Body::RevokeKey(RevokeKey { key: old, member, reason }));
            }),
            true,
            "whoever holds a key may give it up",
        ),
        ask(
            "a revoked passkey in another spelling",
            &with(&|p| {
                joined(p);
                let revoke = RevokeKey {
                    key: p.person.key().fingerprint(),
                    member: id("paula"),
                    reason: "lost".into(),
                };
                p.world.log("olga", Body::RevokeKey(revoke));
                let passkey = Passkey { credential: Bytes(vec![9]), ..p.person.passkey() };
                p.world.force(
                    "olga",
                    Body::Propose(Change::Member(paula(vec![PublicKey::Passkey(passkey)]))),
                );
            }),
            false,
            "the same key was revoked",
        ),
        ask(
            "a used invitation as a key file",
            &with(&|p| {
                joined(p);
                let key = PublicKey::of(&invitation_signer());
                p.world.force("olga", Body::Propose(Change::Member(paula(vec![key]))));
            }),
            false,
            "the same key was used",
        ),
        ask(
            "an officer without a key counted for two",
            &with(&|p| {
                let roles = |member: &str, roles: &[Role]| {
                    let roles = roles.iter().copied().collect();
                    Change::Roles(SetRoles { member: id(member), roles })
                };
                p.world.change("olga", roles("ada", &[Role::SecurityOfficer]));
                let revoke = RevokeKey {
                    key: PublicKey::of(&*key("ada")).fingerprint(),
                    member: id("ada"),
                    reason: "lost".into(),
                };
                p.world.log("olga", Body::RevokeKey(revoke));
                p.world.force("olga", Body::Propose(roles("omar", &[])));
            }),
            false,
            "two officers who can sign must remain",
        ),
        ask(
            "a statement of an hour ago",
            &with(&|p| {
                joined(p);
                let mut leaf = p.signed(hold());
                leaf.logged_at = leaf.logged_at.plus(3_600_000);
                force(p, leaf);
            }),
            false,
            "ten minutes at most",
        ),
        ask(
            "a clock that is ahead",
            &with(&|p| {
                joined(p);
                let mut leaf = p.signed(hold());
                leaf.logged_at = Millis(leaf.logged_at.0 - 2004);
                force(p, leaf);
            }),
            false,
            "two seconds at most",
        ),
        ask(
            "parameters out of bounds",
            &with(&|p| {
                joined(p);
                let mut order = p.world.order_of("spindle-7");
                order.parameters.insert(id("speed"), 101);
                let leaf = p.signed(Body::Order(order));
                force(p, leaf);
            }),
            false,
            "10 to 100",
        ),
        ask(
            "an order under a hold",
            &with(&|p| {
                joined(p);
                p.world.log("ada", hold());
                let body = Body::Order(p.world.order_of("spindle-7"));
                let leaf = p.signed(body);
                force(p, leaf);
            }),
            false,
            "a hold is in force",
        ),
        ask(
            "new keys of the plant",
            &with(&|p| {
                p.world.rotate();
                joined(p);
            }),
            true,
            "two officers put fresh keys in force",
        ),
        ask(
            "a withdrawn root of certificates again",
            &with(&|p| {
                let first = fresh_keys().authorities.unwrap();
                let root = |at: usize| Some(vec![first[at].clone()]);
                for authorities in [Some(first.clone()), root(0), root(1)] {
                    let keys = Keys { authorities, log: None, vault: None, witnesses: None };
                    let proposal = p.world.force("olga", Body::Propose(Change::Keys(keys)));
                    p.world.force("omar", Body::Approve(Approve { proposal }));
                }
            }),
            false,
            "it was withdrawn",
        ),
        ask(
            "new keys by one officer",
            &with(&|p| {
                let proposal = p.world.log("olga", Body::Propose(Change::Keys(fresh_keys())));
                p.world.force("olga", Body::Approve(Approve { proposal }));
            }),
            false,
            "two officers",
        ),
        ask(
            "new keys that an operator proposes",
            &with(&|p| {
                let proposal = p.world.force("ivan", Body::Propose(Change::Keys(fresh_keys())));
                p.world.force("ivan", Body::Approve(Approve { proposal }));
            }),
            false,
            "security officers only",
        ),
    ]
    .into_iter()
    .chain(unsound_keys().into_iter().map(|(name, keys, why)| {
        let leaves = with(&|p| {
            p.world.rotate();
            p.world.force("olga", Body::Propose(Change::Keys(keys.clone())));
        });
        ask(name, &leaves, false, why)
    }))
    .chain(unsound_geneses().into_iter().map(|(name, edit, why)| {
        let mut leaf = with(&|_| ()).remove(0);
        let body = &mut leaf.entry.statement.body["genesis"];
        edit(body);
        leaf.entry = Entry::sign(leaf.entry.statement, &*key("olga")).unwrap();
        ask(name, &[leaf], false, why)
    }))
    .collect()
}

fn fresh_keys() -> Keys {
    Keys {
        authorities: Some(vec![Bytes(vec![5; 32]), Bytes(vec![4; 32])]),
        log: Some(fixture::signer_of("log-3").vkey().clone()),
        vault: Some(Bytes(vec![6; 32])),
        witnesses: None,
    }
}

/// Keys that may not follow those of [`World::rotate`].
fn unsound_keys() -> Vec<(&'static str, Keys, &'static str)> {
    let none = || Keys { authorities: None, log: None, vault: None, witnesses: None };
    let log = |seed: &str| Keys { log: Some(fixture::signer_of(seed).vkey().clone()), ..none() };
    let other = LogSigner::new("other.example/ledger", key("log-3")).unwrap();
    let vault = |bytes: Vec<u8>| Keys { vault: Some(Bytes(bytes)), ..none() };
    let witnesses = |names: &[&str], quorum: u32| {
        let keys = names.iter().map(|name| fixture::vkey(name)).collect();
        Keys { witnesses: Some(Witnesses { keys, quorum }), ..none() }
    };
    let roots = |roots: &[&[u8]]| {
        let roots = roots.iter().map(|root| Bytes(root.to_vec())).collect();
        Keys { authorities: Some(roots), ..none() }
    };
    let alias = |name: &str, seed: &str| {
        let public = key(seed).public();
        let keys = vec![VKey::new(name, KeyKind::Witness, public).unwrap()];
        Keys { witnesses: Some(Witnesses { keys, quorum: 1 }), ..none() }
    };
    vec![
        ("keys that change nothing", none(), "something changes"),
        ("the log's first key again", log("log"), "it was in use before"),
        ("the log's key in force again", log("log-2"), "it was in use before"),
        (
            "a log key of another name",
            Keys { log: Some(other.vkey().clone()), ..none() },
            "named like the origin",
        ),
        ("a witness's key for the log", log("witness-1"), "it is a witness's"),
        (
            "a key of type 4 for the log",
            Keys { log: Some(fixture::vkey("witness-4")), ..none() },
            "type 1",
        ),
        ("a short key of the vault", vault(vec![1; 31]), "32 bytes"),
        ("the vault's first key again", vault(vec![8; 32]), "it was in use before"),
        ("no root of certificates", roots(&[]), "at least one"),
        ("five roots of certificates", roots(&[&[1], &[2], &[3], &[4], &[5]]), "at most four"),
        ("a root of certificates twice", roots(&[&[1], &[1]]), "distinct ones"),
        ("an empty root of certificates", roots(&[&[]]), "1 to 4096 bytes"),
        ("a root of certificates of 4097 bytes", roots(&[&[1; 4097]]), "1 to 4096 bytes"),
        ("no witnesses", witnesses(&[], 0), "at least one"),
        ("a quorum of nobody", witnesses(&["witness-1"], 0), "at least one"),
        ("a quorum of more than there are", witnesses(&["witness-1"], 2), "at most all"),
        ("a witness twice", witnesses(&["witness-1", "witness-1"], 1), "distinct ones"),
        ("a retired witness again", witnesses(&["witness-1", "witness-2"], 1), "it was replaced"),
        ("a retired witness by another name", alias("w", "witness-2"), "it was replaced"),
        ("the log's key for a witness", alias("w", "log-2"), "it is the log's"),
        ("a retired log key for a witness", alias("w", "log"), "it was in use before"),
    ]
}

type Edit = fn(&mut Value);

/// Geneses whose own keys cannot work.
fn unsound_geneses() -> Vec<(&'static str, Edit, &'static str)> {
    vec![
        ("a log key that is none", |g| g["log"] = "log".into(), "a verifier key"),
        ("a log key of another origin", |g| g["origin"] = "other".into(), "named like the origin"),
        ("a quorum of all and one", |g| g["quorum"] = 3.into(), "two witnesses"),
        (
            "a witness named twice",
            |g| g["witnesses"][1] = g["witnesses"][0].clone(),
            "distinct ones",
        ),
        ("a vault key of four bytes", |g| g["vault"] = "AAAAAA".into(), "32 bytes"),
    ]
}

fn passports(person: &Person) -> Vec<Value> {
    let mut plant = Invited::new(person);
    let leaf = plant.accepted();
    plant.append(leaf);
    plant.world.scan("spindle-7", &[Verdict::Enrolled]);
    plant.world.scan("spindle-8", &[Verdict::Fail]);
    plant.world.pictures =
        ["photograph", "heat-map <2>"].map(|n| (n.to_owned(), fixture::picture(n))).to_vec();
    let order = plant.order();
    let checkpoint = plant.world.plant.size;
    plant.world.log("cell-1", Body::RunStarted(RunStarted { checkpoint, order }));
    let (roots, grant) = plant.world.finish(order);
    let mut report = plant.world.report_of(
        "spindle-7",
        order,
        grant,
        &roots,
        &[Verdict::Confirmed, Verdict::Pass],
    );
    // Numbers whose spellings differ between writers.
    report.analyses[0].details = json!({ "odd": [1e-5, 1.5e-6, 123_456_789_012_345.67_f64, 0.1, -0.5, 4e15, -4e15, 9_007_199_254_740_991_u64, 5e-324] });
    let report = plant.world.log("vision", Body::Report(Box::new(report)));
    let world = plant.world;
    let issued = passport::issue(world.draft(&report), &*key("site")).unwrap();
    let later = {
        let mut world = world.clone();
        let keys = vec![PublicKey::of(&*key("site")), PublicKey::of(&*key("site.2"))];
        let site = world.plant.members[&id("site")].member.clone();
        world.change("olga", Change::Member(Member { keys, ..site }));
        let later = passport::issue(world.draft(&report), &*key("site.2")).unwrap();
        later.jwt().to_owned()
    };
    let unnamed = {
        let (header, rest) = later.split_once('.').unwrap();
        let Bytes(header) = serde_json::from_value(json!(header)).unwrap();
        let header = String::from_utf8(header).unwrap();
        let at = header.find("#site-").unwrap() + 6;
        let other = format!("{}{}{}", &header[..at], "0".repeat(16), &header[at + 16..]);
        let payload = rest.split_once('.').unwrap().0;
        let signed = format!("{}.{payload}", Bytes(other.into_bytes()));
        format!("{signed}.{}", Bytes(key("site.2").sign(signed.as_bytes()).to_vec()))
    };
    let anchors = canonical_of(&world.anchors());
    let other = passport::Anchors { genesis: sha256(b"another plant"), ..world.anchors() };
    let ask = |name: &str, file: String, anchors: Option<&[u8]>, valid: bool, why: &str| {
        let input = json!({ "file": b64(file), "anchors": anchors.map(b64) });
        vector("passport", name, input, valid, why)
    };
    let (jwt, readable) = (issued.jwt().to_owned(), issued.to_json().unwrap());
    let html = issued.to_html(&world.picture_bytes()).unwrap();
    let resigned = |change: &dyn Fn(&mut Value)| resigned_of(&issued, change);
    let cut = |at: usize| jwt[..jwt.len() - at].to_owned();
    let leaf_of = |payload: &mut Value, word: &str| -> usize {
        let entries = payload["evidence"][0]["entries"].as_array().unwrap();
        entries
            .iter()
            .position(|e| e["leaf"]["entry"]["statement"]["body"].get(word).is_some())
            .unwrap()
    };
    vec![
        ask("a credential", jwt.clone(), Some(&anchors), true, "of the pinned plant"),
        ask(
            "a credential by itself",
            jwt.clone(),
            None,
            true,
            "consistent with the plant that it names",
        ),
        ask("by the key that took the first one's place", later, Some(&anchors), true, "it is named"),
        ask("named after a key that nobody has", unnamed, Some(&anchors), false, "no such key counts"),
        ask("its JSON", readable.clone(), Some(&anchors), true, "the same, readable"),
        ask("its page", html.clone(), Some(&anchors), true, "the same, for people"),
        ask(
            "another plant's reader",
            jwt.clone(),
            Some(&canonical_of(&other)),
            false,
            "the genesis differs",
        ),
        ask("a newline after it", format!("{jwt}\n"), None, false, "one spelling"),
        ask("a cut signature", cut(4), None, false, "64 bytes"),
        ask(
            "another name in the page",
            html.replacen("Sample plant", "Simple plant", 1),
            None,
            false,
            "not what it renders to",
        ),
        ask(
            "another picture in the page",
            html.replacen("base64,bm90", "base64,bm91", 1),
            None,
            false,
            "the report names another",
        ),
        ask(
            "another module in the QR code",
            html.replacen("h1v1h-1z", "h1v1h-2z", 1),
            None,
            false,
            "not what it renders to",
        ),
        ask(
            "a space in its JSON",
            readable.replacen(": ", ":  ", 1),
            None,
            false,
            "not what it renders to",
        ),
        ask(
            "a verdict that the site made up",
            resigned(&|p| {
                p["credentialSubject"]["product"]["characteristics"]["verdict"] = "failed".into();
            }),
            None,
            false,
            "the evidence gives another",
        ),
        ask(
            "a statement that the site added",
            resigned(&|p| p["more"] = true.into()),
            None,
            false,
            "nothing derives it",
        ),
        ask(
            "an entry with an edited body",
            resigned(&|p| {
                let at = leaf_of(p, "order");
                p["evidence"][0]["entries"][at]["leaf"]["entry"]["statement"]["body"]["order"]["part"] =
                    "spindle-9".into();
            }),
            None,
            false,
            "the log holds another",
        ),
        ask(
            "an entry left out",
            resigned(&|p| {
                let at = leaf_of(p, "run-started");
                p["evidence"][0]["entries"].as_array_mut().unwrap().remove(at);
            }),
            None,
            false,
            "the chain is broken",
        ),
        ask(
            "an edited manifest",
            resigned(&|p| p["evidence"][0]["manifests"][0]["claim"]["samples"] = 1.into()),
            None,
            false,
            "the ledger names another",
        ),
        ask(
            "an earlier time of issue",
            resigned(&|p| p["evidence"][0]["issued_at"] = 1.into()),
            None,
            false,
            "before the report",
        ),
        ask(
            "an edited path",
            resigned(&|p| p["evidence"][0]["entries"][2]["path"][0] = json!(sha256(b"x"))),
            None,
            false,
            "no inclusion",
        ),
        ask(
            "an edited checkpoint",
            resigned(&|p| {
                let note = p["evidence"][0]["checkpoint"].as_str().unwrap().replacen(
                    "witness-2",
                    "witness-3",
                    1,
                );
                p["evidence"][0]["checkpoint"] = note.into();
            }),
            None,
            false,
            "the quorum",
        ),
    ]
    .into_iter()
    .chain(rotated_passports())
    .collect()
}

/// A credential's payload, changed and signed again by the site.
fn resigned_of(issued: &passport::Verified, change: &dyn Fn(&mut Value)) -> String {
    let mut payload = issued.credential().clone();
    change(&mut payload);
    let header = issued.jwt().split('.').next().unwrap();
    let payload = Bytes(canonical_object(&payload)).to_string();
    let signed = format!("{header}.{payload}");
    let signature = Bytes(key("site").sign(signed.as_bytes()).to_vec());
    format!("{signed}.{signature}")
}

/// Passports from before and after a rotation of the log's key and a witness.
fn rotated_passports() -> Vec<Value> {
    let (mut world, scan) = fixture::sample();
    let anchors = canonical_of(&world.anchors());
    let site = key("site");
    let before = passport::issue(world.draft(&scan.report), &*site).unwrap();
    world.rotate();
    let scan = world.scan("spindle-7", &[Verdict::Confirmed]);
    let after = passport::issue(world.draft(&scan.report), &*site).unwrap();
    let witnesses = ["witness-1", "witness-3"].map(fixture::vkey).to_vec();
    let log = fixture::signer_of("log-2").vkey().clone();
    let log = proof::log::LogPolicy::new(fixture::ORIGIN, log, witnesses, 2).unwrap();
    let newer = canonical_of(&passport::Anchors { log, ..world.anchors() });
    let strict = fixture::policy_of(&["witness-1", "mine"], 2);
    let strict = canonical_of(&passport::Anchors { log: strict, ..world.anchors() });
    let ask = |name: &str, file: &str, anchors: Option<&[u8]>, valid: bool, why: &str| {
        let input = json!({ "file": b64(file), "anchors": anchors.map(b64) });
        vector("passport", name, input, valid, why)
    };
    let mut signed_by = |log: &'static str, witnesses: [&'static str; 2]| {
        world.signers = (log, witnesses);
        let note = String::from_utf8(world.checkpoint()).unwrap();
        resigned_of(&after, &|p| p["evidence"][0]["checkpoint"] = note.clone().into())
    };
    let retired = signed_by("log", ["witness-1", "witness-2"]);
    let retired_log = signed_by("log", ["witness-1", "witness-3"]);
    let retired_witness = signed_by("log-2", ["witness-1", "witness-2"]);
    let unnamed = signed_by("log-3", ["witness-1", "witness-3"]);
    let hidden = |word: &str| {
        resigned_of(&after, &|p| {
            let entries = p["evidence"][0]["entries"].as_array_mut().unwrap();
            let is = |e: &Value| e["leaf"]["entry"]["statement"]["body"].get(word).is_some();
            let at = entries.iter().rposition(is).unwrap();
            entries.remove(at);
        })
    };
    let pin = Some(anchors.as_slice());
    let after = after.jwt();
    vec![
        ask("before a rotation", before.jwt(), pin, true, "the first keys signed it"),
        ask("after a rotation", after, pin, true, "officers put these keys in force"),
        ask("after a rotation, by itself", after, None, true, "by the plant's own words"),
        ask("after a rotation, by newer anchors", after, Some(&newer), true, "the same keys"),
        ask("after a rotation, by stricter terms", after, Some(&strict), true, "replaced as well"),
        ask("before a rotation, by newer anchors", before.jwt(), Some(&newer), false, "older keys"),
        ask("retired keys sign on", &retired, pin, false, "they count no longer"),
        ask("a retired log key signs on", &retired_log, pin, false, "it counts no longer"),
        ask("a retired witness cosigns on", &retired_witness, pin, false, "the quorum"),
        ask("a log key that no entry names", &unnamed, pin, false, "it counts not yet"),
        ask("a rotation without its proposal", &hidden("propose"), pin, false, "whose keys?"),
        ask("a rotation without its approval", &hidden("approve"), pin, false, "two officers"),
    ]
}

/// The canonical bytes of a value of any size.
fn canonical_object(value: &Value) -> Vec<u8> {
    // A credential is longer than an entry may be, so its parts are joined here.
    let fields = value.as_object().unwrap();
    let mut out = vec![b'{'];
    for (at, (key, value)) in fields.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend(canonical_of(&key));
        out.push(b':');
        out.extend(canonical_any(value));
    }
    out.push(b'}');
    out
}

fn canonical_any(value: &Value) -> Vec<u8> {
    match value {
        Value::Object(_) => canonical_object(value),
        Value::Array(items) => {
            let items: Vec<Vec<u8>> = items.iter().map(canonical_any).collect();
            [b"[".as_slice(), &items.join(&b','), b"]"].concat()
        }
        plain => canonical_of(plain),
    }
}
