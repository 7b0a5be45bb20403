//! Bringing a photograph onto its template: one affine map for the whole, found
//! coarse to fine.
//!
//! Phase-only correlation of small copies gives the shift, also at a few angles
//! when the upright one doesn't fit; Gauss–Newton steps on an image pyramid
//! (Baker and Matthews, "Lucas–Kanade 20 years on", 2004) refine it to an affine
//! map and a gain and offset of the light. Residuals are weighted after Cauchy, so
//! that defects don't pull the map towards themselves. The result carries its own
//! correlation: a photograph of something else gives a low one, never an error.

// Image kernels: each index is bounded by the loop over the plane's own width and height.
#![allow(clippy::indexing_slicing)]

use crate::{Fft2, Plane, Transform};

/// How a photograph lies on its template.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registration {
    /// Where a point of the template lies in the photograph.
    pub map: Transform,
    /// Brightness of the template = `gain` · that of the photograph + `offset`.
    pub gain: f32,
    /// See [`Self::gain`].
    pub offset: f32,
    /// Correlation of both after alignment, from −1 to 1.
    pub correlation: f32,
}

/// Above this correlation the upright start is taken without trying others.
const GOOD: f32 = 0.85;
/// Steps end when they gain less correlation than this.
const ENOUGH: f32 = 1e-4;
const ANGLES: [f64; 5] = [0.0, -3.0, 3.0, -6.0, 6.0];

/// Finds the map from `template` to `photograph`.
pub(super) fn register(template: &Plane, photograph: &Plane) -> Registration {
    let levels = pyramid(template, photograph);
    let framing = Transform::scaling(
        photograph.width() as f64 / template.width() as f64,
        photograph.height() as f64 / template.height() as f64,
    );
    let mut best = Registration { map: framing, gain: 1.0, offset: 0.0, correlation: -1.0 };
    let Some((coarsest, finer)) = levels.split_last() else {
        return best;
    };
    let fft = Fft2::new(coarsest.template.width(), coarsest.template.height());
    for angle in ANGLES {
        let turned = Transform::similarity(angle.to_radians(), 1.0, coarsest.centre(), (0.0, 0.0))
            .then(&coarsest.to_level(&framing));
        for start in [shift(&fft, coarsest, &turned), Some(turned)].into_iter().flatten() {
            let fit = coarsest.refine(coarsest.to_full(&start), 12);
            if fit.correlation > best.correlation {
                best = fit;
            }
        }
        if best.correlation > GOOD {
            break;
        }
    }
    for level in finer.iter().rev() {
        best = level.refine(best.map, 4);
    }
    best
}

/// Both images at one scale.
struct Level {
    template: Plane,
    photograph: Plane,
    /// Size here per full size: template in x and y, photograph in x and y.
    scale: [f64; 4],
}

/// From about 320 pixels on the shorter side down to about 80.
fn pyramid(template: &Plane, photograph: &Plane) -> Vec<Level> {
    let side = template.width().min(template.height()) as f64;
    let mut levels = Vec::new();
    for target in [320.0, 160.0, 80.0] {
        if target > side && !levels.is_empty() {
            continue;
        }
        let factor = (target / side).min(1.0);
        let sized = |p: &Plane| {
            let at = |n: usize| ((n as f64 * factor).round() as usize).max(1);
            let small = p.resize(at(p.width()), at(p.height())).blur(1.2);
            let scale = [
                small.width() as f64 / p.width() as f64,
                small.height() as f64 / p.height() as f64,
            ];
            (small, scale)
        };
        let ((template, a), (photograph, b)) = (sized(template), sized(photograph));
        levels.push(Level { template, photograph, scale: [a[0], a[1], b[0], b[1]] });
    }
    levels
}

/// Full coordinates to those of a copy resized by `(sx, sy)`, pixel centres being whole.
pub(super) fn resized(sx: f64, sy: f64) -> Transform {
    Transform::affine([sx, 0.0, (sx - 1.0) / 2.0, 0.0, sy, (sy - 1.0) / 2.0])
}

