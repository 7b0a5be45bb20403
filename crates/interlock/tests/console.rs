//! The console of a real site.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use api::{OrderDraft, console::Me};
use base::{Bytes, Digest, Millis, Refusal, Rule, sha256};
use common::{
    Plant,
    house::{House, grant, order, program},
    id, invitation,
};
use node::now;
use plant::{
    Body,
    body::{Approve, Change, Hold, Member, Order, Read, Refused, RevokeGrant, RevokeKey, Shred},
};
use proof::{entry::Entry, keys::PublicKey};
use reqwest::{Client, Method, StatusCode, header};
use serde_json::{Value, json};
use std::{collections::BTreeSet, process::Command};
use testkit::authenticator::Authenticator;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_enrols_by_a_link_signs_in_and_places_a_hold() {
    let plant = Plant::start(&[]).await;
    let link = plant.link("operator");
    let (status, card) = plant.get("/console/v1/plant", "").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(sha256(&base::to_canonical(&card["anchors"]).unwrap()), link.anchors);

    // Nothing but a whole acceptance for this console is taken.
    let person = plant.authenticator();
    let elsewhere = Authenticator::new("localhost", "http://localhost:1").unwrap();
    let whole = plant.accept("operator", &link.key, person.passkey());
    let mut tampered = whole.clone();
    tampered.statement.at = Millis(tampered.statement.at.0 + 1);
    let other = invitation(&[7; 32], now().0 + 60_000);
    let hold = Body::Hold(Hold { cell: None, reason: "no".into() });
    let hold = plant.statement("operator", link.key.public.fingerprint(), &hold);
    for refused in [
        plant.accept("operator", &link.key, elsewhere.passkey()),
        plant.accept("operator", &other, person.passkey()),
        plant.accept("auditor", &link.key, person.passkey()),
        Entry::sign(hold, &link.key.secret).unwrap(),
        tampered,
    ] {
        let (status, problem) = plant.post("/console/v1/enrolments", "", &refused).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{problem}");
    }
    let (status, taken) = plant.post("/console/v1/enrolments", "", &whole).await;
    assert_eq!(
        (status, &taken["index"], &taken["known"]),
        (StatusCode::OK, &json!(1), &json!(false)),
        "strangers' refusals are not on the ledger"
    );
    let (_, again) = plant.post("/console/v1/enrolments", "", &whole).await;
    assert_eq!(again["known"], json!(true));
    let thief = plant.authenticator();
    let used = plant.accept("operator", &link.key, thief.passkey());
    let (status, _) = plant.post("/console/v1/enrolments", "", &used).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "a link is used once");

    let (status, cookie, me) = plant.sign_in(&person).await;
    assert_eq!(status, StatusCode::OK);
    let me: Me = serde_json::from_value(me).unwrap();
    assert_eq!((me.member.as_str(), &me.roles[..]), ("operator", &["operator".to_owned()][..]));
    assert_eq!(me.seal, Some(Bytes(vec![9; 32])));
    assert_eq!(plant.sign_in(&thief).await.0, StatusCode::UNAUTHORIZED);

    // The passkey states; the session alone cannot.
    let hold = |reason: &str| Body::Hold(Hold { cell: None, reason: reason.into() });
    let stolen = plant.sign("operator", &thief, &hold("stolen"));
    let (status, problem) = plant.post("/api/v1/entries", &cookie, &stolen).await;
    assert_eq!((status, &problem["rule"]), (StatusCode::FORBIDDEN, &json!("enrolment")));
    let placed = plant.sign("operator", &person, &hold("a wrench lies there"));
    let (status, taken) = plant.post("/api/v1/entries?wait=witnessed", &cookie, &placed).await;
    assert_eq!(status, StatusCode::OK, "{taken}");
    let (_, holds) = plant.get("/api/v1/state/holds", &cookie).await;
    let stands = &holds[placed.id().unwrap().to_string()];
    assert_eq!(stands["issuer"], "operator");
    assert_eq!(stands["hold"]["reason"], "a wrench lies there");
    let (_, leaf) = plant.get(&format!("/api/v1/entries/{}", placed.id().unwrap()), &cookie).await;
    assert!(leaf["leaf"]["entry"]["signature"]["passkey"].is_object());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_explained_before_it_is_signed_and_traced_after() {
    let plant = Plant::start(&[]).await;
    let (person, cookie) = plant.enter("operator", &plant.link("operator").key).await;
    let order = order("cell-1", "part-1");
    let draft = OrderDraft {
        issuer: id("operator"),
        key: PublicKey::Passkey(person.passkey()).fingerprint(),
        order: serde_json::to_value(&order).unwrap(),
        user_verified: true,
    };
    let (status, said) = plant.post("/api/v1/orders/explanation", &cookie, &draft).await;
    assert_eq!((status, &said["accepted"]), (StatusCode::OK, &json!(false)), "{said}");
    let propose = Body::Propose(Change::Program(program(&["cell-1"])));
    let proposal = plant.state_by_file("integrator", &propose).await.id;
    plant.state_by_file("officer-1", &Body::Approve(Approve { proposal })).await;
    let (_, said) = plant.post("/api/v1/orders/explanation", &cookie, &draft).await;
    assert_eq!(said["accepted"], json!(true), "{said}");
    let (status, _) = plant.post("/api/v1/orders/explanation", &cookie, &json!({})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);

    let mut orders = Vec::new();
    for part in ["part-1", "part-2", "part-3"] {
        let order = Body::Order(Order { part: id(part), ..order.clone() });
        let entry = plant.sign("operator", &person, &order);
        let (status, taken) = plant.post("/api/v1/entries", &cookie, &entry).await;
        assert_eq!(status, StatusCode::OK, "{taken}");
        orders.push((entry.id().unwrap().to_string(), taken["index"].as_u64().unwrap()));
    }
    let (first, last) = (&orders[0], &orders[2]);
    let (status, trace) = plant.get(&format!("/api/v1/orders/{}/trace", first.0), &cookie).await;
    assert_eq!(status, StatusCode::OK);
    let ids: Vec<_> = trace.as_array().unwrap().iter().map(|e| e["id"].clone()).collect();
    assert_eq!(ids, [json!(first.0)]);
    let unknown = plant.get(&format!("/api/v1/orders/{}/trace", "0".repeat(64)), &cookie).await;
    assert_eq!(unknown.0, StatusCode::NOT_FOUND);

    // Lists page, newest first.
    let index = |list: &Value| -> Vec<u64> {
        list.as_array().unwrap().iter().map(|e| e["index"].as_u64().unwrap()).collect()
    };
    let (_, all) = plant.get("/api/v1/entries?word=order", &cookie).await;
    assert_eq!(index(&all), [last.1, orders[1].1, first.1]);
    let page = format!("/api/v1/entries?word=order&issuer=operator&limit=1&before={}", last.1);
    assert_eq!(index(&plant.get(&page, &cookie).await.1), [orders[1].1]);
    assert_eq!(index(&plant.get("/api/v1/entries?word=nothing", &cookie).await.1), [0; 0]);
    let (_, none) = plant.get("/api/v1/entries?issuer=cell-1", &cookie).await;
    assert_eq!(index(&none), [0; 0]);
    let (_, newest) = plant.get("/api/v1/entries?limit=2&before=3", &cookie).await;
    assert_eq!(index(&newest), [2, 1]);
    let (_, state) = plant.get("/api/v1/state/orders?limit=2", &cookie).await;
    let keys: BTreeSet<_> = state.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, BTreeSet::from([orders[1].0.clone(), last.0.clone()]));
    let older = format!("/api/v1/state/orders?limit=2&before={}", orders[1].1);
    let (_, state) = plant.get(&older, &cookie).await;
    assert_eq!(state.as_object().unwrap().keys().collect::<Vec<_>>(), [&first.0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_holds_what_followed_from_its_order_and_nothing_else() {
    let house = House::open().await;
    let plant = &house.plant;
    let (_, cookie) = plant.enter("auditor", &plant.link("auditor").key).await;
    let other = house.order("cell-1").await;
    let parcel = house.delivered().await;
    let (ran, root) = (parcel.manifest.order, parcel.manifest.root_cid.clone());
    let refusal = Refusal {
        who: "operator".into(),
        what: "a run".into(),
        rule: Rule::State,
        reason: "the robot is off".into(),
        accepted: "a robot that is on".into(),
    };
    let refused = Body::Refused(Refused { gate: "motion".into(), refusal, request: Some(other) });
    plant.state_by_file("cell-1", &refused).await;
    let grant = plant.state_by_file("officer-1", &grant(ran, &root)).await.id;
    let read = Read { bytes: 10, cid: "key".into(), grant, root: root.clone() };
    plant.state_by_file("site", &Body::Read(read)).await;
    let revoke = RevokeGrant { grant, reason: "enough".into() };
    plant.state_by_file("officer-1", &Body::RevokeGrant(revoke)).await;
    let shred = Shred { reason: "over".into(), root };
    plant.state_by_file("officer-1", &Body::Shred(shred)).await;

    let words = async |order: Digest| {
        let (status, trace) = plant.get(&format!("/api/v1/orders/{order}/trace"), &cookie).await;
        assert_eq!(status, StatusCode::OK);
        let word = |e: &Value| e["body"].as_object().unwrap().keys().next().unwrap().clone();
        trace.as_array().unwrap().iter().map(word).collect::<Vec<_>>()
    };
    let all = [
        "order",
        "run-started",
        "run-ended",
        "recording",
        "grant",
        "read",
        "revoke-grant",
        "shred",
    ];
    // The site's own word for it follows.
    let found = words(ran).await;
    assert_eq!(&found[..all.len()], all);
    assert_eq!(words(other).await, ["order", "refused"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cells_are_watched_and_stopped_and_a_revoked_passkey_is_out() {
    let plant = Plant::start(&[]).await;
    let (person, cookie) = plant.enter("operator", &plant.link("operator").key).await;
    let (_, cards) = plant.get("/console/v1/cells", &cookie).await;
    assert_eq!(cards[0]["cell"], "cell-1");
    assert_eq!(
        (&cards[0]["reachable"], &cards[0]["error"]),
        (&json!(true), &Value::Null),
        "{cards}"
    );
    assert_eq!(
        (&cards[0]["certificate_days"], &cards[0]["status"]["ready"]),
        (&json!(3), &json!(true))
    );

    let live = plant.ask(Method::GET, "/console/v1/cells/cell-1/live");
    let live = live.header(header::COOKIE, &cookie).send().await.unwrap();
    assert_eq!(live.headers()[header::CONTENT_TYPE], "text/event-stream");
    assert_eq!(live.text().await.unwrap().matches("event: frame").count(), 5);
    let view = plant.ask(Method::GET, "/console/v1/cells/cell-1/view");
    let view = view.header(header::COOKIE, &cookie).send().await.unwrap();
    assert_eq!(view.headers()[header::CONTENT_TYPE], "image/png");
    assert_eq!(view.headers()["interlock-order"], "abc");
    assert_eq!(view.headers()["interlock-viewpoint"], "3");
    assert!(view.headers().get(header::SET_COOKIE).is_none(), "a cell sets no cookie here");
    assert_eq!(view.bytes().await.unwrap().as_ref(), [0x89, b'P', b'N', b'G']);
    let (status, stopped) = plant.post("/console/v1/cells/cell-1/stop", &cookie, &json!({})).await;
    assert_eq!((status, stopped), (StatusCode::OK, json!({ "stopped": true })));
    assert_eq!(*plant.stops.lock().unwrap(), [json!({ "for": "operator" })]);
    let (status, _) = plant.post("/console/v1/cells/cell-9/stop", &cookie, &json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    let key = PublicKey::Passkey(person.passkey()).fingerprint();
    let revoke = RevokeKey { key, member: id("operator"), reason: "lost".into() };
    plant.state_by_file("officer-1", &Body::RevokeKey(revoke)).await;
    assert_eq!(plant.get("/console/v1/session", &cookie).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(plant.get("/api/v1/overview", &cookie).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(plant.sign_in(&person).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_session_every_address_of_the_document_is_closed() {
    let plant = Plant::start(&[]).await;
    let printed =
        Command::new(env!("CARGO_BIN_EXE_interlock")).arg("openapi").output().unwrap().stdout;
    let document: Value = serde_json::from_slice(&printed).unwrap();
    let open =
        ["plant", "enrolments", "challenges", "sessions"].map(|p| format!("/console/v1/{p}"));
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let concrete = path.replace("{cell}", "cell-1").replace("{part}", "orders");
        let concrete: String = concrete
            .split('/')
            .map(|s| if s.starts_with('{') { "x" } else { s })
            .collect::<Vec<_>>()
            .join("/");
        for method in operations.as_object().unwrap().keys() {
            // Signing out when nobody is signed in does nothing.
            if open.contains(path)
                || (path.as_str(), method.as_str()) == ("/console/v1/session", "delete")
            {
                continue;
            }
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = plant.ask(method.clone(), &concrete).body("{}").send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {concrete}");
            asked += 1;
        }
    }
    assert!(asked >= 25, "{asked}");
    for path in [
        "/checkpoint",
        "/tile/0/000",
        "/tile/entries/000",
        "/metrics",
        "/api/openapi.json",
        "/ipfs/bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy?format=raw",
        "/.well-known/did.json",
        "/.well-known/jwks.json",
        "/passports/part-1",
    ] {
        assert_eq!(plant.get(path, "").await.0, StatusCode::UNAUTHORIZED, "{path}");
    }
    // A certificate is not asked for here, and bodies are bounded.
    let (_, cookie) = plant.enter("auditor", &plant.link("auditor").key).await;
    let big = |method: Method, path: &str, bytes: usize| {
        let request = plant.ask(method, path).header(header::COOKIE, &cookie);
        request.body(vec![b' '; bytes]).send()
    };
    let entry = big(Method::POST, "/api/v1/entries", 300 * 1024).await.unwrap();
    assert_eq!(entry.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let sign_in = big(Method::POST, "/console/v1/sessions", 20 * 1024).await.unwrap();
    assert_eq!(sign_in.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let blob = format!("/api/v1/blobs/{}", "0".repeat(64));
    // The server may close before it has read what it refuses.
    if let Ok(blob) = big(Method::PUT, &blob, 17 << 20).await {
        assert_eq!(blob.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_processors_session_sees_and_stops_nothing() {
    let plant = Plant::start(&["--public-passports"]).await;
    let (_, cookie) = plant.enter("officer-1", &plant.link("officer-1").key).await;
    let (_, members) = plant.get("/api/v1/state/members", &cookie).await;
    let mut analyst: Member = serde_json::from_value(members["analyst"]["member"].clone()).unwrap();
    let key = invitation(&[5; 32], now().0 + 60 * 60_000);
    analyst.keys.push(key.public.clone());
    let change = Body::Propose(Change::Member(analyst));
    let proposal = plant.state_by_file("officer-1", &change).await.id;
    plant.state_by_file("officer-2", &Body::Approve(Approve { proposal })).await;
    let (_, processor) = plant.enter("analyst", &key).await;
    for path in [
        "/api/v1/overview",
        "/api/v1/entries",
        "/api/v1/events",
        "/api/v1/state/members",
        "/api/v1/policy/decision?member=analyst&action=order.place",
        "/console/v1/cells",
        "/console/v1/cells/cell-1/live",
        "/console/v1/cells/cell-1/view",
        "/checkpoint",
        "/metrics",
    ] {
        assert_eq!(plant.get(path, &processor).await.0, StatusCode::FORBIDDEN, "{path}");
        if path != "/api/v1/events" && !path.ends_with("live") {
            assert_ne!(plant.get(path, &cookie).await.0, StatusCode::FORBIDDEN, "{path}");
        }
    }
    let (status, _) = plant.post("/console/v1/cells/cell-1/stop", &processor, &json!({})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(plant.stops.lock().unwrap().is_empty());
    assert_eq!(plant.get("/api/v1/grants/own", &processor).await, (StatusCode::OK, json!([])));

    // This plant publishes its passports, and the keys that verify them.
    let (status, did) = plant.get("/.well-known/did.json", "").await;
    assert_eq!((status, &did["id"]), (StatusCode::OK, &json!("did:web:plant.example")));
    assert_eq!(plant.get("/.well-known/jwks.json", "").await.0, StatusCode::OK);
    assert_eq!(plant.get("/passports/part-1", "").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_browsers_are_asked_for_no_certificate_and_told_to_stay() {
    let plant = Plant::start_at(|port| format!("https://hall-7.example.com:{port}"), &[]).await;
    let page = plant.ask(Method::GET, "/").send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(page.headers()["strict-transport-security"], "max-age=63072000");
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"));
    let (_, cookie) = plant.enter("operator", &plant.link("operator").key).await;
    assert_eq!(plant.get("/api/v1/overview", &cookie).await.0, StatusCode::OK);
    // A machine's certificate is no session.
    let (node, _) = plant.machine("auditor");
    let tls = transport::tls::client_config(&node.trust, Some(&node.identity), None).unwrap();
    let address = plant.client_address();
    let machine = Client::builder()
        .tls_backend_preconfigured(tls)
        .resolve("hall-7.example.com", address)
        .build()
        .unwrap();
    let asked = machine.get(format!("{}/api/v1/overview", plant.origin)).send().await.unwrap();
    assert_eq!(asked.status(), StatusCode::UNAUTHORIZED);
}
