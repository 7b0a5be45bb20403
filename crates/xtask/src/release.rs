//! `release`: the four programs, built so that anybody who builds the same commit
//! gets the same bytes, with what they are made of and their hashes.
//!
//! The build runs on a copy of the commit, in a folder of its own outside of the
//! repository, and its tools see little of the caller's environment, so that nothing
//! of the working tree and no setting of the caller's gets in. Paths are mapped to
//! fixed names, times come from the commit, and the console is built from its lock
//! file. `--twice` does all of it in two folders of different names and compares. The
//! folders lie where the system keeps temporary ones (`TMPDIR`), which needs room.

mod sbom;
mod workshop;

use crate::tools::{flag, option, root, run as must, step, target};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use workshop::{Tools, Workshop};

/// What a plant runs.
const PROGRAMS: [&str; 4] =
    ["interlock", "interlock-cell", "interlock-witness", "interlock-analyst"];

/// Runs it.
pub fn run(arguments: &[String]) -> Result<()> {
    let out = match option(arguments, "--out").map(PathBuf::from) {
        Some(out) => {
            empty(&out)?;
            out
        }
        None => {
            let out = target().join("release-dist");
            fresh(&out)?;
            out
        }
    };
    let tools = Tools::of(std::env::vars_os());
    if flag(arguments, "--sbom") {
        // Of the working tree, without building anything.
        return lists(&tools, &root(), &out).map(|_| ());
    }
    let commit = said("git", &["rev-parse", "HEAD"])?;
    if !said("git", &["status", "--porcelain"])?.is_empty() {
        eprintln!("   the working tree has changes: what is built is the commit {commit}");
    }
    let mut workshop = Workshop::open(&tools)?;
    let first = built(&tools, &workshop.dir.join("a"), &commit)?;
    for (name, file) in &first.files {
        fs::copy(file, out.join(name))?;
    }
    let names: Vec<&str> = first.files.keys().map(String::as_str).collect();
    let sums = sums(&out, &names)?;
    fs::write(out.join("SHA256SUMS"), &sums)?;
    print!("{sums}");
    if !flag(arguments, "--twice") {
        return Ok(());
    }
    // Another depth and another length: a path that gets into a program shows.
    let second = built(&tools, &workshop.dir.join("again/in another folder"), &commit)?;
    let mut report = BTreeMap::new();
    for (name, file) in &second.files {
        let same = fs::read(file)? == fs::read(out.join(name))?;
        report.insert(name.clone(), same);
    }
    let same = report.values().all(|same| *same);
    let value = json!({ "commit": commit, "same": same, "files": report });
    fs::write(out.join("reproducible.json"), serde_json::to_vec_pretty(&value)?)?;
    println!("{value:#}");
    if !same {
        workshop.keep = true;
        bail!(
            "two builds of {commit} differ: compare `{}` and `{}`",
            first.dir.display(),
            second.dir.display()
        );
    }
    Ok(())
}

/// One build.
struct Built {
    dir: PathBuf,
    /// By the name that it is published under.
    files: BTreeMap<String, PathBuf>,
}

fn built(tools: &Tools, dir: &Path, commit: &str) -> Result<Built> {
    step(&format!("a copy of {commit} in {}", dir.display()));
    let (source, build) = (dir.join("source"), dir.join("build"));
    fs::create_dir_all(&source)?;
    let archive = dir.join("source.tar");
    let to = archive.display().to_string();
    must(Command::new("git").args(["archive", "--output", &to, commit]).current_dir(root()))?;
    must(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&source))?;
    let epoch = said("git", &["show", "--no-patch", "--format=%ct", commit])?;
    let web = source.join("crates/console/web");
    step("the console");
    for arguments in [&["ci", "--no-audit", "--no-fund"][..], &["run", "types"], &["run", "build"]]
    {
        must(npm(tools, &web, arguments).env("SOURCE_DATE_EPOCH", &epoch))?;
    }
    step("the programs");
    must(&mut compile(tools, &source, &build, &epoch)?)?;
    step("what they are made of");
    let mut files: BTreeMap<String, PathBuf> = PROGRAMS
        .map(|name| (name.to_owned(), build.join("release").join(name)))
        .into_iter()
        .collect();
    files.extend(lists(tools, &source, dir)?);
    Ok(Built { dir: dir.to_owned(), files })
}

/// Writes what the programs and the console of a source folder are made of.
fn lists(tools: &Tools, source: &Path, into: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let web = source.join("crates/console/web");
    let mut files = BTreeMap::new();
    for (name, list) in [
        ("sbom-rust.cdx.json", sbom::rust(source, &PROGRAMS, tools.command("cargo"))?),
        ("sbom-console.cdx.json", sbom::npm(npm(tools, &web, &["sbom"]))?),
    ] {
        let path = into.join(name);
        fs::write(&path, serde_json::to_vec_pretty(&list)?)?;
        files.insert(name.to_owned(), path);
    }
    Ok(files)
}

