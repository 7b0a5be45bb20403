//! Measures the inspection on a labelled folder of boards.
//!
//! Layout: `NAME_template.jpg` (the good board), `NAME_test.jpg` (the photograph) and
//! `NAME.txt`, one defect a line: `x1 y1 x2 y2 type`, types 1 open, 2 short,
//! 3 mousebite, 4 spur, 5 spurious copper, 6 pin-hole. PNG serves as well.
//!
//! A detection finds a box when its centre lies within the box grown by
//! [`SLACK`] pixels or both overlap by [`OVERLAP`] (intersection over union); surest
//! first, one detection finds one box and one box is found once. A second detection
//! in a found box is a false alarm. The same with overlap alone is reported as
//! `strict`. A photograph that can't be compared misses all of its boxes.
//!
//! Photographs that the model was trained on prove nothing about others, so when
//! there are any, `held_out` repeats the measurement with each board design judged
//! by a model trained on the other designs of the folder.

mod data;
mod plot;
mod tally;

pub use data::{Board, Labelled, read};
pub use tally::{Event, KindScores, Scores, Tally, poisson_bounds};

use super::folders::FolderError;
use crate::ImageError;
use crate::inspection::{
    Candidate, Class, Defect, Growth, Inspection, Model, ModelError, Provenance, Settings,
};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How far outside a box a detection's centre may lie, in pixels.
pub const SLACK: f64 = 5.0;
/// The least overlap of a detection with its box otherwise.
pub const OVERLAP: f64 = 0.33;

/// What an evaluation can be told.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only this many boards, in the order of their names.
    pub limit: Option<usize>,
    /// A folder for curves and example pictures; created when missing.
    pub out: Option<PathBuf>,
    /// What the inspection is told.
    pub settings: Settings,
}

/// Why a folder could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The folder isn't as expected.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The model's file is damaged.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A picture could not be drawn.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A picture could not be written.
    #[error("can't write `{path}` ({source}): a writable folder is expected")]
    Write {
        /// Where to.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `inspection`.
    pub analysis: &'static str,
    /// Photographs measured.
    pub images: usize,
    /// Those that could not be laid onto their template; their boxes count as missed.
    pub refused: Vec<String>,
    /// SHA-256 of the model's file.
    pub model: String,
    /// The confidence at which a detection counts.
    pub threshold: f32,
    /// How detections were matched with boxes.
    pub matching: String,
    /// The figures at that threshold.
    #[serde(flatten)]
    pub scores: Scores,
    /// The same figures when only overlap counts.
    pub strict: Scores,
    /// The figures of each board design.
    pub by_board: BTreeMap<String, BoardScores>,
    /// Median time to compare one photograph, decoding and drawing apart, on one
    /// thread, in milliseconds.
    pub ms_per_image: f64,
    /// How many of the photographs the model was trained on.
    pub trained_on: usize,
    /// The board designs the model was trained on.
    pub training_boards: Vec<String>,
    /// Each board design judged by a model trained on the others; absent when no
    /// photograph was trained on, since the figures above are then of unseen ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out: Option<HeldOut>,
}

/// The figures of one board design.
#[derive(Clone, Debug, Serialize)]
pub struct BoardScores {
    /// Its photographs.
    pub images: usize,
    /// Those among them that the judging model was trained on.
    pub trained_on: usize,
    /// Share of the boxes found.
    pub recall: f64,
    /// Detections without a box, for each photograph.
    pub false_alarms_per_image: f64,
    /// Share of the found boxes that were named rightly.
    pub kind_accuracy: f64,
}

/// Cross-validation by board design.
#[derive(Clone, Debug, Serialize)]
pub struct HeldOut {
    /// In words, how it was done.
    pub method: String,
    /// The figures over all designs, each judged by a model that never saw it.
    #[serde(flatten)]
    pub scores: Scores,
    /// The same figures when only overlap counts.
    pub strict: Scores,
    /// The figures of each design.
    pub by_board: BTreeMap<String, BoardScores>,
}

