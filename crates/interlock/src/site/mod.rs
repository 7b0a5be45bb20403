//! The site's server: ledger, vault and API in one process.
//!
//! It can refuse service and cannot make a robot move: everything it serves is
//! verified by whoever takes it.

mod blobs;
mod cells;
mod clocks;
mod console;
mod cosignatures;
mod entries;
mod events;
mod files;
mod fold;
mod http;
mod index;
mod issue;
mod kept;
pub mod legible;
pub mod own;
mod recordings;
mod room;
mod rotate;
mod standing;
mod wait;
mod witness;

pub use http::openapi;

use anyhow::{Context, Result, bail};
use base::{Digest, Millis, Refusal, Rule, to_canonical};
use blobs::Blobs;
use clocks::Clocks;
use fold::{Checked, Fold, Shared, Unfit};
use index::{Index, Indexed};
use ledger::{AppendError, Appended, Publisher, RealFs, Sequencer, Store, Timing};
use node::{Node, fresh_nonce, now};
use plant::{
    Plant,
    body::{Body, Refused},
};
use proof::{
    entry::{Entry, Leaf},
    log::SignedCheckpoint,
};
use room::Room;
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{RwLock, broadcast, watch},
};
use transport::{ClientAuth, Identity, Limiter, Peer, Places, Server};
use vault::{keys::KeyVault, store::Store as BlockStore};
use wait::Waiting;

/// How many events a slow listener may fall behind before it must read the list.
const EVENT_BACKLOG: usize = 1024;
/// Bytes of small files that one member may store in an hour (2 GiB).
const UPLOADS_AN_HOUR: u64 = 2 << 30;
/// How long a witness's time counts, beside three refreshes.
const CLOCK_PATIENCE: Duration = Duration::from_secs(10);
/// The largest request body: a recording on its way from a cell (64 GiB).
const MAX_UPLOAD: usize = 64 << 30;

/// Everything that a request needs.
pub struct Site {
    /// The site's own folder and key.
    pub node: Node,
    plant: Shared,
    index: Indexed,
    sequencer: Sequencer<Checked>,
    publisher: Publisher,
    blocks: Arc<BlockStore>,
    keys: KeyVault,
    blobs: Blobs,
    events: broadcast::Sender<api::Event>,
    refusals: Limiter,
    /// Entries that each member may submit in a minute.
    submitted: Limiter,
    /// Reads of each member that the site logs in a minute; apart from what is
    /// submitted, so that nobody who reads is kept from placing a hold.
    reads: Limiter,
    /// Bytes of files that each member may store in an hour.
    uploads: Limiter,
    clocks: Arc<Clocks>,
    room: Arc<Room>,
    /// Read while a statement of the site is on its way from its key to the ledger,
    /// written while the key is replaced.
    signing: RwLock<()>,
    /// Held while a member's cosignature is compared with the one that is kept.
    cosigned: Mutex<()>,
    /// Who waits for a checkpoint.
    waiting: Waiting,
    /// Who listens to entries.
    listening: Places,
    /// Whether serving ends.
    ending: watch::Sender<bool>,
}

