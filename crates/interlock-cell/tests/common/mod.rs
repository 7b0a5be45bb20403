//! A plant in miniature: the real cell as a process, the real controller
//! simulator, and a site in this process that signs a real log over mutual TLS,
//! and that can be told to lie or to be gone.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::result_large_err
)]

pub mod recording;
mod site;

pub use site::{Keys, Lie, Site};

use base::{Digest, Id, Millis};
use node::{
    Node,
    config::{CameraConfig, CellConfig, RobotConfig},
    fresh_nonce,
    init::{Blueprint, NewMember, folder, init},
    now,
};
use plant::{
    Body, OrderState, RunStatus,
    body::{Approve, Change, Order, Outcome, Parameter, Program, ProgramRef, RunEnded},
};
use policy::Role;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use testkit::ursim::{self, SCAN};

/// Longer than any step takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn member(name: &str, roles: &[Role]) -> NewMember {
    NewMember {
        id: id(name),
        name: name.to_owned(),
        roles: roles.iter().copied().collect(),
        listen: None,
        cell: None,
    }
}

pub struct Plant {
    pub dir: tempfile::TempDir,
    pub robot: ursim::Handle,
    pub site: Site,
    pub listen: SocketAddr,
    cell: Option<Child>,
}

impl Drop for Plant {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Plant {
    /// A plant whose cell does not run yet, with the scan program approved.
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let programs = dir.path().join("programs");
        testkit::ursim::Program::install(&programs, SCAN).unwrap();
        let robot = ursim::start(ursim::Config::new(&programs)).unwrap();
        let (address, listen) = (free_port(), free_port());
        let plant = dir.path().join("plant");
        init(&plant, &blueprint(address, listen, &robot), now()).unwrap();
        let site = Site::start(&plant, address).await;
        let this = Self { dir, robot, site, listen, cell: None };
        let program = Program {
            cells: BTreeSet::from([id("cell-1")]),
            id: id("scan"),
            parameters: [
                ("speed_percent", 10, 100),
                ("standoff_mm", 150, 240),
                ("viewpoints", 1, 6),
            ]
            .map(|(name, min, max)| (id(name), parameter(min, max)))
            .into(),
            sha256: base::sha256(SCAN),
            title: "Scan".into(),
        };
        let proposal = this.state("ivan", &Body::Propose(Change::Program(program)));
        this.state("olga", &Body::Approve(Approve { proposal }));
        this
    }

    /// A plant whose cell runs.
    pub async fn running() -> Self {
        let mut plant = Self::start().await;
        plant.run_cell();
        plant
    }

    pub fn node(&self, member: &str) -> Node {
        Node::load(&folder(&self.dir.path().join("plant"), &id(member))).unwrap()
    }

    pub fn cell_dir(&self) -> PathBuf {
        folder(&self.dir.path().join("plant"), &id("cell-1"))
    }

    /// States something on the ledger.
    pub fn state(&self, member: &str, body: &Body) -> Digest {
        let entry = self.node(member).sign(body, now(), fresh_nonce().unwrap()).unwrap();
        self.site.append(&entry).unwrap();
        entry.id().unwrap()
    }

    /// Orders a scan of a part.
    pub fn order(&self, part: &str, viewpoints: i64) -> Digest {
        self.order_within(part, viewpoints, now(), now().plus(600_000))
    }

    /// Orders a scan and waits until the robot moves for it.
    pub async fn moving(&self, part: &str, viewpoints: i64) -> Digest {
        let before = self.robot.motions().starts;
        let order = self.order(part, viewpoints);
        self.until("the robot moves", |p| p.robot.motions().starts == before + 1).await;
        order
    }

    pub fn order_within(&self, part: &str, viewpoints: i64, from: Millis, to: Millis) -> Digest {
        self.state("anna", &self.scan(part, viewpoints, from, to))
    }

    /// An order of a scan, not stated yet.
    pub fn scan(&self, part: &str, viewpoints: i64, from: Millis, to: Millis) -> Body {
        let parameters = [("speed_percent", 100), ("standoff_mm", 200), ("viewpoints", viewpoints)];
        let order = Order {
            cell: id("cell-1"),
            max_lag: 1000,
            not_after: to,
            not_before: from,
            parameters: parameters.map(|(name, value)| (id(name), value)).into(),
            part: id(part),
            program: ProgramRef { id: id("scan"), sha256: base::sha256(SCAN) },
        };
        Body::Order(order)
    }

    /// Starts the real cell.
    pub fn run_cell(&mut self) {
        let child = Command::new(env!("CARGO_BIN_EXE_interlock-cell"))
            .args(["run", "--dir"])
            .arg(self.cell_dir())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.cell = Some(child);
    }

    /// Starts the real cell so that it takes a file that may not grow for a full disk;
    /// its process.
    pub fn run_cell_whose_files_can_be_bounded(&mut self) -> u32 {
        let child = Command::new("sh")
            // The signal that would end it is ignored, so that its writes fail.
            .args(["-c", "trap '' XFSZ; exec \"$0\" run --dir \"$1\""])
            .arg(env!("CARGO_BIN_EXE_interlock-cell"))
            .arg(self.cell_dir())
            .stdin(Stdio::null())
            // It may be a file, too.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = child.id();
        self.cell = Some(child);
        pid
    }

