//! Sessions: who is signed in, and until when. Pure; time and tokens come in as
//! arguments.
//!
//! A token is 32 random bytes that only the browser's cookie holds. The store knows
//! its SHA-256 digest, the ticket, so that what leaks from here signs nobody in. A
//! ticket is looked up by hash: nobody can steer the comparison towards a digest
//! without the token.

use base::{Digest, Id, Millis};
use std::{collections::HashMap, net::IpAddr};

/// How long sessions last and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// A session ends so long after the last thing the person did, in milliseconds.
    pub idle_ms: u64,
    /// Every session ends so long after its sign-in, in milliseconds.
    pub whole_ms: u64,
    /// Sessions of one member; one more ends the oldest.
    pub per_member: usize,
    /// Sessions of all members; one more is refused.
    pub total: usize,
}

/// One sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who signed in.
    pub member: Id,
    /// The fingerprint of the passkey.
    pub key: Digest,
    /// When the person signed in.
    pub since: Millis,
    /// When the person did something last.
    pub last_used_at: Millis,
    /// Where the sign-in came from.
    pub address: IpAddr,
    /// When the session ends whatever happens.
    pub expires_at: Millis,
    /// When it ends unless the person does something.
    pub idle_ends_at: Millis,
}

impl Session {
    fn lives(&self, now: Millis) -> bool {
        now < self.expires_at && now < self.idle_ends_at
    }
}

/// There are as many sessions as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The sessions of one console.
#[derive(Debug)]
pub struct Sessions {
    terms: Terms,
    open: HashMap<Digest, Session>,
}

impl Sessions {
    /// A store without sessions.
    pub fn new(terms: Terms) -> Self {
        Self { terms, open: HashMap::new() }
    }

    /// Opens a session for the token of this ticket.
    ///
    /// # Errors
    /// There are too many sessions already.
    pub fn open(
        &mut self,
        ticket: Digest,
        member: Id,
        key: Digest,
        address: IpAddr,
        now: Millis,
    ) -> Result<Session, Full> {
        self.open.retain(|_, session| session.lives(now));
        let own = self.open.iter().filter(|(_, s)| s.member == member);
        if own.clone().count() >= self.terms.per_member {
            let oldest = own.min_by_key(|(_, s)| s.since).map(|(ticket, _)| *ticket);
            oldest.and_then(|ticket| self.open.remove(&ticket));
        }
        if self.open.len() >= self.terms.total {
            return Err(Full);
        }
        let expires_at = now.plus(self.terms.whole_ms);
        let idle_ends_at = self.idle_end(now, expires_at);
        let session = Session {
            member,
            key,
            since: now,
            last_used_at: now,
            address,
            expires_at,
            idle_ends_at,
        };
        self.open.insert(ticket, session.clone());
        Ok(session)
    }

    /// The session of a ticket, when it has not ended.
    pub fn find(&mut self, ticket: &Digest, now: Millis) -> Option<&Session> {
        if !self.open.get(ticket)?.lives(now) {
            self.open.remove(ticket);
        }
        self.open.get(ticket)
    }

    /// The person did something: the idle time begins anew. Returns the session as
    /// it is now; none when it has ended.
    pub fn touch(&mut self, ticket: &Digest, now: Millis) -> Option<Session> {
        let expires_at = self.find(ticket, now)?.expires_at;
        let idle_ends_at = self.idle_end(now, expires_at);
        let session = self.open.get_mut(ticket)?;
        session.idle_ends_at = idle_ends_at;
        session.last_used_at = now;
        Some(session.clone())
    }

    /// A member's sessions that have not ended, the newest first.
    pub fn of(&self, member: &Id, now: Millis) -> Vec<(Digest, &Session)> {
        let own = |session: &Session| session.member == *member && session.lives(now);
        let mut found: Vec<_> =
            self.open.iter().filter(|(_, s)| own(s)).map(|(ticket, s)| (*ticket, s)).collect();
        found.sort_unstable_by_key(|(ticket, s)| (std::cmp::Reverse(s.since), *ticket));
        found
    }

