//! `certificate`: members' TLS certificates, issued where the authority's key lies.

use super::context::{Context, Failure};
use base::Id;
use clap::{Args, Subcommand};
use node::now;
use std::path::PathBuf;
use transport::{Authority, Identity, Trust, Validity};

/// What to do when a certificate has ended, or no root vouches for it.
pub const MEND: &str = "have the plant's authority issue a new one (`interlock certificate issue`), \
                        put it into the folder's `tls` and restart";
/// For how many days a certificate is valid unless told otherwise, as of a new plant.
const DAYS: u32 = 365;

#[derive(Subcommand)]
pub enum Verb {
    /// Issue a member's certificate anew, with a fresh key: `node.pem` and `node.key`, to
    /// take the place of those in the member's `tls` folder. It counts from its next
    /// start. Needs no network: the authority's key belongs offline.
    Issue(Issue),
}

#[derive(Args)]
pub struct Issue {
    /// The authority's folder, with `ca.pem` and `ca.key`.
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// The member.
    #[arg(long, value_name = "ID")]
    member: Id,
    /// A DNS name or IP address under which the member is reached, for those that
    /// listen; the site needs its console's, too. May be repeated.
    #[arg(long)]
    host: Vec<String>,
    /// For how many days it is valid; 365, or as long as the authority is, when absent.
    #[arg(long)]
    days: Option<u32>,
    /// Where to put them: no file there is overwritten.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let Verb::Issue(issue) = verb;
    let failed = |e: &dyn std::fmt::Display| Failure::Failed(e.to_string());
    let authority = Authority::load(&issue.ca).map_err(|e| failed(&e))?;
    let (now, ends) = (now(), authority.not_after());
    let mut validity = Validity::days(now, issue.days.unwrap_or(DAYS));
    if issue.days.is_none() {
        validity.not_after = validity.not_after.min(ends);
    }
    // Browsers and others refuse what outlives its authority; our machines would not say.
    if validity.not_after > ends || ends <= now {
        return Err(Failure::Failed(format!(
            "the authority ends at {ends}: a certificate that ends before is expected, or one of \
             its successor (`interlock keys make authority`)"
        )));
    }
    let issued = authority.issue(&issue.member, &issue.host, validity).map_err(|e| failed(&e))?;
    let own = Identity::from_pem(&issued.cert_pem, &issued.key_pem).map_err(|e| failed(&e))?;
    let trust = Trust::from_pem(authority.certificate()).map_err(|e| failed(&e))?;
    trust.accepts(&own, now).map_err(|e| failed(&e))?;
    std::fs::create_dir_all(&issue.out)?;
    issued.save(&issue.out, "node")?;
    let [certificate, key] = ["node.pem", "node.key"].map(|name| issue.out.join(name));
    let value = serde_json::json!({
        "certificate": certificate, "key": key, "member": issue.member,
        "digest": own.digest(), "not_after": validity.not_after,
    });
    context.print(&value, |_| {
        format!(
            "issued to `{}` until {}\n  {}\n  {}\n  \
             put both into its `tls` folder and restart it",
            issue.member,
            validity.not_after,
            certificate.display(),
            key.display()
        )
    })
}
