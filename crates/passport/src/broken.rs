//! What broke, in words.

/// Why a passport is not one. Every variant says *what* broke, as a reader would
/// point at it, and *how*.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The text cannot be read as a passport: it was cut, or a character changed.
    #[error("{what} can't be read: {reason}")]
    Unreadable {
        /// The part of the file.
        what: String,
        /// What was found.
        reason: String,
    },
    /// The plant is another one than the reader trusts.
    #[error("{what} isn't what you trust: {reason}")]
    Untrusted {
        /// What the reader pinned.
        what: String,
        /// What was found.
        reason: String,
    },
    /// A statement, signature or proof does not hold.
    #[error("{what} doesn't hold: {reason}")]
    Proof {
        /// What was to be proven.
        what: String,
        /// What was found.
        reason: String,
    },
    /// The readable file says something else than its credential.
    #[error("{what} differs from what its credential renders to: {reason}")]
    Rendering {
        /// The file.
        what: String,
        /// Where, and what stands there.
        reason: String,
    },
}

impl Broken {
    pub(crate) fn unreadable(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Unreadable { what: what.into(), reason: reason.to_string() }
    }

    pub(crate) fn untrusted(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Untrusted { what: what.into(), reason: reason.to_string() }
    }

    pub(crate) fn proof(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Proof { what: what.into(), reason: reason.to_string() }
    }

    pub(crate) fn rendering(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Rendering { what: what.into(), reason: reason.to_string() }
    }
}
