//! Admission of recordings, grants, reads, reports and passports.

use crate::{
    admit::Asked,
    body::{
        Grant, Outcome, PassportIssued, Read, Recording, Report, RevokeGrant, Shred, Shredded,
        Verdict,
    },
    rules::own_order,
    state::{GrantState, Plant, RunStatus},
};
use base::{Digest, Id, Millis, Refusal, Rule};
use policy::{Action, Resource};

/// The longest time a grant may last, and the longest time before it begins.
const MAX_GRANT_MS: u64 = 90 * 24 * 60 * 60 * 1000;
/// The most recordings in one grant.
const MAX_RECORDINGS: usize = 64;

pub(crate) fn recording(asked: &Asked<'_>, recording: &Recording) -> Result<(), Refusal> {
    let state = own_order(asked, &recording.order)?;
    asked.need(
        matches!(state.status, RunStatus::Started(_) | RunStatus::Ended(_)),
        Rule::State,
        "the order has no run",
        "a recording of a run that was started",
    )?;
    asked.need(
        !asked.plant.recordings.contains_key(&recording.root),
        Rule::Replay,
        format!("recording `{}` is registered already", recording.root),
        "a recording that is not registered",
    )?;
    asked.need(
        recording.root.len() <= 128 && recording.root.bytes().all(|b| b.is_ascii_alphanumeric()),
        Rule::Format,
        "its root is no CID",
        "a CIDv1 in base32",
    )
}

pub(crate) fn grant(asked: &Asked<'_>, grant: &Grant) -> Result<(), Refusal> {
    asked.site_policy(Action::IssueGrant)?;
    let plant = asked.plant;
    plant
        .may_be_reader(&grant.processor)
        .map_err(|reason| asked.refuse(Rule::Target, reason, READER))?;
    asked.need(
        (1..=MAX_RECORDINGS).contains(&grant.recordings.len()),
        Rule::Limit,
        format!("{} recordings", grant.recordings.len()),
        format!("1 to {MAX_RECORDINGS} recordings"),
    )?;
    for root in &grant.recordings {
        let known = plant.recordings.get(root);
        asked.need(
            known.is_some_and(|r| r.shred.is_none()),
            Rule::Target,
            format!("recording `{root}` is not in the vault, or its key is destroyed"),
            "recordings that are in the vault",
        )?;
    }
    let status = plant.orders.get(&grant.order).map(|o| &o.status);
    asked.need(
        status == Some(&RunStatus::Ended(Outcome::Finished)),
        Rule::Target,
        format!("order {} has no run that finished", grant.order.short()),
        "the order of a finished run, which is to be analysed",
    )?;
    let window = grant.not_after.since(grant.not_before);
    asked.need(
        grant.not_before < grant.not_after
            && window <= MAX_GRANT_MS
            && grant.not_before.since(asked.now) <= MAX_GRANT_MS
            && grant.not_after > asked.now,
        Rule::Time,
        format!("it lasts from {} to {}", grant.not_before, grant.not_after),
        "a grant of at most 90 days that begins within 90 days and ends in the future",
    )
}

pub(crate) fn revoke_grant(asked: &Asked<'_>, revoke: &RevokeGrant) -> Result<(), Refusal> {
    asked.site_policy(Action::RevokeGrant)?;
    let state = asked.plant.grants.get(&revoke.grant);
    asked.need(
        state.is_some_and(|g| g.revoked.is_none()),
        Rule::Target,
        "no such grant is in force",
        "a grant that is not revoked",
    )
}

pub(crate) fn shred(asked: &Asked<'_>, shred: &Shred) -> Result<(), Refusal> {
    asked.site_policy(Action::ShredRecording)?;
    let state = asked.plant.recordings.get(&shred.root);
    asked.need(
        state.is_some_and(|r| r.shred.is_none()),
        Rule::Target,
        format!("recording `{}` is not in the vault, or its key is destroyed", shred.root),
        "a recording whose key exists",
    )
}

pub(crate) fn shredded(asked: &Asked<'_>, shredded: &Shredded) -> Result<(), Refusal> {
    asked.site_policy(Action::RecordSite)?;
    let state = asked.plant.recordings.get(&shredded.root);
    asked.need(
        state.is_some_and(|r| r.shred == Some(shredded.shred) && !r.shredded),
        Rule::Target,
        "nobody asked to destroy this key, or it is gone",
        "the record of a destruction that was asked for",
    )
}

/// Who can be granted recordings.
const READER: &str = "a reader with a sealing key, a live key, and the policy's leave";

impl Plant {
    /// Whether a member may be the reader of a grant now: it has a sealing key, a
    /// key that counts, and the policy lets it `recording.read`.
    ///
    /// # Errors
    /// What it lacks.
    pub fn may_be_reader(&self, member: &Id) -> Result<(), String> {
        let Some(state) = self.members.get(member) else {
            return Err(format!("`{member}` is not enrolled"));
        };
        if state.member.seal.is_none() {
            return Err(format!("`{member}` has no sealing key"));
        }
        if !state.signs() {
            return Err(format!("`{member}` has no key that counts"));
        }
        let site = Resource::Site(&self.site);
        let decision = self.may(member, Action::ReadRecording, site, false, "");
        if decision.allowed {
            return Ok(());
        }
        let because = decision.because.join("; ");
        Err(format!("`{member}` may not `{}`: {because}", Action::ReadRecording))
    }

