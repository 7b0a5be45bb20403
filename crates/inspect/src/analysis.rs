//! The one trait that every analysis stands behind, and what it takes and gives.

use crate::{ImageError, Plane};
use base::{Digest, sha256};
use serde::{Deserialize, Serialize};

/// One photograph: which view of the part it shows, its pixels, and the digest
/// of the bytes they were decoded from.
#[derive(Clone, Debug)]
pub struct Photograph {
    /// Which view of the part this is. Photographs of the same view are compared
    /// with each other; one view is enough for a part seen from one side.
    pub view: String,
    /// SHA-256 of the encoded bytes.
    pub digest: Digest,
    /// Luminance in 0 (black) to 1 (white).
    pub plane: Plane,
}

impl Photograph {
    /// Decodes a PNG or JPEG photograph.
    ///
    /// # Errors
    /// When the bytes are neither, are damaged, or hold more than
    /// [`crate::MAX_PIXELS`] pixels.
    pub fn decode(view: impl Into<String>, bytes: &[u8]) -> Result<Self, ImageError> {
        Ok(Self { view: view.into(), digest: sha256(bytes), plane: Plane::decode(bytes)? })
    }
}

/// What an analysis looks at.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The photographs in question.
    pub photographs: &'a [Photograph],
    /// What they are held against: the enrolled photographs or the template.
    pub reference: &'a [Photograph],
}

/// The answer of an analysis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The part is the one that was enrolled.
    Confirmed,
    /// The part is not the one that was enrolled.
    Denied,
    /// The part agrees with its template.
    Pass,
    /// The part differs from its template.
    Fail,
    /// The photographs carry too little to decide.
    Undetermined,
    /// There was nothing to hold the part against; from now on it is the reference.
    Enrolled,
}

/// A picture that explains a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// A short file-name-like word, such as `agreement`.
    pub name: String,
    /// PNG bytes.
    pub png: Vec<u8>,
}

/// What an analysis found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The answer.
    pub verdict: Verdict,
    /// The number the answer was made from, in the analysis's own unit.
    pub score: f64,
    /// The value of [`Self::score`] at which the answer turns.
    pub threshold: f64,
    /// The analysis's own account, from a serialisable struct.
    pub details: serde_json::Value,
    /// Pictures that explain it, such as a heat map.
    pub pictures: Vec<Picture>,
}

/// Why an analysis gave no finding.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    /// There is nothing to look at, or nothing to hold it against.
    #[error("{analysis} was given no {what}: at least one is needed")]
    Missing {
        /// The analysis's id.
        analysis: &'static str,
        /// What is missing.
        what: &'static str,
    },
    /// A photograph that can't be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The finding could not be written down.
    #[error("{analysis} can't write its {what}: {reason}")]
    Output {
        /// The analysis's id.
        analysis: &'static str,
        /// What was being written.
        what: &'static str,
        /// The encoder's reason.
        reason: String,
    },
}

/// An analysis of photographs: classical ones here, learned models beside them.
pub trait Analysis: Send + Sync {
    /// A short, stable name, such as `identity`.
    fn id(&self) -> &'static str;

    /// The version and every parameter the finding depends on, as one line of
    /// text. Reports carry its digest, so equal programs give equal findings.
    fn program(&self) -> String;

    /// Looks at the photographs.
    ///
    /// # Errors
    /// When the input can't be used at all. Too little to decide is a
    /// [`Finding`] with [`Verdict::Undetermined`].
    fn analyse(&self, input: &Input) -> Result<Finding, AnalysisError>;
}
