//! The figures of an identity evaluation, and the files that illustrate them:
//! `roc` and `errors` (both error rates over the score) as SVG and PNG, `scores.csv` and example pictures with their heat maps.

use super::super::change::Change;
use super::super::chart::{Axis, Chart, Curve};
use super::super::figures::{Figures, RocPoint, roc};
use super::super::folders;
use super::{EvalError, Scored, Shot, seed};
use crate::identity::{Identity, THRESHOLD};
use crate::{Analysis, Input, Photograph};
use base::sha256;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `identity`.
    pub analysis: &'static str,
    /// What was measured, with every parameter.
    pub program: String,
    /// Folders with photographs.
    pub parts: usize,
    /// Photographs in them.
    pub photographs: usize,
    /// How pairs were chosen, in words.
    pub sampling: String,
    /// The figures of photographs as they are.
    #[serde(flatten)]
    pub figures: Figures,
    /// The figures of photographs that were changed.
    pub under_change: UnderChange,
    /// Median time to prepare a photograph and compare it with an enrolled
    /// surface, on one thread, in milliseconds; decoding is apart.
    pub ms_per_image: f64,
    /// Median time to read and decode a photograph, in milliseconds.
    pub ms_decode: f64,
    /// Median time to enrol a photograph, in milliseconds.
    pub ms_enrol: f64,
}

/// Figures under change.
#[derive(Clone, Debug, Serialize)]
pub struct UnderChange {
    /// Of all kinds pooled, at one threshold.
    #[serde(flatten)]
    pub figures: Figures,
    /// Of each kind; `all` is every kind at once.
    pub by_kind: BTreeMap<&'static str, Figures>,
}

/// Writes the illustrations.
pub(super) fn write(out: &Path, shots: &[Shot], scored: &[Scored]) -> Result<(), EvalError> {
    let save = |name: &str, bytes: &[u8]| {
        let path = out.join(name);
        std::fs::write(&path, bytes).map_err(|source| EvalError::Write { path, source })
    };
    std::fs::create_dir_all(out).map_err(|source| EvalError::Write { path: out.into(), source })?;
    for (name, chart) in [("roc", roc_chart(scored)), ("errors", error_chart(scored))] {
        save(&format!("{name}.svg"), chart.svg().as_bytes())?;
        save(&format!("{name}.png"), &chart.png()?)?;
    }
    save("scores.csv", table(shots, scored).as_bytes())?;
    for (name, picked) in examples(scored) {
        for (suffix, png) in illustrate(shots, picked)? {
            save(&format!("{name}-{suffix}.png"), &png)?;
        }
    }
    Ok(())
}

/// The ROC of one sort of pairs.
fn rates(scored: &[Scored], pick: impl Fn(&Scored) -> bool) -> Vec<RocPoint> {
    let scores = |genuine: bool| -> Vec<f64> {
        let chosen = scored.iter().filter(|s| s.pair.genuine == genuine && pick(s));
        chosen.map(|s| s.score).collect()
    };
    roc(&scores(true), &scores(false))
}

fn roc_chart(scored: &[Scored]) -> Chart {
    let curve = |change: Option<Change>| {
        let points = rates(scored, |s| s.change == change);
        Curve {
            name: change.map_or("as it is", Change::name).to_owned(),
            points: points.iter().map(|p| (p.far, 1.0 - p.frr)).collect(),
        }
    };
    Chart {
        title: "Identity: ROC".into(),
        x: Axis { label: "false accept rate".into(), from: 1e-4, to: 1.0, logarithmic: true },
        y: Axis { label: "genuine accepted".into(), from: 0.9, to: 1.0, logarithmic: false },
        curves: [None].into_iter().chain(Change::KINDS.map(Some)).map(curve).collect(),
    }
}

fn error_chart(scored: &[Scored]) -> Chart {
    let highest = scored.iter().map(|s| s.score).fold(0.0, f64::max);
    let mut curves = Vec::new();
    for (sort, changed) in [("as it is", false), ("changed", true)] {
        let points = rates(scored, |s| s.change.is_some() == changed);
        let far = points.iter().map(|p| (p.threshold, p.far)).collect();
        let frr = points.iter().map(|p| (p.threshold, p.frr)).collect();
        curves.push(Curve { name: format!("impostors accepted, {sort}"), points: far });
        curves.push(Curve { name: format!("genuine refused, {sort}"), points: frr });
    }
    curves.push(Curve {
        name: format!("threshold {THRESHOLD}"),
        points: vec![(THRESHOLD, 1e-4), (THRESHOLD, 1.0)],
    });
    Chart {
        title: "Identity: error rates over the threshold".into(),
        x: Axis { label: "score".into(), from: 0.0, to: highest.max(0.2), logarithmic: false },
        y: Axis { label: "share".into(), from: 1e-4, to: 1.0, logarithmic: true },
        curves,
    }
}

fn table(shots: &[Shot], scored: &[Scored]) -> String {
    let mut text = String::from("change,genuine,score,enrolled,probe\n");
    let name = |i: usize| {
        shots.get(i).map(|s| format!("{}/{}", s.part, folders::name(&s.path))).unwrap_or_default()
    };
    for s in scored {
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "{},{},{:.5},{},{}",
            s.change.map_or("straight", Change::name),
            s.pair.genuine,
            s.score,
            name(s.pair.enrolled),
            name(s.pair.probe)
        );
    }
    text
}

/// The pairs worth looking at: the typical and the worst of each sort.
fn examples(scored: &[Scored]) -> Vec<(&'static str, &Scored)> {
    let sorted = |genuine: bool, change: Option<Change>| {
        let mut chosen: Vec<&Scored> =
            scored.iter().filter(|s| s.pair.genuine == genuine && s.change == change).collect();
        chosen.sort_by(|a, b| a.score.total_cmp(&b.score));
        chosen
    };
    let (genuine, impostor) = (sorted(true, None), sorted(false, None));
    let (changed, other) = (sorted(true, Some(Change::All)), sorted(false, Some(Change::All)));
    [
        ("genuine-typical", genuine.get(genuine.len() / 2)),
        ("genuine-lowest", genuine.first()),
        ("genuine-changed-typical", changed.get(changed.len() / 2)),
        ("genuine-changed-lowest", changed.first()),
        ("impostor-typical", impostor.get(impostor.len() / 2)),
        ("impostor-highest", impostor.last()),
        ("impostor-changed-highest", other.last()),
    ]
    .into_iter()
    .filter_map(|(name, s)| Some((name, *s?)))
    .collect()
}

/// The enrolled photograph and the one in question under its heat map.
fn illustrate(shots: &[Shot], s: &Scored) -> Result<Vec<(&'static str, Vec<u8>)>, EvalError> {
    let (Some(a), Some(b)) = (shots.get(s.pair.enrolled), shots.get(s.pair.probe)) else {
        return Ok(Vec::new());
    };
    let (enrolled, mut probe) = (folders::load(&a.path)?, folders::load(&b.path)?);
    if let Some(change) = s.change {
        let plane = change.apply(&probe.plane, &mut seed(a, b));
        let digest = sha256(&plane.to_png()?);
        probe = Photograph { view: probe.view, digest, plane };
    }
    let enrolled_png = enrolled.plane.to_png()?;
    let finding = Identity.analyse(&Input { photographs: &[probe], reference: &[enrolled] })?;
    let mut files = vec![("enrolled", enrolled_png)];
    files.extend(finding.pictures.into_iter().map(|p| ("agreement", p.png)));
    Ok(files)
}