    /// The grant that covers a read of `root` by `processor` at `now`, with
    /// `bytes` more.
    ///
    /// # Errors
    /// The rule, what was found and what would be accepted.
    pub fn covering_grant(
        &self,
        grant: &Digest,
        processor: &Id,
        root: &str,
        bytes: u64,
        now: Millis,
    ) -> Result<&GrantState, (Rule, String, String)> {
        let fail = |rule, reason: String, accepted: &str| Err((rule, reason, accepted.to_owned()));
        let Some(state) = self.grants.get(grant) else {
            return fail(
                Rule::Grant,
                format!("no grant {} is on the ledger", grant.short()),
                "a logged grant",
            );
        };
        let terms = &state.grant;
        if terms.processor != *processor {
            let reason = format!("the grant is to `{}`", terms.processor);
            return fail(Rule::Grant, reason, "a read by the reader that the grant names");
        }
        if let Some(index) = state.revoked {
            let reason = format!("the grant was revoked at index {index}");
            return fail(Rule::Grant, reason, "a grant that is not revoked");
        }
        if now < terms.not_before || now >= terms.not_after {
            let reason = format!(
                "it is {now}, the grant lasts from {} to {}",
                terms.not_before, terms.not_after
            );
            return fail(Rule::Grant, reason, "a read while the grant lasts");
        }
        if !terms.recordings.contains(root) {
            let reason = format!("the grant does not name recording `{root}`");
            return fail(Rule::Grant, reason, "a recording that the grant names");
        }
        if self.recordings.get(root).is_none_or(|r| r.shred.is_some()) {
            let reason = format!("the key of recording `{root}` is destroyed");
            return fail(Rule::Grant, reason, "a recording whose key exists");
        }
        let left = terms.budget.saturating_sub(state.used);
        if bytes > left {
            let reason = format!("{bytes} bytes asked, {left} of {} left", terms.budget);
            return fail(Rule::Budget, reason, "a read within the grant's byte budget");
        }
        // Last, because it asks the policy.
        if let Err(reason) = self.may_be_reader(processor) {
            return fail(Rule::Grant, reason, READER);
        }
        Ok(state)
    }
}

pub(crate) fn read(asked: &Asked<'_>, read: &Read) -> Result<(), Refusal> {
    asked.site_policy(Action::RecordSite)?;
    let plant = asked.plant;
    let processor = plant.grants.get(&read.grant).map(|g| g.grant.processor.clone());
    let processor = processor.unwrap_or_else(|| asked.issuer.clone());
    plant
        .covering_grant(&read.grant, &processor, &read.root, read.bytes, asked.now)
        .map(|_| ())
        .map_err(|(rule, reason, accepted)| asked.refuse(rule, reason, accepted))
}

pub(crate) fn report(asked: &Asked<'_>, report: &Report) -> Result<(), Refusal> {
    asked.site_policy(Action::FileReport)?;
    let plant = asked.plant;
    let grant = plant.grants.get(&report.grant).ok_or_else(|| {
        asked.refuse(Rule::Grant, "its grant is not on the ledger", "a report under a logged grant")
    })?;
    asked.need(
        grant.grant.processor == *asked.issuer,
        Rule::Grant,
        format!("its grant is to `{}`", grant.grant.processor),
        "a report by the processor that was granted",
    )?;
    asked.need(
        grant.revoked.is_none(),
        Rule::Grant,
        "its grant was revoked",
        "a report under a grant that is not revoked",
    )?;
    asked.need(
        grant.grant.order == report.order
            && !report.inputs.is_empty()
            && report.inputs.is_subset(&grant.grant.recordings),
        Rule::Grant,
        "it names a run or inputs that the grant does not",
        "inputs that the grant names",
    )?;
    let part = plant.orders.get(&report.order).map(|o| &o.order.part);
    asked.need(
        part == Some(&report.part),
        Rule::Target,
        format!("part `{}` is not the order's", report.part),
        "the part that the order names",
    )?;
    let enrols = report.analyses.iter().any(|a| a.verdict == Verdict::Enrolled);
    asked.need(
        !enrols || !plant.enrolments.contains_key(&report.part),
        Rule::Replay,
        format!("part `{}` is enrolled already", report.part),
        "a comparison with the enrolled scan",
    )
}

pub(crate) fn passport(asked: &Asked<'_>, passport: &PassportIssued) -> Result<(), Refusal> {
    asked.site_policy(Action::RecordSite)?;
    let state = asked.plant.reports.get(&passport.report);
    asked.need(
        state.is_some_and(|r| r.report.part == passport.part && r.passport.is_none()),
        Rule::Target,
        "no such report, another part, or its passport is issued",
        "one passport for each report",
    )
}
