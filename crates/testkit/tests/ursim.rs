//! The simulator's ports, spoken to by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};
use testkit::ursim::{self, Config, Handle, Program, SCAN, Series, program::Target};

fn start(change: impl FnOnce(&mut Config)) -> (Handle, String, tempfile::TempDir) {
    let programs = tempfile::tempdir().unwrap();
    let file = Program::install(programs.path(), SCAN).unwrap();
    let mut config = Config::new(programs.path());
    change(&mut config);
    (ursim::start(config).unwrap(), file, programs)
}

struct Lines(BufReader<TcpStream>);

impl Lines {
    fn open(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(BufReader::new(socket))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ask(&mut self, line: &str) -> String {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
        self.line()
    }
}

fn dashboard(robot: &Handle) -> Lines {
    let mut lines = Lines::open(robot.dashboard());
    assert_eq!(lines.line(), "Connected: Universal Robots Dashboard Server");
    lines
}

struct Rtde(TcpStream);

impl Rtde {
    fn open(robot: &Handle) -> Self {
        let socket = TcpStream::connect(robot.rtde()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut rtde = Self(socket);
        assert_eq!(rtde.ask(b'V', &[0, 2]), (b'V', vec![1]));
        rtde
    }

    fn send(&mut self, kind: u8, payload: &[u8]) {
        let size = u16::try_from(payload.len() + 3).unwrap();
        let package = [&size.to_be_bytes()[..], &[kind], payload].concat();
        self.0.write_all(&package).unwrap();
    }

    fn read(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let mut header = [0; 3];
        self.0.read_exact(&mut header)?;
        let mut payload = vec![0; usize::from(u16::from_be_bytes([header[0], header[1]])) - 3];
        self.0.read_exact(&mut payload)?;
        Ok((header[2], payload))
    }

    fn ask(&mut self, kind: u8, payload: &[u8]) -> (u8, Vec<u8>) {
        self.send(kind, payload);
        self.read().unwrap()
    }

    fn outputs(&mut self, frequency: f64, names: &str) -> (u8, String) {
        let request = [&frequency.to_be_bytes()[..], names.as_bytes()].concat();
        let (kind, reply) = self.ask(b'O', &request);
        (
            reply[0],
            String::from_utf8(if kind == b'O' { reply[1..].to_vec() } else { reply }).unwrap(),
        )
    }

    fn inputs(&mut self, names: &str) -> (u8, String) {
        let (_, reply) = self.ask(b'I', names.as_bytes());
        (reply[0], String::from_utf8(reply[1..].to_vec()).unwrap())
    }
}

#[test]
fn the_dashboard_answers_as_polyscope_does() {
    let (robot, file, _programs) = start(|_| {});
    let mut lines = dashboard(&robot);
    for (line, reply) in [
        ("get loaded program", "No program loaded".to_owned()),
        ("play", "Failed to execute: play".to_owned()),
        ("stop", "Failed to execute: stop".to_owned()),
        ("load absent.urp", "File not found: absent.urp".to_owned()),
        ("load ../../etc/passwd", "File not found: ../../etc/passwd".to_owned()),
        ("dance", "could not understand: \"dance\"".to_owned()),
        (&format!("load {file}"), format!("Loading program: {file}")),
        ("get loaded program", format!("Loaded program: /programs/{file}")),
        ("programState", format!("STOPPED {file}")),
        ("is in remote control", "true".to_owned()),
        ("quit", "Disconnected".to_owned()),
    ] {
        assert_eq!(lines.ask(line), reply, "{line}");
    }
}

#[test]
fn the_control_port_takes_json_lines() {
    let (robot, file, _programs) = start(|_| {});
    let mut control = Lines::open(robot.control());
    let mut ask = |line: &str| serde_json::from_str::<Value>(&control.ask(line)).unwrap();
    assert_eq!(ask(r#"{"cmd":"motions"}"#), json!({ "starts": 0, "path_rad": 0.0 }));
    assert_eq!(ask(r#"{"cmd":"plays"}"#), json!({}));
    assert_eq!(ask(r#"{"cmd":"local"}"#), json!({ "ok": true }));
    assert_eq!(ask(r#"{"cmd":"fly"}"#)["ok"], false);
    let refused = dashboard(&robot).ask(&format!("load {file}"));
    assert_eq!(refused, "Command is not allowed due to safety reasons");
    assert_eq!(ask(r#"{"cmd":"protective_stop"}"#)["ok"], true);
    assert_eq!(dashboard(&robot).ask("safetystatus"), "Safetystatus: PROTECTIVE_STOP");
    assert_eq!(ask(r#"{"cmd":"clear"}"#)["ok"], true);
    assert_eq!(ask(r#"{"cmd":"state"}"#)["safety"], 1);
}

#[test]
fn recipes_have_types_and_refusals_and_one_writer() {
    let (robot, _, _programs) = start(|_| {});
    let (mut a, mut b) = (Rtde::open(&robot), Rtde::open(&robot));
    assert_eq!(a.ask(b'S', &[]), (b'S', vec![0]));
    assert_eq!(a.outputs(500.0, "timestamp,actual_q,"), (1, "DOUBLE,VECTOR6D".to_owned()));
    assert_eq!(b.outputs(125.0, "timestamp,nonsense"), (0, "DOUBLE,NOT_FOUND".to_owned()));
    assert!(b.outputs(501.0, "timestamp").1.contains("bad frequency"));
    assert_eq!(a.inputs("input_int_register_24"), (1, "INT32".to_owned()));
    let refused = b.inputs("input_int_register_24,input_int_register_25");
    assert_eq!(refused, (0, "IN_USE,INT32".to_owned()));
    drop(a);
    // The registers are free once the writer's connection has ended.
    while b.inputs("input_int_register_24").0 == 0 {}
}

#[test]
fn samples_come_at_the_rate_asked_for_without_a_gap() {
    let (robot, _, _programs) = start(|_| {});
    let mut rtde = Rtde::open(&robot);
    rtde.outputs(100.0, "timestamp");
    assert_eq!(rtde.ask(b'S', &[]), (b'S', vec![1]));
    let mut last: Option<f64> = None;
    for _ in 0..100 {
        let (kind, payload) = rtde.read().unwrap();
        let time = f64::from_be_bytes(payload[1..].try_into().unwrap());
        assert_eq!(kind, b'U');
        if let Some(last) = last {
            assert!((time - last - 0.01).abs() < 1e-9, "{last} {time}");
        }
        last = Some(time);
    }
}

#[test]
fn a_client_that_does_not_drain_is_dropped() {
    let (robot, _, _programs) = start(|_| {});
    let mut rtde = Rtde::open(&robot);
    // Wide samples fill the socket's buffers in a few seconds.
    let wide = ["actual_TCP_pose"; 120].join(",");
    rtde.outputs(500.0, &wide);
    rtde.send(b'S', &[]);
    let mut other = Rtde::open(&robot);
    other.outputs(500.0, "timestamp");
    other.send(b'S', &[]);
    other.read().unwrap();
    // The closed connection shows when it is written to.
    while rtde.0.write_all(&[0, 3, b'v']).is_ok() {
        let (_, sample) = other.read().expect("a client that drains is kept");
        let time = f64::from_be_bytes(sample[1..].try_into().unwrap());
        assert!(time < 60.0, "never dropped");
    }
}

#[test]
fn a_cb3_has_no_remote_control_and_125_hz() {
    let (robot, _, _programs) = start(|config| config.series = Series::Cb3);
    let reply = dashboard(&robot).ask("is in remote control");
    assert_eq!(reply, "could not understand: \"is in remote control\"");
    let mut rtde = Rtde::open(&robot);
    assert!(rtde.outputs(500.0, "timestamp").1.contains("bad frequency"));
    assert_eq!(rtde.outputs(125.0, "timestamp").0, 1);
}

#[test]
fn a_program_keeps_its_bounds() {
    let program = Program::parse(SCAN).unwrap();
    let viewpoints = |targets: &[Target]| targets.iter().filter(|t| t.viewpoint.is_some()).count();
    // In the order of names: speed_percent, standoff_mm, viewpoints.
    let slow = program.plan(&[10, 200, 3]).unwrap();
    assert_eq!((viewpoints(&slow), slow[0].speed), (3, program.speed * 10.0 / 100.0));
    assert_eq!(viewpoints(&program.plan(&[100, 240, 6]).unwrap()), 6);
    for bad in [[9, 200, 3], [101, 200, 3], [50, 149, 3], [50, 200, 7], [50, 200, 0]] {
        assert!(program.plan(&bad).is_err(), "{bad:?}");
    }
    for bad in ["{}", "[]", &format!("{}x", String::from_utf8_lossy(SCAN))] {
        assert!(Program::parse(bad.as_bytes()).is_err());
    }
}
