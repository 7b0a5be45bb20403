//! A plant of real processes on loopback, for the demo and the tests.

use crate::tools::{cargo, run, target};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Builds the programs with a profile; returns their folder.
pub fn build(profile: &str) -> Result<PathBuf> {
    // The whole workspace, so that every command shares one set of features.
    run(&mut cargo(&["build", "--workspace", "--bins", "--locked", "--profile", profile]))?;
    Ok(target().join(if profile == "dev" { "debug" } else { profile }))
}

/// The cell's address towards its controller, which admits no other.
const GATEWAY: &str = "127.0.0.2";

/// A running plant.
pub struct Plant {
    bin: PathBuf,
    /// The plant's folder.
    pub dir: PathBuf,
    robot: Child,
    /// The simulator's control port.
    pub control: u16,
    machines: Option<Child>,
    logged: Option<&'static str>,
}

impl Plant {
    /// Makes a plant under `out` and starts it with its simulated controller.
    pub fn start(bin: &Path, out: &Path, extra: &[String]) -> Result<Self> {
        Self::start_logging(bin, out, extra, None)
    }

    /// As [`Plant::start`], with machines that log by this filter.
    pub fn start_logging(
        bin: &Path,
        out: &Path,
        extra: &[String],
        logged: Option<&'static str>,
    ) -> Result<Self> {
        std::fs::create_dir_all(out)?;
        let (robot, ports) = start_robot(bin, out)?;
        let port = |name: &str| -> Result<u16> {
            let port =
                ports[name].as_u64().with_context(|| format!("no port `{name}` in {ports}"))?;
            Ok(u16::try_from(port)?)
        };
        let (dashboard, rtde, control) = (port("dashboard")?, port("rtde")?, port("control")?);
        let dir = out.join("plant");
        let mut plant = Self { bin: bin.into(), dir, robot, control, machines: None, logged };
        let base = free_ports(6)?;
        let mut arguments: Vec<String> = ["--json", "init"].map(Into::into).to_vec();
        arguments.push(plant.dir.display().to_string());
        for (name, value) in [("--dashboard", dashboard), ("--rtde", rtde), ("--port", base)] {
            arguments.extend([name.to_owned(), value.to_string()]);
        }
        arguments.extend(["--robot-from".to_owned(), GATEWAY.to_owned()]);
        arguments.extend(extra.iter().cloned());
        plant.call(&arguments)?;
        plant.up()?;
        Ok(plant)
    }

    /// Starts the machines and waits until they are ready.
    pub fn up(&mut self) -> Result<()> {
        let log = File::create(self.dir.join("up.txt"))?;
        let filters =
            self.logged.iter().flat_map(|by| ["INTERLOCK_LOG", "RUST_LOG"].map(|n| (n, by)));
        let mut child = Command::new(self.bin.join("interlock"))
            .args(["--json", "up"])
            .arg(&self.dir)
            .envs(filters)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let ready = first_line(&mut child)?;
        self.machines = Some(child);
        let ready: Value = serde_json::from_str(&ready).unwrap_or_default();
        if ready["ready"] != true {
            let why = std::fs::read_to_string(self.dir.join("up.txt")).unwrap_or_default();
            bail!("the plant did not come up: {ready} {why}");
        }
        Ok(())
    }

    /// Stops the machines, not the controller.
    pub fn down(&mut self) {
        if let Some(mut child) = self.machines.take() {
            let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }

    /// Calls `interlock` with arguments and reads its JSON; fails with its words.
    pub fn call<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Result<Value> {
        let (ok, value) = self.try_call(arguments)?;
        if !ok {
            bail!("interlock {}: {value}", shown(arguments));
        }
        Ok(value)
    }

    /// As [`Plant::call`], with a failure as a value.
    pub fn try_call<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Result<(bool, Value)> {
        let output = Command::new(self.bin.join("interlock"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .context("cannot start interlock")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let value = serde_json::from_str(&text).unwrap_or_else(|_| {
            Value::String(format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
        });
        Ok((output.status.success(), value))
    }

    /// Calls as one of the plant's members.
    pub fn by(&self, member: &str, arguments: &[&str]) -> Result<Value> {
        let dir = self.dir.join(member).display().to_string();
        let mut all = vec!["--json", "--dir", &dir];
        all.extend(arguments);
        self.call(&all)
    }

    /// Proposes a change as one member and has an officer approve it.
    pub fn change(&self, member: &str, arguments: &[&str]) -> Result<()> {
        let proposed = self.by(member, arguments)?;
        let id = proposed["id"].as_str().context("a proposal without an id")?;
        self.by("officer-2", &["change", "approve", id, "--yes"])?;
        Ok(())
    }

    /// Asks the simulator's control port.
    pub fn robot(&self, command: &str) -> Result<Value> {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.control))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        writeln!(stream, "{{\"cmd\":\"{command}\"}}")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    /// The programs' folder.
    pub fn bin(&self) -> &Path {
        &self.bin
    }
}

impl Drop for Plant {
    fn drop(&mut self) {
        self.down();
        let _ = self.robot.kill();
        let _ = self.robot.wait();
    }
}

fn shown<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> String {
    let words: Vec<_> = arguments.iter().map(|a| a.as_ref().to_string_lossy()).collect();
    words.join(" ")
}

fn start_robot(bin: &Path, out: &Path) -> Result<(Child, Value)> {
    let log = File::create(out.join("robot.txt"))?;
    let mut child = Command::new(bin.join("ursim"))
        .args([
            "--dashboard",
            "0",
            "--rtde",
            "0",
            "--control",
            "0",
            "--install-scan",
            "--json-ready",
            "--admit",
            GATEWAY,
        ])
        .arg("--programs")
        .arg(out.join("robot-programs"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .context("cannot start the controller simulator")?;
    let line = first_line(&mut child)?;
    let ports =
        serde_json::from_str(&line).with_context(|| format!("the simulator said `{line}`"))?;
    Ok((child, ports))
}

fn first_line(child: &mut Child) -> Result<String> {
    let stdout = child.stdout.take().context("no standard output")?;
    let mut line = String::new();
    let mut reader = BufReader::new(stdout);
    reader.read_line(&mut line)?;
    // The rest is read and dropped, so that the child never blocks on it.
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    Ok(line)
}

/// The first of `count` ports in a row that are free now.
fn free_ports(count: u16) -> Result<u16> {
    for _ in 0..100 {
        let probe = TcpListener::bind("127.0.0.1:0")?;
        let base = probe.local_addr()?.port();
        drop(probe);
        let Some(end) = base.checked_add(count) else { continue };
        if (base..end).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return Ok(base);
        }
    }
    bail!("no {count} free ports in a row on 127.0.0.1")
}

/// Waits until `look` gives something.
pub fn wait<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if began.elapsed() > patience {
            bail!("waited {} s for {what}", patience.as_secs());
        }
        std::thread::sleep(Duration::from_millis(150));
    }
}
