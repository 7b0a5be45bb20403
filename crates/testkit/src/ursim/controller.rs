//! The controller's state and its one step: pure, no clock, no socket.
//!
//! One step is one period of the controller (2 ms, CB3 8 ms). Between steps the
//! Dashboard, RTDE and control ports change the state under one lock, as the
//! interfaces of a real controller do between its cycles.

use super::{
    arm::{self, Joints, MAX_ANGLE, Pose},
    path::{Brake, Move},
    program::{Program, Target},
    registers::Registers,
    sense::{Part, Sense},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Robot modes, by the RTDE guide's numbers.
pub mod mode {
    /// Motors without power.
    pub const POWER_OFF: i32 = 3;
    /// Powered, brakes on.
    pub const IDLE: i32 = 5;
    /// Brakes released.
    pub const RUNNING: i32 = 7;
}

/// Safety states, by the RTDE guide's numbers.
pub mod safety {
    /// Nothing is wrong.
    pub const NORMAL: i32 = 1;
    /// A limit was passed, or something was hit.
    pub const PROTECTIVE_STOP: i32 = 3;
    /// The red button on the pendant.
    pub const ROBOT_EMERGENCY_STOP: i32 = 7;
}

/// Program interpreter states, by the RTDE guide's numbers.
pub mod runtime {
    /// No program runs.
    pub const STOPPED: u32 = 1;
    /// A program runs.
    pub const PLAYING: u32 = 2;
    /// A program could be resumed.
    pub const PAUSED: u32 = 4;
}

/// Registers of the handshake with a program.
const FIRST_PARAMETER: usize = 24;
const CAPTURED: usize = 36;
const TOKEN: usize = 37;
const OUT_VIEWPOINT: usize = 24;
const OUT_TOKEN: usize = 25;
const OUT_OUTCOME: usize = 26;
const FINISHED: i32 = 1;
const CAPTURE_TIMEOUT: i32 = 2;
const BAD_PARAMETER: i32 = 3;

/// What ever moved, so that a drill can prove that nothing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Motions {
    /// Programs started, by whoever, from the first day.
    pub starts: u64,
    /// The way of all joints together, rad, under programs and by jogging.
    pub path_rad: f64,
}

enum Drive {
    Standing,
    Moving(Move),
    Braking(Brake),
    Jogging { speed: Joints, left: f64 },
}

struct Run {
    targets: std::vec::IntoIter<Target>,
    acceleration: f64,
    arriving: Option<i32>,
    waiting: Option<(i32, f64)>,
}

/// The controller.
pub struct Controller {
    /// Seconds between steps.
    pub period: f64,
    /// Steps since power-up; time is a multiple of the period, without drift.
    pub steps: u64,
    /// Joint positions, rad.
    pub q: Joints,
    /// Joint speeds, rad/s.
    pub qd: Joints,
    /// Forces, poses and currents that follow from them.
    pub sense: Sense,
    /// Power state.
    pub mode: i32,
    /// Safety state.
    pub safety: i32,
    /// Interpreter state.
    pub runtime: u32,
    /// Remote control, set at the pendant; without meaning on a CB3.
    pub remote: bool,
    /// The registers that clients write.
    pub inputs: Registers,
    /// The registers that programs write.
    pub outputs: Registers,
    /// Digital outputs.
    pub digital_out: u64,
    /// The speed slider, 0 to 1.
    pub slider: f64,
    /// The loaded program and its file name.
    pub loaded: Option<(String, Program)>,
    /// What ever moved.
    pub motions: Motions,
    /// How often a program was started under each order token; 0 stands for no order.
    pub plays: BTreeMap<i32, u64>,
    /// The newest message on the pendant.
    pub popup: Option<String>,
    drive: Drive,
    run: Option<Run>,
    capture_timeout: f64,
}

