//! Admission of orders, runs, holds, and of changes of the rules themselves.

use crate::{
    admit::Asked,
    body::{Approve, Change, Order, Program, Release, RevokeKey, RunEnded, RunStarted},
    keys,
    state::{MemberState, OrderState, RunStatus},
};
use base::{Digest, Millis, Refusal, Rule};
use policy::{Action, Policy, Resource, Role};

/// The longest window of an order, and the longest time before it opens.
const MAX_ORDER_WINDOW_MS: u64 = 24 * 60 * 60 * 1000;

pub(crate) fn propose(asked: &Asked<'_>, change: &Change) -> Result<(), Refusal> {
    let site = Resource::Site(&asked.plant.site);
    asked.policy(Action::ProposeChange, site, change.kind())?;
    sound(asked, change)
}

/// Whether a change would leave a plant that can still be governed.
fn sound(asked: &Asked<'_>, change: &Change) -> Result<(), Refusal> {
    let plant = asked.plant;
    match change {
        Change::Policy(new) => Policy::parse(&new.text)
            .map(|_| ())
            .map_err(|e| asked.refuse(Rule::Policy, e.to_string(), "a policy text that validates")),
        Change::Program(program) => sound_program(asked, program),
        Change::Roles(new) => {
            asked.need(
                plant.members.contains_key(&new.member),
                Rule::Enrolment,
                format!("`{}` is not enrolled", new.member),
                "an enrolled member",
            )?;
            let signs = plant.members.get(&new.member).is_some_and(MemberState::signs);
            officers_stay(asked, &new.member, signs && new.roles.contains(&Role::SecurityOfficer))
        }
        Change::Member(member) => {
            // The proposer's clock, which an invitation's end comes from, may run ahead.
            let latest = asked.now.plus(plant.anchors.clock_skew_ms);
            keys::check(member, plant.members.values(), latest).map_err(|reason| {
                asked.refuse(Rule::Enrolment, reason, "one to eight fresh keys of its own")
            })?;
            member.keys.iter().try_for_each(|key| keys::unspent(plant, key)).map_err(|reason| {
                asked.refuse(Rule::Enrolment, reason, "keys that were never revoked or used")
            })?;
            let signs = MemberState::new(member.clone()).signs();
            officers_stay(asked, &member.id, signs && member.roles.contains(&Role::SecurityOfficer))
        }
        Change::Template(_) => Ok(()),
        Change::Keys(keys) => plant.check_keys(keys).map_err(|reason| {
            asked.refuse(Rule::Enrolment, reason, "fresh keys, the log's named like its origin")
        }),
    }
}

/// Two security officers who can sign must remain, or nothing could ever be changed
/// again. One who was only invited, or whose keys were revoked, cannot.
fn officers_stay(asked: &Asked<'_>, changed: &base::Id, stays: bool) -> Result<(), Refusal> {
    let plant = asked.plant;
    let others = plant
        .members
        .values()
        .filter(|m| m.member.id != *changed && plant.stands(&m.member.id, Role::SecurityOfficer))
        .count();
    asked.need(
        others + usize::from(stays) >= 2,
        Rule::Approval,
        "fewer than two security officers who can sign would remain",
        "a change that leaves two security officers with a key",
    )
}

fn sound_program(asked: &Asked<'_>, program: &Program) -> Result<(), Refusal> {
    asked.need(
        program.parameters.len() <= 8,
        Rule::Parameters,
        format!("{} parameters", program.parameters.len()),
        "at most eight parameters",
    )?;
    for (name, p) in &program.parameters {
        asked.need(
            p.min <= p.default && p.default <= p.max,
            Rule::Parameters,
            format!(
                "parameter `{name}`: default {} is not within {} to {}",
                p.default, p.min, p.max
            ),
            "a default within its bounds",
        )?;
    }
    for cell in &program.cells {
        asked.need(
            asked.plant.has_role(cell, Role::Cell),
            Rule::Target,
            format!("`{cell}` is not a cell"),
            "cells that are enrolled",
        )?;
    }
    Ok(())
}