/// Measures the inspection on `dir`; `progress` hears how many boards are done, of
/// how many.
///
/// # Errors
/// When the folder isn't as expected or a picture can't be written.
pub fn run(
    dir: &Path,
    options: &Options,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Report, EvalError> {
    let inspection = Inspection::new(options.settings)?;
    let boards = read(dir, options.limit)?;
    let mut times = Vec::with_capacity(boards.len());
    let mut found = Vec::with_capacity(boards.len());
    for (i, board) in boards.iter().enumerate() {
        let start = Instant::now();
        let result = inspection.compare(&board.template, &board.photograph);
        times.push(start.elapsed().as_secs_f64() * 1000.0);
        found.push(result.map(|c| c.candidates).ok());
        progress(i + 1, boards.len());
    }
    times.sort_by(f64::total_cmp);
    let seen: BTreeSet<&str> =
        inspection.model().provenance.photographs.iter().map(String::as_str).collect();
    let is_seen = |b: &Board| seen.contains(b.digest.short().as_str());
    let threshold = options.settings.threshold;
    let trained_on = boards.iter().filter(|b| is_seen(b)).count();
    let designs: BTreeSet<&str> = boards.iter().map(|b| b.design.as_str()).collect();
    let held = (trained_on > 0 && designs.len() > 1).then(|| hold_out(&boards, &designs, options));
    let refused = boards.iter().zip(&found).filter(|(_, f)| f.is_none());
    let report = Report {
        analysis: "inspection",
        images: boards.len(),
        refused: refused.map(|(b, _)| b.name.clone()).collect(),
        model: inspection.model().digest().to_string(),
        threshold,
        matching: format!(
            "one detection finds one box: centre within the box grown by {SLACK} px, or \
             intersection over union of at least {OVERLAP}; `strict`: overlap alone"
        ),
        scores: Tally::new(&boards, &found, false).scores(threshold),
        strict: Tally::new(&boards, &found, true).scores(threshold),
        by_board: by_board(&boards, &found, threshold, is_seen),
        ms_per_image: times.get(times.len() / 2).copied().unwrap_or(0.0),
        trained_on,
        training_boards: inspection.model().provenance.boards.clone(),
        held_out: held.as_ref().map(|found| HeldOut {
            method: format!(
                "each of the {} board designs judged by a model trained on the photographs of \
                 the others only",
                designs.len()
            ),
            scores: Tally::new(&boards, found, false).scores(threshold),
            strict: Tally::new(&boards, found, true).scores(threshold),
            by_board: by_board(&boards, found, threshold, |_| false),
        }),
    };
    if let Some(out) = &options.out {
        // Curves and examples show unseen boards wherever there are such figures.
        plot::write(out, &boards, held.as_ref().unwrap_or(&found), threshold)?;
    }
    Ok(report)
}

/// Trains a model on every board of `dir`, or on those of some designs.
///
/// # Errors
/// When the folder isn't as expected.
pub fn train(dir: &Path, options: &Options, growth: Growth) -> Result<Model, EvalError> {
    let boards = read(dir, options.limit)?;
    let samples = samples(&boards, &options.settings);
    let chosen: Vec<usize> = (0..boards.len()).collect();
    Ok(fit(&boards, &samples, &chosen, growth))
}

type Samples = Vec<Vec<(Vec<f32>, Class)>>;

/// The blobs of each board with what they are.
fn samples(boards: &[Board], settings: &Settings) -> Samples {
    boards
        .par_iter()
        .map(|b| {
            let candidates =
                Inspection::candidates(&b.template, &b.photograph, settings).unwrap_or_default();
            candidates.into_iter().map(|c| (c.features.clone(), truth(b, &c))).collect()
        })
        .collect()
}

/// What a blob is, by the box that holds its centre or overlaps it.
fn truth(board: &Board, candidate: &Candidate) -> Class {
    let held = |b: &&data::Labelled| {
        b.place.holds(candidate.place.centre(), 2.0) || b.place.overlap(&candidate.place) > 0.2
    };
    let classes = board.boxes.iter().filter(held).filter_map(|b| Class::of(b.kind));
    let agreeing = classes.filter(|(_, added)| *added == candidate.added);
    agreeing.map(|(class, _)| class).next().unwrap_or(Class::Nothing)
}

fn fit(boards: &[Board], samples: &Samples, chosen: &[usize], growth: Growth) -> Model {
    let picked = || chosen.iter().filter_map(|&i| boards.get(i).zip(samples.get(i)));
    let designs: BTreeSet<&String> = picked().map(|(b, _)| &b.design).collect();
    let provenance = Provenance {
        data_set: "DeepPCB, github.com/tangsanli5201/DeepPCB, development split".into(),
        licence: "MIT".into(),
        boards: designs.into_iter().cloned().collect(),
        photographs: picked().map(|(b, _)| b.digest.short()).collect(),
        samples: 0,
        by_class: Vec::new(),
        growth,
    };
    let all: Vec<(Vec<f32>, Class)> = picked().flat_map(|(_, s)| s.iter().cloned()).collect();
    Model::train(&all, provenance)
}

type Found = Vec<Option<Vec<Defect>>>;

/// Each design judged by a model trained on the others.
fn hold_out(boards: &[Board], designs: &BTreeSet<&str>, options: &Options) -> Found {
    let samples = samples(boards, &options.settings);
    let models: BTreeMap<&str, Inspection> = designs
        .par_iter()
        .map(|&design| {
            let others = boards.iter().enumerate().filter(|(_, b)| b.design != design);
            let chosen: Vec<usize> = others.map(|(i, _)| i).collect();
            let model = fit(boards, &samples, &chosen, Growth::default());
            (design, Inspection::with_model(model, options.settings))
        })
        .collect();
    boards
        .par_iter()
        .map(|b| {
            let inspection = models.get(b.design.as_str())?;
            inspection.compare(&b.template, &b.photograph).map(|c| c.candidates).ok()
        })
        .collect()
}

fn by_board(
    boards: &[Board],
    found: &Found,
    threshold: f32,
    seen: impl Fn(&Board) -> bool,
) -> BTreeMap<String, BoardScores> {
    let mut groups: BTreeMap<String, (Vec<Board>, Found)> = BTreeMap::new();
    for (board, found) in boards.iter().zip(found) {
        let group = groups.entry(board.design.clone()).or_default();
        group.0.push(board.without_pixels());
        group.1.push(found.clone());
    }
    groups
        .into_iter()
        .map(|(design, (boards, found))| {
            let scores = Tally::new(&boards, &found, false).scores(threshold);
            let scores = BoardScores {
                images: boards.len(),
                trained_on: boards.iter().filter(|b| seen(b)).count(),
                recall: scores.recall,
                false_alarms_per_image: scores.false_alarms_per_image,
                kind_accuracy: scores.kind_accuracy,
            };
            (design, scores)
        })
        .collect()
}