impl Controller {
    /// A powered arm in normal safety and remote control, standing at `q`.
    pub fn new(
        period: f64,
        q: Joints,
        seed: u64,
        part: Option<Part>,
        capture_timeout: f64,
    ) -> Self {
        Self {
            period,
            steps: 0,
            q,
            qd: [0.0; 6],
            sense: Sense::new(q, seed, part),
            mode: mode::RUNNING,
            safety: safety::NORMAL,
            runtime: runtime::STOPPED,
            remote: true,
            inputs: Registers::default(),
            outputs: Registers::default(),
            digital_out: 0,
            slider: 1.0,
            loaded: None,
            motions: Motions::default(),
            plays: BTreeMap::new(),
            popup: None,
            drive: Drive::Standing,
            run: None,
            capture_timeout,
        }
    }

    /// Seconds since power-up.
    pub fn time(&self) -> f64 {
        self.steps as f64 * self.period
    }

    /// The tool centre point.
    pub fn pose(&self) -> Pose {
        arm::forward(&self.q)
    }

    /// Goes on by one period.
    pub fn step(&mut self) {
        self.steps += 1;
        let before = self.q;
        let arrived = self.drive();
        let way = before.iter().zip(&self.q).map(|(a, b)| (a - b).abs()).sum::<f64>();
        self.motions.path_rad += way;
        self.sense.step(&self.q, self.period);
        if self.safety == safety::NORMAL && (self.sense.hit() || self.beyond()) {
            self.popup = Some("Protective stop: the arm was pushed or left its limits".to_owned());
            self.protective_stop();
        }
        if self.runtime == runtime::PLAYING && arrived {
            self.program();
        }
    }

    fn beyond(&self) -> bool {
        self.q.iter().any(|q| q.abs() > MAX_ANGLE)
    }

    /// Moves the joints; whether the arm stands at the end of its move.
    fn drive(&mut self) -> bool {
        let (q, qd, done) = match &mut self.drive {
            Drive::Standing => (self.q, [0.0; 6], true),
            Drive::Moving(path) => {
                let (q, rate, done) = path.advance(self.period * self.slider);
                (q, rate.map(|v| v * self.slider), done)
            }
            Drive::Braking(brake) => brake.advance(self.period),
            Drive::Jogging { speed, left } => {
                *left -= self.period;
                let q = std::array::from_fn(|i| {
                    let (q, v) = (self.q.get(i), speed.get(i));
                    q.copied().unwrap_or_default() + v.copied().unwrap_or_default() * self.period
                });
                (q, *speed, *left <= 0.0)
            }
        };
        (self.q, self.qd) = (q, qd);
        if done {
            self.drive = match self.drive {
                Drive::Jogging { speed, .. } => Drive::Braking(Brake::new(q, speed)),
                _ => Drive::Standing,
            };
        }
        done
    }

    /// The program's next act, while the arm stands.
    fn program(&mut self) {
        let now = self.time();
        let Some(run) = &mut self.run else { return };
        if let Some(index) = run.arriving.take() {
            self.outputs.set_int(OUT_VIEWPOINT, index);
            run.waiting = Some((index, now));
            return;
        }
        if let Some((index, since)) = run.waiting {
            if self.inputs.int(CAPTURED) == index {
                run.waiting = None;
            } else if now - since > self.capture_timeout {
                self.popup = Some(format!("viewpoint {index} was not captured in time"));
                self.end(CAPTURE_TIMEOUT);
                return;
            } else {
                return;
            }
        }
        match run.targets.next() {
            Some(target) => {
                run.arriving = target.viewpoint;
                let path = Move::new(self.q, target.q, target.speed, run.acceleration);
                self.drive = Drive::Moving(path);
            }
            None => self.end(FINISHED),
        }
    }

    fn end(&mut self, outcome: i32) {
        self.outputs.set_int(OUT_OUTCOME, outcome);
        self.outputs.set_int(OUT_VIEWPOINT, 0);
        self.run = None;
        self.runtime = runtime::STOPPED;
    }

    fn brake(&mut self) {
        if !matches!(self.drive, Drive::Standing | Drive::Braking(_)) {
            self.drive = Drive::Braking(Brake::new(self.q, self.qd));
        }
    }

