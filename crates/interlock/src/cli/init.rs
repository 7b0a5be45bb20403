//! `init`: a real plant's folders, with fresh keys and no default secret.

use super::context::{Context, Failure};
use base::{Id, Millis};
use clap::Parser;
use node::{
    config::{CameraConfig, CellConfig, ConsoleConfig, RobotConfig},
    init::{Blueprint, NewMember, init, link_file},
    now,
};
use policy::Role;
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

#[derive(Parser)]
pub struct Args {
    /// An empty folder for the plant.
    plant: PathBuf,
    /// The site's identifier.
    #[arg(long, default_value = "plant")]
    site: Id,
    /// The plant's name for people.
    #[arg(long, default_value = "Interlock plant")]
    name: String,
    /// The host name under which passports are published.
    #[arg(long, default_value = "plant.example")]
    host: String,
    /// A person, ID:ROLE[,ROLE…]:NAME; the default is one of each role and two
    /// security officers.
    #[arg(long = "person", value_parser = person)]
    people: Vec<NewMember>,
    /// Make no third security officer whose folder is kept offline. Then the loss of
    /// one officer's key leaves a plant that can change nothing any more.
    #[arg(long)]
    no_recovery_officer: bool,
    /// A cell.
    #[arg(long = "cell", default_value = "cell-1")]
    cells: Vec<Id>,
    /// How many witnesses, all of which must cosign.
    #[arg(long, default_value_t = 1)]
    witnesses: u16,
    /// Where the machines listen.
    #[arg(long, default_value = "127.0.0.1")]
    address: IpAddr,
    /// The first port; each machine takes the next.
    #[arg(long, default_value_t = 7440)]
    port: u16,
    /// The robot controller's address.
    #[arg(long, default_value = "127.0.0.1")]
    robot: String,
    /// The robot's Dashboard port.
    #[arg(long, default_value_t = 29_999)]
    dashboard: u16,
    /// The robot's RTDE port.
    #[arg(long, default_value_t = 30_004)]
    rtde: u16,
    /// The cell's own address towards the controller, for one that admits no other.
    #[arg(long, value_name = "ADDRESS")]
    robot_from: Option<IpAddr>,
    /// A folder of photographs as the camera; rendered parts when absent.
    #[arg(long)]
    images: Option<PathBuf>,
    /// A part that the rendering camera shows with a scratch from its second scan on.
    #[arg(long)]
    defective: Vec<Id>,
    /// How old the newest witnessed checkpoint may be for motion, in seconds.
    #[arg(long, default_value_t = 10)]
    freshness: u64,
    /// For how many days certificates are valid.
    #[arg(long, default_value_t = 365)]
    days: u32,
    /// What people type to open the web console, and what passkeys are bound to:
    /// https://HOST:PORT, or http://localhost:PORT on this machine alone.
    #[arg(long, value_name = "URL")]
    console_origin: Option<String>,
    /// Let anybody who reaches the console read passports and the keys that verify
    /// them.
    #[arg(long, conflicts_with = "no_console")]
    public_passports: bool,
    /// Make a plant without a web console.
    #[arg(long, conflicts_with = "console_origin")]
    no_console: bool,
}

impl Args {
    /// The console beside the other machines: on the port that its origin names,
    /// or else on the next one.
    fn console(&self, next: u16) -> Option<ConsoleConfig> {
        if self.no_console {
            return None;
        }
        let origin = self.console_origin.clone().unwrap_or_else(|| {
            if self.address.is_loopback() {
                format!("http://localhost:{next}")
            } else {
                format!("https://{}:{next}", self.host)
            }
        });
        let named = origin.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        Some(ConsoleConfig {
            listen: SocketAddr::new(self.address, named.unwrap_or(next)),
            origin,
            public_passports: self.public_passports,
            idle_minutes: 15,
            session_hours: 8,
        })
    }
}

/// The third security officer. It is one like the others; only its folder lies apart.
const RECOVERY: &str = "recovery-officer:security-officer:Recovery officer (offline)";

/// What stands in its folder.
const RECOVERY_TEXT: &str = "\
This folder is the plant's third security officer. Copy it onto a medium, put that into a safe,
and delete it here. It is not for daily work: two officers sign every change of rules, roles and
keys, so the plant needs a third when one of them loses a key, or has it stolen.

When an officer's key is lost or stolen:

1. The other officer revokes it at once; one signature is enough:
     interlock --dir OFFICER member revoke WHO --reason \"stolen\"
     interlock --dir OFFICER audit key WHO
2. The other officer invites WHO again (--console-origin URL names the console), or enrols a new
   key file that WHO made (interlock member enrol FILE):
     interlock --dir OFFICER invite WHO
3. Fetch this folder, and on a machine that reaches the site approve it:
     interlock --dir THIS-FOLDER change list
     interlock --dir THIS-FOLDER change approve PROPOSAL
4. Put the folder back into the safe. Once a year, run `interlock --dir THIS-FOLDER doctor`: its
   certificate ends, and a medium can fail.

Whoever has this folder is a security officer. If it may have been copied, revoke its key
(`interlock member revoke recovery-officer`) and enrol another.
";

