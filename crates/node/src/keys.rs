//! Whose signatures count on the plant's log: the anchors' keys, and after them those
//! that security officers put in their place, by entries of the log.

use crate::config::Anchors;
use ledger::KeysInForce;
use plant::{Plant, trust};
use proof::log::LogPolicy;

/// Whose signatures count on a checkpoint of `size` entries, for who trusts `anchors`,
/// has folded `known` and is shown the leaves `new` behind that. None when these do
/// not fold, or begin another plant.
pub fn in_force(
    anchors: &Anchors,
    known: Option<&Plant>,
    size: u64,
    new: &[(u64, &[u8])],
) -> Option<LogPolicy> {
    let after = trust::keys_after(known, &anchors.genesis, new.iter().copied()).ok()?;
    match after.as_ref().or(known) {
        Some(plant) => plant.log_at(&anchors.log, size).ok(),
        None => Some(anchors.log.clone()),
    }
}

/// Keys for one look at a log, with all its leaves at hand from the first.
pub struct FromStart(pub Anchors);

impl KeysInForce for FromStart {
    fn reads(&self, leaf: &[u8]) -> bool {
        trust::bears_on_keys(leaf)
    }

    fn policy(&self, size: u64, new: &[(u64, &[u8])]) -> Option<LogPolicy> {
        in_force(&self.0, None, size, new)
    }
}
