//! `keys`: the plant's own keys, of the log, its witnesses and the vault.

use super::{
    change::propose,
    context::{Context, Failure, table},
    proven,
};
use base::Bytes;
use clap::{Args, Subcommand, ValueEnum};
use node::{Anchors, ring};
use plant::{
    Rotation,
    body::{Change, Keys, Witnesses},
};
use proof::{
    keys::{SecretKey, Signer},
    log::{KeyKind, LogPolicy, VKey},
};
use serde::{Deserialize, Serialize};

#[derive(Subcommand)]
pub enum Verb {
    /// The keys in force and those before, with the entries that replaced them.
    List,
    /// Print anchors.json with the keys in force, for who begins to trust the plant now:
    /// retired keys are worth nothing to such a reader, nor are proofs from their time.
    /// The whole ledger is replayed first.
    Anchors,
    /// Make a new key in the site's folder (--dir), beside those that are there, and
    /// print its public half. It counts once a change names it.
    Make {
        /// Whose.
        #[arg(value_enum)]
        whose: Whose,
    },
    /// Propose new keys; two security officers must sign. Whoever holds a new key must
    /// be ready before the second signature: the site, and each witness, which has to
    /// trust the log's new key (`interlock-witness trust`).
    Rotate(Rotate),
}

/// A key that the site holds.
#[derive(Clone, Copy, ValueEnum)]
pub enum Whose {
    /// The key that signs the ledger.
    Log,
    /// The key to which cells seal recordings' keys.
    Vault,
}

#[derive(Args)]
#[group(required = true, multiple = true)]
pub struct Rotate {
    /// The log's new verifier key, as `keys make log` printed it.
    #[arg(long)]
    log: Option<VKey>,
    /// The vault's new public key, as `keys make vault` printed it.
    #[arg(long, value_parser = bytes)]
    vault: Option<Bytes>,
    /// A witness's new verifier key, as `interlock-witness next` printed it; it takes
    /// the place of the witness of that name, or joins. May be repeated.
    #[arg(long)]
    witness: Vec<VKey>,
    /// The name of a witness that counts no longer. May be repeated.
    #[arg(long, value_name = "NAME")]
    without: Vec<String>,
    /// How many witnesses must cosign; as many as now when absent.
    #[arg(long)]
    quorum: Option<u32>,
}

fn bytes(text: &str) -> Result<Bytes, String> {
    serde_json::from_value(text.into()).map_err(|e| e.to_string())
}

/// The plant's own keys as the site states them.
#[derive(Deserialize, Serialize)]
struct Known {
    first: Set,
    now: Set,
    rotations: Vec<Rotation>,
}

#[derive(Deserialize, Serialize)]
struct Set {
    log: LogPolicy,
    vault: Bytes,
}

pub async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List => {
            let known: Known = context.part("keys").await?;
            context.print(&known, |known| table(&["use", "key", "from", "until"], &rows(known)))
        }
        Verb::Anchors => {
            let (plant, first) = (proven::plant(context).await?, context.node()?.anchors);
            let log = plant.log_at(&first.log, plant.size).map_err(Failure::Broken)?;
            let anchors = Anchors { log, ..first };
            context.print(&anchors, |a| serde_json::to_string_pretty(a).unwrap_or_default())
        }
        Verb::Make { whose } => make(context, whose),
        Verb::Rotate(rotate) => {
            // The witnesses that stay are named anew: not on the site's word.
            let plant = proven::plant(context).await?;
            let now = plant.log_now().map_err(Failure::Broken)?;
            propose(context, Change::Keys(rotate.keys(&now)?)).await
        }
    }
}

fn make(context: &Context, whose: Whose) -> Result<(), Failure> {
    let node = context.node()?;
    if node.config.server.is_none() {
        let reason = format!("`{}` is no site's folder: give it with --dir", node.dir.display());
        return Err(Failure::Failed(reason));
    }
    let (path, public) = match whose {
        Whose::Log => {
            let public = |seed: &[u8; 32]| {
                SecretKey::from_seed(seed).map(|key| key.public()).map_err(|e| e.to_string())
            };
            let (path, public) = ring::add(&node.dir, "log", public)?;
            let vkey = VKey::new(node.anchors.log.origin(), KeyKind::Log, public)
                .map_err(|e| Failure::Failed(e.to_string()))?;
            (path, vkey.to_string())
        }
        Whose::Vault => {
            let public =
                |seed: &[u8; 32]| vault::grant_key::public_of(seed).map_err(|e| e.to_string());
            let (path, public) = ring::add(&node.dir, "seal", public)?;
            let text = serde_json::to_value(Bytes(public.to_vec()))?;
            (path, text.as_str().unwrap_or_default().to_owned())
        }
    };
    let value = serde_json::json!({ "file": path, "public": public });
    context.print(&value, |_| public.clone())
}

impl Rotate {
    fn keys(self, now: &LogPolicy) -> Result<Keys, Failure> {
        let Self { log, vault, witness, without, quorum } = self;
        if let Some(name) = without.iter().find(|n| now.witnesses().iter().all(|w| w.name() != *n))
        {
            return Err(Failure::Failed(format!("no witness is named `{name}`")));
        }
        let touched = !witness.is_empty() || !without.is_empty() || quorum.is_some();
        let stays = |key: &&VKey| {
            !without.iter().any(|name| name == key.name())
                && !witness.iter().any(|new| new.name() == key.name())
        };
        let keys = now.witnesses().iter().filter(stays).chain(&witness).cloned().collect();
        let quorum = quorum.unwrap_or(u32::try_from(now.quorum()).unwrap_or(u32::MAX));
        let witnesses = touched.then_some(Witnesses { keys, quorum });
        Ok(Keys { log, vault, witnesses })
    }
}

/// One line for each key: what for, which, from which entry on, until which.
fn rows(known: &Known) -> Vec<Vec<String>> {
    let first = |keys: Vec<String>| vec![(0, keys)];
    let vault = |key: &Bytes| {
        serde_json::to_value(key)
            .ok()
            .and_then(|v| Some(v.as_str()?.to_owned()))
            .unwrap_or_default()
    };
    let texts = |keys: &[VKey]| keys.iter().map(VKey::to_string).collect::<Vec<_>>();
    let mut uses = [
        ("log", first(vec![known.first.log.log_key().to_string()])),
        ("witness", first(texts(known.first.log.witnesses()))),
        ("vault", first(vec![vault(&known.first.vault)])),
    ];
    for Rotation { index, keys } in &known.rotations {
        let [log, witnesses, sealing] = &mut uses;
        log.1.extend(keys.log.iter().map(|key| (*index, vec![key.to_string()])));
        witnesses.1.extend(keys.witnesses.iter().map(|w| (*index, texts(&w.keys))));
        sealing.1.extend(keys.vault.iter().map(|key| (*index, vec![vault(key)])));
    }
    let mut rows = Vec::new();
    for (what, sets) in uses {
        // A key counts from the set that brings it to the one that lacks it.
        for (at, (from, keys)) in sets.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|before| sets.get(before));
            let fresh = |key: &&String| before.is_none_or(|(_, keys)| !keys.contains(key));
            for key in keys.iter().filter(fresh) {
                let end = sets.iter().skip(at + 1).find(|(_, later)| !later.contains(key));
                let until = end.map_or("in force".to_owned(), |(index, _)| index.to_string());
                rows.push(vec![what.to_owned(), key.clone(), from.to_string(), until]);
            }
        }
    }
    rows
}
