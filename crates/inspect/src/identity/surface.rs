//! A photograph brought to the working scale, with the light taken out.

use crate::{Plane, Transform};

/// Pixels of the working scale: coarse enough that sensor noise and JPEG blocks
/// average out, fine enough to keep the texture that tells parts apart.
pub(super) const WORKING_PIXELS: f32 = 120_000.0;

/// Variations wider than this many working pixels are light and shape, not texture.
pub(super) const TEXTURE_SIGMA: f32 = 3.0;

/// Radius over which the strength of the texture is averaged, in working pixels.
pub(super) const LIGHT_SIGMA: f32 = 10.0;

/// Texture this many times the local mean strength is half limited.
pub(super) const LIMIT: f32 = 0.5;

/// Texture below this share of full scale is taken for noise.
pub(super) const NOISE_FLOOR: f32 = 0.006;

/// A surface whose texture is weaker (root mean square, as a share of full scale)
/// carries too little to tell parts apart.
pub(super) const MIN_CONTRAST: f32 = 0.004;

/// A photograph at the working scale: texture alone, from -1 to 1.
#[derive(Clone)]
pub(super) struct Surface {
    pub plane: Plane,
    /// Half the working scale, for the coarse search.
    pub half: Plane,
    /// From working pixels to the photograph's own.
    pub to_photograph: Transform,
    /// Root mean square of the texture before limiting, as a share of full scale.
    pub contrast: f32,
}

impl Surface {
    pub(super) fn new(photograph: &Plane) -> Self {
        let (w, h) = (photograph.width() as f32, photograph.height() as f32);
        let factor = (WORKING_PIXELS / (w * h)).sqrt().min(1.0);
        let (ww, wh) = ((w * factor).round().max(8.0), (h * factor).round().max(8.0));
        let small = photograph.resize(ww as usize, wh as usize);
        let texture = small.zip(&small.blur(TEXTURE_SIGMA), |v, m| v - m);
        let contrast = texture.deviation();
        let strength = texture.map(f32::abs).blur(LIGHT_SIGMA);
        // A soft limiter: an edge, which all parts of a design share, weighs no more
        // than the same area of faint texture, which is the part's own.
        let plane = texture.zip(&strength, |v, s| {
            v / (v * v + (LIMIT * s).powi(2) + NOISE_FLOOR * NOISE_FLOOR).sqrt()
        });
        let half = plane.resize(ww as usize / 2, wh as usize / 2);
        // Pixel centres: the working pixel i covers [i, i + 1) times the scale.
        let (sx, sy) = (f64::from(w / ww), f64::from(h / wh));
        let to_photograph = Transform::translation(0.5, 0.5)
            .then(&Transform::scaling(sx, sy))
            .then(&Transform::translation(-0.5, -0.5));
        Self { plane, half, to_photograph, contrast }
    }
}

impl Surface {
    /// Whether there is enough texture to compare.
    pub(super) fn is_textured(&self) -> bool {
        self.contrast >= MIN_CONTRAST
    }
}

/// The centre of a plane, in pixel centres.
pub(super) fn centre(plane: &Plane) -> (f64, f64) {
    ((plane.width() as f64 - 1.0) / 2.0, (plane.height() as f64 - 1.0) / 2.0)
}
