//! One changed bit anywhere in any of the three files is found, and no change of
//! them panics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use passport::{Broken, Verified, issue, verify_file};
use plant::body::Verdict;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Not every byte is tried each time, for each try verifies a passport, a whole
/// one where a readable file's own text is changed. `INTERLOCK_EXHAUSTIVE` in the
/// environment tries each byte. Odd strides give all eight bits their turn.
fn stride(usual: usize) -> usize {
    match std::env::var_os("INTERLOCK_EXHAUSTIVE") {
        Some(_) => 1,
        None => usual,
    }
}

/// The smallest passport: one enrolment, one short picture.
fn small() -> (Verified, Vec<Vec<u8>>) {
    let mut world = World::new();
    world.pictures = vec![("photograph".into(), picture("p"))];
    let scan = world.scan("p", &[Verdict::Enrolled]);
    (issue(world.draft(&scan.report), &*key("site")).unwrap(), world.picture_bytes())
}

/// Flips one bit of every `stride`-th byte, another one from byte to byte, and
/// gives what was said to be broken.
fn flip(file: &str, stride: usize) -> BTreeSet<String> {
    assert!(verify_file(file.as_bytes(), None).is_ok());
    let mut bytes = file.as_bytes().to_vec();
    let mut said = BTreeSet::new();
    for at in (0..bytes.len()).step_by(stride) {
        let mask = 1 << (at / stride % 8);
        bytes[at] ^= mask;
        match verify_file(&bytes, None) {
            Ok((form, _)) => panic!("bit {mask:#x} of byte {at} of {form:?} is not covered"),
            Err(broken) => said.insert(what(&broken)),
        };
        bytes[at] ^= mask;
    }
    said
}

fn what(broken: &Broken) -> String {
    match broken {
        Broken::Unreadable { what, .. }
        | Broken::Untrusted { what, .. }
        | Broken::Proof { what, .. }
        | Broken::Rendering { what, .. } => what.clone(),
    }
}

fn names(said: &BTreeSet<String>, expected: &[&str]) {
    for word in expected {
        let found = said.iter().any(|what| what.contains(word));
        assert!(found, "`{word}` was never said to be broken: {said:?}");
    }
}

#[test]
fn a_flipped_bit_of_the_credential_is_found() {
    let (verified, _) = small();
    let said = flip(verified.jwt(), stride(7));
    names(
        &said,
        &[
            "the credential's header",
            "the credential's payload",
            "the signature of the credential",
            "the log's signature",
            "cosignature of `witness-1`",
            "cosignature of `witness-2`",
            "inclusion of entry 0 (genesis)",
            "(order)",
            "(run-started)",
            "(run-ended)",
            "(recording)",
            "(grant)",
            "(read)",
            "(report)",
            "the manifest of recording",
            "credentialSubject/product",
            "validFrom",
        ],
    );
}

#[test]
fn a_flipped_bit_of_the_json_file_is_found() {
    let (verified, _) = small();
    let said = flip(&verified.to_json().unwrap(), stride(29));
    names(&said, &["the JSON file"]);
}

#[test]
fn a_flipped_bit_of_the_page_is_found() {
    let (verified, pictures) = small();
    let said = flip(&verified.to_html(&pictures).unwrap(), stride(29));
    names(&said, &["the page", "the report's picture `photograph`"]);
}

#[test]
fn a_cut_or_grown_file_is_found() {
    let (verified, pictures) = small();
    let files = [
        verified.jwt().to_owned(),
        verified.to_json().unwrap(),
        verified.to_html(&pictures).unwrap(),
    ];
    for file in &files {
        for at in (0..file.len()).step_by(997).chain([file.len() - 1]) {
            assert!(verify_file(&file.as_bytes()[..at], None).is_err(), "cut at {at}");
        }
        for more in [" ", "\n", "A", "\0", "=", "<!-- -->"] {
            assert!(verify_file(format!("{file}{more}").as_bytes(), None).is_err());
            assert!(verify_file(format!("{more}{file}").as_bytes(), None).is_err());
        }
    }
}

#[test]
fn another_passport_s_pictures_are_refused() {
    let (verified, pictures) = small();
    assert!(verified.to_html::<Vec<u8>>(&[]).is_err());
    assert!(verified.to_html(&[b"another"]).is_err());
    assert!(verified.to_html(&[pictures[0].clone(), pictures[0].clone()]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(verify_file(&bytes, None).is_err());
    }

    #[test]
    fn foreign_json_never_panics(payload in "\\PC{0,200}") {
        let part = |text: &str| base::Bytes(text.as_bytes().to_vec()).to_string();
        let header = r#"{"alg":"EdDSA","cty":"vc","kid":"did:web:a#site","typ":"vc+jwt"}"#;
        let jwt = format!("{}.{}.{}", part(header), part(&payload), part("x"));
        prop_assert!(verify_file(jwt.as_bytes(), None).is_err());
        let json = format!("{{\"evidence\":[{}]}}", payload);
        let jwt = format!("{}.{}.{}", part(header), part(&json), part("x"));
        prop_assert!(verify_file(jwt.as_bytes(), None).is_err());
    }
}
