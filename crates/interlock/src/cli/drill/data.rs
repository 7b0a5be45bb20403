//! Reads without a right, and recordings that are not what a cell recorded.

use super::{By, Drill};
use crate::cli::context::Failure;
use base::{Digest, Rule};
use node::{granted::Granted, now};
use plant::body::{Body, Enforcement, Grant, RevokeGrant, Term};
use proof::{
    keys::PublicKey,
    recording::{SignedCheckpoint, SignedManifest, verify_chain},
};
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;
use transport::client::AnswerError;

/// The most bytes of a recording that the drill takes to edit it.
const MOST: usize = 256 << 20;
/// What a reader says of leaves that the signed checkpoints do not cover.
const LEAVES: &str = "first covered by checkpoint";
/// The most segments of such a recording.
const MOST_SEGMENTS: usize = 256;

/// A changed recording, the words that must refuse it, and what its reader says.
type Shown = (&'static str, &'static str, Result<(), String>);

impl Drill {
    fn grant(&self, budget: u64, lasts_ms: u64) -> Body {
        let at = now();
        Body::Grant(Grant {
            budget,
            not_after: at.plus(lasts_ms),
            not_before: at,
            order: self.order_id,
            processor: self.analyst.node.member().clone(),
            purpose: "drill".into(),
            recordings: [self.root.clone()].into(),
            terms: vec![Term { enforcement: Enforcement::Enforced, text: "drill".into() }],
        })
    }

    async fn end(&self, grant: Digest) -> Result<(), Failure> {
        let end = RevokeGrant { grant, reason: "drill".into() };
        self.officer.state(&Body::RevokeGrant(end)).await?;
        Ok(())
    }

    async fn read(&mut self, name: &str, by: Rule, grant: Option<Digest>) {
        let answer = self.analyst.read(&self.root, grant).await;
        self.took(name, by, answer);
    }

    /// Notes a read that should have been refused, and what it got.
    fn took(&mut self, name: &str, by: Rule, answer: Result<Vec<u8>, AnswerError>) {
        self.report.bytes += answer.as_ref().map_or(0, |bytes| bytes.len() as u64);
        self.report.note(name, by, answer);
    }

    pub(super) async fn data(&mut self) -> Result<(), Failure> {
        self.read("read without a grant", Rule::Grant, None).await;
        let answer = self.auditor.read(&self.root, None).await;
        self.took("read without a grant by an auditor, who sees the ledger", Rule::Grant, answer);

        let small = self.officer.state(&self.grant(1, 60_000)).await?;
        self.read("read beyond the byte budget", Rule::Budget, Some(small.id)).await;
        let answer = self.auditor.read(&self.root, Some(small.id)).await;
        self.took("read under somebody else's grant", Rule::Grant, answer);
        let path = format!("/grants/{}/keys/{}", small.id, self.root);
        let answer: Result<api::SealedKey, _> = self.auditor.client.post(&path, &Value::Null).await;
        self.report.note("key under somebody else's grant", Rule::Grant, answer);
        self.end(small.id).await?;

        let revoked = self.officer.state(&self.grant(u64::from(u32::MAX), 60_000)).await?;
        self.end(revoked.id).await?;
        self.read("read after the grant was revoked", Rule::Grant, Some(revoked.id)).await;
        let short = self.officer.state(&self.grant(u64::from(u32::MAX), 1_500)).await?;
        tokio::time::sleep(Duration::from_millis(1_600)).await;
        self.read("read after the grant ended", Rule::Grant, Some(short.id)).await;

        let answer: Result<Value, _> = self.analyst.client.get("/state/orders").await;
        self.report.note("ledger read by a processor", Rule::Policy, answer);
        self.tampered().await
    }

    /// A recording that was changed on its way: into the vault, and out of it to a
    /// reader, who has been granted it properly.
    async fn tampered(&mut self) -> Result<(), Failure> {
        let grant = self.officer.state(&self.grant(u64::from(u32::MAX), 600_000)).await?.id;
        let path = format!("/ipfs/{}?format=car", self.root);
        let request = self.analyst.client.request(Method::GET, &path);
        let request = request.header(vault::gateway::GRANT_HEADER, grant.to_string());
        let car =
            transport::client::read(request.send().await.map_err(AnswerError::from)?, MOST).await?;
        let mut edited = car.clone();
        if let Some(last) = edited.last_mut() {
            *last ^= 1;
        }
        let half = car.get(..car.len() / 2).unwrap_or_default().to_vec();
        let by = By::http(400, "do not hash to");
        self.stored_by_cell("recording edited on its way into the vault", by, edited).await?;
        let by = By::http(400, "CAR cannot be read");
        self.stored_by_cell("recording cut off on its way into the vault", by, half).await?;
        let path = format!("{}/recordings/{}", api::PREFIX, self.root);
        let request = self.analyst.client.request(Method::PUT, &path).body(car);
        let answer =
            transport::client::read(request.send().await.map_err(AnswerError::from)?, 1024).await;
        self.report.note("recording stored by a processor", Rule::Policy, answer);
        for (name, words, shown) in self.shown_to_reader(grant).await? {
            let by = By::proof(words);
            match shown {
                Ok(()) => self.report.held(name, by, String::new(), "its reader took it"),
                Err(why) => self.report.held(name, by, "proof".into(), &why),
            }
        }
        self.end(grant).await
    }

