//! Ledgers, folded from their genesis.

use super::common::*;
use crate::plant_in_memory::{self as fixture, id, key};
use base::{Bytes, Millis};
use plant::{Body, body::*};
use policy::Role;
use proof::{
    entry::{Entry, Leaf},
    keys::{Passkey, PublicKey, Signer},
    log::{KeyKind, LogSigner, VKey},
};
use serde_json::{Value, json};

pub fn vectors(person: &Person) -> Vec<Value> {
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
            "a key that was given up, revoked as well",
            &with(&|p| {
                p.world.force("ada", revoke_of("ada"));
                p.world.force("olga", revoke_of("ada"));
            }),
            true,
            "a thief may have given it up",
        ),
        ask(
            "a revoked key, revoked again",
            &with(&|p| {
                p.world.force("olga", revoke_of("ada"));
                p.world.force("omar", revoke_of("ada"));
            }),
            false,
            "it was revoked",
        ),
        ask(
            "a key that was laid down, revoked while another has it",
            &with(&|p| {
                let of =
                    |p: &Invited<'_>, name: &str| p.world.plant.members[&id(name)].member.clone();
                let ada = Member { keys: vec![PublicKey::of(&*key("ada.2"))], ..of(p, "ada") };
                p.world.change("olga", Change::Member(ada));
                let keys = vec![PublicKey::of(&*key("ivan")), PublicKey::of(&*key("ada"))];
                let ivan = Member { keys, ..of(p, "ivan") };
                p.world.change("olga", Change::Member(ivan));
                p.world.force("olga", revoke_of("ada"));
            }),
            false,
            "the same key still counts",
        ),
        ask(
            "an approval of what a later change of the member overtook",
            &with(&|p| {
                let roles = |roles: &[Role]| {
                    let roles = roles.iter().copied().collect();
                    Change::Roles(SetRoles { member: id("ada"), roles })
                };
                let old = p.world.force("olga", Body::Propose(roles(&[Role::Integrator])));
                p.world.change("olga", roles(&[]));
                p.world.force("omar", Body::Approve(Approve { proposal: old }));
            }),
            false,
            "the proposal ended with the change",
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

fn revoke_of(member: &str) -> Body {
    Body::RevokeKey(RevokeKey {
        key: PublicKey::of(&*key(member)).fingerprint(),
        member: id(member),
        reason: "stolen".into(),
    })
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
