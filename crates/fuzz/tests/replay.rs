//! Every target stands its corpus, and a bounded number of mutations of it, on every
//! change; `cargo xtask fuzz` searches further.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use fuzz::{
    TARGETS, Target,
    mutate::{Dice, mutate},
};
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

/// Mutations of the corpus of each target.
const MUTATIONS: usize = 60;

fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let files = fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut paths: Vec<PathBuf> = files.map(|f| f.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Runs a target; a failure leaves the input where it can be looked at.
fn stands(target: &Target, input: &[u8], what: &str) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        let kept = std::env::temp_dir().join(format!("interlock-fuzz-{}", target.name));
        fs::write(&kept, input).unwrap();
        panic!("target `{}` fails on {what}; the input is in `{}`", target.name, kept.display());
    }
}

fn replay(from: usize) {
    for target in TARGETS.iter().skip(from).step_by(2) {
        let corpus = corpus(target);
        assert!(!corpus.is_empty(), "target `{}` has no corpus", target.name);
        for (path, input) in &corpus {
            stands(target, input, &path.display().to_string());
        }
        let mut dice = Dice(target.name.bytes().map(u64::from).sum());
        for n in 0..MUTATIONS {
            let input = &corpus[dice.below(corpus.len())].1;
            let other = &corpus[dice.below(corpus.len())].1;
            let mutated = mutate(input, other, target.most, &mut dice);
            stands(target, &mutated, &format!("mutation {n}"));
        }
    }
}

#[test]
fn half_of_the_targets_stand_their_corpus() {
    replay(0);
}

#[test]
fn the_other_targets_stand_theirs() {
    replay(1);
}

#[test]
fn the_corpus_is_small_and_has_no_stranger() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut bytes = 0;
    for folder in fs::read_dir(root).unwrap() {
        let folder = folder.unwrap();
        let name = folder.file_name();
        assert!(TARGETS.iter().any(|t| name == t.name), "no target {name:?}");
        bytes += fs::read_dir(folder.path())
            .unwrap()
            .map(|f| f.unwrap().metadata().unwrap().len())
            .sum::<u64>();
    }
    assert!(bytes < 1 << 20, "the corpus has {bytes} bytes");
}

/// Nesting as deep as the length or a bound allows is an answer, not the end of the
/// stack.
#[test]
fn deep_nesting_is_refused_or_read() {
    let named = |name: &str| TARGETS.iter().find(|t| t.name == name).unwrap().run;
    let deep = |open: &str, middle: &str, close: &str, depth: usize| {
        format!("{}{middle}{}", open.repeat(depth), close.repeat(depth))
    };
    let shapes = [
        ("(", "true", ")", 15),
        ("!", "true", "", 32),
        ("[", "", "]", 15),
        ("{a:", "1", "}", 15),
        ("-", "1", "", 32),
        ("if true then ", "true", " else true", 32),
        ("", "context", ".a", 255),
        ("", "true", " || true", 256),
        ("", "1", " + 1", 256),
    ];
    for (open, middle, close, bound) in shapes {
        let longest = (policy::MAX_POLICY_BYTES - 100) / (open.len() + close.len());
        for depth in [bound, longest] {
            let deep = deep(open, middle, close, depth);
            let text = format!("permit(principal, action, resource) when {{ {deep} }};");
            named("policy")(text.as_bytes());
        }
    }
    for (open, middle, close) in [("[", "", "]"), ("{\"a\":", "1", "}")] {
        named("canonical")(deep(open, middle, close, 10_000).as_bytes());
    }
}
