//! Admission of keys: what a member may bring, and how an invitation is accepted.

use crate::{
    admit::Asked,
    body::{Accept, Body, Member},
    history::{Ended, Span},
    state::{MemberState, Plant},
};
use base::{Millis, Refusal, Rule};
use proof::keys::PublicKey;
use std::collections::BTreeSet;

/// The longest time that an invitation may still be accepted.
const MAX_INVITATION_MS: u64 = 14 * 24 * 60 * 60 * 1000;
/// The bytes of an X25519 public key.
const SEAL_BYTES: usize = 32;

/// An invitation signs its acceptance and nothing else, and nothing else signs one:
/// who finds a link can become the person that it names, and cannot act as it.
pub(crate) fn signer(asked: &Asked<'_>, key: &PublicKey, body: &Body) -> Result<(), Refusal> {
    match (key, body) {
        (PublicKey::Invitation(invitation), Body::Accept(_)) => asked.need(
            asked.now <= invitation.not_after,
            Rule::Time,
            format!("the invitation ended at {}, it is {}", invitation.not_after, asked.now),
            "an invitation that has not ended; two security officers give a new one",
        ),
        (PublicKey::Invitation(_), _) => Err(asked.refuse(
            Rule::Enrolment,
            "it is signed with an invitation",
            "an invitation that signs its own acceptance; a passkey or key file for the rest",
        )),
        (_, Body::Accept(_)) => Err(asked.refuse(
            Rule::Enrolment,
            "it is signed with a key that is no invitation",
            "an acceptance that the invitation itself signs",
        )),
        _ => Ok(()),
    }
}

/// The invitation's rules are [`signer`]'s; here is what it may bring.
pub(crate) fn accept(asked: &Asked<'_>, accept: &Accept) -> Result<(), Refusal> {
    let key = PublicKey::Passkey(accept.passkey.clone());
    let bad = |reason: String| {
        asked.refuse(Rule::Enrolment, reason, "a fresh passkey of this console's own origin")
    };
    key.check_form().map_err(|e| bad(e.to_string()))?;
    check_seal(accept.seal.as_ref()).map_err(bad)?;
    unspent(asked.plant, &key).map_err(bad)?;
    for member in asked.plant.members.values() {
        // One authenticator is one person, of this member or another.
        if member.member.keys.iter().any(|k| k.material() == key.material()) {
            return Err(bad(format!("this passkey is one of `{}` already", member.member.id)));
        }
    }
    Ok(())
}

/// Whether a member brings one to eight keys that nobody else has: one key behind
/// two names would be two people at once.
pub(crate) fn check<'a>(
    member: &Member,
    enrolled: impl Iterator<Item = &'a MemberState>,
    now: Millis,
) -> Result<(), String> {
    if !(1..=8).contains(&member.keys.len()) {
        return Err(format!("`{}` has {} keys", member.id, member.keys.len()));
    }
    for key in &member.keys {
        key.check_form().map_err(|e| e.to_string())?;
        if let PublicKey::Invitation(invitation) = key
            && invitation.not_after.since(now) > MAX_INVITATION_MS
        {
            let end = invitation.not_after;
            return Err(format!("an invitation lasts until {end}, at most 14 days are allowed"));
        }
    }
    check_seal(member.seal.as_ref())?;
    let materials: BTreeSet<&[u8]> = member.keys.iter().map(PublicKey::material).collect();
    if materials.len() != member.keys.len() {
        return Err(format!("`{}` has a key twice", member.id));
    }
    for other in enrolled {
        let theirs = |k: &PublicKey| materials.contains(k.material());
        if other.member.id != member.id && other.member.keys.iter().any(theirs) {
            return Err(format!("`{}` has a key of `{}`", member.id, other.member.id));
        }
    }
    Ok(())
}

/// Whether a key was never revoked, given up or, as an invitation, used: by anybody,
/// in whatever spelling.
pub(crate) fn unspent(plant: &Plant, key: &PublicKey) -> Result<(), String> {
    let Some(Span { member, key: spent, end: Some((index, why)), .. }) = plant.history.spent(key)
    else {
        return Ok(());
    };
    let what = match why {
        Ended::Used => "invitation",
        _ => "key",
    };
    let how = match why {
        Ended::Used => "used",
        Ended::Retired => "given up",
        Ended::Revoked | Ended::Replaced => "revoked",
    };
    let print = spent.fingerprint().short();
    Err(format!("{what} {print} of `{member}` was {how} at index {index}"))
}

fn check_seal(seal: Option<&base::Bytes>) -> Result<(), String> {
    match seal.map(|seal| seal.0.len()) {
        None | Some(SEAL_BYTES) => Ok(()),
        Some(found) => Err(format!("a sealing key of {found} bytes, expected {SEAL_BYTES}")),
    }
}
