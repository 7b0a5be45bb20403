//! Pictures of machined parts, rendered.
//!
//! The surface of a part comes from its name, how it lies and is lit from the
//! number of the scan: the part is put down a little differently each time, the
//! light is not quite where it was, and the sensor is noisy. So two scans of one
//! part differ as photographs do, and two parts differ as parts do. From a given
//! scan on a part may be worn ([`Wear`]) or another one may lie in its place.
#![allow(clippy::indexing_slicing)] // sampling is clamped to the surface's inside

use super::{
    Camera, CameraError, CaptureRequest, Defect, Encoding, Image,
    noise::Noise,
    surface::{MARGIN, Surface},
};
use base::{Id, sha256};
use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder};
use std::{collections::HashMap, sync::Arc};

const WIDTH: usize = 1024;
const HEIGHT: usize = 768;
const QUALITY: u8 = 92;
/// Surfaces kept, some 11 MB each.
const CACHED: usize = 4;

/// A defect that a part shows from a scan on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wear {
    /// The first scan that shows it.
    pub since: u64,
    /// The viewpoint that sees it.
    pub viewpoint: u32,
    /// The defect.
    pub defect: Defect,
}

/// What makes a surface: the part that truly lies there, where, and its defects.
#[derive(Clone, PartialEq)]
struct Subject {
    part: Id,
    viewpoint: u32,
    defects: Vec<Defect>,
}

/// A camera that renders machined parts, 1024 × 768 grey JPEG.
pub struct Rendered {
    name: Id,
    seed: u64,
    wear: HashMap<Id, Vec<Wear>>,
    impostors: HashMap<Id, (u64, Id)>,
    surfaces: Vec<(Subject, Arc<Surface>)>,
}

impl Rendered {
    /// A camera; another seed lays, lights and exposes the same parts differently.
    pub fn new(name: Id, seed: u64) -> Self {
        let (wear, impostors) = (HashMap::new(), HashMap::new());
        Self { name, seed, wear, impostors, surfaces: Vec::new() }
    }

    /// A part gets a defect.
    pub fn wear(&mut self, part: Id, wear: Wear) {
        self.wear.entry(part).or_default().push(wear);
    }

    /// From scan `since` on, `actual` lies where `part` is announced.
    pub fn substitute(&mut self, part: Id, since: u64, actual: Id) {
        self.impostors.insert(part, (since, actual));
    }

    fn subject(&self, request: &CaptureRequest<'_>) -> Subject {
        let part = match self.impostors.get(request.part) {
            Some((since, actual)) if request.seq >= *since => actual.clone(),
            _ => request.part.clone(),
        };
        let seen = |w: &&Wear| w.since <= request.seq && w.viewpoint == request.viewpoint;
        let wear = self.wear.get(&part).into_iter().flatten();
        let defects = wear.filter(seen).map(|w| w.defect).collect();
        Subject { part, viewpoint: request.viewpoint, defects }
    }

    fn surface(&mut self, subject: Subject) -> Arc<Surface> {
        if let Some((_, surface)) = self.surfaces.iter().find(|(known, _)| *known == subject) {
            return surface.clone();
        }
        let seed = seed_of(&[subject.part.as_str(), &subject.viewpoint.to_string()]);
        let surface = Arc::new(Surface::new(seed, WIDTH, HEIGHT, &subject.defects));
        if self.surfaces.len() == CACHED {
            self.surfaces.remove(0);
        }
        self.surfaces.push((subject, surface.clone()));
        surface
    }
}

impl Camera for Rendered {
    fn name(&self) -> &Id {
        &self.name
    }

    fn capture(&mut self, request: &CaptureRequest<'_>) -> Result<Image, CameraError> {
        let surface = self.surface(self.subject(request));
        let scan =
            [request.part.as_str(), &request.viewpoint.to_string(), &request.seq.to_string()];
        let mut noise = Noise::new(seed_of(&scan) ^ self.seed, 4);
        let pixels = expose(&surface, &mut noise);
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, QUALITY)
            .write_image(&pixels, WIDTH as u32, HEIGHT as u32, ExtendedColorType::L8)
            .map_err(|e| CameraError::NoPicture {
                camera: self.name.clone(),
                part: request.part.clone(),
                reason: e.to_string(),
            })?;
        Ok(Image {
            bytes,
            encoding: Encoding::Jpeg,
            width: WIDTH as u32,
            height: HEIGHT as u32,
            host_ns: request.host_ns,
        })
    }
}

