//! `order` and `run`.

use super::{
    context::{Context, Failure, assignment, confirm, duration, legible, table},
    proven,
};
use api::{Explanation, OrderDraft};
use base::{Digest, Id};
use clap::{Args, Subcommand};
use node::{fresh_nonce, now};
use plant::body::{Body, Order, Program, ProgramRef};
use proof::keys::PublicKey;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Subcommand)]
pub enum Verb {
    /// Read an order in plain words, then sign and submit it.
    Sign(Sign),
    /// Orders and how far they have come.
    List,
    /// Why an order will or will not be accepted, rule by rule.
    Explain {
        /// The order's entry, or its first digits.
        order: String,
    },
}

#[derive(Args)]
pub struct Sign {
    /// The cell.
    #[arg(long)]
    cell: Id,
    /// The program.
    #[arg(long)]
    program: Id,
    /// The part on the table.
    #[arg(long)]
    part: Id,
    /// A parameter, NAME=NUMBER; those not given take their defaults.
    #[arg(long = "set", value_parser = assignment, value_name = "NAME=NUMBER")]
    parameters: Vec<(Id, i64)>,
    /// How long the order may wait for its run.
    #[arg(long, default_value = "10m", value_parser = duration)]
    valid_for: u64,
    /// How many entries may follow the order before it is too stale to start.
    #[arg(long, default_value_t = 10_000)]
    max_lag: u64,
    /// Do not ask; sign.
    #[arg(long)]
    yes: bool,
    /// Check it against all rules, one by one, without signing it.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Subcommand)]
pub enum RunVerb {
    /// Runs, by order.
    List,
    /// One run with its recordings.
    Show {
        /// The order's entry, or its first digits.
        order: String,
    },
}

pub async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Sign(args) => sign(context, args).await,
        Verb::List => list(context).await,
        Verb::Explain { order } => explain(context, &order).await,
    }
}

async fn sign(context: &Context, args: Sign) -> Result<(), Failure> {
    let (node, client) = context.client()?;
    // What is shown and signed is the program that officers approved, not the site's word.
    let plant = proven::plant(context).await?;
    let programs = &plant.programs;
    let program = programs.get(&args.program).ok_or_else(|| {
        let known: Vec<_> = programs.keys().map(Id::as_str).collect();
        Failure::Failed(format!(
            "no program `{}` is approved; known: {}",
            args.program,
            known.join(", ")
        ))
    })?;
    let mut parameters: BTreeMap<Id, i64> =
        program.parameters.iter().map(|(name, p)| (name.clone(), p.default)).collect();
    parameters.extend(args.parameters);
    let at = now();
    let order = Order {
        cell: args.cell,
        max_lag: args.max_lag,
        not_after: at.plus(args.valid_for),
        not_before: at,
        parameters,
        part: args.part,
        program: ProgramRef { id: program.id.clone(), sha256: program.sha256 },
    };
    let words = plain_words(&order, program);
    if args.dry_run {
        eprintln!("{}", legible(&words));
        let draft = OrderDraft {
            issuer: node.member().clone(),
            key: PublicKey::of(node.signer.as_ref()).fingerprint(),
            order: serde_json::to_value(&order)?,
            user_verified: false,
        };
        let explanation: Explanation = client.post("/orders/explanation", &draft).await?;
        return context.print(&explanation, render);
    }
    let entry = node.sign(&Body::Order(order), at, fresh_nonce()?)?;
    confirm(&words, "Sign and launch?", args.yes)?;
    let submitted = client.submit_witnessed(&entry).await?;
    context.print(&submitted, |s| {
        format!("order {}\n  index {}, witnessed: the cell decides now", s.id, s.index)
    })
}

fn plain_words(order: &Order, program: &Program) -> String {
    let mut text = format!(
        "Run `{}` ({}) on part `{}` in cell `{}`\n  program hash {}\n",
        order.program.id, program.title, order.part, order.cell, order.program.sha256
    );
    for (name, value) in &order.parameters {
        let about = program.parameters.get(name);
        let unit = about.map(|p| p.unit.as_str()).unwrap_or_default();
        let title = about.map(|p| p.title.as_str()).unwrap_or_default();
        text.push_str(&format!("  {name} = {value} {unit}  ({title})\n"));
    }
    text.push_str(&format!("  may start from {} to {}", order.not_before, order.not_after));
    text
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or("–")
}