impl Site {
    /// Opens the site's folder: replays the ledger, opens the vault.
    pub fn open(dir: &Path) -> Result<Arc<Self>> {
        let node = Node::load(dir)?;
        let data = dir.join("data");
        let log_dir = data.join("ledger");
        std::fs::create_dir_all(&log_dir).with_context(|| format!("`{}`", log_dir.display()))?;
        let signers = own::log_signers(dir, node.anchors.log.origin())?;
        let fs: Arc<dyn ledger::Fs> = Arc::new(RealFs);
        if !log_dir.join("tile").exists() && !ledger_exists(&log_dir)? {
            let first = own::signer_of(&signers, node.anchors.log.log_key());
            let first = first.context("`log.key` is not the key that `anchors.json` names")?;
            Store::create(fs.as_ref(), &log_dir, &first)?;
        }
        let mut store = Store::open_with(fs.clone(), &log_dir, signers.clone())?;
        let (plant, index) = replay(&node, &mut store)?;
        let policy = own::in_force(&plant, &node.anchors, plant.size)?;
        let signer = own::signer_of(&signers, policy.log_key()).with_context(|| {
            format!("`{}` holds no key of the log that is in force", dir.display())
        })?;
        SignedCheckpoint::verify(policy.origin(), policy.log_key(), store.committed().note())
            .context("the newest checkpoint on the disk, by the key in force")?;
        store.sign_with(signer.clone());
        tracing::info!(entries = plant.size, "ledger replayed");

        let (events, _) = broadcast::channel(EVENT_BACKLOG);
        let plant = Shared::new(plant);
        let index = Indexed::new(index);
        let server = node.config.server.clone().context("`interlock.toml` has no [server]")?;
        let refresh = Duration::from_millis(server.refresh_ms);
        let (skew_ms, quorum) = (plant.read().anchors.clock_skew_ms, policy.quorum());
        let clocks = Arc::new(Clocks::new(skew_ms, quorum, refresh * 3 + CLOCK_PATIENCE));
        let room = Arc::new(Room::of(data.clone()));
        let means = || -> Result<own::Means> {
            Ok(own::Means {
                dir: dir.to_owned(),
                origin: policy.origin().to_owned(),
                witnesses: server.witnesses.clone(),
                site: node.anchors.site.clone(),
                own: Identity::load(&dir.join("tls"), "node")?,
            })
        };
        let fold = Fold::new(
            plant.clone(),
            index.clone(),
            clocks.clone(),
            room.clone(),
            means()?,
            signer,
            events.clone(),
        );
        let sequencer =
            Sequencer::start(store, Box::new(fold), Arc::new(now), ledger::Limits::default());
        let crew = own::Witnessing::open(&node, plant.clone(), means()?, clocks.clone())?;
        let publisher = Publisher::start_with(
            fs,
            &log_dir,
            Arc::new(crew),
            sequencer.committed(),
            Timing { refresh, ..Timing::default() },
        );
        let blocks = Arc::new(BlockStore::open(data.join("vault"))?);
        let keys = KeyVault::open(data.join("keys"), |bytes| {
            aws_lc_rs::rand::fill(bytes).map_err(std::io::Error::other)
        })?;
        let blobs = Blobs::open(data.join("blobs"))?;
        let refusals = Limiter::new(20, Duration::from_secs(60));
        let submitted = Limiter::new(server.entries_a_minute, Duration::from_secs(60));
        let reads = Limiter::new(server.entries_a_minute, Duration::from_secs(60));
        let uploads = Limiter::new(UPLOADS_AN_HOUR, Duration::from_secs(3600));
        Ok(Arc::new(Self {
            node,
            plant,
            index,
            sequencer,
            publisher,
            blocks,
            keys,
            blobs,
            events,
            refusals,
            submitted,
            reads,
            uploads,
            clocks,
            room,
            signing: RwLock::default(),
            cosigned: Mutex::default(),
            waiting: Waiting::default(),
            listening: events::places(),
            ending: watch::Sender::new(false),
        }))
    }

    /// Serves until `shutdown` completes: machines on `listener`, people on
    /// `consoles` when a console is configured. Ends by itself when the witnesses know
    /// a longer log than this one; [`Site::behind`] then says so.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        consoles: Option<TcpListener>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<()> {
        let desk = match &self.node.config.console {
            Some(config) => Some(console::Desk::open(&self, config)?),
            None => None,
        };
        let consoles = match (&desk, consoles) {
            (Some(desk), Some(listener)) => Some((desk.server()?, listener)),
            _ => None,
        };
        self.clocks.told().await;
        let issuing = tokio::spawn(issue::react(self.clone()));
        let rotating = tokio::spawn(rotate::follow(self.clone()));
        let router = http::router(self.clone());
        let limits = transport::Limits {
            body: MAX_UPLOAD,
            // A recording of many gigabytes takes a while to arrive.
            request: Duration::from_secs(15 * 60),
            ..transport::Limits::default()
        };
        let server =
            Server::new(router, &self.node.trust, &self.node.identity, ClientAuth::Required)?;
        let ending = Ending { desk, begun: self.ending.clone() };
        let (machines, people) = (ending.wait(), ending.wait());
        let console = async {
            match consoles {
                Some((server, listener)) => server.run(listener, people).await,
                None => Ok(()),
            }
        };
        let mut both = std::pin::pin!(async {
            // One that fails takes the other with it.
            tokio::try_join!(server.limits(limits).run(listener, machines), console)
        });
        let served = tokio::select! {
            done = &mut both => done,
            () = shutdown => {
                ending.begin();
                both.await
            }
            () = self.fell_behind() => {
                ending.begin();
                both.await
            }
            () = self.stopped() => {
                ending.begin();
                both.await
            }
        };
        issuing.abort();
        let stopped = self.sequencer.committed().has_changed().is_err();
        rotating.abort();
        self.sequencer.close().await;
        served?;
        if stopped {
            bail!(
                "the ledger in `{}` has stopped, its log says why: see to its disk and start the \
                 site again",
                self.node.dir.join("data/ledger").display()
            );
        }
        Ok(())
    }

    /// Completes when the ledger has stopped by itself. Memory may then be ahead of the
    /// disk, so nothing is to be served from it: a service manager starts the site anew.
    async fn stopped(&self) {
        let mut committed = self.sequencer.committed();
        while committed.changed().await.is_ok() {}
    }

    /// Appends an entry; durable when this returns.
    async fn append(&self, entry: &Entry) -> Result<Appended, AppendError> {
        match Checked::of(&self.plant, entry) {
            Ok(entry) => self.append_checked(entry).await,
            Err(Unfit::Refused(refusal)) => Err(refusal.into()),
            Err(Unfit::Form(e)) => Err(AppendError::Stopped(e.to_string())),
        }
    }

    /// The one way into the sequencer.
    async fn append_checked(&self, entry: Checked) -> Result<Appended, AppendError> {
        self.whole().await?;
        self.sequencer.append(entry).await
    }

    /// States something as the site.
    async fn state(&self, body: &Body) -> Result<Appended, AppendError> {
        let stopped = |e: &dyn std::fmt::Display| AppendError::Stopped(e.to_string());
        let nonce = fresh_nonce().map_err(|e| stopped(&e))?;
        let _same_key = self.signing.read().await;
        let entry = self.node.sign(body, now(), nonce).map_err(|e| stopped(&e))?;
        self.append(&entry).await
    }

    /// Refuses more entries of a member's making than so many a minute, which `made`
    /// counts: the ledger is kept for ever, and each entry ages the orders that wait.
    fn within(&self, made: &Limiter, peer: &Peer, what: String) -> Result<(), Refusal> {
        if made.spend(peer.member.as_str(), 1, now()) {
            return Ok(());
        }
        let most = self.node.config.server.as_ref().map_or(0, |server| server.entries_a_minute);
        Err(Refusal {
            who: peer.member.to_string(),
            what,
            rule: Rule::Limit,
            reason: format!("it was done {most} times in this minute"),
            accepted: format!("at most {most} times a minute; try again in a minute"),
        })
    }

    /// Puts a refusal on record, bounded in rate for each peer.
    async fn refuse(&self, gate: &str, peer: &str, request: Option<Digest>, refusal: &Refusal) {
        tracing::warn!(gate, peer, rule = %refusal.rule, reason = %refusal.reason, "refused");
        if !self.refusals.spend(peer, 1, now()) {
            return;
        }
        let mut refusal = refusal.clone();
        for text in
            [&mut refusal.who, &mut refusal.what, &mut refusal.reason, &mut refusal.accepted]
        {
            if text.chars().count() > 500 {
                *text = text.chars().take(500).collect();
            }
        }
        let body = Body::Refused(Refused { gate: gate.into(), refusal, request });
        if let Err(e) = self.state(&body).await {
            tracing::error!(error = %e, "a refusal could not be recorded");
        }
    }
}

