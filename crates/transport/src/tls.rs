//! TLS 1.3 between the machines of one site.
//!
//! Trust is in the site's roots alone: one, and a second one while the first is replaced
//! (see [`Trust`]). On top of the certificate chain both sides
//! check that the other is a member of the site, and a client may demand one
//! named member, so that a certificate stolen from another machine cannot stand
//! in for the server. Key exchange prefers X25519 with ML-KEM-768, for traffic
//! recorded today must stay closed to the computers of tomorrow. Sessions are
//! never resumed: each connection proves its certificate anew, and an expired
//! one ends with it.

use crate::{
    files::{read_secret, read_text},
    peer::{PeerError, is_authority, member_of, not_after, site_of},
};
use base::{Bytes, Id, Millis};
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
use std::{io, path::Path, sync::Arc, time::Duration};
use tokio::sync::watch;

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

/// The line of a file of roots that says since when the plant's ledger states them. Text
/// outside of the PEM encapsulation boundaries is for people (RFC 7468 section 2), so
/// other programs read such a file, too.
const SINCE: &str = "In force from this entry of the ledger on: ";

/// The roots that a machine trusts, and the site they stand for.
///
/// Every copy is the same trust: when its roots are [replaced](Trust::replace), each
/// server and client that was made with it judges its next handshake by the new ones.
#[derive(Clone, Debug)]
pub struct Trust {
    site: Id,
    roots: Arc<watch::Sender<Arc<Roots>>>,
}

/// What is trusted at a time, ready to judge a handshake.
#[derive(Debug)]
struct Roots {
    certificates: Vec<CertificateDer<'static>>,
    since: Option<u64>,
    /// How often a root was withdrawn before.
    withdrawals: u64,
    clients: Arc<dyn ClientCertVerifier>,
    servers: Arc<WebPkiServerVerifier>,
}

impl Roots {
    /// Checks that each certificate is an authority's of `site`.
    fn new(
        site: &Id,
        certificates: Vec<CertificateDer<'static>>,
        since: Option<u64>,
    ) -> Result<Self, TlsError> {
        let unusable = |e: &dyn std::fmt::Display| TlsError::Unusable(e.to_string());
        let mut store = RootCertStore::empty();
        for der in &certificates {
            let found = authority_of(der)?;
            if found != *site {
                let (found, expected) = (root_name(&found), root_name(site));
                return Err(PeerError::Foreign { found, expected }.into());
            }
            store.add(der.clone()).map_err(|e| unusable(&e))?;
        }
        let (store, provider) = (Arc::new(store), Arc::new(provider()));
        let clients = WebPkiClientVerifier::builder_with_provider(store.clone(), provider.clone());
        let servers = WebPkiServerVerifier::builder_with_provider(store, provider);
        Ok(Self {
            certificates,
            since,
            withdrawals: 0,
            clients: clients.build().map_err(|e| unusable(&e))?,
            servers: servers.build().map_err(|e| unusable(&e))?,
        })
    }
}

fn root_name(site: &Id) -> String {
    format!("urn:interlock:{site}")
}

/// The site whose authority a certificate is.
fn authority_of(der: &[u8]) -> Result<Id, TlsError> {
    let site = site_of(der)?;
    match is_authority(der)? {
        true => Ok(site),
        false => Err(TlsError::Unusable(format!(
            "the certificate of `{}` may not sign others: it is no authority's",
            root_name(&site)
        ))),
    }
}

impl Trust {
    /// Trust in a site's roots: one or more certificates in PEM.
    pub fn from_pem(pem: &str) -> Result<Self, TlsError> {
        let certificates = certificates(pem)?;
        let first = certificates.first().map_or(&[][..], |der| der);
        let site = authority_of(first)?;
        let since = pem.lines().find_map(|line| line.strip_prefix(SINCE)?.trim().parse().ok());
        Self::new(site, certificates, since)
    }

