//! The trait every robot driver offers, and the events of a run.
//!
//! There is one way into motion: [`Driver::start`] with a [`VerifiedOrder`],
//! which only the motion gate makes and which is consumed by value, so one proof
//! moves a robot at most once in a process. Stopping needs no proof. Nothing
//! here releases a protective stop, an emergency stop or a brake: a person at
//! the robot does that.

use crate::sample::{RobotMode, SafetyStatus, Sample};
use async_trait::async_trait;
use gate::VerifiedOrder;
use std::sync::Arc;
use tokio::sync::broadcast;

/// A robot that can be watched, started with a proof, and stopped.
#[async_trait]
pub trait Driver: Send + Sync {
    /// How the connection stands, and the newest sample.
    fn health(&self) -> Health;

    /// Every sample from now on, in order.
    fn samples(&self) -> Samples;

    /// The newest sample of the present connection.
    fn latest(&self) -> Option<Arc<Sample>> {
        self.health().sample
    }

    /// Loads the program that the order names, hands over its parameters and
    /// starts it. The order is used up whatever comes of it.
    ///
    /// # Errors
    /// The robot is not ready, lacks the program, cannot take the parameters, or
    /// the controller answered in an unexpected way. After an error nothing of
    /// this order runs: where a start could be under way, a stop was sent.
    async fn start(&self, order: VerifiedOrder) -> Result<Box<dyn Motion>, StartError>;

    /// Stops whatever program runs, by whoever started it. This is a command to
    /// the program interpreter, not a safety function.
    ///
    /// # Errors
    /// The controller could not be reached or did not confirm.
    async fn stop(&self) -> Result<(), StopError>;
}

/// A started run. Dropping it before its last event stops the robot's program.
#[async_trait]
pub trait Motion: Send {
    /// The next event; `None` after the last one ([`Event::is_last`]).
    async fn next(&mut self) -> Option<Event>;

    /// Lets the program leave the viewpoint at which it waits.
    ///
    /// # Errors
    /// The program does not wait at that viewpoint, or the controller is gone.
    async fn captured(&mut self, viewpoint: u32) -> Result<(), CapturedError>;
}

/// What happens in a run, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The program has taken up the order.
    Started,
    /// The arm stands at a viewpoint and waits for [`Motion::captured`].
    Viewpoint {
        /// Counts from 1.
        index: u32,
        /// The sample in which it was seen: pose, joints and both clocks.
        sample: Arc<Sample>,
    },
    /// The program went through to its end.
    Finished,
    /// The program ended early, or was stopped.
    Stopped {
        /// Why, as far as the controller says.
        why: String,
    },
    /// The safety system stopped the arm. Only a person releases it.
    ProtectiveStop,
    /// An emergency stop is engaged. Only a person releases it.
    EmergencyStop,
    /// The controller no longer sends state; a stop was tried.
    ConnectionLost {
        /// What was seen.
        why: String,
    },
}

impl Event {
    /// Whether the run is over with this event.
    pub fn is_last(&self) -> bool {
        !matches!(self, Self::Started | Self::Viewpoint { .. })
    }
}

/// The family of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    /// CB3: 125 Hz, and no remote mode to be checked.
    Cb3,
    /// e-Series with PolyScope 5: 500 Hz.
    ESeries,
    /// PolyScope X: 500 Hz, without a Dashboard server.
    PolyScopeX,
}

/// What a controller says of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Controller {
    /// Its family.
    pub series: Series,
    /// Software version: major, minor, bugfix, build.
    pub version: [u32; 4],
    /// The rate of the samples in Hz.
    pub frequency_hz: f64,
}

/// The state connection to the controller.
#[derive(Clone, Debug, PartialEq)]
pub enum Link {
    /// No connection has been made yet.
    Connecting,
    /// Samples arrive.
    Connected(Controller),
    /// The connection is gone, and is being tried again.
    Lost {
        /// What broke it.
        why: String,
    },
}

