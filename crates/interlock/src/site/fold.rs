//! The plant's fold as the sequencer's admission.
//!
//! The shared plant may be ahead of the disk by the batch that is being
//! committed. That is safe: whatever rests on it is itself an entry, which stands
//! behind the batch and is acknowledged after it.

use super::{clocks::Clocks, index::Indexed, own::Means};
use api::Event;
use base::{Millis, Refusal, Rule};
use ledger::{Admission, Admitted};
use plant::Plant;
use proof::{
    entry::Entry,
    log::{LogSigner, SignedCheckpoint},
};
use std::{
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::Instant,
};
use tokio::sync::broadcast;

/// The plant as the site knows it.
#[derive(Clone)]
pub struct Shared(Arc<RwLock<Plant>>);

impl Shared {
    /// Shares a plant.
    pub fn new(plant: Plant) -> Self {
        Self(Arc::new(RwLock::new(plant)))
    }

    /// Reads the plant; keep it short, the sequencer waits.
    pub fn read(&self) -> RwLockReadGuard<'_, Plant> {
        // A plant is only ever changed by `apply`, which cannot panic halfway.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Admits entries and announces them once they are durable.
pub struct Fold {
    plant: Shared,
    index: Indexed,
    clocks: Arc<Clocks>,
    means: Means,
    /// The log's key in force after what was admitted.
    signer: Arc<LogSigner>,
    pending: Vec<Event>,
    events: broadcast::Sender<Event>,
}

impl Fold {
    /// Admits onto `plant` and `index` while `clocks` agree, announcing to `events`. The
    /// log is signed with `signer` until a change that `means` allow replaces it.
    pub fn new(
        plant: Shared,
        index: Indexed,
        clocks: Arc<Clocks>,
        means: Means,
        signer: Arc<LogSigner>,
        events: broadcast::Sender<Event>,
    ) -> Self {
        Self { plant, index, clocks, means, signer, pending: Vec::new(), events }
    }
}

impl Admission for Fold {
    fn admit(&mut self, index: u64, logged_at: Millis, bytes: &[u8]) -> Result<Admitted, Refusal> {
        let unreadable = |reason: String| Refusal {
            who: "the sender".into(),
            what: "an entry on the ledger".into(),
            rule: Rule::Format,
            reason,
            accepted: "a canonical entry (RFC 8785)".into(),
        };
        let entry = Entry::parse(bytes).map_err(|e| unreadable(e.to_string()))?;
        let id = entry.id().map_err(|e| unreadable(e.to_string()))?;
        let (admitted, ready) = {
            let plant = self.plant.read();
            if let Some((index, logged_at)) = plant.logged(&id) {
                return Ok(Admitted::Known { index, logged_at });
            }
            self.clocks.check(node::now(), Instant::now())?;
            let verified = plant.verify(entry)?;
            let admitted = plant.admit(verified, logged_at)?;
            let keys = plant.keys_in(admitted.body());
            let ready = keys.map(|keys| self.means.ready(keys)).transpose()?.flatten();
            (admitted, ready)
        };
        let leaf = admitted.leaf();
        let bytes = leaf.bytes().map_err(|e| unreadable(e.to_string()))?;
        let statement = leaf.entry.statement;
        let body = admitted.body().clone();
        let mut plant = self.plant.0.write().unwrap_or_else(PoisonError::into_inner);
        let rotations = plant.rotations.len();
        plant.apply(admitted);
        if let Some(ready) = ready.filter(|_| plant.rotations.len() > rotations) {
            self.signer = ready;
        }
        self.index.add(&plant, &id, &statement.issuer, &body);
        drop(plant);
        self.pending.push(Event {
            index,
            id,
            issuer: statement.issuer,
            logged_at,
            body: statement.body,
        });
        Ok(Admitted::New { leaf: bytes })
    }

    fn last_logged_at(&self) -> Millis {
        self.plant.read().logged_at
    }

    fn signer(&self) -> Option<Arc<LogSigner>> {
        Some(self.signer.clone())
    }

    fn durable(&mut self, _: &SignedCheckpoint) {
        for event in self.pending.drain(..) {
            // Nobody may be listening.
            let _ = self.events.send(event);
        }
    }
}
