//! The plant's own keys: which may come into force, and for which checkpoints they count.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base::{Bytes, Rule};
use common::*;
use plant::{Body, Plant, body::*, trust};
use proof::log::{KeyKind, LogPolicy, VKey};

fn log(seed: &str) -> VKey {
    vkey(ORIGIN, seed, KeyKind::Log)
}

fn witness(name: &str, seed: &str) -> VKey {
    vkey(name, seed, KeyKind::Witness)
}

fn none() -> Keys {
    Keys { authorities: None, log: None, vault: None, witnesses: None }
}

fn new_log(seed: &str) -> Keys {
    Keys { log: Some(log(seed)), ..none() }
}

fn new_vault(byte: u8) -> Keys {
    Keys { vault: Some(Bytes(vec![byte; 32])), ..none() }
}

fn new_witnesses(keys: &[VKey], quorum: u32) -> Keys {
    Keys { witnesses: Some(Witnesses { keys: keys.to_vec(), quorum }), ..none() }
}

fn new_roots(roots: &[&[u8]]) -> Keys {
    let roots = roots.iter().map(|root| Bytes(root.to_vec())).collect();
    Keys { authorities: Some(roots), ..none() }
}

fn first(world: &World) -> LogPolicy {
    trust::stated(&world.plant.anchors).unwrap()
}

fn rotate(world: &mut World, keys: Keys) -> u64 {
    world.change("olga", Change::Keys(keys), &["omar"]);
    world.plant.size - 1
}

#[test]
fn keys_change_by_two_officers_from_their_index_on() {
    let mut world = World::new();
    let (first, before) = (first(&world), world.plant.clone());
    let proposal = world.by("olga", Body::Propose(Change::Keys(new_log("log.2"))));
    assert_eq!(world.plant.log_now().unwrap(), first, "one officer is not enough");
    world.refused("olga", approve(proposal), Rule::Approval);
    world.refused("ada", approve(proposal), Rule::Policy);
    world.by("omar", approve(proposal));
    let at = world.plant.size - 1;
    let now = world.plant.log_now().unwrap();
    assert_eq!(now.log_key(), &log("log.2"));
    assert_eq!((now.witnesses(), now.quorum()), (first.witnesses(), first.quorum()));
    assert_eq!(world.plant.anchors, before.anchors, "the genesis stays what it was");
    // A checkpoint over the approval counts under the new key, one entry less not.
    assert_eq!(world.plant.log_at(&first, at + 1).unwrap(), now);
    assert_eq!(world.plant.log_at(&first, at).unwrap(), first);
    world.refused("ivan", Body::Propose(Change::Keys(new_log("log.3"))), Rule::Policy);

    let two = [witness("w-1", "w1"), witness("w-2", "w2")];
    let second = rotate(&mut world, new_witnesses(&two, 2));
    let third = rotate(&mut world, new_vault(7));
    let then = world.plant.log_now().unwrap();
    assert_eq!((then.log_key(), then.witnesses(), then.quorum()), (&log("log.2"), &two[..], 2));
    assert_eq!(world.plant.vault().0, [7; 32]);
    let indexes: Vec<u64> = world.plant.rotations.iter().map(|r| r.index).collect();
    assert_eq!(indexes, [at, second, third]);
    assert_eq!(world.plant.log_at(&first, second).unwrap(), now);
}

#[test]
fn stricter_terms_of_a_reader_stay_until_a_rotation_replaces_them() {
    let mut world = World::new();
    let own = [witness("witness.example", "witness"), witness("mine", "mine")];
    let strict = LogPolicy::new(ORIGIN, log("log"), own.to_vec(), 2).unwrap();
    rotate(&mut world, new_log("log.2"));
    let policy = world.plant.log_at(&strict, u64::MAX).unwrap();
    assert_eq!((policy.log_key(), policy.witnesses()), (&log("log.2"), &own[..]));
    assert_eq!(policy.quorum(), 2);
    rotate(&mut world, new_witnesses(&[witness("w-1", "w1")], 1));
    assert_eq!(world.plant.log_at(&strict, u64::MAX).unwrap().witnesses(), [witness("w-1", "w1")]);
}

