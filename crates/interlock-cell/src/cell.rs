//! What the cell's tasks share, and the loop that decides.
//!
//! ```text
//! follow ──► View ──┐
//! driver ──► health ├─► decide ──► run ──► Books ──► deliver ──► site
//! journal ──────────┘                                   watch: motion without an order
//! ```
//!
//! Locks are taken in the order view, books, distrust, and never held across an
//! await.

use crate::{
    books::Books,
    camera, certificate, decide,
    decide::{Local, Next, Standing},
    files, follow,
    journal::Act,
    live::Live,
    outbox::Item,
    picture::Picture,
    rotate, run,
    spool::Spool,
    view::View,
};
use anyhow::{Context, bail};
use base::{Digest, Id, Millis, Refusal};
use node::{Client, Node, config::CellConfig, fresh_nonce, now};
use plant::body::{Body, Hold, Outcome, Refused, RunEnded};
use proof::entry::Entry;
use robot::{Driver, UrConfig, UrDriver};
use serde::Serialize;
use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::watch;

/// How long a Dashboard answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a waiting cell looks again.
const LOOK: Duration = Duration::from_millis(200);
/// How long a cell that the disk keeps from working waits.
const OBSTACLE: Duration = Duration::from_secs(2);
/// Bytes that must be free before a run may start, so that it does not end for want of
/// them.
const RUN_BYTES: u64 = 64 << 20;
/// How often a stop is tried.
const STOP_TRIES: u32 = 3;

/// The folder of a cell's own state, within its node's folder.
pub fn state_dir(node: &Path) -> PathBuf {
    node.join("cell")
}

/// A run in progress.
#[derive(Clone, Debug, Serialize)]
pub struct Running {
    /// The order's entry.
    pub order: Digest,
    /// The run.
    pub run: Id,
    /// The part.
    pub part: Id,
    /// The program.
    pub program: Id,
    /// When the order was used.
    pub since: Millis,
    /// Viewpoints photographed so far.
    pub viewpoints: u32,
}

/// Why a run is to end early.
#[derive(Clone, Debug, PartialEq)]
pub struct Halt {
    /// What the run's end is to say.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
}

/// The cell.
pub struct Cell {
    /// Its name as a member.
    pub id: Id,
    /// Its keys, anchors and configuration.
    pub node: Node,
    /// Robot and camera.
    pub config: CellConfig,
    /// The way to the site.
    pub client: Client,
    /// The robot.
    pub driver: Arc<dyn Driver>,
    /// Recordings.
    pub spool: Spool,
    /// Why the run is to end early.
    pub halt: watch::Sender<Option<Halt>>,
    /// Counts what happened, so that others look again.
    pub changed: watch::Sender<u64>,
    /// Whether the cell shuts down.
    pub closing: watch::Sender<bool>,
    /// Those who watch the robot.
    pub live: Live,
    /// When the cell's own certificate ends.
    pub certificate_not_after: Millis,
    dir: PathBuf,
    view: RwLock<View>,
    books: Mutex<Books>,
    distrust: Mutex<Option<String>>,
    running: Mutex<Option<Running>>,
    obstacle: Mutex<Option<String>>,
    unwritten_hold: Mutex<Option<(Act, Item)>>,
    trouble: Mutex<Option<String>>,
    picture: Mutex<Option<Picture>>,
    _lock: File,
}

impl Cell {
    /// Opens a cell's folder and starts connecting to its robot.
    ///
    /// # Errors
    /// The configuration is no cell's, another process runs, the disk fails, or a
    /// file is not what was written.
    pub async fn open(node: Node) -> anyhow::Result<Arc<Self>> {
        let config = cell_config(&node)?;
        let dir = state_dir(&node.dir);
        let lock = lock(&dir)?;
        camera::open(&config.camera, &Digest([0; 32]))?;
        let driver = connect(&config).await?;
        let distrust = follow::distrust(&dir)?;
        if let Some(why) = &distrust {
            tracing::error!(why, "the ledger is distrusted: no order is taken");
        }
        Ok(Arc::new(Self {
            id: node.member().clone(),
            client: Client::of(&node)?,
            config,
            driver,
            spool: Spool::open(&dir.join("spool"))?,
            halt: watch::Sender::new(None),
            changed: watch::Sender::new(0),
            closing: watch::Sender::new(false),
            live: Live::default(),
            certificate_not_after: certificate::not_after(&node)?,
            view: RwLock::default(),
            books: Mutex::new(Books::open(&dir, now())?),
            distrust: Mutex::new(distrust),
            running: Mutex::default(),
            obstacle: Mutex::default(),
            unwritten_hold: Mutex::default(),
            trouble: Mutex::default(),
            picture: Mutex::default(),
            dir,
            node,
            _lock: lock,
        }))
    }

