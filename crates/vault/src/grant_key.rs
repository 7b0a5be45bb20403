//! A recording's key for one grantee: HPKE (RFC 9180), base mode.
//!
//! DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. `info` is the grant's
//! identifier and `aad` the recording's root with the policy's hash, so a wrapped
//! key opens under that grant, for that recording and policy alone. Wrapping for
//! somebody else changes no CID. Who wrapped it is the signed grant's affair: base
//! mode does not authenticate the sender.

use crate::seal::StreamKey;
use base::Bytes;
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable,
    aead::AesGcm256,
    kdf::HkdfSha256,
    kem::X25519HkdfSha256,
    rand_core::{TryCryptoRng, TryRng},
    single_shot_open, single_shot_seal_with_rng,
};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use zeroize::{Zeroize, Zeroizing};

type Suite = X25519HkdfSha256;

/// A wrapped key as it travels in a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrappedKey {
    /// The encapsulated key: 32 bytes.
    pub enc: Bytes,
    /// The key and its tag: 48 bytes.
    pub ciphertext: Bytes,
}

/// Why a key was not wrapped or unwrapped.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WrapError {
    /// The recipient's key is not an X25519 key that can be used.
    #[error("the recipient's key is not a usable X25519 key")]
    Recipient,
    /// The random source failed.
    #[error("the random source failed")]
    Random,
    /// The wrapped key was changed or is for another recipient, grant, recording
    /// or policy.
    #[error(
        "the wrapped key does not open: it was changed or is for another recipient, grant, recording or policy"
    )]
    Open,
}

/// Wraps a key for the holder of an X25519 key pair. `fill` is a secure random
/// source.
pub fn wrap_for<E>(
    recipient: &[u8; 32],
    info: &[u8],
    aad: &[u8],
    key: &StreamKey,
    fill: impl FnMut(&mut [u8]) -> Result<(), E>,
) -> Result<WrappedKey, WrapError> {
    let public =
        <Suite as Kem>::PublicKey::from_bytes(recipient).map_err(|_| WrapError::Recipient)?;
    let mut rng = FillRng { fill, failed: false };
    let sealed = single_shot_seal_with_rng::<AesGcm256, HkdfSha256, Suite>(
        &OpModeS::Base,
        &public,
        info,
        key.expose(),
        aad,
        &mut rng,
    );
    if rng.failed {
        return Err(WrapError::Random);
    }
    let (enc, ciphertext) = sealed.map_err(|_| WrapError::Recipient)?;
    Ok(WrappedKey { enc: Bytes(enc.to_bytes().to_vec()), ciphertext: Bytes(ciphertext) })
}

/// Opens a wrapped key with the recipient's secret key.
pub fn unwrap(
    secret: &[u8; 32],
    info: &[u8],
    aad: &[u8],
    wrapped: &WrappedKey,
) -> Result<StreamKey, WrapError> {
    let secret =
        <Suite as Kem>::PrivateKey::from_bytes(secret).map_err(|_| WrapError::Recipient)?;
    let enc =
        <Suite as Kem>::EncappedKey::from_bytes(&wrapped.enc.0).map_err(|_| WrapError::Open)?;
    let plain = single_shot_open::<AesGcm256, HkdfSha256, Suite>(
        &OpModeR::Base,
        &secret,
        &enc,
        info,
        &wrapped.ciphertext.0,
        aad,
    );
    let plain = Zeroizing::new(plain.map_err(|_| WrapError::Open)?);
    let key: [u8; 32] = plain.as_slice().try_into().map_err(|_| WrapError::Open)?;
    Ok(StreamKey::from_bytes(key))
}

/// The public key of an X25519 secret key.
pub fn public_of(secret: &[u8; 32]) -> Result<[u8; 32], WrapError> {
    let secret =
        <Suite as Kem>::PrivateKey::from_bytes(secret).map_err(|_| WrapError::Recipient)?;
    Ok(<Suite as Kem>::sk_to_pk(&secret).to_bytes().into())
}

/// A random source from outside. The interface knows no failure, so one is noted
/// and the result thrown away.
struct FillRng<F> {
    fill: F,
    failed: bool,
}

impl<E, F: FnMut(&mut [u8]) -> Result<(), E>> TryRng for FillRng<F> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        if (self.fill)(out).is_err() {
            out.zeroize();
            self.failed = true;
        }
        Ok(())
    }
}

impl<E, F: FnMut(&mut [u8]) -> Result<(), E>> TryCryptoRng for FillRng<F> {}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn random(out: &mut [u8]) -> Result<(), aws_lc_rs::error::Unspecified> {
        aws_lc_rs::rand::fill(out)
    }

    fn wrapped() -> ([u8; 32], WrappedKey) {
        let mut secret = [0; 32];
        random(&mut secret).unwrap();
        let public = public_of(&secret).unwrap();
        let key = StreamKey::from_bytes([5; 32]);
        (secret, wrap_for(&public, b"grant-1", b"root+policy", &key, random).unwrap())
    }

    #[test]
    fn it_opens_for_the_recipient_under_the_same_grant_alone() {
        let (secret, wrapped) = wrapped();
        let opened = unwrap(&secret, b"grant-1", b"root+policy", &wrapped).unwrap();
        assert_eq!(opened.expose(), &[5; 32]);
        for (info, aad) in [(&b"grant-2"[..], &b"root+policy"[..]), (b"grant-1", b"root+other")] {
            assert_eq!(unwrap(&secret, info, aad, &wrapped).unwrap_err(), WrapError::Open);
        }
        assert_eq!(
            unwrap(&[3; 32], b"grant-1", b"root+policy", &wrapped).unwrap_err(),
            WrapError::Open
        );
    }

    #[test]
    fn any_changed_byte_is_refused() {
        let (secret, good) = wrapped();
        for at in 0..80 {
            let mut bad = good.clone();
            match at {
                0..32 => bad.enc.0[at] ^= 1,
                _ => bad.ciphertext.0[at - 32] ^= 1,
            }
            assert!(unwrap(&secret, b"grant-1", b"root+policy", &bad).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_failing_random_source_gives_no_key() {
        let public = public_of(&[7; 32]).unwrap();
        let key = StreamKey::from_bytes([5; 32]);
        let failing = |_: &mut [u8]| Err(());
        assert_eq!(wrap_for(&public, b"", b"", &key, failing), Err(WrapError::Random));
    }

    #[test]
    fn a_point_of_small_order_is_refused() {
        let key = StreamKey::from_bytes([5; 32]);
        assert!(wrap_for(&[0; 32], b"", b"", &key, random).is_err());
    }
}
