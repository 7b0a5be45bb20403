//! `grant`, `recording` and `report`.

use super::{
    context::{Context, Failure, bytes, duration, legible, table},
    order::by_index,
    proven,
};
use base::{Digest, Id};
use clap::{Args, Subcommand};
use node::{Granted, now};
use plant::{
    GrantState, Plant, RecordingState,
    body::{Body, Enforcement, Grant, RevokeGrant, Shred, Term},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};
use vault::fetch::{BlockGetter, fetch_leaves};

/// The most segments of one recording (16 GiB).
const MAX_SEGMENTS: usize = 16 * 1024;

#[derive(Subcommand)]
pub enum GrantVerb {
    /// Give a reader recordings, for a purpose, until a time.
    Issue(Issue),
    /// Grants and what was read under them.
    List,
    /// End a grant now.
    Revoke {
        /// The grant's entry, or its first digits.
        grant: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Args)]
pub struct Issue {
    /// The reader: a processor, or a person whom the policy lets read recordings.
    #[arg(long)]
    to: Id,
    /// The order whose run is to be analysed, or its first digits.
    #[arg(long)]
    order: String,
    /// Only this stream of the run, `camera` for one; all when absent.
    #[arg(long)]
    stream: Vec<Id>,
    /// What for.
    #[arg(long, default_value = "identity and inspection of the part")]
    purpose: String,
    /// How long it lasts.
    #[arg(long, default_value = "1h", value_parser = duration)]
    valid_for: u64,
    /// The most bytes that are served under it.
    #[arg(long, default_value = "256M", value_parser = bytes)]
    budget: u64,
}

pub async fn run_grant(context: &Context, verb: GrantVerb) -> Result<(), Failure> {
    match verb {
        GrantVerb::Issue(args) => issue(context, args).await,
        GrantVerb::List => {
            let grants: BTreeMap<Digest, Value> = context.part("grants").await?;
            context.print(&grants, |grants| {
                let rows: Vec<Vec<String>> = by_index(grants).into_iter().map(grant_row).collect();
                table(
                    &["grant", "to", "recordings", "purpose", "until", "used", "reads", "state"],
                    &rows,
                )
            })
        }
        GrantVerb::Revoke { grant, reason } => {
            // Who names it whole need prove nothing first: it only protects.
            let grant = match grant.parse() {
                Ok(whole) => whole,
                Err(_) => {
                    let grants = proven::plant(context).await?.grants;
                    let id = proven::resolve("grants", &grants, &grant)?;
                    if let Some(GrantState { grant: g, .. }) = grants.get(&id) {
                        let words = format!("ends the grant to `{}`: {}", g.processor, g.purpose);
                        eprintln!("{}", legible(&words));
                    }
                    id
                }
            };
            let body = Body::RevokeGrant(RevokeGrant { grant, reason });
            let done = "revoked: nothing more is served under it. What was read before stays with the reader, bound by contract only";
            context.state_and_say(&body, done).await
        }
    }
}

fn grant_row((id, g): (&Digest, &Value)) -> Vec<String> {
    let text = |p: &str| g.pointer(p).and_then(Value::as_str).unwrap_or("–").to_owned();
    let until = base::Millis(g.pointer("/grant/not_after").and_then(Value::as_u64).unwrap_or(0));
    let state = match (g["revoked"].as_u64(), until < now()) {
        (Some(index), _) => format!("revoked at {index}"),
        (None, true) => "expired".into(),
        (None, false) => "live".into(),
    };
    vec![
        id.short(),
        text("/grant/processor"),
        g.pointer("/grant/recordings").and_then(Value::as_array).map_or(0, Vec::len).to_string(),
        text("/grant/purpose"),
        until.to_string(),
        format!("{} of {}", g["used"], g.pointer("/grant/budget").cloned().unwrap_or_default()),
        g["reads"].to_string(),
        state,
    ]
}

