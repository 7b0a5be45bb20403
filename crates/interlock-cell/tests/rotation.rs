//! A real cell while the plant's keys are rotated: running, asleep, and shown a log that
//! retired keys sign.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base::Bytes;
use common::{Keys as Signers, Lie, Plant, id};
use plant::{
    Body, RunStatus,
    body::{Approve, Change, Keys, Member, Outcome, Witnesses},
};
use proof::{
    keys::{PublicKey, SecretKey, Signer},
    log::{KeyKind, LogSigner, VKey},
};
use std::{
    fs,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};
use testkit::ursim;
use transport::{Authority, Identity, Trust, Validity};
use vault::grant_key::{WrappedKey, public_of, unwrap};

fn key(seed: u8) -> Arc<SecretKey> {
    Arc::new(SecretKey::from_seed(&[seed; 32]).unwrap())
}

/// Signs checkpoints with these from now on; returns those before.
fn signed_by(plant: &Plant, keys: Signers) -> Signers {
    let before = plant.site.inside().signed_by.replace(keys);
    before.unwrap_or_else(|| Signers::load(&plant.dir.path().join("plant")))
}

/// Puts new keys in force and signs with them from that entry on; returns the old ones.
fn rotate(plant: &Plant, seed: u8) -> Signers {
    let origin = plant.node("cell-1").anchors.log.origin().to_owned();
    let log = Arc::new(LogSigner::new(&origin, key(seed)).unwrap());
    let witness = key(seed + 1);
    let vkey = VKey::new("plant.example/witness-1", KeyKind::Witness, witness.public()).unwrap();
    let keys = Keys {
        authorities: None,
        log: Some(log.vkey().clone()),
        vault: Some(Bytes(public_of(&[seed + 2; 32]).unwrap().to_vec())),
        witnesses: Some(Witnesses { keys: vec![vkey], quorum: 1 }),
    };
    let proposal = plant.state("olga", &Body::Propose(Change::Keys(keys)));
    // The site signs each batch with the key in force after it; here it says nothing
    // between the two.
    plant.site.inside().gone = true;
    plant.state("otto", &Body::Approve(Approve { proposal }));
    let old = signed_by(plant, Signers { log, witness });
    plant.site.inside().gone = false;
    old
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_follows_new_keys_awake_and_asleep_and_no_retired_ones() {
    let mut plant = Plant::running().await;
    plant.up().await;
    rotate(&plant, 50);
    let order = plant.order("part-1", 1);
    plant.ended(&order, Outcome::Finished, 2).await;
    // It sealed the recordings' keys to the vault's new key.
    let deliveries: Vec<_> = plant.site.inside().keys.values().cloned().collect();
    assert_eq!(deliveries.len(), 2);
    for delivery in deliveries {
        let claim = &delivery.manifest["claim"];
        let text = |name: &str| claim[name].as_str().unwrap().as_bytes().to_vec();
        let wrapped = WrappedKey { enc: delivery.key.enc, ciphertext: delivery.key.ciphertext };
        unwrap(&[52; 32], &text("recording"), &text("root_cid"), &wrapped).unwrap();
    }

    // Twice while it sleeps.
    plant.kill();
    rotate(&plant, 60);
    let old = rotate(&plant, 70);
    plant.run_cell();
    plant.up().await;
    let order = plant.order("part-1", 1);
    plant.ended(&order, Outcome::Finished, 2).await;

    // A thief of the retired keys shows the true log, longer by an order.
    let new = signed_by(&plant, old);
    let order = plant.order("part-2", 1);
    let asked = plant.site.inside().asked;
    plant.until("the cell has asked again", |p| p.site.inside().asked > asked + 5).await;
    assert_eq!(plant.order_state(&order).status, RunStatus::Pending, "a thief moved the robot");
    assert!(plant.site.plant().holds_on(&id("cell-1")).next().is_none());
    // It was no lie that outlasts the thief: the plant goes on.
    signed_by(&plant, new);
    plant.ended(&order, Outcome::Finished, 2).await;
}

/// Enrols the cell's next key and waits until it signs with it.
async fn take_next_key(plant: &Plant) -> PublicKey {
    let node = plant.node("cell-1");
    let (old, next) = (PublicKey::of(&*node.signer), node.prepare_next().unwrap());
    let known = plant.site.plant().members[&id("cell-1")].member.clone();
    let keys = [known.keys.clone(), vec![next.sign]].concat();
    let member = Change::Member(Member { keys, ..known });
    let proposal = plant.state("olga", &Body::Propose(member));
    plant.state("otto", &Body::Approve(Approve { proposal }));
    plant.until("the cell has its next key", |p| p.cell_dir().join("sign.old.key").exists()).await;
    old
}

fn counts(plant: &Plant, key: &PublicKey) -> bool {
    plant.site.plant().live_key(&id("cell-1"), &key.fingerprint()).is_some()
}

/// Lets the cell look several times whether its old key is to be given up.
async fn keeps(plant: &Plant, old: &PublicKey) {
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(counts(plant, old), "the key of what waits was given up");
}

async fn gives_up(plant: &Plant, old: &PublicKey) {
    plant.until("the old key is given up", |p| !counts(p, old)).await;
    plant.until("it is gone", |p| !p.cell_dir().join("sign.old.key").exists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_key_counts_until_what_waits_in_the_journal_is_delivered() {
    let mut plant = Plant::start().await;
    plant.run_cell();
    plant.up().await;
    // Where the outbox would write its first item, and nothing passes it.
    let block = plant.cell_dir().join("cell/outbox/00000001.tmp");
    fs::create_dir(&block).unwrap();
    let order = plant.order("part-1", 1);
    plant
        .until_it_says("the end of the run", |s| s["last_run"]["order"] == order.to_string())
        .await;
    let old = take_next_key(&plant).await;
    keeps(&plant, &old).await;
    assert_eq!(plant.order_state(&order).status, RunStatus::Pending, "nothing was delivered");

    fs::remove_dir(&block).unwrap();
    plant.ended(&order, Outcome::Finished, 2).await;
    gives_up(&plant, &old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_key_counts_until_a_hold_that_the_disk_had_no_room_for_is_delivered() {
    let mut plant = Plant::start().await;
    let pid = plant.run_cell_whose_files_can_be_bounded();
    plant.up().await;
    let order = plant.order("part-1", 1);
    plant.ended(&order, Outcome::Finished, 2).await;
    plant.until("all is delivered", |p| p.spooled().is_empty()).await;
    // The journal takes no line more.
    let journal = fs::metadata(plant.cell_dir().join("cell/journal")).unwrap().len();
    bound_files(pid, &journal.to_string());
    plant.robot.command(ursim::Command::Jog { joint: 0, speed: 0.2, seconds: 4.0 });
    plant.until_it_says("a hold", |s| s.to_string().contains("without an order")).await;
    let old = take_next_key(&plant).await;
    keeps(&plant, &old).await;
    assert!(plant.site.plant().holds.is_empty(), "the hold was delivered");

    bound_files(pid, "unlimited");
    plant.until("the hold is on the ledger", |p| !p.site.plant().holds.is_empty()).await;
    gives_up(&plant, &old).await;
}

/// Bounds the length of every file that a process writes.
fn bound_files(pid: u32, bytes: &str) {
    let limit = format!("--fsize={bytes}:unlimited");
    let mut prlimit = Command::new("prlimit");
    let done = prlimit.args(["--pid", &pid.to_string(), &limit]).status();
    assert!(done.unwrap().success());
}

/// Puts these roots in force.
fn state_roots(plant: &Plant, authorities: &[&Authority]) {
    let root = |a: &&Authority| Trust::from_pem(a.certificate()).unwrap().certificates().remove(0);
    let roots = authorities.iter().map(root).map(Bytes).collect();
    let keys = Keys { authorities: Some(roots), log: None, vault: None, witnesses: None };
    let proposal = plant.state("olga", &Body::Propose(Change::Keys(keys)));
    plant.state("otto", &Body::Approve(Approve { proposal }));
}

/// Whether the running cell answers who shows a certificate of this authority.
async fn answers(plant: &Plant, authority: &Authority) -> bool {
    let issued = authority.issue(&id("anna"), &[], Validity::days(node::now(), 7)).unwrap();
    let own = Identity::from_pem(&issued.cert_pem, &issued.key_pem).unwrap();
    // The cell's own certificate is of the first root all along.
    let first = Authority::load(&plant.dir.path().join("plant/ca")).unwrap();
    let trust = Trust::from_pem(first.certificate()).unwrap();
    let client = transport::client::connect(&trust, Some(&own), Some(&id("cell-1"))).unwrap();
    client.get(format!("https://{}/status", plant.listen)).send().await.is_ok()
}

/// Waits until the cell takes certificates of these authorities or does not.
async fn goes_by(plant: &Plant, wanted: [(&Authority, bool); 2]) {
    let began = Instant::now();
    let [(first, takes_first), (second, takes_second)] = wanted;
    while (answers(plant, first).await, answers(plant, second).await) != (takes_first, takes_second)
    {
        assert!(began.elapsed() < Duration::from_secs(60), "the cell's roots are others");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_cell_goes_by_the_roots_that_the_proven_ledger_states() {
    let mut plant = Plant::start().await;
    plant.run_cell();
    plant.up().await;
    let old = Authority::load(&plant.dir.path().join("plant/ca")).unwrap();
    let new = Authority::new(old.site(), Validity::days(node::now(), 30)).unwrap();
    assert!(answers(&plant, &old).await && !answers(&plant, &new).await);
    let roots = |plant: &Plant| Trust::load(&plant.cell_dir().join("tls")).unwrap().certificates();

    // No witness vouches for the ledger that states another root.
    plant.site.inside().lie = Some(Lie::Alone);
    state_roots(&plant, &[&old, &new]);
    let asked = plant.site.inside().asked;
    plant.until("the cell has asked again", |p| p.site.inside().asked > asked + 5).await;
    assert!(roots(&plant).len() == 1 && !answers(&plant, &new).await, "an unproven root");

    plant.site.inside().lie = None;
    goes_by(&plant, [(&old, true), (&new, true)]).await;
    assert_eq!(roots(&plant).len(), 2);
    let order = plant.order("part-1", 1);
    plant.ended(&order, Outcome::Finished, 2).await;

    state_roots(&plant, &[&new]);
    goes_by(&plant, [(&old, false), (&new, true)]).await;
    assert_eq!(roots(&plant).len(), 1);
}
