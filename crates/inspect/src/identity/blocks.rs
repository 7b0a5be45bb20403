//! Fine alignment and voting by blocks.
//!
//! Once the photograph lies roughly over the enrolled surface, each block of it
//! is correlated by itself. Blocks of the same part agree on one similarity map;
//! a covered or worn block is outvoted, and blocks of another part agree on
//! nothing.

use super::phase::{Correlator, Peak, Signature};
use super::surface::centre;
use crate::{Plane, SpectrumError, Transform};

/// Side of a block in working pixels; about 256 pixels of a photograph of half a megapixel.
pub(super) const BLOCK: usize = 128;
/// Band in cycles per working pixel.
pub(super) const BAND: (f32, f32) = (0.04, 0.4);
/// A block that the photograph shows less than this share of has no vote.
const MIN_SEEN: f32 = 0.6;

/// A block whose limited texture has a smaller root mean square is blank: it has
/// no vote. Full texture comes close to 1.
pub(super) const MIN_TEXTURE: f32 = 0.25;

/// The enrolled surface in blocks.
pub(super) struct Blocks {
    correlator: Correlator,
    size: (usize, usize),
    /// Share of all blocks that are not blank.
    textured: f64,
    entries: Vec<(usize, usize, Signature)>,
}

/// What one block says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vote {
    /// Top left corner of the block, in working pixels of the reference.
    pub corner: (usize, usize),
    /// Where the block correlates best; `None` when it isn't seen.
    pub peak: Option<Peak>,
    /// How strongly it correlates right where the map puts it; `None` when it isn't seen.
    pub agreement: Option<f32>,
}

impl Blocks {
    /// The blocks of a surface at the working scale.
    pub(super) fn new(plane: &Plane) -> Result<Self, SpectrumError> {
        let (w, h) = (plane.width(), plane.height());
        let (bw, bh) = (BLOCK.min(w & !1), BLOCK.min(h & !1));
        let correlator = Correlator::new(bw, bh, BAND.0, BAND.1, 1.0);
        let (columns, rows) = (corners(w, bw), corners(h, bh));
        let mut entries = Vec::new();
        for &y in &rows {
            for &x in &columns {
                let block = plane.crop(x, y, bw, bh);
                if block.deviation() >= MIN_TEXTURE {
                    entries.push((x, y, correlator.signature(&block)?));
                }
            }
        }
        let textured = entries.len() as f64 / (columns.len() * rows.len()).max(1) as f64;
        Ok(Self { correlator, size: (w, h), textured, entries })
    }

    /// Share of the surface that is not blank.
    pub(super) fn textured(&self) -> f64 {
        self.textured
    }

    /// Side lengths of a block.
    pub(super) fn block(&self) -> (usize, usize) {
        self.correlator.size()
    }

    /// Each block's vote on a photograph seen through `map` (reference to
    /// photograph, working pixels), among shifts of at most `reach` pixels.
    pub(super) fn vote(
        &self,
        plane: &Plane,
        map: &Transform,
        reach: f32,
    ) -> Result<Vec<Vote>, SpectrumError> {
        let (w, h) = self.size;
        let (bw, bh) = self.correlator.size();
        let (laid, mask) = plane.warp(map, w, h, 0.0);
        self.entries
            .iter()
            .map(|(x, y, signature)| {
                let corner = (*x, *y);
                if mask.crop(*x, *y, bw, bh).mean() < MIN_SEEN {
                    return Ok(Vote { corner, peak: None, agreement: None });
                }
                let seen = self.correlator.signature(&laid.crop(*x, *y, bw, bh))?;
                let surface = self.correlator.surface(&seen, signature)?;
                let peak = Some(self.correlator.peak(&surface, (reach, reach)));
                Ok(Vote { corner, peak, agreement: Some(surface.at(0, 0)) })
            })
            .collect()
    }

