//! A plant whose site and witness are processes, and the command line as people give it.

use super::ports;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};
use tempfile::TempDir;

pub struct House {
    pub dir: TempDir,
    pub running: Vec<(&'static str, Child)>,
}

impl Drop for House {
    fn drop(&mut self) {
        for (_, child) in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A program of the workspace, beside this one.
pub fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_interlock")).with_file_name(name);
    assert!(path.exists(), "`{}` is not built: test the whole workspace", path.display());
    path
}

pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

impl House {
    pub fn made() -> Self {
        Self::made_with(&[])
    }

    pub fn made_with(options: &[&str]) -> Self {
        transport::install_crypto_provider();
        let house = Self { dir: TempDir::new().unwrap(), running: Vec::new() };
        let port = ports().to_string();
        let init = ["init", &house.at(""), "--port", &port, "--no-console"];
        house.call(&[&init[..], options].concat());
        house
    }

    pub fn at(&self, path: &str) -> String {
        self.dir.path().join(path).to_str().unwrap().to_owned()
    }

    pub fn start(&mut self, member: &'static str) {
        let folder = self.at(member);
        let mut command = match member {
            "site" => Command::new(program("interlock")),
            _ => Command::new(program("interlock-witness")),
        };
        match member {
            "site" => command.args(["serve", &folder]),
            _ => command.args(["run", "--dir", &folder]),
        };
        let log = std::fs::File::create(self.at(&format!("{member}/log.txt"))).unwrap();
        let child = command.stdin(Stdio::null()).stderr(log).spawn().unwrap();
        self.running.push((member, child));
    }

    /// Killed, not asked to end.
    pub fn kill(&mut self, member: &str) {
        let at = self.running.iter().position(|(name, _)| *name == member).unwrap();
        let (_, mut child) = self.running.remove(at);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub fn again(&mut self, member: &'static str) {
        self.kill(member);
        self.start(member);
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        Command::new(program("interlock")).arg("--json").args(arguments).output().unwrap()
    }

    #[track_caller]
    pub fn call(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {} {said}", json(&output));
        json(&output)
    }

    pub fn try_by(&self, member: &str, arguments: &[&str]) -> Output {
        self.run(&[&["--dir", &self.at(member)], arguments].concat())
    }

    #[track_caller]
    pub fn by(&self, member: &str, arguments: &[&str]) -> Value {
        self.call(&[&["--dir", &self.at(member)], arguments].concat())
    }

    /// As a member, with an exit code and words.
    #[track_caller]
    pub fn fails(&self, member: &str, arguments: &[&str], code: i32, words: &str) {
        let output = self.try_by(member, arguments);
        assert_eq!(output.status.code(), Some(code), "{}", json(&output));
        let detail = json(&output)["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(words), "`{words}` is not in: {detail}");
    }

    /// What an officer is shown of a proposal before anything is signed.
    #[track_caller]
    pub fn shown(&self, officer: &str, proposal: &str) -> String {
        let output = self.try_by(officer, &["change", "approve", proposal]);
        let detail = json(&output)["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains("--yes"), "{detail}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Whether the site takes no certificate of a member's authority. The member learns no
    /// more than that a connection ended, as it might for any reason; the site says why.
    pub fn turned_away(&self, member: &str) -> bool {
        let refusals = || {
            let log = std::fs::read_to_string(self.at("site/log.txt")).unwrap();
            log.lines().filter(|line| line.contains("invalid peer certificate")).count()
        };
        let before = refusals();
        let output = self.try_by(member, &["keys", "list"]);
        !output.status.success() && refusals() > before
    }
}
