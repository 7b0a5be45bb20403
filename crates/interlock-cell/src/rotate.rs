//! The cell's own signing key, replaced between two runs.
//!
//! The cell folds the ledger itself, so it knows when two officers enrolled its next
//! key. It takes it when no run is under way: one key signs a run from its start to
//! its recordings' entries. The old key counts until everything that it signed was
//! delivered; then the cell gives it up.

use crate::{cell::Cell, outbox::Item};
use base::Digest;
use node::{fresh_nonce, now, rotation::Turn};
use proof::keys::{PublicKey, SecretKey, Signer};
use std::{sync::Arc, time::Duration};

/// How often the old key is looked at.
const LOOK: Duration = Duration::from_secs(1);

fn turn(cell: &Cell) -> anyhow::Result<Turn> {
    if cell.distrust().is_some() {
        return Ok(Turn::Rest);
    }
    let view = cell.view();
    let counts = |key: &Digest| {
        view.plant.as_ref().is_some_and(|plant| plant.live_key(&cell.id, key).is_some())
    };
    // Before the ledger was read nothing is known, which is no reason to forget a key.
    match view.plant {
        Some(_) => Ok(cell.node.turn(counts)?),
        None => Ok(Turn::Rest),
    }
}

/// Takes the next key when it is enrolled. A failure leaves the key in use.
pub fn between_runs(cell: &Cell) {
    let switched = match turn(cell) {
        Ok(Turn::Switch) => tokio::task::block_in_place(|| cell.node.switch()),
        Ok(_) => return,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the cell's keys cannot be read");
            return;
        }
    };
    match switched {
        Ok(()) => tracing::info!("the cell signs with its next key from now on"),
        Err(error) => tracing::error!(%error, "the cell's next key cannot be taken"),
    }
}

/// Whether nothing of the old key is on its way to the ledger.
fn delivered(cell: &Cell, old: &SecretKey) -> bool {
    let (key, public) = (PublicKey::of(old).fingerprint(), old.public());
    let signed = |item: &Item| match item {
        Item::Entry(entry) => entry.statement.key == key,
        // An entry may have been stated anew with another key, its manifest never is.
        Item::Recording(parcel) => {
            parcel.entry.statement.key == key || parcel.manifest.verify(&public).is_ok()
        }
    };
    cell.running().is_none() && !cell.owes(signed)
}

/// Gives the old key up once all that it signed was delivered, until the cell closes.
///
/// # Errors
/// None; what fails is tried again.
pub async fn give_up(cell: Arc<Cell>) -> anyhow::Result<()> {
    let mut closing = cell.closing.subscribe();
    // Twice in a row: an entry may stand between its signature and the outbox.
    let mut quiet = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = closing.wait_for(|closing| *closing) => return Ok(()),
        }
        let was_quiet = std::mem::take(&mut quiet);
        let done = match turn(&cell) {
            Ok(Turn::GiveUp(old)) if !was_quiet => {
                quiet = delivered(&cell, &old);
                Ok(())
            }
            Ok(Turn::GiveUp(old)) if delivered(&cell, &old) => send(&cell, &old).await,
            Ok(Turn::Forget) => cell.node.forget_old().map_err(anyhow::Error::from),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::warn!(error = format!("{error:#}"), "the old key is not given up yet");
        }
    }
}

async fn send(cell: &Cell, old: &SecretKey) -> anyhow::Result<()> {
    let entry = cell.node.give_up(old, now(), fresh_nonce()?)?;
    cell.client.submit(&entry).await?;
    cell.node.forget_old()?;
    tracing::info!("the old key is given up");
    Ok(())
}
