//! Curves and example pictures of an evaluation: `froc.svg` and `froc.png` (recall
//! against false alarms for each photograph), and for what went wrong one strip
//! each, the template beside the photograph, magnified.

use super::data::Board;
use super::tally::{Tally, assign};
use super::{EvalError, OVERLAP, SLACK};
use crate::inspection::{Area, Defect, colour};
use crate::{Canvas, Plane};
use std::fmt::Write as _;
use std::path::Path;

/// At most this many strips of each sort.
const EXAMPLES: usize = 24;
/// Right end of the curve's axis, in false alarms for each photograph.
const RIGHT: f64 = 2.0;
/// Lower end of its recall axis.
const LOW: f64 = 0.9;
const SIZE: (f64, f64) = (640.0, 400.0);
const EDGE: f64 = 56.0;

pub(super) fn write(
    out: &Path,
    boards: &[Board],
    found: &[Option<Vec<Defect>>],
    threshold: f32,
) -> Result<(), EvalError> {
    let save = |name: String, bytes: &[u8]| {
        let path = out.join(name);
        std::fs::write(&path, bytes).map_err(|source| EvalError::Write { path, source })
    };
    std::fs::create_dir_all(out).map_err(|source| EvalError::Write { path: out.into(), source })?;
    let tally = Tally::new(boards, found, false);
    let at = tally.scores(threshold);
    let point = (at.false_alarms_per_image, at.recall);
    save("froc.svg".into(), svg(&tally.curve(), point).as_bytes())?;
    save("froc.png".into(), &png(&tally.curve(), point)?)?;
    let (mut misses, mut alarms) = (Vec::new(), Vec::new());
    for (board, found) in boards.iter().zip(found) {
        let found: Vec<Defect> =
            found.iter().flatten().filter(|d| d.confidence >= threshold).cloned().collect();
        let hits = assign(&board.boxes, &found, false);
        for (i, b) in board.boxes.iter().enumerate() {
            if !hits.contains(&Some(i)) {
                misses.push((board, b.place, b.kind, 1.0));
            }
        }
        for (d, _) in found.iter().zip(&hits).filter(|(_, hit)| hit.is_none()) {
            alarms.push((board, d.place, d.kind, d.confidence));
        }
    }
    // The surest false alarms are the worst.
    alarms.sort_by(|a, b| b.3.total_cmp(&a.3));
    for (sort, list) in [("miss", misses), ("alarm", alarms)] {
        for (i, (board, place, kind, _)) in list.into_iter().take(EXAMPLES).enumerate() {
            let name = format!("{sort}-{:02}-{}-{}.png", i + 1, board.name, kind.name());
            save(name, &strip(board, &place, colour(kind))?)?;
        }
    }
    Ok(())
}

/// Template and photograph around a place, side by side.
fn strip(board: &Board, place: &Area, colour: [u8; 3]) -> Result<Vec<u8>, EvalError> {
    const AROUND: f64 = 40.0;
    const ZOOM: usize = 4;
    let (x, y) = ((place.x - AROUND).max(0.0), (place.y - AROUND).max(0.0));
    let (w, h) = (place.x + place.w + AROUND - x, place.y + place.h + AROUND - y);
    let cut = |p: &Plane| {
        let c = p.crop(x as usize, y as usize, w as usize, h as usize);
        c.resize(c.width() * ZOOM, c.height() * ZOOM)
    };
    let (left, right) = (cut(&board.template), cut(&board.photograph));
    let gap = 8;
    let offset = left.width() + gap;
    let both = Plane::from_fn(offset + right.width(), left.height().max(right.height()), |x, y| {
        let side = if x < offset { left.row(y).get(x) } else { right.row(y).get(x - offset) };
        side.copied().unwrap_or(0.5)
    });
    let mut canvas = Canvas::from_plane(&both);
    let zoom = |v: f64| (v * ZOOM as f64).round() as i64;
    let at = (zoom(place.x - x) + offset as i64, zoom(place.y - y));
    canvas.frame(at, (zoom(place.w), zoom(place.h)), 2, colour);
    Ok(canvas.to_png()?)
}

/// A point of the curve in the drawing.
fn drawn((alarms, recall): (f64, f64)) -> (f64, f64) {
    let x = EDGE + (SIZE.0 - 2.0 * EDGE) * (alarms / RIGHT).min(1.0);
    let share = ((recall - LOW) / (1.0 - LOW)).clamp(0.0, 1.0);
    (x, SIZE.1 - EDGE - (SIZE.1 - 2.0 * EDGE) * share)
}

