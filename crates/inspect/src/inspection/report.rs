//! What an inspection says: defects, how the photograph lay, and why it was refused.

use serde::{Deserialize, Serialize};

/// What is wrong at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A conductor is interrupted.
    Open,
    /// Two conductors touch.
    Short,
    /// A bite out of a conductor's edge.
    Mousebite,
    /// A thorn on a conductor's edge.
    Spur,
    /// Conductor that touches nothing.
    SpuriousCopper,
    /// A hole within a conductor.
    PinHole,
    /// A long thin mark on a grey part.
    Scratch,
    /// Any other change of a grey part.
    Changed,
}

impl Kind {
    /// The six kinds of defect on boards, in the order of their numbers from 1.
    pub const BOARD: [Self; 6] =
        [Self::Open, Self::Short, Self::Mousebite, Self::Spur, Self::SpuriousCopper, Self::PinHole];

    /// The word it is written with.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Short => "short",
            Self::Mousebite => "mousebite",
            Self::Spur => "spur",
            Self::SpuriousCopper => "spurious_copper",
            Self::PinHole => "pin_hole",
            Self::Scratch => "scratch",
            Self::Changed => "changed",
        }
    }
}

/// In which direction a place differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Polarity {
    /// Conductor that the template lacks.
    Added,
    /// Conductor that the photograph lacks.
    Removed,
    /// Brighter than a grey template.
    Brighter,
    /// Darker than a grey template.
    Darker,
}

/// A rectangle in the photograph, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Area {
    /// Left edge.
    pub x: f64,
    /// Top edge.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

impl Area {
    /// From left, top, right and bottom.
    pub fn from_edges([x0, y0, x1, y1]: [f64; 4]) -> Self {
        Self { x: x0, y: y0, w: x1 - x0, h: y1 - y0 }
    }

    /// Its middle.
    pub fn centre(&self) -> (f64, f64) {
        (self.x + self.w / 2.0, self.y + self.h / 2.0)
    }

    /// Whether a point lies inside it grown by `margin` on each side.
    pub fn holds(&self, (x, y): (f64, f64), margin: f64) -> bool {
        x >= self.x - margin
            && y >= self.y - margin
            && x <= self.x + self.w + margin
            && y <= self.y + self.h + margin
    }

    /// Intersection over union.
    pub fn overlap(&self, other: &Self) -> f64 {
        let side = |a: f64, aw: f64, b: f64, bw: f64| ((a + aw).min(b + bw) - a.max(b)).max(0.0);
        let common =
            side(self.x, self.w, other.x, other.w) * side(self.y, self.h, other.y, other.h);
        let all = self.w * self.h + other.w * other.h - common;
        if all > 0.0 { common / all } else { 0.0 }
    }
}

/// One place where the photograph differs from the template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Defect {
    /// What it is.
    pub kind: Kind,
    /// Where it is in the photograph, with some room around it.
    #[serde(flatten)]
    pub place: Area,
    /// How many pixels differ.
    pub area: usize,
    /// How sure it is that this is a defect, 0 to 1.
    pub confidence: f32,
    /// In which direction it differs.
    pub polarity: Polarity,
}

/// How two images were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// As drawings in two tones, with the six kinds of boards.
    Board,
    /// As grey photographs.
    Grey,
}

/// How the photograph lay on the template.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alignment {
    /// Shift of the middle, in pixels of the photograph.
    pub shift: (f64, f64),
    /// Turn in degrees.
    pub angle: f64,
    /// Scale: the photograph's size per the template's.
    pub scale: f64,
    /// Correlation after alignment, up to 1.
    pub correlation: f32,
    /// Share of the template that the photograph shows.
    pub covered: f32,
}

/// What comparing one photograph with its template gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// How they were compared.
    pub mode: Mode,
    /// How the photograph lay.
    pub alignment: Alignment,
    /// What differs, surest first: all candidates, whatever the threshold.
    pub candidates: Vec<Defect>,
}

impl Comparison {
    /// The defects at a threshold of confidence.
    pub fn defects(&self, threshold: f32) -> impl Iterator<Item = &Defect> {
        self.candidates.iter().filter(move |d| d.confidence >= threshold)
    }
}

/// Why a photograph can't be compared with a template.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CompareError {
    /// Too small to hold structure.
    #[error("{what} is {width}×{height} pixels: at least {least}×{least} are needed")]
    Small {
        /// Which of both.
        what: &'static str,
        /// Its width in pixels.
        width: usize,
        /// Its height in pixels.
        height: usize,
        /// The least width and height.
        least: usize,
    },
    /// Another framing than the template's.
    #[error(
        "the photograph is {photograph} pixels, the template {template}: the same view is \
         expected, with sides that differ by a factor of at most 2 and in equal proportion"
    )]
    Framing {
        /// The photograph's size.
        photograph: String,
        /// The template's size.
        template: String,
    },
    /// Not the same thing, or turned too far.
    #[error(
        "the photograph does not look like the template (correlation {correlation:.2}, at least \
         {least:.2} is expected; {covered:.0}% of the template is shown): the same part is \
         expected, turned by a few degrees at most"
    )]
    Unlike {
        /// The correlation found.
        correlation: f32,
        /// The least correlation.
        least: f32,
        /// Share of the template shown, in percent.
        covered: f32,
    },
}
