//! The site in miniature: honest, gone, or stolen with all of its keys.

use super::id;
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path as UrlPath, Query, State},
    http::StatusCode,
    routing::{get, post, put},
};
use base::Refusal;
use futures::StreamExt;
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
    convert::Infallible,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use transport::{ClientAuth, Problem, Server};
use vault::{address::parse_cid, ingest::ingest_car, store::Store};

/// How the site fails or lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lie {
    /// Checkpoints lack the witness's cosignature.
    Alone,
    /// Checkpoints were cosigned so many milliseconds from now.
    Dated(i64),
    /// Bundles are noise.
    Garbage,
    /// Bundles never end.
    Endless,
    /// Checkpoints come a byte a second.
    Drip,
    /// What arrives is taken, and no answer gets through.
    Unheard,
    /// Recordings are taken when this is over.
    Slow,
    /// A recording's entry is taken, and the answer is lost.
    Interrupted,
    /// Every recording was destroyed.
    Destroyed,
}

/// The keys of a log and of its witness.
#[derive(Clone)]
pub struct Keys {
    pub log: Arc<LogSigner>,
    pub witness: Arc<SecretKey>,
}

impl Keys {
    /// Those of a plant's folder.
    pub fn load(plant: &Path) -> Self {
        let home = folder(plant, &id("site"));
        let node = Node::load(&home).unwrap();
        let key = |path: &Path| SecretKey::from_seed(&read_key(path).unwrap()).unwrap();
        let log = Arc::new(key(&home.join("log.key")));
        let log = LogSigner::new(node.anchors.log.origin(), log).unwrap();
        let witness = key(&folder(plant, &id("witness-1")).join("sign.key"));
        Self { log: Arc::new(log), witness: Arc::new(witness) }
    }
}

/// What the site holds.
pub struct Inside {
    pub leaves: Vec<Vec<u8>>,
    plant: Plant,
    pub gone: bool,
    pub lie: Option<Lie>,
    /// The log that is shown in the place of the true one.
    pub instead: Option<Vec<Vec<u8>>>,
    /// The entries that are served in the place of those that the checkpoint is over.
    pub served: Option<Vec<Vec<u8>>>,
    /// The keys that sign it, when they are not the log's own.
    pub signed_by: Option<Keys>,
    /// How often somebody asked for the checkpoint.
    pub asked: u64,
    pub keys: BTreeMap<String, api::Delivery>,
    pub checkpoints: BTreeMap<String, Vec<u8>>,
    pub cosignatures: Vec<String>,
    /// Whether a request that waits for another size is kept until there is one.
    pub waits: bool,
    /// The sizes that were waited for.
    pub awaited: Vec<usize>,
}

#[derive(Clone)]
pub struct Site {
    inside: Arc<Mutex<Inside>>,
    keys: Keys,
    pub store: Arc<Store>,
}

impl Site {
    pub async fn start(plant: &Path, address: SocketAddr) -> Self {
        let home = folder(plant, &id("site"));
        let node = Node::load(&home).unwrap();
        let genesis = Entry::parse(&std::fs::read(home.join("genesis.json")).unwrap()).unwrap();
        let leaf = Leaf { entry: genesis, logged_at: now() };
        let inside = Inside {
            plant: Plant::begin(&leaf).unwrap(),
            leaves: vec![leaf.bytes().unwrap()],
            gone: false,
            lie: None,
            instead: None,
            served: None,
            signed_by: None,
            asked: 0,
            keys: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            cosignatures: Vec::new(),
            waits: false,
            awaited: Vec::new(),
        };
        let site = Self {
            inside: Arc::new(Mutex::new(inside)),
            keys: Keys::load(plant),
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
        let leaves = inside.instead.as_ref().unwrap_or(&inside.leaves);
        let mut tree = Frontier::new();
        leaves.iter().for_each(|leaf| tree.push(leaf_hash(leaf)));
        let keys = inside.signed_by.as_ref().unwrap_or(&self.keys);
        let signed = keys.log.sign(leaves.len() as u64, tree.root());
        let at = match inside.lie {
            Some(Lie::Alone) => return signed.note().to_vec(),
            Some(Lie::Dated(ms)) => now().0.saturating_add_signed(ms),
            _ => now().0,
        };
        let witness = "plant.example/witness-1";
        let line = cosign(witness, &*keys.witness, signed.checkpoint(), at / 1000).unwrap();
        append_signature_lines(signed.note(), line.as_bytes())
    }

    /// Is honest again.
    pub fn honest(&self) {
        let mut inside = self.inside();
        (inside.lie, inside.instead, inside.signed_by) = (None, None, None);
        inside.served = None;
    }

    /// What has been done is not answered, when that is the lie.
    async fn answer(&self) {
        if self.inside().lie == Some(Lie::Unheard) {
            std::future::pending::<()>().await;
        }
    }

    fn there(&self) -> Result<(), Problem> {
        match self.inside().gone {
            true => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "gone")),
            false => Ok(()),
        }
    }
}

