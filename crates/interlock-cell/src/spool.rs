//! Recordings on the cell's own disk: sealed before they touch it, kept until the
//! site's vault has them.
//!
//! ```text
//! spool/store/               ciphertext, addressed by content
//! spool/keys/                data keys, wrapped under the cell's master key
//! spool/NAME.checkpoints     signed checkpoints, one JSON line each
//! ```
//!
//! A [`Tape`] is one stream being recorded. Plaintext lives in memory only. When
//! the vault has a recording its key is destroyed here, so that a stolen cell
//! gives away no more than the last run that was not delivered. What has no key is
//! no good to anybody: [`Spool::tidy`] takes its ciphertext and checkpoints away.

use crate::files::{self, Synced};
use anyhow::Context;
use base::{Id, Millis};
use capture::{
    About, ImageMessage, ImageRecorder, Journal, RecordError, StateRecorder, StateSample,
};
use proof::{
    keys::Signer,
    recording::{Checkpoints, Manifest, Sealing, Signed, SignedManifest},
};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    str::from_utf8,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use vault::{
    Cid,
    keys::{KeyError, KeyVault},
    record::Recorder,
    seal::{KeyCommitment, SEGMENT, StreamHeader, StreamKey},
    store::{OsDisk, Store},
};

/// Bytes of one pack. Space comes back by whole packs, and the newest stays.
const PACK_BYTES: u64 = 64 << 20;
/// How a file of checkpoints ends.
const CHECKPOINTS: &str = "checkpoints";

/// Random bytes from the operating system.
pub fn random(out: &mut [u8]) -> io::Result<()> {
    aws_lc_rs::rand::fill(out).map_err(|_| io::Error::other("the random source failed"))
}

/// The spool.
pub struct Spool {
    dir: PathBuf,
    /// The ciphertext.
    pub store: Arc<Store>,
    /// The data keys.
    pub keys: KeyVault,
    /// Streams being recorded.
    taping: Taping,
}

/// Counts the streams being recorded. Until a stream is ended its blocks belong to
/// no recording, and would be taken for rubbish.
#[derive(Clone, Default)]
struct Taping(Arc<Mutex<usize>>);

impl Taping {
    fn count(&self) -> MutexGuard<'_, usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more, until the guard is dropped.
    fn begin(&self) -> Guard {
        *self.count() += 1;
        Guard(self.clone())
    }
}

struct Guard(Taping);

impl Drop for Guard {
    fn drop(&mut self) {
        *self.0.count() -= 1;
    }
}

impl Spool {
    /// Opens or makes the spool in a folder.
    pub fn open(dir: &Path) -> anyhow::Result<Self> {
        let spool = Self::with_packs(dir, PACK_BYTES)?;
        spool.tidy();
        Ok(spool)
    }

    fn with_packs(dir: &Path, bytes: u64) -> anyhow::Result<Self> {
        let store = Store::open_on(Arc::new(OsDisk), dir.join("store"), bytes)?;
        let keys = KeyVault::open(dir.join("keys"), random)?;
        Ok(Self { dir: dir.into(), store: Arc::new(store), keys, taping: Taping::default() })
    }

    /// The signed checkpoints of a recording.
    pub fn checkpoints(&self, recording: &Id) -> PathBuf {
        self.dir.join(format!("{recording}.{CHECKPOINTS}"))
    }

