//! Keys of a running plant at the command line: replaced, stolen, lost. The site is a
//! process, and so is every command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base::Digest;
use common::{Plant, house::program};
use plant::{Body, body::Change};
use serde_json::Value;
use std::{collections::BTreeMap, process::Command, time::Duration};

/// Runs `interlock --json`; its exit code and what it printed.
async fn call(arguments: &[&str]) -> (i32, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_interlock"));
    command.arg("--json").args(arguments).stdin(std::process::Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = serde_json::from_str(&text)
        .unwrap_or_else(|_| format!("{text}{}", String::from_utf8_lossy(&output.stderr)).into());
    (output.status.code().unwrap(), said)
}

struct Hall(Plant);

impl Hall {
    async fn open() -> Self {
        let hall = Self(Plant::start(&[]).await);
        let change = Body::Propose(Change::Program(program(&["cell-1"])));
        let proposal = hall.0.state_by_file("integrator", &change).await.id;
        hall.approve("officer-2", proposal).await;
        hall
    }

    fn dir(&self, member: &str) -> String {
        self.0.folder(member).display().to_string()
    }

    async fn try_by(&self, member: &str, arguments: &[&str]) -> (i32, Value) {
        let dir = self.dir(member);
        call(&[&["--dir", &dir], arguments].concat()).await
    }

    async fn by(&self, member: &str, arguments: &[&str]) -> Value {
        let (code, said) = self.try_by(member, arguments).await;
        assert_eq!(code, 0, "{member} {arguments:?}: {said}");
        said
    }

    async fn approve(&self, officer: &str, proposal: Digest) {
        self.by(officer, &["change", "approve", "--yes", &proposal.to_string()]).await;
    }

    async fn order(&self, part: &str) -> (i32, Value) {
        let sign = ["order", "sign", "--cell", "cell-1", "--program", "scan", "--yes", "--part"];
        self.try_by("operator", &[&sign[..], &[part]].concat()).await
    }

    /// What `audit key` finds, by the site's files alone.
    async fn signed(&self, more: &[&str]) -> Value {
        let ledger = self.dir("site/data/ledger");
        let anchors = self.dir("anchors.json");
        let source = ["--ledger", ledger.as_str(), "--anchors", anchors.as_str()];
        let (code, said) = call(&[&["audit", "key"], more, &source[..]].concat()).await;
        assert_eq!(code, 0, "{said}");
        said
    }

    async fn proposed(&self, arguments: &[&str]) -> Digest {
        self.by("officer-1", arguments).await["id"].as_str().unwrap().parse().unwrap()
    }

    async fn members(&self) -> Value {
        self.0.machine("auditor").1.get("/state/members").await.unwrap()
    }

    /// Waits until the site has done something; bounded, and nothing rests on how long.
    async fn until(&self, what: &str, mut done: impl AsyncFnMut() -> bool) {
        let wait = async {
            while !done().await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect(what);
    }
}

fn words(answer: &Value) -> Vec<&str> {
    let entries = answer["entries"].as_array().unwrap();
    entries.iter().map(|e| e["word"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stolen_key_did_is_listed_and_its_owner_gets_another() {
    let hall = Hall::open().await;
    // The thief has a copy of the operator's folder.
    for part in ["part-1", "part-2"] {
        assert_eq!(hall.order(part).await.0, 0, "{part}");
    }
    hall.by("officer-1", &["member", "revoke", "operator", "--all", "--reason", "stolen"]).await;
    let (code, said) = hall.order("part-3").await;
    assert_eq!((code, &said["refusal"]["rule"]), (3, &"enrolment".into()), "{said}");

    let answer = hall.signed(&["operator"]).await;
    assert_eq!(words(&answer), ["order", "order"], "{answer}");
    let part = |at: usize| answer["entries"][at]["words"].as_str().unwrap().to_owned();
    assert!(part(0).contains("part-1") && part(1).contains("part-2"), "{answer}");
    assert_eq!(answer["entries"][0]["came"][0], "no run was started from it");
    let key = &answer["keys"][0];
    assert_eq!((&key["from"], &key["end"][1]), (&0.into(), &"revoked".into()), "{answer}");
    let print = key["key"].as_str().unwrap().to_owned();
    // Over the network it is the same, and within a time it is what fell into it.
    let live = hall.by("auditor", &["audit", "key", "operator", "--key", &print[..12]]).await;
    assert_eq!(live["entries"], answer["entries"]);
    let second = answer["entries"][1]["logged_at"].as_u64().unwrap();
    let second = base::Millis(second).to_string();
    assert_eq!(words(&hall.signed(&["operator", "--since", &second]).await), ["order"]);
    let early = hall.signed(&["operator", "--until", &second]).await;
    assert!(early["entries"][0]["words"].as_str().unwrap().contains("part-1"), "{early}");
    assert!(words(&hall.signed(&["operator", "--until", "2026-01-01"]).await).is_empty());
    // An officer's entries tell which of them changed something.
    let officer = hall.signed(&["officer-2"]).await;
    assert_eq!(words(&officer), ["approve"]);
    assert_eq!(officer["entries"][0]["came"][0], "with it the change took effect");
    let revoked = hall.signed(&["officer-1"]).await;
    assert_eq!(words(&revoked)[0], "genesis");
    assert!(words(&revoked)[1..].iter().all(|word| *word == "revoke-key"), "{revoked}");

    // The revoked key comes back in no spelling; a fresh one is enrolled.
    let own = hall.by("operator", &["member", "show"]).await;
    let file = hall.0.folder("operator").join("again.json");
    let with = |own: &Value, roles: &[&str]| {
        let mut own = own.clone();
        own["roles"] = roles.to_vec().into();
        std::fs::write(&file, own.to_string()).unwrap();
    };
    with(&own, &["operator"]);
    let enrol = ["member", "enrol", file.to_str().unwrap()];
    let (code, said) = hall.try_by("officer-1", &enrol).await;
    assert_eq!((code, &said["refusal"]["rule"]), (3, &"enrolment".into()), "{said}");
    let folder = hall.0.folder("operator");
    std::fs::rename(folder.join("sign.key"), folder.join("stolen.key")).unwrap();
    let seed = Digest(*node::fresh_seed().unwrap()).to_string();
    transport::write_secret(&folder.join("sign.key"), seed.as_bytes()).unwrap();
    with(&hall.by("operator", &["member", "show"]).await, &["operator"]);
    let proposal = hall.proposed(&enrol).await;
    hall.approve("officer-2", proposal).await;
    assert_eq!(hall.order("part-4").await.0, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_officer_whose_key_is_lost_comes_back_by_the_others() {
    let hall = Hall::open().await;
    let recovery = "recovery-officer";
    assert!(hall.0.folder(recovery).join("READ-ME-FIRST.txt").exists());
    let told = |findings: &Value| {
        let found = findings.as_array().unwrap().iter().find(|f| f["what"] == "officers").unwrap();
        (found["ok"].clone(), found["found"].clone(), found["mend"] == "")
    };
    let three = told(&hall.by("auditor", &["doctor"]).await);
    assert_eq!(three, (true.into(), "3 security officers can sign".into(), true));
    hall.by("officer-1", &["member", "revoke", "officer-2", "--all", "--reason", "lost"]).await;
    let two = told(&hall.by("auditor", &["doctor"]).await);
    assert_eq!(two, (true.into(), "2 security officers can sign".into(), false));

    // The officer who is left invites; the one from the safe approves.
    let invited = hall.by("officer-1", &["invite", "officer-2"]).await;
    let proposal = invited["id"].as_str().unwrap().parse().unwrap();
    hall.approve(recovery, proposal).await;
    let link = invited["link"].as_str().unwrap().split_once("/enrol#").unwrap().1;
    let fields: BTreeMap<&str, &str> =
        link.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
    let seed: base::Bytes = serde_json::from_value(fields["key"].into()).unwrap();
    let key = common::invitation(&seed.0, fields["until"].parse().unwrap());
    let (_, cookie) = hall.0.enter("officer-2", &key).await;
    assert!(!cookie.is_empty());
    let three = told(&hall.by("auditor", &["doctor"]).await);
    assert_eq!(three.1, "3 security officers can sign");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_replaced_while_the_plant_runs() {
    let hall = Hall::open().await;
    let prints = |members: &Value, member: &str| {
        let keys = members[member]["member"]["keys"].as_array().unwrap().len();
        (keys, members[member]["revoked"].as_object().unwrap().len())
    };
    // A person: what it prints goes to an officer, and it finishes by itself.
    let request = hall.by("operator", &["member", "rotate"]).await;
    let file = hall.0.folder("operator").join("request.json");
    std::fs::write(&file, request.to_string()).unwrap();
    let propose = ["member", "rotate", "--request", file.to_str().unwrap()];
    let proposal = hall.proposed(&propose).await;
    let waits = hall.by("operator", &["member", "rotate"]).await;
    assert_eq!(waits, request, "nothing is approved yet");
    hall.approve("officer-2", proposal).await;
    assert_eq!(hall.order("part-1").await.0, 0, "the old key counts still");
    let done = hall.by("operator", &["member", "rotate"]).await;
    assert_eq!(done["rotated"], true);
    assert_eq!(hall.order("part-2").await.0, 0, "and now the new one");
    let ended = hall.signed(&["operator"]).await;
    assert_eq!(words(&ended), ["order", "revoke-key", "order"]);
    assert_eq!(
        (&ended["keys"][0]["end"][1], ended["keys"].as_array().unwrap().len()),
        (&"given up".into(), 3)
    );
    assert!(!hall.0.folder("operator").join("sign.old.key").exists());

    // An officer proposes its own key; another approves.
    let own = hall.proposed(&["member", "rotate"]).await;
    hall.approve("officer-2", own).await;
    assert_eq!(hall.by("officer-1", &["member", "rotate"]).await["rotated"], true);

    // The site goes on serving and signs under its next key by itself.
    let document = async || -> Value {
        let path = "/.well-known/did.json";
        let bytes = hall.0.machine("auditor").1.bytes(path, 1 << 16).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    assert_eq!(document().await["assertionMethod"].as_array().unwrap().len(), 1);
    let before = document().await["verificationMethod"][0].clone();
    let folder = hall.dir("site");
    let proposal = hall.proposed(&["member", "rotate", "--of", &folder]).await;
    hall.approve("officer-2", proposal).await;
    hall.until("the site gives its old key up", async || {
        prints(&hall.members().await, "site") == (2, 1)
            && !hall.0.folder("site").join("sign.old.key").exists()
    })
    .await;
    let after = document().await;
    assert_eq!(after["verificationMethod"][0], before, "passports from before find their key");
    assert_eq!(after["assertionMethod"].as_array().unwrap().len(), 2);
    // It states a refusal under the new key.
    let site = hall.0.machine("site").0;
    let new = proof::keys::PublicKey::of(&*site.signer).fingerprint();
    let (code, _) =
        hall.try_by("auditor", &["member", "revoke", "operator", "--all", "--reason", "no"]).await;
    assert_eq!(code, 3);
    hall.until("the site's refusal", async || {
        let site = hall.by("auditor", &["audit", "key", "site", "--key", &new.to_string()]).await;
        // Of each of the operator's keys: none was left untried.
        words(&site) == ["refused", "refused"]
    })
    .await;
    let replayed = hall.by("auditor", &["audit", "replay"]).await;
    assert!(replayed["entries"].as_u64().unwrap() > 10);
}
