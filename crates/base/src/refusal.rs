//! Refusals: who asked for what, which rule refused it, what would be accepted.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The rule that refused a request. Its text is stable: it stands in ledger
/// entries, exit messages and tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The bytes are not a canonical, complete, bounded entry.
    Format,
    /// The signature does not verify under the enrolled key.
    Signature,
    /// The issuer or its key is not enrolled, or it is revoked.
    Enrolment,
    /// The policy allows no role of the issuer to do this.
    Policy,
    /// The same (issuer, cell, nonce) or the same entry was used before.
    Replay,
    /// Before `not_before`, after `not_after`, or a clock out of bounds.
    Time,
    /// The ledger does not prove the entry: absent, forked or unwitnessed.
    Inclusion,
    /// The newest witnessed checkpoint is too old, or too many entries followed.
    Freshness,
    /// A hold is in force.
    Hold,
    /// The named cell, program, part, recording or processor is another one.
    Target,
    /// Parameters or a program outside what was approved.
    Parameters,
    /// A live grant does not cover this read.
    Grant,
    /// The byte budget of the grant is used up.
    Budget,
    /// More distinct approvers are needed.
    Approval,
    /// The robot, the disk or a peer is not in a state to do this.
    State,
    /// A bound on size, rate or time was passed.
    Limit,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_value(self).unwrap_or_default();
        f.write_str(text.as_str().unwrap_or_default())
    }
}

/// A request that was refused, in words that its sender can act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{who} asked for {what}: refused by rule `{rule}`: {reason}; accepted would be {accepted}")]
pub struct Refusal {
    /// Who asked: a member's identifier, or what is known of the peer.
    pub who: String,
    /// What was asked for.
    pub what: String,
    /// The rule that refused it.
    pub rule: Rule,
    /// What was found.
    pub reason: String,
    /// What would have been accepted.
    pub accepted: String,
}
