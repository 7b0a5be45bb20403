//! Plane projective maps and warping with a mask of what was seen.

// Image kernels: each index is bounded by the loop over the plane's own width and height.
#![allow(clippy::indexing_slicing)]

use crate::Plane;
use serde::{Deserialize, Serialize};

/// A projective map of the plane, as a 3×3 matrix in row order; similarities and
/// affine maps are special cases. Points are pixel centres: the top left is (0, 0).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transform(pub [f64; 9]);

impl Transform {
    /// The map that changes nothing.
    pub const IDENTITY: Self = Self([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);

    /// A shift by `(dx, dy)` pixels.
    pub fn translation(dx: f64, dy: f64) -> Self {
        Self([1.0, 0.0, dx, 0.0, 1.0, dy, 0.0, 0.0, 1.0])
    }

    /// `x, y` scaled apart.
    pub fn scaling(sx: f64, sy: f64) -> Self {
        Self([sx, 0.0, 0.0, 0.0, sy, 0.0, 0.0, 0.0, 1.0])
    }

    /// The similarity that turns by `angle` radians (from x towards y), scales by
    /// `scale`, both about `centre`, and then shifts by `shift`.
    pub fn similarity(angle: f64, scale: f64, centre: (f64, f64), shift: (f64, f64)) -> Self {
        let (sin, cos) = angle.sin_cos();
        let (a, b) = (scale * cos, scale * sin);
        let (cx, cy) = centre;
        Self([
            a,
            -b,
            cx - a * cx + b * cy + shift.0,
            b,
            a,
            cy - b * cx - a * cy + shift.1,
            0.0,
            0.0,
            1.0,
        ])
    }

    /// The affine map with rows `(a, b, c)` and `(d, e, f)`.
    pub fn affine(rows: [f64; 6]) -> Self {
        let [a, b, c, d, e, f] = rows;
        Self([a, b, c, d, e, f, 0.0, 0.0, 1.0])
    }

    /// Where a point goes; not finite for points on the map's horizon.
    pub fn apply(&self, x: f64, y: f64) -> (f64, f64) {
        let m = &self.0;
        let w = m[6] * x + m[7] * y + m[8];
        ((m[0] * x + m[1] * y + m[2]) / w, (m[3] * x + m[4] * y + m[5]) / w)
    }

    /// First `self`, then `next`.
    pub fn then(&self, next: &Self) -> Self {
        let (a, b) = (&next.0, &self.0);
        let mut m = [0.0; 9];
        for row in 0..3 {
            for column in 0..3 {
                m[3 * row + column] = (0..3).map(|k| a[3 * row + k] * b[3 * k + column]).sum();
            }
        }
        Self(m)
    }

    /// The same map in other pixels: `size` is the side of one such pixel in
    /// pixels of this map, so 0.5 is for images of twice the resolution.
    pub fn in_pixels_of(&self, size: f64) -> Self {
        // Pixel i covers [i, i + 1), so centres lie at i + ½.
        let about = |s: f64| {
            Self::translation(0.5, 0.5)
                .then(&Self::scaling(s, s))
                .then(&Self::translation(-0.5, -0.5))
        };
        about(size).then(self).then(&about(1.0 / size))
    }

    /// The inverse map, or `None` when there is none.
    pub fn inverse(&self) -> Option<Self> {
        let [a, b, c, d, e, f, g, h, i] = self.0;
        let (p, q, r) = (e * i - f * h, f * g - d * i, d * h - e * g);
        let det = a * p + b * q + c * r;
        if !det.is_finite() || det.abs() < 1e-12 {
            return None;
        }
        let m = [
            p,
            c * h - b * i,
            b * f - c * e,
            q,
            a * i - c * g,
            c * d - a * f,
            r,
            b * g - a * h,
            a * e - b * d,
        ];
        Some(Self(m.map(|v| v / det)))
    }

    /// The turn in radians and the scale of the map's linear part, exact for similarities.
    pub fn angle_and_scale(&self) -> (f64, f64) {
        let m = &self.0;
        let (a, b) = ((m[0] + m[4]) / 2.0, (m[3] - m[1]) / 2.0);
        (b.atan2(a), a.hypot(b))
    }
}

impl Plane {
    /// The plane seen through a map: the sample at `(x, y)` of the result is taken
    /// at `from.apply(x, y)` here. The second plane is 1 where that point lies
    /// inside this plane and 0 elsewhere, where the first is `outside`.
    pub fn warp(
        &self,
        from: &Transform,
        width: usize,
        height: usize,
        outside: f32,
    ) -> (Self, Self) {
        let mut plane = Self::new(width, height);
        let mut mask = Self::new(width, height);
        let m = &from.0;
        let affine = m[6] == 0.0 && m[7] == 0.0 && m[8] == 1.0;
        for y in 0..height {
            let row = y * width..(y + 1) * width;
            let out = plane.data_mut()[row.clone()].iter_mut().zip(&mut mask.data_mut()[row]);
            let start = from.apply(0.0, y as f64);
            for (x, (p, k)) in out.enumerate() {
                let (sx, sy) = if affine {
                    (start.0 + m[0] * x as f64, start.1 + m[3] * x as f64)
                } else {
                    from.apply(x as f64, y as f64)
                };
                match self.sample(sx as f32, sy as f32) {
                    Some(v) => (*p, *k) = (v, 1.0),
                    None => *p = outside,
                }
            }
        }
        (plane, mask)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_map_then_its_inverse_changes_nothing() {
        let t = Transform::similarity(0.3, 1.2, (40.0, 30.0), (5.0, -7.0))
            .then(&Transform([1.0, 0.02, 3.0, 0.01, 0.9, 4.0, 1e-4, 2e-4, 1.0]));
        let (x, y) = t.apply(12.0, 34.0);
        let (u, v) = t.inverse().unwrap().apply(x, y);
        assert!((u - 12.0).abs() < 1e-9 && (v - 34.0).abs() < 1e-9);
        assert!(Transform::scaling(0.0, 1.0).inverse().is_none());
    }

    #[test]
    fn a_similarity_turns_about_its_centre() {
        let t = Transform::similarity(0.2, 0.9, (10.0, 20.0), (1.0, 2.0));
        let (x, y) = t.apply(10.0, 20.0);
        assert!((x - 11.0).abs() < 1e-9 && (y - 22.0).abs() < 1e-9);
        let (angle, scale) = t.angle_and_scale();
        assert!((angle - 0.2).abs() < 1e-9 && (scale - 0.9).abs() < 1e-9);
    }

    #[test]
    fn warping_marks_what_was_not_seen() {
        let p = Plane::from_fn(20, 10, |x, y| (x + y) as f32);
        let (q, mask) = p.warp(&Transform::translation(5.0, 0.0), 20, 10, -1.0);
        assert_eq!((q.at(3, 4), mask.at(3, 4)), (12.0, 1.0));
        assert_eq!((q.at(16, 4), mask.at(16, 4)), (-1.0, 0.0));
    }
}
