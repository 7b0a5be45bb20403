//! A witness with its disk: what it has cosigned is durable before the cosignature
//! leaves, and one request is decided at a time.
//!
//! Each log has a small state in two files ([`Pair`]), named by the SHA-256 of its origin. If the folder is
//! lost the witness must get a new key: an empty one would cosign any history.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base::{Millis, sha256};
use proof::log::{AddCheckpoint, WitnessCore, WitnessRefusal, WitnessState};
use std::collections::{BTreeMap, btree_map::Entry};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::fs::{At, FileError, Fs};
use crate::pair::Pair;
use crate::sequencer::Clock;

/// A witness's key, logs and disk.
pub struct WitnessStore {
    core: WitnessCore,
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    clock: Clock,
    /// What was cosigned last of each log; held until the new state is durable.
    states: Mutex<BTreeMap<String, Pair>>,
    _lock: Box<dyn Send + Sync>,
}

/// Why a witness gives no cosignature.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The request is refused.
    #[error(transparent)]
    Refused(#[from] WitnessRefusal),
    /// The disk failed; nothing was cosigned.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is stored of a log does not parse; nothing is cosigned any more.
    #[error("the state in `{0}` is damaged: {1}")]
    Damaged(PathBuf, String),
}

impl WitnessStore {
    /// Opens the folder of a witness, or makes it; another process must not have it
    /// open.
    pub fn open(
        fs: Arc<dyn Fs>,
        dir: &Path,
        core: WitnessCore,
        clock: Clock,
    ) -> Result<Self, FileError> {
        fs.create_dirs(dir).at("create", dir)?;
        let path = dir.join("lock");
        let lock = fs.lock(&path).at("lock", &path)?;
        Ok(Self { core, fs, dir: dir.to_owned(), clock, states: Mutex::default(), _lock: lock })
    }

    /// The witness's key and logs.
    pub fn core(&self) -> &WitnessCore {
        &self.core
    }

    /// Decides on an `add-checkpoint` body; returns the signature line once the new
    /// state is durable.
    pub fn add_checkpoint(&self, body: &[u8]) -> Result<String, WitnessError> {
        let request = AddCheckpoint::parse(body)?;
        let origin = request.origin()?;
        if !self.core.knows(&origin) {
            return Err(WitnessRefusal::UnknownLog(origin).into());
        }
        // A poisoned lock is fine: a state that was not wholly written is not in it.
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = match states.entry(origin.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Pair::open(self.fs.clone(), &self.path(&origin))?),
        };
        let state = self.read(&origin, pair)?;
        let Millis(now) = (self.clock)();
        let cosigned = self.core.decide(&request, &state, now / 1000)?;
        if cosigned.state != state {
            let text = serde_json::to_vec(&cosigned.state)
                .map_err(|error| WitnessError::Damaged(self.path(&origin), error.to_string()))?;
            if let Err(error) = pair.write(&text) {
                // It is opened again, which finds out what the disk has.
                states.remove(&origin);
                return Err(error.into());
            }
        }
        Ok(cosigned.line)
    }

    /// What was cosigned last of a log.
    pub fn state(&self, origin: &str) -> Result<WitnessState, WitnessError> {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        match states.get(origin) {
            Some(pair) => self.read(origin, pair),
            None => self.read(origin, &Pair::open(self.fs.clone(), &self.path(origin))?),
        }
    }

    fn read(&self, origin: &str, pair: &Pair) -> Result<WitnessState, WitnessError> {
        let Some(text) = pair.value() else { return Ok(WitnessState::default()) };
        serde_json::from_slice(text)
            .map_err(|error| WitnessError::Damaged(self.path(origin), error.to_string()))
    }

    fn path(&self, origin: &str) -> PathBuf {
        self.dir.join(format!("{}.json", sha256(origin.as_bytes())))
    }
}

/// The routes of a witness: `POST /add-checkpoint` (C2SP tlog-witness).
pub fn witness_router(witness: Arc<WitnessStore>) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .layer(DefaultBodyLimit::max(AddCheckpoint::MAX_BYTES))
        .with_state(witness)
}

async fn add_checkpoint(State(witness): State<Arc<WitnessStore>>, body: Bytes) -> Response {
    let decided = tokio::task::spawn_blocking(move || witness.add_checkpoint(&body)).await;
    match decided {
        Ok(Ok(line)) => line.into_response(),
        Ok(Err(WitnessError::Refused(WitnessRefusal::Conflict(size)))) => {
            let headers = [(CONTENT_TYPE, "text/x.tlog.size")];
            (StatusCode::CONFLICT, headers, format!("{size}\n")).into_response()
        }
        Ok(Err(WitnessError::Refused(refusal))) => {
            let status = StatusCode::from_u16(refusal.status());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, format!("{refusal}\n")).into_response()
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "cannot cosign");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
