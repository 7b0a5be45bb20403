//! The motion gate: what stands before the robot controller.
//!
//! The cell asks it with its own copy of the plant, which it folded itself from
//! leaves whose root it recomputed, and with its own clock. Nothing that the
//! site's server says is taken on trust: a stolen site can keep orders back, and
//! cannot make one.

use crate::{Check, Shut, shut, verdict};
use base::{Digest, Id, Millis, Rule};
use plant::{
    OrderState, Plant, RunStatus,
    body::{Order, ProgramRef},
};
use policy::{Action, Resource, Role};
use proof::{
    entry::Leaf,
    keys::PublicKey,
    log::{Included, WitnessedCheckpoint},
};
use std::collections::{BTreeMap, BTreeSet};

/// What the cell wants to start, and what it knows by itself.
#[derive(Clone, Debug)]
pub struct MotionRequest<'a> {
    /// The cell that asks.
    pub cell: &'a Id,
    /// The order's entry.
    pub order: Digest,
    /// Whether the cell's own journal says that it consumed this order before.
    pub consumed: bool,
    /// Whether the ledger that the cell follows misbehaved, and how.
    pub distrust: Option<&'a str>,
}

/// What proves the order: its leaf, that it stands in a witnessed log, and the
/// newest witnessed checkpoint up to which the plant was folded.
#[derive(Clone, Debug)]
pub struct MotionProof<'a> {
    /// The leaf's bytes.
    pub leaf: &'a [u8],
    /// Where it stands.
    pub included: &'a Included,
    /// The newest checkpoint.
    pub newest: &'a WitnessedCheckpoint,
}

/// An order that may move this robot once, now. Only [`decide`] makes one; it
/// cannot be copied, and a driver consumes it.
#[derive(Debug)]
pub struct VerifiedOrder {
    id: Digest,
    order: Order,
    index: u64,
    checkpoint: u64,
}

impl VerifiedOrder {
    /// The order's entry identifier.
    pub fn order(&self) -> Digest {
        self.id
    }

    /// The cell that it names.
    pub fn cell(&self) -> &Id {
        &self.order.cell
    }

    /// The part that it names.
    pub fn part(&self) -> &Id {
        &self.order.part
    }

    /// The program, pinned by its hash.
    pub fn program(&self) -> &ProgramRef {
        &self.order.program
    }

    /// The program's parameters, within their approved bounds.
    pub fn parameters(&self) -> &BTreeMap<Id, i64> {
        &self.order.parameters
    }

    /// The order's index on the ledger.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The size of the witnessed checkpoint that the decision rests on.
    pub fn checkpoint(&self) -> u64 {
        self.checkpoint
    }
}

/// Decides whether a cell may start a run now.
///
/// # Errors
/// [`Shut`] with the rule that refused, and whether waiting can help.
pub fn decide(
    plant: &Plant,
    request: &MotionRequest<'_>,
    proof: &MotionProof<'_>,
    now: Millis,
) -> Result<VerifiedOrder, Shut> {
    let state = plant.orders.get(&request.order);
    let what = match state {
        Some(s) => format!(
            "a run of `{}` on `{}` in cell `{}`",
            s.order.program.id, s.order.part, s.order.cell
        ),
        None => format!("a run by order {}", request.order.short()),
    };
    let who = state.map_or_else(|| "an unknown issuer".to_owned(), |s| s.issuer.to_string());
    let mut checks = explain(plant, request, proof.newest, now);
    checks.push(inclusion(plant, request, proof));
    verdict(&who, &what, &checks)?;
    // `explain` fails an unknown order, so the checks never pass without a state.
    let state = state.ok_or_else(|| shut(&who, &what, &unknown(request)))?;
    Ok(VerifiedOrder {
        id: request.order,
        order: state.order.clone(),
        index: state.index,
        checkpoint: proof.newest.size(),
    })
}

fn unknown(request: &MotionRequest<'_>) -> Check {
    let found = format!("no order {} is on the ledger", request.order.short());
    Check::new(Rule::Inclusion, false, found, "an order that is on the ledger")
}

/// Every rule of the gate but the order's own inclusion path, applied: what a
/// person is shown before and after signing.
pub fn explain(
    plant: &Plant,
    request: &MotionRequest<'_>,
    newest: &WitnessedCheckpoint,
    now: Millis,
) -> Vec<Check> {
    let Some(state) = plant.orders.get(&request.order) else {
        return vec![unknown(request)];
    };
    let mut checks = vec![ledger(plant, request, newest)];
    checks.extend(rules(plant, request, state, newest, now));
    checks
}

