//! May this entry stand at this place of the ledger?

use crate::{
    body::{Body, Genesis, Hold},
    data,
    history::History,
    keys, rules,
    state::{MemberState, Plant},
    trust,
};
use base::{CanonicalError, Digest, Id, Millis, Refusal, Rule, to_canonical};
use policy::{Action, Policy, Resource, Role};
use proof::{
    entry::{Leaf, Statement, VerifiedEntry},
    keys::PublicKey,
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// How old a person's statement may be when it is logged. Machines may be
/// offline for long and deliver later.
const PERSON_DELAY_MS: u64 = 10 * 60 * 1000;

/// An entry that may stand at the next index, with its typed body. Only
/// [`Plant::admit`] makes one, and it belongs to the state that admitted it.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    pub(crate) entry: VerifiedEntry,
    pub(crate) body: Body,
    pub(crate) logged_at: Millis,
}

impl Admitted {
    /// The entry's identifier.
    pub fn id(&self) -> Digest {
        self.entry.id()
    }

    /// The typed body.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// What was stated.
    pub fn statement(&self) -> &Statement {
        self.entry.statement()
    }

    /// The canonical bytes of the leaf that the log holds for it.
    ///
    /// # Errors
    /// They are longer than a leaf may be.
    pub fn leaf(&self) -> Result<Vec<u8>, CanonicalError> {
        self.entry.leaf_bytes(self.logged_at)
    }
}

/// One admission, with what its refusal needs to say.
pub(crate) struct Asked<'a> {
    pub plant: &'a Plant,
    pub issuer: &'a Id,
    pub what: String,
    pub user_verified: bool,
    pub now: Millis,
}

impl Asked<'_> {
    pub(crate) fn refuse(
        &self,
        rule: Rule,
        reason: impl Into<String>,
        accepted: impl Into<String>,
    ) -> Refusal {
        Refusal {
            who: self.issuer.to_string(),
            what: self.what.clone(),
            rule,
            reason: reason.into(),
            accepted: accepted.into(),
        }
    }

    /// Refuses unless `holds`.
    pub(crate) fn need(
        &self,
        holds: bool,
        rule: Rule,
        reason: impl Into<String>,
        accepted: impl Into<String>,
    ) -> Result<(), Refusal> {
        if holds { Ok(()) } else { Err(self.refuse(rule, reason, accepted)) }
    }

    /// Refuses unless the policy in force allows it.
    pub(crate) fn policy(
        &self,
        action: Action,
        resource: Resource<'_>,
        subject: &str,
    ) -> Result<(), Refusal> {
        let decision = self.plant.may(self.issuer, action, resource, self.user_verified, subject);
        let roles: Vec<_> = self.plant.roles(self.issuer).iter().map(|r| r.as_str()).collect();
        let roles = if roles.is_empty() { "no role".to_owned() } else { roles.join(", ") };
        self.need(
            decision.allowed,
            Rule::Policy,
            format!(
                "`{}` ({roles}) may not `{action}`: {}",
                self.issuer,
                decision.because.join("; ")
            ),
            format!("an entry by a member whom the policy allows to `{action}`"),
        )
    }

    /// Refuses unless the policy in force allows it on the whole site.
    pub(crate) fn site_policy(&self, action: Action) -> Result<(), Refusal> {
        self.policy(action, Resource::Site(&self.plant.site), "")
    }
}

