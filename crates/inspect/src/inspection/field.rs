//! What one map for the whole leaves: small local shifts, from lens distortion,
//! a bent part or an uneven line camera.
//!
//! A regularised Lucas–Kanade field at half size: in each window the shift that
//! explains the difference best, pulled towards zero where a window holds no
//! structure. Windows are several times larger than a defect, and a shift can't
//! explain matter that came or went, so defects stay.

// Image kernels: each index is bounded by the loop over the plane's own width and height.
#![allow(clippy::indexing_slicing)]

use super::register::{Registration, gradient, resized};
use crate::{Plane, Transform};

const ROUNDS: usize = 2;
/// Windows are made of cells: each is this many half-size pixels wide, and a window
/// reaches this many cells to each side.
const CELL: usize = 4;
const RADIUS: usize = 3;
/// The greatest shift, in half-size pixels.
const REACH: f32 = 2.0;
const DAMPING: f32 = 0.04;

/// A photograph laid onto its template.
pub(super) struct Aligned {
    /// The photograph as the template sees it, in the template's brightness.
    pub plane: Plane,
    /// 1 where the photograph shows the template's pixel.
    pub mask: Plane,
    map: Transform,
    /// Shift in template pixels, horizontal and vertical.
    flow: (Plane, Plane),
}

/// Lays `photograph` onto `template` along `registration` and the local field.
pub(super) fn align(template: &Plane, photograph: &Plane, registration: &Registration) -> Aligned {
    let (w, h) = (template.width(), template.height());
    let (u, v) = field(template, photograph, registration);
    let (u, v) = (u.resize(w, h), v.resize(w, h));
    let (mut plane, mut mask) = (Plane::new(w, h), Plane::new(w, h));
    let m = registration.map.0.map(|v| v as f32);
    for y in 0..h {
        for x in 0..w {
            let i = y * w + x;
            let (xf, yf) = (x as f32 + u.data()[i], y as f32 + v.data()[i]);
            let at = (m[0] * xf + m[1] * yf + m[2], m[3] * xf + m[4] * yf + m[5]);
            if let Some(s) = photograph.sample(at.0, at.1) {
                plane.data_mut()[i] = registration.gain * s + registration.offset;
                mask.data_mut()[i] = 1.0;
            } else {
                plane.data_mut()[i] = template.data()[i];
            }
        }
    }
    Aligned { plane, mask, map: registration.map, flow: (u, v) }
}

fn field(template: &Plane, photograph: &Plane, registration: &Registration) -> (Plane, Plane) {
    let half = |p: &Plane| p.resize(p.width().div_ceil(2), p.height().div_ceil(2)).blur(0.8);
    let (t, p) = (half(template), half(photograph));
    let (w, h) = (t.width(), t.height());
    let scale = |small: &Plane, full: &Plane| {
        resized(
            small.width() as f64 / full.width() as f64,
            small.height() as f64 / full.height() as f64,
        )
    };
    let up = scale(&t, template).inverse().unwrap_or(Transform::IDENTITY);
    let map = up.then(&registration.map).then(&scale(&p, photograph));
    let (seen, mask) = p.warp(&map, w, h, 0.0);
    let seen = seen.map(|v| registration.gain * v + registration.offset);

    let (gx, gy) = gradient(&t);
    let (cw, ch) = (w.div_ceil(CELL), h.div_ceil(CELL));
    let window = |p: &Plane| p.resize(cw, ch).box_blur(RADIUS).box_blur(1);
    let products =
        [(&gx, &gx), (&gx, &gy), (&gy, &gy)].map(|(a, b)| window(&a.zip(b, |a, b| a * b)));
    let [xx, xy, yy] = products;
    let damping = DAMPING * (xx.mean() + yy.mean()) / 2.0 + 1e-9;
    let (mut u, mut v) = (Plane::new(cw, ch), Plane::new(cw, ch));
    for _ in 0..ROUNDS {
        let (mut ex, mut ey) = (Plane::new(w, h), Plane::new(w, h));
        let (uw, vw) = (u.resize(w, h), v.resize(w, h));
        for y in 0..h {
            for x in 0..w {
                let i = y * w + x;
                let (dx, dy) = (gx.data()[i], gy.data()[i]);
                if mask.data()[i] == 0.0 || dx * dx + dy * dy < 1e-6 {
                    continue;
                }
                let at = (x as f32 + uw.data()[i], y as f32 + vw.data()[i]);
                if let Some(s) = seen.sample(at.0, at.1) {
                    let e = t.data()[i] - s;
                    ex.data_mut()[i] = dx * e;
                    ey.data_mut()[i] = dy * e;
                }
            }
        }
        let (ex, ey) = (window(&ex), window(&ey));
        for i in 0..cw * ch {
            let (a, b, c) = (xx.data()[i] + damping, xy.data()[i], yy.data()[i] + damping);
            let det = a * c - b * b;
            let (p, q) = (ex.data()[i], ey.data()[i]);
            let step = ((c * p - b * q) / det, (a * q - b * p) / det);
            u.data_mut()[i] = (u.data()[i] + step.0).clamp(-REACH, REACH);
            v.data_mut()[i] = (v.data()[i] + step.1).clamp(-REACH, REACH);
        }
    }
    // Shifts were found in half-size pixels.
    let (sx, sy) = (template.width() as f32 / w as f32, template.height() as f32 / h as f32);
    (u.map(|v| v * sx), v.map(|v| v * sy))
}

impl Aligned {
    /// The local shift at a template pixel.
    pub fn shift(&self, x: usize, y: usize) -> (f32, f32) {
        (self.flow.0.at(x as isize, y as isize), self.flow.1.at(x as isize, y as isize))
    }

    /// Where a rectangle `[x0, y0, x1, y1]` of the template lies in the photograph,
    /// as the upright rectangle around it.
    pub fn locate(&self, [x0, y0, x1, y1]: [f64; 4]) -> [f64; 4] {
        let at = |x: f64, y: f64| {
            let (u, v) = self.shift(x.max(0.0) as usize, y.max(0.0) as usize);
            self.map.apply(x + f64::from(u), y + f64::from(v))
        };
        let corners = [at(x0, y0), at(x1, y0), at(x0, y1), at(x1, y1)];
        corners.iter().fold(
            [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY],
            |r, &(x, y)| [r[0].min(x), r[1].min(y), r[2].max(x), r[3].max(y)],
        )
    }
}
