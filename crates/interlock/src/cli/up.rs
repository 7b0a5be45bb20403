//! `up`: every machine of a plant that lies in one folder, as processes of their
//! own. For trying out and for small plants on one host; a service manager starts
//! them elsewhere.

use super::{
    context::{Context, Failure},
    serve::ended,
};
use node::{Client, Node, config::read_config};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};

/// How long the plant may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub struct Args {
    /// The plant's folder, made by `interlock init`.
    plant: PathBuf,
}

struct Machine {
    name: String,
    log: PathBuf,
    child: Child,
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let mut machines = Vec::new();
    for (name, program, arguments) in plan(&args.plant)? {
        machines.push(start(&args.plant, &name, program, &arguments)?);
        eprintln!("started {name}");
    }
    if machines.is_empty() {
        return Err(Failure::Failed(format!(
            "`{}` holds no machine: make a plant with `interlock init`",
            args.plant.display()
        )));
    }
    let (url, console) = wait_ready(&args.plant, &mut machines).await?;
    let logs: Vec<String> = machines.iter().map(|m| m.log.display().to_string()).collect();
    let value = serde_json::json!({ "ready": true, "site": url, "console": console, "logs": logs });
    if context.json {
        println!("{value}");
    } else {
        println!("the plant is up at {url}; stop it with Ctrl-C");
        if let Some(console) = console {
            println!("the console is at {console}");
        }
    }
    let stopped = tokio::select! {
        () = ended() => Ok(()),
        name = first_exit(&mut machines) => Err(Failure::Failed(name)),
    };
    for machine in machines.iter_mut().rev() {
        stop(machine).await;
    }
    stopped
}

/// A machine's name, its program and the arguments.
type Start = (String, &'static str, Vec<String>);

/// What to start, in order: witnesses, site, cells, analysts.
fn plan(plant: &Path) -> Result<Vec<Start>, Failure> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(plant)
        .map_err(|e| Failure::Failed(format!("`{}`: {e}", plant.display())))?;
    for entry in entries {
        let dir = entry?.path();
        if !dir.join("interlock.toml").exists() {
            continue;
        }
        let config = read_config(&dir.join("interlock.toml"))?;
        let path = dir.display().to_string();
        let name = config.member.to_string();
        let seals = dir.join("seal.key").exists();
        if config.server.is_some() {
            found.push((1, name, "interlock", vec!["serve".into(), path]));
        } else if config.cell.is_some() {
            found.push((2, name, "interlock-cell", vec!["run".into(), "--dir".into(), path]));
        } else if config.listen.is_some() {
            found.push((0, name, "interlock-witness", vec!["run".into(), "--dir".into(), path]));
        } else if seals {
            found.push((3, name, "interlock-analyst", vec!["run".into(), "--dir".into(), path]));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, name, program, arguments)| (name, program, arguments)).collect())
}

fn start(
    plant: &Path,
    name: &str,
    program: &str,
    arguments: &[String],
) -> Result<Machine, Failure> {
    let beside = std::env::current_exe()?.with_file_name(program);
    let log = plant.join(name).join("log.txt");
    let open = || File::options().create(true).append(true).open(&log);
    let child = Command::new(&beside)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(open()?)
        .stderr(open()?)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| Failure::Failed(format!("`{}`: {e}", beside.display())))?;
    Ok(Machine { name: name.into(), log, child })
}

/// The addresses of the site and its console, once the site is ready.
async fn wait_ready(
    plant: &Path,
    machines: &mut [Machine],
) -> Result<(String, Option<String>), Failure> {
    let site = Node::load(&plant.join("site"))?;
    let client = Client::of(&site)?;
    let began = Instant::now();
    loop {
        if client.bytes("/readyz", 1024).await.is_ok() {
            let console = site.config.console.as_ref().map(|c| c.origin.clone());
            return Ok((site.config.site.clone(), console));
        }
        for machine in machines.iter_mut() {
            if let Some(status) = machine.child.try_wait()? {
                return Err(Failure::Failed(died(machine, &status.to_string())));
            }
        }
        if began.elapsed() > PATIENCE {
            return Err(Failure::Failed(
                "the plant does not come up; see the log.txt of each folder".into(),
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn died(machine: &Machine, status: &str) -> String {
    let log = std::fs::read_to_string(&machine.log).unwrap_or_default();
    let last: Vec<&str> = log.lines().rev().take(3).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    format!(
        "{} ended ({status}); its log `{}` ends with:\n{}",
        machine.name,
        machine.log.display(),
        last.join("\n")
    )
}

async fn first_exit(machines: &mut [Machine]) -> String {
    loop {
        for machine in machines.iter_mut() {
            if let Ok(Some(status)) = machine.child.try_wait() {
                return died(machine, &status.to_string());
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Asks politely, then not.
async fn stop(machine: &mut Machine) {
    if let Some(pid) = machine.child.id() {
        let _ = Command::new("kill").arg("-TERM").arg(pid.to_string()).status().await;
        if tokio::time::timeout(Duration::from_secs(10), machine.child.wait()).await.is_ok() {
            return;
        }
    }
    let _ = machine.child.kill().await;
}
