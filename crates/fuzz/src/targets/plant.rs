//! The fold over a plant's entries, and the policy's text.

#[path = "../../../plant/tests/common/mod.rs"]
mod world;

use ::plant::{Plant, body::Genesis};
use base::{Bytes, Id, Millis, sha256};
use proof::{
    entry::{Entry, Leaf, Statement, VERSION},
    keys::PublicKey,
};
use serde_json::Value;
use std::{collections::BTreeSet, sync::LazyLock};
use world::World;

static BEGUN: LazyLock<World> = LazyLock::new(World::bare);

/// A story of a plant, one entry a line: `WHO WAIT BODY`. The target signs each, so
/// that the fuzzer gets past signatures. In a body `"@3"` stands for the identifier of
/// entry 3, `"~ada"` for the fingerprint of a key, `"+500"` for the time in 500 ms.
pub fn fold(bytes: &[u8]) {
    let mut world = BEGUN.clone();
    let mut ids = vec![Leaf::parse(&world.leaves[0]).unwrap().entry.id().unwrap().to_string()];
    for line in bytes.split(|b| *b == b'\n').take(40) {
        let Some(entry) = std::str::from_utf8(line).ok().and_then(|l| said(l, &mut world, &ids))
        else {
            let before = world.plant.clone();
            assert!(world.plant.append(line).is_err(), "bytes that nobody signed");
            assert_eq!(world.plant, before);
            continue;
        };
        let leaf = Leaf { entry: entry.clone(), logged_at: world.now };
        if leaf.bytes().is_err() {
            continue;
        }
        // It asserts that a refused entry leaves the plant as it was.
        if let Ok(id) = world.log(entry) {
            ids.push(id.to_string());
        }
    }
    let mut again = BEGUN.plant.clone();
    for leaf in &world.leaves[1..] {
        again.append(leaf).expect("a replay takes what was taken");
        assert!(again.append(leaf).is_err(), "an entry was taken twice");
    }
    assert_eq!(again, world.plant, "a replay ends elsewhere");
    reads(&again);
}

fn said(line: &str, world: &mut World, ids: &[String]) -> Option<Entry> {
    let mut parts = line.splitn(3, ' ');
    let who: Id = parts.next()?.parse().ok()?;
    let wait: u64 = parts.next()?.parse().ok()?;
    let mut body: Value = serde_json::from_str(parts.next()?).ok()?;
    world.now = world.now.plus(wait % (400 * world::DAY));
    world.nonce += 1;
    fill(&mut body, world.now, ids);
    let key = world::key(who.as_str());
    let statement = Statement {
        at: world.now,
        body,
        issuer: who,
        key: PublicKey::of(&key).fingerprint(),
        nonce: Bytes(sha256(&world.nonce.to_be_bytes()).0[..16].to_vec()),
        site: world::id("plant"),
        v: VERSION.into(),
    };
    Entry::sign(statement, &key).ok()
}

/// Puts identifiers, fingerprints and times in their places.
fn fill(value: &mut Value, now: Millis, ids: &[String]) {
    match value {
        Value::String(text) => {
            if let Some(at) = text.strip_prefix('@').and_then(|n| n.parse::<usize>().ok()) {
                *text = ids.get(at).cloned().unwrap_or_else(|| sha256(b"none").to_string());
            } else if let Some(name) = text.strip_prefix('~') {
                *text = PublicKey::of(&world::key(name)).fingerprint().to_string();
            } else if let Some(ms) = text.strip_prefix('+').and_then(|n| n.parse().ok()) {
                *value = now.plus(ms).0.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, now, ids)),
        Value::Object(map) => map.values_mut().for_each(|item| fill(item, now, ids)),
        _ => {}
    }
}

/// No grant gives more than its budget, nor to anybody else.
fn reads(plant: &Plant) {
    for (id, state) in &plant.grants {
        let grant = &state.grant;
        for reader in plant.members.keys() {
            for root in &grant.recordings {
                let request = gate::ReadRequest {
                    reader: reader.clone(),
                    root: root.clone(),
                    cid: root.clone(),
                    bytes: grant.budget,
                    grant: Some(*id),
                };
                if gate::read::decide(plant, &request, grant.not_before).is_ok() {
                    assert!(*reader == grant.processor && state.used == 0);
                }
            }
        }
    }
}

/// Leaves as they stand in a bundle, from the genesis on; signatures are the
/// corpus's own.
pub fn ledger(bytes: &[u8]) {
    let mut rest = bytes;
    let mut leaves = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>()
        && let Some((leaf, after)) = after.split_at_checked(u16::from_be_bytes(*length).into())
    {
        leaves.push(leaf);
        rest = after;
    }
    let Some(mut plant) = leaves.first().and_then(|l| Plant::begin(&Leaf::parse(l).ok()?).ok())
    else {
        return;
    };
    for leaf in leaves.iter().skip(1) {
        let before = plant.clone();
        match plant.append(leaf) {
            Ok(id) => assert_eq!(plant.index_of(&id), Some(before.size)),
            Err(_) => assert_eq!(plant, before, "a refused entry changed the plant"),
        }
    }
}

/// Policy texts, and geneses with them.
pub fn policy(bytes: &[u8]) {
    if let Ok(genesis) = serde_json::from_slice::<Genesis>(bytes) {
        let _ = Plant::begin(&world::genesis_leaf(genesis, "olga"));
    }
    let Some(policy) =
        std::str::from_utf8(bytes).ok().and_then(|t| ::policy::Policy::parse(t).ok())
    else {
        return;
    };
    let (ada, cell) = (world::id("ada"), world::id("cell-1"));
    let nobody = BTreeSet::new();
    for action in ::policy::Action::ALL {
        let question = ::policy::Question {
            principal: &ada,
            roles: &nobody,
            action: *action,
            resource: ::policy::Resource::Cell(&cell),
            user_verified: true,
            subject: "scan",
        };
        assert_eq!(policy.decide(&question), policy.decide(&question));
    }
}
