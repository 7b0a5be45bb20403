//! Who may do what: the one place that knows Cedar.
//!
//! A [`Policy`] is parsed from text that strict validation accepted against the
//! [schema](SCHEMA), so a misspelt role, action or attribute never becomes a
//! silent "no". [`Policy::decide`] is pure: the same question to the same text
//! has the same answer on the site, in the cell and in an audit years later.
//! What Cedar cannot weaken stands in the plant crate: two people for a change
//! of rules, one run an order, a grant's bounds.

use base::Id;
use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicyId,
    PolicySet, Request, RestrictedExpression, Schema, ValidationMode, Validator,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

/// The Cedar schema: entities, actions and what each request carries.
pub const SCHEMA: &str = include_str!("schema.cedarschema");
/// The policies that a new plant starts with, explained.
pub const DEFAULT: &str = include_str!("default.cedar");
/// The most bytes a policy text may have.
pub const MAX_POLICY_BYTES: usize = 32 * 1024;
/// Brackets that may be open at a time.
const MAX_BRACKETS: usize = 16;
/// Occurrences of `if`, `!` and `-` in one statement.
const MAX_PREFIXES: usize = 32;
/// Other operators in one statement.
const MAX_CHAIN: usize = 256;
/// Answers that are kept. A plant asks the same few over and over; whoever asks others
/// makes it forget, which costs time and no memory.
const MAX_KEPT: usize = 512;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];
            /// The word that stands in entries and policies.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(s: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|x| x.as_str() == s).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|x| x.as_str()).collect();
                    format!("`{s}` is none of {}", known.join(", "))
                })
            }
        }
    };
}

words! {
    /// What a member is in the plant.
    Role {
        /// Launches runs.
        Operator = "operator",
        /// Writes robot programs and templates.
        Integrator = "integrator",
        /// Prepares models and templates.
        MlEngineer = "ml-engineer",
        /// Governs rules, keys and data.
        SecurityOfficer = "security-officer",
        /// Reads everything, changes nothing.
        Auditor = "auditor",
        /// An outside AI that is granted data.
        Processor = "processor",
        /// A robot's gateway.
        Cell = "cell",
        /// The site's server.
        Site = "site",
    }
}

words! {
    /// What somebody asks to do.
    Action {
        /// Order a run on a cell.
        PlaceOrder = "order.place",
        /// Stop a cell or the site from taking orders.
        PlaceHold = "hold.place",
        /// Lift a hold.
        ReleaseHold = "hold.release",
        /// Propose a change of rules.
        ProposeChange = "change.propose",
        /// Approve a proposed change.
        ApproveChange = "change.approve",
        /// Revoke a key.
        RevokeKey = "key.revoke",
        /// Grant recordings to a reader.
        IssueGrant = "grant.issue",
        /// Revoke a grant.
        RevokeGrant = "grant.revoke",
        /// Destroy a recording's key.
        ShredRecording = "recording.shred",
        /// Be the reader that a grant names.
        ReadRecording = "recording.read",
        /// File a report.
        FileReport = "report.file",
        /// Watch a run as it happens: joints, forces and pictures.
        WatchRun = "run.watch",
        /// Record what a cell did.
        RecordRun = "run.record",
        /// Record what the site did.
        RecordSite = "site.record",
        /// Record a refusal.
        RecordRefusal = "refusal.record",
        /// Read the ledger and the plant's state.
        ReadPlant = "plant.read",
    }
}

/// What an action is done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// One cell.
    Cell(&'a Id),
    /// The whole site.
    Site(&'a Id),
}

/// "May this member do this, here, now?"
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Who asks.
    pub principal: &'a Id,
    /// The roles of who asks.
    pub roles: &'a BTreeSet<Role>,
    /// What is asked.
    pub action: Action,
    /// To what it would be done.
    pub resource: Resource<'a>,
    /// Whether an authenticator verified the person.
    pub user_verified: bool,
    /// The program of an order, or the kind of a change.
    pub subject: &'a str,
}

/// The answer, with the policies that gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// For each policy that decided: its `@says` text, or its `@id`.
    pub because: Vec<String>,
}

/// Why a policy text is refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It does not parse as Cedar.
    #[error("policy text: {0}")]
    Parse(String),
    /// It parses, but names what the schema does not know.
    #[error("policy text is not valid under the schema: {0}")]
    Invalid(String),
}

