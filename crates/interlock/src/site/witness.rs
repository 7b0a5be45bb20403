//! Asking the witnesses, over mutual TLS, and noting what time they have.

use super::clocks::Clocks;
use async_trait::async_trait;
use ledger::{CosignClient, CosignError, publish::MAX_ANSWER_BYTES};
use node::config::WitnessAddress;
use proof::log::{AddCheckpoint, BadPolicy, LogPolicy, VKey, append_signature_lines};
use std::{sync::Arc, time::Instant};

struct Asked {
    http: reqwest::Client,
    url: String,
    name: String,
    /// Accepts this witness's cosignature alone.
    policy: LogPolicy,
    clocks: Arc<Clocks>,
}

impl Asked {
    /// Notes the time in a cosignature that verifies.
    fn heard(&self, request: &[u8], lines: &[u8], asked: Instant) {
        let request = AddCheckpoint::parse(request).ok();
        let note = request.map(|request| append_signature_lines(&request.note, lines));
        let cosigned = note.and_then(|note| self.policy.verify_checkpoint(&note).ok());
        if let Some(cosigned) = cosigned {
            self.clocks.heard(&self.name, cosigned.witnessed_at(), asked);
        }
    }
}

#[async_trait]
impl CosignClient for Asked {
    async fn add_checkpoint(&self, body: Vec<u8>) -> Result<Vec<u8>, CosignError> {
        let lost = |e: &dyn std::fmt::Display| CosignError::Unreachable(e.to_string());
        let asked = Instant::now();
        let request = self.http.post(&self.url).body(body.clone());
        let mut answer = request.send().await.map_err(|e| lost(&e))?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| lost(&e))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_ANSWER_BYTES {
                return Err(lost(&"the answer is too long"));
            }
        }
        let lines = CosignError::from_answer(status, bytes)?;
        self.heard(&body, &lines, asked);
        Ok(lines)
    }
}

/// The way to a witness with this key.
pub fn asked(
    http: reqwest::Client,
    address: &WitnessAddress,
    key: &VKey,
    log: &LogPolicy,
    clocks: &Arc<Clocks>,
) -> Result<Arc<dyn CosignClient>, BadPolicy> {
    let policy = LogPolicy::new(log.origin(), log.log_key().clone(), vec![key.clone()], 1)?;
    let url = format!("{}/add-checkpoint", address.url.trim_end_matches('/'));
    Ok(Arc::new(Asked { http, url, name: key.name().to_owned(), policy, clocks: clocks.clone() }))
}