impl Plant {
    /// Decides whether an entry may be the next one, logged at `logged_at`.
    ///
    /// # Errors
    /// A refusal that names the rule; the state is unchanged either way.
    pub fn admit(&self, entry: VerifiedEntry, logged_at: Millis) -> Result<Admitted, Refusal> {
        let statement = entry.statement();
        let parsed = typed(&statement.body);
        let what = match &parsed {
            Ok(body) => describe(body),
            Err(_) => "an entry on the ledger".into(),
        };
        let asked = Asked {
            plant: self,
            issuer: &statement.issuer,
            what,
            user_verified: entry.user_verified(),
            now: logged_at,
        };
        let body =
            parsed.map_err(|e| asked.refuse(Rule::Format, e, "a body of this format version"))?;
        asked.need(
            statement.site == self.site,
            Rule::Target,
            format!("it is meant for site `{}`", statement.site),
            format!("an entry for site `{}`", self.site),
        )?;
        // It may have been verified when the plant was another.
        if !self.still_counts(&entry) {
            self.key_of(statement)?;
            let reason = format!("key {} counts no longer", statement.key.short());
            return Err(asked.refuse(
                Rule::Enrolment,
                reason,
                "a key that is enrolled and not revoked",
            ));
        }
        keys::signer(&asked, entry.key(), &body)?;
        self.admit_time(&asked, statement.at)?;
        let nonce = (statement.issuer.clone(), body.cell().cloned(), statement.nonce.clone());
        asked.need(
            !self.index.contains_key(&entry.id()) && !self.used.contains(&nonce),
            Rule::Replay,
            "its nonce was used before by this issuer",
            "a new entry with a fresh nonce",
        )?;
        self.admit_body(&asked, &statement.key, &body)?;
        Ok(Admitted { entry, body, logged_at })
    }

    fn admit_time(&self, asked: &Asked<'_>, at: Millis) -> Result<(), Refusal> {
        asked.need(
            asked.now >= self.logged_at,
            Rule::Time,
            format!("logged at {}, before the entry that precedes it", asked.now),
            "a ledger whose times do not run backwards",
        )?;
        let skew = self.anchors.clock_skew_ms;
        asked.need(
            at <= asked.now.plus(skew),
            Rule::Time,
            format!("its clock says {at}, the site's {}", asked.now),
            format!("a clock at most {skew} ms ahead of the site's"),
        )?;
        let machine = [Role::Cell, Role::Site].iter().any(|r| self.has_role(asked.issuer, *r));
        asked.need(
            machine || asked.now.since(at) <= PERSON_DELAY_MS,
            Rule::Time,
            format!("it was signed at {at} and arrives at {}", asked.now),
            "an entry signed within the last ten minutes",
        )
    }

    fn admit_body(&self, asked: &Asked<'_>, key: &Digest, body: &Body) -> Result<(), Refusal> {
        match body {
            Body::Genesis(_) => {
                Err(asked.refuse(Rule::Replay, "the plant has begun already", "any other entry"))
            }
            Body::Propose(change) => rules::propose(asked, change),
            Body::Approve(approve) => rules::approve(asked, approve),
            Body::Accept(accept) => keys::accept(asked, accept),
            Body::RevokeKey(revoke) => rules::revoke_key(asked, key, revoke),
            Body::Order(order) => rules::order(asked, order),
            Body::RunStarted(started) => rules::run_started(asked, started),
            Body::RunEnded(ended) => rules::run_ended(asked, ended),
            Body::Refused(_) => asked.site_policy(Action::RecordRefusal),
            Body::Hold(hold) => admit_hold(asked, hold),
            Body::Release(release) => rules::release(asked, release),
            Body::Recording(recording) => data::recording(asked, recording),
            Body::Grant(grant) => data::grant(asked, grant),
            Body::RevokeGrant(revoke) => data::revoke_grant(asked, revoke),
            Body::Shred(shred) => data::shred(asked, shred),
            Body::Shredded(shredded) => data::shredded(asked, shredded),
            Body::Read(read) => data::read(asked, read),
            Body::Report(report) => data::report(asked, report),
            Body::Passport(passport) => data::passport(asked, passport),
        }
    }
}

fn admit_hold(asked: &Asked<'_>, hold: &Hold) -> Result<(), Refusal> {
    let site = &asked.plant.site;
    let resource = hold.cell.as_ref().map_or(Resource::Site(site), Resource::Cell);
    asked.policy(Action::PlaceHold, resource, "")
}

/// The typed body, when its canonical form is exactly what was signed.
fn typed(value: &serde_json::Value) -> Result<Body, String> {
    let body = Body::deserialize(value).map_err(|e| format!("body: {e}"))?;
    // Equal values have equal bytes; unequal ones may too, since 1 and 1.0 are one number.
    let equal = serde_json::to_value(&body).is_ok_and(|again| again == *value);
    if equal || to_canonical(&body).ok() == to_canonical(value).ok() {
        Ok(body)
    } else {
        Err("body: holds a key or a spelling that this version does not know".into())
    }
}