    /// The folder of its state.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The plant as folded.
    pub fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The journal and outbox.
    pub fn books(&self) -> MutexGuard<'_, Books> {
        locked(&self.books)
    }

    /// The run in progress.
    pub fn running(&self) -> MutexGuard<'_, Option<Running>> {
        locked(&self.running)
    }

    /// Why the cell itself cannot start a run, besides the robot.
    pub fn obstacle(&self) -> MutexGuard<'_, Option<String>> {
        locked(&self.obstacle)
    }

    /// Why the ledger cannot be followed just now, which is no reason to distrust it.
    pub fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        locked(&self.trouble)
    }

    /// A hold that the disk had no room for.
    fn unwritten_hold(&self) -> MutexGuard<'_, Option<(Act, Item)>> {
        locked(&self.unwritten_hold)
    }

    fn unwritten_reason(&self) -> Option<String> {
        match &*self.unwritten_hold() {
            Some((Act::Held { reason, .. }, _)) => Some(reason.clone()),
            _ => None,
        }
    }

    /// The newest picture of a run.
    pub fn picture(&self) -> MutexGuard<'_, Option<Picture>> {
        locked(&self.picture)
    }

    /// Why the ledger is distrusted.
    pub fn distrust(&self) -> Option<String> {
        locked(&self.distrust).clone()
    }

    /// Changes the plant as folded. When the change says that the ledger lies, it
    /// is distrusted from that moment, also after a restart.
    pub fn fold(&self, change: impl FnOnce(&mut View) -> Result<(), String>) -> Result<(), String> {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let folded = change(&mut view);
        if let Err(why) = &folded {
            tracing::error!(why, "the ledger is distrusted from now on: no order is taken");
            *locked(&self.distrust) = Some(why.clone());
            if let Err(error) = files::replace(&follow::distrust_path(&self.dir), why.as_bytes()) {
                tracing::error!(%error, "the distrust could not be written down");
            }
        }
        drop(view);
        self.notify();
        folded
    }

    /// Makes waiting tasks look again.
    pub fn notify(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Looks at everything that a decision rests on, at one moment.
    pub fn look<T>(&self, look: impl FnOnce(&View, &Local<'_>) -> T) -> T {
        let view = self.view();
        let books = self.books();
        let distrust = self.distrust();
        let standing = self.standing(&view, &books);
        let known = books.known();
        look(&view, &Local { cell: &self.id, known, distrust: distrust.as_deref(), standing })
    }

    fn standing(&self, view: &View, books: &Books) -> Standing {
        Standing {
            closing: *self.closing.borrow(),
            run: self.running().clone(),
            trouble: self.trouble().clone(),
            hold: view.own_hold(&books.known().holds).or_else(|| self.unwritten_reason()),
            obstacle: self.obstacle().clone().or_else(|| self.room(RUN_BYTES).err()),
            robot: decide::ready(&self.driver.health()).err().map(|why| why.to_string()),
        }
    }

    /// Signs a statement of the cell.
    pub fn sign(&self, body: &Body) -> anyhow::Result<Entry> {
        Ok(self.node.sign(body, now(), fresh_nonce()?)?)
    }

    /// Whether the cell's disk has so many bytes to spare.
    ///
    /// # Errors
    /// Words for people: how much is free, where, and how much is needed.
    pub fn room(&self, bytes: u64) -> Result<(), String> {
        node::disk::room(&self.dir, bytes)
    }

    /// Waits after a failure of the disk that another try may mend, and says meanwhile
    /// why nothing moves.
    ///
    /// # Errors
    /// The failure again: the journal takes nothing any more, or the cell closes.
    pub async fn set_back(&self, what: &str, error: anyhow::Error) -> anyhow::Result<()> {
        if self.books().is_broken() || *self.closing.borrow() {
            return Err(error.context(what.to_owned()));
        }
        let why = format!("{what}: {error:#}");
        tracing::error!(why, "the cell tries again");
        *self.obstacle() = Some(why);
        tokio::time::sleep(OBSTACLE).await;
        *self.obstacle() = None;
        Ok(())
    }

    /// Writes an act down, durably, and queues what it causes.
    pub fn record(&self, act: Act, items: Vec<Item>) -> anyhow::Result<()> {
        tokio::task::block_in_place(|| self.books().record(now(), act, items))?;
        self.notify();
        Ok(())
    }

    /// Refuses an order for good, and says so on the ledger.
    fn refuse(&self, order: Digest, refusal: Refusal) -> anyhow::Result<()> {
        tracing::warn!(order = %order.short(), %refusal, "an order is refused");
        let body = Body::Refused(Refused { gate: "motion".into(), refusal, request: Some(order) });
        let entry = Item::Entry(Box::new(self.sign(&body)?));
        self.record(Act::Refused { order }, vec![entry])
    }

    /// Writes down a hold that the disk had no room for, once it has.
    pub fn catch_up(&self) {
        let unwritten = self.unwritten_hold().clone();
        if let Some((act, entry)) = unwritten
            && self.record(act, vec![entry]).is_ok()
        {
            *self.unwritten_hold() = None;
        }
    }

    /// Whether something is so of an item that the site does not have yet, wherever
    /// the disk let it get to.
    pub fn owes(&self, so: impl Fn(&Item) -> bool) -> bool {
        // In the order of an item's way, so that none slips past.
        let unwritten = self.unwritten_hold().as_ref().is_some_and(|(_, item)| so(item));
        unwritten || self.books().waiting().any(so)
    }

    /// Stops the robot, whoever moves it, and ends the run in progress.
    ///
    /// # Errors
    /// The controller did not confirm.
    pub async fn stop(&self, outcome: Outcome, reason: &str) -> anyhow::Result<()> {
        tracing::warn!(reason, "the robot is stopped");
        let halt = Halt { outcome, reason: reason.to_owned() };
        self.halt.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(halt);
            first
        });
        let mut last = Ok(());
        for _ in 0..STOP_TRIES {
            last = self.driver.stop().await;
            if last.is_ok() {
                break;
            }
        }
        Ok(last?)
    }

    /// Places a hold on this cell, here at once and on the ledger when it can, and
    /// stops the robot, whatever the disk says.
    pub async fn hold(&self, reason: String) -> anyhow::Result<()> {
        tracing::error!(reason, "the cell holds itself");
        let hold = Hold { cell: Some(self.id.clone()), reason: reason.clone() };
        let entry = self.sign(&Body::Hold(hold))?;
        let act = Act::Held { entry: entry.id()?, reason: reason.clone() };
        let entry = Item::Entry(Box::new(entry));
        let written = self.record(act.clone(), vec![entry.clone()]);
        if written.is_err() {
            *self.unwritten_hold() = Some((act, entry));
        }
        let stopped = self.stop(Outcome::Stopped, &reason).await;
        written.and(stopped)
    }

    /// Ends the runs that a crash cut: the robot is stopped, the order stays used.
    ///
    /// # Errors
    /// The disk failed.
    pub async fn recover(&self) -> anyhow::Result<()> {
        let unfinished: Vec<_> = self.books().known().unfinished().copied().collect();
        for order in unfinished {
            tracing::warn!(order = %order.short(), "a run was cut by a restart of the cell");
            let reason =
                "the cell restarted during the run; what it had recorded is lost".to_owned();
            if let Err(error) = self.stop(Outcome::Failed, &reason).await {
                tracing::error!(%error, "the robot did not confirm the stop");
            }
            let ended = RunEnded {
                lost: 0,
                order,
                outcome: Outcome::Failed,
                reason,
                samples: 0,
                viewpoints: 0,
            };
            let entry = Item::Entry(Box::new(self.sign(&Body::RunEnded(ended))?));
            self.record(Act::Ended { order }, vec![entry])?;
        }
        Ok(())
    }
}

