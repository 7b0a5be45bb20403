//! Blocks from a trustless gateway over mutual TLS.

use crate::{fetch::BlockGetter, gateway::GRANT_HEADER, store::MAX_BLOCK};
use base::Digest;
use cid::Cid;
use std::io;
use transport::client;

/// A [`BlockGetter`] that asks a gateway for raw blocks.
#[derive(Clone, Debug)]
pub struct GatewayGetter {
    client: reqwest::Client,
    base: String,
    grant: Option<Digest>,
}

impl GatewayGetter {
    /// A getter from the gateway at `base` (such as `https://vault.example:8443`),
    /// with a client of [`transport::client`]. It names `grant` in each request;
    /// without one the gateway looks for one.
    pub fn new(client: reqwest::Client, base: &str, grant: Option<Digest>) -> Self {
        Self { client, base: base.trim_end_matches('/').to_owned(), grant }
    }
}

#[async_trait::async_trait]
impl BlockGetter for GatewayGetter {
    async fn block(&self, cid: &Cid) -> io::Result<Vec<u8>> {
        let url = format!("{}/ipfs/{cid}?format=raw", self.base);
        let mut request = self.client.get(url).header("accept", "application/vnd.ipld.raw");
        if let Some(grant) = &self.grant {
            request = request.header(GRANT_HEADER, grant.to_string());
        }
        let response = request.send().await.map_err(io::Error::other)?;
        client::read(response, MAX_BLOCK).await.map_err(io::Error::other)
    }
}