fn seed_of(words: &[&str]) -> u64 {
    let digest = sha256(words.join("\0").as_bytes()).0;
    digest.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}

/// One exposure: how the part lies, how the light falls, and the sensor's noise.
fn expose(surface: &Surface, noise: &mut Noise) -> Vec<u8> {
    let degree = std::f32::consts::PI / 180.0;
    let (sin, cos) = (0.5 * degree * noise.signed()).sin_cos();
    let scale = 1.0 + 0.003 * noise.signed();
    let shift = (8.0 * noise.signed(), 8.0 * noise.signed());
    let light =
        Light::new(degree * (-52.0 + 8.0 * noise.signed()), degree * (38.0 + 4.0 * noise.signed()));
    let gain = 290.0 * (1.0 + 0.06 * noise.signed());
    let (half_width, half_height) = (WIDTH as f32 / 2.0, HEIGHT as f32 / 2.0);
    let origin = (half_width + MARGIN as f32 + shift.0, half_height + MARGIN as f32 + shift.1);
    let mut pixels = Vec::with_capacity(WIDTH * HEIGHT);
    for row in 0..HEIGHT {
        let dy = (row as f32 - half_height) * scale;
        for column in 0..WIDTH {
            let dx = (column as f32 - half_width) * scale;
            let x = origin.0 + cos * dx - sin * dy;
            let y = origin.1 + sin * dx + cos * dy;
            // The light stands near, so the far side is darker.
            let fall = 1.0 + (light.x * dx + light.y * dy) * 2.4e-4;
            let value = gain * fall * light.on(sample(surface, x, y)) + 1.6 * noise.normal();
            pixels.push(value.clamp(0.0, 255.0) as u8);
        }
    }
    pixels
}

/// The surface between four points.
fn sample(surface: &Surface, x: f32, y: f32) -> [f32; 3] {
    let inside = |v: f32, size: usize| v.clamp(1.0, size as f32 - 3.0);
    let (x, y) = (inside(x, surface.width), inside(y, surface.height));
    let (column, row) = (x as usize, y as usize);
    let (tx, ty) = (x - column as f32, y - row as f32);
    let at = row * surface.width + column;
    let p = &surface.points;
    let (a, b) = (p[at], p[at + 1]);
    let (c, d) = (p[at + surface.width], p[at + surface.width + 1]);
    let mut out = [0.0; 3];
    for (i, value) in out.iter_mut().enumerate() {
        let top = a[i] + (b[i] - a[i]) * tx;
        let bottom = c[i] + (d[i] - c[i]) * tx;
        *value = top + (bottom - top) * ty;
    }
    out
}

/// A lamp to one side, seen in metal: some light scattered, some mirrored.
struct Light {
    x: f32,
    y: f32,
    z: f32,
    half: [f32; 3],
}

impl Light {
    /// From its direction and its angle from the vertical, rad.
    fn new(direction: f32, tilt: f32) -> Self {
        let (x, y, z) = (direction.cos() * tilt.sin(), direction.sin() * tilt.sin(), tilt.cos());
        let length = (x * x + y * y + (z + 1.0) * (z + 1.0)).sqrt();
        Self { x, y, z, half: [x / length, y / length, (z + 1.0) / length] }
    }

    fn on(&self, [slope_x, slope_y, albedo]: [f32; 3]) -> f32 {
        // Slopes are exaggerated heights in pixels: soften them to real ones.
        let (nx, ny) = (-0.22 * slope_x, -0.22 * slope_y);
        let norm = 1.0 / (nx * nx + ny * ny + 1.0).sqrt();
        let diffuse = ((nx * self.x + ny * self.y + self.z) * norm).max(0.0);
        let mirrored = ((nx * self.half[0] + ny * self.half[1] + self.half[2]) * norm).max(0.0);
        let m2 = mirrored * mirrored;
        let m8 = m2 * m2 * m2 * m2;
        let m16 = m8 * m8;
        albedo * (0.10 + 0.42 * diffuse + 0.50 * m16 * m8)
    }
}
