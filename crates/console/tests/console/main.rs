//! The console over real sockets: who gets in, how long, and what every answer
//! carries.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod guard;
mod house;
mod sessions;
mod sign_in;
