//! The life of a run as a pure state machine: samples in, events out.
//!
//! The program and the driver share registers, which hold levels and not pulses,
//! so a sample that is skipped loses nothing. The program echoes the order token
//! when it takes the order up, shows the viewpoint that it waits at, and says at
//! its end how it ended. Whatever does not fit that (a pause at the pendant,
//! another token, a viewpoint out of turn) ends the run as stopped: an order is
//! carried out as it was started, or not to its end.

use crate::{
    driver::Event,
    sample::{Outcome, RuntimeState, SafetyStatus, Sample},
};
use std::sync::Arc;

/// How long a played program may take to echo its order, in nanoseconds.
const LAUNCH_NS: u64 = 5_000_000_000;

#[derive(Debug)]
enum Phase {
    Launching { since_ns: Option<u64> },
    Running { viewpoint: u32 },
    Over,
}

/// Follows one run.
#[derive(Debug)]
pub(crate) struct Tracker {
    token: i32,
    session: u32,
    phase: Phase,
}

impl Tracker {
    /// For a program that was played with this order token, in this session.
    pub(crate) fn new(token: i32, session: u32) -> Self {
        Self { token, session, phase: Phase::Launching { since_ns: None } }
    }

    /// The event that a sample brings, if any.
    pub(crate) fn on(&mut self, sample: &Arc<Sample>) -> Option<Event> {
        let event = self.halted(sample).or_else(|| match self.phase {
            Phase::Launching { since_ns } => self.launching(sample, since_ns),
            Phase::Running { viewpoint } => self.running(sample, viewpoint),
            Phase::Over => None,
        });
        if event.as_ref().is_some_and(Event::is_last) {
            self.phase = Phase::Over;
        }
        event
    }

    fn halted(&self, sample: &Sample) -> Option<Event> {
        match (&self.phase, sample.safety) {
            (Phase::Over, _) | (_, SafetyStatus::Normal | SafetyStatus::Reduced) => None,
            (_, SafetyStatus::ProtectiveStop) => Some(Event::ProtectiveStop),
            (_, safety) if safety.emergency_stop() => Some(Event::EmergencyStop),
            (_, safety) => Some(stopped(format!("the safety status became {safety:?}"))),
        }
        .or_else(|| {
            let why = "the connection was made anew within the run".to_owned();
            (!matches!(self.phase, Phase::Over) && sample.session != self.session)
                .then_some(Event::ConnectionLost { why })
        })
    }

    fn launching(&mut self, sample: &Sample, since_ns: Option<u64>) -> Option<Event> {
        if sample.token == self.token {
            self.phase = Phase::Running { viewpoint: 0 };
            return Some(Event::Started);
        }
        let since = since_ns.unwrap_or(sample.host_ns);
        self.phase = Phase::Launching { since_ns: Some(since) };
        let late = sample.host_ns.saturating_sub(since) > LAUNCH_NS;
        late.then(|| stopped("the program did not take up the order within 5 s".to_owned()))
    }

    fn running(&mut self, sample: &Arc<Sample>, viewpoint: u32) -> Option<Event> {
        if sample.token != self.token {
            return Some(stopped(format!("another order's token {} appeared", sample.token)));
        }
        match sample.runtime {
            RuntimeState::Stopped => return Some(ended(sample)),
            RuntimeState::Pausing | RuntimeState::Paused => {
                return Some(stopped("the program was paused at the robot".to_owned()));
            }
            _ => {}
        }
        let shown = u32::try_from(sample.viewpoint).unwrap_or(0);
        if shown == 0 || shown == viewpoint {
            return None;
        }
        if shown != viewpoint + 1 {
            return Some(stopped(format!("viewpoint {shown} came after viewpoint {viewpoint}")));
        }
        self.phase = Phase::Running { viewpoint: shown };
        Some(Event::Viewpoint { index: shown, sample: sample.clone() })
    }
}

fn ended(sample: &Sample) -> Event {
    match Outcome::from(sample.outcome) {
        Outcome::Finished => Event::Finished,
        Outcome::CaptureTimeout => {
            stopped("the program waited too long for a viewpoint to be captured".to_owned())
        }
        Outcome::BadParameter => {
            stopped("the program refused a parameter outside its own bounds".to_owned())
        }
        Outcome::Running => stopped("the program was stopped before its end".to_owned()),
        Outcome::Other(code) => stopped(format!("the program ended with code {code}")),
    }
}

fn stopped(why: String) -> Event {
    Event::Stopped { why }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAYING: Sample = Sample {
        session: 1,
        controller_time: 0.0,
        host_ns: 0,
        q: [0.0; 6],
        qd: [0.0; 6],
        current: [0.0; 6],
        tcp_pose: [0.0; 6],
        tcp_force: [0.0; 6],
        robot_mode: crate::RobotMode::Running,
        safety: SafetyStatus::Normal,
        runtime: RuntimeState::Playing,
        robot_bits: 3,
        safety_bits: 1,
        digital_in: 0,
        digital_out: 0,
        speed_scaling: 1.0,
        viewpoint: 0,
        token: 7,
        outcome: 0,
        inputs: [0; 10],
    };

    fn events(samples: impl IntoIterator<Item = Sample>) -> Vec<Event> {
        let mut tracker = Tracker::new(7, 1);
        samples.into_iter().filter_map(|s| tracker.on(&Arc::new(s))).collect()
    }

    fn last_words(samples: impl IntoIterator<Item = Sample>) -> String {
        match events(samples).last() {
            Some(Event::Stopped { why }) => why.clone(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_run_starts_shows_its_viewpoints_once_and_finishes() {
        let at = |viewpoint| Sample { viewpoint, ..PLAYING };
        let done = Sample { runtime: RuntimeState::Stopped, outcome: 1, ..at(2) };
        let seen = events([
            Sample { token: 0, ..PLAYING },
            PLAYING,
            at(1),
            at(1),
            at(0),
            at(1),
            at(2),
            done.clone(),
            done,
        ]);
        let names: Vec<_> = seen
            .iter()
            .map(|e| match e {
                Event::Viewpoint { index, .. } => index.to_string(),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(names, ["Started", "1", "2", "Finished"]);
    }

    #[test]
    fn every_early_end_says_why() {
        let with = |change: fn(&mut Sample)| {
            let mut sample = PLAYING;
            change(&mut sample);
            last_words([PLAYING, sample])
        };
        for (words, change) in [
            ("before its end", (|s| s.runtime = RuntimeState::Stopped) as fn(&mut Sample)),
            ("paused at the robot", |s| s.runtime = RuntimeState::Paused),
            ("token 8", |s| s.token = 8),
            ("viewpoint 3 came after viewpoint 0", |s| s.viewpoint = 3),
            ("SafeguardStop", |s| s.safety = SafetyStatus::SafeguardStop),
            ("Other(99)", |s| s.safety = 99.into()),
            ("ProtectiveStop", |s| s.safety = SafetyStatus::ProtectiveStop),
            ("EmergencyStop", |s| s.safety = SafetyStatus::RobotEmergencyStop),
            ("ConnectionLost", |s| s.session = 2),
        ] {
            let found = with(change);
            assert!(found.contains(words), "{found} should contain {words}");
        }
    }

    #[test]
    fn a_program_that_ignores_the_order_is_given_up() {
        let at = |host_ns| Sample { token: 0, host_ns, ..PLAYING };
        assert!(events([at(0), at(LAUNCH_NS)]).is_empty());
        assert!(last_words([at(5), at(6 + LAUNCH_NS)]).contains("did not take up the order"));
    }
}
