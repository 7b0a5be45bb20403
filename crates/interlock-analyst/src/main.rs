//! The processor's side: the outside AI that a plant grants its data to.
//!
//! For each live grant it verifies the whole chain from its own anchors, reads the
//! recordings through the plant's IPFS gateway, looks at the photographs, and files
//! a signed report that names its inputs, references and programs by their hashes.
//! Plaintext stays in memory. It links no robot driver and cannot reach one.

mod analyse;
mod work;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use node::{Client, Node};
use std::{path::PathBuf, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How often the site is asked for new grants.
const POLL: Duration = Duration::from_millis(500);
/// The longest wait after failures.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Analyses what it is granted and reports.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Work until SIGTERM or SIGINT.
    Run {
        /// The processor's folder.
        #[arg(long, env = "INTERLOCK_DIR")]
        dir: PathBuf,
        /// Do what is granted now, then stop.
        #[arg(long)]
        once: bool,
    },
    /// The analyses, with the program text that reports name by its hash.
    Programs,
}

#[tokio::main]
async fn main() -> Result<()> {
    let level = EnvFilter::try_from_env("INTERLOCK_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let (dir, once) = match Cli::parse().command {
        Command::Run { dir, once } => (dir, once),
        Command::Programs => {
            for analysis in analyse::analyses()? {
                let program = analysis.program();
                println!("{} {}\n  {program}", analysis.id(), base::sha256(program.as_bytes()));
            }
            return Ok(());
        }
    };
    let node = Node::load(&dir).with_context(|| format!("the folder `{}`", dir.display()))?;
    let client = Client::of(&node)?;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        done = serve(&node, &client, once) => done,
        _ = term.recv() => Ok(()),
        _ = int.recv() => Ok(()),
    }
}

async fn serve(node: &Node, client: &Client, once: bool) -> Result<()> {
    let software = work::software()?;
    let mut wait = POLL;
    let mut tried = work::Tried::default();
    tracing::info!(member = %node.member(), "waiting for grants");
    loop {
        match work::round(node, client, software, &mut tried).await {
            Ok(()) => wait = POLL,
            Err(error) if once => return Err(error),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "not done; trying again");
                wait = (wait * 2).min(MAX_WAIT);
            }
        }
        if once {
            return Ok(());
        }
        tokio::time::sleep(wait).await;
    }
}
