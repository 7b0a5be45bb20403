//! What the site does by itself when something is logged: it issues the passport
//! of a report, and destroys a key when a shredding was asked for.
//!
//! Both are found from the plant's state, so what a crash interrupted is done at
//! the next start.

use super::Site;
use anyhow::{Context, Result};
use base::Digest;
use node::now;
use passport::{Draft, Idle, ProvenLeaf, excerpt_for, rests_on};
use plant::{Body, body};
use proof::{
    entry::Leaf,
    keys::{SecretKey, Signer},
    recording::SignedManifest,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::broadcast::error::RecvError;

/// How long to wait before what failed is tried again.
const RETRY: Duration = Duration::from_secs(60);

/// Reacts to entries until it is aborted.
pub async fn react(site: Arc<Site>) {
    let mut events = site.events.subscribe();
    loop {
        let done = settle(&site).await;
        if let Err(error) = &done {
            tracing::error!(
                error = format!("{error:#}"),
                "what the ledger asks for is not done yet"
            );
        }
        let wait = async {
            loop {
                match events.recv().await {
                    Ok(event) => {
                        let word = event.body.as_object().and_then(|o| o.keys().next());
                        if word.is_some_and(|w| w == "report" || w == "shred") {
                            return true;
                        }
                    }
                    Err(RecvError::Lagged(_)) => return true,
                    Err(RecvError::Closed) => return false,
                }
            }
        };
        let goes_on = match done {
            Ok(()) => wait.await,
            Err(_) => tokio::time::timeout(RETRY, wait).await.unwrap_or(true),
        };
        if !goes_on {
            return;
        }
    }
}

/// Does everything that the plant's state asks for and that is not done.
async fn settle(site: &Arc<Site>) -> Result<()> {
    let (reports, shreds) = {
        let plant = site.plant.read();
        let reports: Vec<Digest> =
            plant.reports.iter().filter(|(_, r)| r.passport.is_none()).map(|(id, _)| *id).collect();
        let shreds: Vec<(String, Digest)> = plant
            .recordings
            .iter()
            .filter(|(_, r)| !r.shredded)
            .filter_map(|(root, r)| Some((root.clone(), r.shred?)))
            .collect();
        (reports, shreds)
    };
    // What fails does not hold up the rest; it is tried again with the next event or
    // after a while.
    let mut failed = None;
    for (root, shred) in shreds {
        if let Err(error) = destroy(site, &root, shred).await {
            tracing::error!(root, error = format!("{error:#}"), "a key is not destroyed yet");
            failed = Some(error);
        }
    }
    for report in reports {
        if let Err(error) = pass(site, report).await {
            let report = report.short();
            tracing::error!(report, error = format!("{error:#}"), "a passport is not issued");
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn destroy(site: &Arc<Site>, root: &str, shred: Digest) -> Result<()> {
    let (work, name) = (site.clone(), root.to_owned());
    let commitment = tokio::task::spawn_blocking(move || work.destroy(&name)).await??;
    let root = root.to_owned();
    site.state(&Body::Shredded(body::Shredded { commitment, root, shred })).await?;
    Ok(())
}

async fn pass(site: &Arc<Site>, report: Digest) -> Result<()> {
    let index = site.plant.read().index_of(&report).context("a report without an index")?;
    let (signer, newest) = loop {
        // The evidence must show the enrolment of the key that signs it, and not its end.
        let signer = site.node.signer.current();
        let index = index.max(site.key_since(&signer.public()));
        let newest = site.publisher.wait_witnessed(index).await.context("the publisher stopped")?;
        if Arc::ptr_eq(&signer, &site.node.signer.current()) {
            break (signer, newest);
        }
    };
    let work = site.clone();
    let issued = tokio::task::spawn_blocking(move || issue(&work, &signer, &report, &newest));
    let issued = issued.await??;
    site.state(&Body::Passport(issued)).await?;
    Ok(())
}

fn issue(
    site: &Site,
    signer: &SecretKey,
    report: &Digest,
    newest: &proof::log::WitnessedCheckpoint,
) -> Result<body::PassportIssued> {
    let leaves = leaves(site, newest.size())?;
    let mut idle = Idle::default();
    leaves.iter().for_each(|(index, leaf)| idle.see(*index, leaf));
    let indexes = idle.without(excerpt_for(report, leaves.iter().map(|(i, l)| (*i, l))));
    let entries = site
        .proven(&indexes, newest)?
        .into_iter()
        .map(|p| ProvenLeaf::read(p.index, &p.leaf.0, p.path))
        .collect::<Result<Vec<_>, _>>()?;
    let (roots, pictures) = {
        let plant = site.plant.read();
        let reported = &plant.reports.get(report).context("the report is gone")?.report;
        let mut roots: BTreeSet<String> = reported.inputs.clone();
        if let Some(order) = plant.orders.get(&reported.order) {
            roots.extend(order.recordings.iter().cloned());
        }
        (roots, reported.pictures.clone())
    };
    let mut manifests: Vec<SignedManifest> = Vec::new();
    for root in roots {
        let value = super::recordings::manifest(site, &root)
            .with_context(|| format!("recording `{root}` has no manifest"))?;
        manifests.push(serde_json::from_value(value)?);
    }
    let draft = Draft {
        report: *report,
        issued_at: now(),
        checkpoint: newest.note().to_vec(),
        entries,
        manifests,
    };
    let passport = passport::issue(draft, signer)?;
    let mut shown = Vec::new();
    for picture in &pictures {
        let bytes = site.blobs.get(&picture.sha256)?;
        shown.push(bytes.with_context(|| format!("picture `{}` was not delivered", picture.name))?);
    }
    let part = passport.facts().part.clone();
    let name = report.to_string();
    site.keep_named("passports", &format!("{name}.vc.jwt"), passport.jwt().as_bytes())?;
    site.keep_named("passports", &format!("{name}.json"), passport.to_json()?.as_bytes())?;
    site.keep_named("passports", &format!("{name}.html"), passport.to_html(&shown)?.as_bytes())?;
    Ok(body::PassportIssued { credential: passport.digest(), part, report: *report })
}

fn leaves(site: &Site, size: u64) -> Result<Vec<(u64, Leaf)>> {
    let mut leaves = Vec::new();
    site.sequencer.reader().for_each_entry(0..size, size, |index, bytes: &[u8]| -> Result<()> {
        leaves.push((index, Leaf::parse(bytes)?));
        Ok(())
    })?;
    Ok(leaves)
}

/// The entries that a grant rests on: the rules, the orders whose recordings it
/// names with their runs and recordings, and the grant.
pub fn excerpt(site: &Site, grant: &Digest, size: u64) -> Result<Vec<u64>> {
    let (orders, roots) = {
        let plant = site.plant.read();
        let state = plant.grants.get(grant).context("no such grant")?;
        let of = |root: &String| plant.recordings.get(root).map(|r| r.recording.order);
        let mut orders: BTreeSet<Digest> = state.grant.recordings.iter().filter_map(of).collect();
        orders.insert(state.grant.order);
        (orders, state.grant.recordings.clone())
    };
    let (mut indexes, mut idle) = (Vec::new(), Idle::default());
    site.sequencer.reader().for_each_entry(0..size, size, |index, bytes: &[u8]| -> Result<()> {
        let leaf = Leaf::parse(bytes)?;
        idle.see(index, &leaf);
        if rests_on(&leaf, grant, &orders, &roots) {
            indexes.push(index);
        }
        Ok(())
    })?;
    Ok(idle.without(indexes))
}
