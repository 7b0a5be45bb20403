//! A plant whose log, witness and vault get new keys while it runs: real site, real
//! witness, the command line as people give it, and readers who have slept through it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/mod.rs"]
mod common;

use common::processes::{House, program};
use ledger::{FollowError, Follower, FollowerState, LogSource};
use node::{AtCheckpoint, Client, Node, fresh_nonce, keys::FromStart, now};
use plant::{Body, body::Hold};
use proof::{
    keys::SecretKey,
    log::{LogSigner, SignedCheckpoint, VKey, append_signature_lines, cosign},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};
use transport::client::AnswerError;

/// How long one step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

impl House {
    fn folder(&self, member: &str) -> PathBuf {
        self.dir.path().join(member)
    }

    /// As a member, with a rule that refuses.
    #[track_caller]
    fn refused(&self, member: &str, arguments: &[&str], words: &str) {
        self.fails(member, arguments, 3, words);
    }

    #[track_caller]
    fn witness(&self, arguments: &[&str]) -> String {
        let dir = self.folder("witness-1");
        let mut command = Command::new(program("interlock-witness"));
        let output = command.arg(arguments[0]).arg("--dir").arg(dir).args(&arguments[1..]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn node(&self, member: &str) -> (Node, Client) {
        let node = Node::load(&self.folder(member)).unwrap();
        let client = Client::of(&node).unwrap();
        (node, client)
    }

    /// Places a hold and waits until it is witnessed.
    async fn witnessed(&self, reason: &str) -> u64 {
        let (node, client) = self.node("operator");
        let body = Body::Hold(Hold { cell: None, reason: reason.into() });
        let entry = node.sign(&body, now(), fresh_nonce().unwrap()).unwrap();
        let done = async {
            loop {
                match client.submit_witnessed(&entry).await {
                    Ok(submitted) => return submitted.index,
                    // The site or its witness is on its way up.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, done).await.expect("it is witnessed")
    }

    fn proposed(&self, arguments: &[&str]) -> String {
        let proposed = self.by("officer-1", arguments);
        proposed["id"].as_str().unwrap().to_owned()
    }
}

/// A key of the vault as officers compare it.
fn key_and_digest(key: &str) -> String {
    let bytes: base::Bytes = serde_json::from_value(key.into()).unwrap();
    format!("{key} SHA-256 {}", base::sha256(&bytes.0))
}

fn secret(path: &Path) -> Arc<SecretKey> {
    Arc::new(SecretKey::from_seed(&node::config::read_key(path).unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_plant_gets_new_keys() {
    let mut house = House::made();
    house.start("witness-1");
    house.start("site");
    house.witnessed("before").await;
    let (auditor, client) = house.node("auditor");
    let anchors = auditor.anchors.clone();
    let old_note = client.checkpoint().await.unwrap();
    let old_witness = secret(&house.folder("witness-1/sign.key"));

    // Who holds a key makes the new one beside the old; nothing is in force yet.
    let log = house.by("site", &["keys", "make", "log"])["public"].as_str().unwrap().to_owned();
    let vault = house.by("site", &["keys", "make", "vault"])["public"].as_str().unwrap().to_owned();
    let witness = house.witness(&["next"]);
    house.witness(&["trust", &log]);
    house.again("witness-1");
    house.witnessed("prepared").await;
    let stranger = LogSigner::new(anchors.log.origin(), secret(&house.folder("operator/sign.key")));
    let stranger = stranger.unwrap().vkey().to_string();
    let not_held = ["keys", "rotate", "--log", &stranger];
    house.refused("officer-1", &not_held, "does not hold the log key");
    let nobody =
        VKey::new("plant.example/nobody", witness.parse::<VKey>().unwrap().kind(), [9; 32]);
    let nobody = nobody.unwrap().to_string();
    let unreached = ["keys", "rotate", "--witness", &nobody, "--quorum", "2"];
    house.refused("officer-1", &unreached, "addresses of 1 of the witnesses");
    house.refused("operator", &["keys", "rotate", "--log", &log], "may not");

    let rotate = ["keys", "rotate", "--log", &log, "--witness", &witness, "--vault", &vault];
    let proposal = house.proposed(&rotate);
    let known = house.by("auditor", &["keys", "list"]);
    assert_eq!(known["rotations"], serde_json::json!([]), "one officer is not enough");
    let shown = house.shown("officer-2", &proposal);
    let (was_log, was_witness) = (anchors.log.log_key(), &anchors.log.witnesses()[0]);
    let old_vault = known["now"]["vault"].as_str().unwrap();
    for line in [
        format!("removed  log key {was_log}"),
        format!("added    log key {log}"),
        format!("removed  witness {was_witness}"),
        format!("added    witness {witness}"),
        format!("removed  vault key {}", key_and_digest(old_vault)),
        format!("added    vault key {}", key_and_digest(&vault)),
    ] {
        assert!(shown.contains(&line), "`{line}` is not in: {shown}");
    }
    let approved = house.by("officer-2", &["change", "approve", "--yes", &proposal]);
    let at = approved["index"].as_u64().unwrap();
    let known = house.by("auditor", &["keys", "list"]);
    assert_eq!(known["now"]["log"]["log_key"], log.as_str());
    assert_eq!(known["now"]["log"]["witnesses"], serde_json::json!([witness]));
    assert_eq!(known["now"]["vault"], vault.as_str());
    assert_eq!(known["rotations"][0]["index"], at);
    let last = house.witnessed("after").await;

    // The batch of the second signature was signed and cosigned by the new keys already.
    let new_key: VKey = log.parse().unwrap();
    let new_note = client.checkpoint().await.unwrap();
    let origin = anchors.log.origin();
    SignedCheckpoint::verify(origin, &new_key, &new_note).unwrap();
    assert!(SignedCheckpoint::verify(origin, anchors.log.log_key(), &new_note).is_err());

    // A reader who slept through it, with the anchors of the beginning.
    let follower = || {
        let keys = FromStart(anchors.clone());
        Follower::new(keys, FollowerState::default(), 1 << 26)
    };
    let leaves = follower().poll(&client).await.unwrap();
    assert_eq!(leaves.len() as u64, last + 1);
    for arguments in [&["audit", "replay"][..], &["doctor"]] {
        house.by("auditor", arguments);
    }
    // Whoever holds the retired keys shows the whole log, or the log without the rotation.
    let retired = LogSigner::new(origin, secret(&house.folder("site/log.key"))).unwrap();
    let name = anchors.log.witnesses()[0].name().to_owned();
    let mut tree = proof::log::merkle::Frontier::new();
    leaves.iter().for_each(|leaf| tree.push(leaf.included.leaf_hash()));
    let signed = retired.sign(tree.size(), tree.root());
    let line = cosign(&name, &*old_witness, signed.checkpoint(), now().0 / 1000).unwrap();
    let note = append_signature_lines(signed.note(), line.as_bytes());
    let stolen = AtCheckpoint { note, client: client.clone() };
    let refused = follower().poll(&stolen).await.unwrap_err();
    assert!(matches!(refused, FollowError::Retired(_)), "{refused}");
    // An older checkpoint counts under the keys of its time.
    let older = AtCheckpoint { note: old_note, client: client.clone() };
    assert!(follower().poll(&older).await.unwrap().len() < leaves.len());

    // Killed at any moment, the site goes on with the new key; the witness drops its old one.
    house.again("site");
    house.witness(&["switch"]);
    house.again("witness-1");
    house.witnessed("again").await;
    house.by("auditor", &["audit", "replay"]);
    house.refused("officer-1", &["keys", "rotate", "--log", &retired.vkey().to_string()], "before");
    house.kill("site");
    let ledger = house.folder("site/data/ledger");
    let file = house.dir.path().join("anchors.json");
    let (ledger, file) = (ledger.to_str().unwrap(), file.to_str().unwrap());
    for arguments in [
        &["ledger", "check", ledger, "--anchors", file][..],
        &["audit", "replay", "--ledger", ledger, "--anchors", file],
    ] {
        house.call(arguments);
    }
    // Without the key in force the site does not start with another.
    let key = std::fs::read_dir(house.folder("site")).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        let file = path.file_name()?.to_str()?;
        (file.starts_with("log.") && file != "log.key" && file.ends_with(".key")).then_some(path)
    });
    std::fs::rename(key.unwrap(), house.dir.path().join("lost")).unwrap();
    let failed = house.run(&["serve", house.folder("site").to_str().unwrap()]);
    assert!(!failed.status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_of_witnesses_is_enough_and_fewer_are_not() {
    let mut house = House::made_with(&["--witnesses", "3"]);
    for witness in ["witness-1", "witness-2", "witness-3"] {
        house.start(witness);
    }
    house.start("site");
    house.witnessed("all are there").await;
    let proposal = house.proposed(&["keys", "rotate", "--quorum", "2"]);
    house.by("officer-2", &["change", "approve", "--yes", &proposal]);
    let log = &house.by("auditor", &["keys", "list"])["now"]["log"];
    assert_eq!((&log["quorum"], log["witnesses"].as_array().unwrap().len()), (&2.into(), 3));

    house.kill("witness-2");
    let last = house.witnessed("two are left").await;
    house.by("auditor", &["audit", "replay"]);

    house.kill("witness-3");
    let (node, client) = house.node("operator");
    let alone = Body::Hold(Hold { cell: None, reason: "one is left".into() });
    let entry = node.sign(&alone, now(), fresh_nonce().unwrap()).unwrap();
    let said = client.submit_witnessed(&entry).await.unwrap_err();
    let AnswerError::Problem(problem) = &said else { panic!("{said}") };
    assert_eq!(problem.status, 504, "{said}");
    assert!(problem.detail.contains("logged and not witnessed yet"), "{said}");
    // It is logged, and nobody who looks for himself is shown it.
    let again = client.submit(&entry).await.unwrap();
    assert_eq!((again.known, again.index), (true, last + 1));
    let follower = || Follower::new(FromStart(node.anchors.clone()), Default::default(), 1 << 26);
    assert_eq!(follower().poll(&client).await.unwrap().len() as u64, last + 1);

    house.start("witness-3");
    house.witnessed("two again").await;
    assert!(follower().poll(&client).await.unwrap().len() as u64 > last + 2);
}