/// Whether no expression nests deeper than the stack bears. Cedar's parser calls
/// itself for each level, without asking how much of the stack is left, so a text
/// that nests for 32 KiB would end the program. Brackets, `if`, `!` and `-` open a
/// level; chains (`||`, `.`, …) become deep trees too, so each has a bound within a
/// statement.
fn is_shallow(text: &str) -> bool {
    let (mut brackets, mut prefixes, mut chain) = (0usize, 0usize, 0usize);
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after.first()) {
            (b'"', _) => rest = after_string(after),
            (b'/', Some(b'/')) => {
                let line = after.iter().position(|b| *b == b'\n').unwrap_or(after.len());
                rest = after.get(line..).unwrap_or_default();
            }
            (b'(' | b'[' | b'{', _) => brackets += 1,
            (b')' | b']' | b'}', _) => brackets = brackets.saturating_sub(1),
            (b'!' | b'-', _) | (b'i', Some(b'f')) => prefixes += 1,
            (b'+' | b'*' | b'.', _) | (b'|', Some(b'|')) | (b'&', Some(b'&')) => chain += 1,
            (b';', _) => (brackets, prefixes, chain) = (0, 0, 0),
            _ => {}
        }
        if brackets > MAX_BRACKETS || prefixes > MAX_PREFIXES || chain > MAX_CHAIN {
            return false;
        }
    }
    true
}

/// What follows a string literal whose opening quote was read.
fn after_string(mut rest: &[u8]) -> &[u8] {
    loop {
        rest = match rest {
            [b'\\', _, after @ ..] => after,
            [b'"', after @ ..] => return after,
            [_, after @ ..] => after,
            [] => return rest,
        };
    }
}

/// A validated set of policies.
#[derive(Clone, Debug)]
pub struct Policy {
    text: String,
    set: PolicySet,
    schema: Schema,
    types: Types,
    /// What each policy says of itself. To look an annotation up costs as much as to
    /// decide.
    says: HashMap<PolicyId, String>,
    /// What was answered. An answer rests on its question and the text alone, and a
    /// ledger of a hundred thousand entries asks a few dozen questions.
    answers: Arc<Mutex<HashMap<Asked, Decision>>>,
}

/// A [`Question`] that owns its words.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Asked {
    principal: Id,
    roles: BTreeSet<Role>,
    action: Action,
    on_cell: bool,
    resource: Id,
    user_verified: bool,
    subject: String,
}

impl Asked {
    fn of(question: &Question<'_>) -> Self {
        let (on_cell, resource) = match question.resource {
            Resource::Cell(id) => (true, id),
            Resource::Site(id) => (false, id),
        };
        Self {
            principal: question.principal.clone(),
            roles: question.roles.clone(),
            action: question.action,
            on_cell,
            resource: resource.clone(),
            user_verified: question.user_verified,
            subject: question.subject.to_owned(),
        }
    }
}

/// The schema's entity types, parsed once and not for each question.
#[derive(Clone, Debug)]
struct Types {
    action: EntityTypeName,
    cell: EntityTypeName,
    member: EntityTypeName,
    role: EntityTypeName,
    site: EntityTypeName,
}

impl Types {
    fn new() -> Result<Self, PolicyError> {
        let name = |kind: &str| {
            let name = EntityTypeName::from_str(&format!("Interlock::{kind}"));
            name.map_err(|e| PolicyError::Invalid(e.to_string()))
        };
        Ok(Self {
            action: name("Action")?,
            cell: name("Cell")?,
            member: name("Member")?,
            role: name("Role")?,
            site: name("Site")?,
        })
    }
}

impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Policy {
    /// Parses and strictly validates Cedar text.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_POLICY_BYTES {
            let found = text.len();
            return Err(PolicyError::Parse(format!("{found} bytes, at most {MAX_POLICY_BYTES}")));
        }
        if !is_shallow(text) {
            return Err(PolicyError::Parse(format!(
                "a statement nests too deep: at most {MAX_BRACKETS} brackets, {MAX_PREFIXES} of \
                 `if`, `!` and `-`, and {MAX_CHAIN} other operators"
            )));
        }
        let schema = Schema::from_str(SCHEMA).map_err(|e| PolicyError::Invalid(e.to_string()))?;
        let set = PolicySet::from_str(text).map_err(|e| PolicyError::Parse(e.to_string()))?;
        let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
        let problems: Vec<_> = result.validation_errors().map(ToString::to_string).collect();
        if !problems.is_empty() {
            return Err(PolicyError::Invalid(problems.join("; ")));
        }
        let says = set.policies().map(|policy| (policy.id().clone(), said_by(policy))).collect();
        let answers = Arc::default();
        Ok(Self { text: text.into(), set, schema, types: Types::new()?, says, answers })
    }

    /// The text it was parsed from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Decides one question. An error inside Cedar is a "no" that says so.
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        let asked = Asked::of(question);
        // Nobody panics while holding it.
        let answers = || self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(decision) = answers().get(&asked) {
            return decision.clone();
        }
        let decision = self
            .evaluate(question)
            .unwrap_or_else(|reason| Decision { allowed: false, because: vec![reason] });
        let mut answers = answers();
        if answers.len() >= MAX_KEPT {
            answers.clear();
        }
        answers.insert(asked, decision.clone());
        decision
    }

    fn evaluate(&self, question: &Question<'_>) -> Result<Decision, String> {
        let types = &self.types;
        let principal = uid(&types.member, question.principal.as_str());
        let resource = match question.resource {
            Resource::Cell(id) => uid(&types.cell, id.as_str()),
            Resource::Site(id) => uid(&types.site, id.as_str()),
        };
        let action = uid(&types.action, question.action.as_str());
        let verified = RestrictedExpression::new_bool(question.user_verified);
        let subject = match question.action {
            Action::PlaceOrder => Some("program"),
            Action::ProposeChange | Action::ApproveChange => Some("kind"),
            _ => None,
        };
        let subject = subject.map(|name| {
            (name.to_owned(), RestrictedExpression::new_string(question.subject.to_owned()))
        });
        let pairs = [("userVerified".to_owned(), verified)].into_iter().chain(subject);
        let context = Context::from_pairs(pairs).map_err(|e| e.to_string())?;
        let roles: HashSet<EntityUid> =
            question.roles.iter().map(|role| uid(&types.role, role.as_str())).collect();
        let member =
            Entity::new(principal.clone(), HashMap::new(), roles).map_err(|e| e.to_string())?;
        let entities = Entities::from_entities([member], None).map_err(|e| e.to_string())?;
        let request = Request::new(principal, action, resource, context, Some(&self.schema))
            .map_err(|e| e.to_string())?;
        let response = Authorizer::new().is_authorized(&request, &self.set, &entities);
        let mut because: Vec<String> =
            response.diagnostics().reason().map(|id| self.says(id)).collect();
        because.sort();
        let errors: Vec<String> =
            response.diagnostics().errors().map(ToString::to_string).collect();
        let allowed = response.decision() == cedar_policy::Decision::Allow && errors.is_empty();
        because.extend(errors);
        if because.is_empty() {
            because.push("no policy allows it".into());
        }
        Ok(Decision { allowed, because })
    }

    fn says(&self, id: &PolicyId) -> String {
        self.says.get(id).cloned().unwrap_or_else(|| id.to_string())
    }
}

/// A policy's words for people, else its name.
fn said_by(policy: &cedar_policy::Policy) -> String {
    ["says", "id"]
        .iter()
        .find_map(|key| policy.annotation(key))
        .map_or_else(|| policy.id().to_string(), str::to_owned)
}

