//! `hold`: anyone may place one, two people release it.

use super::{
    context::{Context, Failure, confirm, table},
    proven,
};
use base::{Digest, Id};
use clap::Subcommand;
use plant::{
    HoldState,
    body::{Body, Hold, Release},
};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Subcommand)]
pub enum Verb {
    /// Stop a cell, or the whole site, from taking orders.
    Place {
        /// The cell; the whole site when absent.
        #[arg(long)]
        cell: Option<Id>,
        /// Why.
        reason: String,
    },
    /// Sign that a hold may end; it does when two people have.
    Release {
        /// The hold's entry, or its first digits.
        hold: String,
        /// Do not ask; sign.
        #[arg(long)]
        yes: bool,
    },
    /// Holds in force.
    List,
}

pub async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Place { cell, reason } => {
            let body = Body::Hold(Hold { cell, reason });
            context
                .state_and_say(
                    &body,
                    "hold placed: no order is started, and a run in progress is stopped",
                )
                .await
        }
        Verb::Release { hold, yes } => {
            let holds = proven::plant(context).await?.holds;
            let hold = proven::resolve("holds", &holds, &hold)?;
            if let Some(HoldState { hold, issuer, .. }) = holds.get(&hold) {
                let on = hold.cell.as_ref().map_or("the whole site".into(), |c| format!("`{c}`"));
                let words = format!("`{issuer}` holds {on}: {}", hold.reason);
                confirm(&words, "May it end?", yes)?;
            }
            let (_, client, submitted) = context.state(&Body::Release(Release { hold })).await?;
            let holds: BTreeMap<Digest, Value> = client.get("/state/holds").await?;
            let done = match holds.contains_key(&hold) {
                true => "signed: a second person must sign as well",
                false => "released",
            };
            context.print(&submitted, |s| format!("{done}\n  entry {} at index {}", s.id, s.index))
        }
        Verb::List => {
            let holds: BTreeMap<Digest, Value> = context.part("holds").await?;
            context.print(&holds, |holds| {
                let rows: Vec<Vec<String>> = holds
                    .iter()
                    .map(|(id, h)| {
                        let text = |p: &str| {
                            h.pointer(p).and_then(Value::as_str).unwrap_or("whole site").to_owned()
                        };
                        vec![
                            id.short(),
                            text("/hold/cell"),
                            text("/issuer"),
                            text("/hold/reason"),
                            format!("{} of 2", h["releases"].as_array().map_or(0, Vec::len)),
                        ]
                    })
                    .collect();
                table(&["hold", "cell", "placed by", "reason", "releases"], &rows)
            })
        }
    }
}
