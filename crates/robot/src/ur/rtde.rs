//! RTDE protocol version 2 as bytes: Universal Robots' Real-Time Data Exchange.
//!
//! Pure encoding and decoding; the socket is elsewhere. A package is a big-endian
//! `u16` size (of the whole package), a `u8` type and a payload. Sizes are
//! therefore bounded by 65 535 bytes, and nothing here allocates by a length that
//! was not first found in the buffer. A package that cannot be read is an error,
//! never a panic and never a guess: after one the connection is closed.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The longest list of field names that a controller takes.
pub const MAX_RECIPE_BYTES: usize = 2048;

const HEADER: usize = 3;

/// Bytes that are no RTDE package, or fields that no package can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The size field is below the header's own three bytes.
    #[error("a package of {0} bytes; at least 3 are expected")]
    Size(u16),
    /// The payload is shorter or longer than its fields.
    #[error("{0}: the payload does not have the size of its fields")]
    Payload(&'static str),
    /// A package of a type that a controller never sends.
    #[error("a package of type {0}, which a controller does not send")]
    Type(u8),
    /// A list of names too long to send.
    #[error("a recipe of {0} bytes; at most {MAX_RECIPE_BYTES} are allowed")]
    Recipe(usize),
}

/// What a client asks of a controller.
#[derive(Clone, Debug, PartialEq)]
pub enum Request<'a> {
    /// Speak this protocol version.
    ProtocolVersion(u16),
    /// Say the controller's software version.
    ControllerVersion,
    /// Send these fields at a rate in Hz.
    Outputs {
        /// Samples per second.
        frequency: f64,
        /// Field names.
        names: &'a [&'a str],
    },
    /// Take these fields.
    Inputs(&'a [&'a str]),
    /// Begin sending.
    Start,
    /// Values for the input fields of a recipe, all of them `INT32` here.
    Data {
        /// The recipe that the controller gave.
        recipe: u8,
        /// The values in the order of its names.
        values: &'a [i32],
    },
}

impl Request<'_> {
    /// The bytes of the whole package.
    ///
    /// # Errors
    /// A list of names above [`MAX_RECIPE_BYTES`].
    pub fn encode(&self) -> Result<Bytes, CodecError> {
        let mut payload = BytesMut::new();
        let kind = match self {
            Self::ProtocolVersion(version) => {
                payload.put_u16(*version);
                b'V'
            }
            Self::ControllerVersion => b'v',
            Self::Outputs { frequency, names } => {
                payload.put_f64(*frequency);
                payload.put_slice(recipe(names)?.as_bytes());
                b'O'
            }
            Self::Inputs(names) => {
                payload.put_slice(recipe(names)?.as_bytes());
                b'I'
            }
            Self::Start => b'S',
            Self::Data { recipe, values } => {
                payload.put_u8(*recipe);
                values.iter().for_each(|value| payload.put_i32(*value));
                b'U'
            }
        };
        let size =
            u16::try_from(HEADER + payload.len()).map_err(|_| CodecError::Recipe(payload.len()))?;
        let mut package = BytesMut::with_capacity(size.into());
        package.put_u16(size);
        package.put_u8(kind);
        package.put(payload);
        Ok(package.freeze())
    }
}

fn recipe(names: &[&str]) -> Result<String, CodecError> {
    let list = names.join(",");
    if list.len() > MAX_RECIPE_BYTES {
        return Err(CodecError::Recipe(list.len()));
    }
    Ok(list)
}

/// What a controller sends.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Whether it speaks the protocol version asked for.
    ProtocolVersion(bool),
    /// Its software version: major, minor, bugfix, build.
    ControllerVersion([u32; 4]),
    /// The types of the output fields, in the order of their names.
    Outputs(Recipe),
    /// The types of the input fields.
    Inputs(Recipe),
    /// Whether it has begun to send.
    Started(bool),
    /// Whether it has paused sending.
    Paused(bool),
    /// One sample.
    Data {
        /// The recipe it follows.
        recipe: u8,
        /// The fields.
        fields: Bytes,
    },
    /// A message for people.
    Text {
        /// What it says, cut to 200 characters.
        message: String,
        /// Who says it.
        source: String,
        /// 0 exception, 1 error, 2 warning, 3 information.
        level: u8,
    },
}

