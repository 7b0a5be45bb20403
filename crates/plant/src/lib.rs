//! The plant's state, as a fold over ledger entries.
//!
//! ```text
//!   leaf bytes ──parse──▶ Leaf ──verify──▶ VerifiedEntry ──admit──▶ Admitted ──apply──▶ Plant'
//! ```
//!
//! One fold serves three: the site's sequencer admits entries with it, the cell
//! authorises motion with it, an audit replays it. It is pure: who may do what
//! follows from the entries before an index and the time at which the site logged
//! the entry, so everybody who has the entries has the same plant.
//!
//! [`Plant::admit`] decides, [`Plant::apply`] cannot fail: an [`Admitted`] comes
//! out of `admit` only. A follower that meets an inadmissible entry on a ledger
//! knows that the site lied; see [`Plant::append`].

pub mod body;

mod admit;
mod apply;
mod data;
mod keys;
mod rules;
mod state;
pub mod trust;

pub use admit::Admitted;
pub use body::Body;
pub use state::{
    GrantState, HoldState, MemberState, OrderState, Plant, ProgramState, Proposal, RecordingState,
    Reported, RunStatus,
};
pub use trust::Rotation;