impl Level {
    fn centre(&self) -> (f64, f64) {
        (self.template.width() as f64 / 2.0, self.template.height() as f64 / 2.0)
    }

    fn to_level(&self, map: &Transform) -> Transform {
        let [tx, ty, px, py] = self.scale;
        let back = resized(tx, ty).inverse().unwrap_or(Transform::IDENTITY);
        back.then(map).then(&resized(px, py))
    }

    fn to_full(&self, map: &Transform) -> Transform {
        let [tx, ty, px, py] = self.scale;
        let out = resized(px, py).inverse().unwrap_or(Transform::IDENTITY);
        resized(tx, ty).then(map).then(&out)
    }

    /// Gauss–Newton steps from a full-size map.
    fn refine(&self, map: Transform, steps: usize) -> Registration {
        let t = &self.template;
        let (w, h) = (t.width(), t.height());
        let (gx, gy) = gradient(t);
        let mut local = self.to_level(&map);
        let mut result = Registration { map, gain: 1.0, offset: 0.0, correlation: -1.0 };
        let (cx, cy) = self.centre();
        let unit = 2.0 / w.max(h) as f32;
        for _ in 0..steps {
            let (seen, mask) = self.photograph.warp(&local, w, h, 0.0);
            let Some(light) = Light::fit(t, &seen, &mask) else {
                return result;
            };
            let gained = light.correlation - result.correlation;
            if gained <= 0.0 {
                break;
            }
            result = Registration {
                map: self.to_full(&local),
                gain: light.gain,
                offset: light.offset,
                correlation: light.correlation,
            };
            if gained < ENOUGH {
                break;
            }
            let cut = (2.0 * light.residual).max(0.02);
            let (mut a, mut b) = ([[0.0_f64; 6]; 6], [0.0_f64; 6]);
            for y in 1..h.saturating_sub(1) {
                let yn = (y as f32 - cy as f32) * unit;
                for x in 1..w.saturating_sub(1) {
                    let i = y * w + x;
                    let (dx, dy) = (gx.data()[i], gy.data()[i]);
                    if mask.data()[i] == 0.0 || dx * dx + dy * dy < 1e-5 {
                        continue;
                    }
                    let e = t.data()[i] - light.gain * seen.data()[i] - light.offset;
                    let weight = 1.0 / (1.0 + (e / cut) * (e / cut));
                    let xn = (x as f32 - cx as f32) * unit;
                    let j = [dx * xn, dx * yn, dx, dy * xn, dy * yn, dy];
                    for r in 0..6 {
                        let wj = weight * j[r];
                        b[r] += f64::from(wj * e);
                        for c in r..6 {
                            a[r][c] += f64::from(wj * j[c]);
                        }
                    }
                }
            }
            let Some(p) = solve(a, b) else { return result };
            // The step is found in centred coordinates scaled to ±1.
            let u = f64::from(unit);
            let step = Transform::affine([
                1.0 + p[0] * u,
                p[1] * u,
                p[2] - u * (p[0] * cx + p[1] * cy),
                p[3] * u,
                1.0 + p[4] * u,
                p[5] - u * (p[3] * cx + p[4] * cy),
            ]);
            local = step.then(&local);
        }
        result
    }
}

/// The gain and offset that make one image look like another.
struct Light {
    gain: f32,
    offset: f32,
    correlation: f32,
    /// Mean absolute difference left.
    residual: f32,
}

impl Light {
    /// `None` when less than a third overlaps or there is nothing to see.
    fn fit(template: &Plane, seen: &Plane, mask: &Plane) -> Option<Self> {
        let (mut n, mut st, mut ss, mut tt, mut s2, mut ts) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        for ((&t, &s), &m) in template.data().iter().zip(seen.data()).zip(mask.data()) {
            let (t, s, m) = (f64::from(t), f64::from(s), f64::from(m));
            n += m;
            st += m * t;
            ss += m * s;
            tt += m * t * t;
            s2 += m * s * s;
            ts += m * t * s;
        }
        if n < template.data().len() as f64 / 3.0 {
            return None;
        }
        let (vt, vs, c) = (tt - st * st / n, s2 - ss * ss / n, ts - st * ss / n);
        if vt / n < 1e-8 || vs / n < 1e-8 {
            return None;
        }
        // The symmetric gain: regression would shrink it by what doesn't agree.
        let gain = (vt / vs).sqrt();
        let offset = (st - gain * ss) / n;
        let (gain, offset) = (gain as f32, offset as f32);
        let sum: f32 = template
            .data()
            .iter()
            .zip(seen.data())
            .zip(mask.data())
            .map(|((t, s), m)| m * (t - gain * s - offset).abs())
            .sum();
        Some(Self {
            gain,
            offset,
            correlation: (c / (vt * vs).sqrt()) as f32,
            residual: sum / n as f32,
        })
    }
}

