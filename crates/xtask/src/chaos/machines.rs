//! The machines of a plant as processes that can be harmed one by one.

use super::{
    clock::{self, Clock},
    disk::Disk,
    faults::Fault,
    relay::Relay,
};
use crate::plant::{Plant, wait};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

struct Machine {
    name: &'static str,
    program: &'static str,
    arguments: Vec<String>,
    child: Option<Child>,
    disk: Option<Disk>,
    clock: Option<Clock>,
}

/// All of them.
pub struct Machines {
    bin: PathBuf,
    dir: PathBuf,
    all: Vec<Machine>,
    /// Every process that ever was one of them.
    pids: Vec<u32>,
    relay: Relay,
}

impl Machines {
    /// Starts each; the cell reaches the site through the relay only. With `disks` the
    /// data of each but the analyst lies on a disk of its own.
    pub fn start(bin: &Path, dir: &Path, disks: bool) -> Result<Self> {
        let config = dir.join("cell-1/interlock.toml");
        let text = std::fs::read_to_string(&config)?;
        let line = text.lines().find(|l| l.starts_with("site = ")).context("no site address")?;
        let site = line.split('"').nth(1).context("no site address")?;
        let address: SocketAddr = site.trim_start_matches("https://").parse()?;
        let relay = Relay::start(address)?;
        let through = format!("site = \"https://{}\"", relay.address);
        std::fs::write(&config, text.replace(line, &through))?;

        let library = clock::library();
        let of = |name: &'static str, program, first: &[&str], data: Option<&str>| {
            let own = dir.join(name);
            let disk = data.filter(|_| disks).map(|data| Disk::under(&own.join(data)));
            let clock = data.and(library.as_ref()).map(|library| Clock::new(library, &own));
            let words = first.iter().map(|word| (*word).to_owned());
            let arguments = words.chain([own.display().to_string()]).collect();
            let (disk, clock) = (disk.transpose()?, clock.transpose()?);
            Ok::<_, anyhow::Error>(Machine { name, program, arguments, child: None, disk, clock })
        };
        let all = vec![
            of("witness-1", "interlock-witness", &["run", "--dir"], Some("data"))?,
            of("site", "interlock", &["serve"], Some("data"))?,
            of("cell-1", "interlock-cell", &["run", "--dir"], Some("cell"))?,
            of("analyst", "interlock-analyst", &["run", "--dir"], None)?,
        ];
        let mut machines = Self { bin: bin.into(), dir: dir.into(), all, pids: Vec::new(), relay };
        machines.heal()?;
        Ok(machines)
    }

    /// Whether site, witness and cell are ready for a run.
    pub fn ready(&self, plant: &Plant) -> bool {
        plant.by("auditor", &["doctor"]).is_ok_and(|said| said["ok"] != false)
    }

    /// Waits until they are.
    pub fn wait_ready(&self, plant: &Plant) -> Result<()> {
        wait("the plant to come up", Duration::from_secs(90), || {
            Ok(self.ready(plant).then_some(()))
        })
    }

    /// Whether a fault can happen here.
    pub fn able(&self, fault: &Fault) -> bool {
        match fault {
            Fault::Fill { .. } => self.can_fill(),
            Fault::Skew { .. } => self.can_skew(),
            _ => true,
        }
    }

    /// Whether disks can be filled.
    pub fn can_fill(&self) -> bool {
        self.all.iter().any(|machine| machine.disk.is_some())
    }

    /// Whether clocks can be set wrong.
    pub fn can_skew(&self) -> bool {
        self.all.iter().any(|machine| machine.clock.is_some())
    }

    /// Fills a machine's disk.
    pub fn fill(&self, machine: &str) -> Result<()> {
        self.disk(machine)?.fill()
    }

    /// Frees a machine's disk.
    pub fn free(&self, machine: &str) -> Result<()> {
        self.disk(machine)?.free()
    }

    /// Sets a machine's clock wrong by so many seconds; 0 sets it right.
    pub fn skew(&self, machine: &str, seconds: i64) -> Result<()> {
        self.machine(machine)?.clock.as_ref().context("its clock cannot be set")?.set(seconds)
    }

    /// The process of a machine.
    pub fn pid(&self, machine: &str) -> Option<u32> {
        self.machine(machine).ok()?.child.as_ref().map(Child::id)
    }

    /// What the cell says of itself.
    pub fn cell_says(&self, plant: &Plant) -> Result<Value> {
        let config = std::fs::read_to_string(self.dir.join("cell-1/interlock.toml"))?;
        let line = config.lines().find(|line| line.starts_with("listen = "));
        let address = line.and_then(|line| line.split('"').nth(1)).context("no address")?;
        let tls = plant.dir.join("auditor/tls");
        // Who answers is not at stake here.
        let output = Command::new("curl")
            .args(["--silent", "--insecure", "--max-time", "10", "--cert"])
            .arg(tls.join("node.pem"))
            .arg("--key")
            .arg(tls.join("node.key"))
            .arg(format!("https://{address}/status"))
            .output()?;
        Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
    }

    fn machine(&self, name: &str) -> Result<&Machine> {
        let found = self.all.iter().find(|machine| machine.name == name);
        found.with_context(|| format!("no machine `{name}`"))
    }

    fn disk(&self, machine: &str) -> Result<&Disk> {
        match &self.machine(machine)?.disk {
            Some(disk) => Ok(disk),
            None => bail!("`{machine}` has no disk of its own"),
        }
    }

    fn kill(&mut self, machine: &str) -> Result<()> {
        let found = self.all.iter_mut().find(|m| m.name == machine);
        if let Some(mut child) = found.and_then(|m| m.child.take()) {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Lets one fault happen, to its end.
    pub fn suffer(&mut self, fault: &Fault, lasts: Duration) -> Result<()> {
        match *fault {
            Fault::Kill { machine } => {
                self.kill(machine)?;
                std::thread::sleep(lasts);
                self.heal()
            }
            Fault::Freeze { machine } => {
                self.freeze(machine, true);
                std::thread::sleep(lasts);
                self.freeze(machine, false);
                Ok(())
            }
            Fault::Cut { outwards } => {
                self.relay.cut(outwards, true);
                std::thread::sleep(lasts);
                self.relay.cut(outwards, false);
                Ok(())
            }
            Fault::Fill { machine, outage } => {
                self.fill(machine)?;
                std::thread::sleep(lasts);
                if let Some(outage) = outage {
                    self.kill(machine)?;
                    self.heal()?;
                    std::thread::sleep(outage);
                }
                self.free(machine)?;
                self.heal()
            }
            Fault::Skew { machine, seconds } => {
                self.skew(machine, seconds)?;
                std::thread::sleep(lasts);
                self.skew(machine, 0)
            }
        }
    }

    /// Stops a process where it stands, or lets it go on.
    pub fn freeze(&self, machine: &str, stands: bool) {
        let signal = if stands { "-STOP" } else { "-CONT" };
        if let Some(pid) = self.pid(machine) {
            let _ = Command::new("kill").args([signal, &pid.to_string()]).status();
        }
    }

    /// The network between cell and site.
    pub fn relay(&self) -> &Relay {
        &self.relay
    }

    /// Ends one for good.
    pub fn end(&mut self, machine: &str) -> Result<()> {
        self.kill(machine)
    }

    /// Starts what does not run.
    pub fn heal(&mut self) -> Result<()> {
        for machine in &mut self.all {
            let runs = match &mut machine.child {
                Some(child) => child.try_wait()?.is_none(),
                None => false,
            };
            if runs {
                continue;
            }
            let open = || {
                let path = self.dir.join(machine.name).join("log.txt");
                File::options().create(true).append(true).open(path)
            };
            let mut command = Command::new(self.bin.join(machine.program));
            machine.clock.iter().for_each(|clock| clock.wind(&mut command));
            let child = command
                .args(&machine.arguments)
                .env("NO_COLOR", "1")
                .stdin(Stdio::null())
                .stdout(open()?)
                .stderr(open()?)
                .spawn()
                .with_context(|| format!("cannot start `{}`", machine.program))?;
            self.pids.push(child.id());
            machine.child = Some(child);
        }
        Ok(())
    }

    /// Ends all, politely.
    pub fn stop(&mut self) {
        for machine in &mut self.all {
            if let Some(mut child) = machine.child.take() {
                let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
                let _ = child.wait();
            }
        }
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for machine in &mut self.all {
            if let Some(mut child) = machine.child.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        self.pids.iter().copied().for_each(clock::tidy);
    }
}