pub(crate) fn approve(asked: &Asked<'_>, approve: &Approve) -> Result<(), Refusal> {
    let plant = asked.plant;
    let proposal = plant.proposals.get(&approve.proposal).ok_or_else(|| {
        asked.refuse(Rule::Target, "no such proposal is on the ledger", "a proposed change")
    })?;
    asked.policy(Action::ApproveChange, Resource::Site(&plant.site), proposal.change.kind())?;
    asked.need(
        plant.has_role(asked.issuer, Role::SecurityOfficer),
        Rule::Approval,
        format!("`{}` is not a security officer", asked.issuer),
        "an approval by a security officer",
    )?;
    asked.need(
        proposal.proposer != *asked.issuer && !proposal.officers.contains(asked.issuer),
        Rule::Approval,
        format!("`{}` has signed this proposal already", asked.issuer),
        "an approval by another security officer",
    )?;
    asked.need(
        !proposal.effective,
        Rule::Replay,
        "the change has taken effect already",
        "a proposal that is still open",
    )?;
    // The rest of the plant may have changed since it was proposed.
    sound(asked, &proposal.change)
}

/// Whoever holds a key may give it up, which is how a rotation ends; another's key is
/// revoked by whom the policy lets, alone. No number of officers stands in the way:
/// a theft must be answered at once, whoever's key it is. That is why a plant has
/// three officers: the two that are left give the third new keys.
pub(crate) fn revoke_key(
    asked: &Asked<'_>,
    signed_with: &Digest,
    revoke: &RevokeKey,
) -> Result<(), Refusal> {
    if revoke.member != *asked.issuer || revoke.key != *signed_with {
        asked.site_policy(Action::RevokeKey)?;
    }
    let plant = asked.plant;
    if plant.live_key(&revoke.member, &revoke.key).is_some() {
        return Ok(());
    }
    // A thief may have given the key up itself, so that it looks well kept.
    let laid_down = plant.history.laid_down(&revoke.member, &revoke.key).ok_or_else(|| {
        asked.refuse(
            Rule::Enrolment,
            format!("key {} is no unrevoked key of `{}`", revoke.key.short(), revoke.member),
            "the fingerprint of a key that the member has or had, and that was not revoked",
        )
    })?;
    // Or it still signs in another spelling or another's name, and whoever revoked the
    // old one would believe that it does not.
    match plant.history.twin(laid_down) {
        None => Ok(()),
        Some(twin) => Err(asked.refuse(
            Rule::Enrolment,
            format!(
                "the same key still counts, as key {} of `{}`",
                twin.key.fingerprint().short(),
                twin.member
            ),
            format!("that one: revoke key {} of `{}`", twin.key.fingerprint(), twin.member),
        )),
    }
}

pub(crate) fn order(asked: &Asked<'_>, order: &Order) -> Result<(), Refusal> {
    let plant = asked.plant;
    asked.policy(Action::PlaceOrder, Resource::Cell(&order.cell), order.program.id.as_str())?;
    asked.need(
        plant.has_role(&order.cell, Role::Cell),
        Rule::Target,
        format!("`{}` is not a cell of this site", order.cell),
        "an enrolled cell",
    )?;
    within_program(asked, order)?;
    plant
        .order_window(order, asked.now)
        .map_err(|(rule, reason, accepted)| asked.refuse(rule, reason, accepted))?;
    asked.need(
        order.not_after > asked.now,
        Rule::Time,
        format!("it expired at {}, it is {}", order.not_after, asked.now),
        "an order that is still valid",
    )?;
    let hold = plant.holds_on(&order.cell).next();
    asked.need(
        hold.is_none(),
        Rule::Hold,
        hold.map(|h| format!("`{}` placed a hold: {}", h.issuer, h.hold.reason))
            .unwrap_or_default(),
        "an order after the hold is released by two people",
    )
}

/// Whether an order names an approved program, for this cell, within its bounds.
fn within_program(asked: &Asked<'_>, order: &Order) -> Result<(), Refusal> {
    asked
        .plant
        .within_program(order)
        .map_err(|(rule, reason, accepted)| asked.refuse(rule, reason, accepted))
}

