//! Identity: is this the very part that was enrolled, told from its surface?
//!
//! Machining, wear and printing leave a texture on each part that no other part
//! has. A photograph is brought to a working scale, and a high pass with a soft
//! limiter takes out the light and keeps the edges that all parts of a design share
//! from outweighing the texture. Then:
//!
//! 1. *Coarse alignment.* The enrolled surface is kept under a grid of turns
//!    (±12°) and scales (±12%), and band-limited phase-only correlation with each
//!    finds the few likeliest ways the part may lie.
//! 2. *Fine alignment.* Each of overlapping blocks is correlated by itself, and
//!    the similarity map that most blocks agree on is found.
//! 3. *Vote.* Each block says how strongly it agrees under that one map. The
//!    score is the mean of the middle ranks: the best fifth is left out, since
//!    parts of one design share edges and holes, and the worst two fifths, since
//!    something may cover them.
//!
//! It fails for parts turned or scaled further than the grid, surfaces without
//! texture at the working scale (undetermined), and surfaces that were reworked:
//! a ground part is another part to it. It cannot tell copies of a printed
//! pattern apart, since they share the very texture.

mod blocks;
mod coarse;
mod matcher;
mod phase;
mod picture;
mod surface;

use crate::{Analysis, AnalysisError, Finding, Input, Photograph, Picture, SpectrumError, Verdict};
use base::Digest;
pub use matcher::{Comparison, Enrolment, Probe};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// From this score on, a part is the enrolled one.
pub const THRESHOLD: f64 = 0.12;

/// The ranks, as shares from the best block, whose mean is the score.
const BAND_OF_RANKS: (f64, f64) = (0.2, 0.6);

/// At most this many pictures explain one finding.
const MAX_PICTURES: usize = 16;

const ID: &str = "identity";

/// The identity analysis. With no reference it says whether the photographs can
/// be enrolled.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity;

/// What the identity analysis tells about its finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// Each photograph that was looked at.
    pub views: Vec<View>,
}

/// What was found for one photograph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The view's name.
    pub view: String,
    /// The photograph.
    pub photograph: Digest,
    /// The enrolled photograph it agrees with best.
    pub reference: Option<Digest>,
    /// The answer for this view.
    pub verdict: Verdict,
    /// How far the blocks agree; see [`THRESHOLD`].
    pub score: f64,
    /// Blocks in view.
    pub blocks: usize,
    /// Blocks that agree by themselves.
    pub agreeing: usize,
    /// How the part is turned against the enrolled photograph, in degrees.
    pub turn_degrees: f64,
    /// How much larger it appears than when enrolled.
    pub scale: f64,
    /// Strength of the photograph's texture, as a share of full scale.
    pub contrast: f64,
}

