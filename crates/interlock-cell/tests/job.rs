//! The cell's whole job: from an order on the ledger to recordings in the vault,
//! with a robot that really moves (in simulation) and a site that may not be
//! trusted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base::Rule;
use capture::{Images, States};
use common::{
    Lie, Plant, id,
    recording::{open, run},
    words,
};
use node::now;
use plant::{
    Body, RunStatus,
    body::{Hold, Outcome},
};
use reqwest::Method;
use testkit::ursim::Command;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_moves_the_robot_once_and_its_recordings_verify() {
    let mut plant = Plant::start().await;
    plant.site.inside().waits = true;
    plant.run_cell();
    let size = plant.site.entries().len();
    plant
        .until("the cell waits for the next entry", |p| p.site.inside().awaited.contains(&size))
        .await;
    let order = plant.order("part-1", 3);
    let ended = plant.ended(&order, Outcome::Finished, 2).await;
    assert_eq!((ended.viewpoints, ended.lost), (3, 0));
    assert!(ended.samples > 500, "{} samples", ended.samples);
    assert_eq!(plant.robot.motions().starts, 1);
    let words = words(&plant.site);
    for (word, count) in [("run-started", 1), ("run-ended", 1), ("recording", 2)] {
        assert_eq!(words.get(word), Some(&count), "{word}");
    }
    let state = open(&plant, &format!("{}-state", run(&order)));
    let samples: Vec<_> = States::new(&state[..]).collect::<Result<_, _>>().unwrap();
    assert_eq!(samples.len() as u64, ended.samples);
    let moved = samples.iter().any(|s| s.qd.iter().any(|qd| qd.abs() > 0.1));
    assert!(moved, "the motion is on record");
    let gaps = samples.windows(2).filter(|w| w[1].controller_ns - w[0].controller_ns > 3_000_000);
    assert_eq!(gaps.count(), 0);
    let pictures = open(&plant, &format!("{}-camera", run(&order)));
    let pictures: Vec<_> = Images::new(&pictures[..]).collect::<Result<_, _>>().unwrap();
    let viewpoints: Vec<_> = pictures.iter().map(|p| (p.viewpoint, p.seq)).collect();
    assert_eq!(viewpoints, [(1, 0), (2, 0), (3, 0)]);
    assert!(pictures.iter().all(|p| p.part == id("part-1")));

    // The second scan of the part is the next photograph, and another run.
    let again = plant.order("part-1", 1);
    plant.ended(&again, Outcome::Finished, 2).await;
    let pictures = open(&plant, &format!("{}-camera", run(&again)));
    let pictures: Vec<_> = Images::new(&pictures[..]).collect::<Result<_, _>>().unwrap();
    assert_eq!(pictures[0].seq, 1);
    assert_eq!(plant.robot.motions().starts, 2);
    assert!(!plant.site.inside().cosignatures.is_empty());
    plant.until("what was delivered has left the cell", |p| p.spooled().is_empty()).await;
    let (code, metrics) = plant.ask("otto", Method::GET, "/metrics").await;
    assert_eq!(code, 200);
    assert!(metrics.contains("interlock_cell_outbox_length 0"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_in_a_run_never_moves_the_robot_twice() {
    let mut plant = Plant::running().await;
    let order = plant.moving("part-1", 6).await;
    plant.started(&order).await;
    plant.kill();
    plant.run_cell();
    let ended = plant.ended(&order, Outcome::Failed, 0).await;
    assert!(ended.reason.contains("restarted"), "{}", ended.reason);
    let next = plant.order("part-1", 1);
    plant.ended(&next, Outcome::Finished, 2).await;
    // By the token that the cell hands over, each order moved it once.
    assert_eq!(plant.robot.plays().into_values().collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_the_site_finishes_the_run_and_delivers_later() {
    let mut plant = Plant::running().await;
    let order = plant.moving("part-1", 2).await;
    plant.site.inside().gone = true;
    plant
        .until_it_says("the end of the run", |s| {
            s["run"].is_null() && s["outbox"]["length"].as_u64() >= Some(3)
        })
        .await;
    // A restart keeps what waits.
    plant.kill();
    plant.run_cell();
    plant.site.inside().gone = false;
    let ended = plant.ended(&order, Outcome::Finished, 2).await;
    assert_eq!(ended.viewpoints, 2);
    open(&plant, &format!("{}-state", run(&order)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_that_is_told_to_end_finishes_and_delivers_its_run() {
    let mut plant = Plant::running().await;
    let order = plant.moving("part-1", 2).await;
    plant.order("part-2", 1);
    assert!(plant.end());
    let ended = plant.ended(&order, Outcome::Finished, 2).await;
    assert_eq!(ended.viewpoints, 2);
    assert_eq!(plant.robot.motions().starts, 1, "no further order is taken");
    let said = plant.cell_command(&["run", "--check"]);
    assert!(said.contains("500 samples") && said.contains("ready to take an order"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forked_ledger_is_distrusted_until_a_person_says_otherwise() {
    let mut plant = Plant::running().await;
    let first = plant.order("part-1", 1);
    plant.ended(&first, Outcome::Finished, 2).await;
    plant.read_up().await;
    plant.kill();
    plant.site.rewrite_last();
    for _ in 0..2 {
        plant.run_cell();
        plant.until_it_says("distrust", |s| s["ledger"]["distrust"].is_string()).await;
        plant.kill();
    }
    plant.order("part-1", 1);
    plant.run_cell();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(plant.robot.motions().starts, 1, "a distrusted ledger moves nothing");
    plant.kill();
    let said = plant.cell_command(&["trust", "--reset"]);
    assert!(said.contains("not those that were seen"), "{said}");
    assert!(plant.cell_command(&["trust"]).contains("is trusted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_entries_and_a_hold_only_delays() {
    let mut plant = Plant::start().await;
    let late = plant.order_within("part-1", 1, now(), now().plus(300));
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    plant.run_cell();
    plant
        .until("the late order is refused", |p| {
            matches!(p.order_state(&late).status, RunStatus::Refused(_))
        })
        .await;
    let RunStatus::Refused(refusal) = plant.order_state(&late).status else { unreachable!() };
    assert_eq!(refusal.rule, Rule::Time);
    let order = plant.moving("part-1", 6).await;
    let hold = Hold { cell: Some(id("cell-1")), reason: "spill".into() };
    plant.state("anna", &Body::Hold(hold));
    let ended = plant.ended(&order, Outcome::Stopped, 2).await;
    assert!(ended.reason.contains("spill"), "{}", ended.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn anyone_may_stop_and_motion_without_an_order_is_held() {
    let plant = Plant::running().await;
    let order = plant.moving("part-1", 6).await;
    let (code, answer) = plant.ask("otto", Method::POST, "/stop").await;
    assert_eq!(code, 200, "{answer}");
    let ended = plant.ended(&order, Outcome::Stopped, 2).await;
    assert_eq!(ended.reason, "`otto` stopped it");

    let order = plant.moving("part-1", 6).await;
    let answer = plant.send("site", Method::POST, "/stop", r#"{"for":"anna"}"#).await;
    let answer: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!((&answer["stopped"], &answer["for"]), (&true.into(), &"anna".into()));
    let ended = plant.ended(&order, Outcome::Stopped, 2).await;
    assert_eq!(ended.reason, "`site` stopped it for `anna`");
    // A stop is never refused for its words.
    for body in [r#"{"for":"Anna!"}"#.to_owned(), "{".to_owned(), "x".repeat(5000)] {
        let answer = plant.send("site", Method::POST, "/stop", body).await;
        assert_eq!(answer.status(), 200);
    }

    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    plant.robot.command(Command::Jog { joint: 0, speed: 0.2, seconds: 2.0 });
    plant.until("a hold is on the ledger", |p| !p.site.plant().holds.is_empty()).await;
    let (hold, state) = plant.site.plant().holds.into_iter().next().unwrap();
    assert!(state.hold.reason.contains("without an order"), "{}", state.hold.reason);
    for officer in ["anna", "olga"] {
        plant.state(officer, &Body::Release(plant::body::Release { hold }));
    }
    let next = plant.order("part-1", 1);
    plant.ended(&next, Outcome::Finished, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_stays_at_a_cell_whose_delivery_is_over() {
    let plant = Plant::running().await;
    plant.up().await;
    let forgotten = async |words: &str| {
        plant.delivered().await;
        plant.until(words, |p| p.spooled().is_empty()).await;
        let keys = plant.cell_dir().join("cell/spool/keys/keys");
        assert_eq!(std::fs::read_dir(keys).unwrap().count(), 0, "{words}");
        assert_eq!(plant.status().await["outbox"]["refused"], 0, "{words}");
    };
    plant.site.inside().lie = Some(Lie::Interrupted);
    let order = plant.order("part-1", 1);
    plant.ended(&order, Outcome::Finished, 2).await;
    forgotten("what was delivered unheard is forgotten").await;
    plant.site.inside().lie = Some(Lie::Destroyed);
    let order = plant.order("part-2", 1);
    plant.ended(&order, Outcome::Finished, 0).await;
    forgotten("what was destroyed meanwhile is forgotten").await;
}
