//! `passport`: fetch it, and verify it offline.

use super::context::{Context, Failure};
use ::passport::{Anchors, Verified, verify_file};
use base::{Digest, Id};
use clap::Subcommand;
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf};

#[derive(Subcommand)]
pub enum Verb {
    /// Fetch the newest passport of a part and save its three files.
    Show {
        /// The part.
        part: Id,
        /// Where to save PART.vc.jwt, PART.json and PART.html.
        #[arg(long, short, default_value = ".")]
        out: PathBuf,
    },
    /// Who issues this plant's passports: the did:web document to publish.
    Issuer {
        /// The signing keys as a JSON Web Key Set instead.
        #[arg(long)]
        jwks: bool,
    },
    /// Verify a passport (.vc.jwt, .json or .html). Needs nothing but the file.
    Verify {
        /// The file.
        file: PathBuf,
        /// Trust only this plant: its anchors.json, got by another way.
        #[arg(long)]
        anchors: Option<PathBuf>,
    },
}

pub async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Show { part, out } => show(context, &part, &out).await,
        Verb::Issuer { jwks } => {
            let (_, client) = context.client()?;
            let name = if jwks { "jwks" } else { "did" };
            let bytes = client.bytes(&format!("/.well-known/{name}.json"), 1 << 20).await?;
            let value: Value = serde_json::from_slice(&bytes)?;
            context.print(&value, |v| serde_json::to_string_pretty(v).unwrap_or_default())
        }
        Verb::Verify { file, anchors } => {
            let bytes = std::fs::read(&file)
                .map_err(|e| Failure::Failed(format!("`{}`: {e}", file.display())))?;
            let pin = anchors.map(|path| node::config::read_anchors(&path)).transpose()?;
            let pin = pin.map(|a| Anchors { genesis: a.genesis, log: a.log });
            let (_, verified) =
                verify_file(&bytes, pin.as_ref()).map_err(|e| Failure::Broken(e.to_string()))?;
            say(context, &verified)
        }
    }
}

fn say(context: &Context, verified: &Verified) -> Result<(), Failure> {
    let (facts, trust) = (verified.facts(), verified.trust());
    let steps: Vec<Value> = facts
        .steps
        .iter()
        .map(|s| json!({ "title": s.title, "detail": s.detail, "at": s.at, "index": s.index, "digest": s.digest }))
        .collect();
    let value = json!({
        "verified": true,
        "part": facts.part,
        "verdict": facts.overall.word(),
        "issued_at": facts.issued_at,
        "credential": verified.digest(),
        "pinned": trust.pinned,
        "genesis": trust.genesis,
        "steps": steps,
    });
    context.print(&value, |_| {
        let mut text = format!("verified: part `{}`, {}\n", facts.part, facts.overall.word());
        for step in &facts.steps {
            let at = step.at.map(|t| t.to_string()).unwrap_or_default();
            text.push_str(&format!("  ✓ {:<14} {:<26} {}\n", step.title, at, step.detail));
        }
        text.push_str(&match trust.pinned {
            true => format!("trust: pinned to plant {}", trust.genesis),
            false => format!(
                "trust: the passport's own anchors, plant {}; compare it with what the plant published, or give --anchors",
                trust.genesis
            ),
        });
        text
    })
}

async fn show(context: &Context, part: &Id, out: &std::path::Path) -> Result<(), Failure> {
    let (node, client) = context.client()?;
    let reports: BTreeMap<Digest, Value> = client.get("/state/reports").await?;
    let newest = reports
        .iter()
        .filter(|(_, r)| r.pointer("/report/part").and_then(Value::as_str) == Some(part.as_str()))
        .filter(|(_, r)| !r["passport"].is_null())
        .max_by_key(|(_, r)| r["index"].as_u64());
    let (id, _) =
        newest.ok_or_else(|| Failure::Failed(format!("part `{part}` has no passport")))?;
    std::fs::create_dir_all(out)?;
    let pin = Anchors { genesis: node.anchors.genesis, log: node.anchors.log.clone() };
    let mut shown = None;
    for form in ["vc.jwt", "json", "html"] {
        let path = format!("{}/reports/{id}/passport/{form}", api::PREFIX);
        let bytes = client.bytes(&path, ::passport::MAX_FILE_BYTES).await?;
        let (_, verified) =
            verify_file(&bytes, Some(&pin)).map_err(|e| Failure::Broken(e.to_string()))?;
        std::fs::write(out.join(format!("{part}.{form}")), &bytes)?;
        shown = Some(verified);
    }
    match shown {
        Some(verified) => say(context, &verified),
        None => Ok(()),
    }
}
