//! A bound on how often each peer may cause something.

use base::Millis;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The most peers that are remembered; beyond, all are held back together.
const MAX_PEERS: usize = 4096;

/// So many times in a window, for each peer.
pub struct Limiter {
    most: u32,
    window_ms: u64,
    seen: Mutex<HashMap<String, (Millis, u32)>>,
}

impl Limiter {
    /// At most `most` times in `window`.
    pub fn new(most: u32, window: Duration) -> Self {
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        Self { most, window_ms, seen: Mutex::default() }
    }

    /// Whether `peer` may once more at `now`; counts it when it may.
    pub fn allow(&self, peer: &str, now: Millis) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, (began, _)| now.since(*began) < self.window_ms);
        if seen.len() >= MAX_PEERS && !seen.contains_key(peer) {
            return false;
        }
        let (_, count) = seen.entry(peer.to_owned()).or_insert((now, 0));
        let allowed = *count < self.most;
        *count += u32::from(allowed);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_has_its_own_window() {
        let limiter = Limiter::new(2, Duration::from_secs(1));
        let allowed = |peer, at| limiter.allow(peer, Millis(at));
        assert!(allowed("a", 0) && allowed("a", 1) && !allowed("a", 2));
        assert!(allowed("b", 2));
        assert!(allowed("a", 1000));
    }
}
