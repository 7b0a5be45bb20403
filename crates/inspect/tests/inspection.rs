//! Inspection against a template: drawn defects are found and named, good parts pass
//! however they lie, and what can't be compared is said to be so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use inspect::inspection::{Comparison, Inspection, Kind, Mode, Polarity, Settings};
use inspect::{Analysis, Input, Photograph, Plane, Transform, Verdict};

const SIDE: usize = 480;

fn inspection() -> Inspection {
    Inspection::new(Settings::default()).unwrap()
}

/// Whether a point of the good board is conductor.
fn copper(x: f32, y: f32) -> bool {
    let trace = |at: f32, along: f32, from: f32, to: f32| {
        (along - at).abs() <= 5.0 && from <= 0.0 && to >= 0.0
    };
    let horizontal = [60.0, 90.0, 160.0].iter().any(|&at| trace(at, y, 40.0 - x, 430.0 - x));
    let vertical = [60.0, 420.0].iter().any(|&at| trace(at, x, 200.0 - y, 440.0 - y));
    let pads = [(130.0, 250.0), (200.0, 250.0), (130.0, 330.0), (350.0, 240.0)];
    let pad = pads.iter().any(|(px, py)| {
        let r = (x - px).hypot(y - py);
        r <= 20.0 && r > 7.0
    });
    let pour = (220.0..380.0).contains(&x) && (320.0..430.0).contains(&y);
    let diagonal = ((x - y) - 60.0).abs() <= 7.0 && (225.0..330.0).contains(&x) && y < 310.0;
    horizontal || vertical || pad || pour || diagonal
}

/// A board drawn from a rule, with soft edges as a camera gives.
fn drawn(rule: impl Fn(f32, f32) -> bool) -> Plane {
    Plane::from_fn(SIDE, SIDE, |x, y| if rule(x as f32, y as f32) { 0.08 } else { 0.92 }).blur(0.7)
}

fn within(x: f32, y: f32, (cx, cy): (f32, f32), (w, h): (f32, f32)) -> bool {
    (x - cx).abs() <= w / 2.0 && (y - cy).abs() <= h / 2.0
}

/// One defect of each kind: what it is, its middle, its size.
type Drawn = (Kind, (f32, f32), (f32, f32));
const DEFECTS: [Drawn; 6] = [
    (Kind::Open, (300.0, 160.0), (9.0, 14.0)),
    (Kind::Short, (150.0, 75.0), (7.0, 24.0)),
    (Kind::Mousebite, (300.0, 322.0), (12.0, 13.0)),
    (Kind::Spur, (240.0, 149.0), (6.0, 18.0)),
    (Kind::SpuriousCopper, (180.0, 410.0), (12.0, 10.0)),
    (Kind::PinHole, (330.0, 385.0), (9.0, 9.0)),
];

fn defective(x: f32, y: f32) -> bool {
    let hit = DEFECTS.iter().find(|(_, at, size)| within(x, y, *at, *size));
    match hit.map(|(kind, _, _)| kind) {
        Some(Kind::Open | Kind::Mousebite | Kind::PinHole) => false,
        Some(_) => true,
        None => copper(x, y),
    }
}

fn sure(comparison: &Comparison) -> Vec<(Kind, (f64, f64))> {
    comparison.defects(Settings::default().threshold).map(|d| (d.kind, d.place.centre())).collect()
}

/// Turned about the middle, shifted, and under other light.
fn disturbed(plane: &Plane, degrees: f64, shift: (f64, f64), gain: f32, offset: f32) -> Plane {
    let middle = (SIDE as f64 / 2.0, SIDE as f64 / 2.0);
    let map = Transform::similarity(degrees.to_radians(), 1.0, middle, shift);
    let (mut seen, mask) = plane.warp(&map, SIDE, SIDE, 0.92);
    // What lies beyond the drawing is bare board.
    seen = seen.zip(&mask, |v, m| if m > 0.0 { v } else { 0.92 });
    let mut state = 7_u32;
    Plane::from_fn(SIDE, SIDE, |x, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (state >> 8) as f32 / (1 << 24) as f32 - 0.5;
        (gain * seen.row(y)[x] + offset + 0.03 * noise).clamp(0.0, 1.0)
    })
}

#[test]
fn each_kind_of_defect_is_found_and_named() {
    let (template, photograph) = (drawn(copper), drawn(defective));
    let comparison = inspection().compare(&template, &photograph).unwrap();
    assert_eq!(comparison.mode, Mode::Board);
    let found = sure(&comparison);
    for (kind, (x, y), _) in DEFECTS {
        let near = |c: &(f64, f64)| (c.0 - f64::from(x)).hypot(c.1 - f64::from(y)) < 8.0;
        let hits: Vec<_> = found.iter().filter(|(_, c)| near(c)).collect();
        assert!(matches!(hits[..], [(k, _)] if *k == kind), "{kind:?} at {x}, {y}: {found:?}");
    }
    assert_eq!(found.len(), DEFECTS.len(), "{found:?}");
    for d in comparison.defects(0.3) {
        let added = matches!(d.kind, Kind::Short | Kind::Spur | Kind::SpuriousCopper);
        assert_eq!(d.polarity, if added { Polarity::Added } else { Polarity::Removed });
        assert!(d.area > 20 && d.place.w > 10.0 && d.confidence <= 1.0, "{d:?}");
    }
}