    /// Whether a program could be started now.
    pub fn playable(&self) -> bool {
        self.loaded.is_some()
            && self.mode == mode::RUNNING
            && self.safety == safety::NORMAL
            && self.runtime == runtime::STOPPED
            && matches!(self.drive, Drive::Standing)
    }

    /// Starts the loaded program; whether it could.
    pub fn play(&mut self) -> bool {
        let (true, Some((_, program))) = (self.playable(), &self.loaded) else {
            return false;
        };
        self.motions.starts += 1;
        let token = self.inputs.int(TOKEN);
        *self.plays.entry(token).or_default() += 1;
        self.outputs.set_int(OUT_TOKEN, token);
        self.outputs.set_int(OUT_VIEWPOINT, 0);
        self.outputs.set_int(OUT_OUTCOME, 0);
        let parameters: Vec<i32> =
            (FIRST_PARAMETER..CAPTURED).map(|i| self.inputs.int(i)).collect();
        match program.plan(&parameters) {
            Ok(targets) => {
                self.run = Some(Run {
                    targets: targets.into_iter(),
                    acceleration: program.acceleration,
                    arriving: None,
                    waiting: None,
                });
                self.runtime = runtime::PLAYING;
            }
            Err(why) => {
                self.popup = Some(why);
                self.end(BAD_PARAMETER);
            }
        }
        true
    }

    /// Stops the program, if one is active; whether one was.
    pub fn stop(&mut self) -> bool {
        let active = self.runtime != runtime::STOPPED;
        if active {
            self.brake();
            self.run = None;
            self.runtime = runtime::STOPPED;
            self.outputs.set_int(OUT_VIEWPOINT, 0);
        }
        active
    }

    /// Pauses the program, if one plays; whether one did.
    pub fn pause(&mut self) -> bool {
        let playing = self.runtime == runtime::PLAYING;
        if playing {
            self.brake();
            self.runtime = runtime::PAUSED;
        }
        playing
    }

    /// The safety system stops the arm; a program stays to be resumed or stopped.
    pub fn protective_stop(&mut self) {
        self.safety = safety::PROTECTIVE_STOP;
        if !self.pause() {
            self.brake();
        }
    }

    /// The red button: the arm brakes and loses power, the program ends.
    pub fn emergency_stop(&mut self) {
        self.stop();
        self.brake();
        self.safety = safety::ROBOT_EMERGENCY_STOP;
        self.mode = mode::POWER_OFF;
    }

    /// A person at the robot makes all well again: releases stops, restores power,
    /// ends the program.
    pub fn clear(&mut self) {
        self.stop();
        self.safety = safety::NORMAL;
        self.mode = mode::RUNNING;
        self.popup = None;
        self.sense.rest();
    }

    /// A person jogs one joint (from 0) at a speed in rad/s for some seconds.
    pub fn jog(&mut self, joint: usize, speed: f64, seconds: f64) {
        let able = self.mode == mode::RUNNING && self.safety == safety::NORMAL;
        if able && matches!(self.drive, Drive::Standing) && self.runtime == runtime::STOPPED {
            let limit = arm::MAX_SPEED.get(joint).copied().unwrap_or_default();
            let mut joints = [0.0; 6];
            if let Some(value) = joints.get_mut(joint) {
                *value = speed.clamp(-limit, limit);
            }
            self.drive = Drive::Jogging { speed: joints, left: seconds.min(10.0) };
        }
    }

    /// Power, running program and safety as the RTDE bit fields.
    pub fn bits(&self) -> (u32, u32) {
        let powered = u32::from(self.mode != mode::POWER_OFF);
        let running = u32::from(self.runtime == runtime::PLAYING);
        let safety = match self.safety {
            safety::NORMAL => 1,
            safety::PROTECTIVE_STOP => 1 << 2 | 1 << 10,
            _ => 1 << 6 | 1 << 7 | 1 << 10,
        };
        (powered | running << 1, safety)
    }
}