fn describe(body: &Body) -> String {
    match body {
        Body::Order(o) => {
            format!("a run of `{}` on `{}` in cell `{}`", o.program.id, o.part, o.cell)
        }
        Body::Propose(change) => format!("a change of {}", change.kind()),
        Body::Approve(a) => format!("approval of proposal {}", a.proposal.short()),
        Body::Accept(_) => "the acceptance of an invitation".into(),
        Body::Grant(g) => format!("a grant to `{}`", g.processor),
        Body::Read(r) => format!("a read of `{}`", r.cid),
        other => format!("an entry `{}`", other.word()),
    }
}

pub(crate) fn genesis(leaf: &Leaf) -> Result<Plant, Refusal> {
    let statement = &leaf.entry.statement;
    let refuse = |rule, reason: String, accepted: &str| Refusal {
        who: statement.issuer.to_string(),
        what: "the beginning of a plant".into(),
        rule,
        reason,
        accepted: accepted.into(),
    };
    let body = typed(&statement.body)
        .map_err(|e| refuse(Rule::Format, e, "a genesis entry at index 0"))?;
    let Body::Genesis(anchors) = body else {
        let reason = format!("the first entry is `{}`", body.word());
        return Err(refuse(Rule::Format, reason, "a genesis entry at index 0"));
    };
    let policy = Policy::parse(&anchors.policy)
        .map_err(|e| refuse(Rule::Policy, e.to_string(), "a valid policy text"))?;
    trust::stated(&anchors).map_err(|reason| {
        let accepted = "a log key named like its origin, distinct witnesses, a quorum of them";
        refuse(Rule::Enrolment, reason, accepted)
    })?;
    check_members(&anchors, statement.at).map_err(|reason| {
        refuse(Rule::Enrolment, reason, "distinct members, at least two of them security officers")
    })?;
    let issuer = anchors.members.iter().find(|m| m.id == statement.issuer);
    let key = issuer
        .filter(|m| m.roles.contains(&Role::SecurityOfficer))
        .and_then(|m| m.keys.iter().find(|k| k.fingerprint() == statement.key))
        .filter(|key| !matches!(key, PublicKey::Invitation(_)))
        .ok_or_else(|| {
            let reason = "it is not signed by a security officer that it names".into();
            refuse(Rule::Enrolment, reason, "a genesis signed by one of its officers")
        })?;
    let verified = leaf
        .entry
        .clone()
        .verify(key)
        .map_err(|e| refuse(Rule::Signature, e.to_string(), "a valid signature"))?;
    let members =
        anchors.members.iter().map(|m| (m.id.clone(), MemberState::new(m.clone()))).collect();
    let nonce = (statement.issuer.clone(), None, statement.nonce.clone());
    let mut history = History::default();
    for member in &anchors.members {
        history.enrol(&member.id, &member.keys, 0);
    }
    Ok(Plant {
        site: statement.site.clone(),
        genesis: verified.id(),
        anchors: *anchors,
        policy,
        members,
        proposals: BTreeMap::new(),
        programs: BTreeMap::new(),
        templates: BTreeMap::new(),
        orders: BTreeMap::new(),
        recordings: BTreeMap::new(),
        grants: BTreeMap::new(),
        reports: BTreeMap::new(),
        enrolments: BTreeMap::new(),
        holds: BTreeMap::new(),
        rotations: Vec::new(),
        history,
        refusals: 0,
        size: 1,
        logged_at: leaf.logged_at,
        index: HashMap::from([(verified.id(), (0, leaf.logged_at))]),
        used: HashSet::from([nonce]),
    })
}

fn check_members(anchors: &Genesis, at: Millis) -> Result<(), String> {
    let mut ids = BTreeSet::new();
    for member in &anchors.members {
        if !ids.insert(&member.id) {
            return Err(format!("`{}` is named twice", member.id));
        }
        let others = anchors.members.iter().filter(|m| m.id != member.id);
        let others: Vec<_> = others.cloned().map(MemberState::new).collect();
        keys::check(member, others.iter(), at)?;
    }
    let is_officer = |m: &&crate::body::Member| m.roles.contains(&Role::SecurityOfficer);
    match anchors.members.iter().filter(is_officer).count() {
        0 | 1 => Err("fewer than two security officers".into()),
        _ => Ok(()),
    }
}
