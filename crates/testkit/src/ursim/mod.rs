//! A simulator of a Universal Robots controller with a UR3e arm.
//!
//! It speaks the real protocols on real TCP ports: Dashboard and RTDE version 2
//! at the controller's rate, with a control port for what hands do to a robot.
//! The arm's state is pure ([`controller`]); here are the threads around it.
//!
//! ```text
//!   clock thread, absolute time ──► Controller::step ──► a sample to each client
//!   Dashboard, RTDE, control threads ──► the same Controller, under one lock
//! ```
//!
//! It is a stand-in for tests and drills: programs are JSON files in the place of
//! `.urp` files, dynamics are kinematic with plausible forces, and safety is a
//! state that can be set, not a safety system.

pub mod arm;
mod control;
pub mod controller;
mod dashboard;
pub mod path;
pub mod program;
pub mod registers;
mod rtde;
pub mod sense;
pub mod variables;

pub use control::Command;
pub use controller::Motions;
pub use program::{Program, SCAN};
pub use sense::Part;

use controller::Controller;
use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// The longest line a text port reads, in bytes.
const MAX_LINE: u64 = 4096;

/// The family of the simulated controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Series {
    /// 500 Hz, PolyScope 5, remote control.
    #[default]
    ESeries,
    /// 125 Hz, PolyScope 3, no remote control.
    Cb3,
}

impl Series {
    /// Steps a second.
    pub fn frequency(self) -> f64 {
        match self {
            Self::ESeries => 500.0,
            Self::Cb3 => 125.0,
        }
    }

    fn version(self) -> [u32; 4] {
        match self {
            Self::ESeries => [5, 12, 6, 1_102_099],
            Self::Cb3 => [3, 15, 8, 106_339],
        }
    }
}

/// How to start a simulator.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on.
    pub host: IpAddr,
    /// Ports; 0 takes a free one.
    pub dashboard_port: u16,
    /// See `dashboard_port`.
    pub rtde_port: u16,
    /// See `dashboard_port`.
    pub control_port: u16,
    /// The controller's family.
    pub series: Series,
    /// Where its programs lie.
    pub programs: PathBuf,
    /// Seed of the force sensor's noise.
    pub seed: u64,
    /// What the tool can run into.
    pub part: Option<Part>,
    /// The only address that Dashboard and RTDE serve, as a controller whose inbound
    /// access is restricted; none serves all.
    pub admit: Option<IpAddr>,
    /// How long a program waits at a viewpoint.
    pub capture_timeout: Duration,
}

impl Config {
    /// An e-Series on free ports of the loopback address, with programs from a
    /// folder, no part, and a wait of 10 s.
    pub fn new(programs: impl Into<PathBuf>) -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST.into(),
            dashboard_port: 0,
            rtde_port: 0,
            control_port: 0,
            series: Series::ESeries,
            programs: programs.into(),
            seed: 1,
            part: None,
            admit: None,
            capture_timeout: Duration::from_secs(10),
        }
    }
}

/// Where the arm stands when it is switched on: upright over its home position.
const HOME: arm::Joints = {
    use std::f64::consts::FRAC_PI_2;
    [0.0, -FRAC_PI_2, -FRAC_PI_2, -FRAC_PI_2, FRAC_PI_2, 0.0]
};

struct Shared {
    config: Config,
    controller: Mutex<Controller>,
    clients: Mutex<Vec<rtde::Client>>,
    sockets: Mutex<BTreeMap<u64, TcpStream>>,
    offline_until: Mutex<Option<Instant>>,
    silent_until: Mutex<Option<Instant>>,
    ended: AtomicBool,
    connections: AtomicU64,
}

impl Shared {
    fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> MutexGuard<'a, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drop_connections(&self, offline: Duration) {
        *self.lock(&self.offline_until) = Some(Instant::now() + offline);
        for socket in self.lock(&self.sockets).values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn holds(&self, until: &Mutex<Option<Instant>>) -> bool {
        self.lock(until).is_some_and(|until| Instant::now() < until)
    }

    fn ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}

/// A running simulator; it ends when this is dropped.
pub struct Handle {
    shared: Arc<Shared>,
    dashboard: SocketAddr,
    rtde: SocketAddr,
    control: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

impl Handle {
    /// The Dashboard server.
    pub fn dashboard(&self) -> SocketAddr {
        self.dashboard
    }

    /// The RTDE server.
    pub fn rtde(&self) -> SocketAddr {
        self.rtde
    }

    /// The control port.
    pub fn control(&self) -> SocketAddr {
        self.control
    }

    /// Does what a line on the control port does, and gives its answer.
    pub fn command(&self, command: Command) -> serde_json::Value {
        control::carry_out(&self.shared, command)
    }

    /// What ever moved.
    pub fn motions(&self) -> Motions {
        self.shared.lock(&self.shared.controller).motions
    }

