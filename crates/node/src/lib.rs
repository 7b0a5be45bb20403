//! What every machine and person of a plant is made of: a folder with its keys,
//! certificate, trust anchors and configuration ([`Node`]), how such folders are
//! made for a new plant ([`init`]), and a client to the site ([`Client`]).
//!
//! The anchors are a node's own: it verifies what the site says against them and
//! takes nothing on the site's word.

mod authorities;
pub mod client;
pub mod config;
pub mod disk;
pub mod granted;
pub mod init;
pub mod invite;
pub mod keys;
pub mod ring;
pub mod rotation;
mod sources;

pub use client::{AtCheckpoint, Client, ClientError};
pub use config::{Anchors, Config, Node, NodeError};
pub use granted::{Granted, GrantedError};
pub use sources::{fresh_nonce, fresh_seed, now};
