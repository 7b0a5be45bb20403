//! Two-dimensional Fourier transforms of real planes.
//!
//! A plan is made once per size and shared between threads. The spectrum of a
//! real plane is conjugate-symmetric, so only `width/2 + 1` columns are kept;
//! they lie column by column, the order in which the second pass leaves them.

// Transform passes: each index is bounded by the plan's own width and height.
#![allow(clippy::indexing_slicing)]

use crate::{Complex32, Plane};
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::{Fft, FftPlanner};
use std::sync::Arc;

/// A plane or spectrum of another size than the plan's.
#[derive(Debug, thiserror::Error)]
#[error("a plan for {expected} was given {given}")]
pub struct SpectrumError {
    expected: String,
    given: String,
}

/// The plan for planes of one size.
#[derive(Clone)]
pub struct Fft2 {
    width: usize,
    height: usize,
    rows: Arc<dyn RealToComplex<f32>>,
    rows_back: Arc<dyn ComplexToReal<f32>>,
    columns: Arc<dyn Fft<f32>>,
    columns_back: Arc<dyn Fft<f32>>,
}

/// Half of a real plane's spectrum, column by column: the value at horizontal
/// frequency `u` (0 to `width/2`) and vertical frequency `v` is `data[u·height + v]`.
#[derive(Clone, Debug)]
pub struct Spectrum {
    width: usize,
    height: usize,
    data: Vec<Complex32>,
}

impl Spectrum {
    /// The spectrum of a plane of `width`×`height` from its values, column by column.
    ///
    /// # Errors
    /// When there are not `(width/2 + 1)·height` values.
    pub fn from_columns(
        width: usize,
        height: usize,
        data: Vec<Complex32>,
    ) -> Result<Self, SpectrumError> {
        let wanted = (width / 2 + 1) * height;
        if data.len() == wanted {
            return Ok(Self { width, height, data });
        }
        let text = |n: usize| format!("{n} values");
        Err(SpectrumError { expected: text(wanted), given: text(data.len()) })
    }

    /// Width of the plane, in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height of the plane, in pixels: also the length of each column.
    pub fn height(&self) -> usize {
        self.height
    }

    /// All values, column by column.
    pub fn data(&self) -> &[Complex32] {
        &self.data
    }

    /// A spectrum of the same size, computed from the values of two.
    ///
    /// # Errors
    /// When the sizes differ.
    pub fn combine(
        &self,
        other: &Self,
        f: impl Fn(Complex32, Complex32) -> Complex32,
    ) -> Result<Self, SpectrumError> {
        check((self.width, self.height), (other.width, other.height))?;
        let data = self.data.iter().zip(&other.data).map(|(&a, &b)| f(a, b)).collect();
        Ok(Self { data, ..*self })
    }

    /// Each value replaced by `f(horizontal, vertical, value)`, with frequencies
    /// in cycles per pixel, the vertical one signed.
    pub fn map(&self, f: impl Fn(f32, f32, Complex32) -> Complex32) -> Self {
        let (w, h) = (self.width as f32, self.height);
        let mut data = Vec::with_capacity(self.data.len());
        for (u, column) in self.data.chunks_exact(h.max(1)).enumerate() {
            for (v, &value) in column.iter().enumerate() {
                let signed = if 2 * v > h { v as f32 - h as f32 } else { v as f32 };
                data.push(f(u as f32 / w, signed / h as f32, value));
            }
        }
        Self { data, ..*self }
    }
}

