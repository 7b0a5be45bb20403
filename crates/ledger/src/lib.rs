//! The append-only Merkle log: sequencer, tiles, witness, follower and check.
//!
//! One process writes a log; anybody with the folder, or an HTTP client, reads and
//! verifies it. Formats follow C2SP (tlog-tiles, tlog-checkpoint, tlog-witness); the
//! proofs are `proof::log`'s, and this crate adds files, threads and sockets.
//!
//! ```text
//!   append -> Sequencer -> Store -> stage slot, tiles          (durable here)
//!                |                     |
//!                +--> Publisher <------+--> witnesses -> checkpoint (witnessed)
//!                                                           |
//!   Follower (cell, analyst) <------------------------------+
//! ```
//!
//! * An acknowledged entry is on the disk; a crash loses none ([`store`]).
//! * The order is decided once, by one writer under a lock ([`sequencer`]).
//! * Readers act on witnessed checkpoints only ([`publish`], [`follower`]).
//! * A file operation that fails stops the writer; it never guesses.

pub mod check;
pub mod copy;
mod edge;
pub mod follower;
pub mod fs;
pub mod keys;
pub mod layout;
pub mod pair;
pub mod publish;
pub mod reader;
pub mod sequencer;
pub mod serve;
mod settle;
mod stage;
pub mod store;
pub mod witness;

pub use check::{Checked, Finding, check};
pub use follower::{FollowError, Follower, FollowerState, LogSource, NewLeaf, SourceError};
pub use fs::{Fs, RealFs};
pub use keys::KeysInForce;
pub use pair::Pair;
pub use publish::{CosignClient, CosignError, Crew, Publisher, Standing, Timing, Witness};
pub use reader::{ReadError, Reader};
pub use sequencer::{
    Admission, Admitted, AppendError, Appended, Clock, Limits, Request, Sequencer,
};
pub use serve::router;
pub use store::{CommitError, OpenError, Store};
pub use witness::{WitnessError, WitnessStore, witness_router};
