//! One machine at a time without room on its disk, with a clock that is wrong, or without
//! news: what it says, that nothing moves or is lost, and how it goes on.

use super::{Acknowledged, machines::Machines};
use crate::plant::{Plant, wait};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{sync::PoisonError, time::Duration};

/// How long a machine may take to notice, or to be well again.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the robot is watched that must stand still.
const STILL: Duration = Duration::from_secs(3);
const HOUR: i64 = 3600;

/// What was done to which machine.
#[derive(Clone, Copy)]
pub enum Want {
    /// Its disk is full.
    Room(&'static str),
    /// Its disk becomes full while the robot moves.
    RoomInARun(&'static str),
    /// Its clock is off by so many seconds.
    Time(&'static str, i64),
    /// Nobody vouches for the ledger any more: the witness stands still.
    Witness(&'static str),
    /// Nothing passes between cell and site in one direction.
    News {
        /// Whether it is what the cell says that is lost.
        outwards: bool,
    },
}

/// Everything that is tried.
pub const ALL: [Want; 12] = [
    Want::Room("site"),
    Want::Room("witness-1"),
    Want::Room("cell-1"),
    Want::RoomInARun("cell-1"),
    Want::Time("cell-1", HOUR),
    Want::Time("cell-1", -HOUR / 2),
    Want::Time("site", HOUR),
    Want::Time("site", -HOUR / 2),
    Want::Time("witness-1", HOUR),
    Want::Witness("witness-1"),
    Want::News { outwards: true },
    Want::News { outwards: false },
];
/// What the tests of every change try.
pub const FEW: [Want; 5] = [
    Want::RoomInARun("cell-1"),
    Want::Time("site", HOUR),
    Want::Witness("witness-1"),
    Want::News { outwards: true },
    Want::News { outwards: false },
];

/// Lets a plant that works want for something, and shows that it works again.
pub fn starve(
    machines: &mut Machines,
    plant: &Plant,
    all: &[Want],
    acknowledged: &Acknowledged,
) -> Result<Vec<Value>> {
    let mut shown = Vec::new();
    for (number, want) in all.iter().enumerate() {
        let able = match want {
            Want::Room(_) | Want::RoomInARun(_) => machines.can_fill(),
            Want::Time(..) => machines.can_skew(),
            Want::Witness(_) | Want::News { .. } => true,
        };
        if !able {
            continue;
        }
        let part = format!("starved-{number}");
        let case = Case { plant, acknowledged, part };
        let found = match *want {
            Want::Room(machine) => case.room(machines, machine),
            Want::RoomInARun(machine) => case.room_in_a_run(machines, machine),
            Want::Time(machine, seconds) => case.time(machines, machine, seconds),
            Want::Witness(machine) => case.unvouched(machines, machine),
            Want::News { outwards } => case.cut_off(machines, outwards),
        };
        let found = found.with_context(|| format!("starving, case {number}"))?;
        // Where the plant lies says nothing to a reader.
        let dir = plant.dir.display().to_string();
        let found: Value = serde_json::from_str(&found.to_string().replace(&dir, "PLANT"))?;
        eprintln!("   {}: {}", found["want"].as_str().unwrap_or_default(), found["said"]);
        shown.push(found);
    }
    Ok(shown)
}

struct Case<'a> {
    plant: &'a Plant,
    acknowledged: &'a Acknowledged,
    part: String,
}

impl Case<'_> {
    /// A full disk, and then somebody orders.
    fn room(&self, machines: &mut Machines, machine: &str) -> Result<Value> {
        let pid = machines.pid(machine);
        let before = self.motions()?;
        machines.fill(machine)?;
        let ordered = self.order("1")?;
        let want = format!("no room on the disk of {machine}");
        let said = match &ordered {
            Ok(id) if machine == "witness-1" => {
                self.well(Some(id.clone()))?;
                machines.free(machine)?;
                machines.heal()?;
                let said = "nothing: it writes over what it keeps of a log, and cosigns on";
                return Ok(json!({ "want": want, "said": said, "mends": "by itself" }));
            }
            Ok(id) => self.held_back(machines, id)?,
            Err(words) => words.clone(),
        };
        must(&said, &["free some space", "No space left"])?;
        self.still(before)?;
        machines.free(machine)?;
        machines.heal()?;
        self.well(ordered.ok())?;
        let mend = if machines.pid(machine) == pid { "by itself" } else { "with a new start" };
        Ok(json!({ "want": want, "said": said, "mends": mend }))
    }

    /// A disk that fills up while the robot moves.
    fn room_in_a_run(&self, machines: &mut Machines, machine: &str) -> Result<Value> {
        let pid = machines.pid(machine);
        let before = self.motions()?;
        let id = self.order("6")?.map_err(|words| anyhow::anyhow!("not ordered: {words}"))?;
        let moves = || Ok((self.motions()? > before).then_some(()));
        wait("the robot to move", PATIENCE, moves)?;
        machines.fill(machine)?;
        let said = wait("the cell to say it", PATIENCE, || {
            let status = machines.cell_says(self.plant)?;
            let words = status["verdict"]["because"].as_str().unwrap_or_default().to_owned();
            let over = status["run"].is_null() && status["verdict"]["will_move"] == false;
            Ok(over.then_some(words))
        })?;
        must(&said, &["free some space", "No space left"])?;
        machines.free(machine)?;
        machines.heal()?;
        let run = self.ended(&id)?;
        let reason = run["ended"]["reason"].as_str().unwrap_or_default().to_owned();
        if run["status"]["ended"] != "failed" {
            bail!("a run without a disk ended as {}: {reason}", run["status"]);
        }
        must(&reason, &["disk", "recording failed"])?;
        self.well(None)?;
        let mend = if machines.pid(machine) == pid { "by itself" } else { "with a new start" };
        let want = format!("no room on the disk of {machine}, during a run");
        Ok(json!({ "want": want, "said": said, "run_says": reason, "mends": mend }))
    }

    /// A clock that is wrong, and then somebody orders.
    fn time(&self, machines: &mut Machines, machine: &str, seconds: i64) -> Result<Value> {
        let before = self.motions()?;
        machines.skew(machine, seconds)?;
        // The program looks at its clock's file once a second, the site at the
        // witnesses' each time it asks them.
        std::thread::sleep(STILL);
        let ordered = self.order("1")?;
        let said = match &ordered {
            // Ledger time never runs backwards: it stands still at the newest entry's, and
            // what is signed is taken until that is too long ago.
            Ok(id) if machine == "site" && seconds < 0 => {
                self.well(Some(id.clone()))?;
                "nothing: it logs at the newest entry's time, which the clock's may not precede"
                    .into()
            }
            Ok(id) => self.held_back(machines, id)?,
            Err(words) => words.clone(),
        };
        must(&said, &["clock", "checkpoint"])?;
        if machine != "site" || seconds > 0 {
            self.still(before)?;
        }
        machines.skew(machine, 0)?;
        self.well(ordered.ok())?;
        let way = if seconds > 0 { "ahead" } else { "behind" };
        let minutes = seconds.unsigned_abs() / 60;
        let want = format!("the clock of {machine} {minutes} min {way}");
        Ok(json!({ "want": want, "said": said, "mends": "by itself" }))
    }

    /// A witness that stands still, for longer than a checkpoint may be old.
    fn unvouched(&self, machines: &Machines, machine: &str) -> Result<Value> {
        let silence = |stands| machines.freeze(machine, stands);
        let said = self.grown_old(machines, silence)?;
        let want = format!("{machine} stands still");
        Ok(json!({ "want": want, "said": said, "mends": "by itself" }))
    }

    /// A network that loses all in one direction, for as long.
    fn cut_off(&self, machines: &Machines, outwards: bool) -> Result<Value> {
        let (relay, held) = (machines.relay(), machines.relay().held(outwards));
        let said = self.grown_old(machines, |cut| relay.cut(outwards, cut))?;
        if relay.held(outwards) == held {
            bail!("the network was cut, and nobody said anything that it could have lost");
        }
        let way = if outwards { "cell says to the site" } else { "site says to the cell" };
        let want = format!("nothing that the {way} arrives");
        Ok(json!({ "want": want, "said": said, "mends": "by itself" }))
    }

    /// What the cell knows grows older than it may be, while somebody orders: the robot
    /// stands still until news comes, and then the order runs or is refused.
    fn grown_old(&self, machines: &Machines, silence: impl Fn(bool)) -> Result<String> {
        let before = self.motions()?;
        silence(true);
        let (said, ordered) = std::thread::scope(|scope| {
            // Who orders may wait for the witness for as long as it stands still.
            let ordering = scope.spawn(|| self.order("1"));
            let said = self.says_old(machines);
            // It had longer to move in than it is watched otherwise.
            let said = said.and_then(|said| self.unmoved(before).map(|()| said));
            silence(false);
            (said, ordering.join())
        });
        let said = said?;
        let ordered = match ordered.map_err(|_| anyhow::anyhow!("nobody ordered"))?? {
            Ok(id) => Some(id),
            // It was not acknowledged, and may be on the ledger all the same.
            Err(_) => self.logged()?,
        };
        self.well(ordered)?;
        Ok(said)
    }

    /// What the cell says of a view that is too old to move by.
    fn says_old(&self, machines: &Machines) -> Result<String> {
        wait("the cell to say that its view is old", PATIENCE, || {
            let status = machines.cell_says(self.plant)?;
            let because = status["verdict"]["because"].as_str().unwrap_or_default();
            let old = because.contains("s old,") && status["verdict"]["will_move"] == false;
            Ok(old.then(|| because.to_owned()))
        })
    }

    /// The order for this case's part, when it is on the ledger.
    fn logged(&self) -> Result<Option<String>> {
        let orders = super::verdict::orders(self.plant)?;
        let ours = |order: &Value| order["order"]["part"] == self.part.as_str();
        Ok(orders.into_iter().find(|(_, order)| ours(order)).map(|(id, _)| id))
    }

    /// Orders a run: its entry when it was acknowledged, else what was said.
    fn order(&self, viewpoints: &str) -> Result<Result<String, String>> {
        let dir = self.plant.dir.join("operator").display().to_string();
        let viewpoints = format!("viewpoints={viewpoints}");
        let (ok, said) = self.plant.try_call(&[
            "--json",
            "--dir",
            &dir,
            "order",
            "sign",
            "--cell",
            "cell-1",
            "--program",
            "scan",
            "--part",
            &self.part,
            "--set",
            &viewpoints,
            "--yes",
        ])?;
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if !ok {
            let why = ["/refusal/reason", "/detail", "/error"];
            let words = why.iter().find_map(|at| said.pointer(at));
            return Ok(Err(text(words.unwrap_or(&said))));
        }
        let (id, index) = (text(&said["id"]), said["index"].as_u64().context("no index")?);
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), index);
        Ok(Ok(id))
    }

