//! What robots send, and recordings as files.

use ::bytes::BytesMut;
use capture::{Images, States, read_images};
use robot::ur::rtde::{Fields, Reply, decode, split};

/// A stream of RTDE packages, in pieces as a socket gives them.
pub fn rtde(bytes: &[u8]) {
    let whole = packages(bytes, usize::MAX);
    let step = bytes.first().map_or(1, |b| usize::from(*b % 9) + 1);
    assert_eq!(packages(bytes, step), whole, "pieces of {step} bytes read otherwise");
}

fn packages(bytes: &[u8], step: usize) -> Vec<(u8, ::bytes::Bytes)> {
    let (mut buffer, mut out) = (BytesMut::new(), Vec::new());
    for piece in bytes.chunks(step.min(bytes.len().max(1))) {
        buffer.extend_from_slice(piece);
        loop {
            match split(&mut buffer) {
                Ok(Some((kind, payload))) => {
                    if let Ok(Reply::Data { fields, .. }) = decode(kind, payload.clone()) {
                        read(Fields(fields));
                    }
                    out.push((kind, payload));
                }
                Ok(None) => break,
                Err(_) => return out,
            }
        }
    }
    out
}

fn read(mut fields: Fields) {
    while fields.f64().is_ok() && fields.vector6().is_ok() && fields.i32().is_ok() {
        let _ = (fields.u32(), fields.u64());
    }
    let _ = fields.end();
}

/// Recordings: states and pictures, to the first error.
pub fn mcap(bytes: &[u8]) {
    let mut states = States::new(bytes);
    let ended = states.by_ref().take(10_000).any(|state| state.is_err());
    assert!(!ended || states.next().is_none(), "something is read after an error");
    let _ = Images::new(bytes).take(100).count();
    if let Ok(images) = read_images(bytes, 4, 1 << 16) {
        assert!(images.len() <= 4);
    }
}
