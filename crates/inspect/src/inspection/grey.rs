//! Differences between grey photographs of a part: machined, cast or printed.
//!
//! What counts as different is measured against the pair's own noise: the spread of
//! the residual after alignment, taken robustly so that a defect doesn't raise it.
//! A brightness is only different when the template has none like it within a
//! pixel, which forgives edges that lie a fraction of a pixel aside; slow gradients
//! of the light are taken away first. Steep relief, such as the rim of a bore,
//! throws glints that wander with the light, so more is forgiven around it.

// Image kernels: each index is bounded by the loop over the plane's own width and height.
#![allow(clippy::indexing_slicing)]

use super::blob::{self, Blob};
use super::field::Aligned;
use crate::Plane;

/// Multiples of the noise at which a blob starts and to which it grows.
const SEED: f32 = 7.0;
const WEAK: f32 = 3.5;
/// The least noise assumed, in brightness: quantisation and JPEG leave about this.
const FLOOR: f32 = 0.008;
/// The least area of a blob, in pixels.
const AREA: usize = 12;
/// How far a glint wanders from steep relief, in pixels.
const GLINT: usize = 5;
/// How much is forgiven for each unit by which relief exceeds twice its median.
const FORGIVEN: f32 = 0.4;

/// Differences of a grey photograph, in multiples of its noise.
pub(super) struct Grey {
    size: (usize, usize),
    brighter: Vec<f32>,
    darker: Vec<f32>,
    /// What is left of a difference beside relief: 1 where nothing is forgiven.
    trust: Vec<f32>,
}

impl Grey {
    pub fn new(template: &Plane, aligned: &Aligned) -> Self {
        let (w, h) = (template.width(), template.height());
        let raw = aligned.plane.zip(template, |s, t| s - t);
        let noise = (1.4826 * median(raw.data().iter().map(|v| v.abs()))).max(FLOOR);
        // Light that changes slowly: clipped, so that defects don't leave halos.
        let clip = 4.0 * noise;
        let slow = raw.map(|v| v.clamp(-clip, clip)).blur(w.min(h) as f32 / 10.0);
        let level = aligned.plane.zip(&slow, |s, l| s - l);
        let (low, high) = (extreme(template, 1, f32::min), extreme(template, 1, f32::max));
        // Where the template itself is rough or steep, interpolation errs in proportion.
        let range = high.zip(&low, |a, b| a - b);
        let relief = extreme(template, GLINT, f32::max)
            .zip(&extreme(template, GLINT, f32::min), |a, b| a - b);
        let usual = 2.0 * median(relief.data().iter().copied());
        let strength = |over: &dyn Fn(usize) -> f32| -> Vec<f32> {
            let seen = aligned.mask.data();
            (0..w * h)
                .map(|i| {
                    let scale = noise + 0.1 * range.data()[i];
                    if seen[i] > 0.0 { (over(i) / scale).max(0.0) } else { 0.0 }
                })
                .collect()
        };
        let brighter = strength(&|i| level.data()[i] - high.data()[i]);
        let darker = strength(&|i| low.data()[i] - level.data()[i]);
        let trust = (0..w * h)
            .map(|i| {
                let scale = noise + 0.1 * range.data()[i];
                scale / (scale + FORGIVEN * (relief.data()[i] - usual).max(0.0))
            })
            .collect();
        Self { size: (w, h), brighter, darker, trust }
    }

    /// Every place that differs beyond noise.
    pub fn blobs(&self) -> Vec<Blob> {
        let mut blobs = blob::find(&self.brighter, self.size, true, SEED, WEAK);
        blobs.extend(blob::find(&self.darker, self.size, false, SEED, WEAK));
        // A blob grows through relief, but starts beside it: a scratch across a rim
        // stays whole, and a glint on the rim alone is none.
        blobs.retain(|b| {
            let from = if b.added { &self.brighter } else { &self.darker };
            b.pixels.len() >= AREA && b.pixels.iter().any(|&i| from[i] * self.trust[i] >= SEED)
        });
        blobs
    }

    /// How sure a blob is more than noise: ½ for one at the limits of area and strength.
    pub fn confidence(&self, blob: &Blob) -> f32 {
        let from = if blob.added { &self.brighter } else { &self.darker };
        let sum: f32 = blob.pixels.iter().map(|&i| from[i] * self.trust[i]).sum();
        1.0 - 0.5_f32.powf((sum / (WEAK * AREA as f32)).max(1.0))
    }

    /// How much each pixel differs, 0 to 1.
    pub fn heat(&self) -> Plane {
        let (w, h) = self.size;
        Plane::from_fn(w, h, |x, y| {
            let i = y * w + x;
            ((self.brighter[i] + self.darker[i]) / (2.0 * SEED)).min(1.0)
        })
    }
}

/// The smallest or largest sample of the square that reaches `reach` pixels.
fn extreme(p: &Plane, reach: usize, pick: impl Fn(f32, f32) -> f32) -> Plane {
    let (w, h) = (p.width(), p.height());
    let along = Plane::from_fn(w, h, |x, y| {
        let row = &p.row(y)[x.saturating_sub(reach)..(x + reach + 1).min(w)];
        row.iter().copied().fold(row[0], &pick)
    });
    Plane::from_fn(w, h, |x, y| {
        let rows = y.saturating_sub(reach)..(y + reach + 1).min(h);
        rows.fold(along.row(y)[x], |best, y| pick(best, along.row(y)[x]))
    })
}

fn median(values: impl Iterator<Item = f32>) -> f32 {
    let mut all: Vec<f32> = values.collect();
    if all.is_empty() {
        return 0.0;
    }
    let middle = all.len() / 2;
    *all.select_nth_unstable_by(middle, f32::total_cmp).1
}
