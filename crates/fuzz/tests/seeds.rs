//! Writes first inputs into `corpus/`: what `docs/vectors` holds, and what the product's
//! own writers make. `cargo test --workspace --test seeds -- --ignored`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../passport/tests/common/mod.rs"]
mod world;

use base::{Bytes, sha256};
use capture::{About, Encoding, Image, ImageMessage, ImageRecorder, StateRecorder, StateSample};
use serde_json::Value;
use std::{fs, path::Path};

fn keep(target: &str, input: &[u8]) {
    let most = fuzz::TARGETS.iter().find(|t| t.name == target).unwrap().most;
    if input.len() <= most {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(&sha256(input).to_string()[..16]), input).unwrap();
    }
}

fn lines(target: &str, text: &str) {
    text.lines().for_each(|line| keep(target, line.as_bytes()));
}

#[test]
#[ignore = "writes the corpus"]
fn the_seeds_are_written() {
    vectors();
    documents();
    stories();
    robots();
    sealed();
    texts();
}

/// Bytes of a vector's input.
fn bytes(value: &Value) -> Vec<u8> {
    serde_json::from_value::<Bytes>(value.clone()).unwrap().0
}

fn vectors() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors");
    for name in ["canonical", "checkpoints", "entries", "keys", "ledgers", "merkle", "passports"] {
        let file = fs::read(dir.join(format!("{name}.json"))).unwrap();
        let file: Value = serde_json::from_slice(&file).unwrap();
        for vector in file["vectors"].as_array().unwrap() {
            let input = &vector["input"];
            match vector["kind"].as_str().unwrap() {
                "canonical" => keep("canonical", &bytes(&input["bytes"])),
                "key" => keep("entry", &bytes(&input["key"])),
                "vkey" => keep("text", input["text"].as_str().unwrap_or_default().as_bytes()),
                "entry" => keep("entry", &bytes(&input["entry"])),
                "checkpoint" => {
                    keep("note", &bytes(&input["note"]));
                    keep("note", &bytes(&input["policy"]));
                }
                "proof" => keep("note", &bytes(&input["proof"])),
                "ledger" => {
                    let mut bundle = Vec::new();
                    for leaf in input["leaves"].as_array().unwrap() {
                        ledger::layout::push_entry(&mut bundle, &bytes(leaf)).unwrap();
                    }
                    keep("ledger", &bundle);
                }
                "passport" if vector["valid"] == true => keep("passport", &bytes(&input["file"])),
                _ => {}
            }
        }
    }
}

fn documents() {
    lines(
        "credential",
        "\n/issuer/name \"x\"\n/credentialSubject\n/evidence/0 {}\n/validFrom \"2026-01-01T00:00:00Z\"",
    );
    let (_, _, trace) = world::export::exported();
    let keys = trace.as_object().unwrap().keys();
    keys.for_each(|k| keep("trace", format!("/{k} null\n/{k}/0\n/{k}/0/leaf 1").as_bytes()));
    keep("settings", SETTINGS.as_bytes());
    lines("api", API);
}

const SETTINGS: &str = r#"version = 1
member = "cell-1"
site = "https://127.0.0.1:8443"

[cell]
dir = "data"
"#;

const API: &str = r#"{"id":"4444444444444444444444444444444444444444444444444444444444444444","index":3,"logged_at":5}
{"cell":"cell-1","part":"p","program":"scan","parameters":{"speed":50},"minutes":5}
{"hold":{"reason":"oil"}}
{"run-ended":{"lost":0,"order":"4444444444444444444444444444444444444444444444444444444444444444","outcome":"finished","reason":"","samples":1,"viewpoints":1}}
{"who":"ada","what":"a run","rule":"hold","reason":"a hold","accepted":"none"}"#;

