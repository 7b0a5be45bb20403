//! Waiting for the next checkpoint.
//!
//! `GET /checkpoint?size=SIZE&time=MILLIS&wait_ms=N` is answered like `/checkpoint`, as
//! soon as the newest published checkpoint is another than the one of that size and
//! witnessed time, or when the wait is over. So a cell hears of an order at once and
//! learns nothing that it does not verify as ever. Without these parameters nobody
//! waits: that is C2SP's plain checkpoint.

use super::Site;
use axum::{extract::Query, http::Uri};
use base::{Id, Millis};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The longest wait; a client gives up on an answer after 30 seconds.
const MOST: Duration = Duration::from_secs(25);
/// How many requests of one member wait at once. What a broken connection left behind
/// waits on for a while, so one would be too few.
const EACH: usize = 4;

/// What a peer has, and how long it waits for another.
#[derive(Deserialize)]
pub(super) struct Wait {
    size: u64,
    time: Millis,
    wait_ms: u64,
}

impl Wait {
    /// What a request asks for; none when it does not ask to wait.
    pub(super) fn asked(uri: &Uri) -> Option<Self> {
        if uri.path() != "/checkpoint" {
            return None;
        }
        Query::try_from_uri(uri).ok().map(|Query(wait)| wait)
    }
}

impl Site {
    /// Waits until there is another checkpoint than a peer has, the wait is over or the
    /// site ends. A peer that waits too often already does not wait.
    pub(super) async fn wait(&self, member: &Id, wait: &Wait) {
        let Some(_place) = self.waiting.enter(member) else { return };
        let (mut published, mut ending) = (self.publisher.subscribe(), self.ending.subscribe());
        tokio::select! {
            // A closed channel is an end, too.
            _ = published.wait_for(|newest| {
                let found = newest.as_ref().map(|c| (c.size(), c.witnessed_at()));
                found.is_some_and(|found| found != (wait.size, wait.time))
            }) => {}
            _ = ending.wait_for(|ending| *ending) => {}
            () = tokio::time::sleep(Duration::from_millis(wait.wait_ms).min(MOST)) => {}
        }
    }
}

/// How many requests of each member wait.
#[derive(Default)]
pub(super) struct Waiting(Mutex<BTreeMap<Id, usize>>);

/// One that waits, until it is dropped.
struct Place<'a> {
    waiting: &'a Waiting,
    member: Id,
}

impl Waiting {
    fn enter(&self, member: &Id) -> Option<Place<'_>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = waiting.entry(member.clone()).or_default();
        if *own >= EACH {
            return None;
        }
        *own += 1;
        Some(Place { waiting: self, member: member.clone() })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = waiting.get_mut(&self.member) {
            *own -= 1;
            if *own == 0 {
                waiting.remove(&self.member);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_member_waits_a_few_times_at_once_and_not_at_others_expense() {
        let (waiting, cell, other) =
            (Waiting::default(), "cell-1".parse().unwrap(), "x".parse().unwrap());
        let mut places: Vec<_> = (0..EACH).map(|_| waiting.enter(&cell).unwrap()).collect();
        assert!(waiting.enter(&cell).is_none());
        assert!(waiting.enter(&other).is_some());
        places.pop();
        assert!(waiting.enter(&cell).is_some(), "a place that was left is free again");
        drop(places);
        assert!(waiting.0.lock().unwrap().is_empty());
    }

    #[test]
    fn only_a_checkpoint_with_all_parameters_is_waited_for() {
        let asked = |uri: &str| Wait::asked(&uri.parse().unwrap()).is_some();
        assert!(asked("/checkpoint?size=1&time=2000&wait_ms=5"));
        for uri in [
            "/checkpoint",
            "/checkpoint?size=1",
            "/checkpoint?size=x&time=0&wait_ms=5",
            "/tile/0/000?size=1&time=2&wait_ms=5",
        ] {
            assert!(!asked(uri), "{uri}");
        }
    }
}
