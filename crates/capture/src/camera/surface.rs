//! The surface of a machined part, made from a seed.
//!
//! A face mill leaves arcs at its feed, each of another depth, and streaks along
//! them; the metal adds grain, and handling adds scratches and pits. All of it is
//! drawn from the part's seed alone, with most energy between 0.02 and 0.2 cycles
//! a pixel, where surfaces are compared. What parts of a kind share, two bores,
//! lies at places that differ by the tolerance of drilling.
#![allow(clippy::indexing_slicing)] // every index is a pixel of the surface's own extent

use super::noise::{Lattice, Noise, Row};

/// Pixels of surface beyond the picture on each side, for shift and rotation.
pub(crate) const MARGIN: usize = 32;

/// Steps of the feed profile in a pixel.
const STEPS: usize = 4;

/// What went wrong with a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefectKind {
    /// A groove; its size is its length.
    Scratch,
    /// A round hollow; its size is its diameter.
    Dent,
    /// A dark patch without depth; its size is its diameter.
    Stain,
}

/// A defect at a place in the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Defect {
    /// What it is.
    pub kind: DefectKind,
    /// The centre, as a fraction of the picture's width.
    pub x: f32,
    /// The centre, as a fraction of the picture's height.
    pub y: f32,
    /// The size in pixels.
    pub size: f32,
    /// The direction of a scratch, rad from the x axis.
    pub angle: f32,
}

/// Slopes and reflectance of each point: `[slope x, slope y, reflectance]`.
pub(crate) struct Surface {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) points: Vec<[f32; 3]>,
}

/// Heights and reflectance while a surface is being made.
struct Blank {
    width: usize,
    height: usize,
    heights: Vec<f32>,
    albedo: Vec<f32>,
}

impl Surface {
    /// The surface of a seed with defects, for a picture of the given size.
    pub(crate) fn new(seed: u64, width: usize, height: usize, defects: &[Defect]) -> Self {
        let mut blank = Blank::milled(seed, width + 2 * MARGIN, height + 2 * MARGIN);
        blank.handled(&mut Noise::new(seed, 2));
        blank.bored(&mut Noise::new(seed, 3));
        for defect in defects {
            blank.damaged(defect, width as f32, height as f32);
        }
        blank.sloped()
    }
}

impl Blank {
    fn milled(seed: u64, width: usize, height: usize) -> Self {
        let mut noise = Noise::new(seed, 1);
        let radius = noise.range(1100.0, 1400.0);
        let middle = height as f32 * noise.range(0.3, 0.7);
        let reach = width + 600;
        let feed = feed_profile(&mut noise, reach);
        let mut layers = |cells: &[(f32, f32, f32)]| -> Vec<(Lattice, f32)> {
            let layer = |&(x, y, gain)| (Lattice::new(&mut noise, (reach, height), (x, y)), gain);
            cells.iter().map(layer).collect()
        };
        let streaks = layers(&[(3.0, 60.0, 0.9), (7.0, 140.0, 1.4)]);
        let grain = layers(&[(2.6, 2.6, 0.34), (5.5, 5.5, 0.8), (13.0, 13.0, 1.3)]);
        let tarnish = layers(&[(9.0, 9.0, 0.05), (55.0, 40.0, 0.07)]);
        let mut heights = Vec::with_capacity(width * height);
        let mut albedo = Vec::with_capacity(width * height);
        for y in 0..height {
            let rows = |layers: &[(Lattice, f32)]| -> Vec<Row> {
                layers.iter().map(|(lattice, gain)| lattice.row(y, *gain)).collect()
            };
            let (streaks, grain, tarnish) = (rows(&streaks), rows(&grain), rows(&tarnish));
            let across = y as f32 - middle;
            // The arc of the mill through this row.
            let bow = radius - (radius * radius - across * across).max(0.0).sqrt();
            for x in 0..width {
                let x = x as f32;
                let along = x + bow;
                let sum = |rows: &[Row], at: f32| rows.iter().map(|row| row.at(at)).sum::<f32>();
                let step = ((along * STEPS as f32) as usize).min(feed.len() - 1);
                heights.push(feed[step] + sum(&streaks, along) + sum(&grain, x));
                albedo.push(0.82 + sum(&tarnish, x));
            }
        }
        Self { width, height, heights, albedo }
    }

    /// Scratches and pits of handling.
    fn handled(&mut self, noise: &mut Noise) {
        let (width, height) = (self.width as f32, self.height as f32);
        for _ in 0..60 {
            let centre = (noise.range(0.0, width), noise.range(0.0, height));
            let (angle, length) =
                (noise.range(0.0, std::f32::consts::PI), noise.range(20.0, 190.0));
            let (depth, half) = (noise.range(0.4, 2.2), noise.range(0.6, 1.3));
            let bend = noise.signed() * 0.002;
            self.groove(centre, angle, length, bend, (depth, half));
        }
        for _ in 0..320 {
            let centre = (noise.range(0.0, width), noise.range(0.0, height));
            let (radius, depth) = (noise.range(1.2, 4.2), noise.range(0.8, 3.0));
            self.hollow(centre, radius, depth, noise.range(0.0, 0.3));
        }
    }

