//! Pictures that explain an inspection: the photograph with its defects framed, and
//! a heat map of the differences on the template.

use super::report::{Defect, Kind};
use crate::{Canvas, ImageError, Picture, Plane};

/// The colour a kind is framed in.
pub fn colour(kind: Kind) -> [u8; 3] {
    match kind {
        Kind::Open => [214, 39, 40],
        Kind::Short => [255, 127, 14],
        Kind::Mousebite => [148, 103, 189],
        Kind::Spur => [31, 119, 180],
        Kind::SpuriousCopper => [44, 160, 44],
        Kind::PinHole => [227, 119, 194],
        Kind::Scratch => [188, 143, 0],
        Kind::Changed => [214, 39, 40],
    }
}

/// The photograph with each defect framed in the colour of its kind.
pub(super) fn framed<'a>(
    photograph: &Plane,
    defects: impl Iterator<Item = &'a Defect>,
) -> Result<Picture, ImageError> {
    let mut canvas = Canvas::from_plane(photograph);
    let thickness = (photograph.width().min(photograph.height()) as i64 / 300).max(2);
    for d in defects {
        let p = &d.place;
        let at = (p.x.round() as i64, p.y.round() as i64);
        canvas.frame(at, (p.w.round() as i64, p.h.round() as i64), thickness, colour(d.kind));
    }
    Ok(Picture { name: "defects".into(), png: canvas.to_png()? })
}

/// The template, paled, under the differences: yellow slight, red strong.
pub(super) fn heat(template: &Plane, heat: &Plane) -> Result<Picture, ImageError> {
    let mut canvas = Canvas::from_plane(&template.map(|v| 0.35 + 0.5 * v));
    for y in 0..heat.height() {
        for (x, &v) in heat.row(y).iter().enumerate().filter(|(_, v)| **v > 0.05) {
            let colour = Canvas::heat(0.5 - 0.5 * v);
            canvas.blend(x as i64, y as i64, colour, 0.4 + 0.6 * v);
        }
    }
    Ok(Picture { name: "heat".into(), png: canvas.to_png()? })
}
