//! A site that was stolen lies to the people who sign: what they sign is made from the
//! entries that their own anchors prove, whatever the site says of its state.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use axum::{
    Router,
    body::{Body as HttpBody, Bytes as HttpBytes},
    extract::{Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use base::{Digest, sha256};
use common::house::{House, Parcel, ended, started};
use node::Node;
use plant::{
    Body,
    body::{Change, SetRoles},
};
use policy::Role;
use proof::{
    keys::{PublicKey, SecretKey},
    log::VKey,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    process::Command,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};
use transport::{ClientAuth, Server};

/// What stands between a person and the true site: it has the site's certificate and
/// passes everything on, except what it says of the state.
struct Liar {
    client: reqwest::Client,
    site: String,
    /// What it puts in the place of a part of the state.
    lies: Mutex<BTreeMap<String, Value>>,
}

async fn answer(State(liar): State<Arc<Liar>>, request: Request) -> Response {
    let path = request.uri().path_and_query().unwrap().as_str().to_owned();
    let lie = liar.lies.lock().unwrap().get(request.uri().path()).cloned();
    if let Some(lie) = lie {
        return axum::Json(lie).into_response();
    }
    let method: Method = request.method().clone();
    let kind = request.headers().get("content-type").cloned();
    let body: HttpBytes = axum::body::to_bytes(request.into_body(), 1 << 24).await.unwrap();
    let mut onward = liar.client.request(method, format!("{}{path}", liar.site)).body(body);
    if let Some(kind) = kind {
        onward = onward.header("content-type", kind);
    }
    let Ok(said) = onward.send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let mut answer = Response::builder().status(said.status());
    for (name, value) in said.headers().iter().filter(|(name, _)| *name == "content-type") {
        answer = answer.header(name, value);
    }
    answer.body(HttpBody::from(said.bytes().await.unwrap())).unwrap()
}

/// A plant whose `member` reaches the site only by way of a liar.
struct Stolen {
    house: House,
    liar: Arc<Liar>,
}

impl Stolen {
    async fn by_way_of_a_liar(house: House, member: &str) -> Self {
        let (person, _) = house.plant.machine(member);
        let site = Node::load(&house.plant.folder("site")).unwrap();
        let server = Some(&person.config.site_member);
        let liar = Arc::new(Liar {
            client: transport::client::connect(&person.trust, Some(&person.identity), server)
                .unwrap(),
            site: person.config.site.clone(),
            lies: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&liar));
        let server = Server::new(router, &site.trust, &site.identity, ClientAuth::Required);
        let file = house.plant.folder(member).join("interlock.toml");
        let config = std::fs::read_to_string(&file).unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        assert!(config.contains(&person.config.site));
        std::fs::write(&file, config.replace(&person.config.site, &address)).unwrap();
        tokio::spawn(server.unwrap().run(listener, std::future::pending()));
        Self { house, liar }
    }

    fn lie(&self, part: &str, lie: Value) {
        self.liar.lies.lock().unwrap().insert(format!("/api/v1/state/{part}"), lie);
    }

    async fn truth(&self, part: &str) -> Value {
        self.house.plant.machine("auditor").1.get(&format!("/state/{part}")).await.unwrap()
    }

    /// A command of a person; its exit code and its answer.
    async fn command(&self, member: &str, arguments: &[&str]) -> (i32, Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_interlock"));
        command.arg("--json").arg("--dir").arg(self.house.plant.folder(member)).args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned().into()
        });
        (output.status.code().unwrap(), said)
    }

    /// The body of what a command put on the ledger.
    async fn stated(&self, member: &str, arguments: &[&str]) -> Value {
        let (code, said) = self.command(member, arguments).await;
        assert_eq!(code, 0, "{arguments:?}: {said}");
        let id = said["id"].as_str().or(said["proposal"].as_str());
        let id = id.unwrap_or_else(|| panic!("no entry in {said}"));
        let (_, auditor) = self.house.plant.machine("auditor");
        let entry: Value = auditor.get(&format!("/entries/{id}")).await.unwrap();
        entry["leaf"]["entry"]["statement"]["body"].clone()
    }
}

