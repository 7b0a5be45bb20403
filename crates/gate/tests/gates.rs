//! The gates over a real log: what opens them, and each rule that keeps them shut.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../plant/tests/common/mod.rs"]
mod common;

use base::{Digest, Id, Millis, Rule};
use common::*;
use gate::motion::{self, MotionProof, MotionRequest, VerifiedOrder};
use gate::{ReadRequest, Shut, read as reading};
use plant::{Body, body::*};
use policy::Role;
use proof::log::{
    Included, KeyKind, LogPolicy, LogSigner, VKey, WitnessedCheckpoint, append_signature_lines,
    cosign, merkle::Frontier,
};
use std::sync::Arc;

const WITNESS: &str = "witness.example";

/// A checkpoint of a log with these leaves, cosigned at a time, and a proof of each.
fn witnessed(origin: &str, leaves: &[Vec<u8>], at: Millis) -> (WitnessedCheckpoint, Vec<Included>) {
    use proof::keys::Signer;
    let log = LogSigner::new(origin, Arc::new(key("log"))).unwrap();
    let mut tree = Frontier::new();
    leaves.iter().for_each(|leaf| tree.push(proof::log::merkle::leaf_hash(leaf)));
    let signed = log.sign(tree.size(), tree.root());
    let line = cosign(WITNESS, &key("witness"), signed.checkpoint(), at.0 / 1000).unwrap();
    let note = append_signature_lines(signed.note(), line.as_bytes());
    let witness = VKey::new(WITNESS, KeyKind::Witness, key("witness").public()).unwrap();
    let policy = LogPolicy::new(origin, log.vkey().clone(), vec![witness], 1).unwrap();
    let checkpoint = policy.verify_checkpoint(&note).unwrap();
    let (_, included) = checkpoint.extend(&Frontier::new(), leaves).unwrap();
    (checkpoint, included)
}

/// What a cell knows of an order when it asks its gate.
#[derive(Clone)]
struct Asking {
    world: World,
    order: Digest,
    cell: Id,
    consumed: bool,
    distrust: Option<&'static str>,
    witnessed_at: Millis,
    now: Millis,
}

impl Asking {
    fn new() -> Self {
        let mut world = World::new();
        let order = world.ordered();
        Self {
            world,
            order,
            cell: id("cell-1"),
            consumed: false,
            distrust: None,
            witnessed_at: NOW,
            now: NOW,
        }
    }

    fn request(&self) -> MotionRequest<'_> {
        MotionRequest {
            cell: &self.cell,
            order: self.order,
            consumed: self.consumed,
            distrust: self.distrust,
        }
    }

    /// Asks over the log as it is, with the proof of the leaf at `index`.
    fn decide_at(&self, index: usize) -> Result<VerifiedOrder, Shut> {
        let (newest, included) = witnessed(ORIGIN, &self.world.leaves, self.witnessed_at);
        let leaf = &self.world.leaves[index];
        let proof = MotionProof { leaf, included: &included[index], newest: &newest };
        let decision = motion::decide(&self.world.plant, &self.request(), &proof, self.now);
        let checks = motion::explain(&self.world.plant, &self.request(), &newest, self.now);
        match &decision {
            Ok(_) => assert!(checks.iter().all(|c| c.ok), "{checks:?}"),
            Err(shut) if index == self.index() => assert!(
                checks
                    .iter()
                    .any(|c| !c.ok && (c.rule, c.transient) == (shut.refusal.rule, shut.transient)),
                "{checks:?}"
            ),
            Err(_) => {}
        }
        decision
    }

    fn index(&self) -> usize {
        self.world.plant.index_of(&self.order).map_or(0, |index| index as usize)
    }

    fn decide(&self) -> Result<VerifiedOrder, Shut> {
        self.decide_at(self.index())
    }
}

/// Rule and whether waiting helps, after an edit of what opens the gate.
#[track_caller]
fn shut<T>(edit: impl FnOnce(&mut Asking) -> T) -> (Rule, bool) {
    let mut asking = Asking::new();
    edit(&mut asking);
    let shut = asking.decide().unwrap_err();
    (shut.refusal.rule, shut.transient)
}

