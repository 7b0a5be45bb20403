//! Cross-checks: order, run, recordings, manifests, grant and report must tell
//! one story.
//!
//! The fold has shown that each entry was admissible where it stands. Here the
//! story of one report is picked out of it, and the manifests, which stand beside
//! the ledger, are tied to the entries that name them.

use crate::{
    Broken,
    chain::{Chain, Logged},
    evidence::Evidence,
    excerpt_for,
};
use base::Digest;
use plant::{
    Body, GrantState, OrderState, RecordingState, Reported, RunStatus,
    body::{Outcome, RunEnded},
};
use proof::recording::{Manifest, SignedManifest};
use std::collections::BTreeSet;

/// One report with all that it rests on.
pub(crate) struct Case<'a> {
    pub report: &'a Reported,
    pub report_entry: &'a Logged,
    pub order: &'a OrderState,
    pub order_entry: &'a Logged,
    pub started: &'a Logged,
    pub ended: &'a Logged,
    pub run: &'a RunEnded,
    pub grant: &'a GrantState,
    pub grant_entry: &'a Logged,
    /// The run's recordings and all inputs, by root CID.
    pub recordings: Vec<(&'a RecordingState, &'a Manifest)>,
    /// The earlier report that enrolled the part.
    pub enrolment: Option<&'a Logged>,
}

/// Examines the evidence, folded in `chain`.
pub(crate) fn examine<'a>(evidence: &'a Evidence, chain: &'a Chain) -> Result<Case<'a>, Broken> {
    let plant = &chain.plant;
    let id = evidence.report;
    let report = plant.reports.get(&id).ok_or_else(|| missing("the report", &id))?;
    let report_entry = entry(chain, "the report", &id)?;
    nothing_else(evidence)?;
    let order_id = report.report.order;
    let order = plant.orders.get(&order_id).ok_or_else(|| missing("the order", &order_id))?;
    let order_entry = entry(chain, "the order", &order_id)?;
    let find = |what: &str, wanted: &dyn Fn(&Body) -> bool| {
        let found = chain.entries.iter().find(|e| wanted(&e.body));
        found.ok_or_else(|| Broken::proof(what, "no such entry is in the excerpt"))
    };
    let started = find(
        "the start of the run",
        &|body| matches!(body, Body::RunStarted(s) if s.order == order_id),
    )?;
    let ended = find(
        "the end of the run",
        &|body| matches!(body, Body::RunEnded(e) if e.order == order_id),
    )?;
    let run = match (&order.status, &order.ended) {
        (RunStatus::Ended(Outcome::Finished), Some(run)) => run,
        (status, _) => {
            let reason = format!("it is {status:?}, a finished run is expected");
            return Err(Broken::proof("the end of the run", reason));
        }
    };
    let grant = plant
        .grants
        .get(&report.report.grant)
        .ok_or_else(|| missing("the grant", &report.report.grant))?;
    let grant_entry = entry(chain, "the grant", &report.report.grant)?;
    started_in_bounds(chain, order, started)?;
    if report.report.inputs.is_disjoint(&order.recordings) {
        let reason = "none of its inputs is a recording of the run";
        return Err(Broken::proof(name(report_entry), reason));
    }
    if evidence.issued_at < report_entry.at {
        let reason =
            format!("{} is before the report was logged, {}", evidence.issued_at, report_entry.at);
        return Err(Broken::proof("the time of issue", reason));
    }
    Ok(Case {
        recordings: recordings(evidence, chain, order, report)?,
        enrolment: plant
            .enrolments
            .get(&report.report.part)
            .filter(|enrolment| **enrolment != id)
            .and_then(|enrolment| chain.entry(enrolment)),
        report,
        report_entry,
        order,
        order_entry,
        started,
        ended,
        run,
        grant,
        grant_entry,
    })
}

