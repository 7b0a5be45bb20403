//! `console`: the web console's set-up, build, checks and browser tests.

use crate::{
    plant::{Plant, build},
    story::{approve_program, whole_job},
    tools::{flag, has, need_debian, option, root, run as must, step, target},
};
use anyhow::{Result, bail};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Where Debian puts it.
const CHROMIUM: &str = "/usr/bin/chromium";

/// Runs it.
pub fn run(arguments: &[String]) -> Result<()> {
    match arguments.first().map(String::as_str) {
        Some("build") | None => embed(),
        Some("check") => {
            let bin = build("dev")?;
            check(&bin)
        }
        Some("browser") => {
            embed()?;
            browser(&build("dev")?, arguments)
        }
        Some("gallery") => {
            embed()?;
            gallery(&build("dev")?)
        }
        Some(other) => bail!("no command `console {other}`: build, check, browser or gallery"),
    }
}

/// The console's TypeScript.
fn web() -> PathBuf {
    root().join("crates/console/web")
}

fn npm(arguments: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.args(arguments).args(["--silent", "--no-update-notifier"]).current_dir(web());
    command
}

/// Installs what the lock file names; quick when it is there.
pub fn install() -> Result<()> {
    if !has("npm") {
        bail!(
            "the console is built with Node 20.19 or newer and npm: install them, then try again"
        );
    }
    let wanted = std::fs::read(web().join("package-lock.json"))?;
    let stamp = web().join("node_modules/.installed");
    if std::fs::read(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    step("installing the console's packages");
    must(&mut npm(&["ci", "--no-audit", "--no-fund"]))?;
    Ok(std::fs::write(stamp, wanted)?)
}

/// Builds the console, so that the next build of the site embeds it. Its files are
/// made anew only when what they are made from changed.
pub fn embed() -> Result<()> {
    install()?;
    let sources = digest_of(&[
        web().join("src"),
        web().join("public"),
        web().join("scripts"),
        web().join("index.html"),
        web().join("vite.config.ts"),
        web().join("package-lock.json"),
        root().join("docs/openapi.json"),
    ])?;
    let stamp = web().join("dist/.sources");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == sources) {
        return Ok(());
    }
    step("building the console");
    must(&mut npm(&["run", "types"]))?;
    must(&mut npm(&["run", "build"]))?;
    Ok(std::fs::write(stamp, sources)?)
}

/// Names, sizes and contents of files, in one number; not for security.
fn digest_of(paths: &[PathBuf]) -> Result<String> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    let mut todo = paths.to_vec();
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            let mut inside: Vec<_> =
                std::fs::read_dir(&path)?.flatten().map(|entry| entry.path()).collect();
            inside.sort();
            todo.extend(inside);
        } else if !path.ends_with("schema.d.ts") {
            (path.strip_prefix(root()).unwrap_or(&path), std::fs::read(&path)?).hash(&mut hasher);
        }
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// Types, lints and unit tests of the console, with our own programs as the other
/// side of its verifier and of its recordings.
pub fn check(bin: &Path) -> Result<()> {
    embed()?;
    need_debian(has("chromium"), &["chromium"])?;
    step("the console's types");
    must(&mut npm(&["run", "check"]))?;
    step("the console's tests");
    let bin = std::fs::canonicalize(bin)?;
    must(
        npm(&["test"])
            .env("VERDICTS", bin.join("verdicts"))
            .env("SEALED", bin.join("sealed"))
            .env("CHROMIUM", CHROMIUM),
    )
}

/// Drives the console in a real browser against a plant of real processes.
pub fn browser(bin: &Path, arguments: &[String]) -> Result<()> {
    let mut command = playwright(bin, "browser")?;
    if let Some(only) = option(arguments, "--grep") {
        command.args(["--grep", &only]);
    }
    if flag(arguments, "--soak") {
        command.env("INTERLOCK_SOAK", "40");
    }
    with_plant(bin, &target().join("browser"), &["flange-1"], command)
}

/// Draws each screen in light and dark into `docs/gallery`.
fn gallery(bin: &Path) -> Result<()> {
    let mut command = playwright(bin, "gallery")?;
    command.env("INTERLOCK_GALLERY", root().join("docs/gallery"));
    // The second scan of a part that wore finds what changed: more to look at.
    with_plant(bin, &target().join("gallery"), &["flange-1", "flange-2", "flange-2"], command)
}

/// How soon the console is there, measured in Chromium.
pub fn timings(bin: &Path, out: &Path) -> Result<serde_json::Value> {
    let path = out.join("console-timings.json");
    let mut command = playwright(bin, "timings")?;
    command.env("INTERLOCK_TIMINGS", &path);
    with_plant(bin, &out.join("console"), &["flange-1"], command)?;
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

fn playwright(bin: &Path, project: &str) -> Result<Command> {
    need_debian(has("chromium"), &["chromium"])?;
    let mut command = Command::new(web().join("node_modules/.bin/playwright"));
    command.args(["test", "--project", project]).current_dir(web());
    command.env("INTERLOCK_BIN", std::fs::canonicalize(bin)?);
    Ok(command)
}

/// Starts a plant, does the whole job on each part, and runs a command beside it.
fn with_plant(bin: &Path, out: &Path, parts: &[&str], mut command: Command) -> Result<()> {
    if out.exists() {
        std::fs::remove_dir_all(out)?;
    }
    std::fs::create_dir_all(out)?;
    let out = out.canonicalize()?;
    step("starting a plant with its console");
    let plant = started(bin, &out)?;
    for part in parts {
        whole_job(&plant, part, &out.join("passports"), &mut |words| eprintln!("   {words}"))?;
    }
    step("driving the console in Chromium");
    command.env("INTERLOCK_PLANT", &plant.dir).env("INTERLOCK_OUT", out.join("results"));
    command.env("INTERLOCK_ROBOT", plant.control.to_string());
    must(&mut command)
}

/// A plant with an approved program and a console that publishes passports.
pub fn started(bin: &Path, out: &Path) -> Result<Plant> {
    let extra = ["--name", "Demo plant", "--public-passports", "--defective", "flange-2"];
    let plant = Plant::start(bin, out, &extra.map(str::to_owned))?;
    approve_program(&plant)?;
    Ok(plant)
}
