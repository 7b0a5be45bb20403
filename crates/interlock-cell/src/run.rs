//! One run: consume the order, move, record, say how it ended.
//!
//! What comes first and why:
//! 1. the recordings are opened, so that a full disk uses up no order;
//! 2. the order is consumed, on the disk;
//! 3. the robot moves, photographed at each viewpoint;
//! 4. the recordings are ended and the run's end is on the disk, whatever became
//!    of the robot, and delivery is another task's affair.

use crate::{
    camera,
    cell::{Cell, Running, host_ns},
    journal::Act,
    outbox::{Item, Parcel},
    picture::Picture,
    spool::Label,
    tapes::{CameraTape, Reel, StateTape},
};
use anyhow::{Context, bail};
use base::{Digest, Id};
use capture::{About, Camera, CaptureRequest, ImageMessage};
use gate::VerifiedOrder;
use node::now;
use plant::body::{Body, Outcome, Recording, RunEnded, RunStarted};
use proof::recording::{recording_name, run_name};
use robot::{Event, Link, Motion, Sample};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, interval, sleep, sleep_until};

/// Recorded after the robot's last event, so that its standstill is on record.
const TAIL: Duration = Duration::from_millis(200);
/// How long a stopped run may take to end.
const STOP_PATIENCE: Duration = Duration::from_secs(15);
/// How often a run is looked after.
const TICK: Duration = Duration::from_millis(100);
/// With fewer bytes free a run is stopped while there is room to end its recordings
/// well and to say so.
const END_BYTES: u64 = 16 << 20;
/// The longest reason in an entry, in characters.
const MAX_REASON: usize = 400;

/// How the robot's part of a run ended.
struct End {
    outcome: Outcome,
    reason: String,
    viewpoints: u32,
}

/// What a run records into.
struct Tapes {
    state: StateTape,
    pictures: CameraTape,
    camera: Arc<Mutex<Box<dyn Camera>>>,
    camera_name: Id,
}

/// Carries out an order, to whatever end.
///
/// # Errors
/// The disk failed where an order was to be used or its end to be written down.
pub async fn carry_out(cell: &Arc<Cell>, order: VerifiedOrder) -> anyhow::Result<()> {
    let id = order.order();
    let run = run_name(&id)?;
    let seq = cell.view().scans_before(&id);
    let tapes = match tokio::task::block_in_place(|| open(cell, &id, &run)) {
        Ok(tapes) => tapes,
        Err(error) => {
            return cell.set_back("the recordings could not be opened", error).await;
        }
    };
    let started = RunStarted { checkpoint: order.checkpoint(), order: id };
    let started = cell.sign(&Body::RunStarted(started))?;
    let started = vec![Item::Entry(Box::new(started))];
    if let Err(error) = cell.record(Act::Consumed { order: id }, started) {
        discard(cell, &id, tapes).await?;
        return cell.set_back("the order could not be used up", error).await;
    }
    *cell.running() = Some(Running {
        order: id,
        run: run.clone(),
        part: order.part().clone(),
        program: order.program().id.clone(),
        since: now(),
        viewpoints: 0,
    });
    tracing::info!(%run, part = %order.part(), program = %order.program().id, "a run starts");
    let end = drive(cell, order, &tapes, seq).await;
    sleep(TAIL).await;
    let items = finish(cell, &id, tapes, end).await?;
    while let Err(error) = cell.record(Act::Ended { order: id }, items.clone()) {
        *cell.running() = None;
        cell.set_back("the end of a run could not be written down", error).await?;
    }
    *cell.running() = None;
    cell.notify();
    tokio::task::block_in_place(|| cell.spool.tidy());
    Ok(())
}

fn open(cell: &Cell, order: &Digest, run: &Id) -> anyhow::Result<Tapes> {
    let frequency_hz = match cell.driver.health().link {
        Link::Connected(controller) => controller.frequency_hz,
        other => bail!("the robot is not connected: {other:?}"),
    };
    let camera = camera::open(&cell.config.camera, order)?;
    let camera_name = camera.name().clone();
    let label = |stream: &str, cameras: Vec<Id>| -> anyhow::Result<Label> {
        let stream: Id = stream.parse()?;
        let about = About {
            recording: recording_name(order, &stream)?,
            run: run.clone(),
            order: *order,
            cell: cell.id.clone(),
            robot: cell.config.robot.name.clone(),
        };
        Ok(Label { about, stream, cameras })
    };
    // One key signs all of a run's recordings.
    let key = cell.node.signer.current();
    let (spool, signer) = (&cell.spool, || key.clone());
    let pictures = label("camera", vec![camera_name.clone()])?;
    let pictures = CameraTape::start(spool, signer(), pictures)?;
    let samples = cell.driver.samples();
    let state = label("state", vec![])?;
    let state = StateTape::start(spool, signer(), state, samples, frequency_hz)?;
    Ok(Tapes { state, pictures, camera: Arc::new(Mutex::new(camera)), camera_name })
}

