//! A bound on what each peer may cause in a window of time: refusals on a ledger,
//! bytes in a store, attempts to sign in.

use base::Millis;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The most peers that are remembered; beyond, all are held back together.
const MAX_PEERS: usize = 4096;

/// So much in a window, for each peer.
pub struct Limiter {
    most: u64,
    window_ms: u64,
    seen: Mutex<HashMap<String, (Millis, u64)>>,
}

impl Limiter {
    /// At most `most` in `window`.
    pub fn new(most: u64, window: Duration) -> Self {
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        Self { most, window_ms, seen: Mutex::default() }
    }

    /// Whether `peer` may spend so much more at `now`; counts it when it may.
    pub fn spend(&self, peer: &str, amount: u64, now: Millis) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, (began, _)| now.since(*began) < self.window_ms);
        if seen.len() >= MAX_PEERS && !seen.contains_key(peer) {
            return false;
        }
        let (_, count) = seen.entry(peer.to_owned()).or_insert((now, 0));
        let total = count.saturating_add(amount);
        let allowed = total <= self.most;
        if allowed {
            *count = total;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_has_its_own_window() {
        let limiter = Limiter::new(2, Duration::from_secs(1));
        let allowed = |peer, at| limiter.spend(peer, 1, Millis(at));
        assert!(allowed("a", 0) && allowed("a", 1) && !allowed("a", 2));
        assert!(allowed("b", 2));
        assert!(allowed("a", 1000));
        assert!(!limiter.spend("c", 3, Millis(0)) && limiter.spend("c", 2, Millis(0)));
    }
}
