//! The targets, by what they read.

pub mod core;
pub mod documents;
pub mod log;
pub mod machines;
pub mod plant;
pub mod vault;

use base::sha256;
use proof::keys::SecretKey;
use std::sync::Arc;

/// The key whose seed is the digest of a name, as in `docs/vectors`.
pub fn key(name: &str) -> Arc<SecretKey> {
    Arc::new(SecretKey::from_seed(&sha256(name.as_bytes()).0).unwrap())
}
