//! What a cell may leave with a real site: its own recordings' keys, checkpoints and
//! cosignatures, and nobody else's. And who may know of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base::{Digest, sha256};
use common::{
    house::{House, Parcel, ended, started},
    id,
};
use node::{Client, Granted, Node, now, rotation::Turn};
use plant::{
    Body,
    body::{Change, Member, Recording, RevokeGrant, SetPolicy, Shred},
};
use proof::{
    log::{append_signature_lines, cosign},
    recording::{Checkpoints, Manifest, Signed},
};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, path::Path, time::Duration};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cell_leaves_keys_of_its_own_runs_recordings_only() {
    let house = House::open().await;
    let (order, elsewhere) = (house.order("cell-1").await, house.order("cell-2").await);
    let (one, two) = (house.plant.machine("cell-1").0, house.plant.machine("cell-2").0);
    let parcel = Parcel::of(&one, order, "state", b"one");
    let refused = async |parcel: &Parcel, edit: fn(&mut Manifest), status, words: &str| {
        let mut manifest = parcel.manifest.clone();
        edit(&mut manifest);
        let signed = Signed::new(manifest, &*one.signer).unwrap();
        let (found, said) = house.put_key("cell-1", parcel, &signed).await;
        assert_eq!(found, status, "{said}");
        assert!(said["detail"].as_str().unwrap().contains(words), "`{words}`: {said}");
        if status == StatusCode::FORBIDDEN {
            assert_eq!(said["rule"], "target", "{said}");
        }
    };
    let no = StatusCode::FORBIDDEN;
    refused(&Parcel::of(&one, sha256(b"none"), "state", b"x"), |_| {}, no, "on the ledger").await;
    refused(&Parcel::of(&one, elsewhere, "state", b"x"), |_| {}, no, "for cell `cell-2`").await;
    // The order's own, under another run's name: it would take that one's place.
    refused(&parcel, |m| m.recording = id("other-state"), no, "called otherwise").await;
    refused(&parcel, |m| m.stream = id("camera"), no, "called otherwise").await;
    let short = |m: &mut Manifest| m.run = id(&m.run.as_str()[..16]);
    refused(&parcel, short, no, "called otherwise").await;
    refused(&parcel, |m| m.cell = id("cell-2"), StatusCode::BAD_REQUEST, "cell-2").await;
    let by_other = parcel.signed(&two);
    let (status, said) = house.put_key("cell-1", &parcel, &by_other).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{said}");
    let own = parcel.signed(&one);
    assert_eq!(house.put_key("operator", &parcel, &own).await.0, no);
    assert_eq!(house.put_key("cell-2", &parcel, &own).await.0, StatusCode::BAD_REQUEST);

    for _ in 0..2 {
        let (status, said) = house.put_key("cell-1", &parcel, &own).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{said}");
    }
    // Another key under the name, and another manifest for the root.
    let other = Parcel::of(&one, order, "state", b"two");
    let (status, said) = house.put_key("cell-1", &other, &other.signed(&one)).await;
    assert_eq!(status, StatusCode::CONFLICT, "{said}");
    let mut stolen = Parcel::of(&two, elsewhere, "state", b"one");
    assert_eq!(stolen.manifest.root_cid, parcel.manifest.root_cid);
    stolen.manifest.ended = stolen.manifest.ended.plus(1);
    let (status, said) = house.put_key("cell-2", &stolen, &stolen.signed(&two)).await;
    assert_eq!(status, StatusCode::CONFLICT, "{said}");
    assert!(said["detail"].as_str().unwrap().contains("another manifest"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_are_the_one_chain_that_the_cells_manifest_names() {
    let house = House::open().await;
    let (order, elsewhere) = (house.order("cell-1").await, house.order("cell-2").await);
    let (one, two) = (house.plant.machine("cell-1").0, house.plant.machine("cell-2").0);
    let parcel = Parcel::of(&one, order, "state", b"one");
    let early = house.put_checkpoints("cell-1", &parcel, parcel.body()).await;
    assert_eq!(early.0, StatusCode::CONFLICT, "{}", early.1);
    let taken = house.put_key("cell-1", &parcel, &parcel.signed(&one)).await;
    assert_eq!(taken.0, StatusCode::NO_CONTENT, "{}", taken.1);

    let camera = Parcel::of(&one, order, "camera", b"one");
    let longer = {
        let claim = &parcel.manifest;
        let mut state = Checkpoints::new(claim.recording.clone(), order, now());
        let mut chain: Vec<_> =
            (0..5).map(|_| state.checkpoint(now(), &*one.signer).unwrap()).collect();
        chain.push(state.finish(&*one.signer).unwrap());
        chain.iter().flat_map(|c| [c.to_bytes().unwrap(), b"\n".to_vec()].concat()).collect()
    };
    let theirs = Parcel::of(&two, elsewhere, "state", b"one");
    for (name, body) in [
        ("nothing", Vec::new()),
        ("no checkpoint", b"{}\n".to_vec()),
        ("cut", [&parcel.chain[0][..], b"\n"].concat()),
        ("without its beginning", [&parcel.chain[1][..], b"\n"].concat()),
        ("of another stream", camera.body()),
        ("longer, and of the same recording", longer),
        ("of another cell", theirs.body()),
    ] {
        let (status, said) = house.put_checkpoints("cell-1", &parcel, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{name}: {said}");
    }
    // Another cell, with its own chain or a copy of this one.
    for body in [theirs.body(), parcel.body()] {
        let (status, said) = house.put_checkpoints("cell-2", &parcel, body).await;
        assert_eq!((status, &said["rule"]), (StatusCode::FORBIDDEN, &"target".into()), "{said}");
    }
    let auditor = house.plant.machine("auditor").1;
    let path = format!("/api/v1/recordings/{}/checkpoints", parcel.manifest.root_cid);
    assert_eq!(house.status(&auditor, &path).await, StatusCode::NOT_FOUND, "none was kept");
    for _ in 0..2 {
        let (status, said) = house.put_checkpoints("cell-1", &parcel, parcel.body()).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{said}");
    }
    assert_eq!(auditor.bytes(&path, 1 << 20).await.unwrap(), parcel.body());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_whom_the_policy_suspends_knows_nothing_of_a_recording() {
    let house = House::open().await;
    let parcel = house.recorded().await;
    let one = house.plant.machine("cell-1").0;
    let order = parcel.manifest.order;
    for body in [started(order), ended(order), parcel.entry(&one)] {
        house.plant.state_by_file("cell-1", &body).await;
    }
    let root = parcel.manifest.root_cid.clone();
    let analyst = house.plant.machine("analyst").1;
    let client = house.plant.machine("officer-1").1;
    let grant = house.grant(&parcel).await;
    let paths = [
        format!("/api/v1/recordings/{root}/manifest"),
        format!("/api/v1/recordings/{root}/checkpoints"),
        format!("/api/v1/grants/{grant}/dossier"),
    ];
    let all = async |status| {
        for path in &paths {
            assert_eq!(house.status(&analyst, path).await, status, "{path}");
        }
    };
    all(StatusCode::OK).await;
    let policy: String = client.get("/state/policy").await.unwrap();
    let suspended = format!(
        "{policy}\n@id(\"suspended\")\nforbid (principal == Interlock::Member::\"analyst\", action == Interlock::Action::\"recording.read\", resource);\n"
    );
    house.change("officer-1", Change::Policy(SetPolicy { text: suspended })).await;
    all(StatusCode::FORBIDDEN).await;
    house.change("officer-1", Change::Policy(SetPolicy { text: policy })).await;
    all(StatusCode::OK).await;
    let revoke = Body::RevokeGrant(RevokeGrant { grant, reason: "enough".into() });
    house.plant.state_by_file("officer-1", &revoke).await;
    assert_eq!(house.status(&analyst, &paths[0]).await, StatusCode::FORBIDDEN);
}

/// A folder's member gets its next key as `member rotate` and the running machine do it.
async fn rotate(house: &House, member: &str) -> Node {
    let (node, client) = house.plant.machine(member);
    let next = node.prepare_next().unwrap();
    let members: BTreeMap<base::Id, Value> =
        house.plant.machine("auditor").1.get("/state/members").await.unwrap();
    let known: Member = serde_json::from_value(members[&id(member)]["member"].clone()).unwrap();
    let keys = [known.keys.clone(), vec![next.sign]].concat();
    let seal = known.seal.clone().and(next.seal);
    house.change("officer-1", Change::Member(Member { keys, seal, ..known })).await;
    node.switch().unwrap();
    let Turn::GiveUp(old) = node.turn(|_| true).unwrap() else {
        panic!("`{member}` keeps its key")
    };
    let entry = node.give_up(&old, now(), node::fresh_nonce().unwrap()).unwrap();
    client.submit_witnessed(&entry).await.unwrap();
    node.forget_old().unwrap();
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_stays_readable_when_its_cell_and_its_reader_have_other_keys() {
    let house = House::open().await;
    let parcel = house.recorded().await;
    let one = house.plant.machine("cell-1").0;
    let order = parcel.manifest.order;
    for body in [started(order), parcel.entry(&one), ended(order)] {
        house.plant.state_by_file("cell-1", &body).await;
    }
    let root = parcel.manifest.root_cid.clone();
    let before = house.grant(&parcel).await;
    let cell = rotate(&house, "cell-1").await;
    let analyst = rotate(&house, "analyst").await;
    let client = Client::of(&analyst).unwrap();
    // Under the grant from before and under one from now: the keys of then count.
    for id in [before, house.grant(&parcel).await] {
        let granted = Granted::obtain(&analyst, &client, id).await.unwrap();
        assert_eq!(granted.manifests.keys().collect::<Vec<_>>(), [&root]);
        // The site seals to the reader's new key.
        assert_eq!(granted.key(&root).await.unwrap().commitment(), parcel.key.commitment());
    }
    // What the new key signs now was not signed by the cell of then.
    let forged = house.put_key("cell-1", &parcel, &parcel.signed(&cell)).await.0;
    assert_eq!(forged, StatusCode::CONFLICT, "another manifest is kept for this root");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cosignatures_are_taken_from_cells_and_witnesses_and_never_go_back() {
    let house = House::open().await;
    let log = house.plant.machine("auditor").0.anchors.log;
    let newest = async || {
        let auditor = house.plant.machine("auditor").1;
        let note = auditor.bytes("/checkpoint", 1 << 16).await.unwrap();
        log.verify_checkpoint(&note).unwrap()
    };
    let leave = async |member: &str, body: Vec<u8>| {
        let client = house.plant.machine(member).1;
        let request = client.request(Method::POST, "/api/v1/cosignatures");
        let answer = request.header("content-type", "text/plain").body(body).send().await.unwrap();
        answer.status()
    };
    let old = newest().await;
    let by = |name: &str, node: &Node, at: &proof::log::WitnessedCheckpoint, time: u64| {
        let line = cosign(name, &*node.signer, at.checkpoint(), time).unwrap();
        append_signature_lines(at.note(), line.as_bytes())
    };
    let (one, two) = (house.plant.machine("cell-1").0, house.plant.machine("cell-2").0);
    let operator = house.plant.machine("operator").0;
    let time = now().0 / 1000;
    let whole = by("cell-1", &one, &old, time);
    for (name, member, body, status) in [
        ("an operator", "operator", by("operator", &operator, &old, time), StatusCode::FORBIDDEN),
        ("no line of its own", "cell-1", old.note().to_vec(), StatusCode::BAD_REQUEST),
        ("another's line", "cell-1", by("cell-2", &two, &old, time), StatusCode::BAD_REQUEST),
        ("another's key", "cell-1", by("cell-1", &two, &old, time), StatusCode::BAD_REQUEST),
        ("no note", "cell-1", b"cell-1".to_vec(), StatusCode::BAD_REQUEST),
        ("too long", "cell-1", vec![b'a'; 33 << 10], StatusCode::PAYLOAD_TOO_LARGE),
        ("its own", "cell-1", whole.clone(), StatusCode::NO_CONTENT),
        ("once more", "cell-1", whole.clone(), StatusCode::NO_CONTENT),
        ("from before", "cell-1", by("cell-1", &one, &old, time - 1), StatusCode::CONFLICT),
        ("a witness", "witness-1", old.note().to_vec(), StatusCode::NO_CONTENT),
    ] {
        assert_eq!(leave(member, body).await, status, "{name}");
    }
    house.order("cell-1").await;
    let grown = async {
        loop {
            let newest = newest().await;
            if newest.size() > old.size() {
                break newest;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let limit = Duration::from_secs(60);
    let new = tokio::time::timeout(limit, grown).await.expect("a larger log is witnessed");
    // A larger log counts, whatever the cell's clock says.
    assert_eq!(leave("cell-1", by("cell-1", &one, &new, 1)).await, StatusCode::NO_CONTENT);
    assert_eq!(leave("cell-1", whole).await, StatusCode::CONFLICT);
}

/// Waits until the site has stated that a recording's key is destroyed.
async fn destroyed(house: &House, root: &str) {
    let auditor = house.plant.machine("auditor").1;
    let gone = async {
        loop {
            let recordings: Value = auditor.get("/state/recordings").await.unwrap();
            if recordings[root]["shredded"] == true {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("its key is destroyed");
}

fn shred(root: &str) -> Body {
    Body::Shred(Shred { reason: "over".into(), root: root.into() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_is_registered_as_it_was_delivered_and_never_under_anothers_manifest() {
    let house = House::open().await;
    let theirs = house.delivered().await;
    let (one, two) = (house.plant.machine("cell-1").0, house.plant.machine("cell-2").0);
    let order = house.order("cell-2").await;
    for body in [started(order), ended(order)] {
        house.plant.state_by_file("cell-2", &body).await;
    }
    let own = Parcel::of(&two, order, "state", b"two");
    let Body::Recording(honest) = own.entry(&two) else { panic!("a recording") };
    let manifest = theirs.signed(&one).digest().unwrap();
    let submit = async |recording: &Recording| {
        let body = Body::Recording(recording.clone());
        let entry = two.sign(&body, now(), node::fresh_nonce().unwrap()).unwrap();
        let request = house.plant.machine("cell-2").1.request(Method::POST, "/api/v1/entries");
        let request = request.header("content-type", "application/json");
        let answer = request.body(entry.bytes().unwrap()).send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    let (early, said) = submit(&honest).await;
    assert_eq!(early, StatusCode::CONFLICT, "{said}");
    let taken = house.put_key("cell-2", &own, &own.signed(&two)).await;
    assert_eq!(taken.0, StatusCode::NO_CONTENT, "{}", taken.1);
    let other = Digest([7; 32]);
    for (name, recording, status) in [
        ("another's manifest", Recording { manifest, ..honest.clone() }, StatusCode::FORBIDDEN),
        ("another key", Recording { commitment: other, ..honest.clone() }, StatusCode::FORBIDDEN),
        (
            "another stream",
            Recording { stream: id("camera"), ..honest.clone() },
            StatusCode::FORBIDDEN,
        ),
        (
            "another's root",
            Recording { root: theirs.manifest.root_cid.clone(), ..honest.clone() },
            StatusCode::FORBIDDEN,
        ),
        (
            "a path",
            Recording { root: "../keys/x".into(), ..honest.clone() },
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let (found, said) = submit(&recording).await;
        assert_eq!(found, status, "{name}: {said}");
        if status == StatusCode::FORBIDDEN {
            assert_eq!(said["rule"], "target", "{name}: {said}");
        }
    }
    let auditor = house.plant.machine("auditor").1;
    let refused: Vec<Value> = auditor.get("/entries?word=refused").await.unwrap();
    assert_eq!(refused.len(), 4, "they are on record");
    // Heard or not, the same entry is the same.
    let body = Body::Recording(honest);
    let entry = two.sign(&body, now(), node::fresh_nonce().unwrap()).unwrap();
    let client = house.plant.machine("cell-2").1;
    let known = [client.submit(&entry).await, client.submit(&entry).await];
    assert_eq!(known.map(|submitted| submitted.unwrap().known), [false, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_the_ledger_does_not_name_is_neither_sealed_nor_destroyed() {
    let house = House::open().await;
    let (first, second) = (house.delivered().await, house.delivered_of(b"other").await);
    let root = first.manifest.root_cid.clone();
    let grant = house.grant(&first).await;
    // The vault holds another recording's key under the name of the first.
    let folder = house.plant.folder("site").join("data/keys");
    let none = |_: &mut [u8]| Err(std::io::Error::other("there is a master key"));
    let keys = vault::keys::KeyVault::open(&folder, none).unwrap();
    keys.shred(&first.manifest.recording).unwrap();
    keys.keep(&first.manifest.recording, &second.key, [9; 12]).unwrap();
    let analyst = house.plant.machine("analyst").1;
    let request = analyst.request(Method::POST, &format!("/api/v1/grants/{grant}/keys/{root}"));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    for parcel in [&first, &second] {
        let shred = shred(&parcel.manifest.root_cid);
        house.plant.state_witnessed("officer-1", &shred).await;
    }
    destroyed(&house, &second.manifest.root_cid).await;
    let left = keys.list().unwrap();
    assert_eq!(left, std::slice::from_ref(&first.manifest.recording), "not its own key");
    let auditor = house.plant.machine("auditor").1;
    let recordings: Value = auditor.get("/state/recordings").await.unwrap();
    assert_eq!(recordings[&root]["shredded"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_is_repeated_whole_and_brings_nothing_back_that_was_destroyed() {
    let house = House::open().await;
    let parcel = house.delivered().await;
    let one = house.plant.machine("cell-1").0;
    let root = parcel.manifest.root_cid.clone();
    let again = async || {
        [
            house.put_key("cell-1", &parcel, &parcel.signed(&one)).await,
            house.put_car("cell-1", &parcel, b"one").await,
            house.put_checkpoints("cell-1", &parcel, parcel.body()).await,
        ]
        .map(|(status, _)| status)
    };
    // The cell did not hear that its entry was taken.
    assert_eq!(again().await, [StatusCode::NO_CONTENT; 3]);
    let cut = [&parcel.chain[0][..], b"\n"].concat();
    let (other, said) = house.put_checkpoints("cell-1", &parcel, cut).await;
    assert_eq!(other, StatusCode::CONFLICT, "{said}");

    house.plant.state_by_file("officer-1", &shred(&root)).await;
    destroyed(&house, &root).await;
    let late = again().await;
    assert_eq!(late, [StatusCode::GONE, StatusCode::GONE, StatusCode::NO_CONTENT]);
    let key = format!("data/keys/keys/{}.key", parcel.manifest.recording);
    assert!(!house.plant.folder("site").join(key).exists(), "the key is not back");
    let analyst = house.plant.machine("analyst").1;
    let block = house.status(&analyst, &format!("/ipfs/{root}?format=raw")).await;
    assert_eq!(block, StatusCode::GONE, "nor is the ciphertext");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_site_keeps_is_for_its_own_eyes() {
    let house = House::open().await;
    let parcel = house.recorded().await;
    let data = house.plant.folder("site").join("data");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for kind in ["manifests", "checkpoints"] {
        let file = data.join(kind).join(&parcel.manifest.root_cid);
        assert_eq!((mode(&data.join(kind)), mode(&file)), (0o700, 0o600), "{kind}");
    }
}
