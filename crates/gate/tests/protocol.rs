//! The order protocol, explored to its end: every interleaving of people who order,
//! revoke and hold, a site that logs, delays and takes back what no witness has seen, a
//! witness, a network that loses and repeats, and a cell that crashes at any point.
//!
//! The protocol around the gate is modelled; the fold and the gate are the real ones,
//! over a real log with real signatures. For each property a broken cell or site shows
//! that it can fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../plant/tests/common/mod.rs"]
mod common;

use base::{Digest, Millis};
use common::*;
use gate::motion::{self, MotionProof, MotionRequest};
use plant::Body;
use proof::{
    keys::Signer,
    log::{
        KeyKind, LogPolicy, LogSigner, VKey, append_signature_lines, cosign,
        merkle::{Frontier, leaf_hash},
    },
};
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

/// Orders that may be placed.
const ORDERS: u8 = 2;
const WITNESS: &str = "witness.example";

/// What can stand on the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Word {
    Order(u8),
    /// The key that signed all orders.
    RevokeKey,
    /// Somebody wants the whole site to stand still.
    Hold,
    Started(u8),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    // The site and its witness.
    ledger: Vec<Word>,
    witnessed: usize,
    /// What was witnessed when the last freshness span ended: older checkpoints carry
    /// no fresh cosignature any more.
    fresh_from: usize,
    // The cell, on its disk.
    seen: usize,
    consumed: BTreeSet<u8>,
    outbox: BTreeSet<u8>,
    // The cell, in its memory.
    fresh: bool,
    about_to_move: Option<u8>,
    // What happened.
    motions: [u8; ORDERS as usize],
    /// A run was decided although a revocation was witnessed a freshness span ago.
    moved_past_revocation: bool,
    /// The same of a hold.
    moved_past_hold: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Act {
    /// Somebody states something and the site logs it.
    Log(Word),
    /// A stolen site takes back what no witness has cosigned.
    TakeBack,
    /// The witness cosigns all that is logged.
    Witness,
    /// The network brings the cell a checkpoint of this size: any that it does not
    /// know to be older than its own. Losing one is not bringing it.
    Deliver(usize),
    /// A freshness span passes.
    Pass,
    /// The cell decides on an order, and writes down that it is used.
    Consume(u8),
    /// The robot is told.
    Move,
    /// The cell loses its memory.
    Crash,
    /// The record of a start reaches the site; it may again, if the answer is lost.
    Report(u8),
    /// The site's answer reaches the cell.
    Acknowledge(u8),
}

/// What a plant might get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    Nothing,
    /// The cell tells the robot, then writes it down.
    MovesFirst,
    /// The cell takes a checkpoint of any age.
    IgnoresAge,
    /// The cell keeps what it used in memory only.
    Forgets,
    /// The cell takes words that no witness has cosigned.
    TakesUnwitnessed,
    /// The site logs a start without asking the fold.
    LogsUnasked,
}

struct Protocol {
    flaw: Flaw,
    /// What the real fold says of a ledger: built once each.
    known: Mutex<HashMap<Vec<Word>, Option<Arc<Ledger>>>>,
}

/// A real log of some words.
struct Ledger {
    world: World,
    orders: HashMap<u8, Digest>,
    /// What the real gate says, by order, whether it was consumed, and time.
    opened: Mutex<HashMap<(Digest, bool, Millis), bool>>,
}

impl Protocol {
    fn new(flaw: Flaw) -> Self {
        Self { flaw, known: Mutex::default() }
    }

    /// The real ledger of these words; none when the fold refuses the last.
    fn ledger(&self, words: &[Word]) -> Option<Arc<Ledger>> {
        if let Some(known) = self.known.lock().unwrap().get(words) {
            return known.clone();
        }
        let made = match words.split_last() {
            None => Some(Ledger::of(World::new(), HashMap::new())),
            Some((last, before)) => self.ledger(before).and_then(|before| {
                let mut made = Ledger::of(before.world.clone(), before.orders.clone());
                made.log(*last).map(|()| made)
            }),
        };
        let made = made.map(Arc::new);
        self.known.lock().unwrap().insert(words.to_vec(), made.clone());
        made
    }

