//! `serve`: the site's server.

use super::context::{Context, Failure};
use crate::site::Site;
use std::{net::SocketAddr, path::PathBuf};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

#[derive(clap::Args)]
pub struct Args {
    /// The site's folder; --dir when absent.
    folder: Option<PathBuf>,
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let dir = args.folder.or_else(|| context.dir.clone());
    let dir = dir
        .ok_or_else(|| Failure::Failed("which folder? e.g. `interlock serve PLANT/site`".into()))?;
    let site = tokio::task::spawn_blocking(move || Site::open(&dir));
    // Opening replays the ledger and starts tasks; it needs the runtime around it.
    let site = site.await??;
    let address = site
        .node
        .config
        .listen
        .ok_or_else(|| Failure::Failed("`interlock.toml` has no `listen` address".into()))?;
    let listener = bind(address).await?;
    tracing::info!(%address, site = %site.node.anchors.site, "serving");
    let console = match &site.node.config.console {
        Some(console) => {
            tracing::info!(address = %console.listen, origin = console.origin, "serving the console");
            Some(bind(console.listen).await?)
        }
        None => None,
    };
    site.clone().serve(listener, console, ended()).await?;
    match site.behind() {
        Some(text) => Err(Failure::Broken(text)),
        None => Ok(()),
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|e| Failure::Failed(format!("{address}: {e}")))
}

/// Completes on SIGTERM or SIGINT.
pub async fn ended() {
    let (Ok(mut term), Ok(mut int)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
}