fn uid(kind: &EntityTypeName, name: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(name))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ask(policy: &Policy, role: Option<Role>, action: Action, subject: &str) -> Decision {
        let (who, site, cell) =
            ("alice".parse().unwrap(), "plant".parse().unwrap(), "cell-1".parse().unwrap());
        let resource = match action {
            Action::PlaceOrder | Action::RecordRun | Action::WatchRun => Resource::Cell(&cell),
            _ => Resource::Site(&site),
        };
        policy.decide(&Question {
            principal: &who,
            roles: &role.into_iter().collect(),
            action,
            resource,
            user_verified: false,
            subject,
        })
    }

    /// The default policies as a table: each role, what it may do. All else is denied.
    #[test]
    fn the_default_policies_allow_exactly_this() {
        let policy = Policy::parse(DEFAULT).unwrap();
        let allowed = |role: Role| -> Vec<&str> {
            let may = |action: &&Action| {
                let subject = if matches!(action, Action::ProposeChange | Action::ApproveChange) {
                    "policy"
                } else {
                    "scan"
                };
                ask(&policy, Some(role), **action, subject).allowed
            };
            Action::ALL.iter().filter(may).map(|a| a.as_str()).collect()
        };
        let (read, watch, reader) = ("plant.read", "run.watch", "recording.read");
        assert_eq!(
            allowed(Role::Operator),
            ["order.place", "hold.place", "hold.release", watch, read]
        );
        assert_eq!(allowed(Role::Integrator), ["hold.place", reader, watch, read]);
        assert_eq!(allowed(Role::MlEngineer), ["hold.place", reader, watch, read]);
        assert_eq!(allowed(Role::Auditor), ["hold.place", reader, watch, read]);
        assert_eq!(allowed(Role::Processor), [reader, "report.file"]);
        assert_eq!(allowed(Role::Cell), ["hold.place", "run.record", "refusal.record", read]);
        assert_eq!(
            allowed(Role::Site),
            ["hold.place", watch, "site.record", "refusal.record", read]
        );
        assert_eq!(
            allowed(Role::SecurityOfficer),
            [
                "hold.place",
                "hold.release",
                "change.propose",
                "change.approve",
                "key.revoke",
                "grant.issue",
                "grant.revoke",
                "recording.shred",
                reader,
                watch,
                read
            ]
        );
        assert!(ask(&policy, Some(Role::Integrator), Action::ProposeChange, "program").allowed);
        assert!(!ask(&policy, Some(Role::MlEngineer), Action::ProposeChange, "program").allowed);
        assert!(!ask(&policy, None, Action::PlaceOrder, "scan").allowed);
    }

    #[test]
    fn a_decision_names_its_policy() {
        let policy = Policy::parse(DEFAULT).unwrap();
        let yes = ask(&policy, Some(Role::Operator), Action::PlaceOrder, "scan");
        assert_eq!(yes.because, ["an operator may order a run on a cell"]);
        let no = ask(&policy, Some(Role::Auditor), Action::PlaceOrder, "scan");
        assert_eq!(no.because, ["no policy allows it"]);
    }

    /// What is kept answers no other question, is bounded, and goes with its text.
    #[test]
    fn an_answer_is_that_of_its_own_question() {
        let text = "@says(\"her, here, seen\") permit (\
                principal == Interlock::Member::\"alice\", \
                action == Interlock::Action::\"order.place\", \
                resource == Interlock::Cell::\"cell-1\") \
            when { context.userVerified && context.program == \"scan\" };";
        let policy = Policy::parse(text).unwrap();
        let id = |text: &str| text.parse::<Id>().unwrap();
        let (alice, bob, cell, other) = (id("alice"), id("bob"), id("cell-1"), id("cell-2"));
        let (some, none) = (BTreeSet::from([Role::Operator]), BTreeSet::new());
        let yes = Question {
            principal: &alice,
            roles: &some,
            action: Action::PlaceOrder,
            resource: Resource::Cell(&cell),
            user_verified: true,
            subject: "scan",
        };
        let nos = [
            Question { principal: &bob, ..yes.clone() },
            Question { action: Action::PlaceHold, ..yes.clone() },
            Question { resource: Resource::Cell(&other), ..yes.clone() },
            Question { resource: Resource::Site(&cell), ..yes.clone() },
            Question { user_verified: false, ..yes.clone() },
            Question { subject: "weld", ..yes.clone() },
        ];
        let elsewhere = Policy::parse(DEFAULT).unwrap();
        for _ in 0..2 {
            assert_eq!(policy.decide(&yes).because, ["her, here, seen"]);
            assert!(policy.decide(&Question { roles: &none, ..yes.clone() }).allowed);
            for no in &nos {
                assert!(!policy.decide(no).allowed, "{no:?}");
            }
            assert!(!elsewhere.decide(&Question { roles: &none, ..yes.clone() }).allowed);
        }
        for n in 0..2 * MAX_KEPT {
            let subject = n.to_string();
            assert!(!policy.decide(&Question { subject: &subject, ..yes.clone() }).allowed);
        }
        assert!(policy.answers.lock().unwrap().len() <= MAX_KEPT);
        assert!(policy.clone().decide(&yes).allowed);
    }

    #[test]
    fn a_misspelt_word_is_refused() {
        for bad in [
            "permit (principal in Interlock::Roll::\"operator\", action, resource);",
            "permit (principal, action == Interlock::Action::\"order.plaice\", resource);",
            "permit (principal, action, resource) when { context.userVerifed };",
        ] {
            assert!(matches!(Policy::parse(bad), Err(PolicyError::Invalid(_))), "{bad}");
        }
        assert!(matches!(Policy::parse("permit ("), Err(PolicyError::Parse(_))));
    }

    #[test]
    fn a_forbid_can_demand_the_passkey() {
        let text = format!(
            "{DEFAULT}\n@id(\"passkey\") forbid (principal, action == Interlock::Action::\"order.place\", resource) unless {{ context.userVerified }};"
        );
        let policy = Policy::parse(&text).unwrap();
        let no = ask(&policy, Some(Role::Operator), Action::PlaceOrder, "scan");
        assert_eq!(no, Decision { allowed: false, because: vec!["passkey".into()] });
    }
}