/// Takes recordings away that belong to no run.
async fn discard(cell: &Cell, order: &Digest, tapes: Tapes) -> anyhow::Result<()> {
    // Whether they ended well does not matter any more.
    let _ = (tapes.state.finish().await, tapes.pictures.finish().await);
    for stream in ["state", "camera"] {
        cell.spool.forget(&recording_name(order, &stream.parse()?)?)?;
    }
    Ok(())
}

/// Moves the robot and follows it to the run's last event.
async fn drive(cell: &Arc<Cell>, order: VerifiedOrder, tapes: &Tapes, seq: u64) -> End {
    let (id, part, mut viewpoints) = (order.order(), order.part().clone(), 0);
    // A stop counts from the moment the cell decided: before the start it prevents
    // it, and during the start it cancels it, which leaves no program behind.
    let mut halted = cell.halt.subscribe();
    let started = tokio::select! {
        biased;
        _ = halted.wait_for(Option::is_some) => {
            let reason = "it was stopped before it moved".to_owned();
            return early(cell, Outcome::Stopped, reason, 0);
        }
        started = cell.driver.start(order) => started,
    };
    let mut motion = match started {
        Ok(motion) => motion,
        Err(error) => return early(cell, Outcome::Failed, error.to_string(), 0),
    };
    let early_stop = cell.halt.borrow().clone();
    if let Some(stop) = early_stop {
        halt(cell, stop.outcome, &stop.reason).await;
    }
    let (mut tick, mut late) = (interval(TICK), None::<Instant>);
    loop {
        let deadline = late.unwrap_or_else(|| Instant::now() + STOP_PATIENCE);
        let event = tokio::select! {
            event = motion.next() => event,
            _ = tick.tick() => {
                late = look_after(cell, tapes, late).await;
                continue;
            }
            () = sleep_until(deadline), if late.is_some() => {
                let reason = "the robot did not report its stop".to_owned();
                return early(cell, Outcome::Failed, reason, viewpoints);
            }
        };
        match event {
            Some(Event::Started) => {}
            Some(Event::Viewpoint { index, sample }) => {
                let shot = Shot { order: id, part: &part, seq, index, sample: &sample };
                match photograph(cell, tapes, &shot).await {
                    Ok(()) => {
                        viewpoints += 1;
                        cell.running().iter_mut().for_each(|run| run.viewpoints = viewpoints);
                        acknowledge(&mut *motion, index).await;
                    }
                    Err(error) => halt(cell, Outcome::Failed, &format!("{error:#}")).await,
                }
            }
            Some(last) => return ended(cell, last, viewpoints),
            None => {
                let reason = "the driver ended without a last event".to_owned();
                return early(cell, Outcome::Failed, reason, viewpoints);
            }
        }
    }
}

/// Stops the run when the ledger or the recording wants it. Returns until when a
/// run that was stopped may take to end.
async fn look_after(cell: &Arc<Cell>, tapes: &Tapes, late: Option<Instant>) -> Option<Instant> {
    let stopped = cell.halt.borrow().is_some();
    if !stopped {
        let held = cell.view().hold(&cell.id);
        if let Some(reason) = held {
            halt(cell, Outcome::Stopped, &reason).await;
        } else if tapes.state.failed() {
            halt(cell, Outcome::Failed, "the recording failed").await;
        } else if let Err(why) = cell.room(END_BYTES) {
            halt(cell, Outcome::Failed, &why).await;
        }
    }
    let stopped = cell.halt.borrow().is_some();
    late.or_else(|| stopped.then(|| Instant::now() + STOP_PATIENCE))
}

async fn halt(cell: &Arc<Cell>, outcome: Outcome, reason: &str) {
    if let Err(error) = cell.stop(outcome, reason).await {
        tracing::error!(error = format!("{error:#}"), "the robot did not confirm the stop");
    }
}

async fn acknowledge(motion: &mut dyn Motion, viewpoint: u32) {
    if let Err(error) = motion.captured(viewpoint).await {
        // The run's last event says what became of it.
        tracing::warn!(%error, "a viewpoint was not acknowledged");
    }
}

struct Shot<'a> {
    order: Digest,
    part: &'a Id,
    seq: u64,
    index: u32,
    sample: &'a Sample,
}

