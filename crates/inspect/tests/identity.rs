//! Identity on surfaces made here, and on real photographs where they are present.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use inspect::eval::change::Change;
use inspect::eval::random::Random;
use inspect::identity::{Details, Enrolment, Identity, Probe, THRESHOLD};
use inspect::{Analysis, ImageError, Input, MIN_SIDE, Photograph, Plane, Verdict};

/// A machined part: a plate with bores, a slot and an edge that all parts of the
/// design share, and a surface texture of its own.
fn part(seed: u64, width: usize, height: usize) -> Plane {
    let mut random = Random::new(seed);
    let mut noise = || Plane::from_fn(width, height, |_, _| random.between(-1.0, 1.0) as f32);
    let fine = noise().blur(1.2);
    let coarse = noise().blur(3.0);
    let (w, h) = (width as f32, height as f32);
    Plane::from_fn(width, height, |x, y| {
        let i = y * width + x;
        let (u, v) = (x as f32 / w, y as f32 / h);
        let bore = [(0.2, 0.3), (0.8, 0.3), (0.5, 0.75)]
            .iter()
            .any(|(a, b)| (w * (u - a)).hypot(h * (v - b)) < 0.09 * w.min(h));
        let slot = (0.35..0.65).contains(&u) && (0.45..0.52).contains(&v);
        let base = if bore || slot { 0.1 } else { 0.5 + 0.1 * u };
        let texture = if bore || slot { 0.1 } else { 1.0 };
        (base + texture * (0.15 * fine.data()[i] + 0.3 * coarse.data()[i])).clamp(0.0, 1.0)
    })
}

/// Another photograph of a plane: sensor noise.
fn again(plane: &Plane, seed: u64) -> Plane {
    let mut random = Random::new(seed);
    plane.zip(
        &Plane::from_fn(plane.width(), plane.height(), |_, _| random.between(-0.03, 0.03) as f32),
        |v, n| (v + n).clamp(0.0, 1.0),
    )
}

fn shot(view: &str, plane: &Plane) -> Photograph {
    Photograph::decode(view, &plane.to_png().unwrap()).unwrap()
}

fn score(enrolled: &Plane, photograph: &Plane) -> f64 {
    Enrolment::new(enrolled).unwrap().compare(&Probe::new(photograph)).unwrap().score
}

#[test]
fn the_same_part_is_confirmed_and_its_twin_denied() {
    for (w, h) in [(640, 360), (200, 220), (1500, 1100)] {
        let (mine, twin) = (part(1, w, h), part(2, w, h));
        let genuine = score(&mine, &again(&mine, 3));
        let impostor = score(&mine, &again(&twin, 4));
        assert!(genuine > 1.3 * THRESHOLD, "{w}×{h}: genuine {genuine}");
        assert!(impostor < THRESHOLD, "{w}×{h}: impostor {impostor}");
    }
}

#[test]
fn turn_scale_light_and_cover_change_nothing() {
    let (mine, twin) = (part(5, 640, 360), part(6, 640, 360));
    let enrolment = Enrolment::new(&mine).unwrap();
    for kind in Change::KINDS {
        for seed in 0..6 {
            let changed = |p: &Plane| kind.apply(&again(p, seed + 9), &mut Random::new(seed));
            let genuine = enrolment.compare(&Probe::new(&changed(&mine))).unwrap();
            let impostor = enrolment.compare(&Probe::new(&changed(&twin))).unwrap();
            let (g, i) = (genuine.score, impostor.score);
            assert!(g >= THRESHOLD, "{} {seed}: genuine {g}", kind.name());
            assert!(i < THRESHOLD, "{} {seed}: impostor {i}", kind.name());
        }
    }
}

#[test]
fn the_found_map_is_the_one_the_part_was_moved_by() {
    let mine = part(7, 640, 360);
    let map = inspect::Transform::similarity(0.12, 1.06, (319.5, 179.5), (8.0, -5.0));
    let moved = mine.warp(&map.inverse().unwrap(), 640, 360, 0.0).0;
    let found = Enrolment::new(&mine).unwrap().compare(&Probe::new(&moved)).unwrap();
    assert!((found.turn() - 0.12_f64.to_degrees()).abs() < 0.1, "{}", found.turn());
    assert!((found.scale() - 1.06).abs() < 0.002, "{}", found.scale());
}

