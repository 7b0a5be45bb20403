//! The robot as it moves, for people who watch.
//!
//! A frame is made from the driver's newest sample, twenty times a second at most,
//! and apart from the recording: whoever listens slowly misses frames, and holds
//! neither the driver nor the recorder. A listener's right is looked up again
//! whenever the plant has changed.

use crate::{
    cell::{Cell, Running},
    limits::{self, Limits},
    speed,
    tapes::millis,
};
use axum::{
    extract::State,
    http::StatusCode,
    response::sse::{self, KeepAlive, Sse},
};
use base::{Id, Millis, Refusal, Rule};
use futures::{Stream, stream::unfold};
use plant::Plant;
use policy::{Action, Resource, Role};
use robot::{Health, Link, Sample};
use serde::Serialize;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use transport::{Peer, Place, Places, Problem};

/// The least time between two frames.
const FRAME: Duration = Duration::from_millis(50);
/// How many may listen at a time, and how many of one member. The site has as many for
/// itself: it asks for people, each of whom it bounds.
const LISTENERS: usize = 16;
const OF_ONE: usize = 4;
/// A comment is sent after this long without a frame, so that a connection that is
/// gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The newest frame and the places of those who listen.
pub struct Live {
    frames: watch::Sender<Arc<str>>,
    members: Places,
    site: Places,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            frames: watch::Sender::new("".into()),
            members: Places::new(LISTENERS, OF_ONE),
            site: Places::new(LISTENERS, LISTENERS),
        }
    }
}

/// One moment of the robot. Angles in rad, lengths in m, forces in N and Nm.
#[derive(Serialize)]
struct Frame<'a> {
    at: Millis,
    q: &'a [f64; 6],
    qd: &'a [f64; 6],
    tcp_pose: &'a [f64; 6],
    tcp_force: &'a [f64; 6],
    tcp_speed: [f64; 6],
    mode: String,
    safety: String,
    runtime: String,
    speed_scaling: f64,
    run: Option<Running>,
    limits: Option<Limits>,
}

impl<'a> Frame<'a> {
    fn of(before: &Sample, sample: &'a Sample, link: &Link, run: Option<Running>) -> Self {
        let series = match link {
            Link::Connected(controller) => Some(controller.series),
            Link::Connecting | Link::Lost { .. } => None,
        };
        Self {
            at: millis(sample.host_ns),
            q: &sample.q,
            qd: &sample.qd,
            tcp_pose: &sample.tcp_pose,
            tcp_force: &sample.tcp_force,
            tcp_speed: speed::tcp(before, sample),
            mode: word(&sample.robot_mode),
            safety: word(&sample.safety),
            runtime: word(&sample.runtime),
            speed_scaling: sample.speed_scaling,
            run,
            limits: series.and_then(limits::of),
        }
    }
}

/// The word of a state; a number that the controller's guide does not list is
/// `other N`.
pub fn word(state: &impl Serialize) -> String {
    match serde_json::to_value(state) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => format!("other {}", other.get("other").unwrap_or(&other)),
        Err(_) => "other".to_owned(),
    }
}

/// Makes frames until the cell closes.
///
/// # Errors
/// None; the cell's tasks have one shape.
pub async fn feed(cell: Arc<Cell>) -> anyhow::Result<()> {
    let (mut closing, mut tick) = (cell.closing.subscribe(), interval(FRAME));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = None::<Arc<Sample>>;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = closing.wait_for(|closing| *closing) => return Ok(()),
        }
        let Health { link, sample, .. } = cell.driver.health();
        let Some(sample) = sample else {
            before = None;
            continue;
        };
        let earlier = before.replace(sample.clone()).unwrap_or_else(|| sample.clone());
        let same = Arc::ptr_eq(&earlier, &sample);
        if cell.live.frames.receiver_count() == 0 || same {
            continue;
        }
        let frame = Frame::of(&earlier, &sample, &link, cell.running().clone());
        cell.live.frames.send_replace(serde_json::to_string(&frame)?.into());
    }
}

/// Whether a member may watch this cell now; returns the size of the plant that
/// says so.
///
/// # Errors
/// The policy in force does not allow it, or no ledger was read yet.
pub fn may_watch(cell: &Cell, member: &Id) -> Result<u64, Problem> {
    let view = cell.view();
    let Some(plant) = &view.plant else {
        let detail = "no ledger was read yet, so nobody's rights are known";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    };
    let decision = plant.may(member, Action::WatchRun, Resource::Cell(&cell.id), false, "");
    match decision.allowed {
        true => Ok(plant.size),
        false => Err(Problem::from(Refusal {
            who: member.to_string(),
            what: format!("to watch cell `{}`", cell.id),
            rule: Rule::Policy,
            reason: format!("`{member}`: {}", decision.because.join("; ")),
            accepted: format!("a member whom the policy in force allows `{}`", Action::WatchRun),
        })),
    }
}

