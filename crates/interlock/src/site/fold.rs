//! The plant's fold as the sequencer's admission.
//!
//! The shared plant may be ahead of the disk by the batch that is being
//! committed. That is safe: whatever rests on it is itself an entry, which stands
//! behind the batch and is acknowledged after it.

use super::{clocks::Clocks, index::Indexed, own::Means, room::Room};
use api::Event;
use base::{CanonicalError, Digest, Millis, Refusal, Rule};
use ledger::{Admission, Admitted};
use plant::Plant;
use proof::{
    entry::{Entry, VerifiedEntry},
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

/// An entry on its way to the sequencer: parsed, and verified where its key is known.
/// That is done on whichever core has time, so that the sequencer's one thread need
/// not.
pub enum Checked {
    /// Its signature is that of a key that counted when it was verified. Whether the
    /// key still counts is seen at admission.
    Verified(Box<VerifiedEntry>),
    /// Its key is not known, and may be by an entry that waits before it. It is
    /// verified, or refused, at admission.
    Unknown {
        /// The entry.
        entry: Box<Entry>,
        /// Its identifier.
        id: Digest,
        /// Its length, in bytes.
        bytes: usize,
    },
}

impl Checked {
    /// Verifies an entry under the issuer's key, without holding up who changes the
    /// plant meanwhile.
    ///
    /// # Errors
    /// It is too long or holds what no entry may, or its signature does not verify.
    pub fn of(plant: &Shared, entry: &Entry) -> Result<Self, Unfit> {
        let key = plant.read().key_of(&entry.statement).cloned();
        let Ok(key) = key else {
            let (id, bytes) = (entry.id()?, entry.bytes()?.len());
            return Ok(Self::Unknown { entry: Box::new(entry.clone()), id, bytes });
        };
        // To verify is to write the bytes, which are kept. Only what is refused is
        // written again, to tell an entry without a form from one without a signature.
        match plant::verify_under(entry.clone(), &key) {
            Ok(verified) => Ok(Self::Verified(Box::new(verified))),
            Err(refusal) => Err(entry.bytes().err().map_or(Unfit::Refused(refusal), Unfit::Form)),
        }
    }

    /// The entry's identifier.
    pub fn id(&self) -> Digest {
        match self {
            Self::Verified(verified) => verified.id(),
            Self::Unknown { id, .. } => *id,
        }
    }
}

impl ledger::Request for Checked {
    fn bytes(&self) -> usize {
        match self {
            Self::Verified(verified) => verified.bytes().len(),
            Self::Unknown { bytes, .. } => *bytes,
        }
    }
}

/// Why an entry does not reach the sequencer.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It has no canonical bytes.
    #[error(transparent)]
    Form(#[from] CanonicalError),
    /// Its signature does not verify.
    #[error(transparent)]
    Refused(Refusal),
}

/// Admits entries and announces them once they are durable.
pub struct Fold {
    plant: Shared,
    index: Indexed,
    clocks: Arc<Clocks>,
    room: Arc<Room>,
    means: Means,
    /// The log's key in force after what was admitted.
    signer: Arc<LogSigner>,
    pending: Vec<Event>,
    events: broadcast::Sender<Event>,
}

impl Fold {
    /// Admits onto `plant` and `index` while `clocks` agree and there is `room`,
    /// announcing to `events`. The log is signed with `signer` until a change that
    /// `means` allow replaces it.
    pub fn new(
        plant: Shared,
        index: Indexed,
        clocks: Arc<Clocks>,
        room: Arc<Room>,
        means: Means,
        signer: Arc<LogSigner>,
        events: broadcast::Sender<Event>,
    ) -> Self {
        Self { plant, index, clocks, room, means, signer, pending: Vec::new(), events }
    }
}

impl Admission for Fold {
    type Request = Checked;

    fn admit(
        &mut self,
        index: u64,
        logged_at: Millis,
        entry: Checked,
    ) -> Result<Admitted, Refusal> {
        let id = entry.id();
        let (admitted, ready) = {
            let plant = self.plant.read();
            if let Some((index, logged_at)) = plant.logged(&id) {
                return Ok(Admitted::Known { index, logged_at });
            }
            self.clocks.check(node::now(), Instant::now())?;
            self.room.for_entry()?;
            let verified = match entry {
                Checked::Verified(verified) => *verified,
                Checked::Unknown { entry, .. } => plant.verify(*entry)?,
            };
            let admitted = plant.admit(verified, logged_at)?;
            let keys = plant.keys_in(admitted.body());
            let ready = keys.map(|keys| self.means.ready(keys)).transpose()?.flatten();
            (admitted, ready)
        };
        let leaf = admitted.leaf().map_err(|e| Refusal {
            who: "the sender".into(),
            what: "an entry on the ledger".into(),
            rule: Rule::Format,
            reason: e.to_string(),
            accepted: "a shorter entry".into(),
        })?;
        let (issuer, stated) =
            (admitted.statement().issuer.clone(), admitted.statement().body.clone());
        let body = admitted.body().clone();
        let mut plant = self.plant.0.write().unwrap_or_else(PoisonError::into_inner);
        let rotations = plant.rotations.len();
        plant.apply(admitted);
        if let Some(ready) = ready.filter(|_| plant.rotations.len() > rotations) {
            self.signer = ready;
        }
        self.index.add(&plant, &id, &issuer, &body);
        drop(plant);
        self.pending.push(Event { index, id, issuer, logged_at, body: stated });
        Ok(Admitted::New { leaf })
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

#[cfg(test)]
#[path = "../../../plant/tests/common/mod.rs"]
mod world;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::{world::*, *};
    use ledger::{AppendError, Limits, RealFs, Sequencer, Store};
    use plant::{Body, body::Approve, body::Change};
    use policy::Role;
    use proof::log::LogSigner;
    use std::time::Duration;

    fn signed(world: &World, by: &str, nonce: u64, body: &Body) -> Entry {
        sign(statement(by, by, world.now, nonce, body), &key(by))
    }

    /// The site's fold behind a real sequencer, on the log of a small plant.
    fn sequencer(dir: &std::path::Path, world: &World) -> (Sequencer<Checked>, Shared) {
        let signer = Arc::new(LogSigner::new(ORIGIN, Arc::new(key("log"))).unwrap());
        Store::create(&RealFs, dir, &signer).unwrap();
        let mut store = Store::open(Arc::new(RealFs), dir, signer.clone()).unwrap();
        store.commit(&world.leaves).unwrap();
        let plant = Shared::new(world.plant.clone());
        let clocks = Arc::new(Clocks::new(SKEW, 1, Duration::from_secs(1)));
        let (events, _) = broadcast::channel(16);
        let room = Arc::new(Room::of(dir.to_owned()));
        let site: base::Id = "plant".parse().unwrap();
        let days = transport::Validity::days(world.now, 30);
        let authority = transport::Authority::new(&site, days).unwrap();
        let own = authority.issue(&site, &[], days).unwrap();
        let means = Means {
            dir: dir.to_owned(),
            origin: ORIGIN.into(),
            witnesses: Vec::new(),
            own: transport::Identity::from_pem(&own.cert_pem, &own.key_pem).unwrap(),
            site,
        };
        let index = Indexed::default();
        let fold = Fold::new(plant.clone(), index, clocks, room, means, signer, events);
        let now = world.now;
        let clock = Arc::new(move || now);
        (Sequencer::start(store, Box::new(fold), clock, Limits::default()), plant)
    }

    #[tokio::test]
    async fn what_was_verified_before_the_queue_is_judged_by_the_plant_behind_it() {
        let (dir, mut world) = (tempfile::tempdir().unwrap(), World::new());
        let eve = Change::Member(member("eve", &[Role::Operator]));
        let proposal = world.by("olga", Body::Propose(eve));
        let (log, plant) = sequencer(dir.path(), &world);
        let checked =
            |by, nonce, body: &Body| Checked::of(&plant, &signed(&world, by, nonce, body)).unwrap();

        // Verified while nobody knew her key, and behind the entry that enrols her.
        let approve = checked("omar", 901, &Body::Approve(Approve { proposal }));
        let hers = checked("eve", 902, &hold(None));
        assert!(matches!((&approve, &hers), (Checked::Verified(_), Checked::Unknown { .. })));
        let (first, second) = tokio::join!(log.append(approve), log.append(hers));
        assert_eq!(second.unwrap().index, first.unwrap().index + 1);
        let nobody = checked("mallory", 903, &hold(None));
        let refused = log.append(nobody).await;
        assert!(matches!(refused, Err(AppendError::Refused(r)) if r.rule == Rule::Enrolment));

        // Verified while her key counted, and behind its revocation.
        let revoke = checked("olga", 904, &revoke("eve", "eve"));
        let (hers, again) = (checked("eve", 905, &hold(None)), checked("eve", 902, &hold(None)));
        assert!(matches!(&hers, Checked::Verified(_)));
        let (revoked, hers) = tokio::join!(log.append(revoke), log.append(hers));
        assert!(revoked.is_ok());
        let Err(AppendError::Refused(refusal)) = hers else { panic!("{hers:?}") };
        assert_eq!(refusal.rule, Rule::Enrolment, "{refusal}");
        // What stands on the ledger stays known, as before.
        assert!(log.append(again).await.unwrap().known);
        assert!(log.append(checked("eve", 902, &hold(None))).await.unwrap().known);

        let mut forged = signed(&world, "ada", 906, &hold(None));
        forged.statement.nonce.0[0] ^= 1;
        let unfit = Checked::of(&plant, &forged).err().unwrap();
        assert!(matches!(unfit, Unfit::Refused(r) if r.rule == Rule::Signature));
        // Too long is no matter of signatures, whoever signs.
        for by in ["ada", "mallory"] {
            let mut long = signed(&world, by, 907, &hold(None));
            long.statement.body = "a".repeat(base::MAX_CANONICAL_BYTES).into();
            let unfit = Checked::of(&plant, &long).err().unwrap();
            assert!(matches!(unfit, Unfit::Form(CanonicalError::TooLong(_))), "{by}: {unfit}");
        }
        log.close().await;
        // The leaves fold to the same plant, by somebody who has nothing else.
        let reader = log.reader();
        let size = plant.read().size;
        let mut folded = plant::Plant::begin(&proof::entry::Leaf::parse(&world.leaves[0]).unwrap());
        for leaf in reader.read_entries(1..size, size).unwrap() {
            folded.as_mut().unwrap().append(&leaf).unwrap();
        }
        assert!(*plant.read() == folded.unwrap());
    }
}
