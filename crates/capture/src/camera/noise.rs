//! Repeatable noise for rendering: a small generator (SplitMix64) and value noise
//! on a lattice. Nothing secret is made with it.
#![allow(clippy::indexing_slicing)] // lattices are sized for the pixels they serve

/// A repeatable stream of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Noise(u64);

impl Noise {
    /// The stream of a seed and a purpose, so that streams do not overlap.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        Self(mix(seed ^ mix(purpose)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Uniform in `lo..hi`.
    pub(crate) fn range(&mut self, lo: f32, hi: f32) -> f32 {
        lo + (hi - lo) * (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Uniform in -1..1.
    pub(crate) fn signed(&mut self) -> f32 {
        self.range(-1.0, 1.0)
    }

    /// About normal with deviation 1: the sum of four uniform numbers, from one
    /// draw, good enough for a sensor's noise.
    pub(crate) fn normal(&mut self) -> f32 {
        let bits = self.next();
        let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
        (sum as f32 / 65_536.0 - 2.0) * 1.732
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Smooth noise in two dimensions: random heights on a lattice, blended between.
pub(crate) struct Lattice {
    columns: usize,
    rows: usize,
    heights: Vec<f32>,
    cells: (f32, f32),
}

impl Lattice {
    /// A lattice over `width` × `height` points with cells of so many points.
    pub(crate) fn new(noise: &mut Noise, size: (usize, usize), cells: (f32, f32)) -> Self {
        let count = |length: usize, cell: f32| (length as f32 / cell) as usize + 3;
        let (columns, rows) = (count(size.0, cells.0), count(size.1, cells.1));
        let heights = (0..columns * rows).map(|_| noise.signed()).collect();
        Self { columns, rows, heights, cells }
    }

    /// The noise along one row of points, times `gain`.
    pub(crate) fn row(&self, y: usize, gain: f32) -> Row {
        let at = y as f32 / self.cells.1;
        let above = (at as usize).min(self.rows - 2);
        let t = smooth(at - above as f32);
        let (upper, lower) = self.heights[above * self.columns..].split_at(self.columns);
        let heights = upper.iter().zip(lower).map(|(a, b)| (a + (b - a) * t) * gain).collect();
        Row { heights, per_point: 1.0 / self.cells.0 }
    }
}

/// One row of a [`Lattice`].
pub(crate) struct Row {
    heights: Vec<f32>,
    per_point: f32,
}

impl Row {
    /// The noise at a point, which must not be negative.
    pub(crate) fn at(&self, x: f32) -> f32 {
        let at = x * self.per_point;
        let left = (at as usize).min(self.heights.len() - 2);
        let (a, b) = (self.heights[left], self.heights[left + 1]);
        a + (b - a) * smooth(at - left as f32)
    }
}

fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}