/// Whether the run began as its order allows: resting on a checkpoint that has the
/// order, within the order's lag and time. The cell's clock may run ahead as far
/// as any issuer's.
pub(crate) fn started_in_bounds(
    chain: &Chain,
    order: &OrderState,
    started: &Logged,
) -> Result<(), Broken> {
    let broken = |reason: String| Err(Broken::proof(name(started), reason));
    let rested = match &started.body {
        Body::RunStarted(body) => body.checkpoint,
        _ => 0,
    };
    let bounds = &order.order;
    match rested.checked_sub(order.index + 1) {
        Some(lag) if lag <= bounds.max_lag => {}
        _ => {
            return broken(format!(
                "it rests on a checkpoint of {rested} entries, the order is entry {} and allows {} after it",
                order.index, bounds.max_lag
            ));
        }
    }
    let latest = bounds.not_after.plus(chain.plant.anchors.clock_skew_ms);
    if (bounds.not_before..=latest).contains(&started.signed_at) {
        return Ok(());
    }
    broken(format!(
        "it began at {}, the order allows {} to {}",
        started.signed_at, bounds.not_before, bounds.not_after
    ))
}

/// An entry as messages name it.
pub(crate) fn name(entry: &Logged) -> String {
    format!("entry {} ({})", entry.index, entry.body.word())
}

fn missing(what: &str, id: &Digest) -> Broken {
    Broken::proof(what, format!("entry {id} is not in the excerpt"))
}

fn entry<'a>(chain: &'a Chain, what: &str, id: &Digest) -> Result<&'a Logged, Broken> {
    chain.entry(id).ok_or_else(|| missing(what, id))
}

/// An entry that has no part in the story would make a passport say more than it
/// derives.
fn nothing_else(evidence: &Evidence) -> Result<(), Broken> {
    let leaves = || evidence.entries.iter();
    let belong: BTreeSet<u64> =
        excerpt_for(&evidence.report, leaves().map(|e| (e.index, &e.leaf))).into_iter().collect();
    match leaves().find(|e| !belong.contains(&e.index)) {
        None => Ok(()),
        Some(stranger) => {
            let reason = "it has no part in this report";
            Err(Broken::proof(stranger.name(), reason))
        }
    }
}

fn recordings<'a>(
    evidence: &'a Evidence,
    chain: &'a Chain,
    order: &'a OrderState,
    report: &'a Reported,
) -> Result<Vec<(&'a RecordingState, &'a Manifest)>, Broken> {
    let roots: BTreeSet<&String> = order.recordings.iter().chain(&report.report.inputs).collect();
    let stated: Vec<&String> = evidence.manifests.iter().map(|m| &m.claim.root_cid).collect();
    if let Some(root) = roots.iter().find(|root| !stated.contains(root)) {
        let what = format!("the manifest of recording {root}");
        return Err(Broken::proof(what, "it is absent"));
    }
    if stated != roots.into_iter().collect::<Vec<_>>() {
        let reason = "one manifest for each recording, ordered by root, is expected";
        return Err(Broken::proof("the list of manifests", reason));
    }
    evidence.manifests.iter().map(|signed| Ok((recording(chain, signed)?, &signed.claim))).collect()
}

/// The ledger's recording that a manifest describes.
pub(crate) fn recording<'a>(
    chain: &'a Chain,
    signed: &SignedManifest,
) -> Result<&'a RecordingState, Broken> {
    let manifest = &signed.claim;
    let root = &manifest.root_cid;
    let what = format!("the manifest of recording {root} ({})", manifest.stream);
    let broken = |reason: String| Broken::proof(what.clone(), reason);
    let state = chain
        .plant
        .recordings
        .get(root)
        .ok_or_else(|| broken("no entry registers that recording".into()))?;
    let logged = &state.recording;
    let digest = signed.digest().map_err(|e| broken(e.to_string()))?;
    if digest != logged.manifest {
        let reason =
            format!("its digest is {digest}, entry {} names {}", state.index, logged.manifest);
        return Err(broken(reason));
    }
    let keys = chain.plant.recording_keys(root);
    if !keys.iter().any(|key| signed.verify(key).is_ok()) {
        let reason = "its signature does not verify under the cell's key";
        return Err(broken(reason.into()));
    }
    let cell = chain.plant.orders.get(&logged.order).map(|o| &o.order.cell);
    let agreements = [
        (manifest.order == logged.order, "the order"),
        (manifest.stream == logged.stream, "the stream"),
        (manifest.ciphertext_bytes == logged.bytes, "the size"),
        (manifest.sealing.key_commitment == logged.commitment, "the key commitment"),
        (cell == Some(&manifest.cell), "the cell"),
    ];
    match agreements.iter().find(|(agrees, _)| !agrees) {
        None => Ok(state),
        Some((_, what)) => {
            let reason = format!("it differs from entry {} in {what}", state.index);
            Err(broken(reason))
        }
    }
}
