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
//! gives away no more than the last run that was not delivered.

use crate::files::Synced;
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
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use vault::{
    Cid,
    keys::{KeyError, KeyVault},
    record::Recorder,
    seal::{KeyCommitment, SEGMENT, StreamHeader, StreamKey},
    store::Store,
};

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
}

impl Spool {
    /// Opens or makes the spool in a folder.
    pub fn open(dir: &Path) -> anyhow::Result<Self> {
        let store = Store::open(dir.join("store"))?;
        let keys = KeyVault::open(dir.join("keys"), random)?;
        Ok(Self { dir: dir.into(), store: Arc::new(store), keys })
    }

    /// The signed checkpoints of a recording.
    pub fn checkpoints(&self, recording: &Id) -> PathBuf {
        self.dir.join(format!("{recording}.checkpoints"))
    }

    /// Destroys a recording's key; one that is gone already is fine.
    pub fn forget(&self, recording: &Id) -> Result<(), KeyError> {
        match self.keys.shred(recording) {
            Err(KeyError::Absent(_)) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
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
}

impl<M: Medium> Tape<M> {
    /// Starts a stream under a fresh key.
    pub fn start(
        spool: &Spool,
        signer: Arc<dyn Signer>,
        label: Label,
        now: Millis,
    ) -> anyhow::Result<Self> {
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