    /// The similarity that most of the votes agree on, as a correction of the map
    /// they were cast under: reference pixels to laid pixels.
    pub(super) fn agree(&self, votes: &[Vote]) -> Transform {
        let (bw, bh) = self.correlator.size();
        let points: Vec<Point> = votes
            .iter()
            .filter_map(|vote| {
                let peak = vote.peak?;
                let x = vote.corner.0 as f64 + (bw as f64 - 1.0) / 2.0;
                let y = vote.corner.1 as f64 + (bh as f64 - 1.0) / 2.0;
                let to = (x + f64::from(peak.dx), y + f64::from(peak.dy));
                Some(Point { from: (x, y), to, weight: f64::from(peak.height.max(0.0)).powi(2) })
            })
            .collect();
        consensus(&points, centre(&Plane::new(self.size.0, self.size.1)))
    }
}

/// Top left corners of blocks that cover `length` with about half overlap.
fn corners(length: usize, block: usize) -> Vec<usize> {
    let room = length.saturating_sub(block);
    let count = (2 * room).div_ceil(block.max(1));
    (0..=count).map(|i| (i * room).checked_div(count).unwrap_or(0)).collect()
}

#[derive(Clone, Copy)]
struct Point {
    from: (f64, f64),
    to: (f64, f64),
    weight: f64,
}

/// The similarity that gathers the most weight within `TOLERANCE` pixels: every
/// pair of points proposes one, the best is refitted to those who agree.
fn consensus(points: &[Point], about: (f64, f64)) -> Transform {
    const TOLERANCE: f64 = 1.5;
    let support = |map: &Transform| -> f64 {
        points
            .iter()
            .map(|p| p.weight * (1.0 - (residual(map, p) / TOLERANCE).powi(2)).max(0.0))
            .sum()
    };
    let mut best = (Transform::IDENTITY, support(&Transform::IDENTITY));
    let mut consider = |map: Transform| {
        let s = support(&map);
        if s > best.1 {
            best = (map, s);
        }
    };
    for (i, a) in points.iter().enumerate() {
        consider(Transform::translation(a.to.0 - a.from.0, a.to.1 - a.from.1));
        for b in points.iter().skip(i + 1) {
            consider(fit(&[*a, *b], about));
        }
    }
    let agreeing: Vec<Point> =
        points.iter().filter(|p| residual(&best.0, p) < TOLERANCE).copied().collect();
    if agreeing.len() > 2 { fit(&agreeing, about) } else { best.0 }
}

fn residual(map: &Transform, p: &Point) -> f64 {
    let (x, y) = map.apply(p.from.0, p.from.1);
    (x - p.to.0).hypot(y - p.to.1)
}

/// The weighted least-squares similarity through points, kept to the small
/// corrections that the coarse grid leaves open.
fn fit(points: &[Point], about: (f64, f64)) -> Transform {
    let total: f64 = points.iter().map(|p| p.weight).sum();
    if total <= 0.0 {
        return Transform::IDENTITY;
    }
    let mean =
        |f: &dyn Fn(&Point) -> f64| points.iter().map(|p| p.weight * f(p)).sum::<f64>() / total;
    let from = (mean(&|p| p.from.0), mean(&|p| p.from.1));
    let to = (mean(&|p| p.to.0), mean(&|p| p.to.1));
    let (mut real, mut imaginary, mut spread) = (0.0, 0.0, 0.0);
    for p in points {
        let (ax, ay) = (p.from.0 - from.0, p.from.1 - from.1);
        let (bx, by) = (p.to.0 - to.0, p.to.1 - to.1);
        real += p.weight * (ax * bx + ay * by);
        imaginary += p.weight * (ax * by - ay * bx);
        spread += p.weight * (ax * ax + ay * ay);
    }
    let (angle, scale) = if spread > 0.0 {
        let (a, b) = (real / spread, imaginary / spread);
        (b.atan2(a).clamp(-0.03, 0.03), a.hypot(b).clamp(0.96, 1.04))
    } else {
        (0.0, 1.0)
    };
    let turn = Transform::similarity(angle, scale, about, (0.0, 0.0));
    let (x, y) = turn.apply(from.0, from.1);
    turn.then(&Transform::translation(to.0 - x, to.1 - y))
}
