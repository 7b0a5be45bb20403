//! The trained classifier of blobs, with where it comes from.

use super::board::FEATURES;
use super::boost::Forest;
use super::report::Kind;
use base::{Digest, sha256};
use serde::{Deserialize, Serialize};

/// What a blob can be, in the order of the forest's classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// No defect: what alignment, etching and light leave.
    Nothing,
    /// Touches no figure: spurious copper or a pin-hole.
    Island,
    /// Touches figure on one side: a spur or a mousebite.
    Edge,
    /// Joins figure across ground: a short or an open.
    Bridge,
}

impl Class {
    /// All, in the order of the forest's classes.
    pub const ALL: [Self; 4] = [Self::Nothing, Self::Island, Self::Edge, Self::Bridge];

    /// The kind of defect it is where conductor was added, or removed.
    pub fn kind(self, added: bool) -> Option<Kind> {
        match (self, added) {
            (Self::Nothing, _) => None,
            (Self::Island, true) => Some(Kind::SpuriousCopper),
            (Self::Island, false) => Some(Kind::PinHole),
            (Self::Edge, true) => Some(Kind::Spur),
            (Self::Edge, false) => Some(Kind::Mousebite),
            (Self::Bridge, true) => Some(Kind::Short),
            (Self::Bridge, false) => Some(Kind::Open),
        }
    }

    /// The class whose kind this is, and whether conductor was added.
    pub fn of(kind: Kind) -> Option<(Self, bool)> {
        Self::ALL
            .iter()
            .flat_map(|&c| [(c, true), (c, false)])
            .find(|&(c, added)| c.kind(added) == Some(kind))
    }
}

/// Where a model comes from; written into its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The data set's name and origin.
    pub data_set: String,
    /// Its licence.
    pub licence: String,
    /// The designs that were trained on: the first five digits of file names.
    pub boards: Vec<String>,
    /// The first eight digits of the SHA-256 of every photograph trained on.
    pub photographs: Vec<String>,
    /// How many blobs, and how many of each class.
    pub samples: usize,
    /// See [`Self::samples`].
    pub by_class: Vec<usize>,
    /// How the trees were grown. Training makes no random choice: no seed.
    pub growth: super::Growth,
}

/// A classifier of blobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Where it comes from.
    pub provenance: Provenance,
    features: Vec<String>,
    forest: Forest,
    #[serde(skip, default = "nothing")]
    digest: Digest,
}

fn nothing() -> Digest {
    sha256(b"")
}

/// A model that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Not a model file.
    #[error("not a model of blobs ({0}): a file written by `train_blobs` is expected")]
    Format(String),
    /// Made for other measurements.
    #[error("the model measures {found}, this program {expected}: train it again")]
    Features {
        /// What the file names.
        found: String,
        /// What this program measures.
        expected: String,
    },
}

impl Model {
    /// Reads a model file.
    ///
    /// # Errors
    /// When it is damaged or was made for other measurements.
    pub fn read(text: &str) -> Result<Self, ModelError> {
        let mut model: Self =
            serde_json::from_str(text).map_err(|e| ModelError::Format(e.to_string()))?;
        if model.features != FEATURES || model.forest.features != FEATURES.len() {
            return Err(ModelError::Features {
                found: model.features.join(", "),
                expected: FEATURES.join(", "),
            });
        }
        if model.forest.classes != Class::ALL.len() {
            let n = model.forest.classes;
            return Err(ModelError::Format(format!("{n} classes instead of {}", Class::ALL.len())));
        }
        model.forest.check().map_err(ModelError::Format)?;
        model.digest = sha256(text.as_bytes());
        Ok(model)
    }

    /// Trains a model on measured blobs and what they are.
    pub fn train(samples: &[(Vec<f32>, Class)], provenance: Provenance) -> Self {
        let xs: Vec<Vec<f32>> = samples.iter().map(|s| s.0.clone()).collect();
        let ys: Vec<usize> = samples.iter().map(|s| s.1 as usize).collect();
        let by_class =
            Class::ALL.iter().map(|&c| samples.iter().filter(|s| s.1 == c).count()).collect();
        let forest = Forest::grow(&xs, &ys, Class::ALL.len(), &provenance.growth);
        let provenance = Provenance { samples: samples.len(), by_class, ..provenance };
        let features = FEATURES.map(str::to_owned).to_vec();
        Self { provenance, features, forest, digest: nothing() }
    }

    /// SHA-256 of the file it was read from.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The probability of each class, in the order of [`Class::ALL`].
    pub(super) fn classify(&self, features: &[f32]) -> Vec<f32> {
        self.forest.predict(features)
    }
}
