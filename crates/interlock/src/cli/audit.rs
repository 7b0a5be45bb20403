//! `audit`: trusts nothing but the anchors, replays every entry.

use super::{
    audit_key,
    context::{Context, Failure},
    trace,
};
use ::ledger::{FollowError, Reader, RealFs};
use base::{Digest, Millis};
use clap::Subcommand;
use node::{Anchors, Client, keys::FromStart};
use plant::{Plant, RunStatus};
use proof::entry::Leaf;
use serde_json::{Value, json};
use std::{path::PathBuf, sync::Arc};

#[derive(Subcommand)]
pub enum Verb {
    /// Replay the ledger and say what the plant is; the same bytes give the same
    /// state, at any index.
    Replay {
        #[command(flatten)]
        source: Source,
        /// Stop after this many entries.
        #[arg(long)]
        until: Option<u64>,
    },
    /// Everything that a key signed, and what came of it: what to look at after a theft.
    Key(audit_key::Args),
    /// Verify what the console's trace page exported: an order with all that
    /// followed from it. Needs nothing but the file.
    Trace {
        /// The file.
        file: PathBuf,
        /// Trust only this plant: its anchors.json, got by another way.
        #[arg(long)]
        anchors: Option<PathBuf>,
    },
}

pub async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Replay { source, until } => replay(context, &source, until).await,
        Verb::Key(args) => audit_key::run(context, args).await,
        Verb::Trace { file, anchors } => trace::run(context, &file, anchors.as_deref()),
    }
}

/// Where the ledger is read from, and what it is held against.
#[derive(clap::Args)]
pub struct Source {
    /// A ledger's folder; the site's ledger over the network when absent.
    #[arg(long)]
    pub ledger: Option<PathBuf>,
    /// The plant's anchors.json; that of --dir when absent.
    #[arg(long)]
    pub anchors: Option<PathBuf>,
}

impl Source {
    /// All witnessed leaves, and the anchors.
    pub async fn leaves(&self, context: &Context) -> Result<(Vec<Vec<u8>>, Anchors), Failure> {
        let anchors = match &self.anchors {
            Some(file) => node::config::read_anchors(file)?,
            None => context.node()?.anchors,
        };
        let leaves = match &self.ledger {
            Some(dir) => from_folder(dir, &anchors)?,
            None => from_site(context, &anchors).await?.0,
        };
        Ok((leaves, anchors))
    }
}

async fn replay(context: &Context, source: &Source, until: Option<u64>) -> Result<(), Failure> {
    let (mut leaves, anchors) = source.leaves(context).await?;
    leaves.truncate(until.and_then(|u| usize::try_from(u).ok()).unwrap_or(usize::MAX));
    let plant = fold(&leaves, &anchors, |_, _, _| {})?;
    let value = summary(&plant);
    context.print(&value, render)
}

/// Replays a ledger by the plant's rules and shows `each` leaf with the plant after it.
pub fn fold(
    leaves: &[Vec<u8>],
    anchors: &Anchors,
    mut each: impl FnMut(u64, Leaf, &Plant),
) -> Result<Plant, Failure> {
    let mut plant = None::<Plant>;
    for (index, bytes) in (0..).zip(leaves) {
        let broken = |e: &dyn std::fmt::Display| Failure::Broken(format!("entry {index}: {e}"));
        let leaf = Leaf::parse(bytes).map_err(|e| broken(&e))?;
        match &mut plant {
            None => {
                let begun = Plant::begin(&leaf).map_err(|e| broken(&e))?;
                if begun.genesis != anchors.genesis {
                    return Err(broken(&format!(
                        "genesis {}, the anchors name {}",
                        begun.genesis, anchors.genesis
                    )));
                }
                plant = Some(begun);
            }
            Some(plant) => {
                plant.append(bytes).map_err(|e| broken(&e))?;
            }
        }
        if let Some(plant) = &plant {
            each(index, leaf, plant);
        }
    }
    plant.ok_or_else(|| Failure::Failed("the ledger is empty".into()))
}

