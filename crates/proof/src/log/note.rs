//! Keys of logs and witnesses in the text form of C2SP signed-note.
//!
//! A key is `name+id+key`: the name that stands in its signature lines, the first
//! four bytes of a hash over name and key, and a type byte with the public key in
//! base64. The type byte says which message is signed: the note's text by a log
//! (1), the text with a time by a witness (4). A key used under the wrong type
//! has another identifier and verifies nothing.

use base64::{Engine, engine::general_purpose::STANDARD as B64};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

use crate::keys::verify_ed25519;

/// The longest key text that is parsed, in bytes.
const MAX_VKEY_BYTES: usize = 512;

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyKind {
    /// A log's key: Ed25519 over the note's text (type byte 1).
    Log,
    /// A witness's key: Ed25519 over a time and the text (type byte 4).
    Witness,
}

impl KeyKind {
    fn byte(self) -> u8 {
        match self {
            Self::Log => 1,
            Self::Witness => 4,
        }
    }
}

/// The public key of a log or a witness, with its name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VKey {
    name: String,
    kind: KeyKind,
    public: [u8; 32],
}

/// Text that is not a key of a log or a witness.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadVKey {
    /// The name is empty or has a space, a plus or a control character.
    #[error("`{0}` cannot name a key: text without spaces, `+` and control characters is expected")]
    Name(String),
    /// The text is not `name+id+key`.
    #[error(
        "`{0}` is not a verifier key: `name+id+key` of type 1 or 4 (C2SP signed-note) is expected"
    )]
    Format(String),
    /// The identifier is another key's.
    #[error("the key `{given}` has a wrong identifier: {expected:08x} is expected")]
    Identifier {
        /// The text that was given.
        given: String,
        /// The identifier of that name and key.
        expected: u32,
    },
}

impl VKey {
    /// A key of a kind under a name of at most 256 bytes.
    pub fn new(name: &str, kind: KeyKind, public: [u8; 32]) -> Result<Self, BadVKey> {
        let plain = signed_note::is_key_name_valid(name) && !name.chars().any(char::is_control);
        if !plain || name.len() > 256 {
            return Err(BadVKey::Name(name.chars().take(80).collect()));
        }
        Ok(Self { name: name.to_owned(), kind, public })
    }

    /// The name that stands in signature lines.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the key signs.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The Ed25519 public key.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The identifier in signature lines: the first four bytes of
    /// SHA-256(name, newline, type byte, public key).
    pub fn id(&self) -> u32 {
        signed_note::key_id(&self.name, &self.material())
    }

    fn material(&self) -> Vec<u8> {
        let mut material = Vec::with_capacity(33);
        material.push(self.kind.byte());
        material.extend_from_slice(&self.public);
        material
    }

    /// Whether `signature` is this key's over the note text `text`.
    pub(super) fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        match self.kind {
            KeyKind::Log => verify_ed25519(&self.public, text, signature),
            KeyKind::Witness => split_cosignature(signature).is_some_and(|(time, ed25519)| {
                verify_ed25519(&self.public, &cosigned_message(time, text), ed25519)
            }),
        }
    }
}

/// The time (seconds since the Unix epoch) and the Ed25519 signature in a
/// `timestamped_signature`.
pub(super) fn split_cosignature(signature: &[u8]) -> Option<(u64, &[u8])> {
    let (time, ed25519) = signature.split_first_chunk::<8>()?;
    let time = u64::from_be_bytes(*time);
    (ed25519.len() == 64 && i64::try_from(time).is_ok()).then_some((time, ed25519))
}

/// What a witness signs at a time in seconds.
pub(super) fn cosigned_message(time: u64, text: &[u8]) -> Vec<u8> {
    let mut message = format!("cosignature/v1\ntime {time}\n").into_bytes();
    message.extend_from_slice(text);
    message
}

impl signed_note::Verifier for VKey {
    fn name(&self) -> &str {
        &self.name
    }
    fn key_id(&self) -> u32 {
        self.id()
    }
    fn verify(&self, msg: &[u8], sig: &[u8]) -> bool {
        self.verifies(msg, sig)
    }
}

impl fmt::Display for VKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:08x}+{}", self.name, self.id(), B64.encode(self.material()))
    }
}

impl fmt::Debug for VKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VKey({self})")
    }
}

impl FromStr for VKey {
    type Err = BadVKey;
    fn from_str(s: &str) -> Result<Self, BadVKey> {
        let bad = || BadVKey::Format(s.chars().take(120).collect());
        if s.len() > MAX_VKEY_BYTES {
            return Err(bad());
        }
        let mut parts = s.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad());
        };
        let material = B64.decode(key).map_err(|_| bad())?;
        let (kind, public) = material.split_first().ok_or_else(bad)?;
        let kind = match kind {
            1 => KeyKind::Log,
            4 => KeyKind::Witness,
            _ => return Err(bad()),
        };
        let public = <[u8; 32]>::try_from(public).map_err(|_| bad())?;
        let vkey = Self::new(name, kind, public)?;
        if id != format!("{:08x}", vkey.id()) {
            return Err(BadVKey::Identifier { given: s.to_owned(), expected: vkey.id() });
        }
        Ok(vkey)
    }
}

impl Serialize for VKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VKey {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}
