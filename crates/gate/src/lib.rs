//! The gates: `decide(state, request, proof, now) -> Permit | Refusal`.
//!
//! Pure and total: no clock, no file, no socket. A permit has private fields and
//! is made here only, and an actuator takes nothing else, so code that moves a
//! robot or serves a byte has been through its gate or does not compile.
//!
//! Each gate is a list of [`Check`]s, all of them evaluated, so that *explain*
//! shows a person the same rules, green or red, that decide.

pub mod motion;
pub mod read;

pub use motion::{Draft, MotionRequest, VerifiedOrder};
pub use plant::body::ProgramRef;
pub use read::{ReadPermit, ReadRequest};

use base::{Refusal, Rule};
use serde::Serialize;

/// One rule of a gate, applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The rule.
    pub rule: Rule,
    /// Whether it is satisfied.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// What is accepted.
    pub accepted: String,
    /// Whether waiting can help: the same request may be accepted later.
    pub transient: bool,
}

impl Check {
    pub(crate) fn new(
        rule: Rule,
        ok: bool,
        found: impl Into<String>,
        accepted: impl Into<String>,
    ) -> Self {
        Self { rule, ok, found: found.into(), accepted: accepted.into(), transient: false }
    }

    pub(crate) fn transient(mut self) -> Self {
        self.transient = true;
        self
    }
}

/// Why a gate stays shut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{refusal}")]
pub struct Shut {
    /// The first rule that failed for good, or else the first that failed.
    pub refusal: Refusal,
    /// Whether every failed rule is one that waiting can mend.
    pub transient: bool,
}

/// The verdict over a list of checks.
pub(crate) fn verdict(who: &str, what: &str, checks: &[Check]) -> Result<(), Shut> {
    let failed = || checks.iter().filter(|c| !c.ok);
    let Some(first) = failed().find(|c| !c.transient).or_else(|| failed().next()) else {
        return Ok(());
    };
    Err(shut(who, what, first))
}

pub(crate) fn shut(who: &str, what: &str, check: &Check) -> Shut {
    let refusal = Refusal {
        who: who.into(),
        what: what.into(),
        rule: check.rule,
        reason: check.found.clone(),
        accepted: check.accepted.clone(),
    };
    Shut { refusal, transient: check.transient }
}
