//! One state sample of a robot, and what can be said from it alone.
//!
//! A sample carries two clocks. `controller_time` is the controller's own and
//! steps by exactly one period from sample to sample, so a lost sample shows as
//! a gap in it whatever the network did. `host_ns` is when the sample was read
//! here. Modes and states keep the numbers of Universal Robots' RTDE guide;
//! a number that it doesn't list stays visible as `Other` and is never taken
//! for a state in which motion is allowed.

use serde::Serialize;
use std::fmt;

/// Below this speed a joint counts as standing, in rad/s. The encoders of a
/// standing arm are an order of magnitude quieter.
pub const STANDSTILL_RAD_S: f64 = 0.02;

/// The state of a robot at one instant.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sample {
    /// Counts the connections of the driver: controller time may start anew and
    /// samples may be missing where this changes.
    pub session: u32,
    /// Seconds on the controller's clock since it started.
    pub controller_time: f64,
    /// Nanoseconds on the host's clock when the sample was read.
    pub host_ns: u64,
    /// Joint positions, rad.
    pub q: [f64; 6],
    /// Joint speeds, rad/s.
    pub qd: [f64; 6],
    /// Joint motor currents, A.
    pub current: [f64; 6],
    /// Tool centre point in the base frame: metres, then a rotation vector in rad.
    pub tcp_pose: [f64; 6],
    /// Force (N) and torque (Nm) at the tool centre point, in the base frame.
    pub tcp_force: [f64; 6],
    /// Power state of the arm.
    pub robot_mode: RobotMode,
    /// State of the safety system.
    pub safety: SafetyStatus,
    /// State of the program interpreter.
    pub runtime: RuntimeState,
    /// Bits: 0 power on, 1 program running, 2 teach button, 3 power button.
    pub robot_bits: u32,
    /// Bits: 0 normal, 1 reduced, 2 protective stop, 3 recovery, 4 safeguard
    /// stop, 5 system and 6 robot emergency stop, 7 emergency stop, 8 violation,
    /// 9 fault, 10 stopped due to safety.
    pub safety_bits: u32,
    /// Digital inputs: 0–7 standard, 8–15 configurable, 16–17 tool.
    pub digital_in: u64,
    /// Digital outputs: 0–7 standard, 8–15 configurable, 16–17 tool.
    pub digital_out: u64,
    /// Speed scaling in force, 0 to 1.
    pub speed_scaling: f64,
    /// The viewpoint that the program waits at (output register 24); 0 is none.
    pub viewpoint: i32,
    /// The order token that the program has taken up (output register 25).
    pub token: i32,
    /// How the program ended (output register 26): see [`Outcome`].
    pub outcome: i32,
    /// The inputs as the controller holds them: registers 24–31, 36 and 37.
    pub inputs: [i32; 10],
}

impl Sample {
    /// The fastest joint and its speed in rad/s when one is above
    /// [`STANDSTILL_RAD_S`].
    pub fn moving(&self) -> Option<(usize, f64)> {
        let fastest =
            self.qd.iter().map(|v| v.abs()).enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        fastest.filter(|(_, speed)| *speed > STANDSTILL_RAD_S || speed.is_nan())
    }

    /// Whether a program runs, pauses or is on its way to either.
    pub fn program_active(&self) -> bool {
        !matches!(self.runtime, RuntimeState::Stopped | RuntimeState::Stopping)
    }

    /// How many samples are missing between `earlier` and this one at a rate in
    /// Hz, by the controller's clock; `None` across a reconnection.
    pub fn missing_since(&self, earlier: &Self, frequency_hz: f64) -> Option<u64> {
        let steps = ((self.controller_time - earlier.controller_time) * frequency_hz).round();
        (self.session == earlier.session).then_some((steps as u64).saturating_sub(1))
    }
}

/// What moves although no order is being carried out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnorderedMotion {
    /// A program runs, pauses or resumes.
    Program(RuntimeState),
    /// A joint turns: jogging, freedrive, or a push.
    Joint {
        /// The joint, 0 at the base.
        joint: usize,
        /// Its speed in rad/s, without sign.
        speed: f64,
    },
}

impl fmt::Display for UnorderedMotion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(state) => write!(f, "a program is {state:?} without an order"),
            Self::Joint { joint, speed } => {
                write!(f, "joint {joint} turns at {speed:.3} rad/s without an order")
            }
        }
    }
}

