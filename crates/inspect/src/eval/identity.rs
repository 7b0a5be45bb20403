//! Measures the identity analysis on photographs of the same parts.
//!
//! Layout: one folder for each part, in it two or more PNG or JPEG photographs of
//! that part. Folders whose names end in the same word after the last `-` (the
//! viewing angle, say) look most alike and are the first impostors.
//!
//! Each pair is measured as it is, and further pairs with one photograph changed
//! by each kind of [`Change`]. When there are more pairs than wanted, a seeded
//! draw picks them, and the report says so.

mod pairs;
mod report;

use super::change::Change;
use super::figures::{Figures, figures};
use super::folders::{self, FolderError};
use super::random::Random;
use crate::identity::{Enrolment, Identity, Probe, THRESHOLD};
use crate::{Analysis, AnalysisError, ImageError, SpectrumError};
pub use pairs::Pair;
use rayon::prelude::*;
pub use report::{Report, UnderChange};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Pairs of each sort, unless told otherwise: genuine and impostor, as they are
/// and under each kind of change.
const PAIRS: Limits =
    Limits { genuine: 800, impostor: 1600, genuine_changed: 150, impostor_changed: 200 };

/// How many comparisons are timed, and how often each: the quickest counts, so that
/// other work on the machine weighs little.
const TIMED: usize = 40;
const REPEATS: usize = 3;

/// What is expected of the folder.
const LAYOUT: &str = "one folder for each part, at least two, and in each two or more .jpg or .png photographs of \
     that part";

/// What an evaluation can be told.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// At most this many pairs of each sort instead of the usual numbers.
    pub limit: Option<usize>,
    /// A folder for the ROC, the scores and example pictures; created when missing.
    pub out: Option<PathBuf>,
}

