//! Passports, exports of the trace, settings, and the HTTP API's bodies.

#[path = "../../../passport/tests/common/mod.rs"]
mod world;

use base::to_canonical;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use passport::{Anchors, verify, verify_file, verify_trace};
use proof::keys::Signer;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::sync::LazyLock;

/// Any of a passport's files.
pub fn passport(bytes: &[u8]) {
    let pin = &ISSUED.anchors;
    let found = verify_file(bytes, None);
    if let Ok((form, verified)) = &found {
        let again = verify(verified.jwt(), None).expect("what was verified verifies again");
        assert_eq!(again.digest(), verified.digest(), "{form:?}");
        assert!(verify_file(again.to_json().unwrap().as_bytes(), None).is_ok());
    }
    assert!(verify_file(bytes, Some(pin)).is_err() || found.is_ok());
}

struct Issued {
    anchors: Anchors,
    header: String,
    payload: Value,
    trace: Value,
}

static ISSUED: LazyLock<Issued> = LazyLock::new(|| {
    let (world, _, trace) = world::export::exported();
    let (issued, scan) = world::sample();
    let draft = issued.draft(&scan.report);
    let site = world::key("site");
    let verified = passport::issue(draft, site.as_ref()).unwrap();
    let (header, rest) = verified.jwt().split_once('.').unwrap();
    let (payload, _) = rest.split_once('.').unwrap();
    let payload = serde_json::from_slice(&B64.decode(payload).unwrap()).unwrap();
    Issued { anchors: world.anchors(), header: header.into(), payload, trace }
});

/// Edits of a value, one a line: `POINTER JSON`, or `POINTER` alone to remove. True
/// when something changed.
fn edit(value: &mut Value, edits: &[u8]) -> bool {
    let before = value.clone();
    for line in String::from_utf8_lossy(edits).split('\n').take(8) {
        let (pointer, new) = line.split_once(' ').unwrap_or((line, ""));
        match (value.pointer_mut(pointer), serde_json::from_str(new)) {
            (Some(place), Ok(new)) => *place = new,
            (Some(_), Err(_)) => remove(value, pointer),
            _ => {}
        }
    }
    *value != before
}

fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else {
        return;
    };
    match value.pointer_mut(parent) {
        Some(Value::Object(map)) => drop(map.remove(name)),
        Some(Value::Array(items)) => {
            if let Some(at) = name.parse().ok().filter(|at| *at < items.len()) {
                items.remove(at);
            }
        }
        _ => {}
    }
}

/// A credential that the fuzzer edited and the site signed anew: it says something
/// else than its evidence, so it is refused.
pub fn credential(bytes: &[u8]) {
    let Issued { header, payload, .. } = &*ISSUED;
    let mut payload = payload.clone();
    let changed = edit(&mut payload, bytes);
    let canonical = serde_json_bytes(&payload);
    let signed = format!("{header}.{}", B64.encode(canonical));
    let signature = B64.encode(world::key("site").sign(signed.as_bytes()));
    let verified = verify(&format!("{signed}.{signature}"), None);
    if !changed {
        verified.expect("the credential itself");
    } else if let Ok(verified) = verified {
        // Evidence may be cut or extended and still prove; words may not differ from it.
        assert_eq!(verify(verified.jwt(), None).unwrap().facts(), verified.facts());
    }
}

fn serde_json_bytes(value: &Value) -> Vec<u8> {
    // Canonical JSON of any size: the limit of 64 KiB is one of entries.
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
            let pair = |k: &&String| {
                [&to_canonical(k).unwrap_or_default()[..], b":", &serde_json_bytes(&map[*k])]
                    .concat()
            };
            [&b"{"[..], &keys.iter().map(pair).collect::<Vec<_>>().join(&b','), b"}"].concat()
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(serde_json_bytes).collect();
            [&b"["[..], &items.join(&b','), b"]"].concat()
        }
        small => to_canonical(small).unwrap_or_default(),
    }
}

/// An edited export of the trace, and any bytes for one.
pub fn trace(bytes: &[u8]) {
    let _ = verify_trace(bytes, None);
    let Issued { trace, anchors, .. } = &*ISSUED;
    let mut trace = trace.clone();
    let changed = edit(&mut trace, bytes);
    match verify_trace(&serde_json::to_vec(&trace).unwrap(), Some(anchors)) {
        Ok(read) => assert!(changed || read.holds(), "{read:?}"),
        Err(_) => assert!(changed),
    }
}

/// A node's settings and anchors.
pub fn settings(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(config) = toml::from_str::<node::Config>(text) {
        let again = toml::to_string(&config).expect("settings are written");
        toml::from_str::<node::Config>(&again).expect("what was written is read");
    }
    json::<node::Anchors>(bytes);
}

/// Bodies of the HTTP API.
pub fn api(bytes: &[u8]) {
    json::<api::Submitted>(bytes);
    json::<api::OrderDraft>(bytes);
    json::<api::Logged>(bytes);
    json::<api::SealedKey>(bytes);
    json::<api::Delivery>(bytes);
    json::<api::Dossier>(bytes);
    json::<api::console::SignIn>(bytes);
    json::<base::Refusal>(bytes);
    json::<plant::Body>(bytes);
}

fn json<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(bytes) {
        let once = serde_json::to_vec(&value).unwrap();
        let again = serde_json::from_slice::<T>(&once).expect("what was written is read");
        assert_eq!(serde_json::to_vec(&again).unwrap(), once);
    }
}