/// Somebody who watches.
struct Listener {
    cell: Arc<Cell>,
    member: Id,
    /// The plant that allowed it.
    size: u64,
    frames: watch::Receiver<Arc<str>>,
    closing: watch::Receiver<bool>,
    _place: Place,
}

impl Listener {
    /// The newest frame that was not given yet; none when the cell closes or the
    /// listener may watch no more.
    async fn next(&mut self) -> Option<Arc<str>> {
        tokio::select! {
            _ = self.closing.wait_for(|closing| *closing) => return None,
            changed = self.frames.changed() => changed.ok()?,
        }
        if !self.still_may() {
            return None;
        }
        Some(self.frames.borrow_and_update().clone())
    }

    fn still_may(&mut self) -> bool {
        let size = self.cell.view().plant.as_ref().map(|plant| plant.size);
        if size == Some(self.size) {
            return true;
        }
        let allowed = may_watch(&self.cell, &self.member);
        allowed.map(|size| self.size = size).is_ok()
    }
}

/// `GET /live`: frames as server-sent events, until the cell closes.
pub async fn live(
    peer: Peer,
    State(cell): State<Arc<Cell>>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    let size = may_watch(&cell, &peer.member)?;
    let is_site = |plant: &Plant| plant.has_role(&peer.member, Role::Site);
    let places = match cell.view().plant.as_ref().is_some_and(is_site) {
        true => &cell.live.site,
        false => &cell.live.members,
    };
    let Some(place) = places.take(peer.member.to_string()) else {
        let detail = format!("{LISTENERS} listeners watch already, or {OF_ONE} are yours");
        let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
        let accepted = format!("at most {LISTENERS} listeners at a time, {OF_ONE} of one member");
        problem.accepted = Some(accepted);
        return Err(problem);
    };
    let listener = Listener {
        member: peer.member,
        size,
        frames: cell.live.frames.subscribe(),
        closing: cell.closing.subscribe(),
        _place: place,
        cell,
    };
    let frames = unfold(listener, |mut listener| async move {
        let frame = listener.next().await?;
        Some((Ok(sse::Event::default().event("frame").data(&*frame)), listener))
    });
    Ok(Sse::new(frames).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use robot::{Controller, RobotMode, RuntimeState, SafetyStatus, Series};

    fn frame(series: Series) -> serde_json::Value {
        let before = Sample::default();
        let sample = Sample {
            controller_time: 0.05,
            host_ns: 1_700_000_000_123_456_789,
            q: [0.5; 6],
            tcp_pose: [0.1, 0.0, 0.0, 0.0, 0.0, 0.0],
            robot_mode: RobotMode::Running,
            safety: SafetyStatus::Normal,
            runtime: RuntimeState::from(77),
            speed_scaling: f64::NAN,
            ..Sample::default()
        };
        let link =
            Link::Connected(Controller { series, version: [5, 12, 6, 0], frequency_hz: 500.0 });
        serde_json::to_value(Frame::of(&before, &sample, &link, None)).unwrap()
    }

    #[test]
    fn a_frame_has_the_shape_that_the_console_reads() {
        let frame = frame(Series::ESeries);
        let mut keys: Vec<_> = frame.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        let expected = [
            "at",
            "limits",
            "mode",
            "q",
            "qd",
            "run",
            "runtime",
            "safety",
            "speed_scaling",
            "tcp_force",
            "tcp_pose",
            "tcp_speed",
        ];
        assert_eq!(keys, expected);
        assert_eq!(frame["at"], 1_700_000_000_123_u64);
        assert_eq!((&frame["mode"], &frame["safety"]), (&"running".into(), &"normal".into()));
        assert_eq!(frame["runtime"], "other 77");
        assert!(frame["speed_scaling"].is_null() && frame["run"].is_null());
        assert!((frame["tcp_speed"][0].as_f64().unwrap() - 2.0).abs() < 1e-9);
        assert_eq!(frame["limits"]["joint_speed"].as_array().unwrap().len(), 6);
    }

    #[test]
    fn an_unknown_series_has_no_limits() {
        assert!(frame(Series::PolyScopeX)["limits"].is_null());
    }
}