/// The compiler sees fixed names for the folders of this machine.
fn compile(tools: &Tools, source: &Path, build: &Path, epoch: &str) -> Result<Command> {
    let home = tools.cargo_home().context("neither CARGO_HOME nor HOME is set")?;
    // The last that fits wins: what lies inside comes behind.
    let maps = [(home.as_path(), "/cargo"), (source, "/interlock"), (build, "/build")];
    let mut rust = Vec::new();
    let mut c = Vec::new();
    for (from, to) in maps {
        let from = from.display();
        rust.push(format!("--remap-path-prefix={from}={to}"));
        c.push(format!("-ffile-prefix-map={from}={to}"));
    }
    let mut command = tools.command("cargo");
    command
        .args(["build", "--workspace", "--bins", "--locked", "--release"])
        .current_dir(source)
        .env("CARGO_TARGET_DIR", build)
        .env("CARGO_INCREMENTAL", "0")
        // A path may have spaces; this separates by a byte that none has.
        .env("CARGO_ENCODED_RUSTFLAGS", rust.join("\u{1f}"))
        .env("SOURCE_DATE_EPOCH", epoch)
        .env("LC_ALL", "C")
        .env("TZ", "UTC");
    // The C library takes its flags by words; quotes keep a path whole.
    let c = c.iter().map(|flag| format!("'{flag}'")).collect::<Vec<_>>().join(" ");
    for name in ["CFLAGS", "CXXFLAGS"] {
        command.env(name, &c).env("CC_SHELL_ESCAPED_FLAGS", "1");
    }
    Ok(command)
}

fn npm(tools: &Tools, web: &Path, arguments: &[&str]) -> Command {
    let mut command = tools.command("npm");
    command.args(arguments).args(["--silent", "--no-update-notifier"]).current_dir(web);
    command
}

fn sums(dir: &Path, names: &[&str]) -> Result<String> {
    let done = Command::new("sha256sum").args(names).current_dir(dir).output()?;
    if !done.status.success() {
        bail!("sha256sum: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(String::from_utf8(done.stdout)?)
}

/// Makes a folder that somebody named, whose files are not ours to take away.
fn empty(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("`{}`", dir.display()))?;
    if fs::read_dir(dir)?.next().is_some() {
        bail!("`{}` is not empty: name a folder that is, or none yet", dir.display());
    }
    Ok(())
}

fn fresh(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    Ok(fs::create_dir_all(dir)?)
}

fn said(program: &str, arguments: &[&str]) -> Result<String> {
    let done = Command::new(program).args(arguments).current_dir(root()).output();
    let done = done.with_context(|| format!("cannot start {program}"))?;
    if !done.status.success() {
        bail!("{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(String::from_utf8(done.stdout)?.trim().to_owned())
}

/// Reads JSON that a command prints.
fn asked(command: &mut Command) -> Result<Value> {
    let done = command.output().with_context(|| format!("cannot start {command:?}"))?;
    serde_json::from_slice(&done.stdout)
        .with_context(|| format!("{command:?}: {}", String::from_utf8_lossy(&done.stderr)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_holds_something_is_not_taken() {
        let workshop = Workshop::open(&Tools::of(std::env::vars_os())).unwrap();
        let out = workshop.dir.join("out");
        empty(&out).unwrap();
        empty(&out).unwrap();
        fs::write(out.join("thesis.tex"), "years").unwrap();
        let asked = ["--out".to_owned(), out.display().to_string()];
        let why = run(&asked).unwrap_err().to_string();
        assert!(why.contains("is not empty"), "{why}");
        assert_eq!(fs::read_to_string(out.join("thesis.tex")).unwrap(), "years");
    }

    #[test]
    fn the_compiler_sees_no_setting_of_the_callers() {
        let caller = [
            ("PATH", "/bin"),
            ("HOME", "/home/anna"),
            ("CARGO", "/home/anna/bin/cargo"),
            ("CARGO_BUILD_TARGET", "wasm32-unknown-unknown"),
            ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
            ("CARGO_TARGET_DIR", "/home/anna/target"),
            ("CC", "tcc"),
            ("CFLAGS", "-DBACKDOOR"),
            ("RUSTC_WORKSPACE_WRAPPER", "wrap"),
            ("RUSTC_WRAPPER", "wrap"),
            ("RUSTFLAGS", "--cfg backdoor"),
            ("RUSTUP_TOOLCHAIN", "nightly"),
        ];
        let tools = Tools::of(caller.map(|(name, value)| (name.into(), value.into())));
        let (source, build) = (Path::new("/tmp/a b/source"), Path::new("/tmp/a b/build"));
        let command = compile(&tools, source, build, "1700000000").unwrap();
        assert_eq!(command.get_program(), "cargo");
        assert_eq!(command.get_current_dir(), Some(source));
        let arguments: Vec<_> = command.get_args().collect();
        assert_eq!(arguments, ["build", "--workspace", "--bins", "--locked", "--release"]);
        let flags = [
            "--remap-path-prefix=/home/anna/.cargo=/cargo",
            "--remap-path-prefix=/tmp/a b/source=/interlock",
            "--remap-path-prefix=/tmp/a b/build=/build",
        ]
        .join("\u{1f}");
        let c = "'-ffile-prefix-map=/home/anna/.cargo=/cargo' \
                 '-ffile-prefix-map=/tmp/a b/source=/interlock' \
                 '-ffile-prefix-map=/tmp/a b/build=/build'";
        let seen: Vec<_> = command.get_envs().map(|(n, v)| (n, v.unwrap())).collect();
        let wanted = [
            ("CARGO_ENCODED_RUSTFLAGS", flags.as_str()),
            ("CARGO_INCREMENTAL", "0"),
            ("CARGO_TARGET_DIR", "/tmp/a b/build"),
            ("CC_SHELL_ESCAPED_FLAGS", "1"),
            ("CFLAGS", c),
            ("CXXFLAGS", c),
            ("HOME", "/home/anna"),
            ("LC_ALL", "C"),
            ("PATH", "/bin"),
            ("SOURCE_DATE_EPOCH", "1700000000"),
            ("TZ", "UTC"),
        ];
        assert_eq!(seen, wanted.map(|(name, value)| (name.as_ref(), value.as_ref())));
    }
}
