//! Coarse alignment: which turn and scale, to about a degree and two per cent.
//!
//! Phase correlation finds any shift, and forgives only a little turn and scale.
//! So the enrolled surface is kept at half the working scale under a grid of
//! turns and scales, as signatures made once at enrolment, and a photograph is
//! correlated with each of them. That is exhaustive, so nothing depends on key
//! points or on the shape of the magnitude spectrum, which a cover or a border
//! changes; the band-limited inverse transform makes it cheap.

use super::phase::{Correlator, Peak, Signature, quick_size};
use super::surface::centre;
use crate::{Plane, SpectrumError, Transform};

/// Turns looked at: ±this many degrees.
pub(super) const MAX_TURN: f64 = 12.0;
/// Degrees between two turns.
pub(super) const TURN_STEP: f64 = 1.5;
/// Scales looked at: from 1/(1 + this) to 1 + this.
pub(super) const MAX_SCALE: f64 = 0.125;
/// Ratio between two scales, less 1.
pub(super) const SCALE_STEP: f64 = 0.03;
/// Band in cycles per pixel of half the working scale.
pub(super) const BAND: (f32, f32) = (0.03, 0.25);

/// An enrolled surface under every turn and scale.
pub(super) struct Bank {
    correlator: Correlator,
    entries: Vec<(Transform, Signature)>,
}

/// A guess at how the photograph lies: the map from the reference's to the
/// photograph's pixels (half the working scale), and the correlation it reaches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess {
    pub map: Transform,
    pub height: f32,
}

impl Bank {
    /// The bank of a surface at half the working scale.
    pub(super) fn new(half: &Plane) -> Result<Self, SpectrumError> {
        let (w, h) = (quick_size(half.width()), quick_size(half.height()));
        let correlator = Correlator::new(w, h, BAND.0, BAND.1, 0.5);
        let mut entries = Vec::new();
        let turns = (MAX_TURN / TURN_STEP).round() as i32;
        let scales = ((1.0 + MAX_SCALE).ln() / (1.0 + SCALE_STEP).ln()).round() as i32;
        for t in -turns..=turns {
            for s in -scales..=scales {
                let scale = (1.0 + SCALE_STEP).powi(s);
                let angle = (f64::from(t) * TURN_STEP).to_radians();
                let map = Transform::similarity(angle, scale, centre(half), (0.0, 0.0));
                // The entry shows the part as a photograph under this map would.
                let Some(back) = map.inverse() else { continue };
                let (seen, _) = half.warp(&back, w, h, 0.0);
                entries.push((map, correlator.signature(&seen)?));
            }
        }
        Ok(Self { correlator, entries })
    }

    /// The best guesses for a photograph at half the working scale, best first,
    /// no two of them neighbours.
    pub(super) fn search(&self, half: &Plane, count: usize) -> Result<Vec<Guess>, SpectrumError> {
        let (w, h) = self.correlator.size();
        let (seen, _) = half.warp(&Transform::IDENTITY, w, h, 0.0);
        let probe = self.correlator.signature(&seen)?;
        let reach = (w as f32 / 3.0, h as f32 / 3.0);
        let mut all: Vec<Guess> = Vec::with_capacity(self.entries.len());
        for (map, signature) in &self.entries {
            let surface = self.correlator.surface(&probe, signature)?;
            let Peak { dx, dy, height } = self.correlator.peak(&surface, reach);
            let map = map.then(&Transform::translation(f64::from(dx), f64::from(dy)));
            all.push(Guess { map, height });
        }
        all.sort_by(|a, b| b.height.total_cmp(&a.height));
        let mut best: Vec<Guess> = Vec::new();
        for guess in all {
            if best.len() == count {
                break;
            }
            if best.iter().all(|other| apart(&guess.map, &other.map, w as f64, h as f64)) {
                best.push(guess);
            }
        }
        Ok(best)
    }
}

/// Whether two maps send some corner more than a block's reach apart.
fn apart(a: &Transform, b: &Transform, w: f64, h: f64) -> bool {
    [(0.0, 0.0), (w, 0.0), (0.0, h), (w, h)].iter().any(|&(x, y)| {
        let ((ax, ay), (bx, by)) = (a.apply(x, y), b.apply(x, y));
        (ax - bx).hypot(ay - by) > 6.0
    })
}
