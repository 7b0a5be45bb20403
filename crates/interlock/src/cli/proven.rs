//! The plant as its witnessed ledger proves it, for commands that sign.
//!
//! Whatever a person signs is made from entries that were replayed from the person's
//! own anchors. The site's word is good enough to look at; what it says of keys,
//! programs or proposals would be signed with the rest.

use super::{
    audit,
    context::{Context, Failure},
};
use base::Digest;
use node::now;
use plant::Plant;
use std::collections::BTreeMap;

/// Replays the site's ledger. Old entries count as no answer: who holds back the newest
/// could hide a key that was stolen, or a proposal's approval.
pub async fn plant(context: &Context) -> Result<Plant, Failure> {
    let anchors = context.node()?.anchors;
    let (plant, witnessed_at) = audit::proven(context, anchors).await?;
    let (age, terms) = (now().since(witnessed_at), &plant.anchors);
    let most = terms.freshness_ms.saturating_add(terms.clock_skew_ms);
    if age > most {
        return Err(Failure::Broken(format!(
            "the ledger that the site shows was witnessed {} s ago, {} s are allowed: its \
             witnesses are away, this clock is wrong, or newer entries are held back",
            age / 1000,
            most / 1000
        )));
    }
    Ok(plant)
}

/// The full identifier of the one entry among `known` that begins with `text`.
pub fn resolve<T>(what: &str, known: &BTreeMap<Digest, T>, text: &str) -> Result<Digest, Failure> {
    let mut found = known.keys().filter(|id| id.to_string().starts_with(text));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(*id),
        (None, _) => Err(Failure::Failed(format!("none of the {what} begins with `{text}`"))),
        _ => Err(Failure::Failed(format!(
            "several of the {what} begin with `{text}`: give more digits"
        ))),
    }
}
