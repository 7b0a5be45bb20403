//! How many streams each member holds open.

use base::Id;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The most streams of one member.
pub(crate) const PER_MEMBER: usize = 8;

/// The open streams of all members.
#[derive(Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<HashMap<Id, usize>>>);

/// One open stream; dropping it makes room.
pub(crate) struct Held {
    streams: Streams,
    member: Id,
}

impl Streams {
    /// Room for one more stream; none when the member has as many as it may.
    pub(crate) fn hold(&self, member: &Id) -> Option<Held> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(member.clone()).or_default();
        if *count >= PER_MEMBER {
            return None;
        }
        *count += 1;
        Some(Held { streams: self.clone(), member: member.clone() })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.member) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.member);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_member_holds_so_many() {
        let (streams, ana, bob) =
            (Streams::default(), "ana".parse().unwrap(), "bob".parse().unwrap());
        let mut held: Vec<_> = (0..PER_MEMBER).filter_map(|_| streams.hold(&ana)).collect();
        assert_eq!(held.len(), PER_MEMBER);
        assert!(streams.hold(&ana).is_none() && streams.hold(&bob).is_some());
        held.pop();
        assert!(streams.hold(&ana).is_some());
        drop(held);
        assert!(streams.0.lock().unwrap().is_empty());
    }
}
