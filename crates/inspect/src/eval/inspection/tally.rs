//! Matches detections with boxes and counts.

use super::data::{Board, Labelled};
use super::{OVERLAP, SLACK};
use crate::eval::figures::Share;
use crate::inspection::{Defect, Kind};
use serde::Serialize;
use std::collections::BTreeMap;

/// 95% bounds of a count for each trial: Byar's approximation of the exact Poisson ones.
pub fn poisson_bounds(count: usize, trials: usize) -> [f64; 2] {
    const Z: f64 = 1.959_964;
    let (c, n) = (count as f64, trials.max(1) as f64);
    let bound = |k: f64, z: f64| k * (1.0 - 1.0 / (9.0 * k) + z / (3.0 * k.sqrt())).powi(3);
    let low = if count == 0 { 0.0 } else { bound(c, -Z).max(0.0) };
    [low / n, bound(c + 1.0, Z) / n]
}

/// The figures of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct KindScores {
    /// Boxes of this kind.
    pub boxes: usize,
    /// Share of them found, whatever they were named.
    pub recall: f64,
    /// 95% bounds of it.
    pub recall_95: [f64; 2],
    /// Share of the found ones that were named rightly.
    pub kind_accuracy: f64,
    /// Detections of this kind that found no box, for each photograph.
    pub false_alarms_per_image: f64,
    /// 95% bounds of it.
    pub false_alarms_per_image_95: [f64; 2],
}

/// The figures at one threshold.
#[derive(Clone, Debug, Serialize)]
pub struct Scores {
    /// Labelled boxes.
    pub boxes: usize,
    /// Share of them found.
    pub recall: f64,
    /// 95% bounds of it (Clopper–Pearson).
    pub recall_95: [f64; 2],
    /// Detections that found no box, for each photograph.
    pub false_alarms_per_image: f64,
    /// 95% bounds of it (Poisson).
    pub false_alarms_per_image_95: [f64; 2],
    /// Share of the detections that found a box.
    pub precision: f64,
    /// 95% bounds of it (Clopper–Pearson).
    pub precision_95: [f64; 2],
    /// Share of the found boxes that were named rightly.
    pub kind_accuracy: f64,
    /// 95% bounds of it (Clopper–Pearson).
    pub kind_accuracy_95: [f64; 2],
    /// Each kind by itself.
    pub by_kind: BTreeMap<&'static str, KindScores>,
    /// How often boxes of one kind (outer name) were named another (inner name).
    pub named: BTreeMap<&'static str, BTreeMap<&'static str, usize>>,
}

/// One detection, and the kind of the box it found.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// How sure it was.
    pub confidence: f32,
    /// What it was named.
    pub kind: Kind,
    /// What the box it found was labelled; `None` for a false alarm.
    pub truth: Option<Kind>,
}

/// Every detection of a folder, matched.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Photographs.
    pub images: usize,
    /// Labelled boxes of each kind.
    pub boxes: BTreeMap<Kind, usize>,
    /// All detections.
    pub events: Vec<Event>,
}

/// For each detection, surest first, the box it finds.
pub(super) fn assign(boxes: &[Labelled], found: &[Defect], strict: bool) -> Vec<Option<usize>> {
    let mut free = vec![true; boxes.len()];
    found
        .iter()
        .map(|d| {
            let fits = |b: &Labelled| {
                let overlap = b.place.overlap(&d.place);
                let centred = !strict && b.place.holds(d.place.centre(), SLACK);
                (overlap >= OVERLAP || centred).then_some(overlap)
            };
            let best = boxes
                .iter()
                .enumerate()
                .filter(|(i, _)| free.get(*i) == Some(&true))
                .filter_map(|(i, b)| fits(b).map(|o| (i, o)))
                .max_by(|a, b| a.1.total_cmp(&b.1));
            if let Some(slot) = best.and_then(|(i, _)| free.get_mut(i)) {
                *slot = false;
            }
            best.map(|(i, _)| i)
        })
        .collect()
}

impl Tally {
    /// Matches all detections, surest first; `strict` counts overlap alone.
    pub fn new(boards: &[Board], found: &[Option<Vec<Defect>>], strict: bool) -> Self {
        let mut boxes = BTreeMap::new();
        let mut events = Vec::new();
        for (board, found) in boards.iter().zip(found) {
            board.boxes.iter().for_each(|b| *boxes.entry(b.kind).or_default() += 1);
            let found = found.as_deref().unwrap_or_default();
            for (d, at) in found.iter().zip(assign(&board.boxes, found, strict)) {
                let truth = at.and_then(|i| board.boxes.get(i)).map(|b| b.kind);
                events.push(Event { confidence: d.confidence, kind: d.kind, truth });
            }
        }
        events.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        Self { images: boards.len(), boxes, events }
    }

    /// The figures at a threshold.
    pub fn scores(&self, threshold: f32) -> Scores {
        let events: Vec<&Event> =
            self.events.iter().filter(|e| e.confidence >= threshold).collect();
        let count = |f: &dyn Fn(&Event) -> bool| events.iter().filter(|e| f(e)).count();
        let boxes: usize = self.boxes.values().sum();
        let hits = count(&|e| e.truth.is_some());
        let named = count(&|e| e.truth == Some(e.kind));
        let recall = Share::new(hits, boxes);
        let alarms = self.alarms(events.len() - hits);
        let precision = Share::new(hits, events.len());
        let accuracy = Share::new(named, hits);
        let by_kind = |kind: Kind| {
            let boxes = self.boxes.get(&kind).copied().unwrap_or(0);
            let hits = count(&|e| e.truth == Some(kind));
            let recall = Share::new(hits, boxes);
            let right = count(&|e| e.truth == Some(kind) && e.kind == kind);
            let alarms = self.alarms(count(&|e| e.truth.is_none() && e.kind == kind));
            let scores = KindScores {
                boxes,
                recall: recall.value,
                recall_95: recall.ci95,
                kind_accuracy: Share::new(right, hits).value,
                false_alarms_per_image: alarms.0,
                false_alarms_per_image_95: alarms.1,
            };
            (kind.name(), scores)
        };
        let mut confusion: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
        for (truth, kind) in events.iter().filter_map(|e| Some((e.truth?, e.kind))) {
            *confusion.entry(truth.name()).or_default().entry(kind.name()).or_default() += 1;
        }
        Scores {
            boxes,
            recall: recall.value,
            recall_95: recall.ci95,
            false_alarms_per_image: alarms.0,
            false_alarms_per_image_95: alarms.1,
            precision: precision.value,
            precision_95: precision.ci95,
            kind_accuracy: accuracy.value,
            kind_accuracy_95: accuracy.ci95,
            by_kind: Kind::BOARD.map(by_kind).into_iter().collect(),
            named: confusion,
        }
    }

    fn alarms(&self, count: usize) -> (f64, [f64; 2]) {
        let rate = count as f64 / self.images.max(1) as f64;
        (rate, poisson_bounds(count, self.images))
    }

    /// False alarms for each photograph against recall, from the strictest threshold on.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        let boxes = self.boxes.values().sum::<usize>().max(1) as f64;
        let images = self.images.max(1) as f64;
        let (mut hits, mut alarms) = (0.0, 0.0);
        let mut points = vec![(0.0, 0.0)];
        for event in &self.events {
            if event.truth.is_some() {
                hits += 1.0
            } else {
                alarms += 1.0
            }
            points.push((alarms / images, hits / boxes));
        }
        points
    }
}
