//! The simulator against `ur-rtde`, a client library that is not ours: what it
//! reads, commands and writes is what a real controller would let it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use std::{net::Ipv4Addr, path::Path, process::Command};
use testkit::ursim::{self, Config, Program, arm};

const WAVE: &str = r#"{"id":"wave","description":"Waves once.","parameters":{},
    "taught_standoff_mm":200,"speed":1.0,"acceleration":2.0,"waypoints":[
    {"name":"left","q":[0.6,-1.5708,-1.5708,-1.5708,1.5708,0]},
    {"name":"right","q":[-0.6,-1.5708,-1.5708,-1.5708,1.5708,0]}]}"#;

#[test]
fn ur_rtde_reads_commands_and_writes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("../../target/peers/venv/bin/python");
    assert!(python.exists(), "run `cargo xtask peers` first: {} is missing", python.display());
    let programs = tempfile::tempdir().unwrap();
    let file = Program::install(programs.path(), WAVE.as_bytes()).unwrap();
    // The library knows only the usual ports, so this run takes its own address.
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let host = Ipv4Addr::new(127, 45, high, low.clamp(1, 254));
    let robot = ursim::start(Config {
        host: host.into(),
        dashboard_port: 29999,
        rtde_port: 30004,
        ..Config::new(programs.path())
    })
    .unwrap();

    let script = root.join("peers/ur_rtde_client.py");
    let output =
        Command::new(python).arg(script).args([&host.to_string(), &file]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ur-rtde failed: {error}");
    let text = String::from_utf8_lossy(&output.stdout);
    let seen: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();

    assert!(seen["version"].as_str().unwrap().contains("5.12.6"), "{seen}");
    assert_eq!(seen["remote"], true);
    assert_eq!(seen["mode"], "Robotmode: RUNNING");
    assert_eq!(seen["safety"], "Safetystatus: NORMAL");
    assert!(seen["absent"].as_str().unwrap().contains("File not found"), "{seen}");
    assert!(seen["loaded"].as_str().unwrap().contains(&file), "{seen}");
    assert_eq!(seen["robot_mode"], 7);
    assert_eq!(seen["safety_status_bits"], 1);
    assert_eq!((&seen["running"], &seen["runtime"]), (&true.into(), &2.into()));
    assert!(seen["program_state"].as_str().unwrap().contains("STOPPED"), "{seen}");
    assert_eq!(seen["multiples"], true, "timestamps are multiples of 2 ms: {seen}");
    assert!(seen["samples"].as_u64().unwrap() > 100, "{seen}");
    let [before, after] = ["before", "after"].map(|key| joints(&seen[key]));
    assert_eq!(before[0], 0.0);
    assert!((after[0] + 0.6).abs() < 1e-9, "{after:?}");
    let pose = joints(&seen["pose"]);
    for (found, wanted) in pose.iter().zip(arm::forward(&joints(&seen["q"]))) {
        assert!((found - wanted).abs() < 1e-9, "{pose:?}");
    }
    assert_eq!(robot.motions().starts, 1);
}

fn joints(value: &Value) -> arm::Joints {
    let values: Vec<f64> = value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    values.try_into().unwrap()
}
