//! `audit`: trusts nothing but the anchors, replays every entry.

use super::{
    audit_key,
    context::{Context, Failure},
    trace,
};
use ::ledger::{FollowError, Follower, FollowerState, ReadError, Reader, RealFs};
use base::{Digest, Millis};
use clap::Subcommand;
use node::{Anchors, Client, keys::FromStart};
use plant::{Plant, RunStatus};
use proof::entry::Leaf;
use serde_json::{Value, json};
use std::{path::PathBuf, sync::Arc};

/// How many bytes of a site's ledger are held at a time.
pub const STEP_BYTES: usize = 16 << 20;

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
    /// Replays all witnessed leaves, at most `until` of them, and shows `each` with the
    /// plant after it.
    pub async fn replay(
        &self,
        context: &Context,
        until: Option<u64>,
        each: impl FnMut(u64, Leaf, &Plant),
    ) -> Result<Plant, Failure> {
        let anchors = match &self.anchors {
            Some(file) => node::config::read_anchors(file)?,
            None => context.node()?.anchors,
        };
        let mut replay = Replay::new(anchors, until, each);
        match &self.ledger {
            Some(dir) => from_folder(dir, &mut replay)?,
            None => _ = from_site(context, &mut replay).await?,
        }
        replay.done()
    }
}

async fn replay(context: &Context, source: &Source, until: Option<u64>) -> Result<(), Failure> {
    let plant = source.replay(context, until, |_, _, _| {}).await?;
    let value = summary(&plant);
    context.print(&value, render)
}

/// A ledger that is replayed by the plant's rules, leaf by leaf.
pub(super) struct Replay<F> {
    anchors: Anchors,
    /// What comes after so many is proven, and not folded.
    until: Option<u64>,
    next: u64,
    plant: Option<Plant>,
    each: F,
}

impl<F: FnMut(u64, Leaf, &Plant)> Replay<F> {
    /// Of no leaf yet; `each` sees every one with the plant after it.
    pub(super) fn new(anchors: Anchors, until: Option<u64>, each: F) -> Self {
        Self { anchors, until, next: 0, plant: None, each }
    }

    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let index = self.next;
        self.next += 1;
        if self.until.is_some_and(|until| index >= until) {
            return Ok(());
        }
        let broken = |e: &dyn std::fmt::Display| Failure::Broken(format!("entry {index}: {e}"));
        let leaf = Leaf::parse(bytes).map_err(|e| broken(&e))?;
        let plant = match &mut self.plant {
            None => {
                let begun = Plant::begin(&leaf).map_err(|e| broken(&e))?;
                if begun.genesis != self.anchors.genesis {
                    return Err(broken(&format!(
                        "genesis {}, the anchors name {}",
                        begun.genesis, self.anchors.genesis
                    )));
                }
                self.plant.insert(begun)
            }
            Some(plant) => {
                plant.append(bytes).map_err(|e| broken(&e))?;
                plant
            }
        };
        (self.each)(index, leaf, plant);
        Ok(())
    }

    /// Where an entry stands, among those that were taken.
    pub(super) fn index_of(&self, entry: &Digest) -> Option<u64> {
        self.plant.as_ref()?.index_of(entry)
    }

    pub(super) fn done(self) -> Result<Plant, Failure> {
        self.plant.ok_or_else(|| Failure::Failed("the ledger is empty".into()))
    }
}

fn from_folder<F: FnMut(u64, Leaf, &Plant)>(
    dir: &std::path::Path,
    replay: &mut Replay<F>,
) -> Result<(), Failure> {
    let checked = ::ledger::check(Arc::new(RealFs), dir, &FromStart(replay.anchors.clone()));
    if let Some(finding) = checked.findings.first() {
        return Err(Failure::Broken(format!("{}: {}", finding.file, finding.problem)));
    }
    let size = checked.witnessed.unwrap_or(0);
    let reader = Reader::new(Arc::new(RealFs), dir);
    reader.for_each_entry(0..size, size, |_, bytes: &[u8]| replay.take(bytes))
}

/// Folds the site's ledger, proven; when its newest checkpoint was witnessed.
async fn from_site<F: FnMut(u64, Leaf, &Plant)>(
    context: &Context,
    replay: &mut Replay<F>,
) -> Result<Millis, Failure> {
    let (_, client): (_, Client) = context.client()?;
    let keys = FromStart(replay.anchors.clone());
    let mut follower = Follower::new(keys, FollowerState::default(), STEP_BYTES);
    loop {
        for new in follower.poll(&client).await? {
            replay.take(&new.leaf)?;
        }
        if follower.ahead().is_none() {
            break;
        }
    }
    Ok(follower.latest().map(|latest| latest.witnessed_at()).unwrap_or_default())
}

impl From<FollowError> for Failure {
    fn from(error: FollowError) -> Self {
        match error {
            // Nobody answered, which proves nothing and breaks nothing.
            FollowError::Source(_) => Self::Failed(error.to_string()),
            _ => Self::Broken(error.to_string()),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Broken(error.to_string())
    }
}

/// The plant as the site's ledger proves it to who has these anchors, and when the newest
/// of it was witnessed.
pub async fn proven(context: &Context, anchors: Anchors) -> Result<(Plant, Millis), Failure> {
    let mut replay = Replay::new(anchors, None, |_, _, _: &_| {});
    let witnessed_at = from_site(context, &mut replay).await?;
    Ok((replay.done()?, witnessed_at))
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
