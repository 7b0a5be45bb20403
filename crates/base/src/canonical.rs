//! Canonical JSON (RFC 8785), the bytes that are signed and logged.

use serde::{Serialize, de::DeserializeOwned};

/// The most canonical bytes an entry may have (64 KiB).
pub const MAX_CANONICAL_BYTES: usize = 64 * 1024;

/// Why bytes are not a canonical value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CanonicalError {
    /// The bytes are longer than [`MAX_CANONICAL_BYTES`].
    #[error("{0} bytes of JSON, at most {MAX_CANONICAL_BYTES} are allowed")]
    TooLong(usize),
    /// The bytes do not parse as the expected value.
    #[error("not the expected JSON: {0}")]
    Parse(String),
    /// The bytes parse, but another writer would have written other bytes:
    /// white space, key order, a repeated or unknown key, a number's spelling.
    #[error("not in canonical form (RFC 8785)")]
    NotCanonical,
}

/// The canonical bytes of a value.
pub fn to_canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let bytes = serde_json_canonicalizer::to_vec(value)
        .map_err(|e| CanonicalError::Parse(e.to_string()))?;
    if bytes.len() > MAX_CANONICAL_BYTES {
        return Err(CanonicalError::TooLong(bytes.len()));
    }
    Ok(bytes)
}

/// Parses a value and refuses bytes that are not its canonical form, so that a
/// value has one spelling only and a repeated or unknown key cannot hide.
pub fn from_canonical<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, CanonicalError> {
    if bytes.len() > MAX_CANONICAL_BYTES {
        return Err(CanonicalError::TooLong(bytes.len()));
    }
    let value: T =
        serde_json::from_slice(bytes).map_err(|e| CanonicalError::Parse(e.to_string()))?;
    if to_canonical(&value)? != bytes {
        return Err(CanonicalError::NotCanonical);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn keys_are_sorted_and_spaces_gone() {
        let bytes = to_canonical(&json!({"b": 1, "a": [1.0, "é"]})).unwrap();
        assert_eq!(bytes, "{\"a\":[1,\"é\"],\"b\":1}".as_bytes());
    }

    #[test]
    fn another_spelling_is_refused() {
        for bad in ["{\"b\":1,\"a\":2}", "{\"a\": 1}", "{\"a\":1,\"a\":1}", "[1.0]"] {
            assert_eq!(
                from_canonical::<Value>(bad.as_bytes()),
                Err(CanonicalError::NotCanonical),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_length_is_bounded() {
        let long = vec![b' '; MAX_CANONICAL_BYTES + 1];
        assert!(matches!(from_canonical::<Value>(&long), Err(CanonicalError::TooLong(_))));
    }
}
