//! Canonical JSON (RFC 8785), the bytes that are signed and logged.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The most canonical bytes an entry may have (64 KiB).
pub const MAX_CANONICAL_BYTES: usize = 64 * 1024;

/// The largest number of either sign in an entry: 2^53 − 1. Up to it, every program
/// that reads JSON's numbers as doubles, a browser for one, reads the whole number that
/// was meant and no neighbour of it.
pub const MAX_NUMBER: u64 = (1 << 53) - 1;

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
    /// A number is beyond ±[`MAX_NUMBER`].
    #[error("the number {0}, at most {MAX_NUMBER} of either sign is allowed")]
    Number(String),
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

/// Refuses a value with a number beyond ±[`MAX_NUMBER`].
pub fn check_numbers(value: &Value) -> Result<(), CanonicalError> {
    match value {
        Value::Number(number) => {
            let small = match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(whole), _, _) => whole.unsigned_abs() <= MAX_NUMBER,
                (None, Some(whole), _) => whole <= MAX_NUMBER,
                // Every double that is no whole number is far below.
                (None, None, Some(double)) => double.abs() <= MAX_NUMBER as f64,
                (None, None, None) => false,
            };
            if small { Ok(()) } else { Err(CanonicalError::Number(number.to_string())) }
        }
        Value::Array(items) => items.iter().try_for_each(check_numbers),
        Value::Object(fields) => fields.values().try_for_each(check_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
    fn numbers_are_those_that_every_reader_counts_alike() {
        let most = MAX_NUMBER;
        let signed = i64::try_from(most).unwrap();
        for good in [json!(0), json!(most), json!(-signed), json!(0.5), json!(most as f64)] {
            assert_eq!(check_numbers(&json!({"a": [good]})), Ok(()), "{good}");
        }
        for bad in [
            json!(most + 1),
            json!(u64::MAX),
            json!(-signed - 1),
            json!(i64::MIN),
            json!(1e16),
            json!(-1e300),
        ] {
            let found = check_numbers(&json!([{"a": {"b": bad}}]));
            assert_eq!(found, Err(CanonicalError::Number(bad.to_string())), "{bad}");
        }
    }

    #[test]
    fn the_length_is_bounded() {
        let long = vec![b' '; MAX_CANONICAL_BYTES + 1];
        assert!(matches!(from_canonical::<Value>(&long), Err(CanonicalError::TooLong(_))));
    }
}
