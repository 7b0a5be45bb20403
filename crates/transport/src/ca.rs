//! The plant's certificate authority.
//!
//! One P-256 root per site signs one leaf per machine, valid as client and as
//! server, because most machines are both. The names follow RFC 5280; a member
//! is named by the URI `urn:interlock:<site>:<member>` and the root by
//! `urn:interlock:<site>`, so a certificate alone says which plant it belongs to.
//! The root may sign leaves only (path length 0).
//!
//! There is no revocation list. Who may do what is on the ledger, and a revoked
//! member is refused by the gates whatever its certificate says; leaves should
//! live for weeks.

use crate::{
    files::{read_secret, read_text, write_public, write_secret},
    peer::{PeerError, not_after, site_of},
};
use base::{Id, Millis};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::{io, path::Path};
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// Why the authority could not be made, loaded or asked to issue.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A name, key or date cannot be put into a certificate.
    #[error("no certificate can be made for `{subject}`: {reason}")]
    Certificate {
        /// Whom the certificate was for.
        subject: String,
        /// What is wrong.
        reason: String,
    },
    /// The files hold no authority of a site.
    #[error("not a site's certificate authority: {0}")]
    NotAuthority(String),
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<PeerError> for CaError {
    fn from(error: PeerError) -> Self {
        Self::NotAuthority(error.to_string())
    }
}

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment, in whole seconds (milliseconds are cut).
    pub not_before: Millis,
    /// The last moment, in whole seconds (milliseconds are cut).
    pub not_after: Millis,
}

impl Validity {
    /// So many days from `now` on, and valid already for the hour before it, for
    /// machines whose clocks run late.
    pub fn days(now: Millis, days: u32) -> Self {
        Self {
            not_before: Millis(now.0.saturating_sub(3_600_000)),
            not_after: now.plus(u64::from(days) * 86_400_000),
        }
    }
}

/// The authority of one site: its root certificate and key.
pub struct Authority {
    site: Id,
    certificate: String,
    not_after: Millis,
    key: Zeroizing<String>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its private key, both PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub cert_pem: String,
    /// The private key, PKCS #8.
    pub key_pem: Zeroizing<String>,
}

impl Issued {
    /// Writes `<name>.pem` and, of mode 0600, `<name>.key` into `dir`.
    pub fn save(&self, dir: &Path, name: &str) -> io::Result<()> {
        write_secret(&dir.join(format!("{name}.key")), self.key_pem.as_bytes())?;
        write_public(&dir.join(format!("{name}.pem")), self.cert_pem.as_bytes())
    }
}

