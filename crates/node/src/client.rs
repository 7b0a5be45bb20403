//! A client to the site's HTTP API and ledger.
//!
//! What comes back is bounded and, where it can be proven, unproven until the
//! caller has verified it: tiles go into a follower, blocks through their CIDs.

use crate::config::{Node, NodeError};
use api::{PREFIX, Submitted};
use base::Digest;
use proof::entry::Entry;
use reqwest::{Method, header::CONTENT_TYPE};
use serde::{Serialize, de::DeserializeOwned};
use std::io;
use transport::client::{AnswerError, json, read};
use vault::Cid;

/// The most bytes of a bundle of 256 leaves.
const MAX_BUNDLE: usize = 256 * (64 * 1024 + 2);
/// The most bytes of a JSON answer.
const MAX_JSON: usize = 16 * 1024 * 1024;

/// Why the site did not answer as hoped.
pub type ClientError = AnswerError;

/// A client that speaks as one member to the site's server only.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    site: String,
}

impl Client {
    /// A client with a node's certificate.
    pub fn of(node: &Node) -> Result<Self, NodeError> {
        let server = Some(&node.config.site_member);
        let http = transport::client::connect(&node.trust, Some(&node.identity), server)?;
        Ok(Self { http, site: node.config.site.trim_end_matches('/').to_owned() })
    }

    /// A request to a path of the site.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.site))
    }

    /// Reads JSON from below [`api::PREFIX`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.request(Method::GET, &format!("{PREFIX}{path}")).send().await?;
        json(answer, MAX_JSON).await
    }

    /// Sends JSON below [`api::PREFIX`] and reads JSON.
    pub async fn post<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        let request = self.request(Method::POST, &format!("{PREFIX}{path}")).json(body);
        json(request.send().await?, MAX_JSON).await
    }

    /// Reads bytes from a path of the site.
    pub async fn bytes(&self, path: &str, limit: usize) -> Result<Vec<u8>, ClientError> {
        read(self.request(Method::GET, path).send().await?, limit).await
    }

    /// Submits an entry; it is durable on the ledger when this returns.
    pub async fn submit(&self, entry: &Entry) -> Result<Submitted, ClientError> {
        self.post("/entries", entry).await
    }

    /// Submits an entry and waits until a witnessed checkpoint covers it.
    pub async fn submit_witnessed(&self, entry: &Entry) -> Result<Submitted, ClientError> {
        self.post("/entries?wait=witnessed", entry).await
    }

    /// Stores bytes under their digest.
    pub async fn put_blob(&self, bytes: Vec<u8>) -> Result<Digest, ClientError> {
        let digest = base::sha256(&bytes);
        let path = format!("{PREFIX}/blobs/{digest}");
        let request = self.request(Method::PUT, &path);
        let request = request.header(CONTENT_TYPE, "application/octet-stream").body(bytes);
        read(request.send().await?, MAX_JSON).await?;
        Ok(digest)
    }

    /// Reads bytes by their digest, verified.
    pub async fn blob(&self, digest: &Digest) -> Result<Vec<u8>, ClientError> {
        let path = format!("{PREFIX}/blobs/{digest}");
        let bytes = self.bytes(&path, api::MAX_BLOB_BYTES).await?;
        if base::sha256(&bytes) != *digest {
            let reason = format!("its digest is {}", base::sha256(&bytes));
            return Err(AnswerError::Unexpected { url: path, reason });
        }
        Ok(bytes)
    }
}

#[async_trait::async_trait]
impl vault::fetch::BlockGetter for Client {
    async fn block(&self, cid: &Cid) -> io::Result<Vec<u8>> {
        let path = format!("/ipfs/{cid}?format=raw");
        self.bytes(&path, 1 << 20).await.map_err(io::Error::other)
    }
}

#[async_trait::async_trait]
impl ledger::LogSource for Client {
    async fn checkpoint(&self) -> Result<Vec<u8>, ledger::SourceError> {
        let note = self.bytes("/checkpoint", proof::log::MAX_NOTE_BYTES).await;
        note.map_err(|e| ledger::SourceError(e.to_string()))
    }

    async fn entries(&self, index: u64, width: u64) -> Result<Vec<u8>, ledger::SourceError> {
        let size = index.saturating_mul(ledger::layout::FULL).saturating_add(width);
        let tile = ledger::layout::Tile::of(None, index, size)
            .ok_or_else(|| ledger::SourceError(format!("no bundle {index} of {width} entries")))?;
        let bundle = self.bytes(&format!("/{tile}"), MAX_BUNDLE).await;
        bundle.map_err(|e| ledger::SourceError(e.to_string()))
    }
}

/// A site's log under one checkpoint, whatever its newest is.
pub struct AtCheckpoint {
    /// The checkpoint's note.
    pub note: Vec<u8>,
    /// Where the entries come from.
    pub client: Client,
}

#[async_trait::async_trait]
impl ledger::LogSource for AtCheckpoint {
    async fn checkpoint(&self) -> Result<Vec<u8>, ledger::SourceError> {
        Ok(self.note.clone())
    }

    async fn entries(&self, index: u64, width: u64) -> Result<Vec<u8>, ledger::SourceError> {
        self.client.entries(index, width).await
    }
}