/// An order that nobody has signed yet.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// Who would sign it.
    pub issuer: &'a Id,
    /// The fingerprint of the key that would sign it.
    pub key: &'a Digest,
    /// Whether an authenticator would verify the person; a key file never does.
    pub user_verified: bool,
    /// The order.
    pub order: &'a Order,
}

/// The rules that a draft would meet as the next entry, logged and asked for now:
/// those of [`explain`], without the ledger as a whole, which says nothing of a
/// draft.
pub fn foresee(
    plant: &Plant,
    draft: &Draft<'_>,
    newest: &WitnessedCheckpoint,
    now: Millis,
) -> Vec<Check> {
    let key = plant.signing_key(draft.issuer, draft.key);
    let state = OrderState {
        order: draft.order.clone(),
        index: plant.size,
        issuer: draft.issuer.clone(),
        key: *draft.key,
        user_verified: draft.user_verified && matches!(key, Some(PublicKey::Passkey(_))),
        logged_at: now.max(plant.logged_at),
        status: RunStatus::Pending,
        ended: None,
        recordings: BTreeSet::new(),
    };
    // The entry's identifier depends on a nonce and a signature that are still to
    // come; no rule below looks at it.
    let order = Digest([0; 32]);
    let request = MotionRequest { cell: &draft.order.cell, order, consumed: false, distrust: None };
    rules(plant, &request, &state, newest, now)
}

/// The rules about one order, logged or not.
fn rules(
    plant: &Plant,
    request: &MotionRequest<'_>,
    state: &OrderState,
    newest: &WitnessedCheckpoint,
    now: Millis,
) -> Vec<Check> {
    let mut checks = vec![
        enrolment(plant, state),
        policy(plant, state),
        target(plant, request, state),
        parameters(plant, state),
        replay(request, state),
        hold(plant, state),
        window(plant, state),
    ];
    checks.extend(time(plant, state, newest, now));
    checks
}

/// The ledger as a whole: it is the one that the plant was folded from.
fn ledger(plant: &Plant, request: &MotionRequest<'_>, newest: &WitnessedCheckpoint) -> Check {
    let accepted = "an honest ledger, folded up to its newest witnessed checkpoint";
    match request.distrust {
        Some(why) => Check::new(Rule::Inclusion, false, why, accepted),
        None => {
            let same = newest.origin() == plant.anchors.origin && newest.size() == plant.size;
            let found = format!(
                "{} of {} entries of `{}` folded",
                plant.size,
                newest.size(),
                newest.origin()
            );
            Check::new(Rule::Inclusion, same, found, accepted)
        }
    }
}

fn inclusion(plant: &Plant, request: &MotionRequest<'_>, proof: &MotionProof<'_>) -> Check {
    let index = plant.index_of(&request.order);
    let id = Leaf::parse(proof.leaf).ok().and_then(|leaf| leaf.entry.id().ok());
    let ok = id == Some(request.order)
        && index == Some(proof.included.index())
        && proof.included.is(proof.leaf)
        && proof.included.checkpoint().origin() == plant.anchors.origin
        && proof.included.checkpoint().size() <= proof.newest.size();
    let found = format!(
        "leaf {} of a log with {} entries",
        proof.included.index(),
        proof.included.checkpoint().size()
    );
    Check::new(Rule::Inclusion, ok, found, "the order's own leaf, in the witnessed log")
}

/// The key still counts: revocation holds from its index on, for orders that
/// were signed before, too.
fn enrolment(plant: &Plant, state: &OrderState) -> Check {
    let ok = plant.signing_key(&state.issuer, &state.key).is_some();
    let key = state.key.short();
    let found = match ok {
        true => format!("key {key} of `{}` counts", state.issuer),
        false => format!("key {key} of `{}` is revoked, or not enrolled to sign", state.issuer),
    };
    Check::new(Rule::Enrolment, ok, found, "an issuer whose key counts now")
}

fn policy(plant: &Plant, state: &OrderState) -> Check {
    let order = &state.order;
    let decision = plant.may(
        &state.issuer,
        Action::PlaceOrder,
        Resource::Cell(&order.cell),
        state.user_verified,
        order.program.id.as_str(),
    );
    let found = format!("`{}`: {}", state.issuer, decision.because.join("; "));
    Check::new(
        Rule::Policy,
        decision.allowed,
        found,
        "an issuer whom the policy in force allows to order",
    )
}