async fn photograph(cell: &Cell, tapes: &Tapes, shot: &Shot<'_>) -> anyhow::Result<()> {
    let (camera, part) = (tapes.camera.clone(), shot.part.clone());
    let (viewpoint, pose, seq) = (shot.index, shot.sample.tcp_pose, shot.seq);
    let image = tokio::task::spawn_blocking(move || {
        let mut camera = camera.lock().unwrap_or_else(PoisonError::into_inner);
        let host_ns = host_ns();
        camera.capture(&CaptureRequest { part: &part, viewpoint, pose, seq, host_ns })
    });
    let image = image.await??;
    let picture = Picture::of(shot.order, viewpoint, &image);
    let message = ImageMessage {
        camera: tapes.camera_name.clone(),
        part: shot.part.clone(),
        viewpoint,
        pose,
        seq,
        controller_ns: (shot.sample.controller_time * 1e9) as u64,
        image,
    };
    tapes.pictures.write(message).await?;
    // Only what is on record is shown.
    *cell.picture() = Some(picture);
    Ok(())
}

/// What the robot's last event means for the run.
fn ended(cell: &Cell, last: Event, viewpoints: u32) -> End {
    let (outcome, reason) = match last {
        // Somebody stopped it and it ended all the same: not a run as ordered.
        Event::Finished if cell.halt.borrow().is_some() => (Outcome::Stopped, String::new()),
        Event::Finished => {
            return End { outcome: Outcome::Finished, reason: String::new(), viewpoints };
        }
        Event::Stopped { why } => (Outcome::Stopped, why),
        Event::ProtectiveStop => {
            (Outcome::Stopped, "the safety system stopped the arm (protective stop)".to_owned())
        }
        Event::EmergencyStop => (Outcome::Stopped, "an emergency stop is engaged".to_owned()),
        Event::ConnectionLost { why } => {
            (Outcome::Failed, format!("the connection to the robot was lost: {why}"))
        }
        Event::Started | Event::Viewpoint { .. } => {
            (Outcome::Failed, "the driver ended within the run".to_owned())
        }
    };
    early(cell, outcome, reason, viewpoints)
}

/// An early end: who asked for it counts more than what the controller saw of it.
fn early(cell: &Cell, outcome: Outcome, reason: String, viewpoints: u32) -> End {
    match cell.halt.borrow().clone() {
        Some(halt) => End { outcome: halt.outcome, reason: halt.reason, viewpoints },
        None => End { outcome, reason, viewpoints },
    }
}

/// Ends the recordings; returns what is to be delivered of the run.
async fn finish(
    cell: &Arc<Cell>,
    order: &Digest,
    tapes: Tapes,
    mut end: End,
) -> anyhow::Result<Vec<Item>> {
    let (state, pictures) = (tapes.state.finish().await, tapes.pictures.finish().await);
    let (mut samples, mut lost, mut recordings) = (0, 0, Vec::new());
    if let Ok(state) = &state {
        (samples, lost) = (state.samples, state.lost);
    }
    for reel in [state, pictures] {
        match reel.and_then(|reel| recording(cell, order, reel)) {
            Ok(item) => recordings.push(item),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "a recording failed");
                let why = format!("a recording failed: {error:#}");
                match end.outcome {
                    Outcome::Finished => (end.outcome, end.reason) = (Outcome::Failed, why),
                    _ => end.reason = format!("{}; {why}", end.reason),
                }
            }
        }
    }
    tracing::info!(
        order = %order.short(), outcome = ?end.outcome, reason = end.reason,
        samples, lost, viewpoints = end.viewpoints, "the run is over"
    );
    let ended = RunEnded {
        lost,
        order: *order,
        outcome: end.outcome,
        reason: end.reason.chars().take(MAX_REASON).collect(),
        samples,
        viewpoints: end.viewpoints,
    };
    let ended = cell.sign(&Body::RunEnded(ended))?;
    let mut items = vec![Item::Entry(Box::new(ended))];
    items.append(&mut recordings);
    Ok(items)
}

fn recording(cell: &Cell, order: &Digest, reel: Reel) -> anyhow::Result<Item> {
    let manifest = reel.manifest;
    let claim = &manifest.claim;
    let body = Body::Recording(Recording {
        bytes: claim.ciphertext_bytes,
        commitment: claim.sealing.key_commitment,
        manifest: manifest.digest()?,
        order: *order,
        root: claim.root_cid.clone(),
        stream: claim.stream.clone(),
    });
    let entry = cell.sign(&body).context("a recording's entry")?;
    Ok(Item::Recording(Box::new(Parcel { manifest, entry })))
}
