//! The data gate: what stands before the vault's bytes.
//!
//! A read needs a live grant that names the reader and the recording and has
//! budget left, also when it asks for no bytes: every read is an entry. The caller logs
//! the read before it serves the first byte, and the fold debits the budget then, so two
//! reads cannot spend the same bytes.

use base::{Digest, Id, Millis, Refusal, Rule};
use plant::{Plant, body::Read};

/// What a peer wants to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// Who reads, as its certificate says.
    pub reader: Id,
    /// The recording's root CID.
    pub root: String,
    /// What of it: a CID, or `key`.
    pub cid: String,
    /// The exact number of bytes that the answer will carry.
    pub bytes: u64,
    /// The grant that it names; none lets the gate find one.
    pub grant: Option<Digest>,
}

/// One read of so many bytes of one recording. Only [`decide`] makes one, and
/// serving consumes it.
#[derive(Debug)]
pub struct ReadPermit {
    read: Read,
}

impl ReadPermit {
    /// The recording's root CID.
    pub fn root(&self) -> &str {
        &self.read.root
    }

    /// The bytes it allows.
    pub fn bytes(&self) -> u64 {
        self.read.bytes
    }

    /// The entry to log before serving.
    pub fn read(&self) -> &Read {
        &self.read
    }
}

/// Decides whether a peer may read now.
///
/// # Errors
/// A refusal by the rule of the grant that came closest.
pub fn decide(plant: &Plant, request: &ReadRequest, now: Millis) -> Result<ReadPermit, Refusal> {
    let refuse = |rule, reason, accepted| Refusal {
        who: request.reader.to_string(),
        what: format!("a read of `{}`", request.cid),
        rule,
        reason,
        accepted,
    };
    let mut closest = refuse(
        Rule::Grant,
        format!("no grant gives `{}` recording `{}`", request.reader, request.root),
        "a read under a live grant".into(),
    );
    let named = |id: &&Digest| match request.grant {
        Some(grant) => **id == grant,
        None => plant.grants.get(*id).is_some_and(|g| {
            g.grant.processor == request.reader && g.grant.recordings.contains(&request.root)
        }),
    };
    for id in plant.grants.keys().filter(named) {
        match plant.covering_grant(id, &request.reader, &request.root, request.bytes, now) {
            // The fold lets 0 bytes pass for ever; a grant that is spent is over.
            Ok(state) if state.used >= state.grant.budget => {
                let reason = format!("nothing of {} bytes is left", state.grant.budget);
                closest = refuse(Rule::Budget, reason, "a grant with bytes left".into());
            }
            Ok(_) => {
                let read = Read {
                    bytes: request.bytes,
                    cid: request.cid.clone(),
                    grant: *id,
                    root: request.root.clone(),
                };
                return Ok(ReadPermit { read });
            }
            Err((rule, reason, accepted)) => closest = refuse(rule, reason, accepted),
        }
    }
    Err(closest)
}