async fn issue(context: &Context, args: Issue) -> Result<(), Failure> {
    let plant = proven::plant(context).await?;
    let order = proven::resolve("orders", &plant.orders, &args.order)?;
    let wanted = |stream: &Id| args.stream.is_empty() || args.stream.contains(stream);
    let mut roots = recordings(&plant, &order, wanted);
    if roots.is_empty() {
        return Err(Failure::Failed(format!(
            "order {} has no recordings in the vault yet",
            order.short()
        )));
    }
    if let Some(first) = enrolled(&plant, &order) {
        roots.extend(recordings(&plant, &first, |stream| stream.as_str() == "camera"));
    }
    let at = now();
    let grant = Grant {
        budget: args.budget,
        not_after: at.plus(args.valid_for),
        // The site's clock may be a little behind this one.
        not_before: base::Millis(at.0.saturating_sub(60_000)),
        order,
        processor: args.to,
        purpose: args.purpose,
        recordings: roots,
        terms: terms(),
    };
    let (_, _, submitted) = context.state(&Body::Grant(grant)).await?;
    context.print(&submitted, |s| format!("grant {}\n  index {}, witnessed", s.id, s.index))
}

/// The recordings of a run whose keys are kept, by stream.
fn recordings(plant: &Plant, order: &Digest, wanted: impl Fn(&Id) -> bool) -> BTreeSet<String> {
    let of_run = |r: &RecordingState| r.recording.order == *order && r.shred.is_none();
    (plant.recordings.iter())
        .filter(|(_, r)| of_run(r) && wanted(&r.recording.stream))
        .map(|(root, _)| root.clone())
        .collect()
}

/// The run that enrolled the part of an order: a comparison needs its pictures.
fn enrolled(plant: &Plant, order: &Digest) -> Option<Digest> {
    let part = &plant.orders.get(order)?.order.part;
    let report = plant.reports.get(plant.enrolments.get(part)?)?;
    Some(report.report.order)
}

/// What every grant says, and how each point holds.
fn terms() -> Vec<Term> {
    let term = |enforcement, text: &str| Term { enforcement, text: text.into() };
    use Enforcement::{Contractual, Enforced};
    vec![
        term(Enforced, "only the named recordings are served, by their CIDs"),
        term(Enforced, "keys are sealed to the named reader alone"),
        term(
            Enforced,
            "nothing is served after the end, after a revocation or beyond the byte budget",
        ),
        term(Enforced, "each served read is an entry on the ledger"),
        term(
            Contractual,
            "pictures in the report become part of the passport and are not secret any more",
        ),
        term(Contractual, "the data is used for the stated purpose only"),
        term(Contractual, "the data is not passed on, and is deleted after the report"),
    ]
}

