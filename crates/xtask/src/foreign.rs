//! What a real plant made, checked by programs that are not ours.

use crate::{
    plant::Plant,
    tools::{root, target},
};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};

/// Checks one finished job of a running plant.
pub fn check(plant: &Plant, job: &Value, passports: &Path) -> Result<()> {
    let out = plant.dir.with_file_name("foreign");
    std::fs::create_dir_all(&out)?;
    go_verifies(plant, text(job, "order")?, &out)?;
    eprintln!("   Go verifies the order's proof, the checkpoint and the cosignature");
    tink_and_mcap_read(plant, job, &out)?;
    eprintln!("   Tink decrypts the recording, and mcap reads it");
    let part = text(job, "part")?;
    jose_verifies(plant, &passports.join(format!("{part}.vc.jwt")), part, &out)?;
    eprintln!("   jose verifies the passport's signature");
    Ok(())
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key].as_str().with_context(|| format!("no `{key}` in {value}"))
}

fn peer(name: &str) -> PathBuf {
    root().join("crates/testkit/peers").join(name)
}

/// Runs a foreign program; returns what it says.
fn say(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(said)
}

fn go_verifies(plant: &Plant, order: &str, out: &Path) -> Result<()> {
    let genesis = plant.by("auditor", &["ledger", "show", "0"])?;
    let stated = &genesis["leaf"]["entry"]["statement"]["body"]["genesis"];
    let shown = plant.by("auditor", &["ledger", "show", order])?;
    // Compact JSON with sorted keys is the canonical form of an order's leaf: it
    // holds no number that is not a small integer and no text beyond ASCII.
    std::fs::write(out.join("leaf.json"), shown["leaf"].to_string())?;
    let proof = plant.by("auditor", &["ledger", "proof", order])?;
    std::fs::write(out.join("order.tlog-proof"), proof.as_str().context("a proof is text")?)?;
    let witness = stated["witnesses"][0].as_str().context("no witness in the genesis")?;
    say(Command::new("go")
        .args(["run"])
        .arg(peer("tlog_verify.go"))
        .args(["inclusion", text(stated, "log")?, witness])
        .args([out.join("order.tlog-proof"), out.join("leaf.json")])
        .envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode"), ("GOFLAGS", "")])
        .env("GOCACHE", target().join("peers/go-cache")))?;
    Ok(())
}

fn tink_and_mcap_read(plant: &Plant, job: &Value, out: &Path) -> Result<()> {
    let grant = text(job, "grant")?;
    let grants = plant.by("auditor", &["grant", "list"])?;
    let root =
        grants[grant]["grant"]["recordings"][0].as_str().context("a grant without recordings")?;
    let fetch = |name: &str, more: &[&str]| -> Result<Value> {
        let file = out.join(name).display().to_string();
        let mut arguments = vec!["recording", "fetch", root, "--grant", grant, "--out", &file];
        arguments.extend(more);
        plant.by("analyst", &arguments)
    };
    let plain = fetch("camera.mcap", &[])?;
    let sealed = fetch("camera.sealed", &["--ciphertext"])?;
    let key = text(&sealed, "key")?;
    let python = target().join("peers/venv/bin/python");
    let hex = say(Command::new(&python).args([
        "-c",
        "import base64,sys;print(base64.urlsafe_b64decode(sys.argv[1]+'=').hex())",
        key,
    ]))?;
    let said = say(Command::new(&python)
        .arg(peer("tink_decrypt.py"))
        .args([hex.trim(), text(&sealed, "recording")?])
        .arg(out.join("camera.sealed")))?;
    let digest = say(Command::new("sha256sum").arg(out.join("camera.mcap")))?;
    let digest = digest.split_whitespace().next().unwrap_or_default();
    if !said.contains(digest) {
        bail!("Tink says `{said}`, the plaintext's digest is {digest} ({plain})");
    }
    let said = say(Command::new(&python).arg(peer("mcap_read.py")).arg(out.join("camera.mcap")))?;
    if !said.contains("/camera/") {
        bail!("mcap found no photographs: {said}");
    }
    Ok(())
}

fn jose_verifies(plant: &Plant, jwt: &Path, part: &str, out: &Path) -> Result<()> {
    let jwks = out.join("jwks.json");
    let keys = plant.by("auditor", &["passport", "issuer", "--jwks"])?;
    std::fs::write(&jwks, keys.to_string())?;
    let said = say(Command::new("node")
        .args(["--input-type=module", "-"])
        .args([jwt, &jwks])
        .current_dir(target().join("peers/node"))
        .stdin(File::open(peer("jose_verify.mjs"))?))?;
    if !said.contains(part) {
        bail!("jose says `{said}`");
    }
    Ok(())
}
