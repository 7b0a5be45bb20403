//! The picture that explains an identity: the photograph under a heat map of
//! where its surface agrees with the enrolled one.

// Image kernels: each index is bounded by the loop over the field's own width and height.
#![allow(clippy::indexing_slicing)]

use super::THRESHOLD;
use super::matcher::{Comparison, Enrolment, Probe};
use crate::{Canvas, ImageError, Photograph, Picture, Plane};

/// Longer side of a picture, in pixels.
const SIDE: f64 = 1000.0;

/// The photograph, green where its surface agrees with the enrolled one, red
/// where it doesn't, plain where the enrolled surface does not reach.
pub(super) fn agreement(
    name: String,
    photograph: &Photograph,
    probe: &Probe,
    enrolment: &Enrolment,
    comparison: &Comparison,
) -> Result<Picture, ImageError> {
    let plane = &photograph.plane;
    let (w, h) = (plane.width() as f64, plane.height() as f64);
    let factor = (SIDE / w.max(h)).min(1.0);
    let shown = plane.resize((w * factor).round() as usize, (h * factor).round() as usize);
    let mut canvas = Canvas::from_plane(&shown);
    let (field, weight) = field(enrolment, comparison);
    // From the picture's pixels over the photograph's and the working ones to the reference's.
    let (Some(to_working), Some(back)) =
        (probe.0.to_photograph.inverse(), comparison.map.inverse())
    else {
        return Ok(Picture { name, png: canvas.to_png()? });
    };
    let map = crate::Transform::scaling(1.0 / factor, 1.0 / factor).then(&to_working).then(&back);
    let full = 2.0 * THRESHOLD as f32;
    for y in 0..shown.height() {
        for x in 0..shown.width() {
            let (u, v) = map.apply(x as f64, y as f64);
            let at = (u as f32, v as f32);
            let seen = weight.sample(at.0, at.1).unwrap_or(0.0);
            if seen > 1e-3 {
                let agreement = field.sample(at.0, at.1).unwrap_or(0.0) / seen;
                canvas.blend(x as i64, y as i64, Canvas::heat(agreement / full), 0.4);
            }
        }
    }
    Ok(Picture { name, png: canvas.to_png()? })
}

/// The blocks' agreement spread over the reference, times a weight that fades
/// towards each block's edge, and that weight.
fn field(enrolment: &Enrolment, comparison: &Comparison) -> (Plane, Plane) {
    let (w, h) = (enrolment.surface.plane.width(), enrolment.surface.plane.height());
    let (bw, bh) = enrolment.blocks.block();
    let tent = |i: usize, n: usize| (i.min(n - 1 - i) as f32 + 0.5) / n as f32;
    let (mut field, mut weight) = (Plane::new(w, h), Plane::new(w, h));
    for vote in &comparison.votes {
        let Some(agreement) = vote.agreement else {
            continue;
        };
        for y in 0..bh {
            for x in 0..bw {
                let k = tent(x, bw) * tent(y, bh);
                let i = (vote.corner.1 + y) * w + vote.corner.0 + x;
                field.data_mut()[i] += k * agreement.max(0.0);
                weight.data_mut()[i] += k;
            }
        }
    }
    (field, weight)
}
