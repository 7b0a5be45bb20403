//! What to do next: which order to start, which to refuse, which waits.
//!
//! Pure: the plant as folded, what the journal knows, how the robot stands and
//! the time come in, a verdict comes out. The rules are the motion gate's; the
//! cell adds its own state (robot, its own hold) and never weakens one.

use crate::{journal::Known, view::View};
use base::{Digest, Id, Millis, Refusal, Rule};
use gate::{
    Check, MotionRequest, VerifiedOrder,
    motion::{self, MotionProof},
};
use plant::RunStatus;
use robot::{Health, Link, NotReady, RobotMode, SafetyStatus};

/// What the cell knows by itself.
pub struct Local<'a> {
    /// The cell.
    pub cell: &'a Id,
    /// What its journal says.
    pub known: &'a Known,
    /// Why the ledger is distrusted.
    pub distrust: Option<&'a str>,
    /// Why robot or cell cannot start a run now.
    pub state: Result<(), String>,
}

/// What comes of one order now.
#[derive(Debug)]
pub enum Judgement {
    /// It may move the robot.
    Go(VerifiedOrder),
    /// Not now; later it may.
    Wait(Refusal),
    /// Not now and never.
    Never(Refusal),
}

/// What to do next.
#[derive(Debug)]
pub enum Next {
    /// Nothing.
    Idle,
    /// Start a run.
    Start(VerifiedOrder),
    /// Refuse an order for good.
    Refuse(Digest, Refusal),
}

/// The orders that are this cell's to decide, oldest first.
pub fn open(view: &View, local: &Local<'_>) -> Vec<Digest> {
    let Some(plant) = &view.plant else { return Vec::new() };
    let mut open: Vec<_> = plant
        .orders
        .iter()
        .filter(|(id, o)| {
            o.order.cell == *local.cell
                && o.status == RunStatus::Pending
                && !local.known.is_consumed(id)
                && !local.known.refused.contains(id)
        })
        .map(|(id, o)| (o.index, *id))
        .collect();
    open.sort_unstable();
    open.into_iter().map(|(_, id)| id).collect()
}

/// The first thing to do among the open orders.
pub fn next(view: &View, local: &Local<'_>, now: Millis) -> Next {
    for order in open(view, local) {
        match judge(view, local, order, now) {
            Judgement::Go(verified) => return Next::Start(verified),
            Judgement::Never(refusal) => return Next::Refuse(order, refusal),
            Judgement::Wait(_) => {}
        }
    }
    Next::Idle
}

/// Judges one order.
pub fn judge(view: &View, local: &Local<'_>, order: Digest, now: Millis) -> Judgement {
    let waits = |rule, reason: &str, accepted: &str| {
        Judgement::Wait(Refusal {
            who: local.cell.to_string(),
            what: format!("a run by order {}", order.short()),
            rule,
            reason: reason.to_owned(),
            accepted: accepted.to_owned(),
        })
    };
    let (Some(plant), Some(newest)) = (&view.plant, &view.newest) else {
        return waits(Rule::Inclusion, "no ledger was read yet", "a witnessed ledger");
    };
    // An honest ledger may come back, so distrust is no end of the order.
    if let Some(why) = local.distrust {
        return waits(Rule::Inclusion, why, "a ledger that a person trusts again");
    }
    let Some(leaf) = view.leaves.get(&order) else {
        return waits(Rule::Inclusion, "its leaf is not at hand", "a proven leaf");
    };
    let request = request(local, order);
    let proof = MotionProof { leaf: &leaf.bytes, included: &leaf.included, newest };
    match motion::decide(plant, &request, &proof, now) {
        Err(shut) if shut.transient => Judgement::Wait(shut.refusal),
        Err(shut) => Judgement::Never(shut.refusal),
        Ok(verified) => match &local.state {
            Ok(()) => Judgement::Go(verified),
            Err(why) => waits(Rule::State, why, "a robot and cell that are ready"),
        },
    }
}

fn request<'a>(local: &Local<'a>, order: Digest) -> MotionRequest<'a> {
    let consumed = local.known.is_consumed(&order);
    MotionRequest { cell: local.cell, order, consumed, distrust: local.distrust }
}

/// Every rule for an order, applied, for a person to read.
pub fn explain(view: &View, local: &Local<'_>, order: Digest, now: Millis) -> Vec<Check> {
    let (Some(plant), Some(newest)) = (&view.plant, &view.newest) else { return Vec::new() };
    let mut checks = motion::explain(plant, &request(local, order), newest, now);
    checks.push(Check {
        rule: Rule::State,
        ok: local.state.is_ok(),
        found: local.state.clone().err().unwrap_or_else(|| "robot and cell are ready".to_owned()),
        accepted: "a robot and cell that are ready".to_owned(),
        transient: true,
    });
    checks
}

/// Whether the robot could start a program now.
///
/// # Errors
/// What keeps it from starting.
pub fn ready(health: &Health) -> Result<(), NotReady> {
    let sample = match (&health.link, &health.sample) {
        (Link::Connected(_), Some(sample)) => sample,
        (Link::Lost { why }, _) => return Err(NotReady::NoConnection(why.clone())),
        _ => return Err(NotReady::NoConnection("still connecting".to_owned())),
    };
    if sample.safety != SafetyStatus::Normal {
        return Err(NotReady::Safety(sample.safety));
    }
    if sample.robot_mode != RobotMode::Running {
        return Err(NotReady::Power(sample.robot_mode));
    }
    if health.run_active {
        return Err(NotReady::Busy);
    }
    if sample.program_active() {
        return Err(NotReady::ProgramActive);
    }
    match sample.moving() {
        Some((joint, speed)) => Err(NotReady::Moving { joint, speed }),
        None => Ok(()),
    }
}
