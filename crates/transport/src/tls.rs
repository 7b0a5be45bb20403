//! TLS 1.3 between the machines of one site.
//!
//! Trust is the site's root alone. On top of the certificate chain both sides
//! check that the other is a member of the site, and a client may demand one
//! named member, so that a certificate stolen from another machine cannot stand
//! in for the server. Key exchange prefers X25519 with ML-KEM-768, for traffic
//! recorded today must stay closed to the computers of tomorrow. Sessions are
//! never resumed: each connection proves its certificate anew, and an expired
//! one ends with it.

use crate::{
    files::{read_secret, read_text},
    peer::{PeerError, member_of, site_of},
};
use base::Id;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, OtherError,
    RootCertStore, ServerConfig, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::{
        NoServerSessionStorage, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::TLS13,
};
use std::{io, path::Path, sync::Arc};

/// The protocols spoken inside TLS, best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why a TLS configuration could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM text holds no certificate or key of the expected kind.
    #[error("not a {what} in PEM: {reason}")]
    Pem {
        /// What was expected.
        what: &'static str,
        /// What is wrong with the text.
        reason: String,
    },
    /// The certificate is not one of a site or member.
    #[error(transparent)]
    Name(#[from] PeerError),
    /// Certificate, key and trust do not fit together.
    #[error("certificate and key cannot be used for TLS: {0}")]
    Unusable(String),
    /// A file could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Makes the cryptography of this crate the process default, for libraries that
/// look for one. Calling it again does nothing.
pub fn install_crypto_provider() {
    // The error only says that a provider is installed already.
    let _ = provider().install_default();
}

fn provider() -> CryptoProvider {
    use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    CryptoProvider {
        kx_groups: vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1],
        ..aws_lc_rs::default_provider()
    }
}

/// The root a machine trusts, and the site it stands for.
#[derive(Clone, Debug)]
pub struct Trust {
    roots: Arc<RootCertStore>,
    site: Id,
}

impl Trust {
    /// Trust in one site's root certificate.
    pub fn from_pem(ca_pem: &str) -> Result<Self, TlsError> {
        let der = certificate(ca_pem)?;
        let site = site_of(&der)?;
        let mut roots = RootCertStore::empty();
        roots.add(der).map_err(|e| TlsError::Unusable(e.to_string()))?;
        Ok(Self { roots: Arc::new(roots), site })
    }

    /// Loads `ca.pem` from a directory.
    pub fn load(dir: &Path) -> Result<Self, TlsError> {
        Self::from_pem(&read_text(&dir.join("ca.pem"))?)
    }

    /// The site.
    pub fn site(&self) -> &Id {
        &self.site
    }
}

/// A machine's own certificate, with those that lead to its root when a foreign
/// authority issued it, and its private key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// The identity in two PEM texts; its own certificate comes first.
    pub fn from_pem(cert_pem: &str, key_pem: &str) -> Result<Self, TlsError> {
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
            .map_err(|e| TlsError::Pem { what: "private key", reason: e.to_string() })?;
        let chain = CertificateDer::pem_slice_iter(cert_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| TlsError::Pem { what: "certificate", reason: e.to_string() })?;
        if chain.is_empty() {
            let reason = "the text holds none".to_owned();
            return Err(TlsError::Pem { what: "certificate", reason });
        }
        Ok(Self { chain, key })
    }

    /// Loads `<name>.pem` and `<name>.key` from a directory.
    pub fn load(dir: &Path, name: &str) -> Result<Self, TlsError> {
        let cert = read_text(&dir.join(format!("{name}.pem")))?;
        Self::from_pem(&cert, &read_secret(&dir.join(format!("{name}.key")))?)
    }

    /// SHA-256 of the certificate (DER), as a [`Peer`](crate::Peer) shows it.
    pub fn digest(&self) -> base::Digest {
        base::sha256(self.chain.first().map_or(&[], |der| der))
    }
}

fn certificate(pem: &str) -> Result<CertificateDer<'static>, TlsError> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|e| TlsError::Pem { what: "certificate", reason: e.to_string() })
}

/// Whether a server takes connections without a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// Each client must have one: between machines.
    #[default]
    Required,
    /// A client may have none; one that is offered is verified.
    Optional,
    /// None is asked for, so that a browser does not ask its user for one.
    Unasked,
}

/// The server side: speaks HTTP/2 and HTTP/1.1.
pub fn server_config(
    trust: &Trust,
    identity: &Identity,
    auth: ClientAuth,
) -> Result<Arc<ServerConfig>, TlsError> {
    let unusable = |e: &dyn std::fmt::Display| TlsError::Unusable(e.to_string());
    let provider = Arc::new(provider());
    let chain = WebPkiClientVerifier::builder_with_provider(trust.roots.clone(), provider.clone());
    let chain = match auth {
        ClientAuth::Required => Some(chain),
        ClientAuth::Optional => Some(chain.allow_unauthenticated()),
        ClientAuth::Unasked => None,
    };
    let verifier: Arc<dyn ClientCertVerifier> = match chain {
        Some(chain) => {
            let chain = chain.build().map_err(|e| unusable(&e))?;
            Arc::new(SiteClients { chain, site: trust.site.clone() })
        }
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| unusable(&e))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())
        .map_err(|e| unusable(&e))?;
    config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The client side. Without `identity` the client shows no certificate; with
/// `server` only that member is talked to.
pub fn client_config(
    trust: &Trust,
    identity: Option<&Identity>,
    server: Option<&Id>,
) -> Result<ClientConfig, TlsError> {
    let unusable = |e: &dyn std::fmt::Display| TlsError::Unusable(e.to_string());
    let provider = Arc::new(provider());
    let chain = WebPkiServerVerifier::builder_with_provider(trust.roots.clone(), provider.clone())
        .build()
        .map_err(|e| unusable(&e))?;
    let verifier = SiteServer { chain, site: trust.site.clone(), member: server.cloned() };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| unusable(&e))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity {
        Some(own) => builder
            .with_client_auth_cert(own.chain.clone(), own.key.clone_key())
            .map_err(|e| unusable(&e))?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn refused(error: PeerError) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}

/// The chain check of webpki, and the client is a member of the site.
#[derive(Debug)]
struct SiteClients {
    chain: Arc<dyn ClientCertVerifier>,
    site: Id,
}

impl ClientCertVerifier for SiteClients {
    fn client_auth_mandatory(&self) -> bool {
        self.chain.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        member_of(&self.site, end_entity).map_err(refused)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// The chain and host check of webpki, and the server is the expected member.
#[derive(Debug)]
struct SiteServer {
    chain: Arc<WebPkiServerVerifier>,
    site: Id,
    member: Option<Id>,
}

impl ServerCertVerifier for SiteServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.chain.verify_server_cert(end_entity, intermediates, server_name, ocsp, now)?;
        let found = member_of(&self.site, end_entity).map_err(refused)?;
        match &self.member {
            Some(expected) if *expected != found => Err(refused(PeerError::Foreign {
                found: format!("urn:interlock:{}:{found}", self.site),
                expected: format!("urn:interlock:{}:{expected}", self.site),
            })),
            _ => Ok(verified),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