    /// Ends the cell as a power cut does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.cell.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Asks the cell to end, and waits until it has; whether it ended well.
    pub fn end(&mut self) -> bool {
        let mut child = self.cell.take().unwrap();
        let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(asked.unwrap().success());
        child.wait().unwrap().success()
    }

    /// The recordings in the cell's spool, by their checkpoints.
    pub fn spooled(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.cell_dir().join("cell/spool")).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|e| e == "checkpoints")).collect()
    }

    /// A command of the cell's program, while it does not run; what it says.
    pub fn cell_command(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_interlock-cell"))
            .args(arguments)
            .arg("--dir")
            .arg(self.cell_dir())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn order_state(&self, order: &Digest) -> OrderState {
        self.site.plant().orders[order].clone()
    }

    /// Waits for something to be so.
    pub async fn until(&self, what: &str, mut so: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !so(self) {
            assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for the end of a run and for all of its recordings.
    pub async fn ended(&self, order: &Digest, outcome: Outcome, recordings: usize) -> RunEnded {
        self.until("the run has ended", |p| {
            matches!(p.order_state(order).status, RunStatus::Ended(_))
        })
        .await;
        let ended = self.order_state(order).ended.unwrap();
        assert_eq!(ended.outcome, outcome, "{}", ended.reason);
        self.until("its recordings are there", |p| {
            p.order_state(order).recordings.len() == recordings
        })
        .await;
        ended
    }

    pub async fn started(&self, order: &Digest) {
        self.until("the run has started", |p| {
            matches!(p.order_state(order).status, RunStatus::Started(_))
        })
        .await;
    }

    /// A request to the cell with a member's certificate, on a connection of its own.
    pub async fn send(
        &self,
        who: &str,
        method: reqwest::Method,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> reqwest::Response {
        let node = self.node(who);
        let client =
            transport::client::connect(&node.trust, Some(&node.identity), Some(&id("cell-1")));
        let url = format!("https://{}{path}", self.listen);
        client.unwrap().request(method, url).body(body).send().await.unwrap()
    }

    /// As [`Plant::send`], without a body; the answer's status and text.
    pub async fn ask(&self, who: &str, method: reqwest::Method, path: &str) -> (u16, String) {
        let answer = self.send(who, method, path, "").await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Waits until the cell's own server answers and has read the ledger.
    pub async fn up(&self) {
        let start = Instant::now();
        loop {
            let listens = tokio::net::TcpStream::connect(self.listen).await.is_ok();
            if listens && self.status().await["ledger"]["size"].is_u64() {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "the cell did not come up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The status of a cell that may still be starting.
    pub async fn says(&self) -> serde_json::Value {
        let node = self.node("anna");
        let client =
            transport::client::connect(&node.trust, Some(&node.identity), Some(&id("cell-1")));
        let (client, url) = (client.unwrap(), format!("https://{}/status", self.listen));
        let start = Instant::now();
        loop {
            if let Ok(answer) = client.get(&url).send().await
                && let Ok(status) = answer.json().await
            {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the cell did not come up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the cell says what is looked for, and returns its status.
    pub async fn until_it_says(
        &self,
        what: &str,
        so: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let start = Instant::now();
        loop {
            let status = self.says().await;
            if so(&status) {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain for {what}: {status:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the cell has read all that the true log holds.
    pub async fn read_up(&self) {
        let size = self.site.inside().leaves.len() as u64;
        self.until_it_says("the whole log", |s| s["ledger"]["size"].as_u64() == Some(size)).await;
    }

    /// Waits until everything that the cell had to say was taken.
    pub async fn delivered(&self) {
        self.until_it_says("an empty outbox", |s| s["outbox"]["length"] == 0).await;
    }

    pub async fn status(&self) -> serde_json::Value {
        let (code, text) = self.ask("anna", reqwest::Method::GET, "/status").await;
        assert_eq!(code, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }
}

fn parameter(min: i64, max: i64) -> Parameter {
    Parameter { default: min, max, min, title: String::new(), unit: String::new() }
}

pub fn blueprint(site: SocketAddr, listen: SocketAddr, robot: &ursim::Handle) -> Blueprint {
    let cell = CellConfig {
        robot: RobotConfig {
            name: id("ur3e-1"),
            host: "127.0.0.1".into(),
            from: None,
            dashboard: robot.dashboard().port(),
            rtde: robot.rtde().port(),
        },
        camera: CameraConfig::Rendered { defective: vec![] },
    };
    Blueprint {
        site: id("plant"),
        name: "Plant".into(),
        host: "plant.example".into(),
        members: vec![
            NewMember { listen: Some(site), ..member("site", &[Role::Site]) },
            NewMember { listen: Some(listen), cell: Some(cell), ..member("cell-1", &[Role::Cell]) },
            member("anna", &[Role::Operator]),
            member("ivan", &[Role::Integrator]),
            member("olga", &[Role::SecurityOfficer]),
            member("otto", &[Role::SecurityOfficer]),
            member("pia", &[Role::Processor]),
        ],
        witnesses: vec![member("witness-1", &[])],
        quorum: 1,
        freshness_ms: 60_000,
        days: 1,
        console: None,
    }
}

/// What the ledger says of each word, for assertions.
pub fn words(site: &Site) -> BTreeMap<String, usize> {
    let mut words = BTreeMap::new();
    for entry in site.entries() {
        let word = entry.statement.body.as_object().unwrap().keys().next().unwrap().clone();
        *words.entry(word).or_default() += 1;
    }
    words
}
