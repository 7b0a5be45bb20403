//! Encrypted recordings, addressed by content, served under grant.
//!
//! A recording is sealed while it is made ([`seal`]), each ciphertext segment is
//! one IPFS leaf ([`dag`]), segments lie in pack files ([`store`]), the data key
//! lies wrapped beside them ([`keys`]) and is wrapped again for each grantee
//! ([`grant_key`]). [`ingest`] takes a recording in from a cell, [`gateway`] serves
//! it over HTTP after the data gate has agreed, [`mod@fetch`] is the verifying reader
//! at the other end. All formats are public ones: Tink streaming AEAD, UnixFS,
//! CAR v1, the IPFS trustless gateway, HPKE (RFC 9180).

pub mod address;
pub mod car;
pub mod dag;
pub mod fetch;
pub mod gateway;
pub mod getter;
pub mod grant_key;
pub mod ingest;
pub mod keys;
pub mod record;
pub mod seal;
pub mod store;
mod varint;

pub use cid::Cid;