/// The reply to a list of field names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Names this list in data packages; 0 when the list was refused.
    pub id: u8,
    /// One type name per field, or `NOT_FOUND`, or `IN_USE`.
    pub types: Vec<String>,
}

/// Takes one package from the front of a buffer; `None` when it is not all there.
///
/// # Errors
/// A size field that is impossible.
pub fn split(buffer: &mut BytesMut) -> Result<Option<(u8, Bytes)>, CodecError> {
    let (Some(&high), Some(&low), Some(&kind)) = (buffer.first(), buffer.get(1), buffer.get(2))
    else {
        return Ok(None);
    };
    let size = u16::from_be_bytes([high, low]);
    if usize::from(size) < HEADER {
        return Err(CodecError::Size(size));
    }
    if buffer.len() < size.into() {
        return Ok(None);
    }
    let mut package = buffer.split_to(size.into()).freeze();
    package.advance(HEADER);
    Ok(Some((kind, package)))
}

/// Reads a package of a controller.
///
/// # Errors
/// A type that controllers do not send, or a payload of the wrong size.
pub fn decode(kind: u8, payload: Bytes) -> Result<Reply, CodecError> {
    let mut fields = Fields(payload);
    let reply = match kind {
        b'V' => Reply::ProtocolVersion(fields.flag("protocol version")?),
        b'v' => {
            let mut version = [0; 4];
            for part in &mut version {
                *part = fields.u32()?;
            }
            Reply::ControllerVersion(version)
        }
        b'O' => return recipe_reply(fields).map(Reply::Outputs),
        b'I' => return recipe_reply(fields).map(Reply::Inputs),
        b'S' => Reply::Started(fields.flag("start")?),
        b'P' => Reply::Paused(fields.flag("pause")?),
        b'U' => {
            return Ok(Reply::Data { recipe: fields.u8("data")?, fields: fields.0 });
        }
        b'M' => Reply::Text {
            message: fields.text()?,
            source: fields.text()?,
            level: fields.u8("text")?,
        },
        other => return Err(CodecError::Type(other)),
    };
    fields.end()?;
    Ok(reply)
}

fn recipe_reply(mut fields: Fields) -> Result<Recipe, CodecError> {
    let id = fields.u8("recipe")?;
    let list = String::from_utf8_lossy(&fields.0).into_owned();
    Ok(Recipe { id, types: list.trim_end_matches(',').split(',').map(str::to_owned).collect() })
}

/// A cursor over the fields of a payload; each read checks what is left.
#[derive(Debug)]
pub struct Fields(pub Bytes);

impl Fields {
    /// An unsigned 32-bit field.
    ///
    /// # Errors
    /// The payload has ended; so for each of these.
    pub fn u32(&mut self) -> Result<u32, CodecError> {
        self.0.try_get_u32().map_err(|_| CodecError::Payload("UINT32"))
    }

    /// A signed 32-bit field.
    pub fn i32(&mut self) -> Result<i32, CodecError> {
        self.0.try_get_i32().map_err(|_| CodecError::Payload("INT32"))
    }

    /// An unsigned 64-bit field.
    pub fn u64(&mut self) -> Result<u64, CodecError> {
        self.0.try_get_u64().map_err(|_| CodecError::Payload("UINT64"))
    }

    /// A double.
    pub fn f64(&mut self) -> Result<f64, CodecError> {
        self.0.try_get_f64().map_err(|_| CodecError::Payload("DOUBLE"))
    }

    /// Six doubles.
    pub fn vector6(&mut self) -> Result<[f64; 6], CodecError> {
        let mut vector = [0.0; 6];
        for value in &mut vector {
            *value = self.f64()?;
        }
        Ok(vector)
    }

    /// Fails unless all of the payload has been read.
    pub fn end(&self) -> Result<(), CodecError> {
        if self.0.is_empty() { Ok(()) } else { Err(CodecError::Payload("bytes are left over")) }
    }

