//! The roots of the plant's certificates, as its ledger states them.
//!
//! A node begins with the `tls/ca.pem` that it was installed with. When a ledger that it
//! verified from its own anchors states other roots, it takes those, and only ever later
//! ones: an old checkpoint with what it proves must not bring a withdrawn root back.

use crate::{
    config::{Node, NodeError},
    sources::now,
};
use base::Bytes;
use plant::Plant;
use transport::{Trust, replace_public};

impl Node {
    /// The roots that `plant` states and this node does not go by yet, with the entry
    /// from which on they are in force.
    pub fn newer_authorities(&self, plant: &Plant) -> Option<(u64, Vec<Bytes>)> {
        let (since, roots) = plant.authorities()?;
        let known = self.trust.since().is_some_and(|known| known >= since);
        (!known).then(|| (since, roots.to_vec()))
    }

    /// Trusts these roots and no other from now on, in every server and client that was
    /// made with this node's trust. Only a plant that this node folded from its own
    /// anchors, up to a witnessed checkpoint, may say which.
    ///
    /// # Errors
    /// One is no certificate of an authority of this site, or `tls/ca.pem` cannot be
    /// written; the node then goes by what it had.
    pub fn take_authorities(&self, since: u64, roots: &[Bytes]) -> Result<(), NodeError> {
        let roots = roots.iter().map(|root| root.0.as_slice());
        let next = Trust::stated(&self.anchors.site, roots, since)?;
        let path = self.dir.join("tls").join("ca.pem");
        // The file comes first: after a crash the node knows at least what it knew before.
        replace_public(&path, next.to_pem().as_bytes()).map_err(|e| NodeError::file(&path, e))?;
        Ok(self.trust.replace(&next)?)
    }

    /// Whether the roots that this node trusts vouch for its own certificate now; when
    /// not, no machine of the plant takes it.
    ///
    /// # Errors
    /// Why not.
    pub fn vouched(&self) -> Result<(), NodeError> {
        Ok(self.trust.accepts(&self.identity, now())?)
    }
}
