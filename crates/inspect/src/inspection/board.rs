//! Differences between drawings in two tones, such as an etched board and its
//! template, as blobs with the measurements a classifier needs.
//!
//! A pixel's difference is measured by depth, not brightness: how far the
//! photograph's new conductor lies from any conductor of the template, and the
//! reverse. A trace displaced by a pixel is then one pixel deep, however long.
//!
//! Added and removed conductor are the same question with the tones exchanged, so
//! the measurements speak of figure and ground: the figure is conductor for added
//! blobs and its absence for removed ones. What the blob touches then tells the
//! kinds apart: no figure (an island: spurious copper or a pin-hole), one arc of it
//! (on an edge: spur or mousebite) or two (a bridge: short or open).

// Image kernels: each index is bounded by the loop over the plane's own width and height.
#![allow(clippy::indexing_slicing)]

use super::blob::{self, Blob};
use super::field::Aligned;
use super::mask::{FAR, Mask};
use super::tone::Tones;
use crate::Plane;

/// Blobs start where a difference is this deep, in pixels.
const SEED: f32 = 2.0;
/// Deeper than this many pixels counts as this.
const DEEP: usize = 20;
/// How far around a blob its neighbourhood is looked at.
const AROUND: usize = 14;

/// The names of the measurements, in order; the model's file repeats them.
pub(super) const FEATURES: [&str; 25] = [
    "added",
    "area_log",
    "depth_max",
    "depth_mean",
    "length_log",
    "breadth_log",
    "fill",
    "near_figure_share",
    "near_arcs_template",
    "near_ground_arcs_template",
    "near_arcs_photograph",
    "far_figure_share",
    "far_arcs_template",
    "touched_regions",
    "figure_regions_lost",
    "ground_regions_lost",
    "opposite_share",
    "other_share",
    "border_distance",
    "shift",
    "contrast",
    "contact_share",
    "longest_arc_share",
    "image_difference_log",
    "depth_to_breadth",
];

/// Both drawings as masks of conductor, and how deep they differ.
pub(super) struct Board {
    template: Mask,
    photograph: Mask,
    /// Depth of added and of removed conductor.
    added: Vec<f32>,
    removed: Vec<f32>,
    /// Share of all pixels that differ.
    difference: f32,
}

impl Board {
    /// Reads both as drawings; conductor is what is darker than the template's
    /// threshold, or brighter when `dark_conductor` is false.
    pub fn new(template: &Plane, aligned: &Aligned, tones: &Tones, dark_conductor: bool) -> Self {
        let (w, h) = (template.width(), template.height());
        // The photograph's own two tones, when it has them: uneven exposure moves both.
        let own = Tones::of(&aligned.plane).filter(Tones::is_drawing);
        let draw = |p: &Plane, threshold: f32| Mask {
            width: w,
            height: h,
            data: p.data().iter().map(|&v| (v < threshold) == dark_conductor).collect(),
        };
        let t = draw(template, tones.threshold);
        let s = draw(&aligned.plane, own.unwrap_or(*tones).threshold);
        let seen = aligned.mask.data();
        let deep = |present: bool| -> Vec<f32> {
            (0..w * h)
                .map(|i| {
                    let differs = s.data[i] == present && t.data[i] != present && seen[i] > 0.0;
                    if differs { depth(&t, i, present) } else { 0.0 }
                })
                .collect()
        };
        let (added, removed) = (deep(true), deep(false));
        let count = added.iter().zip(&removed).filter(|(a, r)| **a > 0.0 || **r > 0.0).count();
        let difference = count as f32 / (w * h).max(1) as f32;
        Self { template: t, photograph: s, added, removed, difference }
    }

    /// Every place deep enough to be looked at.
    pub fn blobs(&self) -> Vec<Blob> {
        let size = (self.template.width, self.template.height);
        let mut blobs = blob::find(&self.added, size, true, SEED, 0.5);
        blobs.extend(blob::find(&self.removed, size, false, SEED, 0.5));
        blobs
    }

    /// How deep each pixel differs, 0 to 1.
    pub fn heat(&self) -> Plane {
        let (w, h) = (self.template.width, self.template.height);
        Plane::from_fn(w, h, |x, y| {
            let i = y * w + x;
            ((self.added[i] + self.removed[i]) / 6.0).min(1.0)
        })
    }

