//! Watching a cell: frames of a robot that really moves (in simulation), pictures
//! of the run, and who may see them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use capture::Images;
use common::{
    Plant, id,
    recording::{open, run},
};
use node::now;
use plant::{
    Body,
    body::{Approve, Change, Hold, Outcome},
};
use policy::Role;
use reqwest::{Method, Response};
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::timeout;

/// Longer than any frame takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the cell takes of one member at most.
const OF_ONE: usize = 4;

/// Frames as they come.
struct Frames {
    answer: Response,
    text: String,
}

impl Frames {
    async fn of(plant: &Plant, who: &str) -> Self {
        let answer = plant.send(who, Method::GET, "/live", "").await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, text: String::new() }
    }

    /// The next frame; none when the stream has ended.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let frame = event.strip_prefix("event: frame\ndata: ");
                let frame = frame.map(|data| serde_json::from_str(data).unwrap());
                self.text = rest.to_owned();
                if frame.is_some() {
                    return frame;
                }
                continue;
            }
            let chunk = timeout(PATIENCE, self.answer.chunk()).await.expect("no frame came");
            self.text += std::str::from_utf8(&chunk.unwrap()?).unwrap();
        }
    }

    /// Waits for the stream's end.
    async fn end(mut self) {
        let rest = async { while self.next().await.is_some() {} };
        timeout(PATIENCE, rest).await.expect("the stream did not end");
    }
}

