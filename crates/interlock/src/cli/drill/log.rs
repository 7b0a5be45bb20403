//! A stolen site's histories, shown to a witness, and an old one, shown to the gate.

use super::{By, Drill};
use crate::cli::{
    audit::{Replay, STEP_BYTES},
    context::Failure,
};
use base::{Digest, Id, Millis, Rule, sha256};
use gate::motion::{MotionProof, MotionRequest, decide};
use ledger::Follower;
use node::{AtCheckpoint, Client, Node, keys::FromStart, ring};
use proof::{
    keys::SecretKey,
    log::{
        AddCheckpoint, Checkpoint, LogSigner, MAX_NOTE_BYTES, SignedCheckpoint,
        append_signature_lines, cosign,
    },
};
use std::{sync::Arc, time::Duration};
use transport::client::{AnswerError, read};

/// How often something is tried while the ledger grows under it, a fifth of a second
/// apart.
const LOOKS: u32 = 50;
/// How old a checkpoint is made.
const HOUR: u64 = 3_600_000;

/// A history that is none: what is said to be the size before, and the checkpoint.
type Lie = fn(&LogSigner, u64) -> (u64, SignedCheckpoint);

fn failed(e: &dyn std::fmt::Display) -> Failure {
    Failure::Failed(e.to_string())
}

impl Drill {
    /// Checkpoints of another history, shown to the first witness with the site's
    /// own certificate and the log's own key: the site was stolen.
    pub(super) async fn histories(&mut self) -> Result<(), Failure> {
        let fork: Lie = |log, size| (size, log.sign(size, sha256(b"another history")));
        let shorter: Lie = |log, size| (size - 1, log.sign(size - 1, sha256(b"an older history")));
        let longer: Lie = |log, size| (size, log.sign(size + 1, sha256(b"a longer history")));
        // C2SP tlog-witness: a conflict names the size that was cosigned last.
        let conflict = |size: u64| By::http(409, format!("/add-checkpoint: {size}"));
        let no_proof = |size: u64| {
            By::http(422, format!("no proof that size {} extends size {size}", size + 1))
        };
        self.lied("fork of the log by a stolen site, to its witness", fork, conflict).await?;
        self.lied("log shortened by a stolen site, to its witness", shorter, conflict).await?;
        let name = "log extended without a proof by a stolen site, to its witness";
        self.lied(name, longer, no_proof).await
    }

    async fn lied(&mut self, name: &str, lie: Lie, by: impl Fn(u64) -> By) -> Result<(), Failure> {
        let log = self.log().await?;
        for _ in 0..LOOKS {
            let size = self.cosigned().await?;
            let (old, checkpoint) = lie(&log, size);
            let request = AddCheckpoint { old, proof: vec![], note: checkpoint.note().to_vec() };
            let said = self.to_witness(&request).await;
            // It says nothing of a lie about a size that was overtaken meanwhile.
            if self.cosigned().await? == size {
                self.report.note(name, by(size), said);
                return Ok(());
            }
        }
        Err(Failure::Failed("the ledger grows too fast for a drill: try in a quieter hour".into()))
    }

    /// The signer of the log that is in force.
    async fn log(&self) -> Result<Arc<LogSigner>, Failure> {
        let site = Node::load(&self.site)?;
        let newest = self.auditor.client.bytes("/checkpoint", MAX_NOTE_BYTES).await?;
        let signers = crate::site::own::log_signers(&site.dir, site.anchors.log.origin())?;
        let signs = |signer: &Arc<LogSigner>| {
            let key = signer.vkey();
            SignedCheckpoint::verify(key.name(), key, &newest).is_ok()
        };
        signers.into_iter().find(signs).ok_or_else(|| {
            Failure::Failed(format!("`{}` has no key of the log in force", site.dir.display()))
        })
    }