    /// The measurements of one blob, in the order of [`FEATURES`].
    pub fn features(&self, blob: &Blob, template: &Plane, aligned: &Aligned) -> Vec<f32> {
        let (w, h) = (self.template.width, self.template.height);
        let [x0, y0, x1, y1] = blob.bounds;
        let (left, top) = (x0.saturating_sub(AROUND), y0.saturating_sub(AROUND));
        let (right, bottom) = ((x1 + AROUND).min(w), (y1 + AROUND).min(h));
        let (ww, wh) = (right - left, bottom - top);
        let whole = |i: usize| (top + i / ww) * w + left + i % ww;
        let cut = |f: &dyn Fn(usize) -> bool| Mask {
            width: ww,
            height: wh,
            data: (0..ww * wh).map(|i| f(whole(i))).collect(),
        };
        let mut inside = cut(&|_| false);
        for &i in &blob.pixels {
            inside.data[(i / w - top) * ww + i % w - left] = true;
        }
        let away = inside.distance(true);
        let figure_t = cut(&|i| self.template.data[i] == blob.added);
        let figure_s = cut(&|i| self.photograph.data[i] == blob.added);
        let (same, opposite) =
            if blob.added { (&self.added, &self.removed) } else { (&self.removed, &self.added) };

        let near = Ring::new(&away, 3.0, &figure_t);
        let near_s = Ring::new(&away, 3.0, &figure_s);
        let far = Ring::new(&away, 6.0, &figure_t);
        let contact = Ring::new(&away, 1.5, &figure_t);

        let touched = figure_t
            .regions()
            .iter()
            .filter(|r| r.len() > 3 && r.iter().any(|&i| away[i] > 0.0 && away[i] <= 3.0))
            .count();
        let ground = |m: &Mask| Mask { data: m.data.iter().map(|v| !v).collect(), ..m.clone() };
        let count = |m: &Mask| m.regions().iter().filter(|r| r.len() > 3).count() as f32;

        let outside: Vec<usize> =
            (0..ww * wh).filter(|&i| away[i] > 0.0 && away[i] < FAR).map(whole).collect();
        let share = |v: &[f32]| {
            outside.iter().filter(|&&i| v[i] > 0.0).count() as f32 / outside.len().max(1) as f32
        };

        let area = blob.pixels.len() as f32;
        let depths = || blob.pixels.iter().map(|&i| same[i]);
        let deepest = depths().fold(0.0, f32::max);
        let contrast: f32 =
            blob.pixels.iter().map(|&i| (template.data()[i] - aligned.plane.data()[i]).abs()).sum();
        let (length, breadth) = axes(&blob.pixels, w);
        let (cx, cy) = ((x0 + x1) / 2, (y0 + y1) / 2);
        let shift = aligned.shift(cx, cy);
        let border = x0.min(y0).min(w - x1).min(h - y1).min(20);
        vec![
            f32::from(u8::from(blob.added)),
            area.ln(),
            deepest,
            depths().sum::<f32>() / area,
            length.ln(),
            breadth.ln(),
            area / ((x1 - x0) * (y1 - y0)) as f32,
            near.share,
            near.arcs,
            near.ground_arcs,
            near_s.arcs,
            far.share,
            far.arcs,
            touched as f32,
            count(&figure_t) - count(&figure_s),
            count(&ground(&figure_t)) - count(&ground(&figure_s)),
            share(opposite),
            share(same),
            border as f32,
            shift.0.hypot(shift.1),
            contrast / area,
            contact.share,
            near.longest,
            (self.difference + 1e-4).ln(),
            deepest / breadth,
        ]
    }
}

/// How far pixel `i` lies from the nearest `wanted` pixel, at most [`DEEP`]. Few pixels
/// differ and most of those lie at an edge, so looking around each is quicker than a
/// distance transform of the whole.
fn depth(mask: &Mask, i: usize, wanted: bool) -> f32 {
    let (w, h) = (mask.width as isize, mask.height as isize);
    let (x, y) = (i as isize % w, i as isize / w);
    let mut best = (DEEP * DEEP) as isize;
    for r in 1..DEEP as isize {
        if r * r >= best {
            break;
        }
        for v in (y - r).max(0)..=(y + r).min(h - 1) {
            // The top and bottom rows of the square whole, of the others both ends.
            let stride = if (v - y).abs() == r { 1 } else { 2 * r };
            for u in (x - r..=x + r).step_by(stride as usize).filter(|u| (0..w).contains(u)) {
                if mask.data[(v * w + u) as usize] == wanted {
                    best = best.min((u - x) * (u - x) + (v - y) * (v - y));
                }
            }
        }
    }
    (best as f32).sqrt()
}

/// What lies within some distance around a blob.
struct Ring {
    /// The part of it that is figure.
    share: f32,
    /// How many pieces of figure, and of ground, it crosses.
    arcs: f32,
    ground_arcs: f32,
    /// The longest piece of figure, as a part of the ring.
    longest: f32,
}

impl Ring {
    fn new(away: &[f32], reach: f32, figure: &Mask) -> Self {
        let on = |i: usize| away[i] > 0.0 && away[i] <= reach;
        let part = |wanted: bool| Mask {
            data: (0..away.len()).map(|i| on(i) && figure.data[i] == wanted).collect(),
            ..figure.clone()
        };
        let size = (0..away.len()).filter(|&i| on(i)).count().max(1) as f32;
        let sizes = |m: Mask| -> Vec<usize> {
            m.regions().iter().map(Vec::len).filter(|&n| n as f32 >= 2.0 * reach.sqrt()).collect()
        };
        let (arcs, ground) = (sizes(part(true)), sizes(part(false)));
        Self {
            share: (0..away.len()).filter(|&i| on(i) && figure.data[i]).count() as f32 / size,
            arcs: arcs.len() as f32,
            ground_arcs: ground.len() as f32,
            longest: arcs.iter().max().map_or(0.0, |&n| n as f32 / size),
        }
    }
}

/// Length and breadth of the ellipse with the pixels' second moments.
pub(super) fn axes(pixels: &[usize], width: usize) -> (f32, f32) {
    let n = pixels.len().max(1) as f32;
    let points = || pixels.iter().map(|&i| ((i % width) as f32, (i / width) as f32));
    let (mx, my) = points().fold((0.0, 0.0), |(a, b), (x, y)| (a + x / n, b + y / n));
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in points() {
        xx += (x - mx) * (x - mx) / n;
        xy += (x - mx) * (y - my) / n;
        yy += (y - my) * (y - my) / n;
    }
    let (mean, spread) = ((xx + yy) / 2.0, ((xx - yy) / 2.0).hypot(xy));
    // A twelfth is the variance of one pixel's own extent.
    let side = |v: f32| (12.0 * (v.max(0.0) + 1.0 / 12.0)).sqrt();
    (side(mean + spread), side(mean - spread))
}
