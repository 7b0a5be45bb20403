//! Yes-or-no images, how far each pixel is from a yes, and connected regions.

// Image kernels: each index is bounded by the loop over the mask's own width and height.
#![allow(clippy::indexing_slicing)]

/// One yes or no for each pixel, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mask {
    pub width: usize,
    pub height: usize,
    pub data: Vec<bool>,
}

/// Farther than any pixel.
pub(super) const FAR: f32 = 1e9;

impl Mask {
    /// Chamfer distance in pixels to the nearest `target` pixel: 0 on one, 1 beside
    /// it, √2 across a corner (Borgefors 1986).
    pub fn distance(&self, target: bool) -> Vec<f32> {
        const DIAGONAL: f32 = std::f32::consts::SQRT_2;
        let (w, h) = (self.width, self.height);
        let mut d: Vec<f32> =
            self.data.iter().map(|&v| if v == target { 0.0 } else { FAR }).collect();
        for y in 0..h {
            for x in 0..w {
                let i = y * w + x;
                let mut best = d[i];
                if best == 0.0 {
                    continue;
                }
                if x > 0 {
                    best = best.min(d[i - 1] + 1.0);
                }
                if y > 0 {
                    best = best.min(d[i - w] + 1.0);
                    if x > 0 {
                        best = best.min(d[i - w - 1] + DIAGONAL);
                    }
                    if x + 1 < w {
                        best = best.min(d[i - w + 1] + DIAGONAL);
                    }
                }
                d[i] = best;
            }
        }
        for y in (0..h).rev() {
            for x in (0..w).rev() {
                let i = y * w + x;
                let mut best = d[i];
                if best == 0.0 {
                    continue;
                }
                if x + 1 < w {
                    best = best.min(d[i + 1] + 1.0);
                }
                if y + 1 < h {
                    best = best.min(d[i + w] + 1.0);
                    if x > 0 {
                        best = best.min(d[i + w - 1] + DIAGONAL);
                    }
                    if x + 1 < w {
                        best = best.min(d[i + w + 1] + DIAGONAL);
                    }
                }
                d[i] = best;
            }
        }
        d
    }

    /// The 8-connected regions of `true`, each as the indices of its pixels.
    pub fn regions(&self) -> Vec<Vec<usize>> {
        let mut left = self.data.clone();
        let mut regions = Vec::new();
        for start in 0..left.len() {
            if !left[start] {
                continue;
            }
            left[start] = false;
            let mut region = vec![start];
            let mut next = 0;
            while let Some(&i) = region.get(next) {
                next += 1;
                let (x, y) = (i % self.width, i / self.width);
                for v in y.saturating_sub(1)..(y + 2).min(self.height) {
                    for u in x.saturating_sub(1)..(x + 2).min(self.width) {
                        let j = v * self.width + u;
                        if left[j] {
                            left[j] = false;
                            region.push(j);
                        }
                    }
                }
            }
            regions.push(region);
        }
        regions
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn mask(width: usize, height: usize, f: impl Fn(usize, usize) -> bool) -> Mask {
        let data = (0..width * height).map(|i| f(i % width, i / width)).collect();
        Mask { width, height, data }
    }

    #[test]
    fn distances_grow_from_the_nearest_target() {
        let m = mask(9, 9, |x, y| (x, y) == (4, 4));
        let d = m.distance(true);
        assert_eq!((d[4 * 9 + 4], d[4 * 9 + 6], d[0]), (0.0, 2.0, 4.0 * 2.0_f32.sqrt()));
        assert!(mask(3, 3, |_, _| false).distance(true).iter().all(|&v| v >= FAR));
    }

    #[test]
    fn regions_join_across_corners_only_when_they_touch() {
        let m = mask(8, 4, |x, y| x == y || x == 6);
        let mut sizes: Vec<usize> = m.regions().iter().map(Vec::len).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [4, 4]);
    }
}
