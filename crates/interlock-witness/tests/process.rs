//! The witness as a process: over mutual TLS, killed and started again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use base::{Digest, Id, Millis};
use proof::keys::{SecretKey, Signer};
use proof::log::*;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use transport::{Authority, Identity, Trust, Validity, client, write_public, write_secret};

const ORIGIN: &str = "plant.example/ledger";

fn key(seed: u8) -> Arc<dyn Signer> {
    Arc::new(SecretKey::from_seed(&[seed; 32]).unwrap())
}

fn log() -> LogSigner {
    LogSigner::new(ORIGIN, key(1)).unwrap()
}

fn policy() -> LogPolicy {
    let witness = VKey::new("witness.example/w1", KeyKind::Witness, key(2).public()).unwrap();
    LogPolicy::new(ORIGIN, log().vkey().clone(), vec![witness], 1).unwrap()
}

/// Makes a folder; returns the identity of a site that may ask.
fn folder(dir: &Path) -> (Trust, Identity) {
    transport::install_crypto_provider();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let validity = Validity::days(Millis(now), 2);
    let site: Id = "plant".parse().unwrap();
    let authority = Authority::new(&site, validity).unwrap();
    let hosts = ["127.0.0.1".to_owned()];
    let witness = authority.issue(&"w1".parse().unwrap(), &hosts, validity).unwrap();
    let asker = authority.issue(&"site".parse().unwrap(), &hosts, validity).unwrap();
    let tls = dir.join("tls");
    std::fs::create_dir_all(&tls).unwrap();
    witness.save(&tls, "node").unwrap();
    asker.save(&tls, "asker").unwrap();
    let member = authority.issue(&"operator".parse().unwrap(), &hosts, validity).unwrap();
    member.save(&tls, "member").unwrap();
    write_public(&tls.join("ca.pem"), authority.certificate().as_bytes()).unwrap();
    write_secret(&dir.join("sign.key"), Digest([2; 32]).to_string().as_bytes()).unwrap();
    let config = "version = 1\nmember = \"w1\"\nsite_member = \"site\"\n\
                  listen = \"127.0.0.1:0\"\nsite = \"unused\"\n";
    write_public(&dir.join("interlock.toml"), config.as_bytes()).unwrap();
    let policy = serde_json::to_string(&policy()).unwrap();
    let anchors = format!("{{\"site\":\"plant\",\"log\":{policy}}}");
    write_public(&dir.join("anchors.json"), anchors.as_bytes()).unwrap();
    (Trust::load(&tls).unwrap(), Identity::load(&tls, "asker").unwrap())
}

fn witness(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_interlock-witness"));
    command.args(["run", "--dir"]).arg(dir).env("RUST_LOG", "info").env("NO_COLOR", "1");
    command
}

/// Starts the witness; returns its address once it listens.
fn start(dir: &Path) -> (Child, String) {
    let mut child = witness(dir).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.find(|l| l.as_ref().unwrap().contains("listens on")).unwrap().unwrap();
    // The rest is read too, so that the pipe never fills.
    std::thread::spawn(move || lines.for_each(drop));
    let address = line.split("listens on ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    (child, address)
}

fn body(leaves: &[&[u8]], old: u64, proof: Vec<Digest>) -> (SignedCheckpoint, Vec<u8>) {
    let mut frontier = merkle::Frontier::new();
    leaves.iter().for_each(|leaf| frontier.push(merkle::leaf_hash(leaf)));
    let signed = log().sign(frontier.size(), frontier.root());
    let note = signed.note().to_vec();
    (signed, AddCheckpoint { old, proof, note }.to_body())
}

#[tokio::test]
async fn a_killed_witness_remembers() {
    let dir = tempfile::tempdir().unwrap();
    let (trust, asker) = folder(dir.path());
    let server: Id = "w1".parse().unwrap();
    let http = client::connect(&trust, Some(&asker), Some(&server)).unwrap();
    let stranger = client::connect(&trust, None, Some(&server)).unwrap();
    let b = merkle::leaf_hash(b"b");

    let (mut child, address) = start(dir.path());
    let url = format!("https://{address}/add-checkpoint");
    let (signed, first) = body(&[b"a"], 0, vec![]);
    assert!(stranger.post(&url).body(first.clone()).send().await.is_err(), "no certificate");
    let member = Identity::load(&dir.path().join("tls"), "member").unwrap();
    let member = client::connect(&trust, Some(&member), Some(&server)).unwrap();
    for body in [first.clone(), vec![b'x'; 1 << 10]] {
        let answer = member.post(&url).body(body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 403, "another than the site");
        assert!(answer.text().await.unwrap().contains("`site` alone"));
    }
    let answer = http.post(&url).body(first).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let line = answer.bytes().await.unwrap();
    let note = append_signature_lines(signed.note(), &line);
    assert_eq!(policy().verify_checkpoint(&note).unwrap().size(), 1);
    child.kill().unwrap();
    child.wait().unwrap();

    let (mut child, address) = start(dir.path());
    let url = format!("https://{address}/add-checkpoint");
    let (_, fork) = body(&[b"x"], 0, vec![]);
    let answer = http.post(&url).body(fork).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 409);
    assert_eq!(answer.text().await.unwrap(), "1\n");
    let (_, fork) = body(&[b"x", b"b"], 1, vec![b]);
    assert_eq!(http.post(&url).body(fork).send().await.unwrap().status().as_u16(), 422);
    let (_, next) = body(&[b"a", b"b"], 1, vec![b]);
    assert_eq!(http.post(&url).body(next).send().await.unwrap().status().as_u16(), 200);
    child.kill().unwrap();
    child.wait().unwrap();
}

fn run(mut command: Command) -> Output {
    command.output().unwrap()
}

#[test]
fn check_says_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path());
    let check = || {
        let mut command = witness(dir.path());
        command.arg("--check");
        let output = run(command);
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let (sound, text) = check();
    assert!(sound && text.contains("witness.example/w1+"), "{text}");
    let path = dir.path().join("sign.key");
    std::fs::remove_file(&path).unwrap();
    write_secret(&path, Digest([3; 32]).to_string().as_bytes()).unwrap();
    let (sound, text) = check();
    assert!(!sound && text.contains("none of the witnesses' keys"), "{text}");
    std::fs::write(&path, "secret").unwrap();
    let (sound, text) = check();
    assert!(!sound && text.contains("64 lower-case hexadecimal digits"), "{text}");
    let config = dir.path().join("interlock.toml");
    std::fs::write(&config, "version = 1\nmember = \"w1\"\nsite_member = \"site\"\n").unwrap();
    let (sound, text) = check();
    assert!(!sound && text.contains("no `listen` address"), "{text}");
}
