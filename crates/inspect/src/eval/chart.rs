//! Curves on two axes, as SVG for people and as PNG for everything else.

use crate::{Canvas, ImageError};
use std::fmt::Write;

/// A chart of curves.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The curves.
    pub curves: Vec<Curve>,
}

/// An axis, linear or logarithmic.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it counts.
    pub label: String,
    /// First value.
    pub from: f64,
    /// Last value.
    pub to: f64,
    /// Whether equal steps are equal ratios; then both ends must be positive.
    pub logarithmic: bool,
}

/// A named curve; points beyond the axes are drawn at their ends.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// Its points, in order.
    pub points: Vec<(f64, f64)>,
}

const COLOURS: [[u8; 3]; 7] = [
    [31, 95, 180],
    [214, 39, 40],
    [44, 140, 44],
    [148, 90, 189],
    [200, 120, 0],
    [20, 150, 160],
    [90, 90, 90],
];
const SIZE: (f64, f64) = (760.0, 520.0);
const LEFT: f64 = 80.0;
const TOP: f64 = 40.0;
const RIGHT: f64 = 20.0;
const BOTTOM: f64 = 60.0;

impl Axis {
    /// Where a value lies, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let f = |v: f64| {
            if self.logarithmic { v.max(self.from).ln() } else { v }
        };
        ((f(value) - f(self.from)) / (f(self.to) - f(self.from))).clamp(0.0, 1.0)
    }

    /// Values worth a line: decades, or fifths of the range.
    fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let (first, last) = (self.from.log10().round() as i32, self.to.log10().round() as i32);
            (first..=last).map(|e| 10f64.powi(e)).collect()
        } else {
            (0..=5).map(|i| self.from + (self.to - self.from) * f64::from(i) / 5.0).collect()
        }
    }
}

/// A tick's value without needless digits.
fn number(v: f64) -> String {
    let text = format!("{v:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn colour(i: usize) -> [u8; 3] {
    COLOURS.get(i % COLOURS.len()).copied().unwrap_or_default()
}

impl Chart {
    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (
            LEFT + self.x.place(x) * (SIZE.0 - LEFT - RIGHT),
            SIZE.1 - BOTTOM - self.y.place(y) * (SIZE.1 - TOP - BOTTOM),
        )
    }

    /// The chart as SVG.
    pub fn svg(&self) -> String {
        let (w, h) = SIZE;
        let mut s = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" \
             font-family=\"sans-serif\" font-size=\"13\"><rect width=\"{w}\" height=\"{h}\" \
             fill=\"#fff\"/><text x=\"{LEFT}\" y=\"24\" font-size=\"16\">{}</text>",
            escape(&self.title)
        );
        // Writing to a string can't fail.
        for t in self.x.ticks() {
            let (x, low) = self.at((t, self.y.from));
            let _ = write!(
                s,
                "<path d=\"M{x:.1} {TOP}V{low:.1}\" stroke=\"#ddd\"/><text x=\"{x:.1}\" \
                 y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                low + 18.0,
                number(t)
            );
        }
        for t in self.y.ticks() {
            let (left, y) = self.at((self.x.from, t));
            let _ = write!(
                s,
                "<path d=\"M{left:.1} {y:.1}H{:.1}\" stroke=\"#ddd\"/><text x=\"{:.1}\" \
                 y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                w - RIGHT,
                left - 6.0,
                y + 4.0,
                number(t)
            );
        }
        let _ = write!(
            s,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text><text \
             transform=\"translate(18 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            (LEFT + w - RIGHT) / 2.0,
            h - 16.0,
            escape(&self.x.label),
            (TOP + h - BOTTOM) / 2.0,
            escape(&self.y.label)
        );
        for (i, curve) in self.curves.iter().enumerate() {
            let [r, g, b] = colour(i);
            let points: String = curve
                .points
                .iter()
                .map(|&p| self.at(p))
                .map(|(x, y)| format!("{x:.1},{y:.1} "))
                .collect();
            let y = TOP + 20.0 + 18.0 * i as f64;
            let _ = write!(
                s,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"rgb({r},{g},{b})\" \
                 stroke-width=\"2\"/><text x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"end\" \
                 fill=\"rgb({r},{g},{b})\">{}</text>",
                points.trim_end(),
                w - RIGHT - 8.0,
                escape(&curve.name)
            );
        }
        s.push_str("</svg>\n");
        s
    }

    /// The chart as PNG.
    ///
    /// # Errors
    /// When the picture can't be encoded.
    pub fn png(&self) -> Result<Vec<u8>, ImageError> {
        let mut canvas = Canvas::new(SIZE.0 as u32, SIZE.1 as u32, [255; 3]);
        let ink = [40; 3];
        let whole = |(x, y): (f64, f64)| (x as f32, y as f32);
        let wide = |text: &str| text.chars().count() as i64 * 8;
        canvas.text((LEFT as i64, 14), &self.title, 2, ink);
        for t in self.x.ticks() {
            let (low, high) = (self.at((t, self.y.from)), self.at((t, self.y.to)));
            canvas.line(whole(low), whole(high), 1, [221; 3]);
            let text = number(t);
            canvas.text((low.0 as i64 - wide(&text) / 2, low.1 as i64 + 8), &text, 2, ink);
        }
        for t in self.y.ticks() {
            let (left, right) = (self.at((self.x.from, t)), self.at((self.x.to, t)));
            canvas.line(whole(left), whole(right), 1, [221; 3]);
            let text = number(t);
            canvas.text((left.0 as i64 - 6 - wide(&text), left.1 as i64 - 5), &text, 2, ink);
        }
        let middle = ((LEFT + SIZE.0 - RIGHT) / 2.0) as i64 - wide(&self.x.label) / 2;
        canvas.text((middle, SIZE.1 as i64 - 26), &self.x.label, 2, ink);
        canvas.text((4, TOP as i64 - 12), &self.y.label, 2, ink);
        for (i, curve) in self.curves.iter().enumerate() {
            for (a, b) in curve.points.iter().zip(curve.points.iter().skip(1)) {
                canvas.line(whole(self.at(*a)), whole(self.at(*b)), 2, colour(i));
            }
            let x = (SIZE.0 - RIGHT) as i64 - 8 - wide(&curve.name);
            canvas.text((x, TOP as i64 + 10 + 18 * i as i64), &curve.name, 2, colour(i));
        }
        canvas.to_png()
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
