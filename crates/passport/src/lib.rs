//! An item's digital passport: issued, verified offline, rendered.
//!
//! ```text
//!  ledger ──excerpt_for──▶ indexes ─┐
//!  checkpoint, paths, manifests ────┴─▶ Draft ──issue──▶ Verified ──▶ .vc.jwt .json .html
//!                                                           ▲
//!                        any of the three files ──verify_file
//! ```
//!
//! A passport is a W3C verifiable credential (data model 2.0) as `vc+jwt`
//! (VC-JOSE-COSE, `EdDSA`) in the shape of the UNTP digital product passport
//! 0.6.1. Under `evidence` it carries what its statements rest on: the leaves of
//! the ledger that led to it, their inclusion paths, a witnessed checkpoint and
//! the cells' signed recording manifests. A reader folds those leaves with the
//! very fold that the site, the cell and the audit use, and *derives* the whole
//! credential from them. So there is nothing in a passport that is stated and not
//! proven, except the time of issue, which the site signs.
//!
//! The three files have one spelling each: a passport's JSON and HTML are
//! functions of its JWT (and of the pictures, whose digests the report names), so
//! one changed bit anywhere is found. [`Broken`] names the place.
//!
//! A [trace](verify_trace) is the same evidence about one order, as the console
//! exports it: it is verified by the same fold, and says of each step whether it
//! holds.
//!
//! Nothing here reads a clock, a file, a socket or a random source.

mod broken;
mod chain;
mod credential;
mod did;
mod evidence;
mod examine;
mod excerpt;
mod facts;
mod file;
mod jose;
mod page;
mod seal;
mod steps;
mod trace;

pub use broken::Broken;
pub use chain::Anchors;
pub use did::{BadDid, DidWeb, NamedKey, did_document, issuer_keys, jwks};
pub use evidence::{Draft, Evidence, FORMAT, MAX_ENTRIES, MAX_JWT_BYTES, ProvenLeaf};
pub use excerpt::{Idle, excerpt_for, rests_on};
pub use facts::{Facts, Finding, Overall, Step, Trust};
pub use file::{Form, MAX_FILE_BYTES, verify_file};
pub use seal::{Verified, issue, verify};
pub use trace::{Check, MAX_TRACE_BYTES, TRACE_FORMAT, Trace, verify_trace};