/// Why identity could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The folder isn't as expected.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A photograph can't be compared or drawn.
    #[error(transparent)]
    Analysis(#[from] AnalysisError),
    /// A spectrum of the wrong size.
    #[error(transparent)]
    Spectrum(#[from] SpectrumError),
    /// A picture can't be drawn.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A result can't be written.
    #[error("can't write {path}: {source}; a writable folder is expected")]
    Write {
        /// Where to.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

#[derive(Clone, Copy)]
struct Limits {
    genuine: usize,
    impostor: usize,
    genuine_changed: usize,
    impostor_changed: usize,
}

/// One photograph of the folder.
struct Shot {
    part: String,
    path: PathBuf,
}

/// One measured pair.
struct Scored {
    pair: Pair,
    change: Option<Change>,
    score: f64,
}

/// Measures identity on `dir`; `progress` hears how many comparisons are done, of
/// how many.
///
/// # Errors
/// When the folder isn't as expected, holds a file that is no photograph, or a
/// result can't be written.
pub fn run(
    dir: &Path,
    options: &Options,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Report, EvalError> {
    let shots = find(dir)?;
    let probes: Vec<Probe> = shots
        .par_iter()
        .map(|s| Ok(Probe::new(&folders::load(&s.path)?.plane)))
        .collect::<Result<_, FolderError>>()?;
    let parts: Vec<&str> = shots.iter().map(|s| s.part.as_str()).collect();
    let all = pairs::all(&parts);
    let cap = |n: usize| options.limit.unwrap_or(n);
    let mut jobs = all.draw(cap(PAIRS.genuine), cap(PAIRS.impostor), None);
    for kind in Change::KINDS {
        let (g, i) = (cap(PAIRS.genuine_changed), cap(PAIRS.impostor_changed));
        jobs.extend(all.draw(g, i, Some(kind)));
    }
    let scored = measure(&shots, &probes, &jobs, progress)?;
    let of = |pick: &dyn Fn(&Scored) -> bool| -> Figures {
        let scores = |genuine: bool| -> Vec<f64> {
            let chosen = scored.iter().filter(|s| s.pair.genuine == genuine && pick(s));
            chosen.map(|s| s.score).collect()
        };
        figures(&scores(true), &scores(false), THRESHOLD)
    };
    let times = time(&shots, &jobs)?;
    let straight: Vec<&Scored> = scored.iter().filter(|s| s.change.is_none()).collect();
    let impostors = || straight.iter().filter(|s| !s.pair.genuine);
    let report = Report {
        analysis: Identity.id(),
        program: Identity.program(),
        parts: parts.chunk_by(|a, b| a == b).count(),
        photographs: shots.len(),
        sampling: format!(
            "{} of {} genuine and {} of {} impostor pairs, {} of these impostors from folders that \
             end alike; pairs share photographs, so true bounds are wider",
            straight.len() - impostors().count(),
            all.genuine.len(),
            impostors().count(),
            all.alike.len() + all.other.len(),
            impostors().filter(|s| s.pair.alike).count(),
        ),
        figures: of(&|s| s.change.is_none()),
        under_change: UnderChange {
            figures: of(&|s| s.change.is_some()),
            by_kind: Change::KINDS
                .into_iter()
                .map(|kind| (kind.name(), of(&|s| s.change == Some(kind))))
                .collect(),
        },
        ms_per_image: times.compare,
        ms_decode: times.decode,
        ms_enrol: times.enrol,
    };
    if let Some(out) = &options.out {
        report::write(out, &shots, &scored)?;
    }
    Ok(report)
}

/// The photographs of a folder of parts.
fn find(dir: &Path) -> Result<Vec<Shot>, EvalError> {
    let mut shots = Vec::new();
    let mut parts = 0;
    for folder in folders::entries(dir)?.into_iter().filter(|p| p.is_dir()) {
        let photographs = folders::photographs(&folder)?;
        // A folder with a single photograph still gives impostors.
        parts += usize::from(photographs.len() >= 2);
        let part = folders::name(&folder);
        shots.extend(photographs.into_iter().map(|path| Shot { part: part.clone(), path }));
    }
    if parts >= 2 {
        return Ok(shots);
    }
    let found = format!(
        "has {parts} folders with two or more photographs, and {} photographs in folders",
        shots.len()
    );
    Err(FolderError::Layout { path: dir.to_owned(), found, expected: LAYOUT }.into())
}

/// The probe of a job: a photograph as it is or changed.
fn probe(
    shots: &[Shot],
    probes: &[Probe],
    job: &(Pair, Option<Change>),
) -> Result<Option<Probe>, EvalError> {
    let (pair, change) = job;
    let (Some(a), Some(b)) = (shots.get(pair.enrolled), shots.get(pair.probe)) else {
        return Ok(None);
    };
    let Some(change) = change else {
        return Ok(probes.get(pair.probe).cloned());
    };
    let mut random = seed(a, b);
    Ok(Some(Probe::new(&change.apply(&folders::load(&b.path)?.plane, &mut random))))
}

/// The stream that a pair's change is drawn from.
fn seed(a: &Shot, b: &Shot) -> Random {
    Random::of(&[&a.part, &folders::name(&a.path), &b.part, &folders::name(&b.path)])
}

fn measure(
    shots: &[Shot],
    probes: &[Probe],
    jobs: &[(Pair, Option<Change>)],
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Vec<Scored>, EvalError> {
    let done = AtomicUsize::new(0);
    let groups: Vec<Vec<Scored>> = probes
        .par_iter()
        .enumerate()
        .map(|(i, enrolled)| -> Result<_, EvalError> {
            let mut scored = Vec::new();
            let mut mine = jobs.iter().filter(|(pair, _)| pair.enrolled == i).peekable();
            if mine.peek().is_none() {
                return Ok(scored);
            }
            let enrolment = Enrolment::of(enrolled)?;
            for job in mine {
                if let Some(probe) = probe(shots, probes, job)? {
                    let score = enrolment.compare(&probe)?.score;
                    scored.push(Scored { pair: job.0, change: job.1, score });
                }
                progress(done.fetch_add(1, Ordering::Relaxed) + 1, jobs.len());
            }
            Ok(scored)
        })
        .collect::<Result<_, _>>()?;
    Ok(groups.into_iter().flatten().collect())
}

struct Times {
    decode: f64,
    enrol: f64,
    compare: f64,
}

/// Median times on one thread, in milliseconds: genuine and impostor pairs in turn.
fn time(shots: &[Shot], jobs: &[(Pair, Option<Change>)]) -> Result<Times, EvalError> {
    let (mut decode, mut enrol, mut compare) = (Vec::new(), Vec::new(), Vec::new());
    let straight = |genuine: bool| {
        jobs.iter().map(|j| j.0).filter(move |p| p.genuine == genuine).take(TIMED / 2)
    };
    for pair in straight(true).zip(straight(false)).flat_map(|(a, b)| [a, b]) {
        let (Some(a), Some(b)) = (shots.get(pair.enrolled), shots.get(pair.probe)) else {
            continue;
        };
        let reference = folders::load(&a.path)?.plane;
        let (photograph, ms) = quickest(|| Ok(folders::load(&b.path)?.plane))?;
        decode.push(ms);
        let (enrolment, ms) = quickest(|| Ok(Enrolment::new(&reference)?))?;
        enrol.push(ms);
        compare.push(quickest(|| Ok(enrolment.compare(&Probe::new(&photograph))?))?.1);
    }
    let median = |mut v: Vec<f64>| {
        v.sort_by(f64::total_cmp);
        v.get(v.len() / 2).copied().unwrap_or(0.0)
    };
    Ok(Times { decode: median(decode), enrol: median(enrol), compare: median(compare) })
}

/// The result of some work and the least time that it took, in milliseconds.
fn quickest<T>(mut work: impl FnMut() -> Result<T, EvalError>) -> Result<(T, f64), EvalError> {
    let mut timed = || {
        let start = Instant::now();
        let result = work()?;
        Ok::<_, EvalError>((result, start.elapsed().as_secs_f64() * 1000.0))
    };
    let mut best = timed()?;
    for _ in 1..REPEATS {
        let next = timed()?;
        if next.1 < best.1 {
            best = next;
        }
    }
    Ok(best)
}