#[test]
fn only_sound_keys_come_into_force_and_none_comes_back() {
    let mut world = World::new();
    let old = witness("witness.example", "witness");
    let w1 = witness("w-1", "w1");
    rotate(&mut world, new_log("log.2"));
    rotate(&mut world, new_vault(7));
    rotate(&mut world, new_witnesses(&[old.clone(), w1.clone()], 1));
    let many: Vec<VKey> = (0..33).map(|n| witness(&format!("w{n}"), &format!("m{n}"))).collect();
    let cases: Vec<(&str, Keys, bool)> = vec![
        ("nothing", none(), false),
        ("a fresh log key", new_log("log.3"), true),
        ("the first log key", new_log("log"), false),
        ("the log key in force", new_log("log.2"), false),
        (
            "a log key of another name",
            Keys { log: Some(vkey("other", "o", KeyKind::Log)), ..none() },
            false,
        ),
        ("a witness's key for the log", Keys { log: Some(witness(ORIGIN, "o")), ..none() }, false),
        ("the log key is a witness's", Keys { log: Some(log("w1")), ..none() }, false),
        ("a fresh vault key", new_vault(6), true),
        ("the first vault key", new_vault(8), false),
        ("the vault key in force", new_vault(7), false),
        ("a short vault key", Keys { vault: Some(Bytes(vec![1; 31])), ..none() }, false),
        ("one witness less", new_witnesses(std::slice::from_ref(&w1), 1), true),
        ("a new quorum of those in force", new_witnesses(&[old.clone(), w1.clone()], 2), true),
        (
            "a witness's next key under its name",
            new_witnesses(&[old.clone(), witness("w-1", "n")], 1),
            true,
        ),
        ("no witness", new_witnesses(&[], 0), false),
        ("a quorum of none", new_witnesses(std::slice::from_ref(&w1), 0), false),
        ("a quorum of more", new_witnesses(std::slice::from_ref(&w1), 2), false),
        ("a name twice", new_witnesses(&[w1.clone(), witness("w-1", "n")], 1), false),
        ("a key twice", new_witnesses(&[w1.clone(), witness("w-2", "w1")], 1), false),
        ("a log key for a witness", new_witnesses(&[log("n")], 1), false),
        ("an old log key for a witness", new_witnesses(&[witness("w-3", "log")], 1), false),
        ("the log key in force for a witness", new_witnesses(&[witness("w-3", "log.2")], 1), false),
        ("more than 32 witnesses", new_witnesses(&many, 1), false),
    ];
    for (name, keys, sound) in cases {
        let mut world = world.clone();
        let rule = world.try_by("olga", Body::Propose(Change::Keys(keys))).map_err(|r| r.rule);
        assert_eq!(rule.is_ok(), sound, "{name}: {rule:?}");
        assert!(sound || rule == Err(Rule::Enrolment), "{name}: {rule:?}");
    }
    // A witness that was replaced stays replaced, and a proposal is judged again when it
    // is approved: the plant has changed meanwhile.
    let waiting =
        world.by("olga", Body::Propose(Change::Keys(new_witnesses(&[w1.clone(), old], 1))));
    rotate(&mut world, new_witnesses(&[w1], 1));
    world.refused("omar", approve(waiting), Rule::Enrolment);
}

#[test]
fn roots_of_certificates_are_stated_from_their_index_on_and_none_comes_back() {
    let mut world = World::new();
    assert_eq!(world.plant.authorities(), None, "the genesis states none");
    let (old, new, third) = (&b"old"[..], &b"new"[..], &b"third"[..]);
    let stated = |world: &World| {
        let (index, roots) = world.plant.authorities().unwrap();
        (index, roots.iter().map(|root| root.0.clone()).collect::<Vec<_>>())
    };
    let both = rotate(&mut world, new_roots(&[old, new]));
    assert_eq!(stated(&world), (both, vec![old.to_vec(), new.to_vec()]));
    rotate(&mut world, new_log("log.2"));
    assert_eq!(stated(&world).0, both, "what is absent stays");
    let alone = rotate(&mut world, new_roots(&[new]));
    assert_eq!(stated(&world), (alone, vec![new.to_vec()]));

    let long = vec![1; 4097];
    let cases: Vec<(&str, Keys, bool)> = vec![
        ("none", new_roots(&[]), false),
        ("a fresh one", new_roots(&[third]), true),
        ("one that stays", new_roots(&[new, third]), true),
        ("one that was withdrawn", new_roots(&[old, new]), false),
        ("one twice", new_roots(&[new, new]), false),
        ("five", new_roots(&[b"1", b"2", b"3", b"4", b"5"]), false),
        ("four", new_roots(&[b"1", b"2", b"3", b"4"]), true),
        ("an empty one", new_roots(&[b""]), false),
        ("one of 4096 bytes", new_roots(&[&long[1..]]), true),
        ("one of 4097 bytes", new_roots(&[&long]), false),
    ];
    for (name, keys, sound) in cases {
        let mut world = world.clone();
        let rule = world.try_by("olga", Body::Propose(Change::Keys(keys))).map_err(|r| r.rule);
        assert_eq!(rule.is_ok(), sound, "{name}: {rule:?}");
        assert!(sound || rule == Err(Rule::Enrolment), "{name}: {rule:?}");
    }
}

