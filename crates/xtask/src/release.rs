//! `release`: the four programs, built so that anybody who builds the same commit
//! gets the same bytes, with what they are made of and their hashes.
//!
//! The build runs on a copy of the commit, in a folder of its own, so that nothing
//! of the working tree gets in. Paths are mapped to fixed names, times come from the
//! commit, and the console is built from its lock file. `--twice` does all of it in
//! two folders of different names and compares.

mod sbom;

use crate::tools::{flag, option, root, run as must, step, target};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What a plant runs.
const PROGRAMS: [&str; 4] =
    ["interlock", "interlock-cell", "interlock-witness", "interlock-analyst"];

/// Runs it.
pub fn run(arguments: &[String]) -> Result<()> {
    let out =
        option(arguments, "--out").map_or_else(|| target().join("release-dist"), PathBuf::from);
    if flag(arguments, "--sbom") {
        // Of the working tree, without building anything.
        fresh(&out)?;
        return lists(&root(), &out).map(|_| ());
    }
    let commit = said("git", &["rev-parse", "HEAD"])?;
    if !said("git", &["status", "--porcelain"])?.is_empty() {
        eprintln!("   the working tree has changes: what is built is the commit {commit}");
    }
    let first = built(&target().join("release-build/a"), &commit)?;
    fresh(&out)?;
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
    let second = built(&target().join("release-build/again/in another folder"), &commit)?;
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
        bail!(
            "two builds of {commit} differ: compare `{}` and `{}`",
            out.display(),
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

fn built(dir: &Path, commit: &str) -> Result<Built> {
    step(&format!("a copy of {commit} in {}", dir.display()));
    fresh(dir)?;
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
        must(npm(&web, arguments).env("SOURCE_DATE_EPOCH", &epoch))?;
    }
    step("the programs");
    must(&mut compile(&source, &build, &epoch)?)?;
    step("what they are made of");
    let mut files: BTreeMap<String, PathBuf> = PROGRAMS
        .map(|name| (name.to_owned(), build.join("release").join(name)))
        .into_iter()
        .collect();
    files.extend(lists(&source, dir)?);
    Ok(Built { dir: dir.to_owned(), files })
}

/// Writes what the programs and the console of a source folder are made of.
fn lists(source: &Path, into: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let web = source.join("crates/console/web");
    let mut files = BTreeMap::new();
    for (name, list) in [
        ("sbom-rust.cdx.json", sbom::rust(source, &PROGRAMS)?),
        ("sbom-console.cdx.json", sbom::npm(npm(&web, &["sbom"]))?),
    ] {
        let path = into.join(name);
        fs::write(&path, serde_json::to_vec_pretty(&list)?)?;
        files.insert(name.to_owned(), path);
    }
    Ok(files)
}

/// The compiler sees fixed names for the folders of this machine.
fn compile(source: &Path, build: &Path, epoch: &str) -> Result<Command> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    let home = home.context("neither CARGO_HOME nor HOME is set")?;
    // The last that fits wins: what lies inside comes behind.
    let maps = [(home.as_path(), "/cargo"), (source, "/interlock"), (build, "/build")];
    let mut rust = Vec::new();
    let mut c = Vec::new();
    for (from, to) in maps {
        let from = from.display();
        rust.push(format!("--remap-path-prefix={from}={to}"));
        c.push(format!("-ffile-prefix-map={from}={to}"));
    }
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["build", "--workspace", "--bins", "--locked", "--release"])
        .current_dir(source)
        .env("CARGO_TARGET_DIR", build)
        .env("CARGO_INCREMENTAL", "0")
        // Flags of the caller's would make another program.
        .env_remove("RUSTFLAGS")
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

fn npm(web: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("npm");
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
