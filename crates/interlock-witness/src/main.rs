//! The witness: cosigns a log's checkpoint only when it extends all that this
//! witness has cosigned before (C2SP tlog-witness).
//!
//! It runs apart from the site, with its own key and disk, so that a stolen site
//! cannot show two histories. It stores before it answers. When its disk fails it
//! answers 500 and the site finds no quorum: the plant stops taking orders, which is
//! the safe side. A witness whose folder was lost needs a new key.

mod folder;

use anyhow::{Context, Result};
use base::Millis;
use clap::{Parser, Subcommand};
use folder::Folder;
use ledger::{RealFs, WitnessStore, witness_router};
use proof::log::VKey;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use transport::{ClientAuth, Server, peer::only};

/// Cosigns the checkpoints of a plant's ledger.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve `POST /add-checkpoint` to the site, over mutual TLS, until SIGTERM or SIGINT.
    Run {
        /// The witness's folder.
        #[arg(long, env = "INTERLOCK_DIR")]
        dir: PathBuf,
        /// Check the folder, say what it holds and stop.
        #[arg(long)]
        check: bool,
    },
    /// Trust a successor of the log's key (earlier ones count until it has signed), or
    /// other roots of the plant's certificates. Restart the witness after it.
    Trust {
        /// The witness's folder.
        #[arg(long, env = "INTERLOCK_DIR")]
        dir: PathBuf,
        /// The log's new verifier key.
        #[arg(required_unless_present = "authority")]
        key: Option<VKey>,
        /// A file of roots, PEM: all that are to be trusted from then on, in the place of
        /// those in `tls/ca.pem`. May be repeated.
        #[arg(long, value_name = "FILE")]
        authority: Vec<PathBuf>,
    },
    /// Make the key that is to take the place of the witness's own, and print it. Both
    /// cosign, after a restart, until `switch`.
    Next {
        /// The witness's folder.
        #[arg(long, env = "INTERLOCK_DIR")]
        dir: PathBuf,
    },
    /// Put the next key in the place of the old one, which is destroyed: once the
    /// ledger names the new one. Restart the witness after it.
    Switch {
        /// The witness's folder.
        #[arg(long, env = "INTERLOCK_DIR")]
        dir: PathBuf,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let level = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(level).with_writer(std::io::stderr).init();
    let (dir, check) = match Cli::parse().command {
        Command::Run { dir, check } => (dir, check),
        Command::Trust { dir, key, authority } => {
            if !authority.is_empty() {
                folder::trust_authorities(&dir, &authority)?;
            }
            return key.map_or(Ok(()), |key| folder::trust(&dir, &key));
        }
        Command::Next { dir } => {
            println!("{}", folder::next(&dir)?);
            return Ok(());
        }
        Command::Switch { dir } => return folder::switch(&dir),
    };
    let folder = Folder::load(&dir).with_context(|| format!("the folder `{}`", dir.display()))?;
    if check {
        println!("{} is sound: witness {}", dir.display(), folder.core.vkey());
        return Ok(());
    }
    serve(folder).await
}

async fn serve(folder: Folder) -> Result<()> {
    let Folder { member, site, listen, core, data, trust, identity } = folder;
    let clock = Arc::new(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    });
    let vkey = core.vkey().to_string();
    let store = WitnessStore::open(Arc::new(RealFs), &data, core, clock)?;
    // To decide on a request costs verifications; others have nothing to ask.
    let router = only(witness_router(Arc::new(store)), site);
    let server = Server::new(router, &trust, &identity, ClientAuth::Required)?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("`{listen}`"))?;
    let address = listener.local_addr()?;
    tracing::info!(%member, vkey, "the witness listens on {address}");
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    };
    Ok(server.run(listener, shutdown).await?)
}
