//! The clock and the random source, in one place so that all else can be pure.

use base::{Bytes, Millis};
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// The system clock. A clock before 1970 reads as 0, at which every gate's
/// freshness rule refuses.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// 16 random bytes for a statement.
pub fn fresh_nonce() -> Result<Bytes, aws_lc_rs::error::Unspecified> {
    let mut nonce = vec![0; 16];
    aws_lc_rs::rand::fill(&mut nonce)?;
    Ok(Bytes(nonce))
}

/// 32 random bytes for a key.
pub fn fresh_seed() -> Result<Zeroizing<[u8; 32]>, aws_lc_rs::error::Unspecified> {
    let mut seed = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(&mut seed[..])?;
    Ok(seed)
}
