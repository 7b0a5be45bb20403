//! A site under a flood, as a process: its memory stays, and the plant goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Plant, house::House, id};
use node::{fresh_nonce, now};
use plant::{Body, body::Hold};
use reqwest::{Method, StatusCode};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_submits_so_many_entries_a_minute_and_others_go_on() {
    let mut plant = Plant::start(&[]).await;
    plant.site.kill().unwrap();
    plant.site.wait().unwrap();
    let path = plant.folder("site").join("interlock.toml");
    let known = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, known.replace("entries_a_minute = 6000", "entries_a_minute = 20"))
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_interlock"));
    let command = command.arg("serve").arg(plant.folder("site"));
    plant.site = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    plant.ready().await;
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
