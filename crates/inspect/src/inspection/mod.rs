//! Inspection against a template: which places of a photograph differ from the good
//! part, of which kind, and how sure that is.
//!
//! The photograph is laid onto the template by one affine map and then by a field of
//! small local shifts; its brightness is fitted. Drawings in two tones (etched
//! boards) are compared by depth and every blob is named by a small reviewed
//! classifier whose file carries its provenance; grey photographs are compared
//! against their own noise and their blobs are `changed` or a `scratch`.
//!
//! Failure: a photograph that can't be laid onto its template (other framing, other
//! part, turned too far) is undetermined with the reason, never a pass. What the
//! photograph doesn't show is not judged; how much it shows is part of the finding.

mod blob;
mod board;
mod boost;
mod field;
mod finding;
mod grey;
mod mask;
mod model;
mod picture;
mod register;
mod report;
mod scene;
mod tone;

pub use boost::Growth;
pub use model::{Class, Model, ModelError, Provenance};
pub use picture::colour;
pub use report::{Alignment, Area, CompareError, Comparison, Defect, Kind, Mode, Polarity};

use crate::Plane;
use blob::Blob;
use scene::{Scene, Sight};
use serde::Serialize;

/// The fewest pixels a side may have here.
pub const MIN_SIDE: usize = 48;
/// The least correlation with the template after alignment.
pub const MIN_CORRELATION: f32 = 0.5;
/// The least share of the template a photograph must show.
pub const MIN_COVERED: f32 = 0.7;

const MODEL: &str = include_str!("../../models/blobs.json");

/// What an inspection can be told.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// The least confidence of a defect.
    pub threshold: f32,
    /// Room around each defect's box, in pixels of the template.
    pub margin: f64,
    /// Whether conductor is darker than its ground on boards.
    pub dark_conductor: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { threshold: 0.3, margin: 9.0, dark_conductor: true }
    }
}

/// The inspection of parts against a template.
#[derive(Clone, Debug)]
pub struct Inspection {
    model: Model,
    settings: Settings,
}

/// A blob with its measurements, before it is judged: what a model is trained on.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Where it is in the photograph, without room around it.
    pub place: Area,
    /// True where conductor was added.
    pub added: bool,
    /// The measurements, in the order the model's file names them.
    pub features: Vec<f32>,
}

impl Inspection {
    /// With the model that comes with this crate.
    ///
    /// # Errors
    /// When the model's file is damaged.
    pub fn new(settings: Settings) -> Result<Self, ModelError> {
        Ok(Self::with_model(Model::read(MODEL)?, settings))
    }

    /// With another model.
    pub fn with_model(model: Model, settings: Settings) -> Self {
        Self { model, settings }
    }

    /// The model in use.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What it was told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Compares one photograph with its template.
    ///
    /// # Errors
    /// When the photograph can't be laid onto the template.
    pub fn compare(
        &self,
        template: &Plane,
        photograph: &Plane,
    ) -> Result<Comparison, CompareError> {
        let scene = Scene::new(template, photograph, &self.settings)?;
        Ok(self.judge(&scene))
    }

    /// The blobs of a board and their measurements, before any model; none for grey
    /// photographs.
    ///
    /// # Errors
    /// When the photograph can't be laid onto the template.
    pub fn candidates(
        template: &Plane,
        photograph: &Plane,
        settings: &Settings,
    ) -> Result<Vec<Candidate>, CompareError> {
        let scene = Scene::new(template, photograph, settings)?;
        let Sight::Board(board) = &scene.sight else {
            return Ok(Vec::new());
        };
        let candidate = |blob: Blob| Candidate {
            place: scene.place(blob.bounds, 0.0),
            added: blob.added,
            features: board.features(&blob, template, &scene.aligned),
        };
        Ok(board.blobs().into_iter().map(candidate).collect())
    }

    fn judge(&self, scene: &Scene) -> Comparison {
        let mut found: Vec<(Blob, Kind, f32)> = match &scene.sight {
            Sight::Board(board) => board
                .blobs()
                .into_iter()
                .filter_map(|blob| {
                    let features = board.features(&blob, scene.template, &scene.aligned);
                    let chances = self.model.classify(&features);
                    let (best, _) = Class::ALL
                        .iter()
                        .zip(&chances)
                        .skip(1)
                        .max_by(|a, b| a.1.total_cmp(b.1))?;
                    let confidence = 1.0 - chances.first().copied().unwrap_or(1.0);
                    let kind = best.kind(blob.added)?;
                    Some((blob, kind, confidence))
                })
                .collect(),
            Sight::Grey(grey) => grey
                .blobs()
                .into_iter()
                .map(|blob| {
                    let (length, breadth) = board::axes(&blob.pixels, scene.template.width());
                    let kind = if length > 6.0 * breadth { Kind::Scratch } else { Kind::Changed };
                    let confidence = grey.confidence(&blob);
                    (blob, kind, confidence)
                })
                .collect(),
        };
        found.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.bounds.cmp(&b.0.bounds)));
        let mode = scene.mode();
        let candidates = join(found, self.settings.margin, self.settings.threshold)
            .into_iter()
            .map(|(blob, kind, confidence)| Defect {
                kind,
                place: scene.place(blob.bounds, self.settings.margin),
                area: blob.pixels.len(),
                confidence,
                polarity: match (mode, blob.added) {
                    (Mode::Board, true) => Polarity::Added,
                    (Mode::Board, false) => Polarity::Removed,
                    (Mode::Grey, true) => Polarity::Brighter,
                    (Mode::Grey, false) => Polarity::Darker,
                },
            })
            .collect();
        Comparison { mode, alignment: scene.alignment, candidates }
    }
}

/// Joins blobs of one direction that would be framed together: pieces of one defect.
/// The surest comes first and gives the kind; doubtful ones join nothing.
fn join(found: Vec<(Blob, Kind, f32)>, margin: f64, threshold: f32) -> Vec<(Blob, Kind, f32)> {
    let area = |b: &Blob| Area::from_edges(b.bounds.map(|v| v as f64));
    let mut kept: Vec<(Blob, Kind, f32)> = Vec::new();
    for (blob, kind, confidence) in found {
        let place = area(&blob);
        let same = kept.iter_mut().find(|(k, _, _)| {
            let other = area(k);
            k.added == blob.added
                && (other.holds(place.centre(), margin) || place.holds(other.centre(), margin))
        });
        match same {
            Some((k, _, _)) if confidence >= threshold => {
                let (a, b) = (k.bounds, blob.bounds);
                k.bounds = [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])];
                k.pixels.extend(blob.pixels);
            }
            Some(_) => {}
            None => kept.push((blob, kind, confidence)),
        }
    }
    kept
}
