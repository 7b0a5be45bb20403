//! Programs of the simulated controller: joint waypoints as a small JSON file.
//!
//! A real `.urp` is a compressed tree of nodes that only PolyScope runs. The
//! simulator's file stands for one that follows the same register handshake: the
//! order token is echoed first, parameters outside the program's own bounds end it
//! with outcome 3, at each viewpoint it waits to be acknowledged, and its outcome
//! is its last act.

use super::arm::{self, Joints, MAX_ANGLE};
use base::Id;
use serde::Deserialize;
use std::{collections::BTreeMap, io, path::Path};

/// The largest program file read, in bytes.
pub const MAX_PROGRAM_BYTES: usize = 64 * 1024;
const MAX_WAYPOINTS: usize = 64;

/// A program.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its name in orders.
    pub id: Id,
    /// What it does, for people.
    pub description: String,
    /// Bounds of its parameters; it is given them in the order of their names.
    pub parameters: BTreeMap<Parameter, Bounds>,
    /// Distance to the part along the tool at which the viewpoints are taught, mm.
    pub taught_standoff_mm: f64,
    /// Speed of its moves at 100 percent, rad/s.
    pub speed: f64,
    /// Acceleration of its moves, rad/s².
    pub acceleration: f64,
    /// Where it goes, in order.
    pub waypoints: Vec<Waypoint>,
}

/// The parameters that the simulator can carry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parameter {
    /// Speed of all moves in percent of the program's own.
    SpeedPercent,
    /// Distance to the part at the viewpoints, mm.
    StandoffMm,
    /// How many of the viewpoints are visited.
    Viewpoints,
}

/// The smallest and largest value of a parameter.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// The smallest.
    pub min: i32,
    /// The largest.
    pub max: i32,
}

/// A place to go to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waypoint {
    /// Its name, for people.
    pub name: String,
    /// Joint positions, rad.
    pub q: Joints,
    /// Whether the program waits there for a capture.
    #[serde(default)]
    pub viewpoint: bool,
}

/// A waypoint as it will be gone to.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Joint positions, rad.
    pub q: Joints,
    /// Speed of the move there, rad/s.
    pub speed: f64,
    /// The number of the viewpoint, from 1, if it is one.
    pub viewpoint: Option<i32>,
}

impl Program {
    /// Reads a program and checks that the arm can carry it out.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_PROGRAM_BYTES {
            return Err(format!("{} bytes, at most {MAX_PROGRAM_BYTES}", bytes.len()));
        }
        let program: Self = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        if program.waypoints.is_empty() || program.waypoints.len() > MAX_WAYPOINTS {
            return Err(format!("1 to {MAX_WAYPOINTS} waypoints are expected"));
        }
        let positive = |v: f64| v.is_finite() && v > 0.0;
        if !(positive(program.speed) && positive(program.acceleration)) {
            return Err("speed and acceleration must be above zero".to_owned());
        }
        let beyond = |w: &&Waypoint| w.q.iter().any(|q| q.is_nan() || q.abs() > MAX_ANGLE);
        match program.waypoints.iter().find(beyond) {
            Some(waypoint) => Err(format!("`{}` is beyond the joint limits", waypoint.name)),
            None => Ok(program),
        }
    }

    /// Puts a program under its pinned name into a folder of programs, as its
    /// integrator would, and returns the file name.
    ///
    /// # Errors
    /// The bytes are no program, or the file cannot be written.
    pub fn install(folder: &Path, bytes: &[u8]) -> io::Result<String> {
        let program = Self::parse(bytes).map_err(io::Error::other)?;
        let hash: String = base::sha256(bytes).to_string().chars().take(16).collect();
        let name = format!("{}-{hash}.urp", program.id);
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join(&name), bytes)?;
        Ok(name)
    }

    /// The targets for parameter values as they stand in the input registers.
    ///
    /// # Errors
    /// The parameter outside its bounds, or a standoff out of reach.
    pub fn plan(&self, registers: &[i32]) -> Result<Vec<Target>, String> {
        let mut values = BTreeMap::new();
        for ((parameter, bounds), value) in self.parameters.iter().zip(registers) {
            if !(bounds.min..=bounds.max).contains(value) {
                let Bounds { min, max } = bounds;
                return Err(format!("{parameter:?} is {value}, {min} to {max} is allowed"));
            }
            values.insert(*parameter, f64::from(*value));
        }
        let value = |parameter, otherwise| values.get(&parameter).copied().unwrap_or(otherwise);
        let speed = self.speed * value(Parameter::SpeedPercent, 100.0) / 100.0;
        let shift = (value(Parameter::StandoffMm, self.taught_standoff_mm)
            - self.taught_standoff_mm)
            / 1000.0;
        let wanted = value(Parameter::Viewpoints, f64::INFINITY);
        let (mut targets, mut count) = (Vec::new(), 0);
        for waypoint in &self.waypoints {
            if !waypoint.viewpoint {
                targets.push(Target { q: waypoint.q, speed, viewpoint: None });
            } else if f64::from(count) < wanted {
                count += 1;
                let q = retracted(&waypoint.q, shift)
                    .ok_or_else(|| format!("`{}` is out of reach", waypoint.name))?;
                targets.push(Target { q, speed, viewpoint: Some(count) });
            }
        }
        Ok(targets)
    }
}

/// The joints at which the tool is drawn back along its axis by some metres.
fn retracted(q: &Joints, metres: f64) -> Option<Joints> {
    if metres == 0.0 {
        return Some(*q);
    }
    let ([x, y, z, ..], axis) = (arm::forward(q), arm::tool_axis(q));
    let [ax, ay, az] = axis.map(|v| v * metres);
    arm::inverse(q, [x - ax, y - ay, z - az], axis)
}

/// The scan program that ships with the simulator.
pub const SCAN: &[u8] = include_bytes!("../../programs/scan.urp.json");
