//! The driver against the controller simulator, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::{
    driver::{CapturedError, Event, NotReady, SamplesError},
    launch::ProgramFile,
    sample::{Sample, UnorderedMotion, unordered_motion},
};
use base::{Digest, sha256};
use serde_json::Value;
use std::time::Instant;
use testkit::ursim::{self, Command, Config, Handle, Part, Program, SCAN, Series as SimSeries};

/// No wait in these tests is ever this long unless something is broken.
const BROKEN: Duration = Duration::from_secs(40);

struct Cell {
    robot: Handle,
    driver: UrDriver,
    _programs: tempfile::TempDir,
}

fn clock() -> Clock {
    let start = Instant::now();
    Arc::new(move || u64::try_from(start.elapsed().as_nanos()).unwrap())
}

async fn cell_with(change: impl FnOnce(&mut Config)) -> Cell {
    let programs = tempfile::tempdir().unwrap();
    Program::install(programs.path(), SCAN).unwrap();
    let mut config = Config::new(programs.path());
    change(&mut config);
    let robot = ursim::start(config).unwrap();
    let driver = connect(&robot);
    driver.ready(BROKEN).await.unwrap();
    Cell { robot, driver, _programs: programs }
}

async fn cell() -> Cell {
    cell_with(|_| {}).await
}

fn connect(robot: &Handle) -> UrDriver {
    let patience = Duration::from_secs(5);
    let config =
        UrConfig { dashboard: robot.dashboard(), rtde: robot.rtde(), from: None, patience };
    UrDriver::connect(config, clock())
}

fn order(name: &str, program: &Digest, parameters: &[(&str, i64)]) -> Launch {
    let parameters = parameters.iter().map(|(k, v)| (k.parse().unwrap(), *v)).collect();
    Launch::new(&"scan".parse().unwrap(), program, parameters, &sha256(name.as_bytes()))
}

fn scan(name: &str, viewpoints: i64) -> Launch {
    let parameters = [("speed_percent", 100), ("standoff_mm", 200), ("viewpoints", viewpoints)];
    order(name, &sha256(SCAN), &parameters)
}

async fn next(motion: &mut Box<dyn Motion>) -> Event {
    tokio::time::timeout(BROKEN, motion.next()).await.expect("an event").expect("a last event")
}

/// Goes on to the first viewpoint.
async fn first_viewpoint(motion: &mut Box<dyn Motion>) -> Arc<Sample> {
    assert_eq!(next(motion).await, Event::Started);
    match next(motion).await {
        Event::Viewpoint { index: 1, sample } => sample,
        other => panic!("{other:?}"),
    }
}

async fn sample_where(driver: &UrDriver, wanted: impl Fn(&Sample) -> bool) -> Arc<Sample> {
    let mut samples = driver.samples();
    let found = async {
        loop {
            if let Ok(sample) = samples.next().await
                && wanted(&sample)
            {
                return sample;
            }
        }
    };
    tokio::time::timeout(BROKEN, found).await.expect("a sample")
}

