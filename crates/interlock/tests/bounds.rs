//! A site under a flood, as a process: its memory stays, and the plant goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{
    Plant,
    house::{House, granting, order},
    id,
};
use node::{Client, Granted, fresh_nonce, now};
use plant::{
    Body,
    body::{Grant, Hold, Order},
};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
};

/// Bytes of memory that a process holds (Linux).
fn memory(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

async fn from(address: [u8; 4], to: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    let connected = tokio::time::timeout(Duration::from_secs(5), socket.connect(to));
    connected.await.ok()?.ok()
}

/// Strangers from 60 addresses on every port of a plant: some silent, some that send
/// what is no handshake, and on the console's port a head that never ends.
async fn flood(ports: &[SocketAddr]) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for nth in 0..240_u8 {
        for port in ports {
            if let Some(mut stream) = from([127, 0, 2, nth % 60 + 1], *port).await {
                let _ = match nth % 3 {
                    0 => Ok(()),
                    1 => stream.write_all(&[0x16, 3, 1, 0x40, 0]).await,
                    _ => stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nslow: ").await,
                };
                held.push(stream);
            }
        }
    }
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_runs_its_way_while_every_port_is_flooded() {
    let house = House::open().await;
    let plant = &house.plant;
    let own = plant.machine("site").0.config.listen.unwrap();
    let listens = |member| plant.machine(member).0.config.listen.unwrap();
    let ports = [own, plant.client_address(), listens("witness-1"), listens("cell-1")];
    // The first requests of a process make what it keeps: pools, buffers, pages.
    house.order("cell-1").await;
    let before = memory(plant.site.id());
    let held = flood(&ports).await;
    assert!(held.len() > 200, "{} connections", held.len());
    let order = house.order("cell-1").await;
    let auditor = plant.machine("auditor").1;
    let witnessed = async {
        loop {
            let path = format!("/api/v1/entries/{order}/proof");
            if auditor.bytes(&path, 1 << 16).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), witnessed).await.expect("it is witnessed");
    let grown = memory(plant.site.id()).saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more for {} connections", held.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_gigabytes_are_refused_and_not_held() {
    let plant = Plant::start(&[]).await;
    let (_, client) = plant.machine("auditor");
    let before = memory(plant.site.id());
    for path in ["/api/v1/entries", "/api/v1/entries/explanation", "/api/v1/cosignatures"] {
        let piece = vec![b'x'; 1 << 20];
        let pieces = futures::stream::iter(
            (0..10 * 1024).map(move |_| Ok::<_, std::io::Error>(piece.clone())),
        );
        let body = reqwest::Body::wrap_stream(pieces);
        let request = client.request(Method::POST, path).header("content-type", "application/json");
        let sent = tokio::time::timeout(Duration::from_secs(60), request.body(body).send());
        if let Ok(answer) = sent.await.expect("the site reads on and on") {
            assert!(answer.status().is_client_error(), "{path}: {}", answer.status());
        }
    }
    let grown = memory(plant.site.id()).saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
}

/// Runs the plant's site with another bound on what one member makes of entries.
async fn twenty_a_minute(plant: &mut Plant) {
    plant.site.kill().unwrap();
    plant.site.wait().unwrap();
    let path = plant.folder("site").join("interlock.toml");
    let known = std::fs::read_to_string(&path).unwrap();
    let bounded = known.replace("entries_a_minute = 6000", "entries_a_minute = 20");
    assert_ne!(known, bounded);
    std::fs::write(&path, bounded).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_interlock"));
    let command = command.arg("serve").arg(plant.folder("site"));
    plant.site = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    plant.ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_ages_no_order_and_is_let_through_in_the_next_minute() {
    let mut house = House::open().await;
    twenty_a_minute(&mut house.plant).await;
    let parcel = house.delivered().await;
    let grant = house.grant(&parcel).await;
    let (node, client) = house.plant.machine("analyst");
    let waiting = Order { max_lag: 45, ..order("cell-1", "part-2") };
    let waiting = house.plant.state_by_file("operator", &Body::Order(waiting)).await;
    let path = format!("/ipfs/{}?format=raw", parcel.manifest.root_cid);
    let head = async || {
        let asked = client.request(Method::HEAD, &path).send().await.unwrap();
        asked.status()
    };
    let mut answers = Vec::new();
    for _ in 0..60 {
        answers.push(head().await);
    }
    assert_eq!(answers.iter().filter(|s| **s == StatusCode::OK).count(), 20, "{answers:?}");
    assert_eq!(answers.last(), Some(&StatusCode::TOO_MANY_REQUESTS));

    // What was read is on the ledger, and its refusals, bounded as all others.
    let auditor = house.plant.machine("auditor").1;
    let made = |word: &str| format!("/entries?limit=500&word={word}");
    let reads: Vec<Value> = auditor.get(&made("read")).await.unwrap();
    let refused: Vec<Value> = auditor.get(&made("refused")).await.unwrap();
    assert_eq!((reads.len(), refused.len()), (20, 20));
    assert_eq!(refused[0]["body"]["refused"]["refusal"]["rule"], "limit");
    let hold = Body::Hold(Hold { cell: Some(id("cell-2")), reason: "a look".into() });
    house.plant.state_witnessed("auditor", &hold).await;
    let path = format!("/orders/{}/explanation", waiting.id);
    let explained: Value = auditor.get(&path).await.unwrap();
    let follow = |check: &&Value| check["found"].as_str().unwrap().contains("entries follow");
    let lag = explained["checks"].as_array().unwrap().iter().find(follow).unwrap();
    assert_eq!(lag["ok"], true, "{lag}");
    // What a member states is counted apart: a reader can still place a hold, if it may.
    let entry = node.sign(&hold, now(), fresh_nonce().unwrap()).unwrap();
    let stated = client.submit(&entry).await.unwrap_err().to_string();
    assert!(stated.contains("policy"), "{stated}");

    // Who reads on in earnest waits, and then has it.
    let granted = Granted::obtain(&node, &client, grant).await.unwrap();
    let key = granted.key(&parcel.manifest.root_cid).await.unwrap();
    assert_eq!(key.commitment(), parcel.key.commitment());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spent_grant_opens_nothing() {
    let house = House::open().await;
    let parcel = house.delivered().await;
    let three = Grant { budget: 3, ..granting(parcel.manifest.order, &parcel.manifest.root_cid) };
    let three = house.plant.state_by_file("officer-1", &Body::Grant(three)).await.id.to_string();
    let client = house.plant.machine("analyst").1;
    let path = format!("/ipfs/{}?format=raw", parcel.manifest.root_cid);
    let ask = async |method: Method, tag: &str| {
        let request = client.request(method, &path).header("if-none-match", tag);
        request.header("interlock-grant", &three).send().await.unwrap()
    };
    assert_eq!(ask(Method::HEAD, "").await.status(), StatusCode::OK);
    let whole = ask(Method::GET, "").await;
    let tag = whole.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(whole.bytes().await.unwrap().as_ref(), b"one");
    // To say that nothing changed is to say that it is here.
    for (method, tag) in [(Method::HEAD, ""), (Method::GET, tag.as_str()), (Method::GET, "")] {
        assert_eq!(ask(method, tag).await.status(), StatusCode::FORBIDDEN, "{tag}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_listens_so_often_and_others_listen_too() {
    let plant = Plant::start(&[]).await;
    let (one, other) = (plant.machine("auditor").1, plant.machine("operator").1);
    let listen =
        async |client: &Client| client.request(Method::GET, "/api/v1/events").send().await.unwrap();
    let mut open = Vec::new();
    for nth in 0..8 {
        let stream = listen(&one).await;
        assert_eq!(stream.status(), StatusCode::OK, "{nth}");
        open.push(stream);
    }
    assert_eq!(listen(&one).await.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(listen(&other).await.status(), StatusCode::OK);
    open.pop();
    let free = async {
        while listen(&one).await.status() != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), free).await.expect("the place came free");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_submits_so_many_entries_a_minute_and_others_go_on() {
    let mut plant = Plant::start(&[]).await;
    twenty_a_minute(&mut plant).await;
    let (node, client) = plant.machine("auditor");
    let hold =
        |nth: u32| Body::Hold(Hold { cell: Some(id("cell-1")), reason: format!("number {nth}") });
    let mut taken = 0;
    let mut refused = 0;
    for nth in 0..60 {
        let entry = node.sign(&hold(nth), now(), fresh_nonce().unwrap()).unwrap();
        let post = client.request(Method::POST, "/api/v1/entries");
        let post = post.header("content-type", "application/json").body(entry.bytes().unwrap());
        match post.send().await.unwrap().status() {
            StatusCode::OK => taken += 1,
            StatusCode::TOO_MANY_REQUESTS => refused += 1,
            other => panic!("{other}"),
        }
    }
    // A minute may end in between.
    assert!((20..=40).contains(&taken) && refused >= 20, "{taken} taken, {refused} refused");
    plant.state_by_file("operator", &hold(100)).await;
}
