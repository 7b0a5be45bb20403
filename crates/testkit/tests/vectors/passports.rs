//! Passports, from before and after a rotation too.

use super::common::*;
use crate::plant_in_memory::{self as fixture, id, key};
use base::{Bytes, sha256};
use plant::{Body, body::*};
use proof::keys::{PublicKey, Signer};
use serde_json::{Value, json};

pub fn vectors(person: &Person) -> Vec<Value> {
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
