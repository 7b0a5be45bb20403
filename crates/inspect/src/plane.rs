//! One channel of 32-bit samples, and the filters both analyses share.
//!
//! Borders replicate the nearest sample. Sizes are bounded when decoding: the
//! header is read and judged before pixels are allocated.

// Image kernels: each index is bounded by the loop over the plane's own width and height.
#![allow(clippy::indexing_slicing)]

use image::{GrayImage, ImageFormat, ImageReader, Limits};
use std::io::Cursor;

/// The most pixels a photograph may have: 64 Mpx.
pub const MAX_PIXELS: u64 = 64 << 20;

/// The fewest pixels a side of a photograph may have.
pub const MIN_SIDE: u32 = 16;

/// Why bytes are no usable photograph.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Not a PNG or JPEG, or a damaged one.
    #[error("not a readable photograph ({0}): a whole PNG or JPEG is expected")]
    Unreadable(String),
    /// Too small or too large.
    #[error(
        "a photograph of {width}×{height} pixels can't be used: each side must have at least \
         {MIN_SIDE}, and the whole at most {MAX_PIXELS}"
    )]
    Size {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },
}

/// One channel of an image, row by row from the top left.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    width: usize,
    height: usize,
    data: Vec<f32>,
}

impl Plane {
    /// A black plane.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, data: vec![0.0; width * height] }
    }

    /// A plane computed sample by sample from `(x, y)`.
    pub fn from_fn(width: usize, height: usize, mut f: impl FnMut(usize, usize) -> f32) -> Self {
        let mut data = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                data.push(f(x, y));
            }
        }
        Self { width, height, data }
    }

    /// The luminance of a PNG or JPEG, in 0 to 1.
    ///
    /// # Errors
    /// When the bytes are neither, are damaged, or have unusable dimensions.
    pub fn decode(bytes: &[u8]) -> Result<Self, ImageError> {
        let unreadable = |e: image::ImageError| ImageError::Unreadable(e.to_string());
        let format = match image::guess_format(bytes) {
            Ok(f @ (ImageFormat::Png | ImageFormat::Jpeg)) => f,
            Ok(other) => return Err(ImageError::Unreadable(format!("its format is {other:?}"))),
            Err(e) => return Err(unreadable(e)),
        };
        let (width, height) = ImageReader::with_format(Cursor::new(bytes), format)
            .into_dimensions()
            .map_err(unreadable)?;
        let pixels = u64::from(width) * u64::from(height);
        if width.min(height) < MIN_SIDE || pixels > MAX_PIXELS {
            return Err(ImageError::Size { width, height });
        }
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        let mut limits = Limits::default();
        limits.max_image_width = Some(width);
        limits.max_image_height = Some(height);
        // Eight bytes a pixel hold the widest sample format (16-bit RGBA); the rest
        // is the decoder's own room.
        limits.max_alloc = Some(pixels * 8 + (64 << 20));
        reader.limits(limits);
        let gray = reader.decode().map_err(unreadable)?.into_luma8();
        let data = gray.as_raw().iter().map(|&v| f32::from(v) / 255.0).collect();
        Ok(Self { width: gray.width() as usize, height: gray.height() as usize, data })
    }

    /// The plane as an 8-bit grey PNG; samples are clamped to 0–1.
    ///
    /// # Errors
    /// When the plane is empty or too large for the format.
    pub fn to_png(&self) -> Result<Vec<u8>, ImageError> {
        let bytes = self.data.iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
        let size = ImageError::Size { width: self.width as u32, height: self.height as u32 };
        let image =
            GrayImage::from_raw(self.width as u32, self.height as u32, bytes).ok_or(size)?;
        let mut out = Cursor::new(Vec::new());
        image
            .write_to(&mut out, ImageFormat::Png)
            .map_err(|e| ImageError::Unreadable(e.to_string()))?;
        Ok(out.into_inner())
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// All samples, row by row.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// All samples, row by row, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// One row; empty when `y` lies outside.
    pub fn row(&self, y: usize) -> &[f32] {
        self.data.get(y * self.width..(y + 1) * self.width).unwrap_or_default()
    }

    /// The sample at `(x, y)`, with the border replicated; 0 when the plane is empty.
    pub fn at(&self, x: isize, y: isize) -> f32 {
        if self.data.is_empty() {
            return 0.0;
        }
        let x = x.clamp(0, self.width as isize - 1) as usize;
        let y = y.clamp(0, self.height as isize - 1) as usize;
        self.data[y * self.width + x]
    }

    /// The bilinear sample at a point, or `None` outside the plane.
    #[inline]
    pub fn sample(&self, x: f32, y: f32) -> Option<f32> {
        let inside = x >= 0.0
            && y >= 0.0
            && x <= self.width.saturating_sub(1) as f32
            && y <= self.height.saturating_sub(1) as f32;
        if !inside || self.data.is_empty() {
            return None;
        }
        let (x0, y0) = (x as usize, y as usize);
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let right = usize::from(x0 + 1 < self.width);
        let below = if y0 + 1 < self.height { self.width } else { 0 };
        let i = y0 * self.width + x0;
        let d = &self.data;
        let top = d[i] + fx * (d[i + right] - d[i]);
        let low = d[i + below] + fx * (d[i + below + right] - d[i + below]);
        Some(top + fy * (low - top))
    }

    /// Each sample mapped by `f`.
    pub fn map(&self, f: impl Fn(f32) -> f32) -> Self {
        Self { data: self.data.iter().map(|&v| f(v)).collect(), ..*self }
    }

    /// Two planes of equal size combined sample by sample; the smaller extent
    /// of both when they differ.
    pub fn zip(&self, other: &Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let (w, h) = (self.width.min(other.width), self.height.min(other.height));
        let mut data = Vec::with_capacity(w * h);
        for y in 0..h {
            data.extend(self.row(y).iter().zip(other.row(y)).map(|(&a, &b)| f(a, b)));
        }
        Self { width: w, height: h, data }
    }

    /// The rectangle at `(x, y)`, cut to what lies inside the plane.
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Self {
        let width = width.min(self.width.saturating_sub(x));
        let height = height.min(self.height.saturating_sub(y));
        let mut data = Vec::with_capacity(width * height);
        for row in y..y + height {
            data.extend_from_slice(&self.row(row)[x..x + width]);
        }
        Self { width, height, data }
    }

    /// The mean of all samples; 0 when empty.
    pub fn mean(&self) -> f32 {
        let sum: f64 = self.data.iter().map(|&v| f64::from(v)).sum();
        (sum / self.data.len().max(1) as f64) as f32
    }

    /// The standard deviation of all samples; 0 when empty.
    pub fn deviation(&self) -> f32 {
        let mean = f64::from(self.mean());
        let sum: f64 = self.data.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum();
        (sum / self.data.len().max(1) as f64).sqrt() as f32
    }
}
