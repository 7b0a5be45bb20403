//! A stolen site's histories, shown to a witness.

use super::{Attempt, Drill};
use crate::cli::context::Failure;
use base::Rule;
use node::Node;
use proof::log::{Checkpoint, LogSigner, SignedCheckpoint};
use reqwest::StatusCode;
use std::sync::Arc;
use transport::client::AnswerError;

impl Drill {
    /// Checkpoints of another history, shown to the first witness with the site's
    /// own certificate and the log's own key: the site was stolen.
    pub(super) async fn histories(&mut self) -> Result<(), Failure> {
        let failed = |e: &dyn std::fmt::Display| Failure::Failed(e.to_string());
        let site = Node::load(&self.site)?;
        let newest = self.auditor.client.bytes("/checkpoint", proof::log::MAX_NOTE_BYTES).await?;
        let size = Checkpoint::claimed(&newest).map_err(|e| failed(&e))?.size;
        let signers = crate::site::own::log_signers(&site.dir, site.anchors.log.origin())?;
        let signs = |signer: &&Arc<LogSigner>| {
            let key = signer.vkey();
            SignedCheckpoint::verify(key.name(), key, &newest).is_ok()
        };
        let signer = signers.iter().find(signs).ok_or_else(|| {
            Failure::Failed(format!("`{}` has no key of the log in force", site.dir.display()))
        })?;
        let fork = signer.sign(size, base::sha256(b"another history"));
        self.shown(&site, "fork of the log by a stolen site, to its witness", size, &fork).await?;
        let shorter = signer.sign(size - 1, base::sha256(b"an older history"));
        let name = "log shortened by a stolen site, to its witness";
        self.shown(&site, name, size - 1, &shorter).await?;
        let longer = signer.sign(size + 1, base::sha256(b"a longer history"));
        let name = "log extended without a proof by a stolen site, to its witness";
        self.shown(&site, name, size, &longer).await
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
