//! `@hpke/core` opens the key that a grant carries, and under that grant alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{key, node};
use vault::grant_key::{WrappedKey, public_of, wrap_for};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn open(secret: &[u8; 32], info: &[u8], aad: &[u8], wrapped: &WrappedKey) -> String {
    let options = serde_json::json!({
        "secret": hex(secret), "info": hex(info), "aad": hex(aad),
        "enc": hex(&wrapped.enc.0), "ciphertext": hex(&wrapped.ciphertext.0),
    });
    node("hpke_open.mjs", &[options.to_string()])
}

#[test]
fn another_implementation_opens_a_wrapped_key() {
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret).unwrap();
    let public = public_of(&secret).unwrap();
    let (info, aad) = (b"grant-1".as_slice(), b"root and policy".as_slice());
    let wrapped = wrap_for(&public, info, aad, &key(), aws_lc_rs::rand::fill).unwrap();
    assert_eq!(open(&secret, info, aad, &wrapped), hex(key().expose()));
    assert_eq!(open(&secret, b"grant-2", aad, &wrapped), "refused");
    assert_eq!(open(&secret, info, b"another root", &wrapped), "refused");
    let mut changed = wrapped.clone();
    changed.ciphertext.0[3] ^= 1;
    assert_eq!(open(&secret, info, aad, &changed), "refused");
}
