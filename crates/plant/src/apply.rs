//! What an admitted entry makes of the plant. It cannot fail.

use crate::{
    admit::Admitted,
    body::{Accept, Body, Change, Verdict},
    history::Ended,
    state::{
        GrantState, HoldState, MemberState, OrderState, Plant, Proposal, RecordingState, Reported,
        RunStatus,
    },
    trust::Rotation,
};
use base::{Digest, Id};
use policy::{Policy, Role};
use proof::keys::PublicKey;
use std::collections::{BTreeMap, BTreeSet};

impl Plant {
    /// Takes the next entry in.
    pub fn apply(&mut self, admitted: Admitted) {
        let Admitted { entry, body, logged_at } = admitted;
        let (id, index, issuer) = (entry.id(), self.size, entry.statement().issuer.clone());
        let nonce = (issuer.clone(), body.cell().cloned(), entry.statement().nonce.clone());
        self.index.insert(id, (index, logged_at));
        self.used.insert(nonce);
        self.size += 1;
        self.logged_at = logged_at;
        match body {
            // `admit` refuses a second genesis.
            Body::Genesis(_) => {}
            Body::Propose(change) => self.propose(id, issuer, change),
            Body::Approve(approve) => self.approve(approve.proposal, issuer, index),
            Body::Accept(accept) => self.accept(&issuer, entry.statement().key, accept),
            Body::RevokeKey(revoke) => {
                if let Some(member) = self.members.get_mut(&revoke.member) {
                    member.revoked.entry(revoke.key).or_insert(index);
                }
                let own = issuer == revoke.member && entry.statement().key == revoke.key;
                let why = if own { Ended::Retired } else { Ended::Revoked };
                self.history.end(&revoke.member, &revoke.key, index, why);
                self.withdraw(&revoke.member);
            }
            Body::Order(order) => {
                let state = OrderState {
                    order,
                    index,
                    issuer,
                    key: entry.statement().key,
                    user_verified: entry.user_verified(),
                    logged_at,
                    status: RunStatus::Pending,
                    ended: None,
                    recordings: BTreeSet::new(),
                };
                self.orders.insert(id, state);
            }
            Body::RunStarted(started) => {
                self.with_order(&started.order, |o| o.status = RunStatus::Started(index));
            }
            Body::RunEnded(ended) => self.with_order(&ended.order.clone(), |o| {
                o.status = RunStatus::Ended(ended.outcome);
                o.ended = Some(ended);
            }),
            Body::Refused(refused) => {
                self.refusals += 1;
                if let Some(order) = refused.request {
                    self.with_order(&order, |o| {
                        if o.status == RunStatus::Pending && o.order.cell == issuer {
                            o.status = RunStatus::Refused(refused.refusal);
                        }
                    });
                }
            }
            Body::Recording(recording) => {
                let root = recording.root.clone();
                self.with_order(&recording.order.clone(), |o| {
                    o.recordings.insert(root.clone());
                });
                let state = RecordingState { recording, index, shred: None, shredded: false };
                self.recordings.insert(root, state);
            }
            Body::Grant(grant) => {
                let state = GrantState { grant, index, issuer, used: 0, reads: 0, revoked: None };
                self.grants.insert(id, state);
            }
            Body::RevokeGrant(revoke) => {
                if let Some(state) = self.grants.get_mut(&revoke.grant) {
                    state.revoked = Some(index);
                }
            }
            Body::Shred(shred) => {
                if let Some(state) = self.recordings.get_mut(&shred.root) {
                    state.shred = Some(id);
                }
            }
            Body::Shredded(shredded) => {
                if let Some(state) = self.recordings.get_mut(&shredded.root) {
                    state.shredded = true;
                }
            }
            Body::Read(read) => {
                if let Some(state) = self.grants.get_mut(&read.grant) {
                    state.used = state.used.saturating_add(read.bytes);
                    state.reads += 1;
                }
            }
            Body::Report(report) => {
                if report.analyses.iter().any(|a| a.verdict == Verdict::Enrolled) {
                    self.enrolments.insert(report.part.clone(), id);
                }
                let state = Reported { report: *report, index, issuer, passport: None };
                self.reports.insert(id, state);
            }
            Body::Passport(issued) => {
                if let Some(state) = self.reports.get_mut(&issued.report) {
                    state.passport = Some(issued.credential);
                }
            }
            Body::Hold(hold) => {
                let state = HoldState { hold, index, issuer, releases: BTreeSet::new() };
                self.holds.insert(id, state);
            }
            Body::Release(release) => self.release(&release.hold, issuer),
        }
    }