#[test]
fn a_genesis_states_keys_that_can_work() {
    let begin = |edit: &dyn Fn(&mut Genesis)| {
        let mut terms = genesis();
        edit(&mut terms);
        Plant::begin(&genesis_leaf(terms, "olga")).map(|_| ()).map_err(|r| r.rule)
    };
    assert_eq!(begin(&|_| ()), Ok(()));
    let twice = witness("witness.example", "witness").to_string();
    let edits: [&dyn Fn(&mut Genesis); 8] = [
        &|g| g.log = "log".into(),
        &|g| g.log = vkey("other", "log", KeyKind::Log).to_string(),
        &|g| g.log = witness(ORIGIN, "log").to_string(),
        &|g| g.origin = "other".into(),
        &|g| g.quorum = 0,
        &|g| g.quorum = 2,
        &|g| g.witnesses.push(twice.clone()),
        &|g| g.vault = Bytes(vec![8; 31]),
    ];
    for (n, edit) in edits.iter().enumerate() {
        assert_eq!(begin(edit), Err(Rule::Enrolment), "edit {n}");
    }
}

/// Who is shown only the leaves that bear on keys comes to the same ones, from the start
/// or from any entry that was folded.
#[test]
fn the_leaves_that_bear_on_keys_tell_them() {
    let mut world = World::new();
    world.ran();
    let plain = world.leaves.len();
    rotate(&mut world, new_log("log.2"));
    let open = world.by("olga", Body::Propose(Change::Keys(new_vault(7))));
    let proposed = world.leaves.len();
    world.recorded("bafy1");
    world.by("omar", approve(open));
    rotate(&mut world, new_witnesses(&[witness("w-1", "w1")], 1));
    world.ordered();
    let indexed = |from: usize| {
        let leaves: Vec<(u64, &[u8])> =
            (0u64..).zip(world.leaves.iter().map(Vec::as_slice)).skip(from).collect();
        leaves
    };
    let bearing = |from: usize| {
        indexed(from).into_iter().filter(|(_, leaf)| trust::bears_on_keys(leaf)).collect::<Vec<_>>()
    };
    assert!(bearing(0).len() < indexed(0).len() - 5, "orders and runs bear on no key");
    for from in 0..world.leaves.len() {
        let mut known = None::<Plant>;
        for (_, leaf) in indexed(0).into_iter().take(from) {
            match &mut known {
                Some(plant) => drop(plant.append(leaf).unwrap()),
                None => {
                    let leaf = proof::entry::Leaf::parse(leaf).unwrap();
                    known = Some(Plant::begin(&leaf).unwrap());
                }
            }
        }
        for leaves in [indexed(from), bearing(from)] {
            let read = leaves.iter().copied();
            let after = trust::keys_after(known.as_ref(), &world.plant.genesis, read).unwrap();
            let after = after.or(known.clone()).unwrap();
            assert_eq!(after.rotations, world.plant.rotations, "from {from}");
        }
    }
    // No key can change: nobody folds for nothing.
    let quiet = indexed(0).into_iter().take(plain);
    let quiet =
        trust::keys_after(None, &world.plant.genesis, quiet.collect::<Vec<_>>().into_iter());
    assert_eq!(quiet.unwrap(), None);
    let pending = proposed - 1;
    let open: Vec<_> = indexed(0).into_iter().take(pending).collect();
    let known = trust::keys_after(None, &world.plant.genesis, open.into_iter()).unwrap().unwrap();
    assert_eq!(known.rotations.len(), 1);
    let other = trust::keys_after(None, &base::Digest([1; 32]), bearing(0).into_iter());
    assert!(other.unwrap_err().contains("genesis"));
    let torn: Vec<_> = bearing(0).into_iter().skip(1).collect();
    assert!(trust::keys_after(None, &world.plant.genesis, torn.into_iter()).is_err());
}
