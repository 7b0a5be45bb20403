//! Who provides a block: delegated routing over HTTP, with one answer.

use base::sha256;
use cid::multibase::{Base, encode};
use serde::{Deserialize, Serialize};

/// Where this gateway is reached, as a routing client reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// The libp2p peer identifier; see [`peer_id`].
    pub id: String,
    /// Multiaddresses.
    pub addrs: Vec<String>,
}

impl Provider {
    /// A gateway at an `https` address; `host` is a name or an IP address.
    pub fn https(id: String, host: &str, port: u16) -> Self {
        let kind = match host.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(_)) => "ip4",
            Ok(std::net::IpAddr::V6(_)) => "ip6",
            Err(_) => "dns",
        };
        Self { id, addrs: vec![format!("/{kind}/{host}/tcp/{port}/tls/http")] }
    }
}

/// The libp2p peer identifier of an Ed25519 public key: base58btc of the identity
/// multihash of its protobuf form.
pub fn peer_id(public: &[u8; 32]) -> String {
    let identity = [&[0x00, 0x24, 0x08, 0x01, 0x12, 0x20], public.as_slice()].concat();
    encode(Base::Base58Btc, identity).split_off(1)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    providers: Vec<Record<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Record<'a> {
    schema: &'static str,
    #[serde(rename = "ID")]
    id: &'a str,
    addrs: &'a [String],
    protocols: [&'static str; 1],
}

/// The JSON answer: this gateway, or nobody.
pub(super) fn answer(provider: Option<&Provider>) -> Vec<u8> {
    let records = provider.into_iter().map(|p| Record {
        schema: "peer",
        id: &p.id,
        addrs: &p.addrs,
        protocols: ["transport-ipfs-gateway-http"],
    });
    let answer = Answer { providers: records.collect() };
    serde_json::to_vec(&answer).unwrap_or_default()
}

/// The entity tag of an answer.
pub(super) fn etag(body: &[u8]) -> String {
    format!("\"{}\"", sha256(body).short())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_the_standard_shape() {
        let id = peer_id(&[7; 32]);
        assert!(id.starts_with("12D3KooW") && id.len() == 52, "{id}");
        let provider = Provider::https(id.clone(), "127.0.0.1", 8443);
        let json: serde_json::Value = serde_json::from_slice(&answer(Some(&provider))).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"Providers": [{
                "Schema": "peer", "ID": id, "Addrs": ["/ip4/127.0.0.1/tcp/8443/tls/http"],
                "Protocols": ["transport-ipfs-gateway-http"]
            }]})
        );
        assert_eq!(answer(None), b"{\"Providers\":[]}");
    }
}
