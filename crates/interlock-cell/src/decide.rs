//! What to do next: which order to start, which to refuse, which waits.
//!
//! Pure: the plant as folded, what the journal knows, how the robot stands and
//! the time come in, a verdict comes out. The rules are the motion gate's; the
//! cell adds its own state (robot, its own hold) and never weakens one.

use crate::{cell::Running, journal::Known, view::View};
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
    /// How robot and cell stand.
    pub standing: Standing,
}

/// How robot and cell stand, apart from what the ledger says. By default nothing is
/// in the way.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Whether the cell shuts down.
    pub closing: bool,
    /// The run in progress.
    pub run: Option<Running>,
    /// Why the ledger cannot be followed just now.
    pub trouble: Option<String>,
    /// Why the cell holds itself.
    pub hold: Option<String>,
    /// Why the cell cannot start a run.
    pub obstacle: Option<String>,
    /// Why the robot cannot start a run.
    pub robot: Option<String>,
}

impl Standing {
    /// Whether a run could start now.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub fn ready(&self) -> Result<(), String> {
        if self.closing {
            return Err("the cell shuts down".to_owned());
        }
        if let Some(run) = &self.run {
            return Err(format!("run `{}` is in progress", run.run));
        }
        if let Some(why) = &self.hold {
            return Err(format!("the cell holds itself: {why}"));
        }
        if let Some(why) = &self.obstacle {
            return Err(why.clone());
        }
        match &self.robot {
            Some(why) => Err(format!("the robot is not ready: {why}")),
            None => Ok(()),
        }
    }
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
        Ok(verified) => match local.standing.ready() {
            Ok(()) => Judgement::Go(verified),
            Err(why) => waits(Rule::State, &why, "a robot and cell that are ready"),
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
    let state = local.standing.ready();
    checks.push(Check {
        rule: Rule::State,
        ok: state.is_ok(),
        found: state.err().unwrap_or_else(|| "robot and cell are ready".to_owned()),
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::{
        fixture::{Log, id},
        journal::{Act, Journal},
    };
    use plant::{
        Body,
        body::{Hold, RevokeKey, RunStarted},
    };
    use proof::keys::{PublicKey, SecretKey};
    use robot::{Controller, RuntimeState, Sample, Series};
    use std::sync::Arc;

    /// What became of an order, in a word.
    fn outcome(view: &View, local: &Local<'_>, order: Digest, now: Millis) -> String {
        match judge(view, local, order, now) {
            Judgement::Go(verified) => {
                assert_eq!(verified.order(), order);
                "go".into()
            }
            Judgement::Wait(refusal) => format!("wait {}", refusal.rule),
            Judgement::Never(refusal) => format!("never {}", refusal.rule),
        }
    }

    fn known(acts: Vec<Act>) -> Known {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&dir.path().join("journal")).unwrap();
        for act in acts {
            journal.write(Millis(1), act, vec![]).unwrap();
        }
        journal.known().clone()
    }

    #[test]
    fn each_thing_that_stands_in_the_way_is_named_and_lasts_as_long_as_it_does() {
        let mut log = Log::new();
        let order = log.order();
        let cell = id("cell-1");
        let nothing = known(vec![]);
        let local = || Local {
            cell: &cell,
            known: &nothing,
            distrust: None,
            standing: Standing::default(),
        };
        let (view, now) = (log.view(), log.now().plus(2000));
        assert_eq!(outcome(&view, &local(), order, now), "go");
        assert!(matches!(next(&view, &local(), now), Next::Start(_)));

        let early = log.now();
        assert_eq!(outcome(&view, &local(), order, early), "wait time");
        assert_eq!(outcome(&view, &local(), order, now.plus(20_000)), "wait freshness");
        let late = now.plus(90_000);
        assert_eq!(outcome(&view, &local(), order, late), "wait time", "by this clock alone");
        let later = log.view_at(late);
        assert_eq!(outcome(&later, &local(), order, late), "never time");
        assert!(matches!(next(&later, &local(), late), Next::Refuse(o, _) if o == order));

        let robot = Standing { robot: Some("no robot".into()), ..Standing::default() };
        let broken = Local { standing: robot, ..local() };
        assert_eq!(outcome(&view, &broken, order, now), "wait state");
        assert!(matches!(next(&view, &broken, now), Next::Idle));
        let forked = Local { distrust: Some("forked"), ..local() };
        assert_eq!(outcome(&view, &forked, order, now), "wait inclusion");
        let consumed = known(vec![Act::Consumed { order }]);
        let used = Local { known: &consumed, ..local() };
        assert_eq!(outcome(&view, &used, order, now), "never replay");
        assert!(matches!(next(&view, &used, now), Next::Idle), "and it is not refused on record");
        let other = id("cell-2");
        let elsewhere = Local { cell: &other, ..local() };
        assert_eq!(outcome(&view, &elsewhere, order, now), "never target");
        assert!(open(&view, &elsewhere).is_empty());
        assert_eq!(outcome(&View::default(), &local(), order, now), "wait inclusion");
    }

    #[test]
    fn what_follows_on_the_ledger_counts() {
        let key = SecretKey::from_seed(&base::sha256(b"anna").0).unwrap();
        let revoke = Body::RevokeKey(RevokeKey {
            key: PublicKey::of(&key).fingerprint(),
            member: id("anna"),
            reason: "lost".into(),
        });
        let hold = Body::Hold(Hold { cell: None, reason: "spill".into() });
        let (cell, nothing) = (id("cell-1"), known(vec![]));
        for (who, body, expected) in
            [("olga", revoke, "never enrolment"), ("anna", hold.clone(), "wait hold")]
        {
            let mut log = Log::new();
            let order = log.order();
            log.state(who, &body);
            let local = Local {
                cell: &cell,
                known: &nothing,
                distrust: None,
                standing: Standing::default(),
            };
            assert_eq!(outcome(&log.view(), &local, order, log.now().plus(2000)), expected);
        }
        let mut log = Log::new();
        let order = log.order();
        for _ in 0..6 {
            log.state("anna", &hold);
        }
        let local =
            Local { cell: &cell, known: &nothing, distrust: None, standing: Standing::default() };
        let lagging = outcome(&log.view(), &local, order, log.now().plus(2000));
        assert_eq!(lagging, "never freshness");

        let mut log = Log::new();
        let order = log.order();
        log.state("cell-1", &Body::RunStarted(RunStarted { checkpoint: 4, order }));
        let view = log.view();
        assert!(open(&view, &local).is_empty(), "a started run is nobody's to start");
    }

    #[test]
    fn the_oldest_order_that_may_start_does() {
        let mut log = Log::new();
        let (first, second) = (log.order(), log.order());
        let (cell, none) = (id("cell-1"), known(vec![]));
        let (view, now) = (log.view(), log.now().plus(2000));
        let local =
            Local { cell: &cell, known: &none, distrust: None, standing: Standing::default() };
        let Next::Start(order) = next(&view, &local, now) else { panic!("nothing starts") };
        assert_eq!(order.order(), first);
        let done = known(vec![Act::Consumed { order: first }]);
        let local = Local { known: &done, ..local };
        let Next::Start(order) = next(&view, &local, now) else { panic!("nothing starts") };
        assert_eq!(order.order(), second);
    }

    #[test]
    fn only_a_connected_standing_robot_is_ready() {
        let sample = Sample {
            robot_mode: RobotMode::Running,
            safety: SafetyStatus::Normal,
            runtime: RuntimeState::Stopped,
            ..Sample::default()
        };
        let controller =
            Controller { series: Series::ESeries, version: [5, 12, 6, 0], frequency_hz: 500.0 };
        let health = |sample: Sample| Health {
            link: Link::Connected(controller),
            sample: Some(Arc::new(sample)),
            run_active: false,
        };
        assert_eq!(ready(&health(sample.clone())), Ok(()));
        let bad = [
            Sample { robot_mode: RobotMode::PowerOff, ..sample.clone() },
            Sample { safety: SafetyStatus::ProtectiveStop, ..sample.clone() },
            Sample { runtime: RuntimeState::Paused, ..sample.clone() },
            Sample { qd: [0.5; 6], ..sample.clone() },
        ];
        for sample in bad {
            assert!(ready(&health(sample.clone())).is_err(), "{sample:?}");
        }
        assert!(ready(&Health { run_active: true, ..health(sample.clone()) }).is_err());
        assert!(ready(&Health { sample: None, ..health(sample.clone()) }).is_err());
        assert!(ready(&Health { link: Link::Connecting, ..health(sample) }).is_err());
    }
}
