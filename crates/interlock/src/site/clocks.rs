//! What the witnesses' clocks say of the site's.
//!
//! An entry that was logged in the future holds everybody up: no later one may be
//! logged before it, and what people sign meanwhile is too old by the ledger's time.
//! So a site whose clock runs ahead logs nothing until it is right again.
//!
//! A witness's cosignature carries its time. It was made after the site asked, so the
//! site's clock is ahead by no less than what it showed on asking is after that time,
//! however long the answer took. A steady clock says what time it should be since.

use base::{Millis, Refusal, Rule};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// A cosignature's time is in whole seconds, cut off.
const CUT_OFF_MS: u64 = 999;

/// How long a site that starts waits for the witnesses' time.
const FIRST: Duration = Duration::from_secs(5);
/// How often it looks whether they have told it.
const LOOK: Duration = Duration::from_millis(20);

/// The newest time of each witness.
pub struct Clocks {
    /// How far the site's clock may be ahead, in milliseconds.
    skew_ms: u64,
    /// So many witnesses must agree that it is.
    quorum: AtomicUsize,
    /// A time that was told longer ago says nothing: the witness is not there.
    keeps: Duration,
    told: Mutex<BTreeMap<String, Told>>,
}

struct Told {
    time: Millis,
    asked: Instant,
}

impl Clocks {
    /// Nothing is known yet.
    pub fn new(skew_ms: u64, quorum: usize, keeps: Duration) -> Self {
        Self { skew_ms, quorum: quorum.into(), keeps, told: Mutex::default() }
    }

    /// So many witnesses must agree from now on.
    pub fn needs(&self, quorum: usize) {
        self.quorum.store(quorum, Ordering::Relaxed);
    }

    /// A witness that was asked at `asked` has cosigned at `time` of its clock.
    pub fn heard(&self, witness: &str, time: Millis, asked: Instant) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(witness.to_owned(), Told { time, asked });
    }

    /// Waits until a quorum has told its time, and not for long: a site that starts with a
    /// wrong clock must not log by it before it could know.
    pub async fn told(&self) {
        let enough = || {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.len() >= self.quorum.load(Ordering::Relaxed)
        };
        let told = async {
            while !enough() {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(FIRST, told).await.is_err() {
            tracing::warn!("no quorum of witnesses told its time: the site goes by its own clock");
        }
    }

    /// Refuses to log at `now` of the site's clock when a quorum of witnesses that
    /// answered lately says that it is ahead.
    ///
    /// # Errors
    /// A refusal with both clocks.
    pub fn check(&self, now: Millis, at: Instant) -> Result<(), Refusal> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = |told: &Told| -> Option<Millis> {
            let since = at.saturating_duration_since(told.asked);
            let passed = u64::try_from(since.as_millis()).ok()?;
            (since <= self.keeps).then(|| told.time.plus(CUT_OFF_MS).plus(passed))
        };
        let ahead = |theirs: &Millis| now.since(*theirs) > self.skew_ms;
        let behind: Vec<Millis> = told.values().filter_map(latest).filter(ahead).collect();
        let quorum = self.quorum.load(Ordering::Relaxed);
        let Some(theirs) = behind.iter().max().filter(|_| behind.len() >= quorum) else {
            return Ok(());
        };
        Err(Refusal {
            who: "the sender".into(),
            what: "an entry on the ledger".into(),
            rule: Rule::Freshness,
            reason: format!("the site's clock says {now}, the witnesses' {theirs} at most"),
            accepted: format!(
                "entries once the site's clock is at most {} ms ahead of the witnesses'",
                self.skew_ms
            ),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SKEW: u64 = 2000;
    const KEEPS: Duration = Duration::from_secs(30);

    #[test]
    fn a_clock_that_jumped_ahead_is_refused_until_it_is_right() {
        let (clocks, start) = (Clocks::new(SKEW, 1, KEEPS), Instant::now());
        let later = |s: u64| start + Duration::from_secs(s);
        assert!(clocks.check(Millis(u64::MAX), start).is_ok(), "nobody has told the time");
        clocks.heard("w", Millis(50_000), start);
        for (now, after, ok) in [
            (50_000, 0, true),
            (52_999, 0, true),
            (53_000, 0, false),
            (60_000, 8, true),
            (61_000, 8, false),
            (10_000, 8, true),
            (3_600_000, 30, false),
            (3_600_000, 31, true),
        ] {
            assert_eq!(clocks.check(Millis(now), later(after)).is_ok(), ok, "{now} {after}");
        }
        let refusal = clocks.check(Millis(3_600_000), start).unwrap_err();
        assert_eq!(refusal.rule, Rule::Freshness);
        assert!(refusal.reason.contains("01:00:00.000Z"), "{}", refusal.reason);
        assert!(refusal.reason.contains("00:00:50.999Z"), "{}", refusal.reason);
        clocks.heard("w", Millis(3_600_000), later(1));
        assert!(clocks.check(Millis(3_600_000), later(1)).is_ok());
    }

    #[test]
    fn one_witness_with_a_slow_clock_holds_nobody_up() {
        let (clocks, start) = (Clocks::new(SKEW, 2, KEEPS), Instant::now());
        let now = Millis(3_600_000);
        clocks.heard("a", Millis(0), start);
        clocks.heard("b", now, start);
        assert!(clocks.check(now, start).is_ok());
        clocks.heard("c", Millis(0), start);
        assert!(clocks.check(now, start).is_err());
    }
}
