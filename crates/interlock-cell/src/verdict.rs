//! Why the cell will or will not move now, in words.
//!
//! The decision is [`decide::judge`]'s alone. This only tells it to people: what
//! stands in the way of any order, condition by condition, and one sentence.

use crate::{
    decide::{self, Judgement, Local},
    view::View,
};
use base::{Millis, Rule};
use plant::Plant;
use policy::Role;
use serde::Serialize;

/// One condition that every order depends on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reason {
    /// The rule that it belongs to.
    pub rule: Rule,
    /// Whether it is met.
    pub ok: bool,
    /// What was found.
    pub words: String,
}

/// What the cell will do now, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether the robot moves by an order, or is about to.
    pub will_move: bool,
    /// Why, in one sentence.
    pub because: String,
}

/// Every standing condition.
pub fn reasons(view: &View, local: &Local<'_>, now: Millis) -> Vec<Reason> {
    let mut reasons = vec![ledger(view, local)];
    if let Some(plant) = &view.plant {
        reasons.extend([
            target(plant, local),
            programs(plant, local),
            freshness(plant, view, local, now),
        ]);
    }
    reasons.extend([hold(view, local), gateway(local), robot(local)]);
    reasons
}

/// The sentence.
pub fn verdict(view: &View, local: &Local<'_>, now: Millis) -> Verdict {
    if let Some(run) = &local.standing.run {
        let because =
            format!("run `{}` of `{}` on `{}` is in progress", run.run, run.program, run.part);
        return Verdict { will_move: true, because };
    }
    let stays = |because| Verdict { will_move: false, because };
    let mut waits = None;
    for id in decide::open(view, local) {
        match decide::judge(view, local, id, now) {
            Judgement::Go(order) => {
                let (program, part) = (&order.program().id, order.part());
                let because =
                    format!("order {} starts `{program}` on `{part}`", order.order().short());
                return Verdict { will_move: true, because };
            }
            Judgement::Wait(refusal) | Judgement::Never(refusal) => {
                let why = || format!("order {} does not start: {}", id.short(), refusal.reason);
                waits.get_or_insert_with(why);
            }
        }
    }
    let unmet = reasons(view, local, now).into_iter().find(|reason| !reason.ok);
    match (unmet, waits) {
        (Some(reason), _) => stays(reason.words),
        (None, Some(why)) => stays(why),
        (None, None) => stays("it is ready, and no order waits".to_owned()),
    }
}

/// A condition that is met, in the first words, or is not, in the second.
fn met(rule: Rule, found: Result<String, String>) -> Reason {
    let ok = found.is_ok();
    Reason { rule, ok, words: found.unwrap_or_else(|words| words) }
}

fn ledger(view: &View, local: &Local<'_>) -> Reason {
    let found = match (local.distrust, &view.newest) {
        (Some(why), _) => Err(format!("the ledger is distrusted: {why}")),
        (None, None) => Err(troubled("no ledger was read yet".to_owned(), local)),
        (None, Some(newest)) => Ok(format!("{} entries of the ledger are verified", newest.size())),
    };
    met(Rule::Inclusion, found)
}

fn target(plant: &Plant, local: &Local<'_>) -> Reason {
    let cell = local.cell;
    let found = match plant.stands(cell, Role::Cell) {
        true => Ok(format!("`{cell}` is a cell of the plant")),
        false => Err(format!("`{cell}` is no longer a cell with a live key")),
    };
    met(Rule::Target, found)
}

fn programs(plant: &Plant, local: &Local<'_>) -> Reason {
    let programs = plant.programs.values().filter(|p| p.cells.contains(local.cell)).count();
    let found = match programs {
        0 => Err("no program is approved for this cell".to_owned()),
        1 => Ok("1 program is approved for this cell".to_owned()),
        many => Ok(format!("{many} programs are approved for this cell")),
    };
    met(Rule::Parameters, found)
}

/// With the reason why nothing newer is read, when there is one.
fn troubled(words: String, local: &Local<'_>) -> String {
    match &local.standing.trouble {
        Some(why) => format!("{words} ({why})"),
        None => words,
    }
}

fn freshness(plant: &Plant, view: &View, local: &Local<'_>, now: Millis) -> Reason {
    let (fresh, skew) = (plant.anchors.freshness_ms, plant.anchors.clock_skew_ms);
    let age = view.age(now).unwrap_or(u64::MAX);
    let ahead = view.newest.as_ref().map_or(0, |newest| newest.witnessed_at().since(now));
    let found = if ahead > skew {
        Err(format!("the newest witnessed checkpoint is {ahead} ms ahead of this clock"))
    } else if age > fresh {
        let [age, fresh] = [age, fresh].map(|ms| ms / 1000);
        let words =
            format!("the newest witnessed checkpoint is {age} s old, {fresh} s are allowed");
        Err(troubled(words, local))
    } else {
        Ok(format!("the newest witnessed checkpoint is {} s old", age / 1000))
    };
    met(Rule::Freshness, found)
}