    /// Two bores with chamfers.
    fn bored(&mut self, noise: &mut Noise) {
        for (x, y) in [(0.24, 0.27), (0.77, 0.70)] {
            let cx = x * self.width as f32 + 7.0 * noise.signed();
            let cy = y * self.height as f32 + 7.0 * noise.signed();
            let radius = 42.0 + noise.signed();
            let chamfer = 9.0;
            self.around((cx, cy), radius + chamfer, |distance, height, albedo| {
                if distance < radius {
                    *height = -chamfer * 3.0;
                    *albedo = 0.05 + 0.05 * (distance / radius).powi(6);
                } else {
                    // The chamfer's own turning marks replace the milled face.
                    let inward = radius + chamfer - distance;
                    *height = -2.6 * inward + 0.25 * (distance * 2.2).sin();
                    *albedo = 0.9;
                }
            });
        }
    }

    fn damaged(&mut self, defect: &Defect, width: f32, height: f32) {
        let margin = MARGIN as f32;
        let centre = (margin + defect.x * width, margin + defect.y * height);
        match defect.kind {
            DefectKind::Scratch => self.groove(centre, defect.angle, defect.size, 0.0, (9.0, 2.2)),
            DefectKind::Dent => {
                let radius = defect.size / 2.0;
                self.hollow(centre, radius, radius * 1.2, 0.25);
            }
            DefectKind::Stain => self.around(centre, defect.size / 2.0, |distance, _, albedo| {
                let edge = ((defect.size / 2.0 - distance) / 4.0).clamp(0.0, 1.0);
                *albedo *= 1.0 - 0.6 * edge;
            }),
        }
    }

    fn groove(&mut self, centre: (f32, f32), angle: f32, length: f32, bend: f32, cut: (f32, f32)) {
        let (depth, half) = cut;
        let steps = (length * 2.0) as i32;
        let reach = (half * 2.5).ceil() as i32;
        for step in 0..=steps {
            let t = step as f32 * 0.5 - length / 2.0;
            let turned = angle + bend * t;
            let (x, y) = (centre.0 + t * turned.cos(), centre.1 + t * turned.sin());
            // Deepest in the middle, running out at both ends.
            let fade = 1.0 - (2.0 * t / length).powi(4);
            for dy in -reach..=reach {
                for dx in -reach..=reach {
                    let (px, py) = (x.round() as i32 + dx, y.round() as i32 + dy);
                    let Some(at) = self.index(px, py) else {
                        continue;
                    };
                    let (ex, ey) = (px as f32 - x, py as f32 - y);
                    let weight = fade * (-(ex * ex + ey * ey) / (half * half)).exp();
                    // Two steps a pixel overlap, so each gives its share.
                    self.heights[at] -= depth * weight * 0.4;
                    self.albedo[at] += 0.05 * weight * depth.min(2.0);
                }
            }
        }
    }

    fn hollow(&mut self, centre: (f32, f32), radius: f32, depth: f32, darker: f32) {
        self.around(centre, radius, |distance, height, albedo| {
            let bowl = 1.0 - (distance / radius).powi(2);
            *height -= depth * bowl;
            *albedo *= 1.0 - darker * bowl;
        });
    }

    /// Calls `change(distance, height, albedo)` for the points within a circle.
    fn around(
        &mut self,
        (cx, cy): (f32, f32),
        radius: f32,
        mut change: impl FnMut(f32, &mut f32, &mut f32),
    ) {
        let bounds = |c: f32| ((c - radius).floor() as i32)..=((c + radius).ceil() as i32);
        for py in bounds(cy) {
            for px in bounds(cx) {
                let distance = (px as f32 - cx).hypot(py as f32 - cy);
                match self.index(px, py) {
                    Some(at) if distance < radius => {
                        change(distance, &mut self.heights[at], &mut self.albedo[at]);
                    }
                    _ => {}
                }
            }
        }
    }

    fn index(&self, x: i32, y: i32) -> Option<usize> {
        let (x, y) = (usize::try_from(x).ok()?, usize::try_from(y).ok()?);
        (x < self.width && y < self.height).then_some(y * self.width + x)
    }

    /// Heights become slopes, by central differences.
    fn sloped(self) -> Surface {
        let (width, height, h) = (self.width, self.height, &self.heights);
        let mut points = vec![[0.0; 3]; width * height];
        for y in 1..height - 1 {
            for x in 1..width - 1 {
                let at = y * width + x;
                let slope_x = (h[at + 1] - h[at - 1]) / 2.0;
                let slope_y = (h[at + width] - h[at - width]) / 2.0;
                points[at] = [slope_x, slope_y, self.albedo[at]];
            }
        }
        Surface { width, height, points }
    }
}

/// The heights across the feed: hollows of the cutter between cusps, no two of the
/// same width or depth.
fn feed_profile(noise: &mut Noise, reach: usize) -> Vec<f32> {
    let mut profile = Vec::with_capacity(reach * STEPS);
    while profile.len() < reach * STEPS {
        let width = noise.range(9.0, 22.0);
        let (depth, tilt) = (noise.range(0.8, 3.2), noise.signed());
        let steps = (width * STEPS as f32) as usize;
        for step in 0..steps {
            let t = step as f32 / steps as f32 * 2.0 - 1.0;
            profile.push(depth * (t * t - 1.0) + tilt * t * 0.6);
        }
    }
    profile
}
