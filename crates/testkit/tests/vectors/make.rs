//! Makes the vectors. Keys are fixed and times are, so a second run writes the
//! same; a passkey's signatures draw randomness and are therefore kept in
//! `signatures.json`.

mod canonical;
mod checkpoints;
mod common;
mod ecdsa;
mod entries;
mod keys;
mod ledgers;
mod merkle;
mod passports;

use common::Person;
use serde_json::{Map, Value};

/// The files, without `.json`.
pub const FILES: [&str; 7] =
    ["canonical", "checkpoints", "entries", "keys", "ledgers", "merkle", "passports"];

type Files = Vec<(&'static str, Vec<Value>)>;

/// All files, and the signatures that were drawn.
pub fn all(drawn: Map<String, Value>) -> (Files, Map<String, Value>) {
    let person = Person::new(drawn);
    let files = vec![
        ("canonical", canonical::vectors()),
        ("checkpoints", checkpoints::vectors()),
        ("entries", entries::vectors(&person)),
        ("keys", keys::vectors(&person)),
        ("ledgers", ledgers::vectors(&person)),
        ("merkle", merkle::vectors()),
        ("passports", passports::vectors(&person)),
    ];
    (files, person.used())
}