#[test]
fn the_analysis_enrols_confirms_denies_and_explains() {
    let (mine, twin) = (part(8, 480, 320), part(9, 480, 320));
    let enrolled = [shot("top", &mine)];
    let finding = Identity.analyse(&Input { photographs: &enrolled, reference: &[] }).unwrap();
    assert_eq!(finding.verdict, Verdict::Enrolled);

    let later = [shot("top", &again(&mine, 10))];
    let input = Input { photographs: &later, reference: &enrolled };
    let finding = Identity.analyse(&input).unwrap();
    assert_eq!(finding.verdict, Verdict::Confirmed);
    assert!(finding.score >= finding.threshold);
    let details: Details = serde_json::from_value(finding.details).unwrap();
    assert_eq!(details.views[0].reference, Some(enrolled[0].digest));
    assert!(details.views[0].agreeing * 2 > details.views[0].blocks);
    let picture = Plane::decode(&finding.pictures[0].png).unwrap();
    assert_eq!((picture.width(), picture.height()), (480, 320));
    assert_eq!(finding.pictures[0].name, "agreement-top");

    let other = [shot("top", &twin)];
    let input = Input { photographs: &other, reference: &enrolled };
    assert_eq!(Identity.analyse(&input).unwrap().verdict, Verdict::Denied);
}

#[test]
fn a_view_is_held_against_the_same_view() {
    let (top, side) = (part(11, 320, 240), part(12, 320, 240));
    let enrolled = [shot("top", &top), shot("side", &side)];
    // The right surface in the wrong place is not the enrolled view.
    let swapped = [shot("top", &side), shot("side", &top)];
    let verdict = |photographs: &[Photograph]| {
        Identity.analyse(&Input { photographs, reference: &enrolled }).unwrap().verdict
    };
    assert_eq!(verdict(&enrolled), Verdict::Confirmed);
    assert_eq!(verdict(&swapped), Verdict::Denied);
    assert_eq!(verdict(&[shot("elsewhere", &side)]), Verdict::Confirmed);
}

#[test]
fn a_surface_without_texture_is_undetermined() {
    let flat = [shot("top", &Plane::from_fn(320, 240, |x, _| 0.3 + x as f32 / 1000.0))];
    let textured = [shot("top", &part(13, 320, 240))];
    for (photographs, reference) in [(&flat, &flat), (&flat, &textured), (&textured, &flat)] {
        let finding = Identity.analyse(&Input { photographs, reference }).unwrap();
        assert_eq!(finding.verdict, Verdict::Undetermined);
    }
    let finding = Identity.analyse(&Input { photographs: &flat, reference: &[] }).unwrap();
    assert_eq!(finding.verdict, Verdict::Undetermined, "nor can it be enrolled");
    assert!(Identity.analyse(&Input { photographs: &[], reference: &flat }).is_err());
}

#[test]
fn extreme_shapes_are_compared_or_refused() {
    let line = part(14, 4000, 16);
    assert!(score(&line, &line) > THRESHOLD);
    assert!(score(&line, &part(15, 16, 16)) < THRESHOLD);
    let tiny = Plane::new(MIN_SIDE as usize - 1, 400).to_png().unwrap();
    assert!(matches!(Photograph::decode("top", &tiny), Err(ImageError::Size { .. })));
    // A header that claims 60,000 × 60,000 pixels is refused by its claim.
    let mut huge = Plane::new(20, 20).to_png().unwrap();
    huge[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let checksum = crc(&huge[12..29]);
    huge[29..33].copy_from_slice(&checksum.to_be_bytes());
    let refused = Photograph::decode("top", &huge);
    assert!(matches!(refused, Err(ImageError::Size { width: 60_000, .. })), "{refused:?}");
    assert!(Photograph::decode("top", b"GIF89a").is_err());
}

/// PNG's checksum (ISO 3309), for the forged header.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |c, _| {
                if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 }
            },
        )
    })
}

#[test]
fn real_surfaces_are_told_apart() {
    let shared = std::env::var("INTERLOCK_SHARED")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").into());
    let dir = std::path::Path::new(&shared).join("data/spindle");
    if !dir.is_dir() {
        eprintln!("skipped: {} is not there", dir.display());
        return;
    }
    let options = inspect::eval::identity::Options { limit: Some(16), out: None };
    let report = inspect::eval::identity::run(&dir, &options, &|_, _| {}).unwrap();
    assert_eq!(report.figures.eer, 0.0, "{:?}", report.figures);
    for (kind, figures) in &report.under_change.by_kind {
        assert!(figures.eer <= 0.01, "{kind}: {figures:?}");
    }
    assert!(report.figures.far.count == 0 && report.figures.frr.count == 0);
}

#[test]
fn a_folder_of_another_layout_is_refused_with_the_layout_expected() {
    let dir = tempfile::tempdir().unwrap();
    let options = inspect::eval::identity::Options::default();
    let run = || inspect::eval::identity::run(dir.path(), &options, &|_, _| {});
    let refused = run().unwrap_err().to_string();
    assert!(refused.contains("one folder for each part"), "{refused}");
    std::fs::create_dir(dir.path().join("part-1")).unwrap();
    std::fs::write(dir.path().join("part-1/a.jpg"), b"no photograph").unwrap();
    let refused = run().unwrap_err().to_string();
    assert!(refused.contains("0 folders with two or more"), "{refused}");
    let gone = inspect::eval::identity::run(&dir.path().join("gone"), &options, &|_, _| {});
    assert!(gone.unwrap_err().to_string().contains("gone"));
}
