//! Band-limited phase-only correlation (Ito et al., IEICE Trans. E87-A, 2004).
//!
//! The phase of a spectrum carries where things are, its magnitude mostly what
//! the light did. Correlating phases alone gives one sharp peak where two
//! surfaces agree. Coefficients outside the band are noise (high) or light
//! (low); leaving them out also makes the inverse transform small.

// Spectral bookkeeping: each index is bounded by the correlator's own sizes.
#![allow(clippy::indexing_slicing)]

use crate::{Complex32, Fft2, Plane, Spectrum, SpectrumError};

/// Correlates planes of one size within one band of frequencies.
#[derive(Clone)]
pub(super) struct Correlator {
    full: Fft2,
    small: Fft2,
    window: Plane,
    /// Root of the weight of each kept coefficient, column by column of the small spectrum.
    weights: Vec<f32>,
    /// What two equal signatures would add up to.
    total: f32,
}

/// The phases of a plane inside the band: what is compared.
#[derive(Clone)]
pub(super) struct Signature(Vec<Complex32>);

/// A peak of a correlation surface: the shift in pixels of the correlated planes
/// and the height, 1 for equal planes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Peak {
    pub dx: f32,
    pub dy: f32,
    pub height: f32,
}

/// The smallest even number of at least `n` with no prime factor above 5, where
/// transforms are quick.
pub(super) fn quick_size(n: usize) -> usize {
    let smooth = |mut m: usize| {
        for p in [2, 3, 5] {
            while m > 1 && m.is_multiple_of(p) {
                m /= p;
            }
        }
        m == 1
    };
    (n.max(2)..).find(|&m| m % 2 == 0 && smooth(m)).unwrap_or(n)
}

impl Correlator {
    /// For planes of `width`×`height`, keeping `low..high` cycles per pixel;
    /// `taper` is the share of each side that the window fades over (1: Hann).
    pub(super) fn new(width: usize, height: usize, low: f32, high: f32, taper: f32) -> Self {
        let small_side = |n: usize| quick_size((2.0 * high * n as f32).ceil() as usize + 2).min(n);
        let (sw, sh) = (small_side(width), small_side(height));
        let (wx, wy) = (fade(width, taper), fade(height, taper));
        let mut weights = Vec::with_capacity((sw / 2 + 1) * sh);
        for u in 0..=sw / 2 {
            for v in 0..sh {
                let nyquist = 2 * u == sw || 2 * v == sh;
                let fv = if 2 * v > sh { v as f32 - sh as f32 } else { v as f32 };
                let f = (u as f32 / width as f32).hypot(fv / height as f32);
                let ramp = |x: f32| x.clamp(0.0, 1.0);
                let weight = ramp((f - 0.75 * low) / (0.5 * low)) * ramp((high - f) / (0.2 * high));
                weights.push(if nyquist { 0.0 } else { weight });
            }
        }
        let column = |u: usize| weights[u * sh..(u + 1) * sh].iter().sum::<f32>();
        let total = column(0) + 2.0 * (1..=sw / 2).map(column).sum::<f32>();
        Self {
            full: Fft2::new(width, height),
            small: Fft2::new(sw, sh),
            window: Plane::from_fn(width, height, |x, y| wx[x] * wy[y]),
            weights: weights.into_iter().map(f32::sqrt).collect(),
            total: total.max(f32::MIN_POSITIVE),
        }
    }

    /// Width and height of the planes it takes.
    pub(super) fn size(&self) -> (usize, usize) {
        self.full.size()
    }

    /// The signature of a plane, whose mean should be 0.
    pub(super) fn signature(&self, plane: &Plane) -> Result<Signature, SpectrumError> {
        let spectrum = self.full.forward(&plane.zip(&self.window, |p, w| p * w))?;
        let h = spectrum.height();
        let (sw, sh) = self.small.size();
        let mut out = Vec::with_capacity(self.weights.len());
        for u in 0..=sw / 2 {
            for v in 0..sh {
                let row = if 2 * v > sh { h - (sh - v) } else { v };
                let c = spectrum.data()[u * h + row];
                let weight = self.weights[u * sh + v];
                // A coefficient far below one grey level of texture has no phase.
                out.push(c * (weight / (c.norm_sqr().sqrt() + 1e-3)));
            }
        }
        Ok(Signature(out))
    }

    /// The correlation surface of two signatures: coarser than the planes by
    /// [`Self::step`], periodic, zero shift at the top left.
    pub(super) fn surface(&self, a: &Signature, b: &Signature) -> Result<Plane, SpectrumError> {
        let (sw, sh) = self.small.size();
        let norm = (sw * sh) as f32 / self.total;
        let data = a.0.iter().zip(&b.0).map(|(a, b)| a * b.conj() * norm).collect();
        self.small.inverse(Spectrum::from_columns(sw, sh, data)?)
    }

    /// Pixels of the planes per sample of a surface, along x and y.
    pub(super) fn step(&self) -> (f32, f32) {
        let ((w, h), (sw, sh)) = (self.full.size(), self.small.size());
        (w as f32 / sw as f32, h as f32 / sh as f32)
    }

    /// The highest point of a surface among shifts of at most `reach` pixels
    /// along each axis, to a fraction of a sample.
    pub(super) fn peak(&self, surface: &Plane, reach: (f32, f32)) -> Peak {
        let (step_x, step_y) = self.step();
        let (sw, sh) = (surface.width() as isize, surface.height() as isize);
        let rx = ((reach.0 / step_x).ceil() as isize).min((sw - 1) / 2);
        let ry = ((reach.1 / step_y).ceil() as isize).min((sh - 1) / 2);
        let mut best = (0, 0, f32::NEG_INFINITY);
        for y in -ry..=ry {
            let row = surface.row(y.rem_euclid(sh) as usize);
            // Shifts to the right lie at the row's start, those to the left at its end.
            let (right, left) = (&row[..=rx as usize], &row[(sw - rx) as usize..]);
            let shifts = right.iter().zip(0..).chain(left.iter().zip(-rx..));
            for (&v, x) in shifts {
                if v > best.2 {
                    best = (x, y, v);
                }
            }
        }
        let (x, y, height) = best;
        let at =
            |x: isize, y: isize| surface.row(y.rem_euclid(sh) as usize)[x.rem_euclid(sw) as usize];
        let (fx, gain_x) = vertex(at(x - 1, y), height, at(x + 1, y));
        let (fy, gain_y) = vertex(at(x, y - 1), height, at(x, y + 1));
        Peak {
            dx: (x as f32 + fx) * step_x,
            dy: (y as f32 + fy) * step_y,
            height: height + gain_x + gain_y,
        }
    }
}

/// Where the parabola through three samples peaks, relative to the middle one,
/// and how far above it.
fn vertex(before: f32, middle: f32, after: f32) -> (f32, f32) {
    let bend = before - 2.0 * middle + after;
    if bend >= 0.0 {
        return (0.0, 0.0);
    }
    let at = (0.5 * (before - after) / bend).clamp(-0.5, 0.5);
    (at, -0.25 * (before - after) * at)
}

/// A window that fades in and out over `taper` of its length as a raised cosine.
fn fade(n: usize, taper: f32) -> Vec<f32> {
    let edge = (0.5 * taper * n as f32).max(1.0);
    (0..n)
        .map(|i| {
            let inwards = (i as f32 + 0.5).min(n as f32 - i as f32 - 0.5);
            let t = (inwards / edge).min(1.0);
            0.5 - 0.5 * (std::f32::consts::PI * t).cos()
        })
        .collect()
}
