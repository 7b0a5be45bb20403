//! PyPI `mcap` and `mcap-protobuf-support` read our recordings: every checksum, all
//! messages of each topic, and the values, through the schema in the file alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use base::{Id, sha256};
use capture::{
    About, Camera, CaptureRequest, ImageMessage, ImageRecorder, Rendered, StateRecorder,
    StateSample,
};
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn about() -> About {
    About {
        recording: id("rec-1"),
        run: id("run-1"),
        order: sha256(b"order"),
        cell: id("cell-1"),
        robot: id("ur3e"),
    }
}

fn read(file: &Path) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python: PathBuf = root.join("target/peers/venv/bin/python");
    assert!(python.exists(), "{} is missing: run `cargo xtask peers` first", python.display());
    let script = root.join("crates/testkit/peers/mcap_read.py");
    Command::new(python).arg(script).arg(file).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn mcap_reads_states_and_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = StateRecorder::start(Vec::new(), &about()).unwrap();
    for n in 0..5000u64 {
        let sample = StateSample {
            host_ns: 1_795_219_200_000_000_000 + n * 2_000_000,
            controller_ns: n * 2_000_000,
            q: [n as f64 / 4.0, 0.0, 0.0, 0.0, 0.0, -1.5],
            tcp_force: [0.0, 0.0, n as f64 / 8.0, 0.0, 0.0, 0.25],
            digital_out: u64::MAX,
            token: -7,
            ..StateSample::default()
        };
        recorder.write(&sample).unwrap();
    }
    let states = dir.path().join("state.mcap");
    let bytes = recorder.finish().unwrap();
    std::fs::write(&states, &bytes).unwrap();
    let found = text(&read(&states));
    let order = sha256(b"order");
    for line in [
        "/robot/state interlock.RobotState 5000",
        "/robot/wrench interlock.Wrench 5000",
        &format!(
            "metadata interlock cell=cell-1 order={order} recording=rec-1 robot=ur3e run=run-1"
        ),
        "last /robot/state log_time=1795219209998000000 publish_time=9998000000",
        "q=[1249.75, 0.0, 0.0, 0.0, 0.0, -1.5] digital_out=18446744073709551615 token=-7",
        "force=[0.0, 0.0, 624.875] torque=[0.0, 0.0, 0.25]",
    ] {
        assert!(found.contains(line), "`{line}` is not in:\n{found}");
    }

    let mut camera = Rendered::new(id("wrist"), 1);
    let mut recorder = ImageRecorder::start(Vec::new(), &about()).unwrap();
    let mut digests = Vec::new();
    for viewpoint in 1..=3 {
        let (part, pose) = (id("part-1"), [0.5, 0.0, 0.25, 0.0, 3.0, 0.0]);
        let request = CaptureRequest { part: &part, viewpoint, pose, seq: 0, host_ns: 9 };
        let image = camera.capture(&request).unwrap();
        digests.push(sha256(&image.bytes));
        let camera = id("wrist");
        let message =
            ImageMessage { camera, part, viewpoint, pose, seq: 0, controller_ns: 8, image };
        recorder.write(&message).unwrap();
    }
    let pictures = dir.path().join("camera.mcap");
    std::fs::write(&pictures, recorder.finish().unwrap()).unwrap();
    let found = text(&read(&pictures));
    assert!(found.contains("/camera/wrist/image interlock.PartImage 3"), "{found}");
    for (viewpoint, digest) in (1..).zip(digests) {
        let line = format!("picture part-1 {viewpoint} jpeg 1024x768 {digest}");
        assert!(found.contains(&line), "`{line}` is not in:\n{found}");
    }

    let mut flipped = bytes;
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let broken = dir.path().join("broken.mcap");
    std::fs::write(&broken, &flipped).unwrap();
    assert!(!read(&broken).status.success(), "a changed bit passed the checksums");
}