const STORY: &str = r#"ivan 10 {"propose":{"program":{"cells":["cell-1"],"id":"scan","parameters":{"speed":{"default":50,"max":100,"min":10,"title":"Speed","unit":"mm/s"}},"sha256":"4444444444444444444444444444444444444444444444444444444444444444","title":"Scan"}}}
olga 10 {"approve":{"proposal":"@1"}}
ada 10 {"order":{"cell":"cell-1","max_lag":8,"not_after":"+300000","not_before":"+0","parameters":{"speed":50},"part":"spindle-7","program":{"id":"scan","sha256":"4444444444444444444444444444444444444444444444444444444444444444"}}}
cell-1 10 {"run-started":{"checkpoint":1,"order":"@3"}}
cell-1 10 {"recording":{"bytes":100,"commitment":"4444444444444444444444444444444444444444444444444444444444444444","manifest":"4444444444444444444444444444444444444444444444444444444444444444","order":"@3","root":"bafy1","stream":"camera"}}
cell-1 10 {"run-ended":{"lost":0,"order":"@3","outcome":"finished","reason":"","samples":1,"viewpoints":1}}
olga 10 {"grant":{"budget":100,"not_after":"+3600000","not_before":"+0","order":"@3","processor":"vision","purpose":"inspection","recordings":["bafy1"],"terms":[]}}
site 10 {"read":{"bytes":60,"cid":"bafy1","grant":"@7","root":"bafy1"}}
vision 10 {"report":{"analyses":[{"details":{},"name":"identity","program":"4444444444444444444444444444444444444444444444444444444444444444","reference":null,"score":1.0,"threshold":0.5,"verdict":"enrolled"}],"grant":"@7","inputs":["bafy1"],"order":"@3","part":"spindle-7","pictures":[],"software":"4444444444444444444444444444444444444444444444444444444444444444"}}
olga 10 {"revoke-grant":{"grant":"@7","reason":"done"}}"#;

const RULES: &str = r#"audit 10 {"hold":{"cell":"cell-1","reason":"oil"}}
olga 10 {"release":{"hold":"@1"}}
omar 10 {"release":{"hold":"@1"}}
olga 10 {"propose":{"roles":{"member":"ada","roles":["auditor"]}}}
olga 10 {"approve":{"proposal":"@4"}}
omar 10 {"approve":{"proposal":"@4"}}
olga 10 {"revoke-key":{"key":"~ivan","member":"ivan","reason":"lost"}}
olga 10 {"propose":{"member":{"id":"eve","keys":[{"ed25519":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}],"name":"Eve","roles":["operator"]}}}
omar 10 {"approve":{"proposal":"@8"}}
ivan 10 {"propose":{"template":{"id":"part","sha256":"4444444444444444444444444444444444444444444444444444444444444444","title":"A","view":1}}}
olga 10 {"propose":{"policy":{"text":"permit(principal,action,resource);"}}}
olga 10 {"shred":{"reason":"x","root":"bafy1"}}
site 10 {"refused":{"gate":"motion","refusal":{"accepted":"none","reason":"r","rule":"hold","what":"a run","who":"ada"},"request":"@1"}}"#;

fn stories() {
    keep("fold", STORY.as_bytes());
    keep("fold", RULES.as_bytes());
    lines("fold", STORY);
    keep("fold", b"{}");
    for text in policy::DEFAULT.split(";\n") {
        keep("policy", format!("{text};").as_bytes());
    }
    lines(
        "policy",
        "permit(principal,action,resource);\nforbid(principal,action,resource) when { context.userVerified };\npermit(principal in Role::\"operator\", action == Action::\"order.place\", resource is Cell) unless { (1 + 2) * -3 < 4 || [1].contains(2) };",
    );
}

fn robots() {
    keep("rtde", b"\0\x04V\x01");
    keep("rtde", b"\0\x13v\0\0\0\x05\0\0\0\x0c\0\0\0\x03\0\0\0\0\0\x04S\x01");
    keep("rtde", b"\0\x14O\x01DOUBLE,VECTOR6D");
    keep("rtde", b"\0\x0cM\x02hi\x02ur\x01");
    keep("rtde", &[&b"\0\x0cU\x01"[..], &1.5f64.to_be_bytes()].concat());
    let id = |text: &str| text.parse().unwrap();
    let about = About {
        recording: id("rec-1"),
        run: id("run-1"),
        order: sha256(b"o"),
        cell: id("cell-1"),
        robot: id("robot"),
    };
    let mut states = StateRecorder::start(Vec::new(), &about).unwrap();
    for n in 0..2 {
        let six = [n as f64; 6];
        states
            .write(&StateSample {
                host_ns: 1000 + n,
                controller_ns: n,
                session: 1,
                q: six,
                qd: six,
                current: six,
                tcp_pose: six,
                tcp_force: six,
                robot_mode: 7,
                safety: 1,
                runtime: 2,
                robot_bits: 3,
                safety_bits: 1,
                digital_in: n,
                digital_out: n,
                speed_scaling: 1.0,
                viewpoint: 0,
                token: 5,
                outcome: 0,
                extra: vec![1.0],
            })
            .unwrap();
    }
    keep("mcap", &states.finish().unwrap());
    let mut images = ImageRecorder::start(Vec::new(), &about).unwrap();
    let image =
        Image { bytes: vec![1, 2, 3], encoding: Encoding::Jpeg, width: 4, height: 5, host_ns: 6 };
    let message = ImageMessage {
        camera: id("top"),
        part: id("p"),
        viewpoint: 1,
        pose: [0.0; 6],
        seq: 2,
        controller_ns: 3,
        image,
    };
    images.write(&message).unwrap();
    keep("mcap", &images.finish().unwrap());
}