    async fn stored_by_cell(&mut self, name: &str, by: By, car: Vec<u8>) -> Result<(), Failure> {
        let path = format!("{}/recordings/{}", api::PREFIX, self.root);
        let request = self.cell.client.request(Method::PUT, &path).body(car);
        let answer =
            transport::client::read(request.send().await.map_err(AnswerError::from)?, 1024).await;
        self.report.note(name, by, answer);
        Ok(())
    }

    /// What the reader's own check of a recording says of changed ones.
    async fn shown_to_reader(&self, grant: Digest) -> Result<Vec<Shown>, Failure> {
        let failed = |e: &dyn std::fmt::Display| Failure::Failed(e.to_string());
        let (node, client) = (&self.analyst.node, &self.analyst.client);
        let granted = Granted::obtain(node, client, grant).await.map_err(|e| failed(&e))?;
        let manifest = granted.manifests.get(&self.root).ok_or_else(|| {
            Failure::Failed("the grant's dossier does not hold its recording".into())
        })?;
        let cell = granted.plant.members.get(&manifest.claim.cell);
        let keys = cell.into_iter().flat_map(|m| &m.member.keys);
        let key = keys
            .filter_map(PublicKey::as_ed25519)
            .find(|key| manifest.verify(key).is_ok())
            .ok_or_else(|| Failure::Failed("the recording's cell has another key".into()))?;
        let path = format!("{}/recordings/{}/checkpoints", api::PREFIX, self.root);
        let checkpoints = client
            .bytes(&path, MOST)
            .await?
            .split(|b| *b == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| SignedCheckpoint::from_bytes(line).map_err(|e| failed(&e)))
            .collect::<Result<Vec<_>, _>>()?;
        let root = vault::address::parse_cid(&self.root).map_err(|e| failed(&e))?;
        let leaves = vault::fetch::fetch_leaves(&granted, &root, MOST_SEGMENTS).await;
        let leaves: Vec<_> =
            leaves.map_err(|e| failed(&e))?.list.iter().map(|(cid, _)| cid.to_bytes()).collect();
        holds(manifest, &checkpoints, &leaves, &key)
            .map_err(|e| Failure::Failed(format!("the recording as it is does not hold: {e}")))?;

        let mut edited = leaves.clone();
        if let Some(byte) = edited.first_mut().and_then(|leaf| leaf.last_mut()) {
            *byte ^= 1;
        }
        let cut = leaves.get(1..).unwrap_or_default();
        let mut turned = leaves.clone();
        // One that has a single segment is shown twice instead.
        if turned.len() < 2 {
            turned.extend(leaves.clone())
        } else {
            turned.reverse()
        }
        let fewer = checkpoints.get(..checkpoints.len().saturating_sub(1)).unwrap_or_default();
        Ok(vec![
            (
                "recording with an edited segment, to its reader",
                LEAVES,
                holds(manifest, &checkpoints, &edited, &key),
            ),
            (
                "recording without its first segment, to its reader",
                LEAVES,
                holds(manifest, &checkpoints, cut, &key),
            ),
            (
                "recording with its segments in another order, to its reader",
                LEAVES,
                holds(manifest, &checkpoints, &turned, &key),
            ),
            (
                "recording without its final checkpoint, to its reader",
                "its end was cut off",
                holds(manifest, fewer, &leaves, &key),
            ),
        ])
    }
}

/// A reader's check of a recording, as [`Granted::check_chain`] makes it.
fn holds(
    manifest: &SignedManifest,
    checkpoints: &[SignedCheckpoint],
    leaves: &[Vec<u8>],
    key: &[u8; 32],
) -> Result<(), String> {
    let chain = verify_chain(checkpoints, key, leaves).map_err(|e| e.to_string())?;
    manifest.claim.matches(chain.last(), &chain.digest()).map_err(|e| e.to_string())
}
