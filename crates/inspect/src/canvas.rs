//! Pictures that explain: a colour image to draw on, written as PNG.

use crate::{ImageError, Plane};
use image::{ImageFormat, Rgb, RgbImage};
use std::io::Cursor;

/// A colour image to draw on. Drawing outside its edges does nothing.
#[derive(Clone, Debug)]
pub struct Canvas(RgbImage);

impl Canvas {
    /// A canvas of one colour.
    pub fn new(width: u32, height: u32, colour: [u8; 3]) -> Self {
        Self(RgbImage::from_pixel(width, height, Rgb(colour)))
    }

    /// A grey canvas showing a plane, whose samples are clamped to 0–1.
    pub fn from_plane(plane: &Plane) -> Self {
        let mut canvas = Self::new(plane.width() as u32, plane.height() as u32, [0; 3]);
        for (pixel, v) in canvas.0.pixels_mut().zip(plane.data()) {
            *pixel = Rgb([(v.clamp(0.0, 1.0) * 255.0).round() as u8; 3]);
        }
        canvas
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        self.0.dimensions()
    }

    /// Mixes `colour` into the pixel at `(x, y)`: `opacity` 1 replaces it.
    pub fn blend(&mut self, x: i64, y: i64, colour: [u8; 3], opacity: f32) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else {
            return;
        };
        if let Some(pixel) = self.0.get_pixel_mut_checked(x, y) {
            for (p, c) in pixel.0.iter_mut().zip(colour) {
                let mixed =
                    f32::from(*p) + opacity.clamp(0.0, 1.0) * (f32::from(c) - f32::from(*p));
                *p = mixed.round() as u8;
            }
        }
    }

    /// Fills the rectangle at `(x, y)`.
    pub fn fill(&mut self, (x, y): (i64, i64), (w, h): (i64, i64), colour: [u8; 3], opacity: f32) {
        for row in y.max(0)..(y + h).min(i64::from(self.0.height())) {
            for column in x.max(0)..(x + w).min(i64::from(self.0.width())) {
                self.blend(column, row, colour, opacity);
            }
        }
    }

    /// Draws the outline of the rectangle at `(x, y)`, `thickness` pixels wide inwards.
    pub fn frame(
        &mut self,
        (x, y): (i64, i64),
        (w, h): (i64, i64),
        thickness: i64,
        colour: [u8; 3],
    ) {
        let t = thickness;
        self.fill((x, y), (w, t), colour, 1.0);
        self.fill((x, y + h - t), (w, t), colour, 1.0);
        self.fill((x, y + t), (t, h - 2 * t), colour, 1.0);
        self.fill((x + w - t, y + t), (t, h - 2 * t), colour, 1.0);
    }

    /// Draws a straight line, `thickness` pixels wide.
    pub fn line(&mut self, from: (f32, f32), to: (f32, f32), thickness: i64, colour: [u8; 3]) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        // Longer than any canvas's diagonal: bounds the loop for wild points.
        let steps = dx.abs().max(dy.abs()).ceil().min(200_000.0) as u32;
        for i in 0..=steps {
            let t = if steps == 0 { 0.0 } else { i as f32 / steps as f32 };
            let at = |a: f32, d: f32| (a + t * d).round() as i64 - thickness / 2;
            self.fill((at(from.0, dx), at(from.1, dy)), (thickness, thickness), colour, 1.0);
        }
    }

    /// Writes a line of small capitals, digits and signs with its top left at
    /// `(x, y)`; each glyph is 3 by 5 squares of `size` pixels. What has no glyph
    /// is left blank.
    pub fn text(&mut self, (x, y): (i64, i64), text: &str, size: i64, colour: [u8; 3]) {
        for (i, c) in (0_i64..).zip(text.chars()) {
            let bits = glyph(c);
            for k in (0..15).filter(|k| bits >> (14 - k) & 1 == 1) {
                let at = (x + (4 * i + k % 3) * size, y + k / 3 * size);
                self.fill(at, (size, size), colour, 1.0);
            }
        }
    }

    /// The image as PNG.
    ///
    /// # Errors
    /// When it is empty or too large for the format.
    pub fn to_png(&self) -> Result<Vec<u8>, ImageError> {
        let mut out = Cursor::new(Vec::new());
        self.0
            .write_to(&mut out, ImageFormat::Png)
            .map_err(|e| ImageError::Unreadable(e.to_string()))?;
        Ok(out.into_inner())
    }

    /// A colour for a value from 0 (red) over ½ (yellow) to 1 (green), readable
    /// over grey.
    pub fn heat(value: f32) -> [u8; 3] {
        let v = value.clamp(0.0, 1.0);
        let ramp = |x: f32| (x.clamp(0.0, 1.0) * 255.0).round() as u8;
        [ramp(2.0 - 2.0 * v), ramp(2.0 * v), 32]
    }
}

/// A glyph's squares, row by row from the top left.
fn glyph(c: char) -> u16 {
    match c.to_ascii_uppercase() {
        'A' => 0b010_101_111_101_101,
        'B' => 0b110_101_110_101_110,
        'C' => 0b011_100_100_100_011,
        'D' => 0b110_101_101_101_110,
        'E' => 0b111_100_110_100_111,
        'F' => 0b111_100_110_100_100,
        'G' => 0b011_100_101_101_011,
        'H' => 0b101_101_111_101_101,
        'I' => 0b111_010_010_010_111,
        'J' => 0b001_001_001_101_010,
        'K' => 0b101_101_110_101_101,
        'L' => 0b100_100_100_100_111,
        'M' => 0b101_111_111_101_101,
        'N' => 0b110_101_101_101_101,
        'O' => 0b010_101_101_101_010,
        'P' => 0b110_101_110_100_100,
        'Q' => 0b010_101_101_111_011,
        'R' => 0b110_101_110_101_101,
        'S' => 0b011_100_010_001_110,
        'T' => 0b111_010_010_010_010,
        'U' => 0b101_101_101_101_111,
        'V' => 0b101_101_101_101_010,
        'W' => 0b101_101_111_111_101,
        'X' => 0b101_101_010_101_101,
        'Y' => 0b101_101_010_010_010,
        'Z' => 0b111_001_010_100_111,
        '0' => 0b111_101_101_101_111,
        '1' => 0b010_110_010_010_111,
        '2' => 0b111_001_111_100_111,
        '3' => 0b111_001_111_001_111,
        '4' => 0b101_101_111_001_001,
        '5' => 0b111_100_111_001_111,
        '6' => 0b111_100_111_101_111,
        '7' => 0b111_001_010_010_010,
        '8' => 0b111_101_111_101_111,
        '9' => 0b111_101_111_001_111,
        '.' => 0b000_000_000_000_010,
        ',' => 0b000_000_000_010_100,
        ':' => 0b000_010_000_010_000,
        '-' => 0b000_000_111_000_000,
        '%' => 0b101_001_010_100_101,
        '/' => 0b001_001_010_100_100,
        '=' => 0b000_111_000_111_000,
        '(' => 0b010_100_100_100_010,
        ')' => 0b010_001_001_001_010,
        '+' => 0b000_010_111_010_000,
        _ => 0,
    }
}
