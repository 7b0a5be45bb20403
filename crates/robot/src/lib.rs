//! Robot drivers behind one trait, Universal Robots first.
//!
//! A driver watches a robot at its controller's full rate, starts a program when
//! it is given a [`VerifiedOrder`](gate::VerifiedOrder), and stops. The proof is
//! consumed by value and nothing else leads to motion: no text, no script, no
//! jog. Stopping needs no proof. No function here powers an arm, releases a brake
//! or unlocks a protective or emergency stop, and none is a safety function: that
//! is the robot's own safety system, which works with this software absent.
//!
//! ```text
//!   gate ── VerifiedOrder ──► Driver::start ──► Motion ── Event, Event, … ──► cell
//!                             Driver::samples ─────────── every Sample ─────► capture
//!                             Driver::stop      (always)
//! ```
//!
//! # How it fails
//! A start that is refused says in which state the robot is and which is needed.
//! A run that ends early says why and leaves no program that could be resumed. A
//! lost connection is an event of the run and a state of the driver, which goes on
//! trying; samples are lost only visibly, as [`SamplesError::Lagged`] or as a gap
//! in the controller's own clock ([`Sample::missing_since`]).
//!
//! # What remains past the gateway
//! The controller has one neighbour on its network, the cell's gateway, and this
//! driver's closed set of commands is all that the gateway says to it. That does
//! not close these ways, which are detected and not denied:
//! - the teach pendant: a person in local control, freedrive, jogging;
//! - USB sticks and the controller's disk, where a program's bytes could be
//!   changed under a pinned name (see [`ProgramFile`]);
//! - URCaps, which run on the controller with its rights;
//! - fieldbuses (PROFINET, EtherNet/IP, Modbus) and digital inputs that are set to
//!   start a program;
//! - other network interfaces, if the controller has any that are plugged in.
//!
//! What they have in common is that the arm moves or a program runs while no order
//! is being carried out: [`unordered_motion`] sees that in a single sample.

mod driver;
mod launch;
mod sample;
pub mod ur;

pub use driver::{
    CapturedError, Controller, Driver, Event, Health, Link, Motion, NotReady, Samples,
    SamplesError, Series, StartError, StopError,
};
pub use launch::{MAX_PARAMETERS, ProgramFile};
pub use sample::{
    Outcome, RobotMode, RuntimeState, STANDSTILL_RAD_S, SafetyStatus, Sample, UnorderedMotion,
    unordered_motion,
};
pub use ur::{Clock, UrConfig, UrDriver};