/// The shift to put before `map` that phase-only correlation finds.
fn shift(fft: &Fft2, level: &Level, map: &Transform) -> Option<Transform> {
    let t = &level.template;
    let (w, h) = (t.width(), t.height());
    let (seen, mask) = level.photograph.warp(map, w, h, 0.0);
    let flat = |p: &Plane, mask: Option<&Plane>| {
        let mean = p.mean();
        let hann = |i: usize, n: usize| {
            0.5 - 0.5 * (std::f32::consts::TAU * (i as f32 + 0.5) / n as f32).cos()
        };
        Plane::from_fn(w, h, |x, y| {
            let inside = mask.is_none_or(|m| m.row(y)[x] > 0.0);
            if inside { (p.row(y)[x] - mean) * hann(x, w) * hann(y, h) } else { 0.0 }
        })
    };
    let a = fft.forward(&flat(t, None)).ok()?;
    let b = fft.forward(&flat(&seen, Some(&mask))).ok()?;
    let cross = b.combine(&a, |b, a| {
        let c = b * a.conj();
        c / c.norm().max(1e-12)
    });
    let soft = cross.ok()?.map(|u, v, c| c * (-(u * u + v * v) * 18.0).exp());
    let peak = fft.inverse(soft).ok()?;
    let best = (0..w * h).max_by(|&i, &j| peak.data()[i].total_cmp(&peak.data()[j]))?;
    let signed = |i: usize, n: usize| {
        if 2 * i > n { i as f64 - n as f64 } else { i as f64 }
    };
    Some(Transform::translation(signed(best % w, w), signed(best / w, h)).then(map))
}

/// Central differences.
pub(super) fn gradient(p: &Plane) -> (Plane, Plane) {
    let (w, h) = (p.width(), p.height());
    let (mut gx, mut gy) = (Plane::new(w, h), Plane::new(w, h));
    for y in 1..h.saturating_sub(1) {
        let (above, row, below) = (p.row(y - 1), p.row(y), p.row(y + 1));
        for x in 1..w.saturating_sub(1) {
            gx.data_mut()[y * w + x] = (row[x + 1] - row[x - 1]) / 2.0;
            gy.data_mut()[y * w + x] = (below[x] - above[x]) / 2.0;
        }
    }
    (gx, gy)
}

/// Solves a symmetric system given by its upper triangle (Cholesky), with a trace
/// of damping; `None` when it stays singular.
fn solve(mut a: [[f64; 6]; 6], mut b: [f64; 6]) -> Option<[f64; 6]> {
    let trace: f64 = (0..6).map(|i| a[i][i]).sum();
    for i in 0..6 {
        a[i][i] += 1e-6 * trace + 1e-12;
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| a[i][k] * a[j][k]).sum();
            let rest = if i == j { a[i][i] - dot } else { a[j][i] - dot };
            if i == j {
                if rest <= 0.0 {
                    return None;
                }
                a[i][i] = rest.sqrt();
            } else {
                a[i][j] = rest / a[j][j];
            }
        }
    }
    for i in 0..6 {
        let dot: f64 = (0..i).map(|k| a[i][k] * b[k]).sum();
        b[i] = (b[i] - dot) / a[i][i];
    }
    for i in (0..6).rev() {
        let dot: f64 = (i + 1..6).map(|k| a[k][i] * b[k]).sum();
        b[i] = (b[i] - dot) / a[i][i];
    }
    Some(b)
}
