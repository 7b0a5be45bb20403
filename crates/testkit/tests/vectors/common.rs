//! What the vectors share: their shape, a person with a passkey, and a plant in which
//! one was invited.

use crate::plant_in_memory::{World, id};
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
    webauthn::Assertion,
};
use serde_json::{Map, Value, json};
use std::cell::RefCell;

/// A key pair for tests, made with a common tool.
const PRIVATE: &str = "346ff105bd78015042706a734e29c33edec5ef7dac8d87bb8def949b49d0a2ed";
const PUBLIC: &str = "04c83433686fb50c81c358ca324e4508b360c56784faf78357b3718627b5f7d4401\
                      8177a6f632b6437e2c5cf12df16304d78c29f0a44a60ad72197cb9d419c239d";
pub const RP: &str = "plant.example";
const WEB: &str = "https://plant.example";

pub fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

pub fn b64(bytes: impl AsRef<[u8]>) -> Value {
    Bytes(bytes.as_ref().to_vec()).to_string().into()
}

pub fn canonical_of(value: &impl serde::Serialize) -> Vec<u8> {
    base::to_canonical(value).unwrap()
}

pub fn vector(kind: &str, name: &str, input: Value, valid: bool, why: &str) -> Value {
    json!({ "kind": kind, "name": name, "input": input, "valid": valid, "why": why })
}

/// A person with a passkey.
pub struct Person {
    drawn: RefCell<Map<String, Value>>,
    used: RefCell<Map<String, Value>>,
}

impl Person {
    /// One who signs as was `drawn` before, and draws what is missing.
    pub fn new(drawn: Map<String, Value>) -> Self {
        Self { drawn: RefCell::new(drawn), used: RefCell::default() }
    }

    /// The signatures that were asked for.
    pub fn used(self) -> Map<String, Value> {
        self.used.into_inner()
    }

    pub fn passkey(&self) -> Passkey {
        Passkey {
            credential: Bytes(vec![1, 2, 3]),
            es256: Bytes(hex(PUBLIC)),
            origin: WEB.into(),
            rp_id: RP.into(),
        }
    }

    pub fn key(&self) -> PublicKey {
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

    pub fn sign(&self, statement: Statement) -> Entry {
        let client = client_data(&statement);
        self.sign_with(statement, &client, RP, 0x05)
    }

    pub fn sign_with(&self, statement: Statement, client: &Value, rp: &str, flags: u8) -> Entry {
        Entry { signature: Signature::Passkey(self.assert(client, rp, flags)), statement }
    }
}

pub fn client_data(statement: &Statement) -> Value {
    let challenge = Bytes(sha256(&statement.bytes().unwrap()).0.to_vec());
    json!({
        "type": "webauthn.get", "challenge": challenge, "origin": WEB, "crossOrigin": false,
    })
}

pub fn statement(issuer: &str, key: &PublicKey, at: Millis, nonce: u8, body: Value) -> Statement {
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

pub fn invitation_signer() -> SecretKey {
    SecretKey::from_seed(&sha256(b"invitation").0).unwrap()
}

pub fn invitation_key() -> Invitation {
    Invitation {
        ed25519: Bytes(invitation_signer().public().to_vec()),
        not_after: Millis(1_795_219_200_000 + 13 * 86_400_000),
    }
}

/// A plant in which Paula was invited and has a passkey.
pub struct Invited<'a> {
    pub world: World,
    pub person: &'a Person,
    nonce: u8,
}

impl<'a> Invited<'a> {
    pub fn new(person: &'a Person) -> Self {
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

    pub fn next(&mut self, key: &PublicKey, body: Body) -> Statement {
        self.nonce += 1;
        self.world.now = self.world.now.plus(1000);
        let body = serde_json::to_value(&body).unwrap();
        statement("paula", key, self.world.now, self.nonce, body)
    }

    pub fn accepted(&mut self) -> Leaf {
        let passkey = self.person.passkey();
        let body = Body::Accept(Accept { passkey, seal: Some(Bytes(vec![5; 32])) });
        let key = PublicKey::Invitation(invitation_key());
        let statement = self.next(&key, body);
        let entry = Entry::sign(statement, &invitation_signer()).unwrap();
        Leaf { entry, logged_at: self.world.now.plus(3) }
    }

    pub fn signed(&mut self, body: Body) -> Leaf {
        let statement = self.next(&self.person.key(), body);
        Leaf { entry: self.person.sign(statement), logged_at: self.world.now.plus(3) }
    }

    pub fn append(&mut self, leaf: Leaf) -> Digest {
        let id = self.world.plant.append(&leaf.bytes().unwrap()).unwrap();
        self.world.leaves.push(leaf);
        id
    }

    pub fn order(&mut self) -> Digest {
        let body = Body::Order(self.world.order_of("spindle-7"));
        let leaf = self.signed(body);
        self.append(leaf)
    }
}