fn numbers(value: &Value) -> [f64; 6] {
    let numbers: Vec<f64> = serde_json::from_value(value.clone()).unwrap();
    numbers.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_watched_as_it_happens() {
    let mut plant = Plant::running().await;
    plant.up().await;
    let (code, answer) = plant.ask("anna", Method::GET, "/view").await;
    assert_eq!(code, 404, "{answer}");

    let mut frames = Frames::of(&plant, "anna").await;
    let still = frames.next().await.unwrap();
    assert_eq!((&still["mode"], &still["safety"]), (&"running".into(), &"normal".into()));
    assert!(still["run"].is_null());
    let limits = &still["limits"];
    assert!(limits["joint_speed"][3].as_f64() > limits["joint_speed"][0].as_f64());

    let order = plant.order("part-1", 3);
    let (mut seen, mut said) = (Vec::new(), None);
    loop {
        let frame = frames.next().await.unwrap();
        if frame["run"].is_object() {
            if said.is_none() {
                said = Some(plant.status().await);
            }
            seen.push(frame);
        } else if !seen.is_empty() {
            break;
        }
    }
    let said = said.unwrap();
    if said["run"].is_object() {
        assert_eq!(said["verdict"]["will_move"], true, "{said:#}");
    }
    for frame in &seen {
        assert_eq!(frame["run"]["order"], order.to_string());
        assert_eq!(
            (&frame["run"]["part"], &frame["run"]["program"]),
            (&"part-1".into(), &"scan".into())
        );
    }
    let at: Vec<_> = seen.iter().map(|frame| frame["at"].as_u64().unwrap()).collect();
    assert!(at.is_sorted_by(|a, b| a < b), "{at:?}");
    let joints: Vec<_> = seen.iter().map(|frame| numbers(&frame["q"])).collect();
    assert!(joints.windows(2).any(|w| w[0] != w[1]), "the frames show the motion");
    let fast = |frame: &Value| numbers(&frame["tcp_speed"])[..3].iter().any(|v| v.abs() > 0.01);
    assert!(seen.iter().any(fast), "the tool moves");
    let viewpoints = seen.iter().map(|frame| frame["run"]["viewpoints"].as_u64().unwrap());
    assert!(viewpoints.max() >= Some(2));

    plant.ended(&order, Outcome::Finished, 2).await;
    let answer = plant.send("anna", Method::GET, "/view", "").await;
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("interlock-order"), order.to_string());
    assert_eq!(header("interlock-viewpoint"), "3");
    assert_eq!(header("cache-control"), "no-store");
    let kind = header("content-type");
    let shown = answer.bytes().await.unwrap();
    let pictures = open(&plant, &format!("{}-camera", run(&order)));
    let last = Images::new(&pictures[..]).last().unwrap().unwrap();
    assert_eq!(
        (kind.as_str(), &shown[..]),
        (last.image.encoding.media_type(), &last.image.bytes[..])
    );

    let status = plant.status().await;
    let last = &status["last_run"];
    assert_eq!(
        (&last["order"], &last["part"], &last["outcome"]),
        (&order.to_string().into(), &"part-1".into(), &"finished".into())
    );
    assert!(last["ended_at"].as_u64() >= at.first().copied());

    // Frames go on until the cell ends.
    assert!(frames.next().await.is_some());
    assert!(plant.end());
    frames.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_who_may_watch_do_and_not_longer() {
    let plant = Plant::running().await;
    plant.up().await;
    for (method, path) in [(Method::GET, "/live"), (Method::GET, "/view"), (Method::POST, "/stop")]
    {
        let (code, answer) = plant.ask("pia", method, path).await;
        let problem: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((code, &problem["rule"]), (403, &"policy".into()), "{path}: {answer}");
    }
    // The site asks for people, and a member whose roles are taken away sees no more.
    Frames::of(&plant, "site").await.next().await.unwrap();
    let mut frames = Frames::of(&plant, "ivan").await;
    frames.next().await.unwrap();
    let mut ivan = plant.site.plant().members[&id("ivan")].member.clone();
    ivan.roles = BTreeSet::from([Role::Processor]);
    let proposal = plant.state("olga", &Body::Propose(Change::Member(ivan)));
    plant.state("otto", &Body::Approve(Approve { proposal }));
    frames.end().await;
    let (code, _) = plant.ask("ivan", Method::GET, "/live").await;
    assert_eq!(code, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_are_bounded_and_a_place_comes_free() {
    let plant = Plant::running().await;
    plant.up().await;
    let mut listeners = Vec::new();
    // All sixteen places, and those that the site has for the people of its console.
    for (nth, who) in ["anna", "ivan", "olga", "otto", "site"].into_iter().enumerate() {
        for _ in 0..OF_ONE {
            listeners.push(Frames::of(&plant, who).await);
        }
        let (code, answer) = plant.ask("anna", Method::GET, "/live").await;
        assert!(code == 503 && answer.contains("4 are yours"), "{nth}: {code} {answer}");
    }
    listeners.push(Frames::of(&plant, "site").await);
    listeners.rotate_left(OF_ONE);
    // Nobody reads, and the cell goes on all the same.
    let order = plant.order("part-1", 1);
    plant.ended(&order, Outcome::Finished, 2).await;
    listeners.pop();
    let free = async {
        while plant.send("anna", Method::GET, "/live", "").await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, free).await.expect("the place came free");
    for listener in &mut listeners {
        listener.next().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_says_why_it_will_not_move() {
    let plant = Plant::running().await;
    plant.up().await;
    let verdict = async |words: &str| {
        let wait = async {
            loop {
                let status = plant.status().await;
                let because = status["verdict"]["because"].as_str().unwrap().to_owned();
                if because.contains(words) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never said `{words}`"))
    };
    let status = verdict("it is ready, and no order waits").await;
    assert_eq!(status["verdict"]["will_move"], false);
    assert!(status["reasons"].as_array().unwrap().iter().all(|reason| reason["ok"] == true));
    assert_eq!(status["programs"][0]["id"], "scan");
    assert_eq!(status["programs"][0]["sha256"], base::sha256(testkit::ursim::SCAN).to_string());
    assert_eq!(status["software"], env!("CARGO_PKG_VERSION"));
    assert!(status["certificate_not_after"].as_u64() > Some(now().0));
    assert!(status["last_run"].is_null());

    let hold = Hold { cell: Some(id("cell-1")), reason: "spill".into() };
    plant.state("anna", &Body::Hold(hold));
    let status = verdict("`anna` placed a hold: spill").await;
    let unmet = status["reasons"].as_array().unwrap().iter().filter(|r| r["ok"] == false);
    let unmet: Vec<_> = unmet.map(|reason| reason["rule"].as_str().unwrap()).collect();
    assert_eq!(unmet, ["hold"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_learns_whether_it_is_ready_and_not_why() {
    let plant = Plant::running().await;
    plant.up().await;
    let trust = plant.node("anna").trust;
    let stranger = transport::client::connect(&trust, None, Some(&id("cell-1"))).unwrap();
    let asked = async || {
        let url = format!("https://{}/readyz", plant.listen);
        let answer = stranger.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    plant.until_it_says("it is ready", |s| s["ready"] == true).await;
    assert_eq!(asked().await, (200, "ready\n".to_owned()));

    let order = plant.moving("part-1", 6).await;
    plant.started(&order).await;
    let (code, said) = asked().await;
    let run = run(&order);
    assert!(code == 503 && said.contains("not ready") && !said.contains(&run), "{said}");
    let (code, told) = plant.ask("anna", Method::GET, "/readyz").await;
    assert!(code == 503 && told.contains(&run), "{told}");
}