fn from_folder(dir: &std::path::Path, anchors: &Anchors) -> Result<Vec<Vec<u8>>, Failure> {
    let checked = ::ledger::check(Arc::new(RealFs), dir, &FromStart(anchors.clone()));
    if let Some(finding) = checked.findings.first() {
        return Err(Failure::Broken(format!("{}: {}", finding.file, finding.problem)));
    }
    let size = checked.witnessed.unwrap_or(0);
    let reader = Reader::new(Arc::new(RealFs), dir);
    reader.read_entries(0..size, size).map_err(|e| Failure::Broken(e.to_string()))
}

/// All leaves of the site's ledger, proven, and when the newest was witnessed.
pub async fn from_site(
    context: &Context,
    anchors: &Anchors,
) -> Result<(Vec<Vec<u8>>, Millis), Failure> {
    let (_, client): (_, Client) = context.client()?;
    let mut follower =
        ::ledger::Follower::new(FromStart(anchors.clone()), Default::default(), 1 << 30);
    let leaves = follower.poll(&client).await.map_err(|e| match e {
        // Nobody answered, which proves nothing and breaks nothing.
        FollowError::Source(_) => Failure::Failed(e.to_string()),
        _ => Failure::Broken(e.to_string()),
    })?;
    let witnessed_at = follower.latest().map(|latest| latest.witnessed_at()).unwrap_or_default();
    Ok((leaves.into_iter().map(|l| l.leaf).collect(), witnessed_at))
}

/// The state's digest is over its JSON, so that two auditors can compare a line.
fn summary(plant: &Plant) -> Value {
    let state = json!({
        "members": plant.members, "proposals": list(&plant.proposals), "programs": plant.programs,
        "templates": plant.templates, "orders": list(&plant.orders), "recordings": plant.recordings,
        "grants": list(&plant.grants), "reports": list(&plant.reports), "holds": list(&plant.holds),
        "policy": plant.policy.text(), "rotations": plant.rotations,
    });
    let digest = base::sha256(&serde_json_bytes(&state));
    let runs: Vec<Value> = plant
        .orders
        .iter()
        .map(|(id, o)| {
            let status = match &o.status {
                RunStatus::Pending => "pending".to_owned(),
                RunStatus::Started(_) => "started".to_owned(),
                RunStatus::Ended(outcome) => format!("{outcome:?}").to_lowercase(),
                RunStatus::Refused(refusal) => format!("refused by `{}`", refusal.rule),
            };
            json!({ "order": id, "part": o.order.part, "issuer": o.issuer, "index": o.index, "status": status })
        })
        .collect();
    json!({
        "site": plant.site, "genesis": plant.genesis, "entries": plant.size,
        "logged_at": plant.logged_at, "counts": plant.counts(), "state": digest, "runs": runs,
    })
}

fn list<V: serde::Serialize>(map: &std::collections::BTreeMap<Digest, V>) -> Vec<(String, Value)> {
    map.iter().map(|(k, v)| (k.to_string(), serde_json::to_value(v).unwrap_or_default())).collect()
}

fn serde_json_bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn render(v: &Value) -> String {
    let mut text = format!(
        "replayed {} entries of site {}: every signature, role, rule and the root hold\n  genesis {}\n  state   {}\n",
        v["entries"],
        v["site"],
        v["genesis"].as_str().unwrap_or_default(),
        v["state"].as_str().unwrap_or_default()
    );
    for (name, count) in v["counts"].as_object().into_iter().flatten() {
        text.push_str(&format!("  {name:<11} {count}\n"));
    }
    for run in v["runs"].as_array().into_iter().flatten() {
        let get = |k: &str| run[k].as_str().unwrap_or_default().to_owned();
        let order: String = get("order").chars().take(8).collect();
        text.push_str(&format!(
            "  order {order} by {} on {}: {}\n",
            get("issuer"),
            get("part"),
            get("status")
        ));
    }
    text
}
