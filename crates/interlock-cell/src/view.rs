//! The plant as this cell folded it, from leaves that it verified itself.

use base::{Digest, Id, Millis};
use ledger::NewLeaf;
use plant::{Plant, RunStatus};
use proof::{
    entry::Leaf,
    log::{Included, WitnessedCheckpoint},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The newest checkpoint that this cell has ever seen, kept across restarts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Its size.
    pub size: u64,
    /// Its root.
    pub root: Digest,
    /// The note, with its signatures: evidence, should the log change.
    pub note: String,
}

impl Seen {
    /// What to keep of a checkpoint.
    pub fn of(checkpoint: &WitnessedCheckpoint) -> Self {
        Self {
            size: checkpoint.size(),
            root: checkpoint.root(),
            note: String::from_utf8_lossy(checkpoint.note()).into_owned(),
        }
    }
}

/// An order's leaf with its proof.
#[derive(Clone)]
pub struct OrderLeaf {
    /// The leaf's bytes.
    pub bytes: Vec<u8>,
    /// Where it stands.
    pub included: Included,
}

/// What is known of the plant.
#[derive(Clone, Default)]
pub struct View {
    /// The plant; none before the first leaf.
    pub plant: Option<Plant>,
    /// The newest witnessed checkpoint; the plant is folded up to it.
    pub newest: Option<WitnessedCheckpoint>,
    /// The leaves of pending orders for this cell.
    pub leaves: BTreeMap<Digest, OrderLeaf>,
}

impl View {
    /// Folds new leaves and takes over the checkpoint that covers them; none while there
    /// are more up to it, and nothing is decided from such a view.
    ///
    /// # Errors
    /// Why the log is not to be trusted.
    pub fn take(
        &mut self,
        genesis: &Digest,
        cell: &Id,
        leaves: Vec<NewLeaf>,
        newest: Option<WitnessedCheckpoint>,
    ) -> Result<(), String> {
        for NewLeaf { included, leaf } in leaves {
            let index = included.index();
            let id = self.fold(genesis, &leaf).map_err(|e| format!("entry {index}: {e}"))?;
            let order = self.plant.as_ref().and_then(|p| p.orders.get(&id));
            if order.is_some_and(|o| o.order.cell == *cell) {
                self.leaves.insert(id, OrderLeaf { bytes: leaf, included });
            }
        }
        let orders = self.plant.as_ref().map(|p| &p.orders);
        let pending = |id: &Digest| {
            let order = orders.and_then(|orders| orders.get(id));
            order.is_some_and(|o| o.status == RunStatus::Pending)
        };
        self.leaves.retain(|id, _| pending(id));
        self.newest = newest;
        Ok(())
    }

    fn fold(&mut self, genesis: &Digest, bytes: &[u8]) -> Result<Digest, String> {
        if let Some(plant) = &mut self.plant {
            return plant.append(bytes).map_err(|refusal| refusal.to_string());
        }
        let leaf = Leaf::parse(bytes).map_err(|e| e.to_string())?;
        let plant = Plant::begin(&leaf).map_err(|refusal| refusal.to_string())?;
        if plant.genesis != *genesis {
            return Err(format!("the genesis is {}, {genesis} is expected", plant.genesis));
        }
        Ok(self.plant.insert(plant).genesis)
    }

    /// How many runs of the order's part came before it.
    pub fn scans_before(&self, order: &Digest) -> u64 {
        let Some(plant) = &self.plant else { return 0 };
        let Some(own) = plant.orders.get(order) else { return 0 };
        let ran = |s: &RunStatus| matches!(s, RunStatus::Started(_) | RunStatus::Ended(_));
        let before = plant
            .orders
            .values()
            .filter(|o| o.order.part == own.order.part && o.index < own.index && ran(&o.status));
        before.count() as u64
    }

    /// Why the ledger wants this cell to stand still.
    pub fn hold(&self, cell: &Id) -> Option<String> {
        let hold = self.plant.as_ref()?.holds_on(cell).next()?;
        Some(format!("`{}` placed a hold: {}", hold.issuer, hold.hold.reason))
    }

    /// Which of the holds that the cell placed still holds it: one that the ledger
    /// does not have yet, or has and not released.
    pub fn own_hold(&self, placed: &BTreeMap<Digest, String>) -> Option<String> {
        let over = |entry: &Digest| {
            let plant = self.plant.as_ref();
            plant.is_some_and(|p| p.index_of(entry).is_some() && !p.holds.contains_key(entry))
        };
        placed.iter().find(|(entry, _)| !over(entry)).map(|(_, reason)| reason.clone())
    }

    /// How old the newest checkpoint is, in milliseconds.
    pub fn age(&self, now: Millis) -> Option<u64> {
        self.newest.as_ref().map(|newest| now.since(newest.witnessed_at()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::fixture::{Log, id};
    use plant::{
        Body,
        body::{Hold, Release},
    };

    fn hold() -> Body {
        Body::Hold(Hold { cell: Some(id("cell-1")), reason: "moved".into() })
    }

    #[test]
    fn another_plant_and_an_entry_that_may_not_stand_are_refused() {
        let log = Log::new();
        let (leaves, newest) = log.proven(3);
        let cell = id("cell-1");
        let another = View::default().take(&Digest([1; 32]), &cell, leaves, Some(newest));
        assert!(another.unwrap_err().contains("genesis"));
        let mut log = Log::new();
        // A cell may not order.
        let order = log.order();
        let mut leaf = Leaf::parse(&log.leaves[3]).unwrap();
        leaf.entry.statement.issuer = cell.clone();
        log.leaves[3] = leaf.bytes().unwrap();
        let (leaves, newest) = log.proven(4);
        let mut view = View::default();
        let why = view.take(&log.genesis(), &cell, leaves, Some(newest)).unwrap_err();
        assert!(why.starts_with("entry 3"), "{why}");
        assert!(!view.leaves.contains_key(&order));
    }

    #[test]
    fn the_cells_own_hold_lasts_until_the_ledger_has_released_it() {
        let mut log = Log::new();
        let entry = Digest([9; 32]);
        let placed = BTreeMap::from([(entry, "moved".to_owned())]);
        assert!(log.view().own_hold(&placed).is_some(), "it is not on the ledger yet");
        let entry = log.state("cell-1", &hold());
        let placed = BTreeMap::from([(entry, "moved".to_owned())]);
        assert!(log.view().own_hold(&placed).is_some());
        log.state("anna", &Body::Release(Release { hold: entry }));
        assert!(log.view().own_hold(&placed).is_some(), "one person is not enough");
        log.state("olga", &Body::Release(Release { hold: entry }));
        assert_eq!(log.view().own_hold(&placed), None);
        assert_eq!(View::default().own_hold(&BTreeMap::new()), None);
    }
}
