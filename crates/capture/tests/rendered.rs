//! Rendered parts look like themselves and like no other, and show their defects.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use base::Id;
use capture::{
    Camera, CaptureRequest, Image, Rendered,
    camera::{Defect, DefectKind, Wear},
};

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn camera() -> Rendered {
    Rendered::new(id("wrist"), 7)
}

fn shoot(camera: &mut Rendered, part: &str, viewpoint: u32, seq: u64) -> Image {
    let part = id(part);
    let request = CaptureRequest { part: &part, viewpoint, pose: [0.0; 6], seq, host_ns: seq };
    camera.capture(&request).unwrap()
}

/// A third of the size, without slow changes of brightness.
struct Texture {
    width: usize,
    height: usize,
    values: Vec<f64>,
}

impl Texture {
    fn new(image: &Image) -> Self {
        let grey = image::load_from_memory(&image.bytes).unwrap().to_luma8();
        let small = |x: usize, y: usize| {
            let cell =
                (0..9).map(|i| grey.get_pixel((3 * x + i % 3) as u32, (3 * y + i / 3) as u32).0[0]);
            cell.map(f64::from).sum::<f64>() / 9.0
        };
        let (width, height) = (grey.width() as usize / 3, grey.height() as usize / 3);
        let raw: Vec<f64> = (0..width * height).map(|i| small(i % width, i / width)).collect();
        let near = |x: usize, y: usize| {
            let rows = y.saturating_sub(5)..(y + 6).min(height);
            let cells: Vec<f64> = rows
                .flat_map(|r| {
                    raw[r * width + x.saturating_sub(5)..r * width + (x + 6).min(width)].iter()
                })
                .copied()
                .collect();
            cells.iter().sum::<f64>() / cells.len() as f64
        };
        let values = (0..width * height).map(|i| raw[i] - near(i % width, i / width)).collect();
        Self { width, height, values }
    }

    fn block(&self, x: usize, y: usize, side: usize) -> Vec<f64> {
        let rows = y..y + side;
        rows.flat_map(|r| self.values[r * self.width + x..r * self.width + x + side].iter())
            .copied()
            .collect()
    }

    /// The best correlation of the middle with the other's, over small shifts.
    fn likeness(&self, other: &Self) -> f64 {
        let (side, reach) = (64, 8);
        let (x, y) = ((self.width - side) / 2, (self.height - side) / 2);
        let ours = self.block(x, y, side);
        let shifts = (0..=2 * reach).flat_map(|dy| (0..=2 * reach).map(move |dx| (dx, dy)));
        let at = |(dx, dy)| correlation(&ours, &other.block(x + dx - reach, y + dy - reach, side));
        shifts.map(at).fold(-1.0, f64::max)
    }
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn a_part_is_like_itself_and_like_no_other() {
    let mut camera = camera();
    let textures: Vec<Vec<Texture>> = ["part-1", "part-2", "part-3"]
        .iter()
        .map(|part| (0..3).map(|seq| Texture::new(&shoot(&mut camera, part, 1, seq))).collect())
        .collect();
    for (p, scans) in textures.iter().enumerate() {
        for (q, others) in textures.iter().enumerate() {
            let (scan, other) =
                if p == q { (&scans[0], &others[1..]) } else { (&scans[0], &others[..]) };
            for other in other {
                let likeness = scan.likeness(other);
                assert_eq!(likeness > 0.6, p == q, "part {p} and {q}: {likeness:.3}");
                assert_eq!(likeness < 0.4, p != q, "part {p} and {q}: {likeness:.3}");
            }
        }
    }
}

#[test]
fn the_same_request_gives_the_same_picture_and_scans_differ() {
    let first = shoot(&mut camera(), "part-1", 1, 0);
    assert_eq!(first, shoot(&mut camera(), "part-1", 1, 0));
    assert_eq!((first.width, first.height), (1024, 768));
    assert_ne!(first.bytes, shoot(&mut camera(), "part-1", 1, 1).bytes);
    let elsewhere = shoot(&mut camera(), "part-1", 2, 0);
    assert!(Texture::new(&first).likeness(&Texture::new(&elsewhere)) < 0.4);
}

#[test]
fn an_impostor_lies_there_from_its_scan_on() {
    let mut camera = camera();
    camera.substitute(id("part-1"), 1, id("part-9"));
    let enrolled = Texture::new(&shoot(&mut camera, "part-1", 1, 0));
    let denied = Texture::new(&shoot(&mut camera, "part-1", 1, 1));
    let other = Texture::new(&shoot(&mut camera, "part-9", 1, 5));
    assert!(enrolled.likeness(&denied) < 0.4);
    assert!(other.likeness(&denied) > 0.6);
}

#[test]
fn defects_show_at_their_place_from_their_scan_on() {
    for kind in [DefectKind::Scratch, DefectKind::Dent, DefectKind::Stain] {
        let defect = Defect { kind, x: 0.5, y: 0.5, size: 60.0, angle: 0.8 };
        let (mut good, mut worn) = (camera(), camera());
        worn.wear(id("part-1"), Wear { since: 1, viewpoint: 1, defect });
        let difference = |worn: &mut Rendered, good: &mut Rendered, viewpoint, seq| {
            let open = |image: Image| image::load_from_memory(&image.bytes).unwrap().to_luma8();
            let (a, b) = (
                open(shoot(worn, "part-1", viewpoint, seq)),
                open(shoot(good, "part-1", viewpoint, seq)),
            );
            let changed = |(x, y, p): (u32, u32, &image::Luma<u8>)| {
                (p.0[0].abs_diff(b.get_pixel(x, y).0[0]) > 24).then_some((x, y))
            };
            a.enumerate_pixels().filter_map(changed).collect::<Vec<_>>()
        };
        assert!(difference(&mut worn, &mut good, 1, 0).is_empty(), "{kind:?} before its scan");
        assert!(difference(&mut worn, &mut good, 2, 1).is_empty(), "{kind:?} elsewhere");
        let changed = difference(&mut worn, &mut good, 1, 1);
        assert!(changed.len() > 60, "{kind:?}: {} pixels", changed.len());
        // The part may be shifted by 8 pixels and turned a little.
        let near = |(x, y): &(u32, u32)| x.abs_diff(512) < 60 && y.abs_diff(384) < 60;
        assert!(changed.iter().all(near), "{kind:?}");
    }
}
