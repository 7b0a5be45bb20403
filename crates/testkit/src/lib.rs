//! Test tools: a robot controller simulator, a passkey in software.
//!
//! Nothing here is part of the product; tests, drills and the demonstration use it
//! where a real plant has machines.

pub mod authenticator;
pub mod ursim;