fn hold(view: &View, local: &Local<'_>) -> Reason {
    let own = || local.standing.hold.as_ref().map(|why| format!("the cell holds itself: {why}"));
    let found = match view.hold(local.cell).or_else(own) {
        None => Ok("no hold is in force".to_owned()),
        Some(hold) => Err(hold),
    };
    met(Rule::Hold, found)
}

fn gateway(local: &Local<'_>) -> Reason {
    let standing = &local.standing;
    let found = match (&standing.obstacle, standing.closing) {
        (_, true) => Err("the cell shuts down".to_owned()),
        (Some(why), false) => Err(why.clone()),
        (None, false) => Ok("the cell is ready".to_owned()),
    };
    met(Rule::State, found)
}

fn robot(local: &Local<'_>) -> Reason {
    let standing = &local.standing;
    let found = match (&standing.run, &standing.robot) {
        (Some(run), _) => Ok(format!("the robot carries out run `{}`", run.run)),
        (None, Some(why)) => Err(format!("the robot is not ready: {why}")),
        (None, None) => Ok("the robot is ready".to_owned()),
    };
    met(Rule::State, found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        cell::Running,
        decide::{Next, Standing},
        fixture::{Log, id},
        journal::Known,
    };
    use base::Id;
    use plant::{Body, body::Hold};

    /// What the cell says, checked against what it would do.
    fn said(view: &View, standing: Standing, distrust: Option<&str>, now: Millis) -> Verdict {
        let (cell, known): (Id, _) = (id("cell-1"), Known::default());
        let local = Local { cell: &cell, known: &known, distrust, standing };
        let verdict = verdict(view, &local, now);
        if local.standing.run.is_none() {
            let starts = matches!(decide::next(view, &local, now), Next::Start(_));
            assert_eq!(verdict.will_move, starts, "{verdict:?}");
        }
        let unmet: Vec<_> =
            reasons(view, &local, now).into_iter().filter(|reason| !reason.ok).collect();
        if !verdict.will_move && !unmet.is_empty() {
            assert!(unmet.iter().any(|reason| reason.words == verdict.because), "{unmet:?}");
        }
        assert!(!verdict.will_move || unmet.is_empty(), "{unmet:?}");
        verdict
    }

    #[test]
    fn what_is_said_is_what_is_done() {
        let mut log = Log::new();
        let ready = Standing::default;
        let idle = said(&log.view(), ready(), None, log.now());
        assert_eq!(idle.because, "it is ready, and no order waits");
        let order = log.order();
        let (view, now) = (log.view(), log.now().plus(2000));
        let starts = said(&view, ready(), None, now);
        assert!(starts.will_move, "{starts:?}");
        assert!(starts.because.contains("starts `scan` on `part-1`"), "{starts:?}");

        let says = |standing, distrust, now: Millis, words: &str| {
            let verdict = said(&view, standing, distrust, now);
            assert!(!verdict.will_move && verdict.because.contains(words), "{verdict:?}");
        };
        says(ready(), Some("forked"), now, "distrusted: forked");
        says(ready(), None, now.plus(20_000), "s old, 10 s are allowed");
        says(ready(), None, log.now().plus(1), &format!("order {} does not start", order.short()));
        let robot = Some("still connecting".to_owned());
        says(Standing { robot, ..ready() }, None, now, "robot is not ready: still connecting");
        let obstacle = Some("the disk is full".to_owned());
        says(Standing { obstacle, ..ready() }, None, now, "the disk is full");
        says(Standing { closing: true, ..ready() }, None, now, "shuts down");
        let hold = Some("it moved".to_owned());
        says(Standing { hold, ..ready() }, None, now, "holds itself: it moved");
        assert_eq!(said(&View::default(), ready(), None, now).because, "no ledger was read yet");
    }

    #[test]
    fn a_hold_and_a_run_are_named() {
        let mut log = Log::new();
        let order = log.order();
        log.state("anna", &Body::Hold(Hold { cell: None, reason: "spill".into() }));
        let now = log.now().plus(2000);
        let held = said(&log.view(), Standing::default(), None, now);
        assert_eq!(held.because, "`anna` placed a hold: spill");

        let run = Running {
            order,
            run: id("0123456789abcdef"),
            part: id("part-1"),
            program: id("scan"),
            since: now,
            viewpoints: 1,
        };
        let busy = Some("another order is being carried out".to_owned());
        let standing = Standing { run: Some(run), robot: busy, ..Standing::default() };
        let running = said(&Log::new().view(), standing, None, log.now());
        assert!(running.will_move && running.because.contains("is in progress"), "{running:?}");
    }
}
