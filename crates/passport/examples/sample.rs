//! Writes the three files of a sample passport: `sample OUT VERDICT [PICTURE…]`.
//!
//! `VERDICT` is `passed`, `failed`, `undetermined` or `enrolled`.

// A test may write files; the crate may not.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../tests/common/mod.rs"]
mod common;

use plant::body::Verdict;
use std::{env, fs, path::Path};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [out, verdict, pictures @ ..] = arguments.as_slice() else {
        eprintln!("sample OUT VERDICT [PICTURE…]");
        return;
    };
    let verdicts: &[Verdict] = match verdict.as_str() {
        "passed" => &[Verdict::Confirmed, Verdict::Pass],
        "failed" => &[Verdict::Confirmed, Verdict::Fail],
        "undetermined" => &[Verdict::Undetermined],
        _ => &[Verdict::Enrolled],
    };
    let mut world = common::World::new();
    if verdict != "enrolled" {
        world.scan("spindle-7", &[Verdict::Enrolled]);
    }
    for path in pictures {
        let path = Path::new(path);
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        world.pictures.push((name, fs::read(path).unwrap()));
    }
    let scan = world.scan("spindle-7", verdicts);
    let passport = passport::issue(world.draft(&scan.report), &*common::key("site")).unwrap();
    let out = Path::new(out);
    fs::create_dir_all(out).unwrap();
    let name = passport.facts().part.to_string();
    let html = passport.to_html(&world.picture_bytes()).unwrap();
    fs::write(out.join(format!("{name}.vc.jwt")), passport.jwt()).unwrap();
    fs::write(out.join(format!("{name}.json")), passport.to_json().unwrap()).unwrap();
    fs::write(out.join(format!("{name}.html")), html).unwrap();
    let did: passport::DidWeb = common::DID.parse().unwrap();
    let public = proof::keys::Signer::public(&*common::key("site"));
    let jwks = passport::jwks(&[(did.key_id(&common::id("site")), public)]);
    fs::write(out.join("jwks.json"), jwks.to_string()).unwrap();
}
