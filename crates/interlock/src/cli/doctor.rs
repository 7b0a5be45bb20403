//! `doctor`: what is wrong here, and what to do about it.

use super::context::{Context, Failure};
use node::{Client, Node, now};
use proof::log::LogPolicy;
use serde_json::{Value, json};

#[derive(clap::Args)]
pub struct Args {}

struct Finding {
    what: &'static str,
    ok: bool,
    found: String,
    mend: &'static str,
}

pub async fn run(context: &Context, _: Args) -> Result<(), Failure> {
    let mut findings = Vec::new();
    let mut add = |what, ok, found: String, mend| findings.push(Finding { what, ok, found, mend });
    match context.node() {
        Err(Failure::Failed(e)) => {
            add("folder", false, e, "give the folder that `interlock init` made for you")
        }
        Err(_) => {}
        Ok(node) => {
            add("folder", true, format!("`{}` of site `{}`", node.member(), node.anchors.site), "");
            for (what, ok, found, mend) in online(&node).await {
                add(what, ok, found, mend);
            }
        }
    }
    let healthy = findings.iter().all(|f| f.ok);
    let value: Vec<Value> = findings
        .iter()
        .map(|f| json!({ "what": f.what, "ok": f.ok, "found": f.found, "mend": f.mend }))
        .collect();
    context.print(&value, |_| {
        let line = |f: &Finding| {
            let mark = if f.ok { "✓" } else { "✗" };
            let mend = if f.ok { String::new() } else { format!("\n    → {}", f.mend) };
            format!("{mark} {:<12} {}{mend}", f.what, f.found)
        };
        findings.iter().map(line).collect::<Vec<_>>().join("\n")
    })?;
    if healthy { Ok(()) } else { Err(Failure::Failed("something is wrong; see above".into())) }
}

/// Whose signatures are looked for: the anchors' keys, or, on the site's word, those that
/// took their place. Only a replay of the ledger proves these (`interlock audit replay`).
async fn policy(node: &Node, client: &Client, note: &[u8]) -> LogPolicy {
    let first = &node.anchors.log;
    if first.verify_checkpoint(note).is_ok() {
        return first.clone();
    }
    let stated: Option<Value> = client.get("/state/keys").await.ok();
    let now =
        stated.and_then(|keys| serde_json::from_value(keys.pointer("/now/log")?.clone()).ok());
    now.unwrap_or_else(|| first.clone())
}

async fn online(node: &Node) -> Vec<(&'static str, bool, String, &'static str)> {
    let mut out = Vec::new();
    let client = match Client::of(node) {
        Ok(client) => client,
        Err(e) => {
            return vec![(
                "certificate",
                false,
                e.to_string(),
                "have the plant's authority issue a new one",
            )];
        }
    };
    let note = match client.bytes("/checkpoint", proof::log::MAX_NOTE_BYTES).await {
        Ok(note) => note,
        Err(e) => {
            let mend =
                "is the site up (`interlock up`), and is `site` in interlock.toml its address?";
            return vec![("site", false, e.to_string(), mend)];
        }
    };
    out.push(("site", true, format!("{} answers", node.config.site), ""));
    match policy(node, &client, &note).await.verify_checkpoint(&note) {
        Err(e) => out.push(("ledger", false, e.to_string(), "are enough witnesses up?")),
        Ok(c) => {
            let age = now().since(c.witnessed_at());
            let found = format!("{} entries, witnessed {age} ms ago", c.size());
            out.push((
                "ledger",
                age < 60_000,
                found,
                "are the witnesses up, and this clock right?",
            ));
        }
    }
    out
}
