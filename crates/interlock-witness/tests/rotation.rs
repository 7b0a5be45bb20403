//! The witness's own key and the log's are replaced by commands, as an operator gives them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use base::Digest;
use proof::keys::{SecretKey, Signer};
use proof::log::*;
use std::path::Path;
use std::process::{Command, Output};
use transport::{Authority, Trust, Validity, write_public, write_secret};

const ORIGIN: &str = "plant.example/ledger";

fn public(seed: u8) -> [u8; 32] {
    SecretKey::from_seed(&[seed; 32]).unwrap().public()
}

fn log(seed: u8) -> VKey {
    VKey::new(ORIGIN, KeyKind::Log, public(seed)).unwrap()
}

/// Makes a witness's folder.
fn folder(dir: &Path) {
    transport::install_crypto_provider();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let validity = Validity::days(base::Millis(now.as_millis() as u64), 2);
    let authority = Authority::new(&"plant".parse().unwrap(), validity).unwrap();
    let hosts = ["127.0.0.1".to_owned()];
    let issued = authority.issue(&"w1".parse().unwrap(), &hosts, validity).unwrap();
    let tls = dir.join("tls");
    std::fs::create_dir_all(&tls).unwrap();
    issued.save(&tls, "node").unwrap();
    write_public(&tls.join("ca.pem"), authority.certificate().as_bytes()).unwrap();
    write_secret(&dir.join("sign.key"), Digest([2; 32]).to_string().as_bytes()).unwrap();
    let config = "version = 1\nmember = \"w1\"\nsite_member = \"site\"\nlisten = \"127.0.0.1:0\"\n";
    write_public(&dir.join("interlock.toml"), config.as_bytes()).unwrap();
    let witness = VKey::new("witness.example/w1", KeyKind::Witness, public(2)).unwrap();
    let policy = LogPolicy::new(ORIGIN, log(1), vec![witness], 1).unwrap();
    let anchors = serde_json::json!({ "site": "plant", "log": policy }).to_string();
    write_public(&dir.join("anchors.json"), anchors.as_bytes()).unwrap();
}

fn call(dir: &Path, command: &str, more: &[&str]) -> Result<String, String> {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_interlock-witness"))
        .arg(command)
        .arg("--dir")
        .arg(dir)
        .args(more)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
    if status.success() { Ok(text(stdout)) } else { Err(text(stderr)) }
}

#[test]
fn keys_are_made_trusted_and_switched() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    folder(dir);
    let check = || call(dir, "run", &["--check"]);
    let first = check().unwrap();
    let next: VKey = call(dir, "next", &[]).unwrap().parse().unwrap();
    assert_eq!((next.name(), next.kind()), ("witness.example/w1", KeyKind::Witness));
    assert_eq!(check().unwrap(), first, "it is the old one until it is switched");
    assert!(call(dir, "next", &[]).is_err(), "a next key is never overwritten");
    call(dir, "switch", &[]).unwrap();
    assert!(check().unwrap().contains(&next.to_string()), "it goes by its new key");
    assert!(!dir.join("sign.next.key").exists());
    assert!(call(dir, "switch", &[]).is_err(), "there is no next key");
    let third: VKey = call(dir, "next", &[]).unwrap().parse().unwrap();
    assert_eq!(third.name(), next.name(), "again and again");

    call(dir, "trust", &[&log(3).to_string()]).unwrap();
    let again = call(dir, "trust", &[&log(3).to_string()]).unwrap_err();
    assert!(again.contains("trusted already"), "{again}");
    let other = VKey::new("other.example/ledger", KeyKind::Log, public(4)).unwrap();
    let refused = call(dir, "trust", &[&other.to_string()]).unwrap_err();
    assert!(refused.contains("no key of the log"), "{refused}");
    assert!(call(dir, "trust", &[&next.to_string()]).is_err(), "a witness's key is no log's");
    assert!(check().is_ok());
}

#[test]
fn roots_of_its_own_plant_take_the_place_of_those_before() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("w1");
    std::fs::create_dir(&home).unwrap();
    folder(&home);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let validity = Validity::days(base::Millis(now.as_millis() as u64), 2);
    let file = |site: &str| {
        let path = dir.path().join(format!("{site}.pem"));
        let made = Authority::new(&site.parse().unwrap(), validity).unwrap();
        write_public(&path, made.certificate().as_bytes()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (new, foreign) = (file("plant"), file("elsewhere"));
    let roots = || Trust::load(&home.join("tls")).unwrap().certificates();
    let first = roots();
    assert!(call(&home, "trust", &[]).is_err(), "a key or a root");
    assert!(call(&home, "trust", &["--authority", &foreign]).is_err());
    assert!(call(&home, "trust", &["--authority", &new, "--authority", &foreign]).is_err());
    assert_eq!(roots(), first);
    let old = home.join("tls/ca.pem").to_str().unwrap().to_owned();
    call(&home, "trust", &["--authority", &old, "--authority", &new]).unwrap();
    assert_eq!((roots().len(), &roots()[0]), (2, &first[0]));
    call(&home, "trust", &["--authority", &new]).unwrap();
    assert!(roots().len() == 1 && roots() != first);
    call(&home, "run", &["--check"]).unwrap();
}