/// The order is for the cell that asks, and that is still a cell: one whose
/// role or keys were taken away could move and not record it.
fn target(plant: &Plant, request: &MotionRequest<'_>, state: &OrderState) -> Check {
    let cell = &state.order.cell;
    let stands = plant.stands(cell, Role::Cell);
    let found = match stands {
        true => format!("the order is for cell `{cell}`"),
        false => format!("the order is for `{cell}`, no longer a cell with a live key"),
    };
    let accepted = format!("an order for the enrolled cell `{}`", request.cell);
    Check::new(Rule::Target, stands && cell == request.cell, found, accepted)
}

fn parameters(plant: &Plant, state: &OrderState) -> Check {
    match plant.within_program(&state.order) {
        Ok(()) => {
            let p = &state.order.program;
            let found = format!("program `{}` with hash {}", p.id, p.sha256.short());
            Check::new(Rule::Parameters, true, found, "an approved program within its bounds")
        }
        Err((rule, found, accepted)) => Check::new(rule, false, found, accepted),
    }
}

fn replay(request: &MotionRequest<'_>, state: &OrderState) -> Check {
    let accepted = "an order that was not used before";
    let found = match (&state.status, request.consumed) {
        (RunStatus::Pending, false) => {
            return Check::new(Rule::Replay, true, "not used before", accepted);
        }
        (RunStatus::Pending, true) => "this cell consumed it before".to_owned(),
        (RunStatus::Started(index), _) => format!("its run started at index {index}"),
        (RunStatus::Ended(_), _) => "its run is over".to_owned(),
        (RunStatus::Refused(refusal), _) => format!("it was refused by rule `{}`", refusal.rule),
    };
    Check::new(Rule::Replay, false, found, accepted)
}

fn hold(plant: &Plant, state: &OrderState) -> Check {
    let accepted = "no hold on this cell or the site";
    match plant.holds_on(&state.order.cell).next() {
        None => Check::new(Rule::Hold, true, "no hold is in force", accepted),
        Some(h) => {
            let found =
                format!("`{}` placed a hold at index {}: {}", h.issuer, h.index, h.hold.reason);
            Check::new(Rule::Hold, false, found, accepted).transient()
        }
    }
}

/// The admission's own bound on the window, by the time at which the site logs it.
fn window(plant: &Plant, state: &OrderState) -> Check {
    match plant.order_window(&state.order, state.logged_at) {
        Ok(()) => {
            let (from, to) = (state.order.not_before, state.order.not_after);
            let accepted = "a window of at most 24 hours that begins within 24 hours";
            Check::new(Rule::Time, true, format!("it is valid from {from} to {to}"), accepted)
        }
        Err((rule, found, accepted)) => Check::new(rule, false, found, accepted),
    }
}

fn time(
    plant: &Plant,
    state: &OrderState,
    newest: &WitnessedCheckpoint,
    now: Millis,
) -> [Check; 4] {
    let order = &state.order;
    let (age, fresh) = (now.since(newest.witnessed_at()), plant.anchors.freshness_ms);
    let ahead = newest.witnessed_at().since(now);
    let lag = newest.size().saturating_sub(state.index + 1);
    let fresh_enough = age <= fresh && ahead <= plant.anchors.clock_skew_ms;
    let over = Check::new(
        Rule::Time,
        now < order.not_after,
        format!("it is {now}, the order ends at {}", order.not_after),
        "a start within the order's window",
    );
    // A clock that the witnesses do not bear out ends no order for good.
    let over = if fresh_enough { over } else { over.transient() };
    [
        Check::new(
            Rule::Time,
            now >= order.not_before,
            format!("it is {now}, the order begins at {}", order.not_before),
            "a start within the order's window",
        )
        .transient(),
        over,
        Check::new(
            Rule::Freshness,
            fresh_enough,
            match ahead {
                0 => format!("the newest witnessed checkpoint is {age} ms old"),
                _ => format!("the newest witnessed checkpoint is {ahead} ms ahead of this clock"),
            },
            format!("a witnessed checkpoint at most {fresh} ms old"),
        )
        .transient(),
        Check::new(
            Rule::Freshness,
            lag <= order.max_lag,
            format!("{lag} entries follow the order"),
            format!("at most {} entries after it", order.max_lag),
        ),
    ]
}