    /// Trust in the roots (DER) that a site's ledger states from the entry `since` on.
    ///
    /// # Errors
    /// There is none, or one is no certificate of an authority of this site.
    pub fn stated<'a>(
        site: &Id,
        roots: impl IntoIterator<Item = &'a [u8]>,
        since: u64,
    ) -> Result<Self, TlsError> {
        let roots = roots.into_iter().map(|der| CertificateDer::from(der.to_vec())).collect();
        Self::new(site.clone(), roots, Some(since))
    }

    fn new(
        site: Id,
        certificates: Vec<CertificateDer<'static>>,
        since: Option<u64>,
    ) -> Result<Self, TlsError> {
        let roots = Roots::new(&site, certificates, since)?;
        Ok(Self { site, roots: Arc::new(watch::Sender::new(Arc::new(roots))) })
    }

    /// Loads `ca.pem` from a directory.
    pub fn load(dir: &Path) -> Result<Self, TlsError> {
        Self::from_pem(&read_text(&dir.join("ca.pem"))?)
    }

    /// The site.
    pub fn site(&self) -> &Id {
        &self.site
    }

    /// From which entry of the ledger on the roots are in force; none for those that
    /// somebody put there.
    pub fn since(&self) -> Option<u64> {
        self.now().since
    }

    /// The roots, DER.
    pub fn certificates(&self) -> Vec<Vec<u8>> {
        self.now().certificates.iter().map(|der| der.to_vec()).collect()
    }

    /// The text of `ca.pem`.
    pub fn to_pem(&self) -> String {
        let now = self.now();
        let since = now.since.map(|index| format!("{SINCE}{index}\n")).unwrap_or_default();
        let blocks = now.certificates.iter().map(|der| Bytes(der.to_vec()).pem("CERTIFICATE"));
        std::iter::once(since).chain(blocks).collect()
    }

    /// Takes over another trust's roots, in every copy. Connections that were made
    /// before go on when every root stays; when one is withdrawn, servers end them.
    ///
    /// # Errors
    /// It is another site's.
    pub fn replace(&self, with: &Self) -> Result<(), TlsError> {
        if with.site != self.site {
            let (found, expected) = (root_name(&with.site), root_name(&self.site));
            return Err(PeerError::Foreign { found, expected }.into());
        }
        let next = with.now();
        self.roots.send_modify(|roots| {
            let withdrawn = roots.certificates.iter().any(|der| !next.certificates.contains(der));
            *roots = Arc::new(Roots {
                certificates: next.certificates.clone(),
                since: next.since,
                withdrawals: roots.withdrawals + u64::from(withdrawn),
                clients: next.clients.clone(),
                servers: next.servers.clone(),
            });
        });
        Ok(())
    }

    /// Whether a machine of the site would take this certificate at `now`.
    ///
    /// # Errors
    /// Why not.
    pub fn accepts(&self, identity: &Identity, now: Millis) -> Result<(), TlsError> {
        let unusable = |e: &dyn std::fmt::Display| TlsError::Unusable(e.to_string());
        let (own, between) = identity.chain.split_first().ok_or_else(|| unusable(&"no chain"))?;
        let now = UnixTime::since_unix_epoch(Duration::from_millis(now.0));
        self.now().clients.verify_client_cert(own, between, now).map_err(|e| {
            // What webpki says is of the last root that it tried.
            unusable(&format!("no root that is trusted vouches for the certificate: {e}"))
        })?;
        Ok(member_of(&self.site, own).map(drop)?)
    }

    /// Watches from now on whether a root is withdrawn.
    pub(crate) fn withdrawal(&self) -> Withdrawal {
        let roots = self.roots.subscribe();
        let before = roots.borrow().withdrawals;
        Withdrawal { roots, before }
    }

    fn now(&self) -> Arc<Roots> {
        self.roots.borrow().clone()
    }
}

/// Whether one of the roots that were trusted at a time is withdrawn.
#[derive(Clone)]
pub(crate) struct Withdrawal {
    roots: watch::Receiver<Arc<Roots>>,
    before: u64,
}

impl Withdrawal {
    /// Completes when it is.
    pub(crate) async fn wait(mut self) {
        let before = self.before;
        if self.roots.wait_for(|roots| roots.withdrawals != before).await.is_err() {
            // Nobody is left who could withdraw one.
            std::future::pending().await
        }
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
        Ok(Self { chain: certificates(cert_pem)?, key })
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

    /// When the certificate ends.
    ///
    /// # Errors
    /// It is none.
    pub fn not_after(&self) -> Result<Millis, TlsError> {
        Ok(not_after(self.chain.first().map_or(&[], |der| der))?)
    }
}

/// One or more certificates in PEM.
fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |reason: String| TlsError::Pem { what: "certificate", reason };
    let found = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| wrong(e.to_string()))?;
    if found.is_empty() { Err(wrong("the text holds none".to_owned())) } else { Ok(found) }
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
    let verifier: Arc<dyn ClientCertVerifier> = match auth {
        ClientAuth::Unasked => WebPkiClientVerifier::no_client_auth(),
        ClientAuth::Required | ClientAuth::Optional => {
            let required = auth == ClientAuth::Required;
            Arc::new(SiteClients { trust: trust.clone(), required })
        }
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
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
    let verifier = SiteServer { trust: trust.clone(), member: server.cloned() };
    let builder = ClientConfig::builder_with_provider(Arc::new(provider()))
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
    trust: Trust,
    required: bool,
}

impl ClientCertVerifier for SiteClients {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    // The hint is optional (RFC 8446 section 4.2.4). A machine has one certificate, which
    // it shows in any case, and the names of roots that may be replaced cannot be lent.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let roots = self.trust.now();
        let verified = roots.clients.verify_client_cert(end_entity, intermediates, now)?;
        member_of(&self.trust.site, end_entity).map_err(refused)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.trust.now().clients.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.trust.now().clients.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.now().clients.supported_verify_schemes()
    }
}

/// The chain and host check of webpki, and the server is the expected member.
#[derive(Debug)]
struct SiteServer {
    trust: Trust,
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
        let (roots, site) = (self.trust.now(), &self.trust.site);
        let verified =
            roots.servers.verify_server_cert(end_entity, intermediates, server_name, ocsp, now)?;
        let found = member_of(site, end_entity).map_err(refused)?;
        match &self.member {
            Some(expected) if *expected != found => Err(refused(PeerError::Foreign {
                found: format!("urn:interlock:{site}:{found}"),
                expected: format!("urn:interlock:{site}:{expected}"),
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
        self.trust.now().servers.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.trust.now().servers.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.now().servers.supported_verify_schemes()
    }
}