    /// Why the cell does not start an order that is on the ledger.
    fn held_back(&self, machines: &Machines, id: &str) -> Result<String> {
        wait("the cell to say why it stands still", PATIENCE, || {
            let status = machines.cell_says(self.plant)?;
            let because = status["verdict"]["because"].as_str().unwrap_or_default();
            let known = because.contains("free some space")
                || because.contains("old,")
                || because.contains("ahead of");
            Ok(known.then(|| because.to_owned()))
        })
        .with_context(|| format!("order {id}"))
    }

    fn motions(&self) -> Result<u64> {
        self.plant.robot("motions")?["starts"].as_u64().context("no count of motions")
    }

    fn still(&self, before: u64) -> Result<()> {
        std::thread::sleep(STILL);
        self.unmoved(before)
    }

    fn unmoved(&self, before: u64) -> Result<()> {
        match self.motions()? {
            now if now == before => Ok(()),
            now => bail!("the robot moved {} times meanwhile", now - before),
        }
    }

    /// The plant finishes the order that waited, or another one.
    fn well(&self, waiting: Option<String>) -> Result<()> {
        let id = match waiting {
            Some(id) => id,
            None => wait("an order to be taken again", PATIENCE, || Ok(self.order("1")?.ok()))?,
        };
        let run = self.ended(&id)?;
        match run["status"]["ended"] == "finished" {
            true => Ok(()),
            false => bail!("the order afterwards came to {}", run["status"]),
        }
    }

    fn ended(&self, id: &str) -> Result<Value> {
        wait("the run to end", PATIENCE, || {
            let Ok(run) = self.plant.by("auditor", &["run", "show", id]) else { return Ok(None) };
            if run["status"].get("refused").is_some() {
                bail!("order {id} was refused: {}", run["status"]);
            }
            Ok(run["status"].get("ended").is_some().then_some(run))
        })
    }
}

/// What is said must name its cause.
fn must(said: &str, one_of: &[&str]) -> Result<()> {
    match one_of.iter().any(|words| said.contains(words)) {
        true => Ok(()),
        false => bail!("it said `{said}`; one of {one_of:?} is expected"),
    }
}