type Answer<T> = Result<T, Problem>;

async fn checkpoint(
    State(site): State<Site>,
    Query(query): Query<BTreeMap<String, u64>>,
) -> Answer<Body> {
    site.there()?;
    if let Some(size) = query.get("size").filter(|_| site.inside().waits) {
        let (size, until) = (*size as usize, now().plus(query["wait_ms"]));
        site.inside().awaited.push(size);
        while site.inside().leaves.len() == size && now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let note = site.note();
    site.answer().await;
    let lie = site.inside().lie;
    if lie != Some(Lie::Drip) {
        return Ok(Body::from(note));
    }
    let bytes = futures::stream::iter(note).then(async |byte| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok::<_, Infallible>(Bytes::from(vec![byte]))
    });
    Ok(Body::from_stream(bytes))
}

async fn tile(State(site): State<Site>, UrlPath(path): UrlPath<String>) -> Answer<Body> {
    site.there()?;
    site.answer().await;
    let lie = site.inside().lie;
    match lie {
        Some(Lie::Garbage) => return Ok(Body::from(vec![0xff; 4096])),
        Some(Lie::Endless) => {
            let noise = || async { Some((Ok::<_, Infallible>(Bytes::from(vec![7; 65536])), ())) };
            return Ok(Body::from_stream(futures::stream::unfold((), move |()| noise())));
        }
        _ => {}
    }
    let tile = Tile::parse(&format!("tile/{path}")).unwrap();
    assert_eq!(tile.level, None, "a follower that has every entry needs no hashes");
    let inside = site.inside();
    let mut bundle = Vec::new();
    let leaves = inside.served.as_ref().or(inside.instead.as_ref()).unwrap_or(&inside.leaves);
    let leaves = leaves.iter().skip((tile.index * FULL) as usize);
    leaves.take(tile.width as usize).for_each(|leaf| push_entry(&mut bundle, leaf).unwrap());
    Ok(Body::from(bundle))
}

async fn submit(State(site): State<Site>, body: Bytes) -> Answer<Json<api::Submitted>> {
    site.there()?;
    let entry: Entry = serde_json::from_slice(&body).unwrap();
    let submitted = site.append(&entry)?;
    let recording = entry.statement.body.get("recording").is_some();
    if recording && !submitted.known && site.inside().lie == Some(Lie::Interrupted) {
        return Err(Problem::new(StatusCode::BAD_GATEWAY, "the answer is lost"));
    }
    site.answer().await;
    Ok(Json(submitted))
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
    if site.inside().lie == Some(Lie::Destroyed) {
        return Err(Problem::new(StatusCode::GONE, "nothing of it is kept any more"));
    }
    site.inside().keys.insert(root, delivery);
    Ok(StatusCode::NO_CONTENT)
}

async fn recording(
    State(site): State<Site>,
    UrlPath(root): UrlPath<String>,
    body: Bytes,
) -> Answer<StatusCode> {
    site.there()?;
    while site.inside().lie == Some(Lie::Slow) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
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
    let mut inside = site.inside();
    let registered = inside.plant.recordings.contains_key(&root);
    let kept = inside.checkpoints.entry(root).or_insert_with(|| body.to_vec());
    match registered && kept[..] != body[..] {
        true => Err(Problem::new(StatusCode::CONFLICT, "its checkpoints are final")),
        false => Ok(StatusCode::NO_CONTENT),
    }
}
