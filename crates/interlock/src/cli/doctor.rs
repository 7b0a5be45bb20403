//! `doctor`: what is wrong here, and what to do about it.

use super::{
    certificate,
    change::Known,
    context::{Context, Failure},
};
use base::Id;
use node::{Client, Node, now};
use proof::log::LogPolicy;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(clap::Args)]
pub struct Args {}

struct Finding {
    what: &'static str,
    ok: bool,
    found: String,
    /// What to do; a finding that is well and has one is a warning.
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
            let (ok, found, mend) = own_certificate(&node);
            add("certificate", ok, found, mend);
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
            let mark = match (f.ok, f.mend) {
                (true, "") => "✓",
                (true, _) => "!",
                (false, _) => "✗",
            };
            let mend = match f.mend {
                "" => String::new(),
                mend => format!("\n    → {mend}"),
            };
            format!("{mark} {:<12} {}{mend}", f.what, f.found)
        };
        findings.iter().map(line).collect::<Vec<_>>().join("\n")
    })?;
    if healthy { Ok(()) } else { Err(Failure::Failed("something is wrong; see above".into())) }
}

/// Days before its end in which a certificate is to be replaced.
const RENEW_DAYS: u64 = 14;

fn own_certificate(node: &Node) -> (bool, String, &'static str) {
    if let Err(error) = node.vouched() {
        return (false, error.to_string(), certificate::MEND);
    }
    match node.identity.not_after() {
        Err(error) => (false, error.to_string(), certificate::MEND),
        Ok(ends) => {
            let days = ends.since(now()) / 86_400_000;
            let mend = if days < RENEW_DAYS { certificate::MEND } else { "" };
            (true, format!("ends at {ends}, in {days} days"), mend)
        }
    }
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
            return vec![("certificate", false, e.to_string(), certificate::MEND)];
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
                if age < 60_000 { "" } else { "are the witnesses up, and this clock right?" },
            ));
        }
    }
    // Who may not read the plant is not told who governs it.
    if let Ok(members) = client.get::<BTreeMap<Id, Known>>("/state/members").await {
        out.push(officers(members.values().filter(|m| m.is_signing_officer()).count()));
    }
    if node.dir.join("sign.old.key").exists() || node.dir.join("sign.next.key").exists() {
        let mend = "once it is approved, a machine goes on by itself; a person says \
                    `interlock member rotate` again";
        out.push(("own key", true, "is being replaced".into(), mend));
    }
    out
}

/// A plant that loses an officer needs two others to give that one new keys.
fn officers(signing: usize) -> (&'static str, bool, String, &'static str) {
    let found = format!("{signing} security officers can sign");
    match signing {
        0 | 1 => (
            "officers",
            false,
            found,
            "no rule, role or key can be changed any more: see SECURITY.md",
        ),
        2 => (
            "officers",
            true,
            found,
            "enrol a third now (`interlock invite`): after the loss of one of the two keys nothing \
             could be changed any more",
        ),
        _ => ("officers", true, found, ""),
    }
}
