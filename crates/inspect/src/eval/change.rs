//! What may differ between two photographs of one part: how it lies, the light,
//! and what covers it. Each change is drawn from a seeded stream.

use super::random::Random;
use crate::{Plane, Transform};

/// A kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// Turned by up to ±10°.
    Rotation,
    /// Scaled by up to ±10%.
    Scale,
    /// Gain 0.6–1.4, a gradient of up to ±40% across, gamma 0.6–1.6, and noise.
    Light,
    /// Up to 25% of the photograph hidden behind one to four rectangles.
    Cover,
    /// All of them at once.
    All,
}

impl Change {
    /// Every kind.
    pub const KINDS: [Self; 5] = [Self::Rotation, Self::Scale, Self::Light, Self::Cover, Self::All];

    /// The kind's name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rotation => "rotation",
            Self::Scale => "scale",
            Self::Light => "light",
            Self::Cover => "cover",
            Self::All => "all",
        }
    }

    /// The photograph as it would be under this kind of change, by how much drawn
    /// from `random`. What comes into view from beyond the edge is black.
    pub fn apply(self, photograph: &Plane, random: &mut Random) -> Plane {
        let has = |kind: Self| self == kind || self == Self::All;
        let mut plane = photograph.clone();
        let angle = if has(Self::Rotation) { random.between(-10.0, 10.0) } else { 0.0 };
        let scale = if has(Self::Scale) { random.between(0.9, 1.1) } else { 1.0 };
        if angle != 0.0 || scale != 1.0 {
            plane = lie(&plane, angle, scale, random);
        }
        if has(Self::Light) {
            light(&mut plane, random);
        }
        if has(Self::Cover) {
            cover(&mut plane, random);
        }
        plane
    }
}

/// Turned and scaled about the middle, and shifted by up to 2% of each side.
fn lie(plane: &Plane, degrees: f64, scale: f64, random: &mut Random) -> Plane {
    let (w, h) = (plane.width() as f64, plane.height() as f64);
    let shift = (w * random.between(-0.02, 0.02), h * random.between(-0.02, 0.02));
    let middle = ((w - 1.0) / 2.0, (h - 1.0) / 2.0);
    let map = Transform::similarity(degrees.to_radians(), scale, middle, shift);
    match map.inverse() {
        Some(back) => plane.warp(&back, plane.width(), plane.height(), 0.0).0,
        None => plane.clone(),
    }
}

fn light(plane: &mut Plane, random: &mut Random) {
    let gain = random.between(0.6, 1.4) as f32;
    let gamma = random.between(0.6, 1.6) as f32;
    let towards = random.between(0.0, std::f64::consts::TAU) as f32;
    let slope = random.between(0.0, 0.4) as f32;
    let noise = random.between(0.0, 0.02);
    let (w, h) = (plane.width(), plane.height());
    let (dx, dy) = (2.0 * towards.cos() / w as f32, 2.0 * towards.sin() / h as f32);
    for (i, v) in plane.data_mut().iter_mut().enumerate() {
        let (x, y) = ((i % w) as f32 - w as f32 / 2.0, (i / w) as f32 - h as f32 / 2.0);
        let lit = gain * (1.0 + slope * (dx * x + dy * y)) * v.max(0.0).powf(gamma);
        let grain = random.between(-noise, noise) as f32;
        *v = (lit + grain).clamp(0.0, 1.0);
    }
}

fn cover(plane: &mut Plane, random: &mut Random) {
    let (w, h) = (plane.width(), plane.height());
    let share = random.between(0.1, 0.25);
    let count = 1 + random.below(4);
    for _ in 0..count {
        let area = share * (w * h) as f64 / count as f64;
        let aspect = random.between(0.5, 2.0);
        let cw = ((area * aspect).sqrt() as usize).clamp(1, w);
        let ch = ((area / cw as f64) as usize).clamp(1, h);
        let (x0, y0) = (random.below(w - cw + 1), random.below(h - ch + 1));
        let grey = random.between(0.0, 1.0) as f32;
        for y in y0..y0 + ch {
            let row = plane.data_mut().get_mut(y * w + x0..y * w + x0 + cw);
            row.unwrap_or_default().fill(grey);
        }
    }
}
