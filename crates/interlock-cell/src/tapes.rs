//! The two streams of a run, each written by a thread of its own.
//!
//! Samples reach the state thread through a queue that holds two minutes of them,
//! so encryption and disk never make the robot's connection wait. What a full
//! queue or a slow reader loses shows as a gap in the controller's clock and is
//! counted.

use crate::spool::{Label, Medium, Spool, Tape};
use base::Millis;
use capture::{ImageMessage, ImageRecorder, StateRecorder, StateSample};
use proof::{keys::Signer, recording::SignedManifest};
use robot::{RobotMode, RuntimeState, SafetyStatus, Sample, Samples, SamplesError};
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    task::{JoinHandle, spawn_blocking},
};
use vault::record::Recorder;

/// Samples that wait for the state thread at most: two minutes at 500 Hz.
const QUEUE: usize = 60_000;
/// How often a quiet stream looks whether a checkpoint is due.
const TICK: Duration = Duration::from_millis(200);

/// A recorded stream with its counts.
pub struct Reel {
    /// The signed manifest.
    pub manifest: SignedManifest,
    /// Messages recorded.
    pub samples: u64,
    /// Messages that the source made and the stream lacks.
    pub lost: u64,
}

/// Milliseconds of nanoseconds since the Unix epoch.
pub fn millis(host_ns: u64) -> Millis {
    Millis(host_ns / 1_000_000)
}

/// The robot's state being recorded.
pub struct StateTape {
    feed: JoinHandle<()>,
    end: watch::Sender<bool>,
    writer: JoinHandle<anyhow::Result<Reel>>,
}

impl StateTape {
    /// Starts the stream; every sample from now on is recorded.
    pub fn start(
        spool: &Spool,
        signer: Arc<dyn Signer>,
        label: Label,
        mut samples: Samples,
        frequency_hz: f64,
    ) -> anyhow::Result<Self> {
        let tape: Tape<StateRecorder<Recorder>> = Tape::start(spool, signer, label, node::now())?;
        let (queue, queued) = sync_channel(QUEUE);
        let writer = spawn_blocking(move || write_states(tape, &queued, frequency_hz));
        let (end, mut ended) = watch::channel(false);
        let feed = tokio::spawn(async move {
            loop {
                let next = tokio::select! {
                    next = samples.next() => next,
                    _ = ended.wait_for(|end| *end) => return,
                };
                match next {
                    Ok(sample) => match queue.try_send(sample) {
                        Ok(()) => {}
                        Err(TrySendError::Full(_)) => {
                            tracing::error!("the recording is too slow: a sample was lost");
                        }
                        Err(TrySendError::Disconnected(_)) => return,
                    },
                    Err(SamplesError::Lagged { missed }) => {
                        tracing::error!(missed, "samples were read too slowly");
                    }
                    Err(SamplesError::Closed) => return,
                }
            }
        });
        Ok(Self { feed, end, writer })
    }

    /// Whether recording has failed.
    pub fn failed(&self) -> bool {
        self.writer.is_finished()
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// The recording failed, now or earlier.
    pub async fn finish(self) -> anyhow::Result<Reel> {
        // The feed may have ended by itself already.
        let _ = self.end.send(true);
        self.feed.await?;
        self.writer.await?
    }
}

fn write_states(
    mut tape: Tape<StateRecorder<Recorder>>,
    queued: &Receiver<Arc<Sample>>,
    frequency_hz: f64,
) -> anyhow::Result<Reel> {
    let (mut before, mut lost) = (None::<Arc<Sample>>, 0);
    loop {
        match queued.recv_timeout(TICK) {
            Ok(sample) => {
                if let Some(before) = &before {
                    lost += sample.missing_since(before, frequency_hz).unwrap_or(0);
                }
                tape.write(&state(&sample), millis(sample.host_ns))?;
                before = Some(sample);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return reel(tape, lost),
        }
        tape.tick(node::now())?;
    }
}

fn reel<M: Medium>(tape: Tape<M>, lost: u64) -> anyhow::Result<Reel> {
    let samples = tape.samples();
    let manifest = tape.finish(node::now(), lost)?;
    Ok(Reel { manifest, samples, lost })
}

/// A picture on its way to the disk, and who waits for it.
type Picture = (ImageMessage, oneshot::Sender<()>);

/// The pictures of a run being recorded.
pub struct CameraTape {
    queue: SyncSender<Picture>,
    writer: JoinHandle<anyhow::Result<Reel>>,
}

impl CameraTape {
    /// Starts the stream.
    pub fn start(spool: &Spool, signer: Arc<dyn Signer>, label: Label) -> anyhow::Result<Self> {
        let mut tape: Tape<ImageRecorder<Recorder>> =
            Tape::start(spool, signer, label, node::now())?;
        let (queue, queued) = sync_channel::<Picture>(4);
        let writer = spawn_blocking(move || {
            loop {
                match queued.recv_timeout(TICK) {
                    Ok((message, done)) => {
                        tape.write(&message, millis(message.image.host_ns))?;
                        // Whoever took the picture may have given up waiting.
                        let _ = done.send(());
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return reel(tape, 0),
                }
                tape.tick(node::now())?;
            }
        });
        Ok(Self { queue, writer })
    }

    /// Records a picture; it is in the stream when this returns.
    ///
    /// # Errors
    /// The recording has failed; [`CameraTape::finish`] says why.
    pub async fn write(&self, message: ImageMessage) -> anyhow::Result<()> {
        let (done, written) = oneshot::channel();
        let gone = || anyhow::anyhow!("the recording of pictures has failed");
        self.queue.try_send((message, done)).map_err(|_| gone())?;
        written.await.map_err(|_| gone())
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// The recording failed, now or earlier.
    pub async fn finish(self) -> anyhow::Result<Reel> {
        drop(self.queue);
        self.writer.await?
    }
}

/// A driver's sample as it is recorded, with the controller's own numbers.
fn state(sample: &Sample) -> StateSample {
    StateSample {
        host_ns: sample.host_ns,
        controller_ns: (sample.controller_time * 1e9) as u64,
        session: sample.session,
        q: sample.q,
        qd: sample.qd,
        current: sample.current,
        tcp_pose: sample.tcp_pose,
        tcp_force: sample.tcp_force,
        robot_mode: number(&sample.robot_mode, |m| match m {
            RobotMode::Other(n) => Some(*n),
            _ => None,
        }),
        safety: number(&sample.safety, |s| match s {
            SafetyStatus::Other(n) => Some(*n),
            _ => None,
        }),
        runtime: number(&sample.runtime, |r| match r {
            RuntimeState::Other(n) => Some(*n),
            _ => None,
        }),
        robot_bits: sample.robot_bits,
        safety_bits: sample.safety_bits,
        digital_in: sample.digital_in,
        digital_out: sample.digital_out,
        speed_scaling: sample.speed_scaling,
        viewpoint: sample.viewpoint,
        token: sample.token,
        outcome: sample.outcome,
        extra: Vec::new(),
    }
}

/// The controller's number of a named state: what it was read from.
fn number<T: From<i32> + PartialEq>(value: &T, other: impl Fn(&T) -> Option<i32>) -> i32 {
    other(value).or_else(|| (-1..16).find(|n| T::from(*n) == *value)).unwrap_or(i32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_keep_the_controllers_numbers() {
        for n in -2..40 {
            let sample = Sample {
                robot_mode: n.into(),
                safety: n.into(),
                runtime: n.into(),
                ..Sample::default()
            };
            let recorded = state(&sample);
            assert_eq!((recorded.robot_mode, recorded.safety, recorded.runtime), (n, n, n));
        }
    }
}
