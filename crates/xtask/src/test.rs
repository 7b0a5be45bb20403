//! `test`: everything that must hold, in one command. `.ci/run` calls it.

use crate::{
    chaos, console, deps, drill, foreign, peers,
    plant::{Plant, build, wait},
    rotate,
    story::{approve_program, verify_apart, whole_job},
    tools::{cargo, flag, has, run as start, step, target},
};
use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use std::{path::Path, process::Command, time::Duration};

/// Runs it.
pub fn run(arguments: &[String]) -> Result<()> {
    if flag(arguments, "--end-to-end") {
        peers::install()?;
        return end_to_end(&build("dev")?);
    }
    if flag(arguments, "--plants") {
        peers::install()?;
        console::embed()?;
        return plants(&build("dev")?);
    }
    step("format");
    start(&mut cargo(&["fmt", "--all", "--check"]))?;
    step("core dependencies");
    deps::run(&[])?;
    step("licences, advisories, sources");
    let unaudited = deny()?;
    step("the console");
    console::embed()?;
    step("lints, and meanwhile foreign clients");
    // What is fetched over the network leaves the processor to the compiler.
    let peers = std::thread::spawn(peers::install);
    start(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))?;
    peers.join().map_err(|_| anyhow!("the foreign clients' set-up panicked"))??;
    step("documentation");
    start(
        cargo(&["doc", "--workspace", "--no-deps", "--locked", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    step("tests");
    let bin = build("dev")?;
    openapi(&bin)?;
    start(&mut cargo(&["test", "--workspace", "--locked"]))?;
    console::check(&bin)?;
    plants(&bin)?;
    match unaudited {
        None => println!("everything holds"),
        Some(why) => println!("everything holds; not asked, for known advisories: {why}"),
    }
    Ok(())
}

/// Whole plants of real processes: two at a time, because each waits for its robot most
/// of the time.
fn plants(bin: &Path) -> Result<()> {
    let beside = bin.to_owned();
    let console = std::thread::spawn(move || console::browser(&beside, &[]));
    step("a plant end to end");
    let done = end_to_end(bin).and_then(|()| {
        step("a plant killed and starved, in short");
        chaos::short()
    });
    // Whatever became of the one, the other's processes end before this one does.
    let console = console.join().map_err(|_| anyhow!("the browser's part panicked"))?;
    done.and(console)
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

/// Licences, sources and advisories; why the latter could not be asked for.
fn deny() -> Result<Option<String>> {
    let local = target().join("tools");
    let beside = local.join("bin/cargo-deny");
    let program = match (has("cargo-deny"), beside.exists()) {
        (true, _) => "cargo-deny".into(),
        (false, true) => beside,
        (false, false) => {
            step("installing cargo-deny into target/tools");
            // Unoptimised it is there minutes sooner, and as thorough.
            start(cargo(&["install", "cargo-deny", "--locked", "--debug", "--root"]).arg(&local))?;
            beside
        }
    };
    let mut command = Command::new(&program);
    command.args(["check", "bans", "licenses", "sources"]);
    start(command.current_dir(crate::tools::root()))?;
    advisories(&program)
}

/// Known weaknesses of what is built in. Their database lies in a git repository
/// that a closed network does not reach; then this says why and goes on.
fn advisories(program: &Path) -> Result<Option<String>> {
    let mut command = Command::new(program);
    command.args(["check", "advisories"]).current_dir(crate::tools::root());
    let done = command.output()?;
    let said = String::from_utf8_lossy(&done.stderr);
    let unreachable = said.contains("failed to fetch advisory database");
    match (done.status.success(), unreachable) {
        (true, _) => Ok(None),
        (false, true) => {
            let why = said.lines().find(|line| line.starts_with("fatal:")).unwrap_or_default();
            eprintln!("   skipped: the advisories' database cannot be had here: {why}");
            Ok(Some(why.to_owned()))
        }
        (false, false) => bail!("advisories: {said}"),
    }
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
    let old = passports.join("under-old-keys.vc.jwt");
    std::fs::copy(passports.join("flange-1.vc.jwt"), &old)?;
    rotate::begin(&plant)?;
    // The second scan is held against the first, which the cell's old key signed.
    let again = whole_job(&plant, "flange-1", &passports, &mut quiet)?;
    rotate::finished(&plant)?;
    verify_apart(&plant, &old)?;
    if !again["verdicts"].to_string().contains("identity confirmed") {
        bail!("the second scan of the same part says {}", again["verdicts"]);
    }
    let motions = motions(&plant)?;
    drill::against(&mut plant)?;
    if self::motions(&plant)? != motions {
        bail!("the robot moved during the attacks");
    }
    restored(&mut plant, &first, &passports)?;
    rotated(&mut plant, &first, &passports)?;
    rotate::authority(&mut plant, &passports)?;
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

/// A backup of the running site becomes the site of an empty machine: what was granted
/// is read, what was issued verifies, and an order does its whole job.
fn restored(plant: &mut Plant, job: &Value, passports: &Path) -> Result<()> {
    step("a site that comes back from its backup");
    let beside = |name: &str| plant.dir.with_file_name(name);
    let [key, backup, lost] =
        ["backup.key", "site.backup", "lost-site"].map(|name| beside(name).display().to_string());
    let site = plant.dir.join("site").display().to_string();
    let made = plant.call(&["--json", "backup", "key", &key])?;
    let public = made["public"].as_str().context("no public key")?;
    let order = job["order"].as_str().context("a job without an order")?;
    let grant = plant.by(
        "officer-1",
        &["grant", "issue", "--to", "analyst", "--order", order, "--stream", "camera"],
    )?;
    let grant = grant["id"].as_str().context("a grant without an id")?;
    let grants = plant.by("auditor", &["grant", "list"])?;
    let root = grants[grant]["grant"]["recordings"][0].as_str().context("no recording")?;
    plant.call(&["--json", "backup", &site, &backup, "--to", public])?;
    plant.down();
    std::fs::rename(&site, &lost)?;
    let said = plant.call(&["--json", "restore", &backup, &site, "--key", &key])?;
    if said["recordings"].as_u64().is_none_or(|whole| whole < 2) {
        bail!("the restore says {said}");
    }
    // What the machines still stated while they went down is on the old disk only.
    let old = format!("{lost}/data/ledger");
    plant.try_call(&["--json", "ledger", "extend", &site, "--from", &old])?;
    plant.up()?;
    let out = plant.dir.with_file_name("restored.mcap").display().to_string();
    plant.by("analyst", &["recording", "fetch", root, "--grant", grant, "--out", &out])?;
    verify_apart(plant, &passports.join("flange-1.vc.jwt"))?;
    whole_job(plant, "flange-3", passports, &mut |words| eprintln!("   {words}"))?;
    Ok(())
}

/// Log, witness and vault get new keys under a running cell and analyst; what was made
/// before is read and verified after, from the anchors of the beginning.
fn rotated(plant: &mut Plant, before: &Value, passports: &Path) -> Result<()> {
    let public = |value: &Value| value["public"].as_str().map(str::to_owned).context("no key");
    let log = public(&plant.by("site", &["keys", "make", "log"])?)?;
    let vault = public(&plant.by("site", &["keys", "make", "vault"])?)?;
    let witness = |plant: &Plant, arguments: &[&str]| -> Result<String> {
        let mut command = Command::new(plant.bin().join("interlock-witness"));
        command.args(arguments).arg("--dir").arg(plant.dir.join("witness-1"));
        let output = command.output()?;
        if !output.status.success() {
            bail!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let next = witness(plant, &["next"])?;
    witness(plant, &["trust", &log])?;
    plant.down();
    plant.up()?;
    let rotate = ["keys", "rotate", "--log", &log, "--witness", &next, "--vault", &vault];
    plant.change("officer-1", &rotate)?;
    witness(plant, &["switch"])?;
    let mut quiet = |words: &str| eprintln!("   {words}");
    whole_job(plant, "flange-4", passports, &mut quiet)?;

    let grant = before["grant"].as_str().context("a job without a grant")?;
    let grants = plant.by("auditor", &["grant", "list"])?;
    let root = grants[grant]["grant"]["recordings"][0].as_str().context("no recording")?;
    let out = plant.dir.with_file_name("before.mcap").display().to_string();
    plant.by("analyst", &["recording", "fetch", root, "--grant", grant, "--out", &out])?;
    let anchors = plant.dir.join("anchors.json").display().to_string();
    for part in ["flange-1", "flange-4"] {
        let file = passports.join(format!("{part}.vc.jwt")).display().to_string();
        plant.call(&["--json", "passport", "verify", &file, "--anchors", &anchors])?;
        verify_apart(plant, Path::new(&file))?;
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
