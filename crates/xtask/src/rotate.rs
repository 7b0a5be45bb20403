//! New keys for the machines and a person of a plant that works, and another authority of
//! its certificates.

use crate::{
    plant::{Plant, wait},
    story::whole_job,
};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(120);
/// What a site says of a certificate that it does not take. The other side learns only that
/// a connection ended, as it might for any reason.
const TURNED_AWAY: &str = "invalid peer certificate";
/// Whose keys are replaced; the first three take theirs while they run.
const WHO: [&str; 4] = ["cell-1", "site", "analyst", "operator"];

/// Has each one's next key enrolled beside its old one.
pub fn begin(plant: &Plant) -> Result<()> {
    for member in WHO {
        let folder = plant.dir.join(member).display().to_string();
        plant.change("officer-1", &["member", "rotate", "--of", &folder])?;
    }
    let done = plant.by("operator", &["member", "rotate"])?;
    if done["rotated"] != true {
        bail!("the operator's key is not replaced: {done}");
    }
    Ok(())
}

/// Waits until every old key was given up. An analyst learns of its keys from its next
/// grant.
pub fn finished(plant: &Plant) -> Result<()> {
    for member in WHO {
        let folder = plant.dir.join(member);
        wait(&format!("the end of the old key of `{member}`"), PATIENCE, || {
            let members = plant.by("auditor", &["role", "list"])?;
            let state = members.get(member).context("no such member")?;
            let given_up = state["revoked"].as_object().is_some_and(|revoked| revoked.len() == 1);
            let gone = ["sign.old.key", "sign.next.key"].iter().all(|f| !folder.join(f).exists());
            Ok((given_up && gone).then_some(()))
        })?;
    }
    Ok(())
}

/// Puts another authority of certificates in the place of the plant's own, under running
/// machines; a job is done under both, and one when the old root is withdrawn.
pub fn authority(plant: &mut Plant, passports: &Path) -> Result<()> {
    let mut quiet = |words: &str| eprintln!("   {words}");
    let ca = plant.dir.join("ca").display().to_string();
    let made = plant.call(&["--json", "keys", "make", "authority", "--ca", &ca])?;
    let text = |name: &str| made[name].as_str().map(str::to_owned).context("no new authority");
    let (old, next, new) = (format!("{ca}/ca.pem"), text("ca")?, text("file")?);
    witness_trusts(plant, &[&old, &new])?;
    plant.down();
    plant.up()?;
    let both = ["keys", "rotate", "--authority", &old, "--authority", &new];
    plant.change("officer-1", &both)?;
    // The analyst learns of the new root from its grant.
    whole_job(plant, "flange-5", passports, &mut quiet)?;
    for machine in ["site", "cell-1", "analyst"] {
        knows(plant, machine, 2)?;
    }

    let lost = plant.dir.with_file_name("operator-of-the-old-root");
    copied(&plant.dir.join("operator"), &lost)?;
    let dir = lost.display().to_string();
    // It takes the site's new certificate, so that what is refused is its own old one.
    plant.call(&["--json", "--dir", &dir, "keys", "trust"])?;
    for home in homes(&plant.dir)? {
        let member = home.file_name().and_then(|name| name.to_str()).context("a folder's name")?;
        // Who may not read the ledger has learned them by now: from a grant, or its operator.
        if member != "analyst" && member != "witness-1" {
            plant.by(member, &["keys", "trust"])?;
        }
        issued(plant, &next, member, &home)?;
    }
    plant.down();
    plant.up()?;
    plant.change("officer-1", &["keys", "rotate", "--authority", &new])?;
    for machine in ["site", "cell-1"] {
        knows(plant, machine, 1)?;
    }
    wait("the end of the old certificates", PATIENCE, || {
        let log = plant.dir.join("site/log.txt");
        let refusals = || fs::read_to_string(&log).map(|log| log.matches(TURNED_AWAY).count());
        let before = refusals()?;
        let (taken, _) = plant.try_call(&["--json", "--dir", &dir, "keys", "list"])?;
        Ok((!taken && refusals()? > before).then_some(()))
    })?;
    witness_trusts(plant, &[&new])?;
    plant.down();
    plant.up()?;
    whole_job(plant, "flange-6", passports, &mut quiet)?;
    Ok(())
}

fn witness_trusts(plant: &Plant, files: &[&str]) -> Result<()> {
    let mut command = Command::new(plant.bin().join("interlock-witness"));
    command.arg("trust").arg("--dir").arg(plant.dir.join("witness-1"));
    for file in files {
        command.args(["--authority", file]);
    }
    let output = command.output()?;
    match output.status.success() {
        true => Ok(()),
        false => bail!("witness trust: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// Waits until a machine trusts so many roots.
fn knows(plant: &Plant, machine: &str, roots: usize) -> Result<()> {
    let file = plant.dir.join(machine).join("tls/ca.pem");
    wait(&format!("{roots} roots of `{machine}`"), PATIENCE, || {
        let found = fs::read_to_string(&file)?.matches("-----BEGIN CERTIFICATE-----").count();
        Ok((found == roots).then_some(()))
    })
}

/// The folders of all that have a certificate and speak to the site.
fn homes(plant: &Path) -> Result<Vec<PathBuf>> {
    let mut homes = Vec::new();
    for entry in fs::read_dir(plant)? {
        let path = entry?.path();
        if path.join("tls/node.pem").exists() {
            homes.push(path);
        }
    }
    Ok(homes)
}

/// Puts a new certificate in the place of a member's own.
fn issued(plant: &Plant, ca: &str, member: &str, home: &Path) -> Result<()> {
    let out = plant.dir.with_file_name("issued").join(member);
    let folder = out.display().to_string();
    let issue = ["--json", "certificate", "issue", "--ca", ca, "--member", member];
    let rest = ["--out", &folder, "--host", "127.0.0.1", "--host", "localhost"];
    plant.call(&[&issue[..], &rest].concat())?;
    for file in ["node.key", "node.pem"] {
        fs::rename(out.join(file), home.join("tls").join(file))?;
    }
    Ok(())
}

fn copied(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("-Rp").arg(from).arg(to).status()?;
    if copied.success() { Ok(()) } else { bail!("`{}` was not copied", from.display()) }
}