impl Analysis for Identity {
    fn id(&self) -> &'static str {
        ID
    }

    fn program(&self) -> String {
        format!(
            "interlock identity {}; working pixels {}; texture sigma {}, light sigma {}, \
             limit {}, floor {}, least contrast {}; coarse turn {}° by {}°, scale {} by {}, band {:?}, guesses {}; block {}, least texture {}, \
             band {:?}, reach {} then {}; ranks {:?}; threshold {}",
            env!("CARGO_PKG_VERSION"),
            surface::WORKING_PIXELS,
            surface::TEXTURE_SIGMA,
            surface::LIGHT_SIGMA,
            surface::LIMIT,
            surface::NOISE_FLOOR,
            surface::MIN_CONTRAST,
            coarse::MAX_TURN,
            coarse::TURN_STEP,
            coarse::MAX_SCALE,
            coarse::SCALE_STEP,
            coarse::BAND,
            matcher::GUESSES,
            blocks::BLOCK,
            blocks::MIN_TEXTURE,
            blocks::BAND,
            matcher::COARSE_REACH,
            matcher::FINE_REACH,
            BAND_OF_RANKS,
            THRESHOLD,
        )
    }

    /// Each photograph is compared with the reference of the same view, or with
    /// all of them when its view was never enrolled. The part's score is the
    /// median over its views, the lower of two; views without texture don't count.
    fn analyse(&self, input: &Input) -> Result<Finding, AnalysisError> {
        if input.photographs.is_empty() {
            return Err(AnalysisError::Missing { analysis: ID, what: "photograph" });
        }
        let mut enrolments = BTreeMap::new();
        let (mut views, mut pictures) = (Vec::new(), Vec::new());
        for photograph in input.photographs {
            let (view, picture) = look(photograph, input.reference, &mut enrolments)?;
            views.push(view);
            pictures.extend(picture.filter(|_| pictures.len() < MAX_PICTURES));
        }
        let decided = |v: &&View| v.verdict != Verdict::Undetermined;
        let mut scores: Vec<f64> = views.iter().filter(decided).map(|v| v.score).collect();
        scores.sort_by(f64::total_cmp);
        let score = scores.get(scores.len().saturating_sub(1) / 2).copied();
        let verdict = match score {
            None => Verdict::Undetermined,
            Some(_) if input.reference.is_empty() => Verdict::Enrolled,
            Some(s) if s >= THRESHOLD => Verdict::Confirmed,
            Some(_) => Verdict::Denied,
        };
        let details = serde_json::to_value(Details { views }).map_err(|e| {
            AnalysisError::Output { analysis: ID, what: "details", reason: e.to_string() }
        })?;
        Ok(Finding {
            verdict,
            score: score.unwrap_or(0.0),
            threshold: THRESHOLD,
            details,
            pictures,
        })
    }
}

/// One photograph's view, and the picture that explains it.
fn look(
    photograph: &Photograph,
    references: &[Photograph],
    enrolments: &mut BTreeMap<usize, Enrolment>,
) -> Result<(View, Option<Picture>), AnalysisError> {
    let probe = Probe::new(&photograph.plane);
    let mut view = View {
        view: photograph.view.clone(),
        photograph: photograph.digest,
        reference: None,
        verdict: Verdict::Undetermined,
        score: 0.0,
        blocks: 0,
        agreeing: 0,
        turn_degrees: 0.0,
        scale: 1.0,
        contrast: f64::from(probe.0.contrast),
    };
    if !probe.is_textured() {
        return Ok((view, None));
    }
    if references.is_empty() {
        if !Enrolment::of(&probe).map_err(internal)?.is_textured() {
            return Ok((view, None));
        }
        // A surface agrees with itself entirely.
        (view.verdict, view.score) = (Verdict::Enrolled, 1.0);
        return Ok((view, None));
    }
    let same_view = references.iter().any(|r| r.view == photograph.view);
    let mut best: Option<(usize, Comparison)> = None;
    for (i, reference) in references.iter().enumerate() {
        if same_view && reference.view != photograph.view {
            continue;
        }
        let enrolment = match enrolments.entry(i) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                entry.insert(Enrolment::new(&reference.plane).map_err(internal)?)
            }
        };
        if enrolment.is_textured() {
            let comparison = enrolment.compare(&probe).map_err(internal)?;
            if best.as_ref().is_none_or(|(_, b)| comparison.score > b.score) {
                best = Some((i, comparison));
            }
        }
    }
    let Some((i, comparison)) = best else {
        return Ok((view, None));
    };
    view.reference = references.get(i).map(|r| r.digest);
    view.score = comparison.score;
    (view.blocks, view.agreeing) = comparison.blocks();
    (view.turn_degrees, view.scale) = (comparison.turn(), comparison.scale());
    view.verdict = if comparison.score >= THRESHOLD { Verdict::Confirmed } else { Verdict::Denied };
    let picture = match enrolments.get(&i) {
        Some(enrolment) => {
            let name = picture_name(&photograph.view);
            Some(picture::agreement(name, photograph, &probe, enrolment, &comparison)?)
        }
        None => None,
    };
    Ok((view, picture))
}

/// `agreement-` and the view's name, made fit for a file name.
fn picture_name(view: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let word: String = view.chars().take(40).map(fit).collect();
    format!("agreement-{word}")
}

fn internal(e: SpectrumError) -> AnalysisError {
    AnalysisError::Output { analysis: ID, what: "spectrum", reason: e.to_string() }
}
