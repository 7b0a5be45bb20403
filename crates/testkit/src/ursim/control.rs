//! What happens to a robot beside its network interfaces, for tests and drills:
//! one JSON object a line in, one out.

use super::{Shared, controller::Controller};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A hand on the robot, the pendant, the cable.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// The safety system stops the arm.
    ProtectiveStop,
    /// The red button is pressed.
    EmergencyStop,
    /// A person releases stops, powers the arm and ends the program.
    Clear,
    /// The pendant is switched to local control.
    Local,
    /// The pendant is switched to remote control.
    Remote,
    /// A person plays the loaded program at the pendant, without an order.
    PendantPlay,
    /// A person jogs a joint.
    Jog {
        /// The joint, 0 at the base.
        joint: usize,
        /// Its speed, rad/s.
        speed: f64,
        /// For how long.
        seconds: f64,
    },
    /// All connections are closed; new ones are refused for `ms`.
    DropConnections {
        /// Milliseconds without new connections.
        #[serde(default)]
        ms: u64,
    },
    /// Connections stay open and nothing is sent, as with a pulled cable.
    Silence {
        /// For how many milliseconds.
        ms: u64,
    },
    /// How the robot stands.
    State,
    /// What ever moved.
    Motions,
    /// How often a program was started, by order token.
    Plays,
}

/// Carries out one line.
pub(super) fn answer(shared: &Shared, line: &str) -> Value {
    match serde_json::from_str(line) {
        Ok(command) => carry_out(shared, command),
        Err(error) => json!({ "ok": false, "error": error.to_string() }),
    }
}

/// Carries out a command; its answer.
pub(super) fn carry_out(shared: &Shared, command: Command) -> Value {
    match command {
        Command::DropConnections { ms } => shared.drop_connections(Duration::from_millis(ms)),
        Command::Silence { ms } => {
            *shared.lock(&shared.silent_until) = Some(Instant::now() + Duration::from_millis(ms));
        }
        Command::State => return state(&shared.lock(&shared.controller)),
        Command::Plays => return json!(shared.lock(&shared.controller).plays),
        Command::Motions => return json!(shared.lock(&shared.controller).motions),
        other => return json!({ "ok": touch(&mut shared.lock(&shared.controller), other) }),
    }
    json!({ "ok": true })
}

fn touch(controller: &mut Controller, command: Command) -> bool {
    match command {
        Command::ProtectiveStop => controller.protective_stop(),
        Command::EmergencyStop => controller.emergency_stop(),
        Command::Clear => controller.clear(),
        Command::Local => controller.remote = false,
        Command::Remote => controller.remote = true,
        Command::PendantPlay => return controller.play(),
        Command::Jog { joint, speed, seconds } => controller.jog(joint, speed, seconds),
        _ => return false,
    }
    true
}

fn state(controller: &Controller) -> Value {
    json!({
        "time": controller.time(),
        "q": controller.q,
        "qd": controller.qd,
        "pose": controller.pose(),
        "mode": controller.mode,
        "safety": controller.safety,
        "runtime": controller.runtime,
        "remote": controller.remote,
        "loaded": controller.loaded.as_ref().map(|(name, _)| name),
        "popup": controller.popup,
        "motions": controller.motions,
    })
}
