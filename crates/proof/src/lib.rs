//! What can be proven, and the types that carry the proof.
//!
//! * [`keys`]: Ed25519 machine and person keys, passkeys, and verification;
//! * [`entry`]: one signed statement, as it goes on the ledger;
//! * [`webauthn`]: a passkey's assertion over an entry (WebAuthn level 3);
//! * [`log`]: signed notes, checkpoints, cosignatures, Merkle proofs (C2SP);
//! * [`recording`]: the signed checkpoint chain and manifest of a recording.
//!
//! Nothing here reads a clock, a file, a socket or a random source. A type that
//! says *verified*, *witnessed* or *included* has private fields and comes out of
//! a verification only, so holding one is the proof.

pub mod entry;
pub mod keys;
pub mod log;
pub mod recording;
pub mod webauthn;
