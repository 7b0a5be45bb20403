//! The words every other crate shares: digests, identifiers, time, canonical
//! bytes and refusals.
//!
//! Nothing here reads a clock, a file or a random source. Canonical bytes follow
//! RFC 8785 (JCS), digests are SHA-256, binary values in JSON are base64url
//! without padding (RFC 4648 §5), times are whole milliseconds since the Unix
//! epoch in UTC.

mod canonical;
mod digest;
mod id;
mod refusal;
mod time;

pub use canonical::{
    CanonicalError, MAX_CANONICAL_BYTES, MAX_NUMBER, check_numbers, from_canonical, to_canonical,
};
pub use digest::{Bytes, Digest, ParseDigestError, sha256};
pub use id::{Id, ParseIdError};
pub use refusal::{Refusal, Rule};
pub use time::{Millis, ParseMillisError};