#[test]
fn defects_are_found_where_the_photograph_shows_them() {
    let template = drawn(copper);
    let photograph = disturbed(&drawn(defective), 1.5, (6.0, -4.0), 0.8, 0.1);
    let comparison = inspection().compare(&template, &photograph).unwrap();
    let found = sure(&comparison);
    let middle = SIDE as f64 / 2.0;
    let map = Transform::similarity(1.5_f64.to_radians(), 1.0, (middle, middle), (6.0, -4.0));
    for (kind, (x, y), _) in DEFECTS {
        let (px, py) = map.inverse().unwrap().apply(f64::from(x), f64::from(y));
        let near = |c: &(f64, f64)| (c.0 - px).hypot(c.1 - py) < 8.0;
        assert!(
            found.iter().any(|(k, c)| *k == kind && near(c)),
            "{kind:?} at {px:.0}, {py:.0}: {found:?}"
        );
    }
    let a = comparison.alignment;
    assert!((a.angle + 1.5).abs() < 0.1 && (a.scale - 1.0).abs() < 0.003, "{a:?}");
}

#[test]
fn a_good_board_passes_however_it_lies() {
    let template = drawn(copper);
    let same = inspection().compare(&template, &template).unwrap();
    assert!(same.candidates.is_empty(), "{:?}", same.candidates);
    assert!(same.alignment.angle.abs() < 1e-3 && same.alignment.shift.0.abs() < 0.01);
    for (degrees, shift, gain, offset) in [
        (0.0, (9.0, -7.0), 1.0, 0.0),
        (2.0, (3.0, 5.0), 1.0, 0.0),
        (-2.0, (-4.0, 2.5), 0.6, 0.2),
        (0.7, (0.3, 0.6), 0.75, 0.0),
        (0.0, (0.0, 0.0), 0.9, 0.1),
    ] {
        let photograph = disturbed(&template, degrees, shift, gain, offset);
        let comparison = inspection().compare(&template, &photograph).unwrap();
        let found = sure(&comparison);
        assert!(found.is_empty(), "turned {degrees}°, shifted {shift:?}: {found:?}");
    }
}

/// A turned face with a bore, grooves and bolt holes, under light from one side.
fn machined(x: f32, y: f32) -> f32 {
    let (dx, dy) = (x - 240.0, y - 240.0);
    let r = dx.hypot(dy);
    let light = 0.12 * (x / SIDE as f32 - 0.5);
    let holes = (0..6).any(|k| {
        let angle = k as f32 * std::f32::consts::TAU / 6.0 + 0.3;
        (dx - 150.0 * angle.cos()).hypot(dy - 150.0 * angle.sin()) < 16.0
    });
    let slot = within(x, y, (240.0, 50.0), (30.0, 24.0));
    let face = match r {
        r if r > 215.0 => 0.15,
        r if r < 55.0 => 0.1,
        r if (90.0..96.0).contains(&r) => 0.35,
        _ if holes || slot => 0.2,
        _ => 0.55 + 0.05 * (r * 0.9).sin() + 0.03 * (x * 0.013).sin() * (y * 0.021).cos(),
    };
    face + light
}

fn photographed(part: impl Fn(f32, f32) -> f32) -> Plane {
    let sharp = Plane::from_fn(SIDE, SIDE, |x, y| part(x as f32, y as f32));
    disturbed(&sharp.blur(0.8), 0.0, (0.0, 0.0), 1.0, 0.0)
}