    fn u8(&mut self, what: &'static str) -> Result<u8, CodecError> {
        self.0.try_get_u8().map_err(|_| CodecError::Payload(what))
    }

    fn flag(&mut self, what: &'static str) -> Result<bool, CodecError> {
        Ok(self.u8(what)? != 0)
    }

    fn text(&mut self) -> Result<String, CodecError> {
        let length = usize::from(self.u8("text")?);
        if self.0.len() < length {
            return Err(CodecError::Payload("text"));
        }
        Ok(String::from_utf8_lossy(&self.0.split_to(length)).chars().take(200).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn package(kind: u8, payload: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::new();
        bytes.put_u16(u16::try_from(HEADER + payload.len()).unwrap());
        bytes.put_u8(kind);
        bytes.put_slice(payload);
        bytes
    }

    /// The bytes of the RTDE guide's own Python client for the same requests.
    #[test]
    fn requests_have_the_bytes_of_the_guide() {
        let bytes = |r: Request<'_>| r.encode().unwrap().to_vec();
        assert_eq!(bytes(Request::ProtocolVersion(2)), [0, 5, 86, 0, 2]);
        assert_eq!(bytes(Request::ControllerVersion), [0, 3, 118]);
        assert_eq!(bytes(Request::Start), [0, 3, 83]);
        assert_eq!(
            bytes(Request::Outputs { frequency: 125.0, names: &["a", "b"] }),
            [&[0, 14, 79, 0x40, 0x5f, 0x40, 0, 0, 0, 0, 0][..], b"a,b"].concat()
        );
        assert_eq!(
            bytes(Request::Data { recipe: 1, values: &[-2] }),
            [0, 8, 85, 1, 255, 255, 255, 254]
        );
    }

    #[test]
    fn a_recipe_above_the_limit_is_refused() {
        let names = ["x"; 1025];
        assert_eq!(Request::Inputs(&names).encode(), Err(CodecError::Recipe(2049)));
        assert!(Request::Inputs(&names[..1024]).encode().is_ok());
    }

    #[test]
    fn a_refused_recipe_is_read() {
        let reply = decode(b'O', Bytes::from_static(b"\x01DOUBLE,NOT_FOUND")).unwrap();
        let types = vec!["DOUBLE".to_owned(), "NOT_FOUND".to_owned()];
        assert_eq!(reply, Reply::Outputs(Recipe { id: 1, types }));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some((kind, payload))) = split(&mut buffer) {
                if let Ok(Reply::Data { fields, .. }) = decode(kind, payload) {
                    let _ = super::super::fields::sample(fields, 1, 0);
                }
            }
        }

        #[test]
        fn packages_are_split_however_they_arrive(
            parts in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..200)), 0..8),
            cut in 1usize..50,
        ) {
            let whole: Vec<u8> = parts.iter().flat_map(|(k, p)| package(*k, p)).collect();
            let (mut buffer, mut seen) = (BytesMut::new(), Vec::new());
            for chunk in whole.chunks(cut) {
                buffer.put_slice(chunk);
                while let Some((kind, payload)) = split(&mut buffer).unwrap() {
                    seen.push((kind, payload.to_vec()));
                }
            }
            prop_assert!(buffer.is_empty());
            prop_assert_eq!(seen, parts);
        }

        #[test]
        fn data_and_versions_come_back_as_sent(version: [u32; 4], recipe: u8, fields: Vec<u8>) {
            let bytes: Vec<u8> = version.iter().flat_map(|v| v.to_be_bytes()).collect();
            prop_assert_eq!(decode(b'v', bytes.into()), Ok(Reply::ControllerVersion(version)));
            let data = [&[recipe][..], &fields].concat();
            let fields = Bytes::from(fields);
            prop_assert_eq!(decode(b'U', data.into()), Ok(Reply::Data { recipe, fields }));
        }

        #[test]
        fn a_cut_or_stretched_payload_is_refused(cut in 0usize..16, more in 1usize..20) {
            let cut = decode(b'v', vec![0; cut].into());
            prop_assert_eq!(cut, Err(CodecError::Payload("UINT32")));
            prop_assert!(decode(b'v', vec![0; 16 + more].into()).is_err());
        }
    }
}
