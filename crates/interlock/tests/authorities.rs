//! A plant whose certificate authority is replaced while it runs: real site, real witness,
//! the command line as people give it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/mod.rs"]
mod common;

use common::processes::{House, program};
use node::{Client, Node, fresh_nonce, now};
use plant::{Body, body::Hold};
use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use transport::{Authority, Trust, Validity};

/// How long one step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

impl House {
    #[track_caller]
    fn until(&self, what: &str, done: impl Fn() -> bool) {
        let began = Instant::now();
        while !done() {
            assert!(began.elapsed() < PATIENCE, "waited for {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    #[track_caller]
    fn witness_trusts(&self, files: &[&str]) {
        let mut command = Command::new(program("interlock-witness"));
        command.args(["trust", "--dir", &self.at("witness-1")]);
        files.iter().for_each(|file| _ = command.args(["--authority", file]));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Puts a new certificate in the place of a member's own.
    fn renewed(&self, member: &str, ca: &str) {
        let out = self.at(&format!("issued-{member}"));
        let host = ["--host", "127.0.0.1"];
        let issue = ["certificate", "issue", "--ca", ca, "--member", member, "--out", &out];
        let issued = self.call(&[&issue[..], &host].concat());
        for (file, name) in [("key", "node.key"), ("certificate", "node.pem")] {
            let to = self.at(&format!("{member}/tls/{name}"));
            std::fs::rename(issued[file].as_str().unwrap(), to).unwrap();
        }
    }

    /// Places a hold and waits until it is witnessed.
    async fn witnessed(&self, by: &str, reason: &str) {
        let node = Node::load(Path::new(&self.at(by))).unwrap();
        let client = Client::of(&node).unwrap();
        let body = Body::Hold(Hold { cell: None, reason: reason.into() });
        let entry = node.sign(&body, now(), fresh_nonce().unwrap()).unwrap();
        let done = async {
            // The site or its witness may be on its way up.
            while client.submit_witnessed(&entry).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, done).await.expect(reason)
    }

    fn roots(&self, member: &str) -> (usize, Option<u64>) {
        let trust = Trust::load(Path::new(&self.at(&format!("{member}/tls")))).unwrap();
        (trust.certificates().len(), trust.since())
    }
}

/// The SHA-256 of the certificate in a file.
fn fingerprint(file: &str) -> base::Digest {
    let roots = Trust::from_pem(&std::fs::read_to_string(file).unwrap()).unwrap();
    base::sha256(&roots.certificates()[0])
}

/// The words that propose these roots.
fn to<'a>(files: &[&'a str]) -> Vec<&'a str> {
    let files = files.iter().flat_map(|file| ["--authority", file]);
    ["keys", "rotate"].into_iter().chain(files).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_plant_gets_another_certificate_authority() {
    let mut house = House::made();
    house.start("witness-1");
    house.start("site");
    house.witnessed("operator", "before").await;

    // The new root lies beside the old one; nobody trusts it, and no other can be proposed.
    let (ca, old) = (house.at("ca"), house.at("ca/ca.pem"));
    let made = house.call(&["keys", "make", "authority", "--ca", &ca]);
    let [next, new] = ["ca", "file"].map(|name| made[name].as_str().unwrap().to_owned());
    house.renewed("auditor", &next);
    house.until("an unstated root turned away", || house.turned_away("auditor"));
    let foreign = Authority::new(&"elsewhere".parse().unwrap(), Validity::days(now(), 9)).unwrap();
    std::fs::create_dir(house.at("foreign")).unwrap();
    foreign.save(Path::new(&house.at("foreign"))).unwrap();
    house.fails("officer-1", &to(&[&house.at("foreign/ca.pem")]), 1, "elsewhere");
    house.fails("officer-1", &to(&[&new]), 3, "vouches for the site's own certificate");
    house.fails("operator", &to(&[&old, &new]), 3, "may not");

    // Both, by two officers: from then on the site takes a certificate of either, without
    // a restart.
    house.witness_trusts(&[&old, &new]);
    house.again("witness-1");
    let proposed = house.by("officer-1", &to(&[&old, &new]));
    assert_eq!(house.roots("site"), (1, None), "one officer is not enough");
    let proposal = proposed["id"].as_str().unwrap();
    let shown = house.shown("officer-2", proposal);
    let [old_root, new_root] = [&old, &new].map(|file| fingerprint(file));
    assert_eq!(made["root"], new_root.to_string());
    for line in [
        format!("stays    certificate authority SHA-256 {old_root}"),
        format!("added    certificate authority SHA-256 {new_root}"),
        "the ledger states no certificate authority yet".into(),
    ] {
        assert!(shown.contains(&line), "`{line}` is not in: {shown}");
    }
    assert!(!shown.contains("removed  "), "{shown}");
    let approved = house.by("officer-2", &["change", "approve", "--yes", proposal]);
    let at = approved["index"].as_u64();
    house.until("the site's roots", || house.roots("site") == (2, at));
    house.until("the site's trust", || house.try_by("auditor", &["keys", "list"]).status.success());
    let listed = house.by("auditor", &["keys", "list"]);
    assert_eq!(listed["now"]["authorities"].as_array().unwrap().len(), 2);
    for member in ["auditor", "officer-1", "officer-2", "operator"] {
        assert_eq!(house.by(member, &["keys", "trust"])["since"].as_u64(), at);
        assert_eq!(house.roots(member), (2, at));
    }
    house.by("auditor", &["doctor"]);

    // One machine after the other gets a certificate of the new root. Each moment in
    // between works: one side shows a new one and the other an old one.
    for machine in ["witness-1", "site"] {
        house.renewed(machine, &next);
        house.again(machine);
        house.witnessed("operator", &format!("{machine} has a new certificate")).await;
    }
    for officer in ["officer-1", "officer-2"] {
        house.renewed(officer, &next);
    }

    // The old root is withdrawn under the running site, which ends what it vouched for.
    let proposed = house.by("officer-1", &to(&[&new]));
    let proposal = proposed["id"].as_str().unwrap();
    let shown = house.shown("officer-2", proposal);
    for line in [
        format!("removed  certificate authority SHA-256 {old_root}"),
        format!("stays    certificate authority SHA-256 {new_root}"),
    ] {
        assert!(shown.contains(&line), "`{line}` is not in: {shown}");
    }
    assert!(!shown.contains("states no"), "{shown}");
    let approved = house.by("officer-2", &["change", "approve", "--yes", proposal]);
    let last = approved["index"].as_u64();
    house.until("the site's roots", || house.roots("site") == (1, last));
    house.until("an end of what the withdrawn root vouched for", || house.turned_away("operator"));
    house.witness_trusts(&[&new]);
    house.again("witness-1");
    house.renewed("operator", &next);
    house.witnessed("operator", "after").await;
    assert_eq!(house.by("operator", &["keys", "trust"])["since"].as_u64(), last);

    // What was withdrawn stays so; a restart and whoever replays the ledger agree.
    house.fails("officer-1", &to(&[&old, &new]), 3, "withdrawn before");
    house.again("site");
    house.witnessed("operator", "again").await;
    assert_eq!(house.roots("site"), (1, last));
    let replayed = house.by("auditor", &["audit", "replay"]);
    assert!(replayed["entries"].as_u64() > last);
}
