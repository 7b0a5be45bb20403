//! A stolen site's histories, shown to a witness.

use super::{Attempt, Drill};
use crate::cli::context::Failure;
use base::Rule;
use node::Node;
use proof::{
    keys::{SecretKey, Signer},
    log::{LogSigner, SignedCheckpoint},
};
use reqwest::StatusCode;
use std::sync::Arc;
use transport::client::AnswerError;

impl Drill {
    /// Checkpoints of another history, shown to the first witness with the site's
    /// own certificate and the log's own key: the site was stolen.
    pub(super) async fn histories(&mut self) -> Result<(), Failure> {
        let failed = |e: &dyn std::fmt::Display| Failure::Failed(e.to_string());
        let site = Node::load(&self.site)?;
        let seed = node::config::read_key(&site.dir.join("log.key"))?;
        let key: Arc<dyn Signer> = Arc::new(SecretKey::from_seed(&seed).map_err(|e| failed(&e))?);
        let signer = LogSigner::new(site.anchors.log.origin(), key).map_err(|e| failed(&e))?;
        let newest = self.auditor.client.bytes("/checkpoint", proof::log::MAX_NOTE_BYTES).await?;
        let known = site.anchors.log.verify_checkpoint(&newest).map_err(|e| failed(&e))?;
        let fork = signer.sign(known.size(), base::sha256(b"another history"));
        self.shown(&site, "fork of the log by a stolen site, to its witness", known.size(), &fork)
            .await?;
        let (size, root) = (known.size() - 1, base::sha256(b"an older history"));
        let shorter = signer.sign(size, root);
        self.shown(&site, "log shortened by a stolen site, to its witness", size, &shorter).await?;
        let longer = signer.sign(known.size() + 1, base::sha256(b"a longer history"));
        let name = "log extended without a proof by a stolen site, to its witness";
        self.shown(&site, name, known.size(), &longer).await
    }

    async fn shown(
        &mut self,
        site: &Node,
        name: &str,
        old: u64,
        checkpoint: &SignedCheckpoint,
    ) -> Result<(), Failure> {
        let Some(witness) = site.config.server.as_ref().and_then(|s| s.witnesses.first()) else {
            return Ok(());
        };
        let http =
            transport::client::connect(&site.trust, Some(&site.identity), Some(&witness.member))
                .map_err(|e| Failure::Failed(e.to_string()))?;
        let url = format!("{}/add-checkpoint", witness.url.trim_end_matches('/'));
        let body = [format!("old {old}\n\n").as_bytes(), checkpoint.note()].concat();
        let answer = http.post(url).body(body).send().await.map_err(AnswerError::from)?;
        let (status, said) = (answer.status(), answer.text().await.unwrap_or_default());
        let said: String = said.trim().chars().take(150).collect();
        self.report.attempts.push(Attempt {
            name: name.into(),
            refused: status != StatusCode::OK,
            rule: Rule::Inclusion.to_string(),
            detail: format!("the witness answers {}: {said}", status.as_u16()),
        });
        Ok(())
    }
}
