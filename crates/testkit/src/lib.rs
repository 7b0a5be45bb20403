//! Test tools: a robot controller simulator.
//!
//! Nothing here is part of the product; tests, drills and the demonstration use it
//! where a real plant has machines.

pub mod ursim;
