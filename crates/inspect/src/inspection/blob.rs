//! From a map of differences to blobs: connected places where enough differs.
//!
//! Hysteresis: a blob starts where the difference is strong and grows a little way
//! over what differs weakly, so that the thin slivers along edges, which are all
//! that misalignment leaves, neither start blobs nor join them.

// Image kernels: each index is bounded by the loop over the mask's own width and height.
#![allow(clippy::indexing_slicing)]

use super::mask::Mask;

/// Blobs beyond this many are dropped, smallest first: a photograph of something
/// else must not cost minutes.
pub(super) const MAX_BLOBS: usize = 400;
/// How far a blob grows from its seeds over weak differences, in pixels.
const GROWTH: usize = 3;
/// Seeds closer than twice this belong to one blob.
const JOIN: usize = 3;

/// A place where photograph and template differ in one direction.
#[derive(Clone, Debug)]
pub(super) struct Blob {
    /// True where the photograph has what the template lacks (dark on bright boards:
    /// conductor; in grey images: brightness).
    pub added: bool,
    /// Indices of its pixels, row by row.
    pub pixels: Vec<usize>,
    /// Left, top, and the first column and row beyond.
    pub bounds: [usize; 4],
}

impl Blob {
    pub fn new(added: bool, mut pixels: Vec<usize>, width: usize) -> Self {
        pixels.sort_unstable();
        let mut bounds = [usize::MAX, usize::MAX, 0, 0];
        for i in &pixels {
            let (x, y) = (i % width, i / width);
            bounds =
                [bounds[0].min(x), bounds[1].min(y), bounds[2].max(x + 1), bounds[3].max(y + 1)];
        }
        Self { added, pixels, bounds }
    }
}

/// The blobs of one direction: `strength` is how much each pixel differs, 0 where
/// it doesn't; they start at `seed` and grow over `weak`.
pub(super) fn find(
    strength: &[f32],
    (width, height): (usize, usize),
    added: bool,
    seed: f32,
    weak: f32,
) -> Vec<Blob> {
    let around = |i: usize, r: usize| {
        let (x, y) = (i % width, i / width);
        let columns = x.saturating_sub(r)..(x + r + 1).min(width);
        (y.saturating_sub(r)..(y + r + 1).min(height))
            .flat_map(move |v| columns.clone().map(move |u| v * width + u))
    };
    let mut grown = vec![false; width * height];
    let mut front: Vec<usize> =
        strength.iter().enumerate().filter(|(_, s)| **s >= seed).map(|(i, _)| i).collect();
    front.iter().for_each(|&i| grown[i] = true);
    let mut all = front.clone();
    for _ in 0..GROWTH {
        let mut next = Vec::new();
        for &i in &front {
            for j in around(i, 1) {
                if !grown[j] && strength[j] >= weak {
                    grown[j] = true;
                    next.push(j);
                }
            }
        }
        all.extend(&next);
        front = next;
    }
    let mut near = Mask { width, height, data: vec![false; width * height] };
    for &i in &all {
        for j in around(i, JOIN) {
            near.data[j] = true;
        }
    }
    let mut blobs: Vec<Blob> = near
        .regions()
        .into_iter()
        .map(|r| Blob::new(added, r.into_iter().filter(|&i| grown[i]).collect(), width))
        .collect();
    if blobs.len() > MAX_BLOBS {
        blobs.sort_by_key(|b| std::cmp::Reverse(b.pixels.len()));
        blobs.truncate(MAX_BLOBS);
    }
    blobs
}
