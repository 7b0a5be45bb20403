//! What is replaced while the site serves: its own signing key, and the roots of the
//! plant's certificates.
//!
//! When two officers enrolled the next key, the site takes it as soon as a witnessed
//! checkpoint shows that, so that a passport under the new key carries its enrolment.
//! Nothing that the site states is between signing and logging at that moment, so the
//! old key can be given up at once. Roots, too, count once a witnessed checkpoint shows
//! them. What a crash cut goes on at the next start.

use super::Site;
use anyhow::{Context, Result};
use node::{fresh_nonce, now, rotation::Turn};
use std::{sync::Arc, time::Duration};
use tokio::sync::broadcast::error::RecvError;

/// How long to wait before what failed is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// Follows the folder's keys until it is aborted.
pub async fn follow(site: Arc<Site>) {
    let mut events = site.events.subscribe();
    loop {
        let wait = match both(&site).await {
            Ok(true) => continue,
            Ok(false) => None,
            Err(error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the site's key, or a root, is not replaced yet"
                );
                Some(RETRY)
            }
        };
        let changed = async {
            loop {
                match events.recv().await {
                    Ok(event) if event.body.get("approve").is_some() => return true,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return true,
                    Err(RecvError::Closed) => return false,
                }
            }
        };
        let goes_on = match wait {
            Some(wait) => tokio::time::timeout(wait, changed).await.unwrap_or(true),
            None => changed.await,
        };
        if !goes_on {
            return;
        }
    }
}

/// Takes the roots in force and one step of the key; whether there may be another.
async fn both(site: &Arc<Site>) -> Result<bool> {
    take_authorities(site).await?;
    step(site).await
}

async fn take_authorities(site: &Arc<Site>) -> Result<()> {
    let newer = site.node.newer_authorities(&site.plant.read());
    let Some((since, roots)) = newer else { return Ok(()) };
    site.publisher.wait_witnessed(since).await.context("the publisher stopped")?;
    let taking = site.clone();
    let taken = move || taking.node.take_authorities(since, &roots);
    tokio::task::spawn_blocking(taken).await??;
    tracing::info!(since, "the site trusts the roots that the ledger states");
    if let Err(error) = site.node.vouched() {
        tracing::error!(%error, "no machine takes the site's certificate any more");
    }
    Ok(())
}

/// Takes one step; whether there may be another.
async fn step(site: &Arc<Site>) -> Result<bool> {
    let me = site.node.member();
    let (turn, size) = {
        let plant = site.plant.read();
        (site.node.turn(|key| plant.live_key(me, key).is_some())?, plant.size)
    };
    match turn {
        Turn::Rest => return Ok(false),
        Turn::Switch => {
            // The key counts on the site's own word; who follows the log must see it.
            let newest = size.saturating_sub(1);
            site.publisher.wait_witnessed(newest).await.context("the publisher stopped")?;
            let _alone = site.signing.write().await;
            site.node.switch()?;
            tracing::info!("the site signs with its next key from now on");
        }
        Turn::GiveUp(old) => {
            let entry = site.node.give_up(&old, now(), fresh_nonce()?)?;
            site.append(&entry).await?;
            site.node.forget_old()?;
        }
        Turn::Forget => site.node.forget_old()?,
    }
    Ok(true)
}

impl Site {
    /// The index by which the site's key in use was enrolled.
    pub(super) fn key_since(&self, public: &[u8; 32]) -> u64 {
        let plant = self.plant.read();
        let mut spans = plant.history.of(self.node.member());
        let own = spans.find(|s| s.end.is_none() && s.key.as_ed25519() == Some(*public));
        own.map_or(0, |span| span.from)
    }
}
