//! `drill`: attacks a live plant with everything but the right proof, and shows
//! which rule refused each attempt.
//!
//! It runs with the plant's whole folder, so it holds every key and uses each one
//! for what it must not do. What it leaves behind are refusals on the ledger, some
//! ended grants, a member whose key is revoked and a hold that was released.

mod data;
mod doors;
mod log;
mod orders;
mod rules;

use super::context::{Context, Failure};
use base::{Digest, Id, Rule};
use node::{Client, Node, config::CellAddress, fresh_nonce, init::folder, now};
use plant::body::{Body, Grant, Order};
use proof::entry::{Entry, Leaf};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use transport::client::AnswerError;

#[derive(clap::Args)]
pub struct Args {
    /// The plant's folder, as `interlock init` made it. It must have done a run.
    plant: PathBuf,
}

/// One attack and what became of it.
#[derive(Serialize)]
struct Attempt {
    name: String,
    refused: bool,
    rule: String,
    detail: String,
}

#[derive(Default, Serialize)]
struct Report {
    attempts: Vec<Attempt>,
    /// Bytes of recordings or keys that got out.
    bytes: u64,
}

impl Report {
    /// Notes an answer that should have been a refusal.
    fn note<T>(&mut self, name: &str, answer: Result<T, AnswerError>) {
        let (refused, rule, detail) = match answer {
            Ok(_) => (false, String::new(), "it was accepted".to_owned()),
            Err(AnswerError::Problem(problem)) => {
                let rule = match problem.refusal() {
                    Some(refusal) => refusal.rule.to_string(),
                    None => format!("http {}", problem.status),
                };
                (problem.status < 500, rule, problem.detail.clone())
            }
            Err(error @ AnswerError::Transport(_)) => (true, "tls".into(), error.to_string()),
            Err(error) => (true, "http".into(), error.to_string()),
        };
        let detail = detail.split_whitespace().collect::<Vec<_>>().join(" ");
        let detail = detail.chars().take(200).collect();
        self.attempts.push(Attempt { name: name.into(), refused, rule, detail });
    }

    /// Notes a refusal as a cell shows it; it must be by one certain rule.
    fn by_rule(&mut self, name: &str, expected: Rule, refusal: Option<&Value>) {
        let text = |key: &str| refusal.and_then(|r| r[key].as_str()).unwrap_or_default().to_owned();
        let (rule, detail) = (text("rule"), text("reason"));
        let refused = rule == expected.to_string();
        self.attempts.push(Attempt { name: name.into(), refused, rule, detail });
    }
}

/// The largest recording of a finished run that a reader holds no live grant to, and
/// the run's order: what it may read by an honest grant would show nothing.
async fn not_granted(auditor: &Client, reader: &Id) -> Result<(String, Digest), Failure> {
    let orders: BTreeMap<Digest, Value> = auditor.get("/state/orders").await?;
    let finished = |order: &Digest| {
        orders.get(order).is_some_and(|order| order["status"]["ended"] == "finished")
    };
    if !orders.keys().any(finished) {
        return Err(Failure::Failed("no run was finished yet: do one honest job first".into()));
    }
    let at = now();
    let grants: BTreeMap<Digest, Value> = auditor.get("/state/grants").await?;
    let granted: BTreeSet<String> = grants
        .values()
        .filter(|state| state["revoked"].is_null())
        .filter_map(|state| Grant::deserialize(&state["grant"]).ok())
        .filter(|grant| grant.processor == *reader && grant.not_after > at)
        .flat_map(|grant| grant.recordings)
        .collect();
    let recordings: BTreeMap<String, Value> = auditor.get("/state/recordings").await?;
    recordings
        .into_iter()
        .filter(|(root, state)| state["shred"].is_null() && !granted.contains(root))
        .filter_map(|(root, state)| {
            let order = Digest::deserialize(&state["recording"]["order"]).ok()?;
            Some((root, order, state["recording"]["bytes"].as_u64()?))
        })
        .filter(|(_, order, _)| finished(order))
        .max_by_key(|(.., bytes)| *bytes)
        .map(|(root, order, _)| (root, order))
        .ok_or_else(|| {
            Failure::Failed(format!(
                "every recording of a finished run is granted to `{reader}` now: revoke a grant, \
                 or run another job"
            ))
        })
}

/// A member of the attacked plant.
struct Hand {
    node: Node,
    client: Client,
}