fn person(text: &str) -> Result<NewMember, String> {
    let mut parts = text.splitn(3, ':');
    let (Some(id), Some(roles)) = (parts.next(), parts.next()) else {
        return Err(format!("`{text}` is not ID:ROLE[,ROLE…]:NAME"));
    };
    let id: Id = id.parse().map_err(|e| format!("{e}"))?;
    let roles = roles.split(',').map(str::parse).collect::<Result<BTreeSet<Role>, _>>()?;
    let name = parts.next().unwrap_or(id.as_str()).to_owned();
    Ok(NewMember { id, name, roles, listen: None, cell: None })
}

fn default_people() -> Result<Vec<NewMember>, Failure> {
    [
        "operator:operator:Operator",
        "officer-1:security-officer:First security officer",
        "officer-2:security-officer:Second security officer",
        "integrator:integrator:Integrator",
        "ml-engineer:ml-engineer:ML engineer",
        "auditor:auditor:Auditor",
    ]
    .into_iter()
    .map(|text| person(text).map_err(Failure::Failed))
    .collect()
}

pub fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let people = if args.people.is_empty() { default_people()? } else { args.people.clone() };
    let mut port = args.port;
    let mut listen = || {
        let address = SocketAddr::new(args.address, port);
        port = port.saturating_add(1);
        Some(address)
    };
    let machine = |id: &str, role: Option<Role>, listen, cell| -> Result<NewMember, Failure> {
        let roles = role.into_iter().collect();
        Ok(NewMember { id: id.parse()?, name: id.to_owned(), roles, listen, cell })
    };
    let mut members = vec![machine("site", Some(Role::Site), listen(), None)?];
    let witnesses = (1..=args.witnesses)
        .map(|n| machine(&format!("witness-{n}"), None, listen(), None))
        .collect::<Result<Vec<_>, _>>()?;
    for cell in &args.cells {
        let config = CellConfig {
            robot: RobotConfig {
                name: "robot-1".parse()?,
                host: args.robot.clone(),
                from: args.robot_from,
                dashboard: args.dashboard,
                rtde: args.rtde,
            },
            camera: match &args.images {
                Some(path) => CameraConfig::Folder { path: path.canonicalize()? },
                None => CameraConfig::Rendered { defective: args.defective.clone() },
            },
        };
        members.push(machine(cell.as_str(), Some(Role::Cell), listen(), Some(config))?);
    }
    members.push(machine("analyst", Some(Role::Processor), None, None)?);
    let officers = people.iter().filter(|p| p.roles.contains(&Role::SecurityOfficer)).count();
    members.extend(people);
    let recovery = (officers < 3 && !args.no_recovery_officer).then(|| person(RECOVERY));
    let recovery = recovery.transpose().map_err(Failure::Failed)?;
    members.extend(recovery.clone());
    let console = args.console(port);
    let quorum = witnesses.len();
    let blueprint = Blueprint {
        site: args.site,
        name: args.name,
        host: args.host,
        members,
        witnesses,
        quorum,
        freshness_ms: args.freshness.saturating_mul(1000),
        days: args.days,
        console,
    };
    let at: Millis = now();
    let anchors = init(&args.plant, &blueprint, at)?;
    let folders: Vec<String> = blueprint
        .members
        .iter()
        .chain(&blueprint.witnesses)
        .map(|m| args.plant.join(m.id.as_str()).display().to_string())
        .collect();
    if let Some(officer) = &recovery {
        let path = args.plant.join(officer.id.as_str()).join("READ-ME-FIRST.txt");
        transport::write_public(&path, RECOVERY_TEXT.as_bytes())?;
    }
    let console = blueprint.console.as_ref().map(|c| c.origin.as_str());
    let first = first_link(&args.plant, &blueprint)?;
    let value = serde_json::json!({
        "plant": args.plant, "site": anchors.site, "genesis": anchors.genesis, "folders": folders,
        "console": console, "enrol_link": first.as_ref().map(|(_, link)| link.as_str()),
    });
    context.print(&value, |_| {
        let mut text = format!(
            "plant `{}` in `{}`\n  genesis {}\n  one folder each, with fresh keys: {}\n  \
             hand each folder to its owner, and take `ca` offline: it can issue certificates\n  \
             {}next: interlock up {}",
            anchors.site,
            args.plant.display(),
            anchors.genesis,
            folders.len(),
            match &recovery {
                Some(officer) => format!(
                    "put `{}` into a safe: with it, the loss of one officer's key is mended\n  ",
                    officer.id
                ),
                None => String::new(),
            },
            args.plant.display()
        );
        if let (Some(origin), Some((officer, link))) = (console, &first) {
            text.push_str(&format!(
                "\n  console: {origin}, once the plant is up; `{officer}` enrols a passkey there, \
                 once, within 14 days, by this link:\n    {}\n  \
                 the link is a key: keep it private. Everybody else's lies in their folder as \
                 enrol-link.txt",
                link.as_str()
            ));
        }
        text
    })
}

/// The first security officer and the link to enrol with.
fn first_link(
    plant: &Path,
    blueprint: &Blueprint,
) -> Result<Option<(Id, Zeroizing<String>)>, Failure> {
    if blueprint.console.is_none() {
        return Ok(None);
    }
    let officer = |m: &&NewMember| m.is_person() && m.roles.contains(&Role::SecurityOfficer);
    let Some(officer) = blueprint.members.iter().find(officer) else {
        return Ok(None);
    };
    let text = transport::read_secret(&link_file(plant, &officer.id))?;
    Ok(Some((officer.id.clone(), Zeroizing::new(text.trim().to_owned()))))
}
