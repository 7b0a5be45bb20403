//! The site in miniature.

use super::id;
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path as UrlPath, State},
    http::StatusCode,
    routing::{get, post, put},
};
use base::Refusal;
use ledger::layout::{FULL, Tile, push_entry};
use node::{Node, config::read_key, init::folder, now};
use plant::Plant;
use proof::{
    entry::{Entry, Leaf},
    keys::SecretKey,
    log::{
        LogSigner, append_signature_lines, cosign,
        merkle::{Frontier, leaf_hash},
    },
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};
use transport::{ClientAuth, Problem, Server};
use vault::{address::parse_cid, ingest::ingest_car, store::Store};

/// What the site holds.
pub struct Inside {
    leaves: Vec<Vec<u8>>,
    plant: Plant,
    pub gone: bool,
    /// Size of the log that is shown, when it is not the whole.
    pub shown: Option<usize>,
    pub keys: BTreeMap<String, api::Delivery>,
    pub checkpoints: BTreeMap<String, Vec<u8>>,
    pub cosignatures: Vec<String>,
    /// Who signs and cosigns checkpoints.
    pub log: Arc<LogSigner>,
    pub witness: Arc<SecretKey>,
    /// How often the checkpoint was asked for.
    pub asked: u64,
}

#[derive(Clone)]
pub struct Site {
    inside: Arc<Mutex<Inside>>,
    pub store: Arc<Store>,
}

impl Site {
    pub async fn start(plant: &Path, address: SocketAddr) -> Self {
        let home = folder(plant, &id("site"));
        let node = Node::load(&home).unwrap();
        let origin = node.anchors.log.origin().to_owned();
        let key = |path: &Path| SecretKey::from_seed(&read_key(path).unwrap()).unwrap();
        let log = LogSigner::new(&origin, Arc::new(key(&home.join("log.key")))).unwrap();
        let witness = key(&folder(plant, &id("witness-1")).join("sign.key"));
        let genesis = Entry::parse(&std::fs::read(home.join("genesis.json")).unwrap()).unwrap();
        let leaf = Leaf { entry: genesis, logged_at: now() };
        let inside = Inside {
            plant: Plant::begin(&leaf).unwrap(),
            leaves: vec![leaf.bytes().unwrap()],
            gone: false,
            shown: None,
            keys: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            cosignatures: Vec::new(),
            log: Arc::new(log),
            witness: Arc::new(witness),
            asked: 0,
        };
        let site = Self {
            inside: Arc::new(Mutex::new(inside)),
            store: Arc::new(Store::open(home.join("vault")).unwrap()),
        };
        let router = Router::new()
            .route("/checkpoint", get(checkpoint))
            .route("/tile/{*path}", get(tile))
            .route("/api/v1/entries", post(submit))
            .route("/api/v1/cosignatures", post(cosignature))
            .route("/api/v1/recordings/{root}", put(recording))
            .route("/api/v1/recordings/{root}/key", put(recording_key))
            .route("/api/v1/recordings/{root}/checkpoints", put(checkpoints))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(site.clone());
        let limits = transport::server::Limits { body: 1 << 30, ..Default::default() };
        let server = Server::new(router, &node.trust, &node.identity, ClientAuth::Required);
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        tokio::spawn(server.unwrap().limits(limits).run(listener, std::future::pending()));
        site
    }

    pub fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }

    pub fn plant(&self) -> Plant {
        self.inside().plant.clone()
    }

    pub fn entries(&self) -> Vec<Entry> {
        let parse = |leaf: &Vec<u8>| Leaf::parse(leaf).unwrap().entry;
        self.inside().leaves.iter().map(parse).collect()
    }

    pub fn append(&self, entry: &Entry) -> Result<api::Submitted, Refusal> {
        let mut inside = self.inside();
        let id = entry.id().unwrap();
        if let Some(index) = inside.plant.index_of(&id) {
            return Ok(api::Submitted { id, index, known: true });
        }
        let leaf = Leaf { entry: entry.clone(), logged_at: now() }.bytes().unwrap();
        inside.plant.append(&leaf)?;
        inside.leaves.push(leaf);
        Ok(api::Submitted { id, index: inside.plant.size - 1, known: false })
    }

    /// Replaces what the log says at the end, as a thief of its key could.
    pub fn rewrite_last(&self) {
        let mut inside = self.inside();
        let last = inside.leaves.last_mut().unwrap();
        let mut leaf = Leaf::parse(last).unwrap();
        leaf.logged_at = leaf.logged_at.plus(1);
        *last = leaf.bytes().unwrap();
    }

    fn note(&self) -> Vec<u8> {
        let mut inside = self.inside();
        inside.asked += 1;
        let size = inside.shown.unwrap_or(inside.leaves.len());
        let mut tree = Frontier::new();
        inside.leaves[..size].iter().for_each(|leaf| tree.push(leaf_hash(leaf)));
        let signed = inside.log.sign(size as u64, tree.root());
        let (name, time) = ("plant.example/witness-1", now().0 / 1000);
        let line = cosign(name, &*inside.witness, signed.checkpoint(), time);
        append_signature_lines(signed.note(), line.unwrap().as_bytes())
    }

    fn there(&self) -> Result<(), Problem> {
        match self.inside().gone {
            true => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "gone")),
            false => Ok(()),
        }
    }
}

type Answer<T> = Result<T, Problem>;

async fn checkpoint(State(site): State<Site>) -> Answer<Vec<u8>> {
    site.there()?;
    Ok(site.note())
}

async fn tile(State(site): State<Site>, UrlPath(path): UrlPath<String>) -> Answer<Vec<u8>> {
    site.there()?;
    let tile = Tile::parse(&format!("tile/{path}")).unwrap();
    assert_eq!(tile.level, None, "a follower that has every entry needs no hashes");
    let inside = site.inside();
    let mut bundle = Vec::new();
    let leaves = inside.leaves.iter().skip((tile.index * FULL) as usize);
    leaves.take(tile.width as usize).for_each(|leaf| push_entry(&mut bundle, leaf).unwrap());
    Ok(bundle)
}

async fn submit(State(site): State<Site>, body: Bytes) -> Answer<Json<api::Submitted>> {
    site.there()?;
    let entry: Entry = serde_json::from_slice(&body).unwrap();
    Ok(Json(site.append(&entry)?))
}

async fn cosignature(State(site): State<Site>, body: String) -> Answer<StatusCode> {
    site.inside().cosignatures.push(body);
    Ok(StatusCode::NO_CONTENT)
}

async fn recording_key(
    State(site): State<Site>,
    UrlPath(root): UrlPath<String>,
    Json(delivery): Json<api::Delivery>,
) -> Answer<StatusCode> {
    site.there()?;
    site.inside().keys.insert(root, delivery);
    Ok(StatusCode::NO_CONTENT)
}

async fn recording(
    State(site): State<Site>,
    UrlPath(root): UrlPath<String>,
    body: Bytes,
) -> Answer<StatusCode> {
    site.there()?;
    let report = ingest_car(&site.store, &parse_cid(&root).unwrap(), b"", 1 << 30, &body[..]);
    assert!(report.unwrap().root.is_some(), "the whole recording comes at once");
    Ok(StatusCode::NO_CONTENT)
}

async fn checkpoints(
    State(site): State<Site>,
    UrlPath(root): UrlPath<String>,
    body: Bytes,
) -> Answer<StatusCode> {
    site.there()?;
    site.inside().checkpoints.insert(root, body.to_vec());
    Ok(StatusCode::NO_CONTENT)
}
