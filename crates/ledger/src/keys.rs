//! Whose signatures count, on a log whose keys change by what the log itself says.
//!
//! Only who folds the entries can tell, and this crate does not. So a reader asks:
//! given these leaves, which nothing has proven yet, who would have to sign a
//! checkpoint over them? When they did, the checkpoint proves the leaves.

use proof::log::LogPolicy;

/// The keys in force by the size of a log. **A checkpoint of *n* entries counts under
/// the keys in force after *n* entries.**
pub trait KeysInForce: Send + Sync {
    /// Whether a leaf may bear on keys. The others need not be kept to ask.
    fn reads(&self, leaf: &[u8]) -> bool;

    /// Whose signatures count on a checkpoint of `size` entries. `new` are leaves with
    /// their indexes that follow those which were proven and folded before. None when
    /// it cannot be told: the leaves make no sense.
    fn policy(&self, size: u64, new: &[(u64, &[u8])]) -> Option<LogPolicy>;
}

/// A log whose keys never change.
impl KeysInForce for LogPolicy {
    fn reads(&self, _: &[u8]) -> bool {
        false
    }

    fn policy(&self, _: u64, _: &[(u64, &[u8])]) -> Option<LogPolicy> {
        Some(self.clone())
    }
}
