//! Whether a template is drawn in two tones, and where they part.

use crate::Plane;

/// Two tones of an image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tones {
    /// The brightness midway between both.
    pub threshold: f32,
    /// Median of the darker and of the brighter side.
    dark: f32,
    bright: f32,
    /// How far pixels lie from their side's tone: the larger of both medians.
    spread: f32,
}

const BINS: usize = 256;
/// The least contrast of a drawing, and its greatest spread as a part of that.
const CONTRAST: f32 = 0.2;
const SPREAD: f32 = 0.06;

type Histogram = [u32; BINS];

impl Tones {
    /// The two tones that Otsu's threshold (1979) parts; `None` when the image has
    /// one brightness only.
    pub fn of(plane: &Plane) -> Option<Self> {
        let mut bins: Histogram = [0; BINS];
        for v in plane.data() {
            let bin = (v.clamp(0.0, 1.0) * (BINS - 1) as f32 + 0.5) as usize;
            if let Some(b) = bins.get_mut(bin) {
                *b += 1;
            }
        }
        let split = otsu(&bins)?;
        let (mut low, mut high) = (bins, bins);
        low.iter_mut().skip(split + 1).for_each(|n| *n = 0);
        high.iter_mut().take(split + 1).for_each(|n| *n = 0);
        let (dark, bright) = (median(&low)?, median(&high)?);
        let spread = deviation(&low, dark)?.max(deviation(&high, bright)?);
        let unit = |bin: usize| bin as f32 / (BINS - 1) as f32;
        let (dark, bright, spread) = (unit(dark), unit(bright), unit(spread));
        Some(Self { threshold: (dark + bright) / 2.0, dark, bright, spread })
    }

    /// Whether the image is a drawing in two tones, such as an etched board under
    /// even light. Medians overlook the soft pixels along edges.
    pub fn is_drawing(&self) -> bool {
        let contrast = self.bright - self.dark;
        contrast > CONTRAST && self.spread < SPREAD * contrast
    }
}

/// The last bin of the darker side.
fn otsu(bins: &Histogram) -> Option<usize> {
    let count: f64 = bins.iter().map(|&n| f64::from(n)).sum();
    let sum: f64 = bins.iter().enumerate().map(|(i, &n)| f64::from(n) * i as f64).sum();
    let (mut n, mut s) = (0.0, 0.0);
    let mut best = (0.0, None);
    for (i, &b) in bins.iter().enumerate() {
        n += f64::from(b);
        s += f64::from(b) * i as f64;
        if n == 0.0 || n >= count {
            continue;
        }
        let between = n * (count - n) * (s / n - (sum - s) / (count - n)).powi(2);
        if between > best.0 * (1.0 + 1e-9) {
            best = (between, Some(i));
        }
    }
    best.1
}

fn median(bins: &Histogram) -> Option<usize> {
    let half = bins.iter().sum::<u32>().div_ceil(2).max(1);
    bins.iter()
        .scan(0, |sum, &n| {
            *sum += n;
            Some(*sum)
        })
        .position(|sum| sum >= half)
}

/// Median distance from a bin, in bins.
fn deviation(bins: &Histogram, from: usize) -> Option<usize> {
    let mut distances: Histogram = [0; BINS];
    for (i, &n) in bins.iter().enumerate() {
        if let Some(d) = distances.get_mut(i.abs_diff(from)) {
            *d += n;
        }
    }
    median(&distances)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_has_two_tones_and_a_gradient_has_not() {
        let drawing =
            Plane::from_fn(64, 64, |x, y| if (x / 8 + y / 8) % 2 == 0 { 0.9 } else { 0.2 });
        let tones = Tones::of(&drawing).unwrap();
        assert!(tones.is_drawing() && (tones.threshold - 0.55).abs() < 0.02, "{tones:?}");
        let gradient = Plane::from_fn(64, 64, |x, _| x as f32 / 63.0);
        assert!(!Tones::of(&gradient).unwrap().is_drawing());
        assert!(Tones::of(&Plane::new(8, 8)).is_none());
    }
}
