//! `test`: everything that must hold, in one command. `.ci/run` calls it.

use crate::{
    console, deps, drill, foreign, fuzz, peers,
    plant::{Plant, build, wait},
    story::{approve_program, verify_apart, whole_job},
    tools::{cargo, flag, has, run as start, step, target},
};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{path::Path, process::Command, time::Duration};

/// Runs it.
pub fn run(arguments: &[String]) -> Result<()> {
    if flag(arguments, "--end-to-end") {
        peers::install()?;
        return end_to_end(&build("dev")?);
    }
    step("format");
    start(&mut cargo(&["fmt", "--all", "--check"]))?;
    step("core dependencies");
    deps::run(&[])?;
    step("licences, advisories, sources");
    deny()?;
    step("foreign clients");
    peers::install()?;
    console::embed()?;
    step("lints");
    start(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))?;
    step("documentation");
    start(
        cargo(&["doc", "--workspace", "--no-deps", "--locked", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    step("tests");
    let bin = build("dev")?;
    openapi(&bin)?;
    start(&mut cargo(&["test", "--workspace", "--locked"]))?;
    fuzz::run(&["--seconds".into(), "2".into()])?;
    console::check(&bin)?;
    step("a plant end to end");
    end_to_end(&bin)?;
    console::browser(&bin, &[])?;
    println!("everything holds");
    Ok(())
}

/// The API's description is golden: a change of the API shows in review.
fn openapi(bin: &Path) -> Result<()> {
    let made = Command::new(bin.join("interlock")).arg("openapi").output()?.stdout;
    let path = crate::tools::root().join("docs/openapi.json");
    if std::fs::read(&path)? != made {
        bail!(
            "the API changed: `interlock openapi > docs/openapi.json`, and say so in the CHANGELOG"
        );
    }
    Ok(())
}

fn deny() -> Result<()> {
    let local = target().join("tools");
    let beside = local.join("bin/cargo-deny");
    let program = match (has("cargo-deny"), beside.exists()) {
        (true, _) => "cargo-deny".into(),
        (false, true) => beside,
        (false, false) => {
            step("installing cargo-deny into target/tools");
            start(cargo(&["install", "cargo-deny", "--locked", "--root"]).arg(&local))?;
            beside
        }
    };
    let mut command = Command::new(program);
    // The advisory database lies in a git repository that a closed network cannot
    // reach; what needs it is checked where it can be had.
    command.args(["check", "bans", "licenses", "sources"]);
    start(command.current_dir(crate::tools::root()))
}

/// A real plant: the whole job, passports that verify apart and break on a changed
/// bit, an honest ledger, and attacks.
fn end_to_end(bin: &Path) -> Result<()> {
    let out = target().join("end-to-end");
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    let mut plant = Plant::start(bin, &out, &["--defective".into(), "flange-2".into()])?;
    approve_program(&plant)?;
    let passports = out.join("passports");
    let mut quiet = |words: &str| eprintln!("   {words}");
    let first = whole_job(&plant, "flange-1", &passports, &mut quiet)?;
    foreign::check(&plant, &first, &passports)?;
    let again = whole_job(&plant, "flange-1", &passports, &mut quiet)?;
    if !again["verdicts"].to_string().contains("identity confirmed") {
        bail!("the second scan of the same part says {}", again["verdicts"]);
    }
    let motions = motions(&plant)?;
    drill::against(&plant)?;
    if self::motions(&plant)? != motions {
        bail!("the robot moved during the attacks");
    }
    revoked_and_shredded(&plant, &again)?;
    // A restart replays everything from the disk and the plant goes on.
    plant.down();
    plant.up()?;
    plant.by("auditor", &["audit", "replay"])?;
    plant.down();
    let ledger = plant.dir.join("site/data/ledger").display().to_string();
    let anchors = plant.dir.join("anchors.json").display().to_string();
    plant.call(&["--json", "ledger", "check", &ledger, "--anchors", &anchors])?;
    plant.call(&["--json", "audit", "replay", "--ledger", &ledger, "--anchors", &anchors])?;
    for form in ["vc.jwt", "json", "html"] {
        let file = passports.join(format!("flange-1.{form}"));
        verify_apart(&plant, &file)?;
        changed_bits_break(&plant, &file)?;
    }
    Ok(())
}

/// After a revocation nothing is served; after a shredding there is no key.
fn revoked_and_shredded(plant: &Plant, job: &Value) -> Result<()> {
    let grant = job["grant"].as_str().context("a job without a grant")?;
    let grants = plant.by("auditor", &["grant", "list"])?;
    let root = grants[grant]["grant"]["recordings"][0].as_str().context("no recording")?;
    let out = plant.dir.with_file_name("never.mcap").display().to_string();
    let dir = plant.dir.join("analyst").display().to_string();
    let fetch =
        ["--json", "--dir", &dir, "recording", "fetch", root, "--grant", grant, "--out", &out];
    plant.by("officer-1", &["grant", "revoke", grant, "--reason", "test"])?;
    let (ok, said) = plant.try_call(&fetch)?;
    if ok || said["refusal"]["rule"] != "grant" {
        bail!("a fetch after the revocation says {said}");
    }
    plant.by("officer-1", &["recording", "shred", root, "--reason", "test"])?;
    wait("the record of a destroyed key", Duration::from_secs(30), || {
        let recordings = plant.by("auditor", &["recording", "list"])?;
        Ok((recordings[root]["shredded"] == true).then_some(()))
    })
}

fn motions(plant: &Plant) -> Result<u64> {
    let state = plant.robot("motions")?;
    state["starts"].as_u64().with_context(|| format!("the simulator says {state}"))
}

/// Flips one bit at places spread over a file; each must be found.
fn changed_bits_break(plant: &Plant, file: &Path) -> Result<()> {
    let bytes = std::fs::read(file)?;
    let changed = file.with_extension("changed");
    for nth in 0..12 {
        let at = bytes.len() * nth / 12 + nth;
        let mut copy = bytes.clone();
        let byte = copy.get_mut(at).context("a short file")?;
        *byte ^= 1 << (nth % 7);
        std::fs::write(&changed, &copy)?;
        let path = changed.display().to_string();
        let (ok, said) = plant.try_call(&["--json", "passport", "verify", &path])?;
        if ok || said["error"] != "broken" {
            bail!("byte {at} of `{}` was changed and the answer is {said}", file.display());
        }
    }
    Ok(std::fs::remove_file(changed)?)
}
