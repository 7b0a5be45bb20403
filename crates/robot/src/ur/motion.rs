//! A run in progress: a task that follows the samples, and its handle.
//!
//! The task lives until the run's last event, whoever listens. It stops the
//! program after every end but `Finished`, and when the handle is dropped early.

use super::{Claim, UrConfig, dashboard, stream::Stream, tracker::Tracker};
use crate::driver::{CapturedError, Event, Link, Motion, Samples, SamplesError};
use async_trait::async_trait;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Events kept for a slow listener. The program waits at each viewpoint, so no
/// more than a few are ever under way.
const EVENTS: usize = 16;
/// How often a stop is tried after a run that ended badly, and how long each try
/// may take: the listener hears of the end after the tries.
const STOP_ATTEMPTS: u32 = 3;
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// The handle of a run.
pub(super) struct UrMotion {
    events: mpsc::Receiver<Event>,
    stream: Stream,
    waiting: Option<u32>,
}

impl UrMotion {
    pub(super) fn follow(
        config: &UrConfig,
        stream: &Stream,
        samples: Samples,
        token: i32,
        session: u32,
        claim: Claim,
    ) -> Self {
        let (sender, events) = mpsc::channel(EVENTS);
        let follower = Follower {
            config: *config,
            tracker: Tracker::new(token, session),
            samples,
            link: stream.link.subscribe(),
            sender,
        };
        tokio::spawn(follower.run(claim));
        Self { events, stream: stream.clone(), waiting: None }
    }
}

#[async_trait]
impl Motion for UrMotion {
    async fn next(&mut self) -> Option<Event> {
        let event = self.events.recv().await;
        self.waiting = match &event {
            Some(Event::Viewpoint { index, .. }) => Some(*index),
            _ => None,
        };
        event
    }

    async fn captured(&mut self, viewpoint: u32) -> Result<(), CapturedError> {
        if self.waiting != Some(viewpoint) {
            return Err(CapturedError::NotWaiting { asked: viewpoint, waiting: self.waiting });
        }
        if !matches!(*self.stream.link.borrow(), Link::Connected(_)) {
            return Err(CapturedError::ConnectionLost);
        }
        self.stream.inputs.send_modify(|inputs| inputs.captured = viewpoint.cast_signed());
        self.waiting = None;
        Ok(())
    }
}

struct Follower {
    config: UrConfig,
    tracker: Tracker,
    samples: Samples,
    link: watch::Receiver<Link>,
    sender: mpsc::Sender<Event>,
}

impl Follower {
    async fn run(mut self, claim: Claim) {
        loop {
            let Some(event) = self.event().await else {
                tracing::warn!("a run was abandoned: stopping the robot's program");
                self.stop().await;
                return;
            };
            let last = event.is_last();
            if last && event != Event::Finished {
                self.stop().await;
            }
            if last {
                // Whoever reads the last event may start the next run.
                drop(claim);
                let _ = self.sender.send(event).await;
                return;
            }
            let _ = self.sender.send(event).await;
        }
    }

    /// The next event, or `None` when nobody listens any more.
    async fn event(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                () = self.sender.closed() => return None,
                lost = lost(&mut self.link) => return Some(lost),
                sample = self.samples.next() => match sample {
                    Ok(sample) => {
                        if let Some(event) = self.tracker.on(&sample) {
                            return Some(event);
                        }
                    }
                    // Registers hold levels, so the next sample tells all that counts.
                    Err(SamplesError::Lagged { missed }) => {
                        tracing::warn!(missed, "a run was followed too slowly");
                    }
                    Err(SamplesError::Closed) => {
                        let why = "the driver has ended".to_owned();
                        return Some(Event::ConnectionLost { why });
                    }
                },
            }
        }
    }

    async fn stop(&self) {
        for _ in 0..STOP_ATTEMPTS {
            let patience = self.config.patience.min(STOP_PATIENCE);
            match dashboard::stop(&self.config, patience).await {
                Ok(()) => return,
                Err(error) => tracing::error!(%error, "stop after a run"),
            }
        }
    }
}

async fn lost(link: &mut watch::Receiver<Link>) -> Event {
    let why = match link.wait_for(|link| !matches!(link, Link::Connected(_))).await {
        Ok(link) => match &*link {
            Link::Lost { why } => why.clone(),
            _ => "connecting".to_owned(),
        },
        Err(_) => "the driver has ended".to_owned(),
    };
    Event::ConnectionLost { why }
}
