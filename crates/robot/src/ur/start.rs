//! Starting a run: check, load, hand over, play.
//!
//! Every step is confirmed by the controller before the next: the state that
//! allows a start, the loaded file's name, the registers as the controller holds
//! them. From `play` on, any doubt sends a stop.

use super::{
    Claim, UrConfig,
    dashboard::{self, Command, Dashboard, DashboardError},
    fields::Inputs,
    motion::UrMotion,
    stream::Stream,
};
use crate::{
    driver::{Link, NotReady, Samples, SamplesError, Series, StartError},
    launch::Launch,
    sample::{RobotMode, SafetyStatus, Sample},
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long the controller may take to show the registers as written.
const HAND_OVER: Duration = Duration::from_secs(2);

pub(super) async fn start(
    config: &UrConfig,
    stream: &Stream,
    launch: Launch,
    claim: Claim,
) -> Result<UrMotion, StartError> {
    let parameters = launch.registers().map_err(StartError::Parameters)?;
    let (series, sample) = connected(stream)?;
    ready(&sample)?;
    if series == Series::PolyScopeX {
        return Err(NotReady::NoDashboard.into());
    }
    let mut dashboard =
        Dashboard::open(config.dashboard, config.from, config.patience).await.map_err(failed)?;
    if series == Series::ESeries {
        remote(&mut dashboard).await?;
    }
    load(&mut dashboard, &launch).await?;
    let inputs = Inputs { parameters, captured: 0, token: launch.token };
    hand_over(stream, inputs).await?;
    let (_, sample) = connected(stream)?;
    ready(&sample)?;
    let samples = Samples(stream.samples.subscribe());
    if let Err(error) = play(&mut dashboard).await {
        if let Err(error) = dashboard::stop(config, config.patience).await {
            tracing::error!(%error, "stop after a failed start");
        }
        return Err(error);
    }
    Ok(UrMotion::follow(config, stream, samples, launch.token, sample.session, claim))
}

/// Whether the state in a sample allows a start.
pub(super) fn ready(sample: &Sample) -> Result<(), NotReady> {
    if sample.safety != SafetyStatus::Normal {
        return Err(NotReady::Safety(sample.safety));
    }
    if sample.robot_mode != RobotMode::Running {
        return Err(NotReady::Power(sample.robot_mode));
    }
    if sample.program_active() {
        return Err(NotReady::ProgramActive);
    }
    match sample.moving() {
        Some((joint, speed)) => Err(NotReady::Moving { joint, speed }),
        None => Ok(()),
    }
}

fn connected(stream: &Stream) -> Result<(Series, Arc<Sample>), NotReady> {
    let link = stream.link.borrow().clone();
    match (link, stream.latest.borrow().clone()) {
        (Link::Connected(controller), Some(sample)) => Ok((controller.series, sample)),
        (Link::Lost { why }, _) => Err(NotReady::NoConnection(why)),
        _ => Err(NotReady::NoConnection("still connecting".to_owned())),
    }
}

async fn remote(dashboard: &mut Dashboard) -> Result<(), StartError> {
    match dashboard.ask(Command::InRemoteControl).await.map_err(failed)?.as_str() {
        "true" => Ok(()),
        "false" => Err(NotReady::LocalControl.into()),
        other => Err(StartError::Controller(format!("`{other}` is no answer on remote control"))),
    }
}

async fn load(dashboard: &mut Dashboard, launch: &Launch) -> Result<(), StartError> {
    let file = launch.file.to_string();
    let refuse = |reply: String| StartError::Program { file: file.clone(), reply };
    let reply = dashboard.ask(Command::Load(&launch.file)).await.map_err(failed)?;
    if !reply.starts_with("Loading program:") {
        return Err(refuse(reply));
    }
    let loaded = dashboard.ask(Command::LoadedProgram).await.map_err(failed)?;
    if loaded.rsplit(['/', ' ']).next() != Some(launch.file.as_str()) {
        return Err(refuse(loaded));
    }
    Ok(())
}

async fn hand_over(stream: &Stream, inputs: Inputs) -> Result<(), StartError> {
    let mut samples = Samples(stream.samples.subscribe());
    stream.inputs.send_replace(inputs);
    let seen = timeout(HAND_OVER, async {
        loop {
            match samples.next().await {
                Ok(sample) if sample.inputs == inputs.values() => return Ok(()),
                Ok(_) | Err(SamplesError::Lagged { .. }) => {}
                Err(closed) => return Err(StartError::Controller(closed.to_string())),
            }
        }
    });
    seen.await.unwrap_or_else(|_| {
        let why = format!("it did not show its input registers as written within {HAND_OVER:?}");
        Err(StartError::Controller(why))
    })
}

async fn play(dashboard: &mut Dashboard) -> Result<(), StartError> {
    match dashboard.ask(Command::Play).await.map_err(failed)?.as_str() {
        "Starting program" => Ok(()),
        other => Err(StartError::Controller(format!("it answered `{other}` to play"))),
    }
}

fn failed(error: DashboardError) -> StartError {
    StartError::Controller(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RuntimeState;

    fn standing() -> Sample {
        Sample {
            robot_mode: RobotMode::Running,
            safety: SafetyStatus::Normal,
            runtime: RuntimeState::Stopped,
            ..Sample::default()
        }
    }

    #[test]
    fn only_a_powered_standing_arm_in_normal_safety_is_ready() {
        assert_eq!(ready(&standing()), Ok(()));
        for safety in (2..20).map(SafetyStatus::from) {
            assert_eq!(ready(&Sample { safety, ..standing() }), Err(NotReady::Safety(safety)));
        }
        for robot_mode in [-1, 0, 1, 2, 3, 4, 5, 6, 8, 9].map(RobotMode::from) {
            let found = ready(&Sample { robot_mode, ..standing() });
            assert_eq!(found, Err(NotReady::Power(robot_mode)));
        }
        for runtime in [2, 3, 4, 5, 6].map(RuntimeState::from) {
            assert_eq!(ready(&Sample { runtime, ..standing() }), Err(NotReady::ProgramActive));
        }
        let moving = Sample { qd: [0.0, 0.5, 0.0, 0.0, 0.0, 0.0], ..standing() };
        assert_eq!(ready(&moving), Err(NotReady::Moving { joint: 1, speed: 0.5 }));
    }
}
