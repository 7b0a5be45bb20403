//! What a stranger, a thief and a person who lost a right can do at a real site's door.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Plant, id};
use futures::StreamExt;
use plant::{
    Body,
    body::{Approve, Change, Hold, SetRoles},
};
use policy::Role;
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use std::time::Duration;

fn hold(reason: &str) -> Body {
    Body::Hold(Hold { cell: None, reason: reason.into() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_checkpoint_hears_of_the_next_and_no_stranger_waits() {
    let plant = Plant::start(&[]).await;
    let (node, auditor) = plant.machine("auditor");
    let verified = |note: Vec<u8>| node.anchors.log.verify_checkpoint(&note).unwrap();
    let most = proof::log::MAX_NOTE_BYTES;
    let first = verified(auditor.bytes("/checkpoint", most).await.unwrap());
    let path = |c: &proof::log::WitnessedCheckpoint, wait: u64| {
        format!("/checkpoint?size={}&time={}&wait_ms={wait}", c.size(), c.witnessed_at().0)
    };
    let mut have = first.clone();
    let grown = async {
        while have.size() == first.size() {
            // A site that did not wait would answer with what we have.
            let next = verified(auditor.bytes(&path(&have, 20_000), most).await.unwrap());
            let mark = |c: &proof::log::WitnessedCheckpoint| (c.size(), c.witnessed_at());
            assert!(mark(&next) > mark(&have), "{:?} after {:?}", mark(&next), mark(&have));
            have = next;
        }
    };
    let visitor = hold("a visitor");
    let stated = plant.state_by_file("operator", &visitor);
    let (_, stated) = tokio::join!(grown, stated);
    assert!(have.size() > stated.index);
    // The size counts as well as the time: who has something else is told at once.
    let told = verified(auditor.bytes(&path(&first, 20_000), most).await.unwrap());
    assert!(told.size() >= have.size());
    let now = auditor.bytes(&path(&have, 0), most).await.unwrap();
    assert!(verified(now).size() >= have.size());
    let stranger = plant.machine("analyst").1;
    assert!(stranger.bytes(&path(&have, 20_000), most).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_sends_little() {
    let plant = Plant::start(&[]).await;
    let large = format!("{{\"body\":[{}[]]}}", "[],".repeat(100_000));
    for path in ["/console/v1/enrolments", "/console/v1/sessions", "/console/v1/challenges"] {
        let request =
            plant.ask(Method::POST, path).header(header::CONTENT_TYPE, "application/json");
        // The server may close before all of it is sent; what counts is that it does not
        // take it.
        if let Ok(answer) = request.body(large.clone()).send().await {
            let taken = answer.status() == StatusCode::OK;
            assert!(!taken || path.ends_with("challenges"), "{path}: {}", answer.status());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_misleads_is_refused_and_a_forgery_is_its_bearers() {
    let plant = Plant::start(&[]).await;
    let (auditor, cookie) = plant.enter("auditor", &plant.link("auditor").key).await;
    for text in ["turned \u{202e}dnuora", "two\nlines", &"long ".repeat(100)] {
        let entry = plant.sign("auditor", &auditor, &hold(text));
        let (status, problem) = plant.post("/api/v1/entries", &cookie, &entry).await;
        assert_eq!((status, &problem["rule"]), (StatusCode::BAD_REQUEST, &json!("format")));
    }
    // An entry in an officer's name, with the auditor's key behind it.
    let mut forged = plant.sign("auditor", &auditor, &hold("not mine"));
    forged.statement.issuer = id("officer-1");
    let (status, _) = plant.post("/api/v1/entries", &cookie, &forged).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (_, refusals) = plant.get("/api/v1/entries?word=refused", &cookie).await;
    let refusal = &refusals[0]["body"]["refused"]["refusal"];
    assert_eq!(refusal["who"], "auditor", "{refusals}");
    assert!(refusal["what"].as_str().unwrap().contains("officer-1"), "{refusals}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_taken_away_ends_an_open_stream() {
    let plant = Plant::start(&[]).await;
    let (_, cookie) = plant.enter("auditor", &plant.link("auditor").key).await;
    let listening = plant.ask(Method::GET, "/api/v1/events").header(header::COOKIE, &cookie);
    let answer = listening.header(header::ACCEPT, "text/event-stream").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let mut events = answer.bytes_stream();

    let roles = SetRoles { member: id("auditor"), roles: [Role::Processor].into() };
    let proposal = plant.state_by_file("officer-1", &Body::Propose(Change::Roles(roles))).await.id;
    plant.state_by_file("officer-2", &Body::Approve(Approve { proposal })).await;
    plant.state_by_file("officer-1", &hold("secret")).await;
    let mut heard = String::new();
    let ended = async {
        while let Some(Ok(chunk)) = events.next().await {
            heard.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the stream goes on");
    assert!(heard.contains("propose") && !heard.contains("secret"), "{heard}");
    let (status, _): (_, Value) = plant.get("/api/v1/overview", &cookie).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}
