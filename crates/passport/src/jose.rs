//! The compact serialisation of a signed credential (RFC 7515, VC-JOSE-COSE).
//!
//! Reading is strict, so that a credential has one spelling: three segments of
//! base64url without padding and without loose bits, nothing around them, header
//! and payload in canonical form (RFC 8785).

use crate::{Broken, evidence::MAX_JWT_BYTES};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use proof::keys::{Signer, verify_ed25519};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The protected header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    alg: String,
    cty: String,
    /// The issuer's key: `did:web:…#member`.
    pub kid: String,
    typ: String,
}

impl Header {
    fn new(kid: String) -> Self {
        Self { alg: "EdDSA".into(), cty: "vc".into(), kid, typ: "vc+jwt".into() }
    }
}

/// A credential that was taken apart; its signature is not verified.
pub(crate) struct Parts<'a> {
    pub header: Header,
    pub payload: Value,
    signed: &'a str,
    signature: Vec<u8>,
}

/// The canonical bytes of a value of any size.
pub(crate) fn canonical(what: &str, value: &impl Serialize) -> Result<Vec<u8>, Broken> {
    serde_json_canonicalizer::to_vec(value).map_err(|e| Broken::unreadable(what, e))
}

/// Signs a payload as `vc+jwt`.
pub(crate) fn sign(kid: String, payload: &Value, signer: &dyn Signer) -> Result<String, Broken> {
    let header = B64.encode(canonical("the header", &Header::new(kid))?);
    let payload = B64.encode(canonical("the payload", payload)?);
    let mut jwt = format!("{header}.{payload}");
    if jwt.len() + 87 > MAX_JWT_BYTES {
        let reason = format!("{} bytes, at most {MAX_JWT_BYTES} are allowed", jwt.len());
        return Err(Broken::unreadable("the credential", reason));
    }
    let signature = signer.sign(jwt.as_bytes());
    jwt.push('.');
    jwt.push_str(&B64.encode(signature));
    Ok(jwt)
}

impl<'a> Parts<'a> {
    pub fn parse(jwt: &'a str) -> Result<Self, Broken> {
        let unreadable = |what: &str, e: String| Broken::unreadable(what, e);
        if jwt.len() > MAX_JWT_BYTES {
            let reason = format!("{} bytes, at most {MAX_JWT_BYTES} are allowed", jwt.len());
            return Err(unreadable("the credential", reason));
        }
        let segments = jwt.rsplit_once('.').and_then(|(signed, signature)| {
            signed.split_once('.').map(|(header, payload)| (signed, header, payload, signature))
        });
        let (signed, header, payload, signature) =
            segments.filter(|(_, _, payload, _)| !payload.contains('.')).ok_or_else(|| {
                unreadable("the credential", "three segments with dots between are expected".into())
            })?;
        let decode = |what: &str, text: &str| {
            B64.decode(text).map_err(|e| unreadable(what, format!("not strict base64url: {e}")))
        };
        let header_bytes = decode("the credential's header", header)?;
        let header: Header = serde_json::from_slice(&header_bytes)
            .map_err(|e| unreadable("the credential's header", e.to_string()))?;
        if canonical("the credential's header", &Header::new(header.kid.clone()))? != header_bytes {
            let reason = "`alg` EdDSA, `cty` vc and `typ` vc+jwt in canonical form are expected";
            return Err(unreadable("the credential's header", reason.into()));
        }
        let payload_bytes = decode("the credential's payload", payload)?;
        let payload: Value = serde_json::from_slice(&payload_bytes)
            .map_err(|e| unreadable("the credential's payload", e.to_string()))?;
        if canonical("the credential's payload", &payload)? != payload_bytes {
            let reason = "it is not in canonical form (RFC 8785)";
            return Err(unreadable("the credential's payload", reason.into()));
        }
        let signature = decode("the signature of the credential", signature)?;
        Ok(Self { header, payload, signed, signature })
    }

    pub fn verifies(&self, public: &[u8; 32]) -> bool {
        verify_ed25519(public, self.signed.as_bytes(), &self.signature)
    }
}