/// Motion without an order, seen in one sample. `run_active` is whether an order
/// is being carried out (see [`crate::Health::run_active`]). After a run give the
/// arm its braking time, a few hundred milliseconds, before asking.
pub fn unordered_motion(sample: &Sample, run_active: bool) -> Option<UnorderedMotion> {
    if run_active {
        return None;
    }
    if sample.program_active() {
        return Some(UnorderedMotion::Program(sample.runtime));
    }
    sample.moving().map(|(joint, speed)| UnorderedMotion::Joint { joint, speed })
}

/// How a program says it ended, in output register 26.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// It has not ended.
    Running,
    /// It went through all of its viewpoints.
    Finished,
    /// Nobody acknowledged a viewpoint in time.
    CaptureTimeout,
    /// A parameter was outside the program's own bounds.
    BadParameter,
    /// Another number.
    Other(i32),
}

macro_rules! numbered {
    ($(#[$meta:meta])* $name:ident: $($(#[$vmeta:meta])* $variant:ident = $number:literal),+ $(,)?) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "snake_case")]
        #[allow(missing_docs, reason = "the names are those of the RTDE guide")]
        pub enum $name { $($(#[$vmeta])* $variant,)+ Other(i32) }

        impl From<i32> for $name {
            fn from(number: i32) -> Self {
                match number { $($number => Self::$variant,)+ other => Self::Other(other) }
            }
        }

        impl Default for $name {
            fn default() -> Self { Self::from(0) }
        }
    };
}

impl From<i32> for Outcome {
    fn from(number: i32) -> Self {
        match number {
            0 => Self::Running,
            1 => Self::Finished,
            2 => Self::CaptureTimeout,
            3 => Self::BadParameter,
            other => Self::Other(other),
        }
    }
}

numbered! {
    /// Power state of the arm.
    RobotMode:
    NoController = -1, Disconnected = 0, ConfirmSafety = 1, Booting = 2, PowerOff = 3,
    PowerOn = 4, Idle = 5, Backdrive = 6, Running = 7, UpdatingFirmware = 8,
}

numbered! {
    /// State of the safety system.
    SafetyStatus:
    Normal = 1, Reduced = 2, ProtectiveStop = 3, Recovery = 4, SafeguardStop = 5,
    SystemEmergencyStop = 6, RobotEmergencyStop = 7, Violation = 8, Fault = 9,
    ValidateJointId = 10, Undefined = 11, AutomaticModeSafeguardStop = 12,
    SystemThreePositionEnablingStop = 13,
}

impl SafetyStatus {
    /// Whether an emergency stop is engaged, here or by the line around it.
    pub fn emergency_stop(self) -> bool {
        matches!(self, Self::SystemEmergencyStop | Self::RobotEmergencyStop)
    }
}

numbered! {
    /// State of the program interpreter.
    RuntimeState:
    Stopping = 0, Stopped = 1, Playing = 2, Pausing = 3, Paused = 4, Resuming = 5,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing() -> Sample {
        Sample { runtime: RuntimeState::Stopped, ..Sample::default() }
    }

    #[test]
    fn a_standing_arm_with_no_program_is_quiet() {
        let noisy = Sample { qd: [0.001, -0.004, 0.0, 0.0, 0.002, -0.01], ..standing() };
        assert_eq!(unordered_motion(&noisy, false), None);
    }

    #[test]
    fn a_jogged_joint_and_a_foreign_program_are_seen() {
        let jogged = Sample { qd: [0.0, 0.0, -0.3, 0.0, 0.0, 0.1], ..standing() };
        let seen = unordered_motion(&jogged, false);
        assert_eq!(seen, Some(UnorderedMotion::Joint { joint: 2, speed: 0.3 }));
        assert_eq!(unordered_motion(&jogged, true), None);
        for runtime in [2, 3, 4, 5, 77].map(RuntimeState::from) {
            let foreign = Sample { runtime, ..Sample::default() };
            assert_eq!(unordered_motion(&foreign, false), Some(UnorderedMotion::Program(runtime)));
        }
    }

    #[test]
    fn a_speed_that_is_no_number_counts_as_motion() {
        let broken = Sample { qd: [0.0, 0.0, f64::NAN, 0.0, 0.0, 0.0], ..standing() };
        assert!(broken.moving().is_some());
    }

    #[test]
    fn gaps_are_counted_by_the_controllers_clock() {
        let at = |controller_time| Sample { controller_time, ..standing() };
        assert_eq!(at(1.002).missing_since(&at(1.0), 500.0), Some(0));
        assert_eq!(at(1.010).missing_since(&at(1.0), 500.0), Some(4));
        let other = Sample { session: 2, ..at(1.002) };
        assert_eq!(other.missing_since(&at(1.0), 500.0), None);
    }
}
