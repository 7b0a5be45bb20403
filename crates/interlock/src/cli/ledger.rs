//! `ledger`: check the files, show entries, prove one.

use super::context::{Context, Failure, table};
use ::ledger::{RealFs, check};
use api::Event;
use clap::Subcommand;
use std::{path::PathBuf, sync::Arc};

#[derive(Subcommand)]
pub enum Verb {
    /// Recompute every tile, root and signature of a ledger's folder.
    Check {
        /// The folder, e.g. PLANT/site/data/ledger.
        path: PathBuf,
        /// The plant's anchors.json; that of --dir when absent.
        #[arg(long)]
        anchors: Option<PathBuf>,
    },
    /// Entries in order.
    Show {
        /// One entry, by index or identifier, whole; the newest page when absent.
        entry: Option<String>,
        /// From this index on.
        #[arg(long, conflicts_with = "entry")]
        from: Option<u64>,
    },
    /// Keep a verified copy of the ledger in a folder, or bring one up to date: a
    /// second memory, from which a site that lost entries can be completed.
    Copy {
        /// The folder.
        folder: PathBuf,
    },
    /// Append to a site's ledger what a longer copy of it has, after a restore from an
    /// old backup. The site must not run.
    Extend {
        /// The site's folder.
        site: PathBuf,
        /// The copy: a folder of `ledger copy`, or the old disk's `data/ledger`.
        #[arg(long, value_name = "FOLDER")]
        from: PathBuf,
    },
    /// An entry's inclusion proof (C2SP tlog-proof).
    Proof {
        /// The entry, by index or identifier.
        entry: String,
    },
}

pub async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Check { path, anchors } => {
            let anchors = match anchors {
                Some(file) => node::config::read_anchors(&file)?,
                None => context.node()?.anchors,
            };
            if !path.is_dir() {
                return Err(Failure::Failed(format!("`{}` is not a folder", path.display())));
            }
            let checked = check(Arc::new(RealFs), &path, &node::keys::FromStart(anchors));
            let findings: Vec<String> =
                checked.findings.iter().map(|f| format!("{}: {}", f.file, f.problem)).collect();
            let value = serde_json::json!({
                "entries": checked.size, "witnessed": checked.witnessed, "findings": findings,
            });
            context.print(&value, |_| match checked.witnessed {
                Some(w) => format!(
                    "{} entries, {w} of them witnessed, {} findings",
                    checked.size,
                    findings.len()
                ),
                None => format!(
                    "{} entries, no valid checkpoint, {} findings",
                    checked.size,
                    findings.len()
                ),
            })?;
            match findings.is_empty() {
                true => Ok(()),
                false => Err(Failure::Broken(findings.join("\n  "))),
            }
        }
        Verb::Copy { folder } => super::copy::keep(context, &folder).await,
        Verb::Extend { site, from } => super::copy::extend(context, &site, &from),
        Verb::Show { entry: Some(entry), .. } => {
            let (_, client) = context.client()?;
            let value: serde_json::Value = client.get(&format!("/entries/{entry}")).await?;
            context.print(&value, |v| serde_json::to_string_pretty(v).unwrap_or_default())
        }
        Verb::Show { entry: None, from } => {
            let (_, client) = context.client()?;
            let from = from.map(|f| format!("?from={f}")).unwrap_or_default();
            let events: Vec<Event> = client.get(&format!("/entries{from}")).await?;
            context.print(&events, |events| {
                let rows: Vec<Vec<String>> = events
                    .iter()
                    .map(|e| {
                        let word = e.body.as_object().and_then(|o| o.keys().next().cloned());
                        vec![
                            e.index.to_string(),
                            e.logged_at.to_string(),
                            e.issuer.to_string(),
                            word.unwrap_or_default(),
                            e.id.short(),
                        ]
                    })
                    .collect();
                table(&["index", "logged", "by", "entry", "id"], &rows)
            })
        }
        Verb::Proof { entry } => {
            let (_, client) = context.client()?;
            let path = format!("{}/entries/{entry}/proof", api::PREFIX);
            let proof = client.bytes(&path, 1 << 20).await?;
            let text = String::from_utf8_lossy(&proof).into_owned();
            context.print(&text, String::clone)
        }
    }
}