#[test]
fn a_grey_part_shows_what_changed_and_nothing_else() {
    let template = photographed(machined);
    let middle = (SIDE as f64 / 2.0, SIDE as f64 / 2.0);
    let map = Transform::similarity(1.0_f64.to_radians(), 1.0, middle, (3.4, -2.2));
    let good = photographed(|x, y| {
        let (u, v) = map.apply(f64::from(x), f64::from(y));
        0.9 * machined(u as f32, v as f32) + 0.04
    });
    let comparison = inspection().compare(&template, &good).unwrap();
    assert_eq!(comparison.mode, Mode::Grey);
    assert!(sure(&comparison).is_empty(), "{:?}", comparison.candidates);

    let damaged = photographed(|x, y| {
        let scratch = ((y - 330.0) - 0.4 * (x - 240.0)).abs() < 1.6 && (200.0..290.0).contains(&x);
        let chip = (x - 345.0).hypot(y - 300.0) < 9.0;
        machined(x, y) + if scratch { 0.25 } else { 0.0 } - if chip { 0.3 } else { 0.0 }
    });
    let comparison = inspection().compare(&template, &damaged).unwrap();
    let found: Vec<_> = comparison.defects(0.3).collect();
    let at = |x: f64, y: f64, kind: Kind, polarity: Polarity| {
        found.iter().any(|d| d.place.holds((x, y), 0.0) && d.kind == kind && d.polarity == polarity)
    };
    assert!(at(245.0, 332.0, Kind::Scratch, Polarity::Brighter), "{found:?}");
    assert!(at(345.0, 300.0, Kind::Changed, Polarity::Darker), "{found:?}");
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn what_can_not_be_compared_is_refused_with_the_reason() {
    let template = drawn(copper);
    let refusal =
        |photograph: &Plane| inspection().compare(&template, photograph).unwrap_err().to_string();
    assert!(refusal(&Plane::new(20, 20)).contains("at least 48×48"));
    assert!(refusal(&Plane::new(0, 0)).contains("at least 48×48"));
    assert!(refusal(&Plane::new(480, 200)).contains("480×200"));
    assert!(refusal(&Plane::new(2000, 2000)).contains("factor of at most 2"));
    assert!(refusal(&Plane::new(SIDE, SIDE)).contains("does not look like the template"));
    let mut state = 1_u32;
    let noise = Plane::from_fn(SIDE, SIDE, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    });
    assert!(refusal(&noise).contains("does not look like the template"));
    assert!(refusal(&template.map(|v| 1.0 - v)).contains("does not look like the template"));
    assert!(refusal(&template.map(|_| f32::NAN)).contains("does not look like the template"));
}

fn photograph(view: &str, plane: &Plane) -> Photograph {
    Photograph::decode(view, &plane.to_png().unwrap()).unwrap()
}

#[test]
fn the_finding_names_defects_and_draws_them() {
    let reference = [photograph("top", &drawn(copper))];
    let finding = |photographs: &[Photograph]| {
        inspection().analyse(&Input { photographs, reference: &reference }).unwrap()
    };
    let bad = finding(&[photograph("top", &drawn(defective))]);
    assert_eq!(bad.verdict, Verdict::Fail);
    assert!(bad.score >= bad.threshold);
    let defects = bad.details["views"][0]["defects"].as_array().unwrap();
    assert_eq!(defects.len(), 6);
    assert!(defects.iter().any(|d| d["kind"] == "pin_hole" && d["x"].as_f64() > Some(300.0)));
    let names: Vec<&str> = bad.pictures.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["defects", "heat"]);
    assert!(bad.pictures.iter().all(|p| Plane::decode(&p.png).unwrap().width() == SIDE));

    let good = finding(&[photograph("top", &drawn(copper))]);
    assert_eq!(good.verdict, Verdict::Pass);
    assert!(good.score < good.threshold);

    let other = finding(&[photograph("side", &drawn(copper))]);
    assert_eq!(other.verdict, Verdict::Undetermined);
    let small = finding(&[photograph("top", &Plane::new(32, 32))]);
    assert_eq!(small.verdict, Verdict::Undetermined);
    assert!(small.details["views"][0]["reason"].as_str().unwrap().contains("32×32"));
    // One open question outweighs a pass, and one defect outweighs both.
    let both = finding(&[photograph("top", &drawn(copper)), photograph("side", &drawn(copper))]);
    assert_eq!(both.verdict, Verdict::Undetermined);
    let both = finding(&[photograph("top", &drawn(defective)), photograph("side", &drawn(copper))]);
    assert_eq!(both.verdict, Verdict::Fail);

    let nothing = Input { photographs: &[], reference: &reference };
    assert!(inspection().analyse(&nothing).unwrap_err().to_string().contains("photograph"));
    let nothing = Input { photographs: &reference, reference: &[] };
    assert!(inspection().analyse(&nothing).unwrap_err().to_string().contains("template"));
}

#[test]
fn the_program_changes_with_every_setting_and_names_the_model() {
    let program = |settings| Inspection::new(settings).unwrap().program();
    let standard = Settings::default();
    let others = [
        Settings { threshold: 0.5, ..standard },
        Settings { margin: 3.0, ..standard },
        Settings { dark_conductor: false, ..standard },
    ];
    let plain = program(standard);
    assert!(plain.contains(&inspection().model().digest().to_string()), "{plain}");
    assert!(others.into_iter().all(|s| program(s) != plain));
}

#[test]
fn bright_conductor_is_read_when_told() {
    let invert = |p: Plane| p.map(|v| 1.0 - v);
    let settings = Settings { dark_conductor: false, ..Settings::default() };
    let inspection = Inspection::new(settings).unwrap();
    let comparison = inspection.compare(&invert(drawn(copper)), &invert(drawn(defective))).unwrap();
    let mut kinds: Vec<Kind> = comparison.defects(0.3).map(|d| d.kind).collect();
    kinds.sort();
    assert_eq!(kinds, Kind::BOARD);
}
