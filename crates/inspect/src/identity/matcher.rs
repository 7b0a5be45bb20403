//! Enrolment and comparison: from photographs to one score.

use super::blocks::{BLOCK, Blocks, Vote};
use super::coarse::Bank;
use super::surface::{Surface, WORKING_PIXELS};
use super::{BAND_OF_RANKS, THRESHOLD};
use crate::{Plane, SpectrumError, Transform};

/// A surface more blank than this can't be told from others.
const MIN_TEXTURED: f64 = 0.25;
/// How many coarse guesses are followed up.
pub(super) const GUESSES: usize = 3;
/// How far a block may lie off a coarse guess, in working pixels.
pub(super) const COARSE_REACH: f32 = 10.0;
/// How far a block may lie off the agreed map, in working pixels.
pub(super) const FINE_REACH: f32 = 1.5;

/// An enrolled surface, ready to be compared with. It holds some megabytes and is
/// made from a photograph in less than a tenth of a second, so what is kept and
/// passed on is the photograph.
pub struct Enrolment {
    pub(super) surface: Surface,
    pub(super) blocks: Blocks,
    bank: Bank,
}

/// A photograph ready to be compared with any number of enrolled surfaces.
#[derive(Clone)]
pub struct Probe(pub(super) Surface);

/// How a photograph compares with an enrolled surface.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// How far the blocks agree: about 0.05 for different parts, 0.2 to 1 for the
    /// same one. See [`THRESHOLD`].
    pub score: f64,
    /// From the enrolled to the compared photograph's working pixels.
    pub(super) map: Transform,
    pub(super) votes: Vec<Vote>,
}

impl Probe {
    /// Prepares a photograph.
    pub fn new(photograph: &Plane) -> Self {
        Self(Surface::new(photograph))
    }

    /// Whether the surface shows enough texture to decide anything.
    pub fn is_textured(&self) -> bool {
        self.0.is_textured()
    }
}

impl Enrolment {
    /// Enrols a photograph.
    ///
    /// # Errors
    /// Never in practice: transforms check the sizes that are planned here.
    pub fn new(photograph: &Plane) -> Result<Self, SpectrumError> {
        Self::of(&Probe::new(photograph))
    }

    /// Enrols a photograph that was prepared to be compared.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of(probe: &Probe) -> Result<Self, SpectrumError> {
        let surface = probe.0.clone();
        Ok(Self { bank: Bank::new(&surface.half)?, blocks: Blocks::new(&surface.plane)?, surface })
    }

    /// Whether the surface shows enough texture to be told from others.
    pub fn is_textured(&self) -> bool {
        self.surface.is_textured() && self.blocks.textured() >= MIN_TEXTURED
    }

    /// Compares a photograph with this surface.
    ///
    /// # Errors
    /// Never in practice: transforms check the sizes that were planned.
    pub fn compare(&self, probe: &Probe) -> Result<Comparison, SpectrumError> {
        let plane = &probe.0.plane;
        let mut best = self.judge(Transform::IDENTITY, Vec::new());
        for guess in self.bank.search(&probe.0.half, GUESSES)? {
            let map = guess.map.in_pixels_of(0.5);
            let votes = self.blocks.vote(plane, &map, COARSE_REACH)?;
            let map = self.blocks.agree(&votes).then(&map);
            let votes = self.blocks.vote(plane, &map, FINE_REACH)?;
            let comparison = self.judge(map, votes);
            if comparison.score > best.score || best.votes.is_empty() {
                best = comparison;
            }
            // Nothing another guess could find would change the answer.
            if best.score > 2.0 * THRESHOLD {
                break;
            }
        }
        Ok(best)
    }

    /// The score of votes: the mean agreement of the blocks in the middle ranks.
    /// The best blocks are left out because parts of one design share edges and
    /// holes, the worst because a cover hides them.
    fn judge(&self, map: Transform, votes: Vec<Vote>) -> Comparison {
        let mut seen: Vec<f64> = votes.iter().filter_map(|v| v.agreement).map(f64::from).collect();
        // Half of the surface must be in view; what is missing counts as no agreement.
        seen.resize(seen.len().max(votes.len().div_ceil(2)), 0.0);
        seen.sort_by(|a, b| b.total_cmp(a));
        let rank = |share: f64| (share * seen.len() as f64).round() as usize;
        let first = rank(BAND_OF_RANKS.0);
        let last = rank(BAND_OF_RANKS.1).max(first + 1).min(seen.len());
        let middle = seen.get(first..last).unwrap_or(&seen);
        // Evidence grows with the root of the area: of a block, and of the surface.
        let share = |pixels: f64, of: f64| (pixels / of).sqrt().min(1.0);
        let (bw, bh) = self.blocks.block();
        let plane = &self.surface.plane;
        let textured = (plane.width() * plane.height()) as f64 * self.blocks.textured();
        let size = share((bw * bh) as f64, (BLOCK * BLOCK) as f64)
            * share(textured, f64::from(WORKING_PIXELS));
        let score = size * middle.iter().sum::<f64>() / middle.len().max(1) as f64;
        Comparison { score, map, votes }
    }
}

impl Comparison {
    /// Blocks in view, and how many of them agree by themselves.
    pub fn blocks(&self) -> (usize, usize) {
        let seen: Vec<f32> = self.votes.iter().filter_map(|v| v.agreement).collect();
        let agreeing = seen.iter().filter(|&&a| f64::from(a) >= THRESHOLD).count();
        (seen.len(), agreeing)
    }

    /// How the photograph is turned, in degrees, against the enrolled one.
    pub fn turn(&self) -> f64 {
        self.map.angle_and_scale().0.to_degrees()
    }

    /// How much larger the part appears than when enrolled, both at the working scale.
    pub fn scale(&self) -> f64 {
        self.map.angle_and_scale().1
    }
}
