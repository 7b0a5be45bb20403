//! The cell's own certificate, as far as people must know it.

use anyhow::{Context, bail};
use base::Millis;
use node::Node;
use x509_parser::pem::parse_x509_pem;

/// When the certificate ends that the cell shows to others.
///
/// # Errors
/// Its file is no certificate.
pub fn not_after(node: &Node) -> anyhow::Result<Millis> {
    let path = node.dir.join("tls").join("node.pem");
    let of = || format!("certificate `{}`", path.display());
    let text = std::fs::read(&path).with_context(of)?;
    let (_, pem) = parse_x509_pem(&text).with_context(of)?;
    let certificate = pem.parse_x509().with_context(of)?;
    let seconds = certificate.validity().not_after.timestamp();
    match u64::try_from(seconds) {
        Ok(seconds) => Ok(Millis(seconds.saturating_mul(1000))),
        Err(_) => bail!("{}: it ended before 1970", of()),
    }
}
