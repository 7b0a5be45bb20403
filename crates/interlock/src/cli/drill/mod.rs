//! `drill`: attacks a live plant with everything but the right proof, and shows
//! which rule refused each attempt.
//!
//! It runs with the plant's whole folder, so it holds every key and uses each one
//! for what it must not do. Each attempt names what must refuse it, and fails when
//! anything else does: a server that fell over, or a rule that came first, shows
//! nothing. What it leaves behind are refusals on the ledger, some ended grants, a
//! member whose key is revoked and a hold that was released; and it stops the robot.

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
    /// Whether what had to refuse it did. Another refusal shows nothing of what it is
    /// about, and counts as none.
    refused: bool,
    /// What refused it; empty when nothing did.
    rule: String,
    /// What had to.
    expected: String,
    detail: String,
}

/// What must refuse an attempt: its rule, and words of the reason that it alone gives.
struct By {
    rule: String,
    words: String,
}

impl By {
    /// A port, before it is asked anything by the plant's rules: by an HTTP status.
    fn http(status: u16, words: impl Into<String>) -> Self {
        Self { rule: format!("http {status}"), words: words.into() }
    }

    /// A port's handshake, by a TLS alert (RFC 8446 section 6).
    fn alert(name: &str) -> Self {
        Self { rule: TLS.into(), words: format!("{ALERT}{name}") }
    }

    /// The reader's own verification of a recording.
    fn proof(words: &str) -> Self {
        Self { rule: "proof".into(), words: words.into() }
    }
}

impl From<Rule> for By {
    fn from(rule: Rule) -> Self {
        Self { rule: rule.to_string(), words: String::new() }
    }
}

/// What a refused handshake is called, and how its client says so.
const TLS: &str = "tls";
const ALERT: &str = "received fatal alert: ";
/// What is called no answer: a server that is gone refuses nothing.
const SILENCE: &str = "no answer";
/// The most characters of a reason that are kept.
const DETAIL: usize = 200;

#[derive(Default, Serialize)]
struct Report {
    attempts: Vec<Attempt>,
    /// Bytes of recordings or keys that got out.
    bytes: u64,
}

impl Report {
    /// Notes an answer that should have been a refusal.
    fn note<T>(&mut self, name: &str, by: impl Into<By>, answer: Result<T, AnswerError>) {
        let (rule, detail) = match answer {
            Ok(_) => (String::new(), "it was accepted".to_owned()),
            Err(AnswerError::Problem(problem)) => {
                let rule = match problem.refusal() {
                    Some(refusal) => refusal.rule.to_string(),
                    None => format!("http {}", problem.status),
                };
                (rule, problem.detail.clone())
            }
            Err(error) => {
                let words = error.to_string();
                let rule = if words.contains(ALERT) { TLS } else { SILENCE };
                (rule.into(), words)
            }
        };
        self.held(name, by, rule, &detail);
    }

    /// Notes what refused an attempt, and why.
    fn held(&mut self, name: &str, by: impl Into<By>, rule: String, detail: &str) {
        let By { rule: expected, words } = by.into();
        let refused = rule == expected && detail.contains(&words);
        let detail = detail.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut detail: String = detail.chars().take(DETAIL).collect();
        if !refused && !words.is_empty() {
            detail.push_str(&format!(" (`{words}` is expected)"));
        }
        self.attempts.push(Attempt { name: name.into(), refused, rule, expected, detail });
    }

    /// Notes a refusal as a cell shows it.
    fn shown(&mut self, name: &str, by: Rule, refusal: Option<&Value>) {
        let text = |key: &str| refusal.and_then(|r| r[key].as_str()).unwrap_or_default().to_owned();
        self.held(name, by, text("rule"), &text("reason"));
    }

    /// Whether anything was not refused, or not by what had to.
    fn failed(&self) -> bool {
        self.bytes > 0 || self.attempts.iter().any(|attempt| !attempt.refused)
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
    let failed = report.failed();
    context.print(&report, |report| {
        let line = |a: &Attempt| {
            let word = match (a.refused, a.rule.is_empty()) {
                (true, _) => "refused",
                (false, true) => "ACCEPTED",
                (false, false) => "OTHERWISE",
            };
            let rule = match a.refused {
                true => a.rule.clone(),
                false => format!("{}, not {}", a.rule, a.expected),
            };
            format!("{word:<9} {:<60} {rule:<12} {}", a.name, a.detail)
        };
        let mut lines: Vec<String> = report.attempts.iter().map(line).collect();
        lines.push(format!("{} attempts, {} bytes got out", report.attempts.len(), report.bytes));
        lines.join("\n")
    })?;
    match failed {
        true => Err(Failure::Broken(
            "something got through, or was refused for another reason than it is about".into(),
        )),
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
    /// The plant's folder.
    plant: PathBuf,
    /// The site's own folder in it.
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
            plant: plant.into(),
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

    async fn submit(&mut self, name: &str, by: Rule, entry: &Entry) {
        let answer = self.operator.client.submit(entry).await;
        self.report.note(name, by, answer);
    }

    async fn state_as_operator(&mut self, name: &str, by: Rule, body: Body) -> Result<(), Failure> {
        let answer = self.operator.try_state(&body).await?;
        self.report.note(name, by, answer);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use base::Refusal;
    use reqwest::StatusCode;
    use transport::Problem;

    fn noted(by: impl Into<By>, answer: Result<(), AnswerError>) -> bool {
        let mut report = Report::default();
        report.note("an attempt", by, answer);
        assert_eq!(report.failed(), !report.attempts[0].refused);
        report.attempts[0].refused
    }

    fn problem(status: StatusCode, words: &str) -> Result<(), AnswerError> {
        Err(AnswerError::Problem(Box::new(Problem::new(status, words))))
    }

    #[test]
    fn only_what_must_refuse_an_attempt_counts() {
        let by_policy = || {
            let refusal = Refusal {
                who: "anna".into(),
                what: "an order".into(),
                rule: Rule::Policy,
                reason: "no role allows it".into(),
                accepted: "a role".into(),
            };
            Err(AnswerError::Problem(Box::new(refusal.into())))
        };
        assert!(noted(Rule::Policy, by_policy()));
        assert!(!noted(Rule::Replay, by_policy()));
        assert!(!noted(Rule::Policy, Ok(())));
        let large = "the body is larger than this address takes";
        let too_large = || problem(StatusCode::PAYLOAD_TOO_LARGE, large);
        assert!(noted(By::http(413, "larger"), too_large()));
        assert!(!noted(By::http(400, "larger"), too_large()));
        assert!(!noted(By::http(413, "not an entry"), too_large()));
        assert!(!noted(Rule::Format, problem(StatusCode::INTERNAL_SERVER_ERROR, "")));
    }

    #[tokio::test]
    async fn a_server_that_is_gone_refuses_nothing() {
        transport::install_crypto_provider();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let crashing = async { drop(listener.accept().await.unwrap()) };
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let (answer, ()) = tokio::join!(http.get(url).send(), crashing);
        let error = AnswerError::from(answer.unwrap_err());
        assert!(!noted(By::alert("CertificateRequired"), Err(error)));
    }
}