impl Fft2 {
    /// A plan for planes of `width`×`height` pixels, each at least 1; products of
    /// small primes are quick.
    pub fn new(width: usize, height: usize) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        let mut real = RealFftPlanner::new();
        let mut complex = FftPlanner::new();
        Self {
            width,
            height,
            rows: real.plan_fft_forward(width),
            rows_back: real.plan_fft_inverse(width),
            columns: complex.plan_fft_forward(height),
            columns_back: complex.plan_fft_inverse(height),
        }
    }

    /// Width and height of the planes it transforms.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// The spectrum of a plane, not normalised.
    ///
    /// # Errors
    /// When the plane has another size.
    pub fn forward(&self, plane: &Plane) -> Result<Spectrum, SpectrumError> {
        let (w, h) = (self.width, self.height);
        check((w, h), (plane.width(), plane.height()))?;
        let half = w / 2 + 1;
        let mut by_rows = vec![Complex32::default(); half * h];
        let mut line = vec![0.0; w];
        let mut scratch = self.rows.make_scratch_vec();
        for (y, out) in by_rows.chunks_exact_mut(half).enumerate() {
            line.copy_from_slice(plane.row(y));
            self.rows.process_with_scratch(&mut line, out, &mut scratch).map_err(foreign)?;
        }
        let mut data = vec![Complex32::default(); half * h];
        transpose(&by_rows, &mut data, half, h);
        let mut scratch = vec![Complex32::default(); self.columns.get_inplace_scratch_len()];
        self.columns.process_with_scratch(&mut data, &mut scratch);
        Ok(Spectrum { width: w, height: h, data })
    }

    /// The plane of a spectrum, normalised: `inverse(forward(p)) = p`.
    ///
    /// # Errors
    /// When the spectrum has another size.
    pub fn inverse(&self, spectrum: Spectrum) -> Result<Plane, SpectrumError> {
        let (w, h) = (self.width, self.height);
        check((w, h), (spectrum.width, spectrum.height))?;
        let half = w / 2 + 1;
        let mut data = spectrum.data;
        let mut scratch = vec![Complex32::default(); self.columns_back.get_inplace_scratch_len()];
        self.columns_back.process_with_scratch(&mut data, &mut scratch);
        let mut by_rows = vec![Complex32::default(); half * h];
        transpose(&data, &mut by_rows, h, half);
        let mut plane = Plane::new(w, h);
        let mut scratch = self.rows_back.make_scratch_vec();
        let norm = 1.0 / (w * h) as f32;
        let lines = by_rows.chunks_exact_mut(half).zip(plane.data_mut().chunks_exact_mut(w));
        for (line, out) in lines {
            // A real line has real ends; rounding may have left a trace there.
            line[0].im = 0.0;
            if w % 2 == 0 {
                line[half - 1].im = 0.0;
            }
            self.rows_back.process_with_scratch(line, out, &mut scratch).map_err(foreign)?;
            out.iter_mut().for_each(|v| *v *= norm);
        }
        Ok(plane)
    }
}

/// Writes `from` (lines of `width`) as lines of `height`, in tiles that fit the cache.
fn transpose(from: &[Complex32], to: &mut [Complex32], width: usize, height: usize) {
    const TILE: usize = 16;
    for y0 in (0..height).step_by(TILE) {
        for x0 in (0..width).step_by(TILE) {
            for x in x0..(x0 + TILE).min(width) {
                for y in y0..(y0 + TILE).min(height) {
                    to[x * height + y] = from[y * width + x];
                }
            }
        }
    }
}

fn check(expected: (usize, usize), given: (usize, usize)) -> Result<(), SpectrumError> {
    let text = |(w, h): (usize, usize)| format!("{w}×{h} pixels");
    if expected == given {
        Ok(())
    } else {
        Err(SpectrumError { expected: text(expected), given: text(given) })
    }
}

fn foreign(e: realfft::FftError) -> SpectrumError {
    SpectrumError { expected: "lines of its own length".into(), given: e.to_string() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn forward_and_back_gives_the_plane() {
        for (w, h) in [(16, 12), (15, 9), (64, 33)] {
            let p = Plane::from_fn(w, h, |x, y| ((x * 7 + y * 13) % 11) as f32);
            let fft = Fft2::new(w, h);
            let q = fft.inverse(fft.forward(&p).unwrap()).unwrap();
            assert!(p.data().iter().zip(q.data()).all(|(a, b)| (a - b).abs() < 1e-3));
            assert!(fft.forward(&Plane::new(w + 1, h)).is_err());
        }
    }

    #[test]
    fn a_shift_shows_as_the_phase() {
        let p = Plane::from_fn(32, 24, |x, y| ((x * x + 3 * y * y * x) % 17) as f32);
        let q =
            Plane::from_fn(32, 24, |x, y| p.at(((x + 27) % 32) as isize, ((y + 21) % 24) as isize));
        let fft = Fft2::new(32, 24);
        let (a, b) = (fft.forward(&p).unwrap(), fft.forward(&q).unwrap());
        let cross = b.combine(&a, |b, a| {
            let c = b * a.conj();
            c / c.norm().max(1e-9)
        });
        let r = fft.inverse(cross.unwrap()).unwrap();
        let best = (0..32 * 24).max_by(|&i, &j| r.data()[i].total_cmp(&r.data()[j])).unwrap();
        assert_eq!((best % 32, best / 32), (5, 3));
    }
}
