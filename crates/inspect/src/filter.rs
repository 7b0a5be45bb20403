//! Resizing, blurring and local normalisation of planes.

// Image kernels: each index is bounded by the loop over the plane's own width and height.
#![allow(clippy::indexing_slicing)]

use crate::Plane;

impl Plane {
    /// Resized to `width`×`height`: area average when shrinking, bilinear when
    /// growing, each axis by itself.
    pub fn resize(&self, width: usize, height: usize) -> Self {
        if (width, height) == (self.width(), self.height()) || self.data().is_empty() {
            return if self.data().is_empty() { Self::new(width, height) } else { self.clone() };
        }
        let columns = taps(self.width(), width);
        let rows = taps(self.height(), height);
        let mut wide = Self::new(width, self.height());
        for y in 0..self.height() {
            let source = self.row(y);
            let target = &mut wide.data_mut()[y * width..(y + 1) * width];
            for (out, (start, weights)) in target.iter_mut().zip(&columns) {
                *out = weights.iter().zip(&source[*start..]).map(|(w, v)| w * v).sum();
            }
        }
        let mut out = Self::new(width, height);
        for (y, (start, weights)) in rows.iter().enumerate() {
            let target = &mut out.data_mut()[y * width..(y + 1) * width];
            for (k, w) in weights.iter().enumerate() {
                for (o, v) in target.iter_mut().zip(wide.row(start + k)) {
                    *o += w * v;
                }
            }
        }
        out
    }

    /// Gaussian blur with standard deviation `sigma` in pixels: a sampled kernel
    /// when small, three box filters of the same variance when large.
    pub fn blur(&self, sigma: f32) -> Self {
        if sigma <= 0.0 || self.data().is_empty() {
            self.clone()
        } else if sigma < 2.5 {
            self.convolve(&gaussian(sigma))
        } else {
            let mut plane = self.clone();
            for radius in box_radii(sigma) {
                plane = plane.box_blur(radius);
            }
            plane
        }
    }

    /// The mean over a square of `2·radius + 1` pixels.
    pub fn box_blur(&self, radius: usize) -> Self {
        let (w, h) = (self.width(), self.height());
        if radius == 0 || self.data().is_empty() {
            return self.clone();
        }
        let norm = 1.0 / (2 * radius + 1) as f32;
        let mut wide = Self::new(w, h);
        for y in 0..h {
            box_row(self.row(y), &mut wide.data_mut()[y * w..(y + 1) * w], radius, norm);
        }
        // Down the columns as running sums of whole rows, which keeps memory in order.
        let mut out = Self::new(w, h);
        let row_at = |i: isize| wide.row(i.clamp(0, h as isize - 1) as usize);
        let r = radius as isize;
        let mut sum = vec![0.0_f32; w];
        for i in -r..=r {
            sum.iter_mut().zip(row_at(i)).for_each(|(s, v)| *s += v);
        }
        for y in 0..h {
            let target = &mut out.data_mut()[y * w..(y + 1) * w];
            let (old, new) = (row_at(y as isize - r), row_at(y as isize + r + 1));
            for (((t, s), o), n) in target.iter_mut().zip(&mut sum).zip(old).zip(new) {
                *t = *s * norm;
                *s += n - o;
            }
        }
        out
    }

    /// Local normalisation: the mean over `sigma` pixels is taken away and the
    /// rest divided by the local standard deviation, which `floor` keeps from
    /// blowing up noise on flat surfaces. Gain, offset and slow gradients of the
    /// light vanish.
    pub fn local_normalise(&self, sigma: f32, floor: f32) -> Self {
        let mean = self.blur(sigma);
        let centred = self.zip(&mean, |v, m| v - m);
        let variance = centred.map(|v| v * v).blur(sigma);
        centred.zip(&variance, |v, s| v / (s.max(0.0) + floor * floor).sqrt())
    }

    fn convolve(&self, kernel: &[f32]) -> Self {
        let (w, h) = (self.width(), self.height());
        let radius = kernel.len() / 2;
        let mut wide = Self::new(w, h);
        let mut padded = vec![0.0; w + 2 * radius];
        for y in 0..h {
            let row = self.row(y);
            padded[..radius].fill(row[0]);
            padded[radius..radius + w].copy_from_slice(row);
            padded[radius + w..].fill(row[w - 1]);
            let target = &mut wide.data_mut()[y * w..(y + 1) * w];
            for (k, weight) in kernel.iter().enumerate() {
                for (t, v) in target.iter_mut().zip(&padded[k..]) {
                    *t += weight * v;
                }
            }
        }
        let mut out = Self::new(w, h);
        for y in 0..h {
            let target = &mut out.data_mut()[y * w..(y + 1) * w];
            for (k, weight) in kernel.iter().enumerate() {
                let from = (y + k).saturating_sub(radius).min(h - 1);
                for (t, v) in target.iter_mut().zip(wide.row(from)) {
                    *t += weight * v;
                }
            }
        }
        out
    }
}