fn strangers_key() -> PublicKey {
    PublicKey::of(&SecretKey::from_seed(&[7; 32]).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_of_the_sites_gets_into_what_an_officer_proposes() {
    let stolen = Stolen::by_way_of_a_liar(House::open().await, "officer-1").await;
    let key = serde_json::to_value(strangers_key()).unwrap();
    let text = key.to_string();
    let mut members = stolen.truth("members").await;
    for (_, member) in members.as_object_mut().unwrap() {
        member["member"]["keys"].as_array_mut().unwrap().push(key.clone());
        member["member"]["roles"] = json!(["security-officer"]);
    }
    stolen.lie("members", members);
    let mut keys = stolen.truth("keys").await;
    let witness = keys["now"]["log"]["witnesses"][0].as_str().unwrap().parse::<VKey>().unwrap();
    let own = VKey::new("plant.example/own", witness.kind(), [8; 32]).unwrap().to_string();
    keys["now"]["log"]["witnesses"].as_array_mut().unwrap().push(own.clone().into());
    stolen.lie("keys", keys);

    for arguments in [
        &["invite", "operator", "--roles", "operator"][..],
        &["member", "rotate"],
        &["keys", "rotate", "--quorum", "1"],
    ] {
        let body = stolen.stated("officer-1", arguments).await.to_string();
        assert!(body.contains("propose"), "{body}");
        assert!(!body.contains(&text) && !body.contains(&own), "{arguments:?}: {body}");
    }
    // A revocation of all keys is of all that count, also when the site hides one.
    let mut members = stolen.truth("members").await;
    members["operator"]["member"]["keys"] = json!([key]);
    stolen.lie("members", members);
    let stated = ["member", "revoke", "operator", "--all", "--reason", "stolen"];
    let (code, said) = stolen.command("officer-1", &stated).await;
    assert_eq!(code, 0, "{said}");
    let operator = stolen.truth("members").await["operator"].clone();
    let counts = operator["member"]["keys"].as_array().unwrap().len();
    assert_eq!(operator["revoked"].as_object().unwrap().len(), counts, "{operator}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_officer_approves_what_the_ledger_has_and_nothing_from_before() {
    let house = House::open().await;
    let roles = SetRoles { member: "operator".parse().unwrap(), roles: [Role::Auditor].into() };
    let honest = house.plant.state_by_file("officer-2", &Body::Propose(Change::Roles(roles))).await;
    let stolen = Stolen::by_way_of_a_liar(house, "officer-1").await;
    // Its own proposal under the digits of the honest one.
    let short = honest.id.short();
    let other: Digest = format!("{short}{}", &sha256(b"other").to_string()[8..]).parse().unwrap();
    let mut proposals = stolen.truth("proposals").await;
    let map = proposals.as_object_mut().unwrap();
    let shown = map.remove(&honest.id.to_string()).unwrap();
    map.insert(other.to_string(), shown);
    stolen.lie("proposals", proposals);
    // Nobody signs what nobody looked at.
    let (code, said) = stolen.command("officer-1", &["change", "approve", &short]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said["detail"].as_str().unwrap().contains("--yes"), "{said}");
    let body = stolen.stated("officer-1", &["change", "approve", "--yes", &short]).await;
    assert_eq!(body["approve"]["proposal"], honest.id.to_string());
    let unknown = ["change", "approve", "--yes", &other.to_string()];
    let (code, said) = stolen.command("officer-1", &unknown).await;
    assert_eq!(code, 1, "{said}");

    // An old ledger is no answer: what came since may be what matters.
    stolen.house.plant.lag.store(3_600_000, Ordering::Relaxed);
    let refused = async {
        loop {
            let revoke = ["member", "revoke", "operator", "--reason", "stolen"];
            match stolen.command("officer-1", &revoke).await {
                (4, said) => return said,
                // Its newest checkpoint is still from before the witness's clock went back.
                _ => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    };
    let said = tokio::time::timeout(Duration::from_secs(60), refused).await.expect("it is old");
    assert!(said["detail"].as_str().unwrap().contains("witnessed 36"), "{said}");
}

/// A recording of a finished run of `order`, on the ledger.
async fn recorded(house: &House, order: Digest, content: &[u8]) -> String {
    let cell = house.plant.machine("cell-1").0;
    let parcel = Parcel::of(&cell, order, "camera", content);
    house.put_key("cell-1", &parcel, &parcel.signed(&cell)).await;
    house.put_checkpoints("cell-1", &parcel, parcel.body()).await;
    for body in [started(order), ended(order), parcel.entry(&cell)] {
        house.plant.state_by_file("cell-1", &body).await;
    }
    parcel.manifest.root_cid
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_signs_the_approved_program() {
    let stolen = Stolen::by_way_of_a_liar(House::open().await, "operator").await;
    let mut programs = stolen.truth("programs").await;
    programs["scan"]["sha256"] = sha256(b"another").to_string().into();
    stolen.lie("programs", programs);
    let sign = ["order", "sign", "--cell", "cell-1", "--program", "scan", "--part", "p", "--yes"];
    let body = stolen.stated("operator", &sign).await;
    assert_eq!(body["order"]["program"]["sha256"], sha256(b"scan").to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_officer_grants_the_recordings_of_the_run_and_no_other() {
    let house = House::open().await;
    let [first, second] = [house.order("cell-1").await, house.order("cell-1").await];
    let own = recorded(&house, first, b"first").await;
    let other = recorded(&house, second, b"second").await;
    let stolen = Stolen::by_way_of_a_liar(house, "officer-1").await;
    let mut recordings = stolen.truth("recordings").await;
    recordings[&other]["recording"]["order"] = first.to_string().into();
    stolen.lie("recordings", recordings);
    let issue = ["grant", "issue", "--to", "analyst", "--order", &first.to_string()];
    let body = stolen.stated("officer-1", &issue).await;
    assert_eq!(body["grant"]["recordings"], json!([own]));
}
