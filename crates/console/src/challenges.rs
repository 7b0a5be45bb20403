//! Numbers that a passkey signs to sign in, each taken once. Pure; time and
//! randomness come in as arguments.

use base::Millis;
use std::collections::HashMap;

/// A challenge's random bytes.
pub type Nonce = [u8; 32];

/// The challenges that wait for their answer.
#[derive(Debug)]
pub struct Challenges {
    most: usize,
    life_ms: u64,
    open: HashMap<Nonce, Millis>,
}

impl Challenges {
    /// At most `most` at a time, each for `life_ms`.
    pub fn new(most: usize, life_ms: u64) -> Self {
        Self { most, life_ms, open: HashMap::new() }
    }

    /// Keeps a fresh nonce; returns until when it is taken. When there are too many,
    /// the oldest gives way: whoever floods the store cannot shut others out of it
    /// for longer than they take to answer.
    pub fn issue(&mut self, nonce: Nonce, now: Millis) -> Millis {
        let until = now.plus(self.life_ms);
        self.open.retain(|_, until| now < *until);
        if self.open.len() >= self.most {
            let oldest = self.open.iter().min_by_key(|(_, until)| **until).map(|(n, _)| *n);
            oldest.and_then(|nonce| self.open.remove(&nonce));
        }
        self.open.insert(nonce, until);
        until
    }

    /// Whether a nonce waited for its answer; it does not any longer.
    pub fn take(&mut self, nonce: &Nonce, now: Millis) -> bool {
        self.open.remove(nonce).is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_taken_once_and_in_time() {
        let mut store = Challenges::new(2, 100);
        assert_eq!(store.issue([1; 32], Millis(0)), Millis(100));
        assert!(!store.take(&[2; 32], Millis(0)), "never issued");
        assert!(store.take(&[1; 32], Millis(99)));
        assert!(!store.take(&[1; 32], Millis(99)), "taken before");
        store.issue([1; 32], Millis(0));
        assert!(!store.take(&[1; 32], Millis(100)), "too late");
    }

    #[test]
    fn the_oldest_gives_way() {
        let mut store = Challenges::new(2, 100);
        for (number, at) in [(1, 0), (2, 1), (3, 2)] {
            store.issue([number; 32], Millis(at));
        }
        assert!(!store.take(&[1; 32], Millis(3)));
        assert!(store.take(&[2; 32], Millis(3)) && store.take(&[3; 32], Millis(3)));
    }
}