    /// How often a program was started, by order token.
    pub fn plays(&self) -> BTreeMap<i32, u64> {
        self.shared.lock(&self.shared.controller).plays.clone()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.drop_connections(Duration::ZERO);
        // A last connection wakes each listener, which then sees the end.
        for address in [self.dashboard, self.rtde, self.control] {
            let _ = TcpStream::connect_timeout(&address, Duration::from_millis(200));
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Starts a simulator.
///
/// # Errors
/// A port cannot be listened on.
pub fn start(config: Config) -> io::Result<Handle> {
    let bind = |port| TcpListener::bind((config.host, port));
    let (dashboard, rtde) = (bind(config.dashboard_port)?, bind(config.rtde_port)?);
    let control = bind(config.control_port)?;
    let addresses = (dashboard.local_addr()?, rtde.local_addr()?, control.local_addr()?);
    let controller = Controller::new(
        1.0 / config.series.frequency(),
        HOME,
        config.seed,
        config.part,
        config.capture_timeout.as_secs_f64(),
    );
    let shared = Arc::new(Shared {
        config,
        controller: Mutex::new(controller),
        clients: Mutex::default(),
        sockets: Mutex::default(),
        offline_until: Mutex::default(),
        silent_until: Mutex::default(),
        ended: AtomicBool::new(false),
        connections: AtomicU64::new(0),
    });
    let threads = vec![
        spawn(&shared, |shared| clock(&shared)),
        listen(&shared, dashboard, true, |shared, _, socket| {
            lines(shared, socket, Some(dashboard::GREETING), |line| {
                let config = &shared.config;
                let mut controller = shared.lock(&shared.controller);
                dashboard::reply(&mut controller, config.series, &config.programs, line)
            });
        }),
        listen(&shared, rtde, true, rtde::serve),
        listen(&shared, control, false, |shared, _, socket| {
            lines(shared, socket, None, |line| control::answer(shared, line).to_string());
        }),
    ];
    let (dashboard, rtde, control) = addresses;
    Ok(Handle { shared, dashboard, rtde, control, threads })
}

fn spawn(shared: &Arc<Shared>, body: impl FnOnce(Arc<Shared>) + Send + 'static) -> JoinHandle<()> {
    let shared = shared.clone();
    std::thread::spawn(move || body(shared))
}

/// Steps the controller at absolute times, so that it neither drifts nor skips.
fn clock(shared: &Shared) {
    let (start, series) = (Instant::now(), shared.config.series);
    for step in 1u64.. {
        let due = start + Duration::from_secs_f64(step as f64 / series.frequency());
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if shared.ended() {
            return;
        }
        let mut controller = shared.lock(&shared.controller);
        controller.step();
        if !shared.holds(&shared.silent_until) {
            shared.lock(&shared.clients).retain(|client| client.sample(&controller, series));
        }
    }
}

/// Accepts connections. `droppable` ones are closed and refused on request.
fn listen(
    shared: &Arc<Shared>,
    listener: TcpListener,
    droppable: bool,
    serve: impl Fn(&Shared, u64, TcpStream) + Copy + Send + 'static,
) -> JoinHandle<()> {
    spawn(shared, move |shared| {
        for socket in listener.incoming() {
            if shared.ended() {
                return;
            }
            let Ok(socket) = socket else { continue };
            if droppable
                && (shared.holds(&shared.offline_until) || !admits(&shared.config, &socket))
            {
                continue;
            }
            let id = shared.connections.fetch_add(1, Ordering::SeqCst);
            let _ = socket.set_nodelay(true);
            if let (true, Ok(kept)) = (droppable, socket.try_clone()) {
                shared.lock(&shared.sockets).insert(id, kept);
            }
            spawn(&shared, move |shared| {
                serve(&shared, id, socket);
                shared.lock(&shared.sockets).remove(&id);
            });
        }
    })
}

/// Whether the controller serves the address that a connection comes from.
fn admits(config: &Config, socket: &TcpStream) -> bool {
    config.admit.is_none_or(|only| socket.peer_addr().is_ok_and(|peer| peer.ip() == only))
}

/// Answers each line of a connection with a line.
fn lines(
    shared: &Shared,
    mut socket: TcpStream,
    greeting: Option<&str>,
    answer: impl Fn(&str) -> String,
) {
    let Ok(reader) = socket.try_clone() else {
        return;
    };
    let mut reader = BufReader::new(reader);
    if let Some(greeting) = greeting
        && socket.write_all(format!("{greeting}\n").as_bytes()).is_err()
    {
        return;
    }
    loop {
        let mut line = String::new();
        match (&mut reader).take(MAX_LINE).read_line(&mut line) {
            Ok(count) if count > 0 && !shared.ended() => {}
            _ => return,
        }
        let reply = answer(line.trim());
        if socket.write_all(format!("{reply}\n").as_bytes()).is_err() || line.trim() == "quit" {
            return;
        }
    }
}
