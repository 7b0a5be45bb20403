//! A photograph laid onto its template, compared as a drawing or as a grey picture;
//! or the reason why it can't be.

use super::board::Board;
use super::field::{self, Aligned};
use super::grey::Grey;
use super::register;
use super::report::{Alignment, Area, CompareError, Mode};
use super::tone::Tones;
use super::{MIN_CORRELATION, MIN_COVERED, MIN_SIDE, Settings};
use crate::Plane;

/// A photograph laid onto its template.
pub(super) struct Scene<'a> {
    pub template: &'a Plane,
    photograph: (usize, usize),
    pub aligned: Aligned,
    pub alignment: Alignment,
    pub sight: Sight,
}

/// What was compared, and how.
pub(super) enum Sight {
    Board(Board),
    Grey(Grey),
}

impl<'a> Scene<'a> {
    pub fn new(
        template: &'a Plane,
        photograph: &Plane,
        settings: &Settings,
    ) -> Result<Self, CompareError> {
        check_sizes(template, photograph)?;
        let registration = register::register(template, photograph);
        let aligned = field::align(template, photograph, &registration);
        let covered = aligned.mask.mean();
        let correlation = registration.correlation;
        if correlation < MIN_CORRELATION || covered < MIN_COVERED {
            let covered = 100.0 * covered;
            return Err(CompareError::Unlike { correlation, least: MIN_CORRELATION, covered });
        }
        let (angle, scale) = registration.map.angle_and_scale();
        let (w, h) = (template.width() as f64 - 1.0, template.height() as f64 - 1.0);
        let (x, y) = registration.map.apply(w / 2.0, h / 2.0);
        let middle =
            ((photograph.width() as f64 - 1.0) / 2.0, (photograph.height() as f64 - 1.0) / 2.0);
        let alignment = Alignment {
            shift: (x - middle.0, y - middle.1),
            angle: angle.to_degrees(),
            scale,
            correlation,
            covered,
        };
        let sight = match Tones::of(template).filter(Tones::is_drawing) {
            Some(tones) => {
                Sight::Board(Board::new(template, &aligned, &tones, settings.dark_conductor))
            }
            None => Sight::Grey(Grey::new(template, &aligned)),
        };
        let photograph = (photograph.width(), photograph.height());
        Ok(Self { template, photograph, aligned, alignment, sight })
    }

    pub fn mode(&self) -> Mode {
        match self.sight {
            Sight::Board(_) => Mode::Board,
            Sight::Grey(_) => Mode::Grey,
        }
    }

    pub fn heat(&self) -> Plane {
        match &self.sight {
            Sight::Board(board) => board.heat(),
            Sight::Grey(grey) => grey.heat(),
        }
    }

    /// Where a blob lies in the photograph, with room around it, within its edges.
    pub fn place(&self, bounds: [usize; 4], margin: f64) -> Area {
        let [x0, y0, x1, y1] = bounds.map(|v| v as f64);
        let grown = [x0 - margin, y0 - margin, x1 + margin, y1 + margin];
        let [x0, y0, x1, y1] = self.aligned.locate(grown);
        let (w, h) = (self.photograph.0 as f64, self.photograph.1 as f64);
        Area::from_edges([x0.clamp(0.0, w), y0.clamp(0.0, h), x1.clamp(0.0, w), y1.clamp(0.0, h)])
    }
}

fn check_sizes(template: &Plane, photograph: &Plane) -> Result<(), CompareError> {
    for (what, p) in [("the template", template), ("the photograph", photograph)] {
        let (width, height) = (p.width(), p.height());
        if width.min(height) < MIN_SIDE {
            return Err(CompareError::Small { what, width, height, least: MIN_SIDE });
        }
    }
    let ratio = |a: usize, b: usize| a as f64 / b as f64;
    let x = ratio(photograph.width(), template.width());
    let y = ratio(photograph.height(), template.height());
    if !(0.5..=2.0).contains(&x) || !(0.5..=2.0).contains(&y) || !(0.9..=1.1).contains(&(x / y)) {
        let size = |p: &Plane| format!("{}×{}", p.width(), p.height());
        return Err(CompareError::Framing {
            photograph: size(photograph),
            template: size(template),
        });
    }
    Ok(())
}