    /// Whether the real gate opens for an order over what the cell has seen.
    fn opens(&self, state: &State, order: u8) -> bool {
        let Some(ledger) = self.ledger(&state.ledger[..state.seen]) else { return false };
        let Some(id) = ledger.orders.get(&order) else { return false };
        let consumed = state.consumed.contains(&order);
        let now = match state.fresh || self.flaw == Flaw::IgnoresAge {
            true => NOW,
            false => NOW.plus(2 * MINUTE),
        };
        ledger.opens(*id, consumed, now)
    }
}

impl Ledger {
    fn of(world: World, orders: HashMap<u8, Digest>) -> Self {
        Self { world, orders, opened: Mutex::default() }
    }

    fn log(&mut self, word: Word) -> Option<()> {
        match word {
            Word::Order(n) => {
                let body = Body::Order(self.world.order());
                self.orders.insert(n, self.world.try_by("ada", body).ok()?);
            }
            Word::RevokeKey => drop(self.world.try_by("olga", revoke("ada", "ada")).ok()?),
            Word::Hold => drop(self.world.try_by("olga", hold(None)).ok()?),
            Word::Started(n) => {
                let body = started(*self.orders.get(&n)?);
                self.world.try_by("cell-1", body).ok()?;
            }
        }
        Some(())
    }

    fn opens(&self, order: Digest, consumed: bool, now: Millis) -> bool {
        let asked = (order, consumed, now);
        if let Some(known) = self.opened.lock().unwrap().get(&asked) {
            return *known;
        }
        let opens = self.decide(order, consumed, now);
        self.opened.lock().unwrap().insert(asked, opens);
        opens
    }

    fn decide(&self, order: Digest, consumed: bool, now: Millis) -> bool {
        let leaves = &self.world.leaves;
        let log = LogSigner::new(ORIGIN, Arc::new(key("log"))).unwrap();
        let mut tree = Frontier::new();
        leaves.iter().for_each(|leaf| tree.push(leaf_hash(leaf)));
        let signed = log.sign(tree.size(), tree.root());
        let line = cosign(WITNESS, &key("witness"), signed.checkpoint(), NOW.0 / 1000).unwrap();
        let note = append_signature_lines(signed.note(), line.as_bytes());
        let witness = VKey::new(WITNESS, KeyKind::Witness, key("witness").public()).unwrap();
        let policy = LogPolicy::new(ORIGIN, log.vkey().clone(), vec![witness], 1).unwrap();
        let newest = policy.verify_checkpoint(&note).unwrap();
        let (_, included) = newest.extend(&Frontier::new(), leaves).unwrap();
        let index = usize::try_from(self.world.plant.index_of(&order).unwrap()).unwrap();
        let cell = id("cell-1");
        let request = MotionRequest { cell: &cell, order, consumed, distrust: None };
        let proof =
            MotionProof { leaf: &leaves[index], included: &included[index], newest: &newest };
        motion::decide(&self.world.plant, &request, &proof, now).is_ok()
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, acts: &mut Vec<Act>) {
        let once = |word: &Word| !state.ledger.contains(word);
        let words = (0..ORDERS).map(Word::Order).chain([Word::RevokeKey, Word::Hold]);
        acts.extend(words.filter(once).map(Act::Log));
        if state.witnessed < state.ledger.len() {
            acts.extend([Act::Witness, Act::TakeBack]);
        }
        let most = match self.flaw {
            Flaw::TakesUnwitnessed => state.ledger.len(),
            _ => state.witnessed,
        };
        // A smaller one is a rollback, which the follower refuses (its own tests).
        acts.extend((state.seen..=most).map(Act::Deliver));
        acts.push(Act::Pass);
        if state.about_to_move.is_none() {
            acts.extend((0..ORDERS).filter(|o| self.opens(state, *o)).map(Act::Consume));
        } else {
            acts.push(Act::Move);
        }
        acts.push(Act::Crash);
        acts.extend(state.outbox.iter().copied().map(Act::Report));
        let recorded = |o: &&u8| state.ledger.contains(&Word::Started(**o));
        acts.extend(state.outbox.iter().filter(recorded).copied().map(Act::Acknowledge));
    }