    /// Ends a session.
    pub fn close(&mut self, ticket: &Digest) {
        self.open.remove(ticket);
    }

    fn idle_end(&self, now: Millis, expires_at: Millis) -> Millis {
        now.plus(self.terms.idle_ms).min(expires_at)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { idle_ms: 10, whole_ms: 100, per_member: 2, total: 3 };

    fn ticket(number: u8) -> Digest {
        Digest([number; 32])
    }

    fn open(store: &mut Sessions, number: u8, member: &str, now: u64) -> Result<Session, Full> {
        let address = IpAddr::from([192, 0, 2, number]);
        store.open(ticket(number), member.parse().unwrap(), Digest([0; 32]), address, Millis(now))
    }

    #[test]
    fn a_session_ends_when_idle_and_after_its_whole_time() {
        let mut store = Sessions::new(TERMS);
        open(&mut store, 1, "ana", 0).unwrap();
        assert!(store.find(&ticket(1), Millis(9)).is_some(), "looking is not doing");
        assert!(store.find(&ticket(1), Millis(10)).is_none());
        assert!(store.touch(&ticket(1), Millis(0)).is_none(), "what ended stays ended");

        open(&mut store, 1, "ana", 0).unwrap();
        for now in (5..100).step_by(5) {
            let session = store.touch(&ticket(1), Millis(now)).unwrap();
            assert_eq!(session.idle_ends_at, Millis((now + 10).min(100)));
            assert_eq!(session.expires_at, Millis(100));
        }
        assert!(store.touch(&ticket(1), Millis(100)).is_none());
    }

    #[test]
    fn each_member_has_so_many_and_the_house_is_full_at_some_point() {
        let mut store = Sessions::new(TERMS);
        open(&mut store, 1, "ana", 0).unwrap();
        open(&mut store, 2, "ana", 1).unwrap();
        open(&mut store, 3, "ana", 2).unwrap();
        assert!(store.find(&ticket(1), Millis(2)).is_none(), "the oldest gave way");
        assert!(store.find(&ticket(2), Millis(2)).is_some());
        open(&mut store, 4, "bob", 3).unwrap();
        assert_eq!(open(&mut store, 5, "eva", 3), Err(Full));
        open(&mut store, 6, "ana", 3).unwrap();
        assert!(open(&mut store, 5, "eva", 12).is_ok(), "ended sessions make room");
    }

    #[test]
    fn a_member_finds_its_own_sessions_and_what_it_did_last() {
        let mut store = Sessions::new(TERMS);
        open(&mut store, 1, "ana", 0).unwrap();
        open(&mut store, 2, "ana", 5).unwrap();
        open(&mut store, 3, "bob", 5).unwrap();
        store.touch(&ticket(1), Millis(7)).unwrap();
        let (ana, bob) = ("ana".parse().unwrap(), "bob".parse().unwrap());
        let found = |store: &Sessions, now| -> Vec<_> {
            store.of(&ana, Millis(now)).into_iter().map(|(t, s)| (t, s.last_used_at)).collect()
        };
        assert_eq!(found(&store, 8), [(ticket(2), Millis(5)), (ticket(1), Millis(7))]);
        assert_eq!(found(&store, 15), [(ticket(1), Millis(7))], "the other has ended");
        assert_eq!(store.of(&bob, Millis(8))[0].1.address, IpAddr::from([192, 0, 2, 3]));
        assert!(store.of(&"eva".parse().unwrap(), Millis(8)).is_empty());
    }

    #[test]
    fn a_closed_session_and_an_unknown_ticket_are_nobody() {
        let mut store = Sessions::new(TERMS);
        open(&mut store, 1, "ana", 0).unwrap();
        assert!(store.find(&ticket(2), Millis(0)).is_none());
        store.close(&ticket(1));
        assert!(store.find(&ticket(1), Millis(0)).is_none());
    }
}
