//! A site whose clock runs ahead of its witnesses' logs nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::Plant;
use node::{fresh_nonce, now};
use plant::{Body, body::Hold};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::{sync::atomic::Ordering, time::Duration};

impl Plant {
    /// Submits a fresh hold; tells the answer.
    async fn hold(&self) -> (StatusCode, Value) {
        let (node, client) = self.machine("operator");
        let body = Body::Hold(Hold { cell: None, reason: "a test".into() });
        let entry = node.sign(&body, now(), fresh_nonce().unwrap()).unwrap();
        let request = client.request(Method::POST, "/api/v1/entries");
        let answer = request.body(entry.bytes().unwrap()).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    /// Submits until the answer has this status.
    async fn hold_until(&self, status: StatusCode) -> Value {
        let until = async {
            loop {
                match self.hold().await {
                    (found, said) if found == status => return said,
                    _ => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), until).await.expect("the site notices")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_logged_in_the_future() {
    let plant = Plant::start(&["--freshness", "5"]).await;
    let (status, said) = plant.hold().await;
    assert_eq!(status, StatusCode::OK, "{said}");
    // Only the difference counts: the witness goes back as the site jumps ahead.
    plant.lag.store(3_600_000, Ordering::Relaxed);
    let said = plant.hold_until(StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(said["rule"], "freshness", "{said}");
    let detail = said["detail"].as_str().unwrap();
    assert!(
        detail.contains("the site's clock says") && detail.contains("the witnesses'"),
        "{said}"
    );
    let auditor = plant.machine("auditor").1;
    let size = async || -> u64 {
        let entries: Vec<Value> = auditor.get("/entries?limit=1").await.unwrap();
        entries[0]["index"].as_u64().unwrap()
    };
    let before = size().await;
    assert_eq!(plant.hold().await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(size().await, before, "not even the refusal");
    plant.lag.store(0, Ordering::Relaxed);
    plant.hold_until(StatusCode::OK).await;
}
