//! The machines of a plant as processes that can be harmed one by one, and the relay
//! between cell and site.

use super::faults::{Dice, Fault};
use crate::plant::{Plant, wait};
use anyhow::{Context, Result};
use std::{
    fs::File,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

struct Machine {
    name: &'static str,
    program: &'static str,
    arguments: Vec<String>,
    child: Option<Child>,
}

/// All of them.
pub struct Machines {
    bin: PathBuf,
    dir: PathBuf,
    all: Vec<Machine>,
    relay: Relay,
}

impl Machines {
    /// Starts each; the cell reaches the site through the relay only.
    pub fn start(bin: &Path, dir: &Path) -> Result<Self> {
        let config = dir.join("cell-1/interlock.toml");
        let text = std::fs::read_to_string(&config)?;
        let line = text.lines().find(|l| l.starts_with("site = ")).context("no site address")?;
        let site = line.split('"').nth(1).context("no site address")?;
        let address: SocketAddr = site.trim_start_matches("https://").parse()?;
        let relay = Relay::start(address)?;
        let through = format!("site = \"https://{}\"", relay.address);
        std::fs::write(&config, text.replace(line, &through))?;

        let of = |name: &'static str, program, first: &[&str]| Machine {
            name,
            program,
            arguments: first
                .iter()
                .map(|word| (*word).to_owned())
                .chain([dir.join(name).display().to_string()])
                .collect(),
            child: None,
        };
        let all = vec![
            of("witness-1", "interlock-witness", &["run", "--dir"]),
            of("site", "interlock", &["serve"]),
            of("cell-1", "interlock-cell", &["run", "--dir"]),
            of("analyst", "interlock-analyst", &["run", "--dir"]),
        ];
        let mut machines = Self { bin: bin.into(), dir: dir.into(), all, relay };
        machines.heal()?;
        Ok(machines)
    }

    /// Their names.
    pub fn names(&self) -> Vec<String> {
        self.all.iter().map(|m| m.name.to_owned()).collect()
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

    /// Lets one fault happen, to its end.
    pub fn suffer(&mut self, fault: &Fault, dice: &mut Dice) -> Result<()> {
        match fault {
            Fault::Kill { machine } => {
                if let Some(mut child) =
                    self.all.iter_mut().find(|m| m.name == machine).and_then(|m| m.child.take())
                {
                    child.kill()?;
                    child.wait()?;
                }
                std::thread::sleep(Duration::from_millis(dice.below(400)));
                self.heal()
            }
            Fault::Freeze { machine } => {
                self.signal(machine, "-STOP");
                std::thread::sleep(Duration::from_millis(500 + dice.below(2500)));
                self.signal(machine, "-CONT");
                Ok(())
            }
            Fault::Cut { outwards } => {
                self.relay.cut(*outwards, true);
                std::thread::sleep(Duration::from_millis(500 + dice.below(4000)));
                self.relay.cut(*outwards, false);
                Ok(())
            }
        }
    }

    fn signal(&self, machine: &str, signal: &str) {
        let child = self.all.iter().find(|m| m.name == machine).and_then(|m| m.child.as_ref());
        if let Some(child) = child {
            let _ = Command::new("kill").args([signal, &child.id().to_string()]).status();
        }
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
            let child = Command::new(self.bin.join(machine.program))
                .args(&machine.arguments)
                .stdin(Stdio::null())
                .stdout(open()?)
                .stderr(open()?)
                .spawn()
                .with_context(|| format!("cannot start `{}`", machine.program))?;
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
    }
}

/// Bytes between cell and site, until a direction is cut.
struct Relay {
    address: SocketAddr,
    outwards: Arc<AtomicBool>,
    inwards: Arc<AtomicBool>,
}

impl Relay {
    fn start(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let relay = Self {
            address: listener.local_addr()?,
            outwards: Arc::default(),
            inwards: Arc::default(),
        };
        let (outwards, inwards) = (relay.outwards.clone(), relay.inwards.clone());
        std::thread::spawn(move || {
            for from in listener.incoming().flatten() {
                let Ok(onward) = TcpStream::connect(to) else { continue };
                let (Ok(from2), Ok(onward2)) = (from.try_clone(), onward.try_clone()) else {
                    continue;
                };
                let (outwards, inwards) = (outwards.clone(), inwards.clone());
                std::thread::spawn(move || pass(from, onward, &outwards));
                std::thread::spawn(move || pass(onward2, from2, &inwards));
            }
        });
        Ok(relay)
    }

    fn cut(&self, outwards: bool, cut: bool) {
        if outwards { &self.outwards } else { &self.inwards }.store(cut, Relaxed);
    }
}

/// Copies until an end closes. While the direction is cut it waits with what it has,
/// as a network that loses packets does.
fn pass(mut from: TcpStream, mut to: TcpStream, cut: &AtomicBool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        while cut.load(Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
        if to.write_all(buffer.get(..length).unwrap_or_default()).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