impl crate::state::Plant {
    /// Checks the window of an order that is logged at `now`.
    ///
    /// # Errors
    /// The rule, what was found and what would be accepted.
    pub fn order_window(&self, order: &Order, now: Millis) -> Result<(), (Rule, String, String)> {
        let window = order.not_after.since(order.not_before);
        if order.not_before < order.not_after
            && window <= MAX_ORDER_WINDOW_MS
            && order.not_before.since(now) <= MAX_ORDER_WINDOW_MS
        {
            return Ok(());
        }
        Err((
            Rule::Time,
            format!("it is valid from {} to {}", order.not_before, order.not_after),
            "a window of at most 24 hours that begins within 24 hours".into(),
        ))
    }

    /// Checks an order's program, cell and parameters against what is approved
    /// now.
    ///
    /// # Errors
    /// The rule, what was found and what would be accepted.
    pub fn within_program(&self, order: &Order) -> Result<(), (Rule, String, String)> {
        let wanted = &order.program;
        let program = self.programs.get(&wanted.id).ok_or_else(|| {
            let known: Vec<_> = self.programs.keys().map(base::Id::as_str).collect();
            (
                Rule::Parameters,
                format!("no program `{}` is approved", wanted.id),
                format!("one of: {}", known.join(", ")),
            )
        })?;
        if program.sha256 != wanted.sha256 {
            return Err((
                Rule::Parameters,
                format!(
                    "program `{}` with hash {} is not the approved one",
                    wanted.id,
                    wanted.sha256.short()
                ),
                format!("hash {}", program.sha256.short()),
            ));
        }
        if !program.cells.contains(&order.cell) {
            return Err((
                Rule::Target,
                format!("program `{}` is not approved for cell `{}`", wanted.id, order.cell),
                "a cell that the program is approved for".into(),
            ));
        }
        let expected: Vec<_> = program.parameters.keys().collect();
        if expected != order.parameters.keys().collect::<Vec<_>>() {
            return Err((
                Rule::Parameters,
                format!("parameters {:?}", order.parameters.keys().collect::<Vec<_>>()),
                format!("exactly the parameters {expected:?}"),
            ));
        }
        for (name, value) in &order.parameters {
            let Some(p) = program.parameters.get(name) else {
                continue;
            };
            if !(p.min..=p.max).contains(value) {
                return Err((
                    Rule::Parameters,
                    format!("`{name}` is {value} {}", p.unit),
                    format!("{} to {} {}", p.min, p.max, p.unit),
                ));
            }
        }
        Ok(())
    }
}

/// The order that a cell's record is about, when it is that cell's.
pub(crate) fn own_order<'a>(asked: &Asked<'a>, id: &Digest) -> Result<&'a OrderState, Refusal> {
    let state = asked.plant.orders.get(id).ok_or_else(|| {
        asked.refuse(
            Rule::Target,
            format!("no order {} is on the ledger", id.short()),
            "a logged order",
        )
    })?;
    asked.policy(Action::RecordRun, Resource::Cell(&state.order.cell), "")?;
    asked.need(
        state.order.cell == *asked.issuer,
        Rule::Target,
        format!("the order is for cell `{}`", state.order.cell),
        "a record by the cell that the order names",
    )?;
    Ok(state)
}

pub(crate) fn run_started(asked: &Asked<'_>, started: &RunStarted) -> Result<(), Refusal> {
    let state = own_order(asked, &started.order)?;
    asked.need(
        state.status == RunStatus::Pending,
        Rule::Replay,
        "the order was consumed already",
        "an order that was not started",
    )
}

pub(crate) fn run_ended(asked: &Asked<'_>, ended: &RunEnded) -> Result<(), Refusal> {
    let state = own_order(asked, &ended.order)?;
    asked.need(
        matches!(state.status, RunStatus::Started(_)),
        Rule::State,
        "the run is not under way",
        "the end of a run that was started",
    )
}

pub(crate) fn release(asked: &Asked<'_>, release: &Release) -> Result<(), Refusal> {
    let hold = asked.plant.holds.get(&release.hold).ok_or_else(|| {
        asked.refuse(Rule::Target, "no such hold is in force", "a hold that is in force")
    })?;
    let site = &asked.plant.site;
    let resource = hold.hold.cell.as_ref().map_or(Resource::Site(site), Resource::Cell);
    asked.policy(Action::ReleaseHold, resource, "")?;
    asked.need(
        !hold.releases.contains(asked.issuer),
        Rule::Approval,
        format!("`{}` has signed this release already", asked.issuer),
        "a second person's signature",
    )
}
