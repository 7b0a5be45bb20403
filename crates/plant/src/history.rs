//! Which key counted when.
//!
//! The fold remembers every key that a member ever had, because proofs outlive
//! keys: what a cell's or the site's key signed while it counted stays proven when
//! another has taken its place, and a key that was revoked must not come back in
//! another spelling.

use base::{Digest, Id};
use proof::keys::PublicKey;

/// Why a key counts no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its member was given other keys. Two officers may bring it back.
    Replaced,
    /// Its own holder gave it up.
    Retired,
    /// Somebody else revoked it: it may have been in wrong hands.
    Revoked,
    /// It was an invitation and was accepted.
    Used,
}

/// One key of one member, from its enrolment to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Whose.
    pub member: Id,
    /// The key.
    pub key: PublicKey,
    /// The index of the entry by which it counts; it signs what stands after that.
    pub from: u64,
    /// The index of the entry that ended it, the last that it could sign, and why.
    pub end: Option<(u64, Ended)>,
}

impl Span {
    /// Whether the key could sign the entry at an index.
    pub fn counts_at(&self, index: u64) -> bool {
        (self.from < index || index == 0) && self.end.is_none_or(|(end, _)| index <= end)
    }

    /// Whether nobody may ever have the key again.
    fn spent(&self) -> bool {
        self.end.is_some_and(|(_, why)| why != Ended::Replaced)
    }
}

/// All keys of all members, in the order in which they were enrolled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History(Vec<Span>);

impl History {
    /// A member's keys are these, from the entry at `index` on.
    pub(crate) fn enrol(&mut self, member: &Id, keys: &[PublicKey], index: u64) {
        for span in self.0.iter_mut().filter(|s| s.member == *member && s.end.is_none()) {
            if !keys.contains(&span.key) {
                span.end = Some((index, Ended::Replaced));
            }
        }
        for key in keys {
            self.add(member, key, index);
        }
    }

    /// A member has one more key.
    pub(crate) fn add(&mut self, member: &Id, key: &PublicKey, index: u64) {
        let counts = |s: &Span| s.member == *member && s.end.is_none() && s.key == *key;
        if !self.0.iter().any(counts) {
            let (member, key) = (member.clone(), key.clone());
            self.0.push(Span { member, key, from: index, end: None });
        }
    }

    /// A key counts no longer. One that counted no longer keeps its end, and is known
    /// from now on as one that was in wrong hands when it is revoked.
    pub(crate) fn end(&mut self, member: &Id, key: &Digest, index: u64, why: Ended) {
        let own = self.0.iter_mut().filter(|s| s.member == *member);
        for span in own.filter(|s| s.key.fingerprint() == *key) {
            match (span.end, why) {
                (None, _) => span.end = Some((index, why)),
                (Some((end, _)), Ended::Revoked) => span.end = Some((end, why)),
                (Some(_), _) => {}
            }
        }
    }

    /// A key that a member had, that was replaced or given up, and that nobody revoked.
    pub(crate) fn laid_down(&self, member: &Id, key: &Digest) -> Option<&PublicKey> {
        let laid = |s: &&Span| matches!(s.end, Some((_, Ended::Replaced | Ended::Retired)));
        let own = self.0.iter().filter(|s| s.member == *member);
        own.filter(laid).map(|s| &s.key).find(|k| k.fingerprint() == *key)
    }

    /// A key that counts and has the same raw bytes, whoever's it is: the same key,
    /// perhaps written in another way.
    pub(crate) fn twin(&self, key: &PublicKey) -> Option<&Span> {
        self.0.iter().find(|s| s.end.is_none() && s.key.material() == key.material())
    }

    /// The end of a key that nobody may have again, found by its raw bytes: the same
    /// key written in another way is the same key.
    pub(crate) fn spent(&self, key: &PublicKey) -> Option<&Span> {
        self.0.iter().find(|s| s.spent() && s.key.material() == key.material())
    }

    /// Every key that a member ever had.
    pub fn of<'a>(&'a self, member: &'a Id) -> impl Iterator<Item = &'a Span> {
        self.0.iter().filter(move |s| s.member == *member)
    }

    /// The Ed25519 keys with which a member could sign the entry at an index.
    pub fn ed25519_at(&self, member: &Id, index: u64) -> Vec<[u8; 32]> {
        self.of(member).filter(|s| s.counts_at(index)).filter_map(|s| s.key.as_ed25519()).collect()
    }
}
