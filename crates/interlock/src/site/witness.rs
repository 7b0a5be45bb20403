//! Asking the witnesses, over mutual TLS.

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use ledger::{CosignClient, CosignError, Witness, publish::MAX_ANSWER_BYTES};
use node::{Node, config::ServerConfig};
use std::sync::Arc;

struct Asked {
    http: reqwest::Client,
    url: String,
}

#[async_trait]
impl CosignClient for Asked {
    async fn add_checkpoint(&self, body: Vec<u8>) -> Result<Vec<u8>, CosignError> {
        let lost = |e: &dyn std::fmt::Display| CosignError::Unreachable(e.to_string());
        let mut answer = self.http.post(&self.url).body(body).send().await.map_err(|e| lost(&e))?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| lost(&e))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_ANSWER_BYTES {
                return Err(lost(&"the answer is too long"));
            }
        }
        CosignError::from_answer(status, bytes)
    }
}

/// A client for each configured witness, matched to its key by name.
pub fn clients(node: &Node, server: &ServerConfig) -> Result<Vec<Witness>> {
    let mut witnesses = Vec::new();
    for address in &server.witnesses {
        let ends = format!("/{}", address.member);
        let key = node.anchors.log.witnesses().iter().find(|k| k.name().ends_with(&ends));
        let key = key.with_context(|| {
            format!("`{}` is configured as a witness and is none of `anchors.json`", address.member)
        })?;
        let http =
            transport::client::connect(&node.trust, Some(&node.identity), Some(&address.member))?;
        let url = format!("{}/add-checkpoint", address.url.trim_end_matches('/'));
        witnesses.push(Witness { key: key.clone(), client: Arc::new(Asked { http, url }) });
    }
    if witnesses.len() < node.anchors.log.quorum() {
        let (have, need) = (witnesses.len(), node.anchors.log.quorum());
        bail!("{have} witnesses are configured, {need} are needed");
    }
    Ok(witnesses)
}