#[test]
fn a_proven_order_opens_the_gate() {
    let asking = Asking::new();
    let permit = asking.decide().unwrap();
    assert_eq!(permit.order(), asking.order);
    assert_eq!((permit.cell(), permit.part()), (&id("cell-1"), &id("spindle-7")));
    assert_eq!(permit.parameters()[&id("speed")], 50);
    assert_eq!(permit.program(), &asking.world.order().program);
    assert_eq!(permit.index() as usize, asking.index());
    assert_eq!(permit.checkpoint(), asking.world.plant.size);
}

#[test]
fn an_order_moves_once() {
    let replay = (Rule::Replay, false);
    assert_eq!(shut(|a| a.consumed = true), replay);
    for body in [started, refusal] {
        assert_eq!(shut(|a| a.world.by("cell-1", body(a.order))), replay);
    }
    let over = |a: &mut Asking| {
        a.world.by("cell-1", started(a.order));
        a.world.by("cell-1", ended(a.order));
    };
    assert_eq!(shut(over), replay);
}

#[test]
fn another_cells_refusal_does_not_block_an_order() {
    let mut asking = Asking::new();
    asking.world.by("cell-2", refusal(asking.order));
    asking.world.by("site", refusal(asking.order));
    asking.decide().unwrap();
}

#[test]
fn the_right_cell_asks_and_is_still_a_cell() {
    let target = (Rule::Target, false);
    assert_eq!(shut(|a| a.cell = id("cell-2")), target);
    assert_eq!(shut(|a| a.world.by("olga", revoke("cell-1", "cell-1"))), target);
    let demote = |a: &mut Asking| {
        a.world.change("olga", roles("cell-1", &[Role::Auditor]), &["omar"]);
    };
    assert_eq!(shut(demote), target);
}

#[test]
fn what_is_taken_away_after_the_order_is_gone() {
    assert_eq!(shut(|a| a.world.by("olga", revoke("ada", "ada"))), (Rule::Enrolment, false));
    let demote = |a: &mut Asking| a.world.change("olga", roles("ada", &[]), &["omar"]);
    assert_eq!(shut(demote), (Rule::Policy, false));
    let replace = |a: &mut Asking| {
        let sha256 = base::sha256(b"another program");
        a.world.change("ivan", Change::Program(Program { sha256, ..program() }), &["olga"]);
    };
    assert_eq!(shut(replace), (Rule::Parameters, false));
    let narrow = |a: &mut Asking| {
        let mut program = program();
        program.parameters.get_mut(&id("speed")).unwrap().min = 50;
        program.parameters.get_mut(&id("speed")).unwrap().default = 60;
        a.world.change("ivan", Change::Program(program), &["olga"]);
    };
    let mut asking = Asking::new();
    narrow(&mut asking);
    asking.decide().expect("50 is still within its bounds");
}

#[test]
fn a_hold_shuts_the_gate_until_it_is_lifted() {
    for cell in [None, Some("cell-1")] {
        assert_eq!(shut(|a| a.world.by("audit", hold(cell))), (Rule::Hold, true));
    }
    let mut asking = Asking::new();
    asking.world.by("audit", hold(Some("cell-2")));
    let placed = asking.world.by("audit", hold(None));
    asking.world.by("ada", release(placed));
    assert_eq!(asking.decide().unwrap_err().refusal.rule, Rule::Hold);
    asking.world.by("olga", release(placed));
    asking.decide().unwrap();
}

#[test]
fn a_failure_for_good_outweighs_one_that_waiting_mends() {
    let both = |a: &mut Asking| {
        a.world.by("audit", hold(None));
        a.consumed = true;
    };
    assert_eq!(shut(both), (Rule::Replay, false));
}

