//! Issuing and verifying.
//!
//! Both derive the credential from the evidence. Issuing signs it; verifying
//! compares it with what was signed, place by place, then checks the signature
//! under the key of a member that holds the site's role in that same evidence.

use crate::{
    Broken,
    chain::{Anchors, Chain},
    credential::credential,
    did::DidWeb,
    evidence::{Draft, Evidence},
    facts::{Facts, Trust, derive, trust},
    jose::{self, Parts},
};
use base::{Digest, Id, sha256};
use policy::Role;
use proof::keys::Signer;
use serde_json::Value;

/// A passport whose every statement was derived from its evidence and whose
/// signature verified. Only [`issue`], [`verify`] and [`crate::verify_file`] make
/// one.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    jwt: String,
    payload: Value,
    facts: Facts,
    trust: Trust,
}

impl Verified {
    /// What it says.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What its trust rests on.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The credential as `vc+jwt`: the bytes of the file `PART.vc.jwt`.
    pub fn jwt(&self) -> &str {
        &self.jwt
    }

    /// The digest of those bytes, which the ledger's passport entry names.
    pub fn digest(&self) -> Digest {
        sha256(self.jwt.as_bytes())
    }

    /// The credential as JSON.
    pub fn credential(&self) -> &Value {
        &self.payload
    }
}

/// Issues a passport, signed with a live key of a member that has the site's
/// role. Everything is verified first, so what is issued verifies.
///
/// # Errors
/// What would have been found broken by a reader.
pub fn issue(draft: Draft, signer: &dyn Signer) -> Result<Verified, Broken> {
    let evidence = Evidence::from_draft(draft)?;
    let chain = Chain::fold(&evidence, None)?;
    let (facts, did) = derive(&evidence, &chain)?;
    let site = sites(&chain)
        .find(|site| chain.live_keys(site).contains(&signer.public()))
        .ok_or_else(|| {
            let reason = "no member with the role `site` has this key enrolled and unrevoked";
            Broken::proof("the key to sign with", reason)
        })?;
    let payload =
        credential(&facts, &did, &evidence).map_err(|e| Broken::unreadable("the credential", e))?;
    let kid = did.key_id_in(&chain.plant, site, &signer.public());
    let jwt = jose::sign(kid, &payload, signer)?;
    verify(&jwt, None)
}

/// Verifies a passport offline. With `pin`, the plant must be the pinned one and
/// its checkpoint must satisfy the pinned policy; without, the anchors are those
/// that the passport's own genesis entry states, and [`Trust::pinned`] is false.
///
/// # Errors
/// The first thing that is broken.
pub fn verify(jwt: &str, pin: Option<&Anchors>) -> Result<Verified, Broken> {
    let parts = Parts::parse(jwt)?;
    let evidence = evidence(&parts.payload)?;
    let chain = Chain::fold(&evidence, pin)?;
    let (facts, did) = derive(&evidence, &chain)?;
    let derived =
        credential(&facts, &did, &evidence).map_err(|e| Broken::unreadable("the credential", e))?;
    if let Some((place, reason)) = difference("", &derived, &parts.payload) {
        return Err(Broken::proof(format!("the credential's `{place}`"), reason));
    }
    check_signature(&parts, &chain, &did)?;
    Ok(Verified { jwt: jwt.into(), payload: parts.payload, facts, trust: trust(&chain) })
}

fn evidence(payload: &Value) -> Result<Evidence, Broken> {
    let stated = match payload.get("evidence").and_then(Value::as_array).map(Vec::as_slice) {
        Some([one]) => one.clone(),
        _ => return Err(Broken::unreadable("the evidence", "one element is expected")),
    };
    let evidence: Evidence =
        serde_json::from_value(stated).map_err(|e| Broken::unreadable("the evidence", e))?;
    evidence.check_bounds().map(|()| evidence)
}

fn sites(chain: &Chain) -> impl Iterator<Item = &Id> {
    let members = chain.plant.members.values();
    members.filter(|m| m.member.roles.contains(&Role::Site)).map(|m| &m.member.id)
}

fn check_signature(parts: &Parts<'_>, chain: &Chain, did: &DidWeb) -> Result<(), Broken> {
    let what = "the signature of the credential";
    let kid = &parts.header.kid;
    let named = |site: &&Id| {
        let later = |key: &[u8; 32]| did.later_key_id(site, key) == *kid;
        did.key_id(site) == *kid || chain.live_keys(site).iter().any(later)
    };
    let site = sites(chain).find(named).ok_or_else(|| {
        let named: String = kid.chars().take(120).collect();
        let reason = format!("`{named}` names no live key of a member with the role `site`");
        Broken::proof(what, reason)
    })?;
    if chain.live_keys(site).iter().any(|key| parts.verifies(key)) {
        Ok(())
    } else {
        let reason = format!("it does not verify under an enrolled, unrevoked key of `{site}`");
        Err(Broken::proof(what, reason))
    }
}

/// The first place where two values differ, and how.
fn difference(place: &str, derived: &Value, stated: &Value) -> Option<(String, String)> {
    match (derived, stated) {
        (Value::Object(a), Value::Object(b)) => {
            let at = |key: &str| match place {
                "" => key.to_owned(),
                _ => format!("{place}/{}", key.chars().take(40).collect::<String>()),
            };
            let inner = a.iter().find_map(|(key, value)| match b.get(key) {
                Some(found) => difference(&at(key), value, found),
                None => Some((at(key), "it is absent".into())),
            });
            let extra = || b.keys().find(|key| !a.contains_key(*key));
            inner.or_else(|| {
                extra().map(|key| (at(key), "the evidence derives no such thing".into()))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            pairs.find_map(|(at, (a, b))| difference(&format!("{place}/{at}"), a, b))
        }
        // Canonical JSON writes the whole number 1.0 as 1.
        (Value::Number(a), Value::Number(b))
            if (a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64() =>
        {
            None
        }
        _ if derived == stated => None,
        _ => Some((
            place.into(),
            format!("it says {}, the evidence gives {}", short(stated), short(derived)),
        )),
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 {
        return text;
    }
    let head: String = text.chars().take(60).collect();
    format!("{head}…")
}
