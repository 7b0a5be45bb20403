//! `drill`: attacks a live plant with everything but the right proof, and shows
//! which rule refused each attempt.
//!
//! It runs with the plant's whole folder, so it holds every key and uses each one
//! for what it must not do. What it leaves behind are refusals on the ledger, some
//! ended grants, a member whose key is revoked and a hold that was released.

use super::context::{Context, Failure};
use base::{Bytes, Digest, Id, Rule};
use node::{Client, Node, fresh_nonce, fresh_seed, init::folder, now};
use plant::body::{
    Approve, Body, Change, Enforcement, Grant, Hold, Member, Order, Release, RevokeGrant,
    RevokeKey, SetRoles, Term,
};
use policy::Role;
use proof::{
    entry::{Entry, Leaf, Signature},
    keys::{PublicKey, SecretKey},
};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
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
        let detail = detail.chars().take(200).collect();
        self.attempts.push(Attempt { name: name.into(), refused, rule, detail });
    }
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
    drill.transport(&args.plant).await?;
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
    state_root: String,
    report: Report,
}

impl Drill {
    async fn begin(plant: &Path) -> Result<Self, Failure> {
        let auditor = Hand::of(plant, "auditor")?;
        let orders: BTreeMap<Digest, Value> = auditor.client.get("/state/orders").await?;
        let finished = orders.iter().find(|(_, o)| o["status"]["ended"] == "finished");
        let (id, _) = finished.ok_or_else(|| {
            Failure::Failed("no run was finished yet: do one honest job first".into())
        })?;
        let shown: Value = auditor.client.get(&format!("/entries/{id}")).await?;
        let done: Leaf = serde_json::from_value(shown["leaf"].clone())?;
        let Ok(Body::Order(order)) = serde_json::from_value(done.entry.statement.body.clone())
        else {
            return Err(Failure::Failed("the ledger's order is no order".into()));
        };
        let recordings: BTreeMap<String, Value> = auditor.client.get("/state/recordings").await?;
        let state_root = recordings
            .iter()
            .find(|(_, r)| r["recording"]["stream"] == "state" && r["shred"].is_null())
            .map(|(root, _)| root.clone())
            .ok_or_else(|| {
                Failure::Failed("no recording of robot states is in the vault".into())
            })?;
        Ok(Self {
            operator: Hand::of(plant, "operator")?,
            officer: Hand::of(plant, "officer-1")?,
            other_officer: Hand::of(plant, "officer-2")?,
            analyst: Hand::of(plant, "analyst")?,
            auditor,
            order_id: *id,
            done,
            order,
            state_root,
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

    async fn orders(&mut self) -> Result<(), Failure> {
        let honest = self.operator.sign(&Body::Order(self.again()))?;
        let mut forged = honest.clone();
        forged.signature = Signature::Ed25519(Bytes(vec![7; 64]));
        self.submit("order with a forged signature", &forged).await;

        let mut edited = honest.clone();
        if let Some(value) = edited.statement.body.pointer_mut("/order/part") {
            *value = "another-part".into();
        }
        self.submit("order edited after signing", &edited).await;

        let stranger =
            SecretKey::from_seed(&*fresh_seed()?).map_err(|e| Failure::Failed(e.to_string()))?;
        let mut statement = honest.statement.clone();
        statement.issuer = "mallory".parse()?;
        statement.key = PublicKey::of(&stranger).fingerprint();
        self.submit("order by somebody who is not enrolled", &Entry::sign(statement, &stranger)?)
            .await;

        let mut statement = honest.statement.clone();
        statement.key = PublicKey::of(&stranger).fingerprint();
        self.submit(
            "order in the operator's name with another key",
            &Entry::sign(statement, &stranger)?,
        )
        .await;

        let wrong_role = self.auditor.sign(&Body::Order(self.again()))?;
        self.submit("order by an auditor", &wrong_role).await;

        let at = now();
        let late =
            Order { not_before: base::Millis(1), not_after: base::Millis(2), ..self.again() };
        self.state_as_operator("order that has expired", Body::Order(late)).await?;
        let endless = Order { not_after: at.plus(365 * 86_400_000), ..self.again() };
        self.state_as_operator("order that is valid for a year", Body::Order(endless)).await?;

        let replay = self.done.entry.clone();
        let answer = self.auditor.client.submit(&replay).await;
        self.report.note("order that was carried out, replayed", answer);

        let mut statement = honest.statement.clone();
        statement.nonce = self.done.entry.statement.nonce.clone();
        let same_nonce = Entry::sign(statement, self.operator.node.signer.as_ref())?;
        self.submit("new order with a used nonce", &same_nonce).await;

        let elsewhere = Order { cell: "cell-9".parse()?, ..self.again() };
        self.state_as_operator("order for a cell that is not there", Body::Order(elsewhere))
            .await?;
        let mut wild = self.again();
        wild.parameters.insert("speed_percent".parse()?, 1_000);
        self.state_as_operator("order with a speed beyond its bound", Body::Order(wild)).await?;
        let mut swapped = self.again();
        swapped.program.sha256 = base::sha256(b"another program");
        self.state_as_operator("order for another program of the same name", Body::Order(swapped))
            .await?;

        let mut statement = honest.statement.clone();
        statement.site = "another-site".parse()?;
        let foreign = Entry::sign(statement, self.operator.node.signer.as_ref())?;
        self.submit("order for another site", &foreign).await;
        let mut statement = honest.statement.clone();
        statement.at = now().plus(3_600_000);
        let ahead = Entry::sign(statement, self.operator.node.signer.as_ref())?;
        self.submit("order from a clock an hour ahead", &ahead).await;
        self.held().await
    }

    async fn state_as_operator(&mut self, name: &str, body: Body) -> Result<(), Failure> {
        let answer = self.operator.try_state(&body).await?;
        self.report.note(name, answer);
        Ok(())
    }

    /// Orders and releases while a hold is in force.
    async fn held(&mut self) -> Result<(), Failure> {
        let hold = Hold { cell: None, reason: "drill".into() };
        let answer = self.analyst.try_state(&Body::Hold(hold)).await?;
        self.report.note("hold of the whole site by a processor", answer);
        let hold = Hold { cell: Some(self.order.cell.clone()), reason: "drill".into() };
        let placed = self.auditor.state(&Body::Hold(hold)).await?;
        self.state_as_operator("order while a hold is in force", Body::Order(self.again())).await?;
        let release = Body::Release(Release { hold: placed.id });
        let answer = self.auditor.try_state(&release).await?;
        self.report.note("release of a hold by an auditor", answer);
        self.operator.state(&release).await?;
        let answer = self.operator.try_state(&release).await?;
        self.report.note("release of a hold by the same person twice", answer);
        self.officer.state(&release).await?;
        Ok(())
    }

    async fn rules(&mut self) -> Result<(), Failure> {
        let mine: BTreeSet<Role> = [Role::Operator, Role::SecurityOfficer].into();
        let promote = |id: &Id| {
            Body::Propose(Change::Roles(SetRoles { member: id.clone(), roles: mine.clone() }))
        };
        let me = self.operator.node.member().clone();
        self.state_as_operator("operator makes itself security officer", promote(&me)).await?;
        let proposed = self.officer.state(&promote(&me)).await?;
        let approve = Body::Approve(Approve { proposal: proposed.id });
        let answer = self.officer.try_state(&approve).await?;
        self.report.note("change of roles with one officer's two signatures", answer);
        let answer = self.operator.try_state(&approve).await?;
        self.report.note("change of roles approved by its beneficiary", answer);
        self.revoked().await
    }

    /// A member that was enrolled properly, and whose key was revoked.
    async fn revoked(&mut self) -> Result<(), Failure> {
        let signer =
            SecretKey::from_seed(&*fresh_seed()?).map_err(|e| Failure::Failed(e.to_string()))?;
        let key = PublicKey::of(&signer);
        let id: Id = format!("drill-{}", key.fingerprint().short()).parse()?;
        let member = Member {
            id: id.clone(),
            keys: vec![key.clone()],
            name: "drill".into(),
            roles: [Role::Operator].into(),
            seal: None,
        };
        let proposed = self.officer.state(&Body::Propose(Change::Member(member))).await?;
        self.other_officer.state(&Body::Approve(Approve { proposal: proposed.id })).await?;
        let revoke =
            RevokeKey { key: key.fingerprint(), member: id.clone(), reason: "drill".into() };
        self.officer.state(&Body::RevokeKey(revoke)).await?;
        let mut statement = self.operator.sign(&Body::Order(self.again()))?.statement;
        (statement.issuer, statement.key) = (id, key.fingerprint());
        self.submit("order with a revoked key", &Entry::sign(statement, &signer)?).await;
        Ok(())
    }

    fn grant(&self, budget: u64, lasts_ms: u64) -> Body {
        let at = now();
        Body::Grant(Grant {
            budget,
            not_after: at.plus(lasts_ms),
            not_before: at,
            order: self.order_id,
            processor: self.analyst.node.member().clone(),
            purpose: "drill".into(),
            recordings: [self.state_root.clone()].into(),
            terms: vec![Term { enforcement: Enforcement::Enforced, text: "drill".into() }],
        })
    }

    async fn read(&mut self, name: &str, grant: Option<Digest>) {
        let answer = self.analyst.read(&self.state_root, grant).await;
        self.report.bytes += answer.as_ref().map_or(0, |bytes| bytes.len() as u64);
        self.report.note(name, answer);
    }

    async fn data(&mut self) -> Result<(), Failure> {
        self.read("read without a grant", None).await;
        let answer = self.auditor.read(&self.state_root, None).await;
        self.report.bytes += answer.as_ref().map_or(0, |bytes| bytes.len() as u64);
        self.report.note("read by an auditor, who may see the ledger only", answer);

        let small = self.officer.state(&self.grant(1, 60_000)).await?;
        self.read("read beyond the byte budget", Some(small.id)).await;
        let answer = self.auditor.read(&self.state_root, Some(small.id)).await;
        self.report.bytes += answer.as_ref().map_or(0, |bytes| bytes.len() as u64);
        self.report.note("read under somebody else's grant", answer);
        let path = format!("/grants/{}/keys/{}", small.id, self.state_root);
        let answer: Result<api::SealedKey, _> = self.auditor.client.post(&path, &Value::Null).await;
        self.report.note("key under somebody else's grant", answer);

        let revoked = self.officer.state(&self.grant(u64::from(u32::MAX), 60_000)).await?;
        let end = RevokeGrant { grant: revoked.id, reason: "drill".into() };
        self.officer.state(&Body::RevokeGrant(end)).await?;
        self.read("read after the grant was revoked", Some(revoked.id)).await;
        let short = self.officer.state(&self.grant(u64::from(u32::MAX), 1_500)).await?;
        tokio::time::sleep(Duration::from_millis(1_600)).await;
        self.read("read after the grant ended", Some(short.id)).await;

        let answer: Result<Value, _> = self.analyst.client.get("/state/orders").await;
        self.report.note("ledger read by a processor", answer);
        let path = format!("{}/recordings/{}", api::PREFIX, self.state_root);
        let request = self.analyst.client.request(Method::PUT, &path).body("not a recording");
        let answer =
            transport::client::read(request.send().await.map_err(AnswerError::from)?, 1024).await;
        self.report.note("recording stored by a processor", answer);
        let end = RevokeGrant { grant: small.id, reason: "drill".into() };
        self.officer.state(&Body::RevokeGrant(end)).await?;
        Ok(())
    }

    async fn transport(&mut self, plant: &Path) -> Result<(), Failure> {
        let tls = |e: &dyn std::fmt::Display| Failure::Failed(e.to_string());
        let site = &self.operator.node.config.site_member;
        let url = format!("{}{}/overview", self.operator.node.config.site, api::PREFIX);
        let nobody = transport::client::connect(&self.operator.node.trust, None, Some(site))
            .map_err(|e| tls(&e))?;
        let answer = nobody.get(&url).send().await.map_err(AnswerError::from);
        self.report.note("connection without a certificate", answer);

        let own = transport::Authority::new(
            &self.operator.node.anchors.site,
            transport::Validity::days(now(), 1),
        )
        .map_err(|e| tls(&e))?;
        let issued = own
            .issue(self.operator.node.member(), &[], transport::Validity::days(now(), 1))
            .map_err(|e| tls(&e))?;
        let identity = transport::Identity::from_pem(&issued.cert_pem, &issued.key_pem)
            .map_err(|e| tls(&e))?;
        let forged =
            transport::client::connect(&self.operator.node.trust, Some(&identity), Some(site))
                .map_err(|e| tls(&e))?;
        let answer = forged.get(&url).send().await.map_err(AnswerError::from);
        self.report.note("connection with a certificate of another authority", answer);

        let long = vec![b'x'; 200 * 1024];
        let request = self
            .operator
            .client
            .request(Method::POST, &format!("{}/entries", api::PREFIX))
            .body(long);
        let answer =
            transport::client::read(request.send().await.map_err(AnswerError::from)?, 4096).await;
        self.report.note("entry of 200 KiB that is no JSON", answer);
        self.fork(plant).await
    }

    /// A checkpoint of a forked log, shown to the first witness with the site's own
    /// certificate and the site's own log key: a stolen site.
    async fn fork(&mut self, plant: &Path) -> Result<(), Failure> {
        let site = Node::load(&folder(plant, &self.operator.node.config.site_member))?;
        let Some(witness) = site.config.server.as_ref().and_then(|s| s.witnesses.first()) else {
            return Ok(());
        };
        let newest = self.auditor.client.bytes("/checkpoint", proof::log::MAX_NOTE_BYTES).await?;
        let known =
            proof::log::Checkpoint::claimed(&newest).map_err(|e| Failure::Failed(e.to_string()))?;
        let signers = crate::site::own::log_signers(&site.dir, site.anchors.log.origin())?;
        let signs = |signer: &&Arc<proof::log::LogSigner>| {
            let key = signer.vkey();
            proof::log::SignedCheckpoint::verify(key.name(), key, &newest).is_ok()
        };
        let signer = signers.iter().find(signs);
        let signer = signer.ok_or_else(|| {
            Failure::Failed(format!("`{}` has no key of the log in force", site.dir.display()))
        })?;
        let forged = signer.sign(known.size, base::sha256(b"another history"));
        let body = [format!("old {}\n\n", known.size).as_bytes(), forged.note()].concat();
        let http =
            transport::client::connect(&site.trust, Some(&site.identity), Some(&witness.member))
                .map_err(|e| Failure::Failed(e.to_string()))?;
        let url = format!("{}/add-checkpoint", witness.url.trim_end_matches('/'));
        let answer = http.post(url).body(body).send().await.map_err(AnswerError::from)?;
        let (status, said) = (answer.status(), answer.text().await.unwrap_or_default());
        self.report.attempts.push(Attempt {
            name: "fork of the log by a stolen site, shown to the witness".into(),
            refused: status != StatusCode::OK,
            rule: Rule::Inclusion.to_string(),
            detail: format!(
                "witness answers {}: {}",
                status.as_u16(),
                said.trim().chars().take(150).collect::<String>()
            ),
        });
        Ok(())
    }
}
