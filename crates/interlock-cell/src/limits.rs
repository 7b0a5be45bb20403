//! What a maker states of its arms, to be drawn beside what an arm does.
//!
//! These are numbers of the catalogue, not the safety configuration of the arm at
//! hand: the controller does not tell that one over RTDE. The plots say so.

use robot::Series;
use serde::Serialize;
use std::f64::consts::{PI, TAU};

/// The limits of a series: each is what the widest of its arms can do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Limits {
    /// The arms that the numbers are of.
    pub of: &'static str,
    /// Least and greatest angle of each joint in rad; none for a joint that turns
    /// without end in one of the arms.
    pub joint_position: [Option<[f64; 2]>; 6],
    /// Greatest speed of each joint in rad/s.
    pub joint_speed: [f64; 6],
    /// Typical speed of the tool in m/s.
    pub tcp_speed: f64,
    /// Greatest force at the tool in N; none, for it is set at each arm.
    pub tcp_force: Option<f64>,
}

/// ±360°, and wrist 3 of the smallest arm without end.
const TURN: Option<[f64; 2]> = Some([-TAU, TAU]);
const POSITION: [Option<[f64; 2]>; 6] = [TURN, TURN, TURN, TURN, TURN, None];
/// 180°/s, and 360°/s for the wrists of the smallest arm.
const SPEED: [f64; 6] = [PI, PI, PI, TAU, TAU, TAU];

/// From "Technical specifications" in Universal Robots' user manuals of the arms
/// named: working range, maximum speed of each joint and typical tool speed.
/// Software 5 also drives later, larger arms, whose joints are slower. PolyScope X
/// drives arms of several series and so has no numbers of its own.
pub fn of(series: Series) -> Option<Limits> {
    let of = match series {
        Series::Cb3 => "UR3, UR5, UR10",
        Series::ESeries => "UR3e, UR5e, UR10e, UR16e",
        Series::PolyScopeX => return None,
    };
    Some(Limits {
        of,
        joint_position: POSITION,
        joint_speed: SPEED,
        tcp_speed: 1.0,
        tcp_force: None,
    })
}
