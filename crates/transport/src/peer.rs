//! Who is at the other end of a connection.
//!
//! A member is named by exactly one URI in the subject alternative names of its
//! certificate, `urn:interlock:<site>:<member>`. A certificate with no such name,
//! with two, or with one of another site is refused during the handshake; names
//! in the subject are for people and are never read.

use crate::problem::Problem;
use axum::{
    Router,
    extract::{FromRequestParts, OptionalFromRequestParts, Request},
    http::{StatusCode, request::Parts},
    middleware::{Next, from_fn},
    response::IntoResponse,
};
use base::{Digest, Id, Millis, Refusal, Rule, sha256};
use std::net::SocketAddr;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, parse_x509_certificate};

const NAMESPACE: &str = "urn:interlock:";

/// Who sent a request: the machine that its verified certificate names, or the
/// person whose session a console checked.
///
/// In an axum handler, `Peer` as an argument refuses a request without either with
/// 401, and `Option<Peer>` takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The member.
    pub member: Id,
    /// What it showed: SHA-256 of its certificate (DER), or the fingerprint of the
    /// passkey that signed in.
    pub credential: Digest,
    /// Where the connection comes from.
    pub address: SocketAddr,
}

impl Peer {
    /// The peer behind a certificate that was verified already.
    pub(crate) fn new(site: &Id, der: &[u8], address: SocketAddr) -> Result<Self, PeerError> {
        Ok(Self { member: member_of(site, der)?, credential: sha256(der), address })
    }

    /// The peer behind a session that the caller has checked for this request.
    pub fn of_session(member: Id, credential: Digest, address: SocketAddr) -> Self {
        Self { member, credential, address }
    }
}

/// Why a certificate names no member of the site.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PeerError {
    /// The bytes are no X.509 certificate.
    #[error("not an X.509 certificate: {0}")]
    Parse(String),
    /// There is not exactly one URI among the names.
    #[error("{0} URI names in the certificate, exactly one `urn:interlock:...` is expected")]
    Names(usize),
    /// The URI is not in the site's namespace.
    #[error("the certificate names `{found}`, `{expected}` is expected")]
    Foreign {
        /// The URI found.
        found: String,
        /// What it should be.
        expected: String,
    },
}

/// The member that a certificate of the site names.
pub fn member_of(site: &Id, der: &[u8]) -> Result<Id, PeerError> {
    let uri = uri_of(der)?;
    let foreign = || PeerError::Foreign {
        found: uri.chars().take(200).collect(),
        expected: format!("{NAMESPACE}{site}:<member>"),
    };
    let rest = uri.strip_prefix(NAMESPACE).and_then(|r| r.strip_prefix(site.as_str()));
    rest.and_then(|r| r.strip_prefix(':')).and_then(|m| m.parse().ok()).ok_or_else(foreign)
}

/// The site whose root certificate this is.
pub fn site_of(der: &[u8]) -> Result<Id, PeerError> {
    let uri = uri_of(der)?;
    let foreign = || PeerError::Foreign {
        found: uri.chars().take(200).collect(),
        expected: format!("{NAMESPACE}<site>"),
    };
    uri.strip_prefix(NAMESPACE).and_then(|s| s.parse().ok()).ok_or_else(foreign)
}

/// Whether a certificate may sign others.
pub(crate) fn is_authority(der: &[u8]) -> Result<bool, PeerError> {
    Ok(parse(der)?.is_ca())
}

/// When a certificate ends, in whole seconds.
pub(crate) fn not_after(der: &[u8]) -> Result<Millis, PeerError> {
    let seconds = parse(der)?.validity().not_after.timestamp();
    // One that ended before 1970 has ended, which is all that is asked.
    Ok(Millis(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000)))
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, PeerError> {
    let parsed = parse_x509_certificate(der).map_err(|e| PeerError::Parse(e.to_string()))?;
    Ok(parsed.1)
}

fn uri_of(der: &[u8]) -> Result<String, PeerError> {
    let cert = parse(der)?;
    let names = cert.subject_alternative_name().map_err(|e| PeerError::Parse(e.to_string()))?;
    let mut uris = names.iter().flat_map(|n| &n.value.general_names).filter_map(|n| match n {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    match (uris.next(), uris.count()) {
        (Some(uri), 0) => Ok(uri),
        (first, more) => Err(PeerError::Names(more + usize::from(first.is_some()))),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(|| {
            let mut problem = Problem::new(
                StatusCode::UNAUTHORIZED,
                "this address wants to know who asks, and nobody is signed in",
            );
            problem.accepted = Some(
                "a certificate issued by the plant's authority, or a session of the console"
                    .to_owned(),
            );
            problem
        })
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        Ok(parts.extensions.get().cloned())
    }
}

/// Routes for one member: everybody else is refused before a body is read.
pub fn only(router: Router, member: Id) -> Router {
    router.layer(from_fn(move |peer: Peer, request: Request, next: Next| {
        let refusal = (peer.member != member).then(|| Refusal {
            who: peer.member.to_string(),
            what: format!("`{}`", request.uri().path()),
            rule: Rule::Policy,
            reason: format!("it is answered to `{member}` alone"),
            accepted: format!("a request of `{member}`"),
        });
        async move {
            match refusal {
                Some(refusal) => Problem::from(refusal).into_response(),
                None => next.run(request).await,
            }
        }
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    fn certificate(uris: &[&str]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names =
            uris.iter().map(|u| SanType::URI((*u).try_into().unwrap())).collect();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn one_name_of_our_site_is_a_member() {
        let site: Id = "plant".parse().unwrap();
        let named = |uris: &[&str]| member_of(&site, &certificate(uris));
        assert_eq!(named(&["urn:interlock:plant:cell-1"]), Ok("cell-1".parse().unwrap()));
        assert_eq!(named(&[]), Err(PeerError::Names(0)));
        let twice = ["urn:interlock:plant:a", "urn:interlock:plant:b"];
        assert_eq!(named(&twice), Err(PeerError::Names(2)));
        for foreign in [
            "urn:interlock:plant2:cell-1",
            "urn:interlock:plan:cell-1",
            "urn:interlock:plant",
            "urn:interlock:plant:",
            "urn:interlock:plant:a:b",
            "urn:interlock:plant:A",
            "URN:interlock:plant:cell-1",
            "spiffe://plant/cell-1",
        ] {
            assert!(matches!(named(&[foreign]), Err(PeerError::Foreign { .. })), "{foreign}");
        }
    }

    #[test]
    fn foreign_bytes_are_refused() {
        let site: Id = "plant".parse().unwrap();
        let good = certificate(&["urn:interlock:plant:cell-1"]);
        for cut in 0..good.len() {
            assert!(member_of(&site, good.get(..cut).unwrap()).is_err());
        }
    }
}
