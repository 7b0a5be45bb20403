//! `interlock-cell`: the machine beside the robot.
//!
//! It follows the ledger, decides by itself, moves the robot, records, and
//! delivers. It trusts neither the site's server nor the network: a stolen site
//! can keep orders back, and cannot make the robot move.

mod books;
mod camera;
mod cell;
mod certificate;
mod decide;
mod deliver;
mod files;
#[cfg(test)]
mod fixture;
mod follow;
mod journal;
mod limits;
mod live;
mod outbox;
mod picture;
mod rotate;
mod run;
mod speed;
mod spool;
mod status;
mod tapes;
mod verdict;
mod view;
mod watch;

use anyhow::{Context, bail};
use cell::{Cell, state_dir};
use clap::{Parser, Subcommand};
use journal::Act;
use node::{Node, now};
use plant::body::Outcome;
use robot::{Driver, Link};
use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tracing_subscriber::EnvFilter;
use transport::{ClientAuth, Server};

/// How long a run may go on after the first signal to end.
const LAST_RUN: Duration = Duration::from_secs(60);
/// How long the robot may take to answer at a check.
const HELLO: Duration = Duration::from_secs(5);

/// The cell of an Interlock plant: decides, moves the robot, records.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the cell until it is told to end (SIGTERM; twice to stop a run too).
    Run {
        /// The cell's folder, as `interlock init` made it.
        #[arg(long)]
        dir: PathBuf,
        /// Only check the configuration, connect to the robot and say what is found.
        #[arg(long)]
        check: bool,
        /// Log as JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// The ledger's standing with this cell. The cell must not run.
    Trust {
        /// The cell's folder.
        #[arg(long)]
        dir: PathBuf,
        /// Trust the ledger again, and forget what was seen of it.
        #[arg(long)]
        reset: bool,
    },
    /// The holds that this cell placed on itself. The cell must not run.
    Hold {
        /// The cell's folder.
        #[arg(long)]
        dir: PathBuf,
        /// Forget those that the site never took.
        #[arg(long)]
        reset: bool,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run { dir, check, json } => {
            log(json);
            match check {
                true => find_out(dir).await,
                false => run(dir).await,
            }
        }
        Command::Trust { dir, reset } => trust(&dir, reset),
        Command::Hold { dir, reset } => holds(&dir, reset),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("interlock-cell: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn log(json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json { log.json().init() } else { log.init() }
}

async fn run(dir: PathBuf) -> anyhow::Result<()> {
    let cell = Cell::open(Node::load(&dir)?).await?;
    let mut server = None;
    if let Some(address) = cell.node.config.listen {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("address {address}"))?;
        let router = status::router(cell.clone());
        let (trust, identity) = (&cell.node.trust, &cell.node.identity);
        server = Some((Server::new(router, trust, identity, ClientAuth::Optional)?, listener));
    }
    tracing::info!(cell = %cell.id, site = %cell.node.config.site, "the cell starts");
    cell.recover().await?;
    let mut tasks = JoinSet::new();
    if let Some((server, listener)) = server {
        let mut closing = cell.closing.subscribe();
        tasks.spawn(async move {
            let end = async move {
                // A sender that is gone is an end, too.
                let _ = closing.wait_for(|closing| *closing).await;
            };
            server.run(listener, end).await.context("the HTTP server")
        });
    }
    tasks.spawn(follow::follow(cell.clone()));
    tasks.spawn(live::feed(cell.clone()));
    tasks.spawn(watch::watch(cell.clone()));
    tasks.spawn(deliver::deliver(cell.clone()));
    tasks.spawn(rotate::give_up(cell.clone()));
    tasks.spawn(cell::work(cell.clone()));
    tokio::spawn(signals(cell.clone()));
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.context("a task of the cell").flatten();
        if ended.is_err() && result.is_ok() {
            cell.closing.send_replace(true);
            result = ended;
        }
    }
    tracing::info!("the cell has ended");
    result
}

/// The first signal lets a run finish, the second or too long a run stops it.
async fn signals(cell: Arc<Cell>) -> anyhow::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    tracing::info!("the cell ends; a run in progress is finished first");
    cell.closing.send_replace(true);
    tokio::select! {
        _ = term.recv() => {},
        _ = int.recv() => {},
        () = tokio::time::sleep(LAST_RUN) => {}
    }
    cell.stop(Outcome::Stopped, "the cell shuts down").await
}

async fn find_out(dir: PathBuf) -> anyhow::Result<()> {
    let node = Node::load(&dir)?;
    let config = cell::cell_config(&node)?;
    println!("cell `{}` of site `{}`: the folder is sound", node.member(), node.anchors.site);
    let camera = camera::open(&config.camera, &base::Digest([0; 32]))?;
    println!("camera `{}` is usable", camera.name());
    let robot = cell::connect(&config).await?;
    if let Err(link) = robot.ready(HELLO).await {
        bail!("robot `{}` at {} sends no state: {link:?}", config.robot.name, config.robot.host);
    }
    let health = robot.health();
    if let Link::Connected(c) = &health.link {
        let [major, minor, bugfix, _] = c.version;
        println!(
            "robot `{}` is a {:?} with software {major}.{minor}.{bugfix}, {} samples a second",
            config.robot.name, c.series, c.frequency_hz
        );
    }
    match decide::ready(&health) {
        Ok(()) => println!("it is ready to take an order"),
        Err(why) => println!("it is not ready: {why}"),
    }
    Ok(())
}

fn trust(dir: &std::path::Path, reset: bool) -> anyhow::Result<()> {
    let state = state_dir(dir);
    let _lock = cell::lock(&state)?;
    if !reset {
        match follow::distrust(&state)? {
            Some(why) => println!("the ledger is distrusted: {why}"),
            None => println!("the ledger is trusted"),
        }
        return Ok(());
    }
    match follow::reset(&state)? {
        Some(why) => println!("the ledger is trusted again; it was distrusted because: {why}"),
        None => println!("what was seen of the ledger is forgotten; it was not distrusted"),
    }
    Ok(())
}

fn holds(dir: &std::path::Path, reset: bool) -> anyhow::Result<()> {
    let state = state_dir(dir);
    let _lock = cell::lock(&state)?;
    let mut books = books::Books::open(&state, now())?;
    let placed = books.known().holds.clone();
    for (entry, reason) in placed {
        println!("{entry}: {reason}");
        if reset {
            books.record(now(), Act::Unheld { entry }, vec![])?;
        }
    }
    Ok(())
}