#[test]
fn the_window_is_exact_by_the_cells_own_clock() {
    let at = |now: Millis| {
        let mut asking = Asking::new();
        (asking.now, asking.witnessed_at) = (now, Millis(now.0 / 1000 * 1000));
        asking.decide().map(|_| ()).map_err(|s| (s.refusal.rule, s.transient))
    };
    let end = NOW.plus(5 * MINUTE);
    assert_eq!(at(Millis(NOW.0 - 1)), Err((Rule::Time, true)));
    assert_eq!(at(NOW), Ok(()));
    assert_eq!(at(Millis(end.0 - 1)), Ok(()));
    assert_eq!(at(end), Err((Rule::Time, false)));
}

#[test]
fn a_clock_that_the_witnesses_do_not_bear_out_ends_no_order_for_good() {
    let hour = 60 * MINUTE;
    assert_eq!(shut(|a| a.now = a.now.plus(hour)), (Rule::Time, true));
    assert_eq!(shut(|a| a.now = Millis(a.now.0 - hour)), (Rule::Time, true));
    let late = |a: &mut Asking| {
        a.now = a.now.plus(hour);
        a.witnessed_at = Millis(a.now.0 / 1000 * 1000);
    };
    assert_eq!(shut(late), (Rule::Time, false));
}

#[test]
fn the_view_must_be_fresh_and_of_this_time() {
    let seen = |witnessed_at: Millis| {
        let mut asking = Asking::new();
        (asking.now, asking.witnessed_at) = (NOW.plus(MINUTE), witnessed_at);
        asking.decide().map(|_| ()).map_err(|s| (s.refusal.rule, s.transient))
    };
    let stale = Err((Rule::Freshness, true));
    assert_eq!(seen(NOW), Ok(()));
    assert_eq!(seen(Millis(NOW.0 - 1000)), stale);
    assert_eq!(seen(NOW.plus(MINUTE + SKEW)), Ok(()));
    assert_eq!(seen(NOW.plus(MINUTE + SKEW + 1000)), stale);
}

#[test]
fn too_many_entries_after_the_order_shut_the_gate() {
    let mut asking = Asking::new();
    for _ in 0..8 {
        asking.world.by("audit", hold(Some("cell-2")));
    }
    asking.decide().unwrap();
    asking.world.by("audit", hold(Some("cell-2")));
    let shut = asking.decide().unwrap_err();
    assert_eq!((shut.refusal.rule, shut.transient), (Rule::Freshness, false));
}

#[test]
fn the_ledger_must_be_whole_and_trusted() {
    let inclusion = (Rule::Inclusion, false);
    assert_eq!(shut(|a| a.distrust = Some("two roots for one size")), inclusion);
    assert_eq!(shut(|a| a.order = base::sha256(b"none")), inclusion);
    let mut asking = Asking::new();
    asking.world.ordered();
    let rule = |result: Result<VerifiedOrder, Shut>| result.unwrap_err().refusal.rule;
    assert_eq!(rule(asking.decide_at(asking.index() + 1)), Rule::Inclusion, "another's leaf");

    // The checkpoint is newer than what the cell folded.
    let (newest, included) = witnessed(ORIGIN, &asking.world.leaves, NOW);
    let before = Asking::new();
    let index = before.index();
    let leaf = &before.world.leaves[index];
    let proof = MotionProof { leaf, included: &included[index], newest: &newest };
    let plant = &before.world.plant;
    assert_eq!(rule(motion::decide(plant, &before.request(), &proof, NOW)), Rule::Inclusion);

    // The order's proof is of a newer log than the newest checkpoint.
    let (newest, _) = witnessed(ORIGIN, &before.world.leaves, NOW);
    let proof = MotionProof { leaf, included: &included[index], newest: &newest };
    assert_eq!(rule(motion::decide(plant, &before.request(), &proof, NOW)), Rule::Inclusion);

    // The log is another one.
    let (newest, included) = witnessed("other.example/log", &before.world.leaves, NOW);
    let proof = MotionProof { leaf, included: &included[index], newest: &newest };
    assert_eq!(rule(motion::decide(plant, &before.request(), &proof, NOW)), Rule::Inclusion);
}