    /// Has the first witness cosign the site's newest checkpoint once more, as the site
    /// does; returns its size.
    pub(super) async fn cosigned(&self) -> Result<u64, Failure> {
        for _ in 0..LOOKS {
            let note = self.auditor.client.bytes("/checkpoint", MAX_NOTE_BYTES).await?;
            let size = Checkpoint::claimed(&note).map_err(|e| failed(&e))?.size;
            let request = AddCheckpoint { old: size, proof: vec![], note };
            match self.to_witness(&request).await {
                Ok(_) => return Ok(size),
                Err(AnswerError::Problem(problem)) if problem.status == 409 => {}
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(Failure::Failed("the witness does not cosign the site's newest checkpoint".into()))
    }

    async fn to_witness(&self, request: &AddCheckpoint) -> Result<Vec<u8>, AnswerError> {
        let unreached = |reason: String| AnswerError::Unexpected { url: "witness".into(), reason };
        let site = Node::load(&self.site).map_err(|e| unreached(e.to_string()))?;
        let first = site.config.server.as_ref().and_then(|server| server.witnesses.first());
        let witness = first.ok_or_else(|| unreached("the site knows none".into()))?;
        let http =
            transport::client::connect(&site.trust, Some(&site.identity), Some(&witness.member))
                .map_err(|e| unreached(e.to_string()))?;
        let url = format!("{}/add-checkpoint", witness.url.trim_end_matches('/'));
        read(http.post(url).body(request.to_body()).send().await?, MAX_NOTE_BYTES).await
    }

    /// The ledger as it is, under a checkpoint that its own keys and its witnesses' own
    /// signed an hour before an order's time, shown to the gate at that time: whoever
    /// keeps news back shows what was once true. Of now, the same opens it.
    pub(super) async fn stale(&mut self, order: Digest, at: Millis) -> Result<(), Failure> {
        let name = "checkpoint an hour old, by all keys of log and witnesses, at the gate";
        let fresh = self.at_gate(order, at, at).await?;
        if let Err(shut) = fresh {
            let why = format!("it is shut for a fresh one, too: {shut}");
            self.report.held(name, Rule::Freshness, String::new(), &why);
            return Ok(());
        }
        let dated = Millis(at.0.saturating_sub(HOUR));
        let (rule, why) = match self.at_gate(order, dated, at).await? {
            Ok(()) => (String::new(), "the gate opened".to_owned()),
            Err(shut) => (shut.refusal.rule.to_string(), shut.refusal.reason),
        };
        self.report.held(name, Rule::Freshness, rule, &why);
        Ok(())
    }

    /// What the cell's gate says at a time, over a ledger whose newest checkpoint is dated.
    async fn at_gate(
        &self,
        order: Digest,
        dated: Millis,
        now: Millis,
    ) -> Result<Result<(), gate::Shut>, Failure> {
        let cell = &self.cell.node;
        let client = self.auditor.client.clone();
        let note = dated_note(&self.plant, cell, &client, dated).await?;
        let keys = FromStart(cell.anchors.clone());
        let mut follower = Follower::new(keys, Default::default(), STEP_BYTES);
        let source = AtCheckpoint { note, client };
        let mut replay = Replay::new(cell.anchors.clone(), None, |_, _, _: &_| {});
        let mut own = None;
        loop {
            for new in follower.poll(&source).await.map_err(|e| failed(&e))? {
                replay.take(&new.leaf)?;
                if replay.index_of(&order) == Some(new.included.index()) {
                    own = Some(new);
                }
            }
            if follower.ahead().is_none() {
                break;
            }
        }
        let plant = replay.done()?;
        let (Some(own), Some(newest)) = (own, follower.latest()) else {
            return Err(Failure::Failed("the order is not on the ledger".into()));
        };
        let request = MotionRequest { cell: cell.member(), order, consumed: false, distrust: None };
        let proof = MotionProof { leaf: &own.leaf, included: &own.included, newest };
        // What opens here moves nothing: only the cell has a driver to hand it to.
        Ok(decide(&plant, &request, &proof, now).map(drop))
    }
}

/// The newest checkpoint, cosigned at a time by every key of the witnesses.
async fn dated_note(
    plant: &std::path::Path,
    cell: &Node,
    client: &Client,
    dated: Millis,
) -> Result<Vec<u8>, Failure> {
    let newest = client.bytes("/checkpoint", MAX_NOTE_BYTES).await?;
    let checkpoint = Checkpoint::claimed(&newest).map_err(|e| failed(&e))?;
    let mut note = own_lines(&newest, checkpoint.origin.as_str());
    for witness in cell.anchors.log.witnesses() {
        let member: Id = witness.name().rsplit('/').next().unwrap_or_default().parse()?;
        for (_, seed) in ring::keys(&node::init::folder(plant, &member), "sign")? {
            let key = SecretKey::from_seed(&seed).map_err(|e| failed(&e))?;
            let line = cosign(witness.name(), &key, &checkpoint, dated.0 / 1000)
                .map_err(|e| failed(&e))?;
            note = append_signature_lines(&note, line.as_bytes());
        }
    }
    Ok(note)
}

/// A note with its log's own signatures only.
fn own_lines(note: &[u8], origin: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(note);
    let own = format!("\u{2014} {origin} ");
    let kept = text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with('\u{2014}') || line.starts_with(&own));
    kept.collect::<String>().into_bytes()
}