/// The word of a status that is a string, or an object with one key.
fn word(value: &Value) -> String {
    match value {
        Value::String(word) => word.clone(),
        Value::Object(map) => match map.iter().next() {
            Some((key, Value::String(inner))) => format!("{key}: {inner}"),
            Some((key, Value::Object(inner))) => {
                let rule = inner.get("rule").and_then(Value::as_str).unwrap_or_default();
                format!("{key} ({rule})")
            }
            Some((key, _)) => key.clone(),
            None => String::new(),
        },
        other => other.to_string(),
    }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let orders: BTreeMap<Digest, Value> = context.part("orders").await?;
    context.print(&orders, |orders| {
        let rows: Vec<Vec<String>> = by_index(orders)
            .into_iter()
            .map(|(id, o)| {
                vec![
                    id.short(),
                    o["index"].to_string(),
                    text(o, "/order/part").into(),
                    text(o, "/order/program/id").into(),
                    text(o, "/order/cell").into(),
                    text(o, "/issuer").into(),
                    word(&o["status"]),
                ]
            })
            .collect();
        table(&["order", "index", "part", "program", "cell", "signed by", "status"], &rows)
    })
}

/// In the order of the ledger.
pub fn by_index(map: &BTreeMap<Digest, Value>) -> Vec<(&Digest, &Value)> {
    let mut rows: Vec<_> = map.iter().collect();
    rows.sort_by_key(|(_, v)| v["index"].as_u64());
    rows
}

async fn explain(context: &Context, order: &str) -> Result<(), Failure> {
    let id = context.resolve("orders", order).await?;
    let (_, client) = context.client()?;
    let explanation: Explanation = client.get(&format!("/orders/{id}/explanation")).await?;
    context.print(&explanation, render)
}

fn render(explanation: &Explanation) -> String {
    let mut text = match explanation.accepted {
        true => "accepted: every rule is satisfied\n".to_owned(),
        false => "not accepted now\n".to_owned(),
    };
    for check in &explanation.checks {
        let mark = if check.ok { "✓" } else { "✗" };
        text.push_str(&format!("  {mark} {:<12} {}\n", check.rule.to_string(), check.found));
        if !check.ok {
            let wait = if check.transient { " (waiting may help)" } else { "" };
            text.push_str(&format!("    {:<12} accepted would be {}{wait}\n", "", check.accepted));
        }
    }
    if let Some(r) = &explanation.refusal {
        text.push_str(&format!(
            "  ✗ {:<12} {}\n    {:<12} accepted would be {}\n",
            r.rule.to_string(),
            r.reason,
            "",
            r.accepted
        ));
    }
    text
}

pub async fn run_runs(context: &Context, verb: RunVerb) -> Result<(), Failure> {
    let orders: BTreeMap<Digest, Value> = context.part("orders").await?;
    match verb {
        RunVerb::List => {
            let runs: BTreeMap<Digest, Value> =
                orders.into_iter().filter(|(_, o)| o["status"] != "pending").collect();
            context.print(&runs, |runs| {
                let rows: Vec<Vec<String>> = by_index(runs)
                    .into_iter()
                    .map(|(id, o)| {
                        let count = |path| o.pointer(path).map_or("–".into(), Value::to_string);
                        vec![
                            id.short(),
                            text(o, "/order/part").into(),
                            text(o, "/order/cell").into(),
                            word(&o["status"]),
                            count("/ended/samples"),
                            count("/ended/lost"),
                            count("/ended/viewpoints"),
                            o["recordings"].as_array().map_or(0, Vec::len).to_string(),
                        ]
                    })
                    .collect();
                table(
                    &["run", "part", "cell", "status", "samples", "lost", "views", "recordings"],
                    &rows,
                )
            })
        }
        RunVerb::Show { order } => {
            let id = context.resolve("orders", &order).await?;
            let run = orders.get(&id).cloned().unwrap_or_default();
            context.print(&run, |run| serde_json::to_string_pretty(run).unwrap_or_default())
        }
    }
}
