//! Foreign clients that the tests use: what Debian, PyPI and npm have.

use crate::tools::{has_command, need_debian, root, run, step, target};
use anyhow::Result;
use std::{path::Path, process::Command};

/// Installs all of them into `target/peers`; quick when they are there.
pub fn install() -> Result<()> {
    let lists = root().join("crates/testkit/peers");
    let home = target().join("peers");
    let mod_source = Path::new("/usr/share/gocode/src/golang.org/x/mod/sumdb/note");
    need_debian(
        mod_source.exists() && has_command("go"),
        &["golang-go", "golang-golang-x-mod-dev"],
    )?;
    need_debian(has_command("openssl"), &["openssl"])?;
    python(&lists.join("requirements.txt"), &home)?;
    node(&lists, &home.join("node"))
}

fn python(list: &Path, home: &Path) -> Result<()> {
    let wanted = std::fs::read(list)?;
    let stamp = home.join("requirements.installed");
    if std::fs::read(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    step("installing Python peers into target/peers");
    let venv = home.join("venv");
    std::fs::create_dir_all(home)?;
    if !venv.join("bin/python").exists() {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&venv).status();
        if !made.is_ok_and(|s| s.success()) {
            need_debian(false, &["python3", "python3-venv"])?;
            run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        }
    }
    run(Command::new(venv.join("bin/python"))
        .args(["-m", "pip", "install", "-q", "-r"])
        .arg(list))?;
    Ok(std::fs::write(stamp, wanted)?)
}

fn node(lists: &Path, home: &Path) -> Result<()> {
    let wanted = std::fs::read(lists.join("package.json"))?;
    let stamp = home.join("package.installed");
    if std::fs::read(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    step("installing npm peers into target/peers");
    std::fs::create_dir_all(home)?;
    std::fs::write(home.join("package.json"), &wanted)?;
    let lock = lists.join("package-lock.json");
    let mut command = Command::new("npm");
    command.current_dir(home);
    if lock.exists() {
        std::fs::copy(&lock, home.join("package-lock.json"))?;
        command.args(["ci", "--no-audit", "--no-fund", "--silent"]);
    } else {
        command.args(["install", "--no-audit", "--no-fund", "--silent"]);
    }
    run(&mut command)?;
    Ok(std::fs::write(stamp, wanted)?)
}
