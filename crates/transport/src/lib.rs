//! How machines of a plant talk: the plant's own certificate authority, mutual
//! TLS servers and clients, and refusals over HTTP.
//!
//! Every machine holds one certificate, issued by the plant's authority, whose
//! single URI name `urn:interlock:<site>:<member>` says who it is. Both sides of
//! a connection check that name during the handshake, so code behind the
//! transport asks for a [`Peer`] and never sees a certificate. Only TLS 1.3 is
//! spoken, no root of the operating system is trusted, and each connection is
//! bounded in number, time and size before a handler runs.
//!
//! TLS says which machine sent a request. It never stands for an order or a
//! grant: those carry their own signatures and are verified by their gates.

pub mod ca;
pub mod client;
pub mod files;
pub mod limiter;
mod pace;
pub mod peer;
pub mod places;
mod porch;
pub mod problem;
pub mod server;
pub mod tls;

pub use ca::{Authority, Issued, Validity};
pub use files::{read_secret, replace_public, write_public, write_secret};
pub use limiter::Limiter;
pub use peer::Peer;
pub use places::{Place, Places};
pub use problem::Problem;
pub use server::{Counters, Limits, Server};
pub use tls::{ClientAuth, Identity, Trust, install_crypto_provider};