/// The curve as drawn: cut where it leaves the axes.
fn line(curve: &[(f64, f64)]) -> Vec<(f64, f64)> {
    curve.iter().filter(|p| p.0 <= RIGHT && p.1 >= LOW).map(|&p| drawn(p)).collect()
}

fn svg(curve: &[(f64, f64)], point: (f64, f64)) -> String {
    let (w, h) = SIZE;
    let mut s = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" \
         font-family=\"sans-serif\" font-size=\"12\">\
         <title>Recall against false alarms for each photograph</title>\
         <rect width=\"{w}\" height=\"{h}\" fill=\"white\"/>"
    );
    for step in 0..=4 {
        let (a, r) = (RIGHT * f64::from(step) / 4.0, LOW + (1.0 - LOW) * f64::from(step) / 4.0);
        let ((x, _), (_, y)) = (drawn((a, LOW)), drawn((0.0, r)));
        let (low, right) = (h - EDGE, w - EDGE);
        // Writing to a string can't fail.
        let _ = write!(
            s,
            "<path d=\"M{x:.1} {EDGE}V{low}M{EDGE} {y:.1}H{right}\" stroke=\"#ddd\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{a}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{r:.3}</text>",
            low + 18.0,
            EDGE - 6.0,
            y + 4.0,
        );
    }
    let points: String = line(curve).iter().map(|(x, y)| format!("{x:.1},{y:.1} ")).collect();
    let (x, y) = drawn(point);
    let _ = write!(
        s,
        "<polyline points=\"{points}\" fill=\"none\" stroke=\"#1f77b4\" stroke-width=\"2\"/>\
         <circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"#d62728\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\">recall {:.4}, {:.3} false alarms</text>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">false alarms for each photograph</text>\
         <text x=\"{:.1}\" y=\"24\" text-anchor=\"middle\">share of the defects found (centre \
         within {SLACK} px of the box, or overlap {OVERLAP})</text></svg>",
        x + 10.0,
        y + 18.0,
        point.1,
        point.0,
        w / 2.0,
        h - 12.0,
        w / 2.0,
    );
    s
}

fn png(curve: &[(f64, f64)], point: (f64, f64)) -> Result<Vec<u8>, EvalError> {
    let (w, h) = SIZE;
    let mut canvas = Canvas::new(w as u32, h as u32, [255; 3]);
    let put = |(x, y): (f64, f64)| (x as f32, y as f32);
    for step in 0..=4 {
        let (a, r) = (RIGHT * f64::from(step) / 4.0, LOW + (1.0 - LOW) * f64::from(step) / 4.0);
        let ((x, _), (_, y)) = (drawn((a, LOW)), drawn((0.0, r)));
        canvas.line(put((x, EDGE)), put((x, h - EDGE)), 1, [221; 3]);
        canvas.line(put((EDGE, y)), put((w - EDGE, y)), 1, [221; 3]);
        number(&mut canvas, (x as i64 - 14, (h - EDGE) as i64 + 8), &format!("{a:.1}"));
        number(&mut canvas, (4, y as i64 - 5), &format!("{r:.3}"));
    }
    let points = line(curve);
    for (from, to) in points.iter().zip(points.iter().skip(1)) {
        canvas.line(put(*from), put(*to), 2, [31, 119, 180]);
    }
    let (x, y) = drawn(point);
    canvas.fill((x as i64 - 4, y as i64 - 4), (8, 8), [214, 39, 40], 1.0);
    Ok(canvas.to_png()?)
}

/// Draws digits and points, each three by five squares, since the curve needs no more.
fn number(canvas: &mut Canvas, (x, y): (i64, i64), text: &str) {
    const ROWS: [u16; 10] = [
        0b111_101_101_101_111,
        0b010_110_010_010_111,
        0b111_001_111_100_111,
        0b111_001_111_001_111,
        0b101_101_111_001_001,
        0b111_100_111_001_111,
        0b111_100_111_101_111,
        0b111_001_010_010_010,
        0b111_101_111_101_111,
        0b111_101_111_001_111,
    ];
    const DOT: i64 = 2;
    for (i, c) in text.chars().enumerate() {
        let digit = c.to_digit(10).and_then(|d| ROWS.get(d as usize)).copied();
        let bits = digit.unwrap_or(0b000_000_000_000_010);
        for k in (0..15).filter(|k| bits >> (14 - k) & 1 == 1) {
            let at = (x + (i as i64 * 4 + k % 3) * DOT, y + k / 3 * DOT);
            canvas.fill(at, (DOT, DOT), [64; 3], 1.0);
        }
    }
}