/// How a robot and its connection stand.
#[derive(Clone, Debug)]
pub struct Health {
    /// The state connection.
    pub link: Link,
    /// The newest sample; `None` unless connected.
    pub sample: Option<Arc<Sample>>,
    /// Whether an order is being started or carried out.
    pub run_active: bool,
}

/// A subscription to every sample. It holds a bounded number; a reader that is
/// slower than that is told how many it lost.
#[derive(Debug)]
pub struct Samples(pub(crate) broadcast::Receiver<Arc<Sample>>);

impl Samples {
    /// The next sample.
    ///
    /// # Errors
    /// [`SamplesError::Lagged`] when samples were lost by reading too slowly (the
    /// next call goes on after the loss), [`SamplesError::Closed`] when the driver
    /// is gone.
    pub async fn next(&mut self) -> Result<Arc<Sample>, SamplesError> {
        self.0.recv().await.map_err(|error| match error {
            broadcast::error::RecvError::Lagged(missed) => SamplesError::Lagged { missed },
            broadcast::error::RecvError::Closed => SamplesError::Closed,
        })
    }
}

/// Why there is no next sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SamplesError {
    /// The reader was too slow.
    #[error("{missed} samples were lost because they were read too slowly")]
    Lagged {
        /// How many samples were lost.
        missed: u64,
    },
    /// The driver is gone.
    #[error("the driver has ended")]
    Closed,
}

/// Why a run was not started.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum StartError {
    /// The robot is not in a state to be started.
    #[error("the robot is not ready: {0}")]
    NotReady(#[from] NotReady),
    /// The controller lacks the program or could not load it.
    #[error("the controller did not load `{file}`: it answered `{reply}`")]
    Program {
        /// The file that the order's program is pinned as.
        file: String,
        /// The controller's words.
        reply: String,
    },
    /// The parameters do not fit the controller's registers.
    #[error("parameters that a program cannot be given: {0}")]
    Parameters(String),
    /// The controller broke off or answered in an unexpected way.
    #[error("the controller failed while starting: {0}")]
    Controller(String),
}

/// The state that keeps a robot from being started.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotReady {
    /// No state is coming in.
    #[error("no state from the controller ({0}); samples must be arriving")]
    NoConnection(String),
    /// The controller is not in remote control.
    #[error("it is in local control; switch it to remote control at the pendant")]
    LocalControl,
    /// Power or brakes are off.
    #[error("the arm is {0:?}; it must be powered with its brakes released, by a person")]
    Power(RobotMode),
    /// The safety system is not in its normal state.
    #[error("the safety status is {0:?}; it must be Normal, and a person must make it so")]
    Safety(SafetyStatus),
    /// A program is loaded and running, by whoever started it.
    #[error("a program is already active; it must be stopped")]
    ProgramActive,
    /// The arm moves.
    #[error("joint {joint} turns at {speed:.3} rad/s; the arm must stand")]
    Moving {
        /// The joint, 0 at the base.
        joint: usize,
        /// Its speed in rad/s.
        speed: f64,
    },
    /// Another order is being carried out by this driver.
    #[error("another order is being carried out")]
    Busy,
    /// The controller offers no Dashboard server.
    #[error("PolyScope X has no Dashboard server; PolyScope 3 or 5 is expected")]
    NoDashboard,
}

/// Why a stop was not confirmed.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the controller did not confirm the stop: {0}")]
pub struct StopError(pub(crate) String);

/// Why a viewpoint was not acknowledged.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapturedError {
    /// The program waits elsewhere, or not at all.
    #[error("viewpoint {asked} was acknowledged, but the program waits at {waiting:?}")]
    NotWaiting {
        /// The viewpoint acknowledged.
        asked: u32,
        /// Where the program waits, if anywhere.
        waiting: Option<u32>,
    },
    /// The connection to the controller is gone.
    #[error("the connection to the controller is gone")]
    ConnectionLost,
}