/// What a draft of `ada`'s would meet, signed with a key by its fingerprint.
fn foreseen(world: &World, key: &Digest, user_verified: bool, order: &Order) -> Vec<gate::Check> {
    let (newest, _) = witnessed(ORIGIN, &world.leaves, NOW);
    let draft = motion::Draft { issuer: &id("ada"), key, user_verified, order };
    motion::foresee(&world.plant, &draft, &newest, NOW)
}

fn failing(checks: &[gate::Check]) -> Vec<Rule> {
    checks.iter().filter(|c| !c.ok).map(|c| c.rule).collect()
}

#[test]
fn what_is_foreseen_of_a_draft_is_what_comes() {
    type Edit = fn(&mut World, &mut Order);
    let cases: [Edit; 15] = [
        |_, _| (),
        |_, o| o.not_before = NOW.plus(MINUTE),
        |_, o| o.not_after = o.not_before.plus(DAY),
        |_, o| o.not_after = o.not_before.plus(DAY + 1),
        |_, o| (o.not_before, o.not_after) = (NOW.plus(DAY + 1), NOW.plus(DAY + 2)),
        |_, o| (o.not_before, o.not_after) = (Millis(NOW.0 - 2), NOW),
        |_, o| o.not_after = o.not_before,
        |_, o| o.cell = id("cell-9"),
        |_, o| o.cell = id("cell-2"),
        |_, o| o.program.id = id("weld"),
        |_, o| o.program.sha256 = base::sha256(b"other"),
        |_, o| {
            o.parameters.insert(id("speed"), 9);
        },
        |w, _| {
            w.by("audit", hold(None));
        },
        |w, _| {
            w.change("olga", roles("ada", &[]), &["omar"]);
        },
        |w, _| {
            w.by("olga", revoke("ada", "ada"));
        },
    ];
    for (case, edit) in cases.into_iter().enumerate() {
        let mut world = World::new();
        let mut order = world.order();
        edit(&mut world, &mut order);
        let foreseen = foreseen(&world, &print("ada"), false, &order);
        match world.try_by("ada", Body::Order(order.clone())) {
            Ok(logged) => {
                let (newest, _) = witnessed(ORIGIN, &world.leaves, NOW);
                let cell = order.cell;
                let request =
                    MotionRequest { cell: &cell, order: logged, consumed: false, distrust: None };
                let explained = motion::explain(&world.plant, &request, &newest, NOW);
                let (ledger, rules) = explained.split_first().unwrap();
                assert!(ledger.ok && ledger.rule == Rule::Inclusion);
                assert_eq!(rules, foreseen, "case {case}");
            }
            Err(refusal) => {
                let failing = failing(&foreseen);
                assert!(failing.contains(&refusal.rule), "case {case}: {refusal}: {failing:?}");
            }
        }
    }
}

#[test]
fn a_draft_counts_as_verified_by_its_key_and_not_by_its_word() {
    let mut world = World::new();
    let mut ada = member("ada", &[Role::Operator]);
    ada.keys.extend([
        proof::keys::PublicKey::Passkey(passkey("ada")),
        invitation("ada.link", NOW.plus(DAY)),
    ]);
    let [file, pass, link] = ada.keys.iter().map(|k| k.fingerprint()).collect::<Vec<_>>()[..]
    else {
        panic!("three keys")
    };
    world.change("olga", Change::Member(ada), &["omar"]);
    let text = format!(
        "{}\nforbid (principal, action == Interlock::Action::\"order.place\", resource) unless {{ context.userVerified }};",
        policy::DEFAULT
    );
    world.change("olga", Change::Policy(SetPolicy { text }), &["omar"]);
    let order = world.order();
    for (key, verified, expected) in [
        (pass, true, vec![]),
        (pass, false, vec![Rule::Policy]),
        (file, true, vec![Rule::Policy]),
        (file, false, vec![Rule::Policy]),
        // An invitation orders nothing, and nobody's key less.
        (link, true, vec![Rule::Enrolment, Rule::Policy]),
        (base::sha256(b"none"), true, vec![Rule::Enrolment, Rule::Policy]),
    ] {
        assert_eq!(failing(&foreseen(&world, &key, verified, &order)), expected);
    }
}