#[derive(Subcommand)]
pub enum RecordingVerb {
    /// Recordings in the vault.
    List,
    /// Fetch a recording under a grant, verify and decrypt it.
    Fetch {
        /// The root CID.
        root: String,
        /// The grant's entry.
        #[arg(long)]
        grant: Digest,
        /// The file to write.
        #[arg(long, short)]
        out: PathBuf,
        /// Write the ciphertext as it is stored, and print its key as a Tink keyset
        /// is made from it.
        #[arg(long)]
        ciphertext: bool,
    },
    /// Verify under a grant that nothing of a recording was cut, edited or
    /// reordered: signed checkpoints, leaves, manifest, ledger.
    Check {
        /// The root CID.
        root: String,
        /// The grant's entry.
        #[arg(long)]
        grant: Digest,
    },
    /// Destroy a recording's key, for good.
    Shred {
        /// The root CID.
        root: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

pub async fn run_recording(context: &Context, verb: RecordingVerb) -> Result<(), Failure> {
    match verb {
        RecordingVerb::List => {
            let all: BTreeMap<String, Value> = context.part("recordings").await?;
            context.print(&all, |all| {
                let rows: Vec<Vec<String>> = all
                    .iter()
                    .map(|(root, r)| {
                        let text = |p: &str| {
                            r.pointer(p).and_then(Value::as_str).unwrap_or("–").to_owned()
                        };
                        let key = match (r["shredded"].as_bool(), r["shred"].is_null()) {
                            (Some(true), _) => "destroyed",
                            (_, false) => "being destroyed",
                            _ => "kept",
                        };
                        vec![
                            root.clone(),
                            text("/recording/stream"),
                            r.pointer("/recording/bytes").cloned().unwrap_or_default().to_string(),
                            text("/recording/order").chars().take(8).collect(),
                            key.into(),
                        ]
                    })
                    .collect();
                table(&["root CID", "stream", "bytes", "run", "key"], &rows)
            })
        }
        RecordingVerb::Fetch { root, grant, out, ciphertext } => {
            fetch_recording(context, &root, grant, &out, ciphertext).await
        }
        RecordingVerb::Check { root, grant } => check(context, &root, grant).await,
        RecordingVerb::Shred { root, reason } => {
            let body = Body::Shred(Shred { reason, root });
            let done = "the site destroys the key; its record of that follows on the ledger";
            context.state_and_say(&body, done).await
        }
    }
}

async fn fetch_recording(
    context: &Context,
    root: &str,
    grant: Digest,
    out: &PathBuf,
    ciphertext: bool,
) -> Result<(), Failure> {
    let (node, client) = context.client()?;
    let granted = Granted::obtain(&node, &client, grant).await?;
    // Plaintext leaves the vault here: it is for this person's eyes.
    let mut file =
        std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(out)?;
    let mut key = Value::Null;
    if ciphertext {
        let cid = vault::address::parse_cid(root).map_err(|e| Failure::Failed(e.to_string()))?;
        let leaves = fetch_leaves(&granted, &cid, MAX_SEGMENTS).await;
        for (leaf, _) in leaves.map_err(|e| Failure::Broken(e.to_string()))?.list {
            file.write_all(&granted.block(&leaf).await?)?;
        }
        let opened = granted.key(root).await?;
        key = Value::String(base::Bytes(opened.expose().to_vec()).to_string());
    } else {
        granted.plaintext(root, |plaintext| file.write_all(plaintext)).await?;
    }
    file.sync_all()?;
    let recording = granted.manifests.get(root).map(|m| m.claim.recording.clone());
    let bytes = file.metadata()?.len();
    let value = serde_json::json!({
        "root": root, "file": out, "recording": recording, "bytes": bytes, "key": key,
    });
    context.print(&value, |_| {
        format!("{bytes} bytes in `{}`, every block and segment verified", out.display())
    })
}

async fn check(context: &Context, root: &str, grant: Digest) -> Result<(), Failure> {
    let (node, client) = context.client()?;
    let granted = Granted::obtain(&node, &client, grant).await?;
    let checkpoints = granted.check_chain(root).await?;
    let value = serde_json::json!({ "root": root, "whole": true, "checkpoints": checkpoints });
    context.print(&value, |_| {
        format!("whole: {checkpoints} signed checkpoints, every leaf, the manifest and its ledger entry agree")
    })
}

#[derive(Subcommand)]
pub enum ReportVerb {
    /// Reports, with their verdicts.
    List,
    /// One report, whole.
    Show {
        /// The report's entry, or its first digits.
        report: String,
    },
}

pub async fn run_report(context: &Context, verb: ReportVerb) -> Result<(), Failure> {
    let reports: BTreeMap<Digest, Value> = context.part("reports").await?;
    match verb {
        ReportVerb::List => context.print(&reports, |reports| {
            let rows: Vec<Vec<String>> = by_index(reports)
                .into_iter()
                .map(|(id, r)| {
                    let verdicts: Vec<String> = r
                        .pointer("/report/analyses")
                        .and_then(Value::as_array)
                        .into_iter()
                        .flatten()
                        .map(|a| {
                            format!(
                                "{} {}",
                                a["name"].as_str().unwrap_or(""),
                                a["verdict"].as_str().unwrap_or("")
                            )
                        })
                        .collect();
                    vec![
                        id.short(),
                        r.pointer("/report/part").and_then(Value::as_str).unwrap_or("–").into(),
                        r["issuer"].as_str().unwrap_or("–").into(),
                        verdicts.join(", "),
                        if r["passport"].is_null() { "being issued" } else { "issued" }.into(),
                    ]
                })
                .collect();
            table(&["report", "part", "by", "verdicts", "passport"], &rows)
        }),
        ReportVerb::Show { report } => {
            let id = context.resolve("reports", &report).await?;
            let report = reports.get(&id).cloned().unwrap_or_default();
            context.print(&report, |r| serde_json::to_string_pretty(r).unwrap_or_default())
        }
    }
}
