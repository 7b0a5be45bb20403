//! Watching for motion that no order asked for.
//!
//! Past the gateway remain the pendant, fieldbuses and whatever else can start a
//! program. They cannot be denied from here, but they are seen: the arm moves or a
//! program runs while no order is carried out. The cell then stops the robot and
//! holds itself until two people release the hold.

use crate::cell::Cell;
use robot::{SamplesError, unordered_motion};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The time an arm may take to come to rest after a run.
const GRACE: Duration = Duration::from_secs(1);
/// How many samples in a row must show motion: one may be a push or noise.
const ENOUGH: u32 = 5;

/// Watches until the cell closes.
///
/// # Errors
/// The hold could not be written down.
pub async fn watch(cell: Arc<Cell>) -> anyhow::Result<()> {
    let (mut samples, mut closing) = (cell.driver.samples(), cell.closing.subscribe());
    let (mut active, mut moving) = (Instant::now(), 0);
    loop {
        let sample = tokio::select! {
            sample = samples.next() => sample,
            _ = closing.wait_for(|closing| *closing) => return Ok(()),
        };
        let sample = match sample {
            Ok(sample) => sample,
            Err(SamplesError::Lagged { .. }) => continue,
            Err(SamplesError::Closed) => return Ok(()),
        };
        if cell.driver.health().run_active {
            (active, moving) = (Instant::now(), 0);
            continue;
        }
        if active.elapsed() < GRACE {
            continue;
        }
        let Some(motion) = unordered_motion(&sample, false) else {
            moving = 0;
            continue;
        };
        moving += 1;
        // A hold that is in force already has stopped the robot once; a person
        // who then moves it by hand knows why.
        if moving == ENOUGH && !held(&cell) {
            if let Err(error) = cell.hold(motion.to_string()).await {
                tracing::error!(error = format!("{error:#}"), "after motion without an order");
            }
            active = Instant::now();
        }
    }
}

fn held(cell: &Cell) -> bool {
    let view = cell.view();
    view.own_hold(&cell.books().known().holds).is_some()
}
