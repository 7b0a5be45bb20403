//! Passports and traces of a plant whose keys were replaced.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base::Digest;
use common::{DID, World, id, key, sample};
use passport::{DidWeb, did_document, issue, issuer_keys, jwks, verify};
use plant::{
    Body,
    body::{Change, Member, RevokeKey},
};
use proof::keys::{PublicKey, Signer};
use serde_json::Value;

fn print(name: &str) -> Digest {
    PublicKey::of(&*key(name)).fingerprint()
}

/// Gives a member these keys.
fn rotate(world: &mut World, name: &str, keys: &[&str]) {
    let keys = keys.iter().map(|k| PublicKey::of(&*key(k))).collect();
    let member = world.plant.members[&id(name)].member.clone();
    world.change("olga", Change::Member(Member { keys, ..member }));
}

fn revoke(world: &mut World, by: &str, member: &str, key: &str) {
    let body = RevokeKey { key: print(key), member: id(member), reason: "test".into() };
    world.log(by, Body::RevokeKey(body));
}

fn kid(jwt: &str) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
    let header = B64.decode(jwt.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

fn published(world: &World) -> Vec<(String, [u8; 32])> {
    let did: DidWeb = DID.parse().unwrap();
    let keys = issuer_keys(&did, &world.plant);
    let (document, set) = (did_document(&did, &keys), jwks(&keys));
    let ids = |list: &Value, name: &str| -> Vec<String> {
        let one = |v: &Value| v[name].as_str().unwrap().to_owned();
        list.as_array().unwrap().iter().map(one).collect()
    };
    let names: Vec<String> = keys.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(ids(&document["verificationMethod"], "id"), names);
    assert_eq!(ids(&set["keys"], "kid"), names);
    assert_eq!(document["assertionMethod"], serde_json::json!(names));
    keys
}

#[test]
fn a_passport_outlives_the_key_that_signed_it() {
    let (mut world, scan) = sample();
    let old = issue(world.draft(&scan.report), &*key("site")).unwrap();
    assert_eq!(kid(old.jwt()), format!("{DID}#site"), "as it always was");
    assert!(issue(world.draft(&scan.report), &*key("site.2")).is_err(), "it is not enrolled");

    rotate(&mut world, "site", &["site", "site.2"]);
    let new = issue(world.draft(&scan.report), &*key("site.2")).unwrap();
    let later = format!("{DID}#site-{}", &print("site.2").to_string()[..16]);
    assert_eq!(kid(new.jwt()), later);
    revoke(&mut world, "site", "site", "site");
    let newest = issue(world.draft(&scan.report), &*key("site.2")).unwrap();
    assert!(issue(world.draft(&scan.report), &*key("site")).is_err(), "it was given up");
    for jwt in [old.jwt(), new.jwt(), newest.jwt()] {
        verify(jwt, Some(&world.anchors())).unwrap();
    }
    // Whoever has a JOSE library and the DID document finds the key of each.
    let keys = published(&world);
    let public = |name: &str| key(name).public();
    assert_eq!(keys, [(format!("{DID}#site"), public("site")), (later, public("site.2"))]);

    // A stolen key is published no more; passports from before still verify.
    rotate(&mut world, "site", &["site.2", "site.3"]);
    revoke(&mut world, "olga", "site", "site.2");
    let keys = published(&world);
    let left: Vec<_> = keys.iter().map(|(_, key)| *key).collect();
    assert_eq!(left, [public("site"), public("site.3")]);
    verify(new.jwt(), Some(&world.anchors())).unwrap();
    assert!(issue(world.draft(&scan.report), &*key("site.2")).is_err());
}

#[test]
fn a_trace_of_a_run_whose_cell_and_site_have_other_keys_now_verifies() {
    let (mut world, scan) = sample();
    let jwt = world.issue(scan.report);
    rotate(&mut world, "cell-1", &["cell-1", "cell-1.2"]);
    revoke(&mut world, "cell-1", "cell-1", "cell-1");
    rotate(&mut world, "site", &["site.2"]);
    let export = world.export(scan.order, &[(scan.report, jwt)]);
    let trace =
        passport::verify_trace(&serde_json::to_vec(&export).unwrap(), Some(&world.anchors()));
    let trace = trace.unwrap();
    assert!(trace.holds(), "{:?}", trace.checks);
    issue(world.draft(&scan.report), &*key("site.2")).unwrap();
}