/// Decides and runs, one order at a time, until the cell closes.
///
/// # Errors
/// The disk failed: nothing may move any more.
pub async fn work(cell: Arc<Cell>) -> anyhow::Result<()> {
    let (mut changed, mut closing) = (cell.changed.subscribe(), cell.closing.subscribe());
    while !*closing.borrow_and_update() {
        changed.mark_unchanged();
        rotate::between_runs(&cell);
        // A stop from now on is a stop of what is decided next.
        cell.halt.send_replace(None);
        match cell.look(|view, local| decide::next(view, local, now())) {
            Next::Start(order) => {
                tracing::info!(order = %order.order(), "an order is permitted");
                run::carry_out(&cell, order).await?;
            }
            Next::Refuse(order, refusal) => {
                if let Err(error) = cell.refuse(order, refusal) {
                    cell.set_back("a refusal could not be written down", error).await?;
                }
            }
            Next::Idle => {
                tokio::select! {
                    _ = changed.changed() => {}
                    _ = closing.changed() => {}
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        }
    }
    Ok(())
}

/// The configuration of a cell.
pub fn cell_config(node: &Node) -> anyhow::Result<CellConfig> {
    let missing = "`interlock.toml` has no [cell.robot] and [cell.camera]: a cell needs both";
    node.config.cell.clone().context(missing)
}

/// Takes the cell's folder for this process.
pub fn lock(dir: &Path) -> anyhow::Result<File> {
    std::fs::create_dir_all(dir).with_context(|| format!("folder `{}`", dir.display()))?;
    let file = File::create(dir.join("lock"))?;
    if file.try_lock().is_err() {
        bail!("another process runs this cell: `{}` is locked", dir.display());
    }
    Ok(file)
}

/// Starts connecting to the robot.
pub async fn connect(config: &CellConfig) -> anyhow::Result<Arc<UrDriver>> {
    let robot = &config.robot;
    let address = async |port: u16| {
        let host = (robot.host.as_str(), port);
        let mut found = tokio::net::lookup_host(host).await?;
        let none = || format!("the robot's host `{}` has no address", robot.host);
        found.next().with_context(none)
    };
    let (dashboard, rtde) = (address(robot.dashboard).await?, address(robot.rtde).await?);
    let config = UrConfig { dashboard, rtde, from: robot.from, patience: PATIENCE };
    Ok(Arc::new(UrDriver::connect(config, Arc::new(host_ns))))
}

/// The host's clock in nanoseconds since the Unix epoch.
pub fn host_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