impl Authority {
    /// Makes a new root for a site.
    pub fn new(site: &Id, validity: Validity) -> Result<Self, CaError> {
        let subject = format!("urn:interlock:{site}");
        let fail = |e: &dyn std::fmt::Display| failed(&subject, e);
        let mut params = named(&subject, site, "Interlock plant authority", validity)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|e| fail(&e))?;
        let cert = params.self_signed(&key).map_err(|e| fail(&e))?;
        Self::from_pem(&cert.pem(), &Zeroizing::new(key.serialize_pem()))
    }

    /// The authority in two PEM texts; the key must be the certificate's.
    pub fn from_pem(cert_pem: &str, key_pem: &str) -> Result<Self, CaError> {
        let not = |e: &dyn std::fmt::Display| CaError::NotAuthority(e.to_string());
        let der = CertificateDer::from_pem_slice(cert_pem.as_bytes()).map_err(|e| not(&e))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|e| not(&e))?;
        if !parsed.is_ca() {
            return Err(not(&"the certificate may not sign others"));
        }
        let key = KeyPair::from_pem(key_pem).map_err(|e| not(&e))?;
        if parsed.public_key().subject_public_key.data != key.der_bytes() {
            return Err(not(&"the key belongs to another certificate"));
        }
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|e| not(&e))?;
        Ok(Self {
            site: site_of(&der)?,
            not_after: not_after(&der)?,
            certificate: cert_pem.to_owned(),
            key: Zeroizing::new(key_pem.to_owned()),
            issuer,
        })
    }

    /// Loads `ca.pem` and `ca.key` from a directory.
    pub fn load(dir: &Path) -> Result<Self, CaError> {
        Self::from_pem(&read_text(&dir.join("ca.pem"))?, &read_secret(&dir.join("ca.key"))?)
    }

    /// Writes `ca.pem` and, of mode 0600, `ca.key` into a directory.
    pub fn save(&self, dir: &Path) -> Result<(), CaError> {
        let root = Issued { cert_pem: self.certificate.clone(), key_pem: self.key.clone() };
        Ok(root.save(dir, "ca")?)
    }

    /// The site this authority speaks for.
    pub fn site(&self) -> &Id {
        &self.site
    }

    /// When the root certificate ends; what it issues should end before.
    pub fn not_after(&self) -> Millis {
        self.not_after
    }

    /// The root certificate, PEM: what every machine of the plant trusts.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Issues a certificate and a fresh P-256 key to a member. `hosts` are the DNS
    /// names and IP addresses under which it is reached; none for a pure client.
    pub fn issue(
        &self,
        member: &Id,
        hosts: &[String],
        validity: Validity,
    ) -> Result<Issued, CaError> {
        let subject = format!("urn:interlock:{}:{member}", self.site);
        let fail = |e: &dyn std::fmt::Display| failed(&subject, e);
        let mut params = named(&subject, member, self.site.as_str(), validity)?;
        let names = CertificateParams::new(hosts).map_err(|e| fail(&e))?.subject_alt_names;
        params.subject_alt_names.extend(names);
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|e| fail(&e))?;
        let cert = params.signed_by(&key, &self.issuer).map_err(|e| fail(&e))?;
        Ok(Issued { cert_pem: cert.pem(), key_pem: Zeroizing::new(key.serialize_pem()) })
    }
}

fn named(
    uri: &str,
    common_name: &Id,
    organisation: &str,
    validity: Validity,
) -> Result<CertificateParams, CaError> {
    let fail = |e: &dyn std::fmt::Display| failed(uri, e);
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|e| fail(&e))?;
    let at = |t: Millis| {
        OffsetDateTime::from_unix_timestamp(i64::try_from(t.0 / 1000).unwrap_or(i64::MAX))
    };
    let mut params = CertificateParams::default();
    params.not_before = at(validity.not_before).map_err(|e| fail(&e))?;
    params.not_after = at(validity.not_after).map_err(|e| fail(&e))?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, organisation);
    params.distinguished_name.push(DnType::CommonName, common_name.as_str());
    params.subject_alt_names = vec![SanType::URI(uri.try_into().map_err(|e| fail(&e))?)];
    Ok(params)
}

fn failed(subject: &str, reason: &dyn std::fmt::Display) -> CaError {
    CaError::Certificate { subject: subject.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn authority(site: &str) -> Authority {
        Authority::new(&site.parse().unwrap(), Validity::days(Millis(1_795_219_200_000), 30))
            .unwrap()
    }

    #[test]
    fn an_authority_survives_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let made = authority("halle-3");
        made.save(dir.path()).unwrap();
        let loaded = Authority::load(dir.path()).unwrap();
        assert_eq!(loaded.site().as_str(), "halle-3");
        assert_eq!(loaded.certificate(), made.certificate());
        assert!(matches!(made.save(dir.path()), Err(CaError::Io(_))), "a root is never replaced");
    }

    #[test]
    fn the_key_must_be_the_certificates() {
        let (a, b) = (authority("a"), authority("a"));
        let mixed = Authority::from_pem(&a.certificate, &b.key);
        assert!(matches!(mixed, Err(CaError::NotAuthority(_))));
    }

    #[test]
    fn a_leaf_is_no_authority_and_a_bad_host_is_named() {
        let validity = Validity::days(Millis(1_795_219_200_000), 30);
        let member = "cell-1".parse().unwrap();
        let leaf = authority("a").issue(&member, &["127.0.0.1".to_owned()], validity).unwrap();
        assert!(matches!(
            Authority::from_pem(&leaf.cert_pem, &leaf.key_pem),
            Err(CaError::NotAuthority(_))
        ));
        let refused = authority("a").issue(&member, &["zelle-ü".to_owned()], validity);
        assert!(refused.err().unwrap().to_string().contains("urn:interlock:a:cell-1"));
    }
}