    fn next_state(&self, last: &State, act: Act) -> Option<State> {
        let mut next = last.clone();
        match act {
            Act::Log(word) => {
                next.ledger.push(word);
                self.ledger(&next.ledger)?;
            }
            Act::Witness => next.witnessed = next.ledger.len(),
            Act::TakeBack => {
                next.ledger.truncate(next.witnessed);
                next.seen = next.seen.min(next.witnessed);
            }
            Act::Deliver(size) => {
                next.fresh = size >= next.fresh_from;
                next.seen = size;
            }
            Act::Pass => {
                next.fresh_from = next.witnessed;
                next.fresh = false;
            }
            Act::Consume(order) => {
                let old = &next.ledger[..next.fresh_from];
                next.moved_past_revocation |= old.contains(&Word::RevokeKey);
                next.moved_past_hold |= old.contains(&Word::Hold);
                next.about_to_move = Some(order);
                if self.flaw != Flaw::MovesFirst {
                    next.consumed.insert(order);
                    next.outbox.insert(order);
                }
            }
            Act::Move => {
                let order = next.about_to_move.take()?;
                next.motions[usize::from(order)] += 1;
                if self.flaw == Flaw::MovesFirst {
                    // It writes it down after the next step, if it gets there.
                    next.outbox.insert(order);
                }
            }
            Act::Crash => {
                next.about_to_move = None;
                next.fresh = false;
                if self.flaw == Flaw::Forgets {
                    next.consumed.clear();
                }
            }
            Act::Report(order) => {
                next.ledger.push(Word::Started(order));
                // The fold refuses a second record of the same start.
                if self.flaw != Flaw::LogsUnasked {
                    self.ledger(&next.ledger)?;
                }
            }
            Act::Acknowledge(order) => {
                next.outbox.remove(&order);
            }
        }
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("an order runs at most once", |_, s: &State| {
                s.motions.iter().all(|n| *n <= 1)
            }),
            Property::always("no run without an order that the fold accepted", |_, s: &State| {
                (0..ORDERS)
                    .all(|o| s.motions[usize::from(o)] == 0 || s.ledger.contains(&Word::Order(o)))
            }),
            Property::always(
                "a witnessed revocation holds after a freshness span",
                |_, s: &State| !s.moved_past_revocation,
            ),
            Property::always("a witnessed hold holds after a freshness span", |_, s: &State| {
                !s.moved_past_hold
            }),
            Property::always("one start an order on the ledger", |_, s: &State| {
                (0..ORDERS)
                    .all(|o| s.ledger.iter().filter(|word| **word == Word::Started(o)).count() <= 1)
            }),
            Property::sometimes("all orders run", |_, s: &State| s.motions.iter().all(|n| *n == 1)),
        ]
    }

    fn within_boundary(&self, state: &State) -> bool {
        // A broken cell may go on for ever, and so may a broken site; twice is bad enough.
        let starts = |o| state.ledger.iter().filter(|word| **word == Word::Started(o)).count();
        state.motions.iter().all(|n| *n <= 2) && (0..ORDERS).all(|o| starts(o) <= 2)
    }
}

#[test]
fn no_interleaving_moves_a_robot_wrongly() {
    let checker = Protocol::new(Flaw::Nothing).checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    println!("{} states", checker.unique_state_count());
    assert!(checker.unique_state_count() > 1000);
}

#[test]
fn each_flaw_is_found() {
    for (flaw, broken) in [
        (Flaw::MovesFirst, "an order runs at most once"),
        (Flaw::Forgets, "an order runs at most once"),
        (Flaw::TakesUnwitnessed, "no run without an order that the fold accepted"),
        (Flaw::IgnoresAge, "a witnessed revocation holds after a freshness span"),
        (Flaw::IgnoresAge, "a witnessed hold holds after a freshness span"),
        (Flaw::LogsUnasked, "one start an order on the ledger"),
    ] {
        let found = HasDiscoveries::AnyOf(BTreeSet::from([broken]));
        let search = Protocol::new(flaw).checker().threads(2).finish_when(found);
        let checker = search.spawn_bfs().join();
        assert!(checker.discovery(broken).is_some(), "{flaw:?} is not found");
    }
}