fn sealed() {
    use vault::{
        address::raw_cid,
        car::CarWriter,
        dag::{Link, Node},
    };
    let blocks: [&[u8]; 3] = [b"one", b"", &[7; 300]];
    let mut car = CarWriter::new(Vec::new(), &raw_cid(b"one")).unwrap();
    blocks.iter().for_each(|b| car.block(&raw_cid(b), b).unwrap());
    keep("car", &car.finish().unwrap());
    let links =
        blocks.map(|b| Link { cid: raw_cid(b), size: b.len() as u64, total: b.len() as u64 });
    keep("node", &Node { links: links.to_vec() }.encode());
    keep("node", &Node { links: links[..1].to_vec() }.encode());
    keep("seal", b"");
    keep("seal", &[9; 200]);
    keep("pack", b"\0\x03one\x04\x04junk\0\x03two\x06\0\0\x05three\x01\x03bad\x02\x02ab");
    keep("pack", b"\x05\x2d\0");
    for text in [
        "/ipfs/ROOT?format=car\nAccept: application/vnd.ipld.car; version=1; q=0.5",
        "/ipfs/LEAF?format=raw\nRange: bytes=0-10\nIf-None-Match: \"x\"",
        "/ipfs/ROOT?format=car&dag-scope=entity&entity-bytes=-10:*&car-dups=y",
        "/ipfs/LEAF\nAccept: application/vnd.ipld.raw\nRange: bytes=-5\nIf-Range: \"y\"",
        "/ipfs/bafkqaaa?format=raw",
        "/routing/v1/providers/ROOT",
        "/ipfs/ROOT/a/b\ninterlock-grant: 4444444444444444444444444444444444444444444444444444444444444444",
    ] {
        keep("gateway", text.as_bytes());
    }
    let client = br#"{"type":"webauthn.get","challenge":"@","origin":"https://plant.example","crossOrigin":false}"#;
    keep("assertion", &[b"\x06@\x05\0\0\0\0", &client[..]].concat());
    keep("assertion", br#"{"authenticator_data":"AA","client_data":"e30","signature":"AA"}"#);
}

fn texts() {
    lines(
        "text",
        "cell-1\n4444444444444444444444444444444444444444444444444444444444444444\nhttps://plant.example:8443\nhttp://localhost:80\nbafkreieq5jui4j25lacwomsqgjeswwl3y5zcdrresptwgmfylxo2depppq\nbafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi\ntile/0/x001/234.p/17\ntile/entries/000\nAQID",
    );
    keep("text", &vault::address::raw_cid(b"x").to_bytes());
    keep("bundle", b"\0\x03one\0\0\0\x05three");
    keep("merkle", &[5, 3, 1, 0]);
    keep("merkle", &[&[200, 77, 2, 2][..], &[7; 80]].concat());
    keep("merkle", br#"{"size":1,"nodes":["4444444444444444444444444444444444444444444444444444444444444444"]}"#);
    keep("recording", &[&[0, 2, 1, 1, 0, 0, 0, 0][..], &[1, 1, 2, 2, 0, 0, 0, 0]].concat());
    let checkpoints =
        proof::recording::Checkpoints::new("rec-1".parse().unwrap(), sha256(b"o"), base::Millis(5));
    let last = checkpoints.finish(world::key("cell-1").as_ref()).unwrap();
    keep("recording", &[last.to_bytes().unwrap(), b"\n".to_vec()].concat());
}