    fn with_order(&mut self, id: &Digest, change: impl FnOnce(&mut OrderState)) {
        if let Some(order) = self.orders.get_mut(id) {
            change(order);
        }
    }

    fn propose(&mut self, id: Digest, proposer: Id, change: Change) {
        let officer = self.has_role(&proposer, Role::SecurityOfficer);
        let officers = officer.then(|| proposer.clone()).into_iter().collect();
        self.proposals.insert(id, Proposal { change, proposer, officers, effective: false });
    }

    fn approve(&mut self, id: Digest, officer: Id, index: u64) {
        let Some(proposal) = self.proposals.get_mut(&id) else {
            return;
        };
        proposal.officers.insert(officer);
        // A change of rules takes two officers; any other takes one beside its
        // proposer, who never approves its own.
        let needed = if proposal.change.changes_rules() { 2 } else { 1 };
        if proposal.officers.len() < needed {
            return;
        }
        proposal.effective = true;
        match proposal.change.clone() {
            Change::Member(member) => {
                let id = member.id.clone();
                self.history.enrol(&id, &member.keys, index);
                // What is spent stays spent, whatever the member's keys are now.
                let state = match self.members.remove(&id) {
                    Some(before) => MemberState { member, ..before },
                    None => MemberState::new(member),
                };
                self.members.insert(id.clone(), state);
                self.withdraw(&id);
            }
            Change::Roles(new) => {
                if let Some(state) = self.members.get_mut(&new.member) {
                    state.member.roles = new.roles;
                }
                self.withdraw(&new.member);
            }
            Change::Policy(new) => {
                // `admit` parsed it; a text that no longer parses changes nothing.
                if let Ok(policy) = Policy::parse(&new.text) {
                    self.policy = policy;
                }
            }
            Change::Program(program) => {
                self.programs.insert(program.id.clone(), program);
            }
            Change::Keys(keys) => {
                self.rotations.push(Rotation { index: self.size.saturating_sub(1), keys });
            }
            Change::Template(template) => {
                self.templates.insert(template.id.clone(), template);
            }
        }
    }

    /// An invitation gives way to the passkey that it enrolled. Nothing that the
    /// member signed before loses its key, so nothing is withdrawn.
    fn accept(&mut self, member: &Id, invitation: Digest, accept: Accept) {
        let index = self.size.saturating_sub(1);
        let Some(state) = self.members.get_mut(member) else {
            return;
        };
        state.accepted.insert(invitation, index);
        state.member.keys.retain(|key| key.fingerprint() != invitation);
        let key = PublicKey::Passkey(accept.passkey);
        self.history.end(member, &invitation, index, Ended::Used);
        self.history.add(member, &key, index);
        state.member.keys.push(key);
        if accept.seal.is_some() {
            state.member.seal = accept.seal;
        }
    }

    /// What a member signed counts only while its keys and roles are those it
    /// signed under: its share in what is still open goes when they change, and so do
    /// proposals about it, which were made of those that it had. The
    /// grants of one that may read no more end for good; a policy text that comes
    /// and goes only suspends them, see [`Plant::may_be_reader`].
    fn withdraw(&mut self, member: &Id) {
        if self.may_be_reader(member).is_err() {
            let last = self.size.saturating_sub(1);
            for state in self.grants.values_mut().filter(|g| g.grant.processor == *member) {
                state.revoked.get_or_insert(last);
            }
        }
        // What was proposed about it would undo what has changed since.
        let of = |p: &Proposal| {
            let signed = p.proposer == *member || p.officers.contains(member);
            signed || p.change.member() == Some(member)
        };
        self.proposals.retain(|_, p| p.effective || !of(p));
        for hold in self.holds.values_mut() {
            hold.releases.remove(member);
        }
    }

    fn release(&mut self, id: &Digest, person: Id) {
        if let Some(hold) = self.holds.get_mut(id) {
            hold.releases.insert(person);
            if hold.releases.len() >= 2 {
                self.holds.remove(id);
            }
        }
    }

    /// Counts by kind, for summaries.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        let n = |len: usize| len as u64;
        BTreeMap::from([
            ("entries", self.size),
            ("grants", n(self.grants.len())),
            ("holds", n(self.holds.len())),
            ("members", n(self.members.len())),
            ("orders", n(self.orders.len())),
            ("passports", n(self.reports.values().filter(|r| r.passport.is_some()).count())),
            ("recordings", n(self.recordings.len())),
            ("refusals", self.refusals),
            ("reports", n(self.reports.len())),
        ])
    }
}
