//! A cell beside a site that was stolen with all of its keys: whatever it serves, the
//! robot stands still, the cell says why, and a log that contradicts itself is not
//! trusted again before a person says so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base::{Refusal, Rule};
use common::{Keys, Lie, Plant, blueprint, id, words};
use node::{fresh_nonce, init::init, now};
use plant::{
    Body,
    body::{Hold, Outcome, Refused, RevokeKey},
};
use proof::{
    entry::{Entry, Leaf},
    keys::PublicKey,
};
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;
use testkit::ursim::Command;

const HOUR: i64 = 3_600_000;

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// An entry as the log holds it.
fn leaf(entry: Entry) -> Vec<u8> {
    Leaf { entry, logged_at: now() }.bytes().unwrap()
}

/// A leaf with an order that the true log never had.
fn order(plant: &Plant) -> Vec<u8> {
    let body = plant.scan("part-9", 1, now(), now().plus(600_000));
    leaf(plant.node("anna").sign(&body, now(), fresh_nonce().unwrap()).unwrap())
}

/// The folder of another plant with the same names.
fn another(plant: &Plant) -> tempfile::TempDir {
    let other = tempfile::tempdir().unwrap();
    let address = "127.0.0.1:1".parse().unwrap();
    init(other.path(), &blueprint(address, address, &plant.robot), now()).unwrap();
    other
}