    /// Destroys a recording's key; one that is gone already is fine.
    pub fn forget(&self, recording: &Id) -> Result<(), KeyError> {
        match self.keys.shred(recording) {
            Err(KeyError::Absent(_)) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes away what is left of recordings without a key and gives their space
    /// back. It waits for another time when a stream is being recorded; a failure is
    /// only logged, since the next time may do better.
    pub fn tidy(&self) {
        match self.sweep() {
            Ok(0) => {}
            Ok(bytes) => tracing::info!(bytes, "space of delivered recordings was given back"),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the spool was not tidied");
            }
        }
    }

    fn sweep(&self) -> anyhow::Result<u64> {
        // Held to the end, so that no stream starts meanwhile.
        let taping = self.taping.count();
        if *taping > 0 {
            return Ok(0);
        }
        let keyed: BTreeSet<Id> = self.keys.list()?.into_iter().collect();
        let delivered = |name: &str| name.parse().is_ok_and(|name: Id| !keyed.contains(&name));
        for root in self.store.roots() {
            if from_utf8(&root.metadata).is_ok_and(delivered) {
                self.store.remove(&root.cid)?;
            }
        }
        for file in fs::read_dir(&self.dir)? {
            let path = file?.path();
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            if path.extension().is_some_and(|end| end == CHECKPOINTS) && delivered(name) {
                files::remove(&path)?;
            }
        }
        Ok(self.store.reclaim()?)
    }
}

/// A kind of stream: how its messages are written.
pub trait Medium: Sized {
    /// One message.
    type Message;
    /// Starts the file.
    fn start(sink: Recorder, about: &About) -> Result<Self, RecordError>;
    /// Writes a message.
    fn put(&mut self, message: &Self::Message) -> Result<(), RecordError>;
    /// How many messages were written.
    fn count(&self) -> u64;
    /// The leaves stored after the first `after`.
    fn leaves(&self, after: u64) -> Vec<Cid>;
    /// Ends the file.
    fn end(self) -> Result<Recorder, RecordError>;
}

macro_rules! medium {
    ($recorder:ident, $message:ty) => {
        impl Medium for $recorder<Recorder> {
            type Message = $message;
            fn start(sink: Recorder, about: &About) -> Result<Self, RecordError> {
                Self::start(sink, about)
            }
            fn put(&mut self, message: &$message) -> Result<(), RecordError> {
                self.write(message)
            }
            fn count(&self) -> u64 {
                self.samples()
            }
            fn leaves(&self, after: u64) -> Vec<Cid> {
                let after = usize::try_from(after).unwrap_or(usize::MAX);
                self.with_sink(|sink| sink.leaves().iter().skip(after).copied().collect())
            }
            fn end(self) -> Result<Recorder, RecordError> {
                self.finish()
            }
        }
    };
}

medium!(StateRecorder, StateSample);
medium!(ImageRecorder, ImageMessage);

/// What a stream is.
#[derive(Clone)]
pub struct Label {
    /// Recording, run, order, cell and robot.
    pub about: About,
    /// `state` or `camera`.
    pub stream: Id,
    /// The cameras, for a stream of images.
    pub cameras: Vec<Id>,
}

/// A stream being recorded.
pub struct Tape<M> {
    label: Label,
    medium: M,
    journal: Journal<Synced>,
    signer: Arc<dyn Signer>,
    commitment: KeyCommitment,
    started: Millis,
    last: Millis,
    _taping: Guard,
}

impl<M: Medium> Tape<M> {
    /// Starts a stream under a fresh key.
    pub fn start(
        spool: &Spool,
        signer: Arc<dyn Signer>,
        label: Label,
        now: Millis,
    ) -> anyhow::Result<Self> {
        let taping = spool.taping.begin();
        let recording = &label.about.recording;
        // A start that failed before the order was used leaves a key behind.
        spool.forget(recording)?;
        let key = StreamKey::generate(random)?;
        let mut nonce = [0; 12];
        random(&mut nonce)?;
        spool.keys.keep(recording, &key, nonce)?;
        let header = StreamHeader::generate(random)?;
        let associated = recording.as_str().as_bytes();
        let sink = Recorder::start(spool.store.clone(), &key, header, associated)?;
        let log = Synced::create(&spool.checkpoints(recording))?;
        let state = Checkpoints::new(recording.clone(), label.about.order, now);
        Ok(Self {
            medium: M::start(sink, &label.about)?,
            journal: Journal::new(state, signer.clone(), log),
            label,
            signer,
            commitment: key.commitment(),
            started: now,
            last: now,
            _taping: taping,
        })
    }

    /// Records a message taken at a time of the host's clock.
    pub fn write(&mut self, message: &M::Message, at: Millis) -> anyhow::Result<()> {
        self.medium.put(message)?;
        self.journal.sample(at);
        self.last = self.last.max(at);
        Ok(())
    }

    /// How many messages were recorded.
    pub fn samples(&self) -> u64 {
        self.medium.count()
    }

    /// Signs a checkpoint when one is due.
    pub fn tick(&mut self, now: Millis) -> anyhow::Result<()> {
        for cid in self.medium.leaves(self.journal.leaves()) {
            self.journal.leaf(&cid.to_bytes(), SEGMENT as u64);
        }
        self.journal.tick(now)?;
        Ok(())
    }