/// For each target sample, the first source sample it takes from and the weights.
fn taps(source: usize, target: usize) -> Vec<(usize, Vec<f32>)> {
    let scale = source as f32 / target as f32;
    let reach = scale.max(1.0);
    (0..target)
        .map(|i| {
            let centre = (i as f32 + 0.5) * scale - 0.5;
            let first = (centre - reach).ceil().max(0.0) as usize;
            let last = ((centre + reach).floor().max(0.0) as usize).min(source - 1);
            let first = first.min(last);
            let mut weights: Vec<f32> = (first..=last)
                .map(|s| (1.0 - (s as f32 - centre).abs() / reach).max(0.0))
                .collect();
            let sum: f32 = weights.iter().sum();
            if sum > 0.0 {
                weights.iter_mut().for_each(|w| *w /= sum);
            } else {
                weights = vec![1.0];
            }
            (first, weights)
        })
        .collect()
}

fn gaussian(sigma: f32) -> Vec<f32> {
    let radius = (3.0 * sigma).ceil() as i32;
    let kernel: Vec<f32> =
        (-radius..=radius).map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp()).collect();
    let sum: f32 = kernel.iter().sum();
    kernel.into_iter().map(|k| k / sum).collect()
}

/// Three box radii whose variances add up to `sigma`² as closely as whole pixels allow.
fn box_radii(sigma: f32) -> [usize; 3] {
    let ideal = (4.0 * sigma * sigma + 1.0).sqrt();
    let mut low = ideal.floor() as i32;
    if low % 2 == 0 {
        low -= 1;
    }
    let l = low as f32;
    let count = ((12.0 * sigma * sigma - 3.0 * l * l - 12.0 * l - 9.0) / (-4.0 * l - 4.0)).round();
    [0, 1, 2].map(|i| {
        let size = if (i as f32) < count { low } else { low + 2 };
        (size.max(1) / 2) as usize
    })
}

fn box_row(row: &[f32], out: &mut [f32], radius: usize, norm: f32) {
    let last = row.len() - 1;
    let mut sum: f32 = row[0] * radius as f32;
    for i in 0..=radius {
        sum += row[i.min(last)];
    }
    for (x, o) in out.iter_mut().enumerate() {
        *o = sum * norm;
        sum += row[(x + radius + 1).min(last)] - row[x.saturating_sub(radius)];
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn blurs_of_one_bright_point_keep_its_mass_and_variance() {
        for sigma in [1.0_f32, 2.0, 3.0, 8.0] {
            let mut p = Plane::new(101, 101);
            p.data_mut()[50 * 101 + 50] = 1.0;
            let b = p.blur(sigma);
            let mass: f32 = b.data().iter().sum();
            let spread: f32 =
                (0..101 * 101).map(|i| b.data()[i] * ((i % 101) as f32 - 50.0).powi(2)).sum();
            assert!((mass - 1.0).abs() < 1e-3, "σ {sigma}: mass {mass}");
            assert!((spread.sqrt() / sigma - 1.0).abs() < 0.06, "σ {sigma}: {}", spread.sqrt());
        }
    }

    #[test]
    fn resizing_keeps_a_ramp_a_ramp() {
        let ramp = Plane::from_fn(64, 48, |x, _| x as f32);
        for (w, h) in [(32, 24), (20, 13), (128, 96)] {
            let r = ramp.resize(w, h);
            let scale = 64.0 / w as f32;
            for x in 4..w - 4 {
                let want = (x as f32 + 0.5) * scale - 0.5;
                assert!(
                    (r.row(h / 2)[x] - want).abs() < 0.05,
                    "{w}×{h} at {x}: {}",
                    r.row(h / 2)[x]
                );
            }
        }
    }

    #[test]
    fn local_normalisation_undoes_gain_and_offset() {
        let p = Plane::from_fn(80, 60, |x, y| ((x * 37 + y * 91) % 23) as f32 / 23.0);
        let q = p.map(|v| 0.3 * v + 0.2);
        let (a, b) = (p.local_normalise(6.0, 1e-4), q.local_normalise(6.0, 1e-4));
        assert!(a.data().iter().zip(b.data()).all(|(x, y)| (x - y).abs() < 1e-2));
    }
}
