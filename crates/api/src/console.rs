//! The types of the console's own addresses, below [`PREFIX`].

use base::{Bytes, Digest, Id, Millis};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where the console's own addresses live.
pub const PREFIX: &str = "/console/v1";

/// What anybody may know before signing in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlantCard {
    /// The site.
    #[schema(value_type = String)]
    pub site: Id,
    /// Its name for people.
    pub name: String,
    /// The decentralised identifier that issues passports.
    pub issuer: String,
    /// The trust anchors, as `anchors.json` has them. A browser pins them with the
    /// digest that its enrolment link carried.
    #[schema(value_type = Object)]
    pub anchors: serde_json::Value,
    /// Whether passports are served to anybody.
    pub public_passports: bool,
}

/// A number to be signed once, for a sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Challenge {
    /// 32 random bytes. What the passkey signs is
    /// `SHA-256("interlock/sign-in/v1\0" + origin + "\0" + nonce)`.
    #[schema(value_type = String)]
    pub nonce: Bytes,
    /// Until when it is taken, in milliseconds since 1970.
    #[schema(value_type = u64)]
    pub expires_at: Millis,
}

/// A passkey's answer to a [`Challenge`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The challenge's nonce.
    #[schema(value_type = String)]
    pub nonce: Bytes,
    /// The credential's identifier.
    #[schema(value_type = String)]
    pub credential: Bytes,
    /// The assertion.
    pub assertion: Assertion,
}

/// What `navigator.credentials.get()` returned, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// `authenticatorData`.
    #[schema(value_type = String)]
    pub authenticator_data: Bytes,
    /// `clientDataJSON`.
    #[schema(value_type = String)]
    pub client_data: Bytes,
    /// The ES256 signature, ASN.1 DER.
    #[schema(value_type = String)]
    pub signature: Bytes,
}

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The member.
    #[schema(value_type = String)]
    pub member: Id,
    /// The member's name for people.
    pub name: String,
    /// The member's roles.
    pub roles: Vec<String>,
    /// The fingerprint of the passkey that signed in.
    #[schema(value_type = String)]
    pub key: Digest,
    /// The passkey's credential identifier.
    #[schema(value_type = String)]
    pub credential: Bytes,
    /// The X25519 public key that grants to this person are sealed to.
    #[schema(value_type = Option<String>, required = true)]
    pub seal: Option<Bytes>,
    /// When the session ends whatever happens.
    #[schema(value_type = u64)]
    pub expires_at: Millis,
    /// When it ends unless the person does something.
    #[schema(value_type = u64)]
    pub idle_ends_at: Millis,
}

/// One of the sessions that a person has open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionCard {
    /// What to name it by, to end it: 16 hexadecimal digits.
    pub id: String,
    /// When the person signed in.
    #[schema(value_type = u64)]
    pub created_at: Millis,
    /// When the person did something in it last.
    #[schema(value_type = u64)]
    pub last_used_at: Millis,
    /// The address that the sign-in came from.
    pub address: String,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// A cell, as the site reaches it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CellCard {
    /// The cell.
    #[schema(value_type = String)]
    pub cell: Id,
    /// Whether it answers.
    pub reachable: bool,
    /// Why it does not.
    #[schema(required = true)]
    pub error: Option<String>,
    /// Whole days until its certificate ends; negative when it has ended.
    #[schema(required = true)]
    pub certificate_days: Option<i64>,
    /// What it says of itself.
    #[schema(value_type = Option<Object>, required = true)]
    pub status: Option<serde_json::Value>,
}

/// The controller took the stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stopped {
    /// Always true; a stop that failed is a problem.
    pub stopped: bool,
}
