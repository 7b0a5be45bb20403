//! The newest checkpoint that each cell and witness has cosigned.

use super::{
    Site,
    http::{Answer, bad, fault},
    own,
    recordings::signing_keys,
};
use axum::http::StatusCode;
use base::{Id, Refusal, Rule};
use policy::Role;
use proof::log::{Checkpoint, KeyKind, LogPolicy, VKey, WitnessedCheckpoint};
use std::sync::PoisonError;
use transport::Problem;

impl Site {
    /// Keeps the newest checkpoint that a cell or a witness has cosigned: a note of
    /// this log with the member's own line, not older than the one that is kept.
    pub(super) fn keep_cosignature(&self, member: &Id, note: &[u8]) -> Answer<()> {
        let policies = |note: &[u8]| {
            let claimed = Checkpoint::claimed(note).map_or(u64::MAX, |claimed| claimed.size);
            self.cosigning(member, claimed)
        };
        if policies(note).is_empty() {
            return Err(Problem::from(Refusal {
                who: member.to_string(),
                what: "to leave a cosignature".into(),
                rule: Rule::Policy,
                reason: format!("`{member}` is neither a cell nor a witness"),
                accepted: "a cosignature by a cell or a witness of this plant".into(),
            }));
        }
        let verified = |note: &[u8]| -> Result<WitnessedCheckpoint, Problem> {
            let mut found = Err(bad("no key of its own counts"));
            for policy in policies(note) {
                found = policy.verify_checkpoint(note).map_err(bad);
                if found.is_ok() {
                    break;
                }
            }
            found
        };
        let new = verified(note)?;
        let _one = self.cosigned.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.read_named("cosignatures", member.as_str()).ok();
        // What an earlier key signed makes room.
        if let Some(kept) = kept.and_then(|kept| verified(&kept).ok())
            && (new.size(), new.witnessed_at()) < (kept.size(), kept.witnessed_at())
        {
            let detail = format!(
                "a newer one is kept: {} entries, cosigned {}",
                kept.size(),
                kept.witnessed_at()
            );
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
        self.keep_named("cosignatures", member.as_str(), note).map_err(fault)
    }

    /// For each key that a member cosigns with, the policy that its line satisfies on a
    /// log of `size` entries.
    fn cosigning(&self, member: &Id, size: u64) -> Vec<LogPolicy> {
        let plant = self.plant.read();
        let Ok(log) = own::in_force(&plant, &self.node.anchors, size) else {
            return Vec::new();
        };
        let cell = plant.has_role(member, Role::Cell);
        let own = if cell { signing_keys(&plant, member) } else { Vec::new() };
        let own = own
            .into_iter()
            .filter_map(|key| VKey::new(member.as_str(), KeyKind::Witness, key).ok());
        // A witness's key is named after its member, behind the log's name.
        let ends = format!("/{member}");
        let witness = log.witnesses().iter().filter(|key| key.name().ends_with(&ends)).cloned();
        let alone = |key| LogPolicy::new(log.origin(), log.log_key().clone(), vec![key], 1).ok();
        own.chain(witness).filter_map(alone).collect()
    }
}
