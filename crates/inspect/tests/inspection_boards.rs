//! The evaluation on labelled boards: figures on the development split, and what a
//! folder of another layout is told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use inspect::Plane;
use inspect::eval::inspection::{Options, poisson_bounds, run};
use std::path::Path;

const BOARDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/pcb");

#[test]
fn real_boards_are_inspected_as_well_as_claimed() {
    let dir = Path::new(BOARDS);
    if !dir.is_dir() {
        eprintln!("skipped: {BOARDS} is not there, so nothing was measured on real boards");
        return;
    }
    let mut heard = 0;
    let report = run(dir, &Options::default(), &mut |done, of| {
        assert!(done <= of);
        heard = done;
    })
    .unwrap();
    assert_eq!(heard, report.images);
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    let held_out = report.held_out.expect("these boards were trained on");
    // What is claimed is claimed of boards that the judging model never saw.
    assert!(held_out.scores.recall >= 0.99, "{:?}", held_out.scores);
    assert!(held_out.scores.false_alarms_per_image <= 0.2, "{:?}", held_out.scores);
    assert!(held_out.scores.kind_accuracy >= 0.98, "{:?}", held_out.scores);
    assert!(held_out.strict.recall >= 0.99, "{:?}", held_out.strict);
    assert!(held_out.by_board.values().all(|b| b.trained_on == 0 && b.recall >= 0.985));
    assert!(report.scores.recall >= held_out.scores.recall);
}

#[test]
fn a_folder_of_boards_is_measured_and_drawn() {
    let dir = std::env::temp_dir().join(format!("inspection-boards-{}", std::process::id()));
    let (input, out) = (dir.join("in"), dir.join("out"));
    std::fs::create_dir_all(&input).unwrap();
    let error = |text: &str| {
        let e = run(&input, &Options::default(), &mut |_, _| ()).unwrap_err().to_string();
        assert!(e.contains(text), "{e}");
    };
    error("NAME_template.jpg");
    let template = Plane::from_fn(200, 200, |x, y| {
        let copper = (x / 20 + y / 40) % 3 == 0 || (y > 150 && x > 100);
        if copper { 0.0 } else { 1.0 }
    });
    let hole = |x: usize, y: usize| (165..174).contains(&x) && (170..179).contains(&y);
    let photograph =
        Plane::from_fn(200, 200, |x, y| if hole(x, y) { 1.0 } else { template.row(y)[x] });
    std::fs::write(input.join("a_template.png"), template.to_png().unwrap()).unwrap();
    error("a_test.png");
    std::fs::write(input.join("a_test.png"), photograph.to_png().unwrap()).unwrap();
    error("a.txt");
    for wrong in ["1 2 3", "1 2 3 4 7", "5 5 1 1 2", "1 2 3 4 0", "a b c d e", "1 2 3 NaN 4"] {
        std::fs::write(input.join("a.txt"), format!("10 10 20 20 1\n{wrong}\n")).unwrap();
        error(wrong);
    }
    // One box that is a defect, and one that nothing can find.
    std::fs::write(input.join("a.txt"), "155 160 184 189 6\n10 10 30 30 1\n").unwrap();
    let options = Options { out: Some(out.clone()), ..Options::default() };
    let report = run(&input, &options, &mut |_, _| ()).unwrap();
    assert_eq!((report.images, report.scores.boxes, report.trained_on), (1, 2, 0));
    assert!(report.held_out.is_none());
    assert_eq!(report.scores.recall, 0.5);
    assert_eq!(report.scores.by_kind["pin_hole"].recall, 1.0);
    assert_eq!(report.scores.by_kind["open"].recall, 0.0);
    assert_eq!(report.scores.false_alarms_per_image, 0.0);
    assert_eq!(report.scores.kind_accuracy, 1.0);
    let json = serde_json::to_value(&report).unwrap();
    assert!(json["recall"].is_number() && json["by_kind"]["short"]["boxes"] == 0);
    let svg = std::fs::read_to_string(out.join("froc.svg")).unwrap();
    assert!(svg.contains("recall 0.5000"), "{svg}");
    for picture in ["froc.png", "miss-01-a-open.png"] {
        assert!(Plane::decode(&std::fs::read(out.join(picture)).unwrap()).is_ok());
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn rates_carry_bounds_that_agree_with_published_ones() {
    // R: poisson.test(10, 100) and poisson.test(0, 100).
    let [low, high] = poisson_bounds(10, 100);
    assert!((low - 0.047_954).abs() < 1e-3 && (high - 0.183_904).abs() < 1e-3, "{low} {high}");
    let [low, high] = poisson_bounds(0, 100);
    assert!(low == 0.0 && (high - 0.036_889).abs() < 3e-3, "{high}");
}