impl Hand {
    fn of(plant: &Path, member: &str) -> Result<Self, Failure> {
        let node = Node::load(&folder(plant, &member.parse()?))?;
        let client = Client::of(&node)?;
        Ok(Self { node, client })
    }

    fn sign(&self, body: &Body) -> Result<Entry, Failure> {
        Ok(self.node.sign(body, now(), fresh_nonce()?)?)
    }

    /// A client of another of the plant's machines.
    fn to_member(&self, member: &Id) -> Result<reqwest::Client, Failure> {
        transport::client::connect(&self.node.trust, Some(&self.node.identity), Some(member))
            .map_err(|e| Failure::Failed(e.to_string()))
    }

    async fn state(&self, body: &Body) -> Result<api::Submitted, Failure> {
        Ok(self.client.submit_witnessed(&self.sign(body)?).await?)
    }

    async fn try_state(&self, body: &Body) -> Result<Result<api::Submitted, AnswerError>, Failure> {
        Ok(self.client.submit(&self.sign(body)?).await)
    }

    async fn read(&self, root: &str, grant: Option<Digest>) -> Result<Vec<u8>, AnswerError> {
        let mut request = self.client.request(Method::GET, &format!("/ipfs/{root}?format=raw"));
        if let Some(grant) = grant {
            request = request.header(vault::gateway::GRANT_HEADER, grant.to_string());
        }
        transport::client::read(request.send().await?, 2 << 20).await
    }
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let mut drill = Drill::begin(&args.plant).await?;
    drill.orders().await?;
    drill.rules().await?;
    drill.data().await?;
    drill.doors().await?;
    drill.histories().await?;
    let report = drill.report;
    let got_through = report.bytes > 0 || report.attempts.iter().any(|a| !a.refused);
    context.print(&report, |report| {
        let line = |a: &Attempt| {
            let word = if a.refused { "refused" } else { "ACCEPTED" };
            format!("{word:<9} {:<48} {:<12} {}", a.name, a.rule, a.detail)
        };
        let mut lines: Vec<String> = report.attempts.iter().map(line).collect();
        lines.push(format!("{} attempts, {} bytes got out", report.attempts.len(), report.bytes));
        lines.join("\n")
    })?;
    match got_through {
        true => Err(Failure::Broken("something got through".into())),
        false => Ok(()),
    }
}

struct Drill {
    operator: Hand,
    officer: Hand,
    other_officer: Hand,
    auditor: Hand,
    analyst: Hand,
    /// An order that was carried out, as it stands on the ledger.
    done: Leaf,
    order: Order,
    order_id: Digest,
    /// A recording of that order's run which the analyst holds no live grant to.
    root: String,
    /// The cell that carried it out.
    cell: Hand,
    cells: Vec<CellAddress>,
    /// The site's own folder.
    site: PathBuf,
    report: Report,
}

impl Drill {
    async fn begin(plant: &Path) -> Result<Self, Failure> {
        let auditor = Hand::of(plant, "auditor")?;
        let analyst = Hand::of(plant, "analyst")?;
        let (root, order_id) = not_granted(&auditor.client, analyst.node.member()).await?;
        let shown: Value = auditor.client.get(&format!("/entries/{order_id}")).await?;
        let done: Leaf = serde_json::from_value(shown["leaf"].clone())?;
        let Ok(Body::Order(order)) = serde_json::from_value(done.entry.statement.body.clone())
        else {
            return Err(Failure::Failed("the ledger's order is no order".into()));
        };
        let operator = Hand::of(plant, "operator")?;
        let site = folder(plant, &operator.node.config.site_member);
        let server = Node::load(&site)?.config.server;
        Ok(Self {
            operator,
            officer: Hand::of(plant, "officer-1")?,
            other_officer: Hand::of(plant, "officer-2")?,
            analyst,
            auditor,
            order_id,
            done,
            root,
            cell: Hand::of(plant, order.cell.as_str())?,
            cells: server.map(|s| s.cells).unwrap_or_default(),
            site,
            order,
            report: Report::default(),
        })
    }

    /// The finished order once more, valid from now on.
    fn again(&self) -> Order {
        let at = now();
        Order { not_before: at, not_after: at.plus(60_000), ..self.order.clone() }
    }

    async fn submit(&mut self, name: &str, entry: &Entry) {
        let answer = self.operator.client.submit(entry).await;
        self.report.note(name, answer);
    }

    async fn state_as_operator(&mut self, name: &str, body: Body) -> Result<(), Failure> {
        let answer = self.operator.try_state(&body).await?;
        self.report.note(name, answer);
        Ok(())
    }
}