fn refused(result: Result<Box<dyn Motion>, StartError>) -> StartError {
    match result {
        Ok(_) => panic!("a run was started"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_visits_every_viewpoint_and_no_sample_is_lost() {
    let cell = cell().await;
    let mut samples = cell.driver.samples();
    let (done, mut over) = tokio::sync::oneshot::channel::<()>();
    let recorder = tokio::spawn(async move {
        let mut seen: Vec<Arc<Sample>> = Vec::new();
        while over.try_recv().is_err() {
            seen.push(samples.next().await.expect("no lag"));
        }
        seen
    });
    let mut motion = cell.driver.launch(scan("a", 6)).await.unwrap();
    assert!(cell.driver.health().run_active);
    assert_eq!(next(&mut motion).await, Event::Started);
    let mut poses = Vec::new();
    loop {
        match next(&mut motion).await {
            Event::Viewpoint { index, sample } => {
                assert_eq!(sample.moving(), None, "the arm stands at a viewpoint");
                poses.push(sample.tcp_pose);
                motion.captured(index).await.unwrap();
            }
            last => {
                assert_eq!(last, Event::Finished);
                break;
            }
        }
    }
    assert_eq!(poses.len(), 6);
    // Each viewpoint is 200 mm from the part's centre, and they differ.
    for (i, pose) in poses.iter().enumerate() {
        let away = [pose[0] - 0.29855, pose[1] + 0.13105, pose[2] - 0.05];
        let distance = away.iter().map(|d| d * d).sum::<f64>().sqrt();
        assert!((distance - 0.2).abs() < 0.001, "viewpoint {i}: {distance}");
        assert!(poses[..i].iter().all(|other| other != pose));
    }
    assert!(!cell.driver.health().run_active);
    assert_eq!(cell.robot.motions().starts, 1);
    done.send(()).unwrap();
    let seen = recorder.await.unwrap();
    assert!(seen.len() > 1000, "{} samples", seen.len());
    for pair in seen.windows(2) {
        assert_eq!(pair[1].missing_since(&pair[0], 500.0), Some(0));
        assert!(pair[1].controller_time > pair[0].controller_time);
        assert!(pair[1].host_ns >= pair[0].host_ns);
    }
    let force = |s: &Sample| s.tcp_force.iter().take(3).map(|f| f.abs()).fold(0.0, f64::max);
    assert!(seen.iter().any(|s| force(s) > 0.0) && seen.iter().all(|s| force(s) < 20.0));
}

#[tokio::test]
async fn parameters_reach_the_program() {
    let cell = cell().await;
    let parameters = [("speed_percent", 100), ("standoff_mm", 160), ("viewpoints", 1)];
    let mut motion = cell.driver.launch(order("p", &sha256(SCAN), &parameters)).await.unwrap();
    let sample = first_viewpoint(&mut motion).await;
    assert!((sample.tcp_pose[2] - 0.21).abs() < 0.001, "{:?}", sample.tcp_pose);
    assert_eq!(
        motion.captured(2).await,
        Err(CapturedError::NotWaiting { asked: 2, waiting: Some(1) })
    );
    motion.captured(1).await.unwrap();
    assert_eq!(next(&mut motion).await, Event::Finished);
    assert_eq!(motion.next().await, None);
}

#[tokio::test]
async fn the_program_refuses_parameters_outside_its_own_bounds() {
    let cell = cell().await;
    let mut motion = cell.driver.launch(scan("b", 7)).await.unwrap();
    assert_eq!(next(&mut motion).await, Event::Started);
    match next(&mut motion).await {
        Event::Stopped { why } => assert!(why.contains("parameter"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(cell.robot.motions().path_rad, 0.0);
}

#[tokio::test]
async fn an_unknown_program_and_a_second_order_are_refused() {
    let cell = cell().await;
    let error = refused(cell.driver.launch(order("c", &sha256(b"other"), &[])).await);
    let file = ProgramFile::new(&"scan".parse().unwrap(), &sha256(b"other")).to_string();
    let reply = format!("File not found: {file}");
    assert_eq!(error, StartError::Program { file, reply });
    let too_many: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(|n| (n, 1)).into();
    let error = refused(cell.driver.launch(order("c", &sha256(SCAN), &too_many)).await);
    assert!(matches!(error, StartError::Parameters(_)), "{error}");
    assert_eq!(cell.robot.motions(), ursim::Motions::default());

    let mut motion = cell.driver.launch(scan("d", 1)).await.unwrap();
    let error = refused(cell.driver.launch(scan("e", 1)).await);
    assert_eq!(error, NotReady::Busy.into());
    let other = connect(&cell.robot);
    assert!(other.ready(Duration::from_millis(500)).await.is_err_and(|link| {
        matches!(link, Link::Lost { why } if why.contains("another client holds"))
    }));
    first_viewpoint(&mut motion).await;
    assert_eq!(cell.robot.motions().starts, 1);
}

#[tokio::test]
async fn stop_always_works_and_ends_the_run() {
    let cell = cell().await;
    cell.driver.stop().await.expect("a stop without a program is no failure");
    let mut motion = cell.driver.launch(scan("f", 6)).await.unwrap();
    first_viewpoint(&mut motion).await;
    cell.driver.stop().await.unwrap();
    match next(&mut motion).await {
        Event::Stopped { why } => assert!(why.contains("before its end"), "{why}"),
        other => panic!("{other:?}"),
    }
    cell.driver.launch(scan("g", 1)).await.expect("the next order is free to run");
}

#[tokio::test]
async fn a_dropped_handle_stops_the_program() {
    let cell = cell().await;
    let mut motion = cell.driver.launch(scan("h", 6)).await.unwrap();
    first_viewpoint(&mut motion).await;
    drop(motion);
    sample_where(&cell.driver, |s| !s.program_active()).await;
}

#[tokio::test]
async fn a_start_that_nobody_waits_for_leaves_no_program_behind() {
    let cell = cell().await;
    let patience = Duration::from_millis(5);
    while cell.robot.motions().starts == 0 {
        let _ = tokio::time::timeout(patience, cell.driver.launch(scan("u", 6))).await;
    }
    while cell.driver.health().run_active {
        tokio::time::sleep(patience).await;
    }
    sample_where(&cell.driver, |s| !s.program_active()).await;
}

#[tokio::test]
async fn a_run_outlives_its_driver_only_to_stop_the_program() {
    let Cell { robot, driver, _programs } = cell().await;
    let mut motion = driver.launch(scan("v", 6)).await.unwrap();
    first_viewpoint(&mut motion).await;
    drop(driver);
    assert!(matches!(next(&mut motion).await, Event::ConnectionLost { .. }));
    assert_eq!(robot.command(Command::State)["runtime"], 1);
}

#[tokio::test]
async fn a_protective_stop_ends_the_run_and_nothing_is_left_to_resume() {
    let cell = cell().await;
    let mut motion = cell.driver.launch(scan("i", 6)).await.unwrap();
    first_viewpoint(&mut motion).await;
    motion.captured(1).await.unwrap();
    sample_where(&cell.driver, |s| s.moving().is_some()).await;
    cell.robot.command(Command::ProtectiveStop);
    assert_eq!(next(&mut motion).await, Event::ProtectiveStop);
    sample_where(&cell.driver, |s| !s.program_active() && s.moving().is_none()).await;
    let error = refused(cell.driver.launch(scan("j", 6)).await);
    assert!(matches!(error, StartError::NotReady(NotReady::Safety(_))), "{error}");
}

#[tokio::test]
async fn running_into_the_part_is_felt_and_stops_the_arm() {
    let part = Part { centre: [0.29855, -0.13105, 0.05], radius: 0.18 };
    let cell = cell_with(|config| config.part = Some(part)).await;
    let mut samples = cell.driver.samples();
    let parameters = [("speed_percent", 100), ("standoff_mm", 150), ("viewpoints", 1)];
    let mut motion = cell.driver.launch(order("k", &sha256(SCAN), &parameters)).await.unwrap();
    assert_eq!(next(&mut motion).await, Event::Started);
    assert_eq!(next(&mut motion).await, Event::ProtectiveStop);
    let mut strongest = 0.0f64;
    while let Ok(Ok(sample)) = tokio::time::timeout(Duration::ZERO, samples.next()).await {
        strongest = strongest.max(sample.tcp_force[2]);
    }
    assert!(strongest > 100.0, "{strongest} N");
}

#[tokio::test]
async fn an_emergency_stop_ends_the_run_until_a_person_clears_it() {
    let cell = cell().await;
    let mut motion = cell.driver.launch(scan("l", 6)).await.unwrap();
    first_viewpoint(&mut motion).await;
    cell.robot.command(Command::EmergencyStop);
    assert_eq!(next(&mut motion).await, Event::EmergencyStop);
    sample_where(&cell.driver, |s| s.safety.emergency_stop()).await;
    assert!(cell.driver.launch(scan("m", 1)).await.is_err());
    cell.robot.command(Command::Clear);
    sample_where(&cell.driver, |s| super::start::ready(s).is_ok()).await;
    cell.driver.launch(scan("m", 1)).await.unwrap();
}

#[tokio::test]
async fn local_control_refuses_and_nothing_moves() {
    let cell = cell().await;
    cell.robot.command(Command::Local);
    let error = refused(cell.driver.launch(scan("n", 6)).await);
    assert_eq!(error, NotReady::LocalControl.into());
    assert_eq!(cell.robot.motions(), ursim::Motions::default());
    cell.driver.stop().await.expect("stop works in local control");
}

#[tokio::test]
async fn a_lost_connection_is_reported_and_made_again() {
    let cell = cell().await;
    for cause in [Command::DropConnections { ms: 300 }, Command::Silence { ms: 1500 }] {
        let before = cell.driver.latest().unwrap().session;
        let mut motion = cell.driver.launch(scan(&format!("{cause:?}"), 6)).await.unwrap();
        first_viewpoint(&mut motion).await;
        cell.robot.command(cause);
        assert!(matches!(next(&mut motion).await, Event::ConnectionLost { .. }));
        cell.driver.ready(BROKEN).await.unwrap();
        let fresh = sample_where(&cell.driver, |s| s.session > before).await;
        assert_eq!(fresh.missing_since(&Sample::default(), 500.0), None);
        cell.driver.stop().await.unwrap();
        sample_where(&cell.driver, |s| super::start::ready(s).is_ok()).await;
    }
}

#[tokio::test]
async fn nobody_who_captures_ends_the_program_by_itself() {
    let cell = cell_with(|config| config.capture_timeout = Duration::from_millis(200)).await;
    let mut motion = cell.driver.launch(scan("o", 6)).await.unwrap();
    first_viewpoint(&mut motion).await;
    match next(&mut motion).await {
        Event::Stopped { why } => assert!(why.contains("waited too long"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn motion_without_an_order_is_seen() {
    let cell = cell().await;
    cell.robot.command(Command::Jog { joint: 2, speed: 0.3, seconds: 0.3 });
    let seen = sample_where(&cell.driver, |s| unordered_motion(s, false).is_some()).await;
    let found = unordered_motion(&seen, cell.driver.health().run_active);
    assert!(matches!(found, Some(UnorderedMotion::Joint { joint: 2, .. })), "{found:?}");
    sample_where(&cell.driver, |s| s.moving().is_none()).await;

    let motion = cell.driver.launch(scan("p", 1)).await.unwrap();
    drop(motion);
    sample_where(&cell.driver, |s| super::start::ready(s).is_ok()).await;
    assert_eq!(cell.robot.command(Command::PendantPlay)["ok"], Value::Bool(true));
    let seen = sample_where(&cell.driver, |s| s.program_active()).await;
    assert!(matches!(unordered_motion(&seen, false), Some(UnorderedMotion::Program(_))));
    let error = refused(cell.driver.launch(scan("q", 1)).await);
    assert_eq!(error, NotReady::ProgramActive.into());
}

#[tokio::test]
async fn a_cb3_runs_at_125_hz_without_remote_control() {
    let cell = cell_with(|config| config.series = SimSeries::Cb3).await;
    match cell.driver.health().link {
        Link::Connected(controller) => assert_eq!(controller.frequency_hz, 125.0),
        other => panic!("{other:?}"),
    }
    let mut samples = cell.driver.samples();
    let mut motion = cell.driver.launch(scan("r", 1)).await.unwrap();
    first_viewpoint(&mut motion).await;
    motion.captured(1).await.unwrap();
    assert_eq!(next(&mut motion).await, Event::Finished);
    let (a, b) = (samples.next().await.unwrap(), samples.next().await.unwrap());
    assert_eq!(b.missing_since(&a, 125.0), Some(0));
}

#[tokio::test]
async fn a_slow_reader_is_told_what_it_lost() {
    let cell = cell_with(|_| {}).await;
    let mut slow = cell.driver.samples();
    for _ in 0..5000 {
        cell.driver.stream.samples.send(Arc::new(Sample::default())).unwrap();
    }
    assert!(matches!(slow.next().await, Err(SamplesError::Lagged { missed }) if missed >= 904));
    slow.next().await.unwrap();
    drop(cell);
    while !matches!(slow.next().await, Err(SamplesError::Closed)) {}
}