/// Waits until the site was asked so many times more.
async fn asked(plant: &Plant, more: u64) {
    let before = plant.site.inside().asked;
    plant.until("the site is asked again", |p| p.site.inside().asked >= before + more).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_proves_nothing_moves_nothing_and_is_believed_once_it_does() {
    let mut plant = Plant::running().await;
    plant.up().await;
    let other = another(&plant);
    let foreign = Keys::load(other.path());

    plant.site.inside().lie = Some(Lie::Alone);
    let order = plant.order("part-1", 1);
    let unproven: [(Option<Lie>, Option<Keys>, &str); 5] = [
        (Some(Lie::Alone), None, "0 of the trusted"),
        (None, Some(foreign), "signature"),
        (Some(Lie::Garbage), None, "bundle 0"),
        (Some(Lie::Endless), None, "bytes"),
        (Some(Lie::Drip), None, "longer than"),
    ];
    for (lie, keys, why) in unproven {
        {
            let mut inside = plant.site.inside();
            (inside.lie, inside.signed_by) = (lie, keys);
        }
        let says = |status: &Value| text(&status["ledger"]["trouble"]).contains(why);
        let status = plant.until_it_says(why, says).await;
        assert!(status["ledger"]["distrust"].is_null(), "{status:#}");
        assert_eq!(status["orders"], serde_json::json!([]), "an unproven order is not seen");
    }
    // Its entries are proven, and nobody vouches for how old it is.
    for (ms, why) in [(-HOUR, "s are allowed"), (HOUR, "ahead of this clock")] {
        plant.site.inside().lie = Some(Lie::Dated(ms));
        let says = |status: &Value| text(&status["verdict"]["because"]).contains(why);
        let status = plant.until_it_says(why, says).await;
        assert_eq!(status["orders"][0]["held_back_by"]["rule"], "freshness", "{status:#}");
        asked(&plant, 3).await;
    }
    assert_eq!(plant.robot.motions().starts, 0);
    // A restart trusts it no more and no less.
    plant.kill();
    plant.run_cell();
    let says = |status: &Value| text(&status["verdict"]["because"]).contains("ahead of");
    plant.until_it_says("the same after a restart", says).await;
    plant.site.honest();
    plant.ended(&order, Outcome::Finished, 2).await;
    assert_eq!(plant.robot.motions().starts, 1);
}

/// Shows a log that contradicts the one before; what the cell says of it, also after a
/// restart beside a site that is honest again.
async fn distrusted(plant: &mut Plant, instead: Vec<Vec<u8>>, restart: bool) -> String {
    let motions = plant.robot.motions().starts;
    if restart {
        plant.kill();
    }
    plant.site.inside().instead = Some(instead);
    if restart {
        plant.run_cell();
    }
    let says = |status: &Value| status["ledger"]["distrust"].is_string();
    plant.until_it_says("distrust", says).await;
    plant.kill();
    plant.site.honest();
    plant.run_cell();
    let status = plant.until_it_says("distrust after a restart", says).await;
    assert_eq!(status["verdict"]["will_move"], false);
    assert!(text(&status["verdict"]["because"]).contains("distrusted"), "{status:#}");
    assert_eq!(plant.robot.motions().starts, motions, "a lie moved the robot");
    plant.kill();
    let why = text(&status["ledger"]["distrust"]).to_owned();
    assert!(plant.cell_command(&["trust", "--reset"]).contains(&why));
    why
}

/// Runs the cell until it has read the whole true log.
async fn honest(plant: &mut Plant) -> Vec<Vec<u8>> {
    plant.run_cell();
    plant.read_up().await;
    plant.site.inside().leaves.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_contradicts_itself_is_distrusted_until_a_person_says_otherwise() {
    let mut plant = Plant::running().await;
    let first = plant.order("part-1", 1);
    plant.ended(&first, Outcome::Finished, 2).await;
    plant.delivered().await;
    plant.kill();
    // What a thief would leave out: a hold, a revoked key, a refusal.
    let hold = Hold { cell: Some(id("cell-1")), reason: "spill".into() };
    plant.state("anna", &Body::Hold(hold));
    let refusal = Refusal {
        who: "anna".into(),
        what: "a run".into(),
        rule: Rule::Time,
        reason: "late".into(),
        accepted: "earlier".into(),
    };
    let refused = Refused { gate: "motion".into(), refusal, request: None };
    plant.state("cell-1", &Body::Refused(refused));
    let key = PublicKey::of(&*plant.node("pia").signer).fingerprint();
    let revoke = RevokeKey { key, member: id("pia"), reason: "lost".into() };
    plant.state("olga", &Body::RevokeKey(revoke));

    let last = plant.site.inside().leaves.len() - 1;
    let order = order(&plant);
    for left_out in [last - 2, last - 1, last] {
        let mut log = honest(&mut plant).await;
        log.remove(left_out);
        log.extend([order.clone(), order.clone()]);
        let why = distrusted(&mut plant, log, false).await;
        assert!(why.contains("root"), "{why}");
    }
    let mut old = honest(&mut plant).await;
    old.truncate(last - 2);
    let why = distrusted(&mut plant, old.clone(), false).await;
    assert!(why.contains("seen before"), "{why}");
    honest(&mut plant).await;
    old.push(order.clone());
    let why = distrusted(&mut plant, old, true).await;
    assert!(why.contains("were seen before"), "{why}");
    let mut fork = honest(&mut plant).await;
    fork[last] = order.clone();
    let why = distrusted(&mut plant, fork, false).await;
    assert!(why.contains("root"), "{why}");

    // A cell that has seen nothing yet finds what no log may hold.
    let leaves = plant.site.inside().leaves.clone();
    let mut reordered = leaves.clone();
    reordered.swap(1, 2);
    let why = distrusted(&mut plant, reordered, true).await;
    assert!(why.starts_with("entry 1"), "{why}");
    let other = another(&plant);
    let genesis = std::fs::read(other.path().join("site/genesis.json")).unwrap();
    let genesis = leaf(Entry::parse(&genesis).unwrap());
    let why = distrusted(&mut plant, vec![genesis], true).await;
    assert!(why.contains("genesis"), "{why}");

    honest(&mut plant).await;
    assert!(plant.says().await["ledger"]["distrust"].is_null());
    assert_eq!(plant.robot.motions().starts, 1);
}

/// More than the cell holds of a log at a time, and more than a bundle.
fn grow(plant: &Plant) {
    let cell = plant.node("cell-1");
    for _ in 0..300 {
        let refusal = Refusal {
            who: "anna".into(),
            what: "a run".into(),
            rule: Rule::Time,
            reason: "x".repeat(20_000),
            accepted: "earlier".into(),
        };
        let refused = Body::Refused(Refused { gate: "motion".into(), refusal, request: None });
        let entry = cell.sign(&refused, now(), fresh_nonce().unwrap()).unwrap();
        plant.site.append(&entry).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_is_taken_in_steps_and_a_lie_at_its_end_changes_nothing() {
    let mut plant = Plant::start().await;
    let order = plant.order("part-1", 1);
    grow(&plant);
    // From the start; the order is in the first step.
    plant.run_cell();
    plant.ended(&order, Outcome::Finished, 2).await;
    plant.delivered().await;
    plant.read_up().await;
    // While it runs.
    plant.site.inside().gone = true;
    let order = plant.order("part-2", 1);
    grow(&plant);
    plant.site.inside().gone = false;
    plant.ended(&order, Outcome::Finished, 2).await;
    plant.delivered().await;
    plant.read_up().await;

    // Under the true log's checkpoint, with another last entry: all before it is true.
    let size = plant.says().await["ledger"]["size"].clone();
    plant.site.inside().gone = true;
    plant.order("part-3", 1);
    grow(&plant);
    let mut fork = plant.site.inside().leaves.clone();
    *fork.last_mut().unwrap() = self::order(&plant);
    {
        let mut inside = plant.site.inside();
        (inside.gone, inside.served) = (false, Some(fork));
    }
    let says = |status: &Value| status["ledger"]["distrust"].is_string();
    let status = plant.until_it_says("distrust", says).await;
    assert!(text(&status["ledger"]["distrust"]).contains("root"), "{status:#}");
    assert_eq!(status["ledger"]["size"], size, "nothing of it was folded");
    assert_eq!(plant.robot.motions().starts, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_site_a_stop_and_a_hold_work_and_nothing_is_said_twice() {
    let plant = Plant::running().await;
    let order = plant.moving("part-1", 6).await;
    plant.site.inside().gone = true;
    let (code, answer) = plant.ask("otto", Method::POST, "/stop").await;
    assert_eq!(code, 200, "{answer}");
    plant.until_it_says("the end of the run", |s| s["run"].is_null()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    plant.robot.command(Command::Jog { joint: 0, speed: 0.2, seconds: 2.0 });
    let held = |s: &Value| text(&s["verdict"]["because"]).contains("the cell holds itself");
    plant.until_it_says("its own hold", held).await;
    // A network that loses answers: what arrived is told again, and stands once.
    {
        let mut inside = plant.site.inside();
        (inside.gone, inside.lie) = (false, Some(Lie::Unheard));
    }
    let logged = |p: &Plant, word: &str| words(&p.site).get(word).copied().unwrap_or_default();
    plant.until("an entry arrives unanswered", |p| logged(p, "run-started") == 1).await;
    // What is stated does not wait for recordings that take their time.
    plant.site.inside().lie = Some(Lie::Slow);
    plant.until("its hold is on the ledger", |p| logged(p, "hold") == 1).await;
    assert_eq!(logged(&plant, "recording"), 0);
    plant.site.honest();
    let ended = plant.ended(&order, Outcome::Stopped, 2).await;
    assert_eq!(ended.reason, "`otto` stopped it");
    plant.delivered().await;
    for (word, count) in [("run-started", 1), ("run-ended", 1), ("recording", 2), ("hold", 1)] {
        assert_eq!(logged(&plant, word), count, "{word}");
    }
    assert_eq!(plant.robot.motions().starts, 1);
}