#[test]
fn a_suspended_reader_reads_nothing() {
    let mut world = World::new();
    world.granted();
    let text = format!(
        "{}\nforbid (principal, action == Interlock::Action::\"recording.read\", resource);",
        policy::DEFAULT
    );
    reading::decide(&world.plant, &asks("vision", 1, None), NOW).unwrap();
    world.change("olga", Change::Policy(SetPolicy { text }), &["omar"]);
    no_read(&world, &asks("vision", 1, None), NOW, Rule::Grant);
}

fn asks(reader: &str, bytes: u64, grant: Option<Digest>) -> ReadRequest {
    ReadRequest { reader: id(reader), root: "bafy1".into(), cid: "bafyblock".into(), bytes, grant }
}

#[track_caller]
fn no_read(world: &World, request: &ReadRequest, now: Millis, rule: Rule) {
    let refusal = reading::decide(&world.plant, request, now).unwrap_err();
    assert_eq!(refusal.rule, rule, "{refusal}");
}

#[test]
fn a_live_grant_opens_the_vault_within_its_budget() {
    let mut world = World::new();
    let (_, grant) = world.granted();
    for named in [None, Some(grant)] {
        let permit = reading::decide(&world.plant, &asks("vision", 100, named), NOW).unwrap();
        assert_eq!((permit.root(), permit.bytes()), ("bafy1", 100));
        assert_eq!((permit.read().grant, permit.read().cid.as_str()), (grant, "bafyblock"));
        no_read(&world, &asks("vision", 101, named), NOW, Rule::Budget);
        no_read(&world, &asks("rival", 1, named), NOW, Rule::Grant);
    }
    no_read(&world, &asks("vision", 1, Some(base::sha256(b"none"))), NOW, Rule::Grant);
    let other = ReadRequest { root: "bafy2".into(), ..asks("vision", 1, Some(grant)) };
    no_read(&world, &other, NOW, Rule::Grant);

    // What the permit says is what the ledger takes, and then it is spent: for reads of
    // nothing, too.
    reading::decide(&world.plant, &asks("vision", 0, None), NOW).unwrap();
    let permit = reading::decide(&world.plant, &asks("vision", 100, None), NOW).unwrap();
    world.by("site", Body::Read(permit.read().clone()));
    no_read(&world, &asks("vision", 1, None), NOW, Rule::Budget);
    no_read(&world, &asks("vision", 0, None), NOW, Rule::Budget);
}

#[test]
fn a_found_grant_is_any_that_covers_and_a_named_one_is_that_one() {
    let mut world = World::new();
    let (order, small) = world.granted();
    let terms = Grant { budget: 1000, ..world.grant(order, &["bafy1"]) };
    let large = world.by("omar", Body::Grant(terms));
    let permit = reading::decide(&world.plant, &asks("vision", 500, None), NOW).unwrap();
    assert_eq!(permit.read().grant, large);
    no_read(&world, &asks("vision", 500, Some(small)), NOW, Rule::Budget);
}

#[test]
fn an_ended_grant_shuts_the_vault() {
    let mut world = World::new();
    let (_, grant) = world.granted();
    let (ask, end) = (asks("vision", 1, None), NOW.plus(60 * MINUTE));
    no_read(&world, &ask, Millis(NOW.0 - 1), Rule::Grant);
    reading::decide(&world.plant, &ask, Millis(end.0 - 1)).unwrap();
    no_read(&world, &ask, end, Rule::Grant);
    let ends: [(&str, Body); 3] = [
        ("olga", Body::RevokeGrant(RevokeGrant { grant, reason: String::new() })),
        ("olga", Body::Shred(Shred { reason: String::new(), root: "bafy1".into() })),
        ("olga", revoke("vision", "vision")),
    ];
    for (by, body) in ends {
        let mut world = world.clone();
        world.by(by, body);
        no_read(&world, &ask, NOW, Rule::Grant);
        no_read(&world, &asks("vision", 1, Some(grant)), NOW, Rule::Grant);
    }
}