    /// Ends the stream: pins it, signs its last checkpoint and its manifest.
    /// `gaps` counts what the source announced and did not deliver.
    pub fn finish(mut self, now: Millis, gaps: u64) -> anyhow::Result<SignedManifest> {
        let about = self.label.about;
        let samples = self.medium.count();
        let sink = self.medium.end()?;
        let name = about.recording.as_str().as_bytes().to_vec();
        let recorded = sink.finish(|_| name).context("a recording was not stored")?;
        let fed = usize::try_from(self.journal.leaves()).unwrap_or(usize::MAX);
        for cid in recorded.leaves.iter().skip(fed) {
            self.journal.leaf(&cid.to_bytes(), SEGMENT as u64);
        }
        let last = self.journal.finish()?;
        let manifest = Manifest {
            recording: about.recording.clone(),
            run: about.run,
            order: about.order,
            stream: self.label.stream,
            media_type: "application/mcap".to_owned(),
            cell: about.cell,
            robot: about.robot,
            cameras: self.label.cameras,
            root_cid: recorded.root.cid.to_string(),
            leaves: last.claim.leaves,
            leaves_root: last.claim.root,
            plaintext_bytes: recorded.plaintext,
            ciphertext_bytes: recorded.root.size,
            sealing: Sealing {
                template: "AES256_GCM_HKDF_1MB".to_owned(),
                segment_bytes: SEGMENT as u32,
                associated_data: about.recording.to_string(),
                key_commitment: self.commitment.0,
            },
            started: self.started,
            ended: now.max(self.last),
            samples,
            gaps,
            last_checkpoint: last.digest()?,
        };
        Ok(Signed::new(manifest, &*self.signer)?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use base::Digest;
    use capture::{Encoding, Image};
    use proof::keys::SecretKey;

    fn id(text: &str) -> Id {
        text.parse().unwrap()
    }

    fn start(spool: &Spool, recording: &str) -> Tape<ImageRecorder<Recorder>> {
        let about = About {
            recording: id(recording),
            run: id("run"),
            order: Digest([1; 32]),
            cell: id("cell-1"),
            robot: id("ur3e-1"),
        };
        let label = Label { about, stream: id("camera"), cameras: vec![id("wrist")] };
        let signer = Arc::new(SecretKey::from_seed(&[7; 32]).unwrap());
        Tape::start(spool, signer, label, Millis(1)).unwrap()
    }

    /// Some megabytes of pictures.
    fn record(tape: &mut Tape<ImageRecorder<Recorder>>) {
        for viewpoint in 1..=5 {
            let bytes = vec![viewpoint as u8; 1 << 20];
            let image = Image { bytes, encoding: Encoding::Png, width: 1, height: 1, host_ns: 0 };
            let message = ImageMessage {
                camera: id("wrist"),
                part: id("part-1"),
                viewpoint,
                pose: [0.0; 6],
                seq: 0,
                controller_ns: 0,
                image,
            };
            tape.write(&message, Millis(2)).unwrap();
        }
    }

    fn recorded(spool: &Spool, recording: &str) -> Cid {
        let mut tape = start(spool, recording);
        record(&mut tape);
        let manifest = tape.finish(Millis(3), 0).unwrap();
        vault::address::parse_cid(&manifest.claim.root_cid).unwrap()
    }

    /// Bytes of ciphertext on the disk.
    fn packed(dir: &Path) -> u64 {
        let packs = fs::read_dir(dir.join("store/packs")).unwrap();
        packs.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    }

    #[test]
    fn what_was_delivered_leaves_the_disk_and_what_waits_stays() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::with_packs(dir.path(), 2 << 20).unwrap();
        let (gone, waits) = (recorded(&spool, "a-camera"), recorded(&spool, "b-camera"));
        assert_eq!(spool.sweep().unwrap(), 0, "both have their keys");
        let full = packed(dir.path());
        assert!(full > 10 << 20, "{full}");

        spool.forget(&id("a-camera")).unwrap();
        let freed = spool.sweep().unwrap();
        assert!(freed >= 4 << 20, "{freed}");
        assert!(packed(dir.path()) <= full - (4 << 20));
        assert!(!spool.checkpoints(&id("a-camera")).exists());
        assert!(spool.checkpoints(&id("b-camera")).exists());
        assert!(spool.store.root(&gone).unwrap().gone);
        drop(spool);
        // The other is whole, also after a restart.
        let spool = Spool::with_packs(dir.path(), 2 << 20).unwrap();
        assert!(spool.keys.get(&id("b-camera")).is_ok());
        assert!(!spool.store.root(&waits).unwrap().gone);
        assert!(spool.store.missing(&waits, 10).unwrap().is_empty());
    }

    #[test]
    fn nothing_is_taken_from_a_stream_being_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::with_packs(dir.path(), 2 << 20).unwrap();
        let delivered = recorded(&spool, "a-camera");
        spool.forget(&id("a-camera")).unwrap();
        let mut tape = start(&spool, "b-camera");
        record(&mut tape);
        assert_eq!(spool.sweep().unwrap(), 0, "its blocks belong to no recording yet");
        assert!(!spool.store.root(&delivered).unwrap().gone);
        let manifest = tape.finish(Millis(3), 0).unwrap();
        assert!(spool.sweep().unwrap() > 0, "it is over");
        let root = vault::address::parse_cid(&manifest.claim.root_cid).unwrap();
        assert!(spool.store.missing(&root, 10).unwrap().is_empty());
        // A stream that is given up counts no longer.
        drop(start(&spool, "c-camera"));
        spool.forget(&id("b-camera")).unwrap();
        spool.sweep().unwrap();
        assert!(spool.store.root(&root).unwrap().gone);
    }

    #[test]
    fn a_crash_after_the_key_was_destroyed_is_made_good_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path()).unwrap();
        let root = recorded(&spool, "a-camera");
        spool.forget(&id("a-camera")).unwrap();
        drop(spool);
        let spool = Spool::open(dir.path()).unwrap();
        assert!(spool.store.root(&root).unwrap().gone);
        assert!(!spool.checkpoints(&id("a-camera")).exists());
    }
}
