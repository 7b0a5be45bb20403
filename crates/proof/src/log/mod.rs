//! The log as its readers see it: keys, notes, checkpoints, cosignatures and
//! Merkle proofs.
//!
//! A log's operator signs a *checkpoint*: origin, size and Merkle root of the
//! log. Alone it says little, since an operator can sign two histories. A
//! *witness* cosigns a checkpoint only when it extends all that the witness has
//! seen, so a quorum of cosignatures means that everybody sees the same log. An
//! *inclusion proof* then ties one leaf to that checkpoint.
//!
//! ```text
//! note bytes --LogPolicy::verify_checkpoint--> WitnessedCheckpoint
//!                                               |  include(index, leaf, path)
//!                                               |  extend(frontier, leaves)
//!                                               |  reach(recomputed), then show(leaves)
//!                                               v
//!                                            Included
//! ```
//!
//! [`WitnessedCheckpoint`] and [`Included`] have private fields and come out of
//! a verification only. Formats follow C2SP: [signed-note], [tlog-checkpoint],
//! [tlog-cosignature] (Ed25519, `cosignature/v1`), [tlog-witness] and
//! [tlog-proof]; hashes and proofs follow RFC 6962 §2.1 and RFC 9162 §2.1.
//!
//! Everything here is a function of its arguments, bounded in what it reads, and
//! fails closed: bytes that do not verify yield an error, never a weaker value.
//!
//! [signed-note]: https://c2sp.org/signed-note
//! [tlog-checkpoint]: https://c2sp.org/tlog-checkpoint
//! [tlog-cosignature]: https://c2sp.org/tlog-cosignature
//! [tlog-witness]: https://c2sp.org/tlog-witness
//! [tlog-proof]: https://c2sp.org/tlog-proof

mod checkpoint;
mod included;
pub mod merkle;
mod note;
mod policy;
mod tlog_proof;
mod witness;

pub use checkpoint::{
    BadCheckpoint, Checkpoint, LogSigner, MAX_LOG_SIZE, MAX_NOTE_BYTES, SignedCheckpoint,
    append_signature_lines, cosign,
};
pub use included::{ExtendError, Included, NotIncluded, OtherRun, ProvenRuns, Recomputed};
pub use note::{BadVKey, KeyKind, VKey};
pub use policy::{BadPolicy, CheckpointError, LogPolicy, WitnessedCheckpoint};
pub use tlog_proof::{BadProof, ProofError, TlogProof};
pub use witness::{AddCheckpoint, Cosigned, WitnessCore, WitnessRefusal, WitnessState};
