//! Who a passkey is, as the plant knows now.

use base::{Bytes, Digest, Id};
use plant::{MemberState, Plant};
use proof::keys::{Passkey, PublicKey};

/// A member with a passkey that counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// The member.
    pub member: Id,
    /// Its name for people.
    pub name: String,
    /// Its roles; at least one.
    pub roles: Vec<String>,
    /// The passkey.
    pub passkey: Passkey,
    /// The passkey's fingerprint.
    pub key: Digest,
    /// The X25519 public key that grants to this person are sealed to.
    pub seal: Option<Bytes>,
}

/// Who counts, at this moment: whose passkey is enrolled and not revoked, and whose
/// member has a role.
pub trait Directory: Send + Sync {
    /// Everybody with this credential identifier; authenticators choose it, so it
    /// need not be one person's only.
    fn by_credential(&self, credential: &Bytes) -> Vec<Person>;
    /// The person with this passkey.
    fn by_key(&self, member: &Id, key: &Digest) -> Option<Person>;
}

impl Person {
    /// Everybody in a plant with this credential identifier.
    pub fn by_credential(plant: &Plant, credential: &Bytes) -> Vec<Self> {
        let everybody = plant.members.values().flat_map(Self::of);
        everybody.filter(|person| person.passkey.credential == *credential).collect()
    }

    /// The person in a plant with this passkey.
    pub fn by_key(plant: &Plant, member: &Id, key: &Digest) -> Option<Self> {
        Self::of(plant.members.get(member)?).find(|person| person.key == *key)
    }

    /// A member with each passkey that counts.
    fn of(state: &MemberState) -> impl Iterator<Item = Self> {
        let member = &state.member;
        member.keys.iter().filter(|_| !member.roles.is_empty()).filter_map(|public| {
            let PublicKey::Passkey(passkey) = public else {
                return None;
            };
            let key = public.fingerprint();
            (!state.revoked.contains_key(&key)).then(|| Self {
                member: member.id.clone(),
                name: member.name.clone(),
                roles: member.roles.iter().map(ToString::to_string).collect(),
                passkey: passkey.clone(),
                key,
                seal: member.seal.clone(),
            })
        })
    }
}