/// The end of serving, told to both listeners, who waits and the console's streams.
struct Ending {
    desk: Option<Arc<console::Desk>>,
    begun: watch::Sender<bool>,
}

impl Ending {
    fn begin(&self) {
        self.begun.send_replace(true);
        self.desk.iter().for_each(|desk| desk.close());
    }

    /// Completes when the end has begun.
    fn wait(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut begun = self.begun.subscribe();
        async move {
            // A closed channel means that nobody serves any more.
            let _ = begun.wait_for(|begun| *begun).await;
        }
    }
}

fn ledger_exists(dir: &Path) -> Result<bool> {
    Ok(std::fs::read_dir(dir)?.next().is_some())
}

/// Folds what is on disk; begins the plant when there is nothing.
fn replay(node: &Node, store: &mut Store) -> Result<(Plant, Index)> {
    let mut rows = Index::default();
    if store.size() == 0 {
        let path = node.dir.join("genesis.json");
        let bytes = std::fs::read(&path).with_context(|| format!("`{}`", path.display()))?;
        let leaf = Leaf { entry: Entry::parse(&bytes)?, logged_at: now() };
        let plant = Plant::begin(&leaf)?;
        check_genesis(node, &plant)?;
        store.commit(&[to_canonical(&leaf)?])?;
        enter(&mut rows, &plant, leaf)?;
        return Ok((plant, rows));
    }
    let (mut plant, size) = (None::<Plant>, store.size());
    store.reader().for_each_entry(0..size, size, |index, bytes: &[u8]| -> Result<()> {
        let leaf = Leaf::parse(bytes)?;
        match &mut plant {
            None => {
                let begun = Plant::begin(&leaf)?;
                check_genesis(node, &begun)?;
                plant = Some(begun);
            }
            Some(plant) => {
                plant.append(bytes).with_context(|| format!("ledger entry {index}"))?;
            }
        }
        plant.iter().try_for_each(|plant| enter(&mut rows, plant, leaf.clone()))
    })?;
    Ok((plant.context("the ledger is empty")?, rows))
}

/// Takes a leaf that the plant has applied into the index.
fn enter(rows: &mut Index, plant: &Plant, leaf: Leaf) -> Result<()> {
    let (id, statement) = (leaf.entry.id()?, leaf.entry.statement);
    let body: Body = serde_json::from_value(statement.body)?;
    rows.add(plant, &id, &statement.issuer, &body);
    Ok(())
}

fn check_genesis(node: &Node, plant: &Plant) -> Result<()> {
    if plant.genesis != node.anchors.genesis {
        let (found, expected) = (plant.genesis, node.anchors.genesis);
        bail!("the ledger begins with genesis {found}, `anchors.json` names {expected}");
    }
    Ok(())
}

/// A time that is later than all that clients may rely on; for answers that say
/// how old they are.
fn witnessed_at(publisher: &Publisher) -> (u64, Millis) {
    publisher.latest().map(|c| (c.size(), c.witnessed_at())).unwrap_or_default()
}
