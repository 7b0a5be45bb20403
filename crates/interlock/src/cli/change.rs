//! Changes of the rules: roles, members, programs, templates, and their approval.

use super::{
    context::{Context, Failure, confirm, table},
    proven,
};
use base::{Bytes, Digest, Id, sha256};
use clap::Subcommand;
use node::now;
use plant::{
    MemberState, Plant, Proposal,
    body::{
        Approve, Body, Change, Keys, Member, Parameter, Program, RevokeKey, SetRoles, Template,
        Witnesses,
    },
};
use policy::Role;
use proof::{keys::PublicKey, log::VKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

#[derive(Subcommand)]
pub enum RoleVerb {
    /// Members and their roles.
    List,
    /// Propose new roles for a member; two security officers must sign.
    Set {
        /// The member.
        member: Id,
        /// All roles from then on; none takes all rights away.
        roles: Vec<Role>,
    },
}

#[derive(Subcommand)]
pub enum MemberVerb {
    /// Propose a member; two security officers must sign.
    Enrol {
        /// A member as JSON: {"id", "name", "roles", "keys", "seal"}.
        file: PathBuf,
    },
    /// Print the public half of a folder, to be enrolled elsewhere.
    Show,
    /// Replace a member's own signing key (and sealing key); two security officers
    /// must sign. Old proofs still verify.
    Rotate(super::rotate::Args),
    /// Revoke a key now; one security officer is enough.
    Revoke {
        /// The member.
        member: Id,
        /// The key's fingerprint; the member's only live key when absent.
        #[arg(long, conflicts_with = "all")]
        key: Option<Digest>,
        /// Every live key of the member, with the invitations that it did not use.
        #[arg(long)]
        all: bool,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Subcommand)]
pub enum ProgramVerb {
    /// Approved programs.
    List,
    /// Propose a robot program, pinned by the hash of its file.
    Add {
        /// The program file as it lies on the controller.
        file: PathBuf,
        /// Identifier, title, cells and parameters, as JSON.
        #[arg(long)]
        about: PathBuf,
    },
}

#[derive(Subcommand)]
pub enum TemplateVerb {
    /// Approved templates.
    List,
    /// Propose a picture of a good part.
    Add {
        /// The part, or kind of part, that it is the template of.
        id: Id,
        /// The image, PNG or JPEG.
        image: PathBuf,
        /// What it shows.
        #[arg(long, default_value = "the good part")]
        title: String,
        /// The viewpoint from which it shows the part.
        #[arg(long, default_value_t = 1)]
        view: u32,
    },
}

#[derive(Subcommand)]
pub enum ChangeVerb {
    /// Proposals and who has signed them.
    List,
    /// Approve a proposal, as a security officer.
    Approve {
        /// The proposal's entry, or its first digits.
        proposal: String,
        /// Do not ask; sign.
        #[arg(long)]
        yes: bool,
    },
}

/// Proposes a change of the rules.
pub async fn propose(context: &Context, change: Change) -> Result<(), Failure> {
    let rules = change.changes_rules();
    let (_, _, submitted) = context.state(&Body::Propose(change)).await?;
    context.print(&submitted, |s| {
        let who = if rules { "another security officer" } else { "a security officer" };
        format!(
            "proposed: {who} approves it with `interlock change approve {}`\n  entry {} at index {}",
            s.id.short(),
            s.id,
            s.index
        )
    })
}

pub async fn run_role(context: &Context, verb: RoleVerb) -> Result<(), Failure> {
    match verb {
        RoleVerb::Set { member, roles } => {
            let roles: BTreeSet<Role> = roles.into_iter().collect();
            propose(context, Change::Roles(SetRoles { member, roles })).await
        }
        RoleVerb::List => {
            let members: BTreeMap<Id, Value> = context.part("members").await?;
            context.print(&members, |members| {
                let rows: Vec<Vec<String>> = members
                    .iter()
                    .map(|(id, m)| {
                        let roles: Vec<&str> = m
                            .pointer("/member/roles")
                            .and_then(Value::as_array)
                            .into_iter()
                            .flatten()
                            .filter_map(Value::as_str)
                            .collect();
                        vec![
                            id.to_string(),
                            m.pointer("/member/name")
                                .and_then(Value::as_str)
                                .unwrap_or_default()
                                .into(),
                            roles.join(", "),
                            m["revoked"].as_object().map_or(0, serde_json::Map::len).to_string(),
                        ]
                    })
                    .collect();
                table(&["member", "name", "roles", "revoked keys"], &rows)
            })
        }
    }
}

pub async fn run_member(context: &Context, verb: MemberVerb) -> Result<(), Failure> {
    match verb {
        MemberVerb::Enrol { file } => {
            let member: Member = read_json(&file)?;
            propose(context, Change::Member(member)).await
        }
        MemberVerb::Show => {
            let node = context.node()?;
            let seal =
                node.seal_key().ok().and_then(|secret| vault::grant_key::public_of(&secret).ok());
            let member = Member {
                id: node.member().clone(),
                keys: vec![PublicKey::of(node.signer.as_ref())],
                name: node.member().to_string(),
                roles: BTreeSet::new(),
                seal: seal.map(|s| base::Bytes(s.to_vec())),
            };
            context.print(&member, |m| serde_json::to_string_pretty(m).unwrap_or_default())
        }
        MemberVerb::Rotate(args) => super::rotate::run(context, args).await,
        MemberVerb::Revoke { member, key, all, reason } => {
            let keys = match key {
                Some(key) => vec![key],
                None => keys_to_revoke(context, &member, all).await?,
            };
            revoke(context, &member, keys, &reason).await?;
            few_officers(context).await;
            Ok(())
        }
    }
}

/// Revokes every key, whatever becomes of another's revocation: what is not tried stays
/// in a thief's hands. The key that signs comes last, for nothing can follow it.
async fn revoke(
    context: &Context,
    member: &Id,
    mut keys: Vec<Digest>,
    reason: &str,
) -> Result<(), Failure> {
    let node = context.node()?;
    let own = PublicKey::of(node.signer.as_ref()).fingerprint();
    keys.sort_by_key(|key| *key == own);
    let mut failed = None;
    for key in keys {
        let revoke = RevokeKey { key, member: member.clone(), reason: reason.to_owned() };
        let done = format!(
            "revoked: from this index on every gate refuses the key\n  \
             what it signed: `interlock audit key {member} --key {key}`"
        );
        if let Err(failure) = context.state_and_say(&Body::RevokeKey(revoke), &done).await {
            eprintln!("error: key {key} may still count: look with `interlock role list`");
            failed.get_or_insert(failure);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// A member as the site states it, or as a replayed ledger proves it.
#[derive(Deserialize)]
pub struct Known {
    /// As enrolled.
    pub member: Member,
    #[serde(default)]
    revoked: BTreeMap<Digest, u64>,
}

impl From<&MemberState> for Known {
    fn from(state: &MemberState) -> Self {
        Self { member: state.member.clone(), revoked: state.revoked.clone() }
    }
}

impl Known {
    /// Whether it is a security officer with a key that can sign.
    pub fn is_signing_officer(&self) -> bool {
        let signs = |key: &PublicKey| !matches!(key, PublicKey::Invitation(_));
        self.member.roles.contains(&Role::SecurityOfficer) && self.live_keys().any(signs)
    }

    /// Its keys that count: neither revoked nor, as invitations, ended.
    pub fn live_keys(&self) -> impl Iterator<Item = &PublicKey> {
        let ended = |key: &PublicKey| match key {
            PublicKey::Invitation(invitation) => invitation.not_after < now(),
            PublicKey::Ed25519(_) | PublicKey::Passkey(_) => false,
        };
        let revoked = |key: &PublicKey| self.revoked.contains_key(&key.fingerprint());
        self.member.keys.iter().filter(move |key| !revoked(key) && !ended(key))
    }
}

/// Says on standard error when too few officers are left to lose another.
/// Where the ledger cannot be proven now, what was revoked is revoked all the same.
async fn few_officers(context: &Context) {
    let Ok(plant) = proven::plant(context).await else { return };
    let words = match plant.officers().count() {
        0 | 1 => {
            "fewer than two security officers can sign: what is in force goes on, and no rule, \
             role or key can be changed any more"
        }
        2 => {
            "only two security officers can sign: invite the third again now (`interlock invite`), \
             before another key is lost"
        }
        _ => return,
    };
    eprintln!("warning: {words}");
}

async fn keys_to_revoke(context: &Context, member: &Id, all: bool) -> Result<Vec<Digest>, Failure> {
    let plant = proven::plant(context).await?;
    let known = (plant.members.get(member).map(Known::from))
        .ok_or_else(|| Failure::Failed(format!("`{member}` is not enrolled")))?;
    let live: Vec<&PublicKey> = known.live_keys().collect();
    match live.len() {
        0 => Err(Failure::Failed(format!("`{member}` has no live key"))),
        1 => Ok(live.iter().map(|key| key.fingerprint()).collect()),
        _ if all => Ok(live.iter().map(|key| key.fingerprint()).collect()),
        count => {
            let line = |key: &&PublicKey| format!("  {}  {}", key.fingerprint(), kind_of(key));
            let lines: Vec<String> = live.iter().map(line).collect();
            Err(Failure::Failed(format!(
                "`{member}` has {count} live keys: name one with --key, or revoke --all\n{}",
                lines.join("\n")
            )))
        }
    }
}

fn kind_of(key: &PublicKey) -> String {
    match key {
        PublicKey::Ed25519(_) => "key file".into(),
        PublicKey::Passkey(passkey) => format!("passkey of {}", passkey.origin),
        PublicKey::Invitation(invitation) => format!("invitation until {}", invitation.not_after),
    }
}

/// What a person writes about a program.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    id: Id,
    title: String,
    cells: BTreeSet<Id>,
    #[serde(default)]
    parameters: BTreeMap<Id, Parameter>,
}

pub async fn run_program(context: &Context, verb: ProgramVerb) -> Result<(), Failure> {
    match verb {
        ProgramVerb::Add { file, about } => {
            let bytes = read(&file)?;
            let About { id, title, cells, parameters } = read_json(&about)?;
            let program = Program { cells, id, parameters, sha256: sha256(&bytes), title };
            propose(context, Change::Program(program)).await
        }
        ProgramVerb::List => {
            let all: BTreeMap<Id, Program> = context.part("programs").await?;
            context.print(&all, |all| {
                let rows: Vec<Vec<String>> = all
                    .values()
                    .map(|p| {
                        let bounds: Vec<String> = p
                            .parameters
                            .iter()
                            .map(|(n, b)| format!("{n} {}..{} {}", b.min, b.max, b.unit))
                            .collect();
                        let cells: Vec<&str> = p.cells.iter().map(Id::as_str).collect();
                        vec![
                            p.id.to_string(),
                            p.sha256.short(),
                            cells.join(", "),
                            bounds.join("; "),
                            p.title.clone(),
                        ]
                    })
                    .collect();
                table(&["program", "hash", "cells", "parameters", "title"], &rows)
            })
        }
    }
}

pub async fn run_template(context: &Context, verb: TemplateVerb) -> Result<(), Failure> {
    match verb {
        TemplateVerb::Add { id, image, title, view } => {
            let bytes = read(&image)?;
            let (_, client) = context.client()?;
            let sha256 = client.put_blob(bytes).await?;
            propose(context, Change::Template(Template { id, sha256, title, view })).await
        }
        TemplateVerb::List => {
            let all: BTreeMap<Id, Template> = context.part("templates").await?;
            context.print(&all, |all| {
                let rows: Vec<Vec<String>> = all
                    .values()
                    .map(|t| {
                        vec![
                            t.id.to_string(),
                            t.sha256.short(),
                            t.view.to_string(),
                            t.title.clone(),
                        ]
                    })
                    .collect();
                table(&["template", "hash", "view", "title"], &rows)
            })
        }
    }
}

pub async fn run_change(context: &Context, verb: ChangeVerb) -> Result<(), Failure> {
    match verb {
        ChangeVerb::Approve { proposal, yes } => {
            let plant = proven::plant(context).await?;
            let proposal = proven::resolve("proposals", &plant.proposals, &proposal)?;
            if let Some(found) = plant.proposals.get(&proposal) {
                let installed = context.node()?.trust.certificates();
                confirm(&proposed(&plant, &installed, found)?, "Approve it?", yes)?;
            }
            let (_, client, submitted) =
                context.state(&Body::Approve(Approve { proposal })).await?;
            let proposals: BTreeMap<Digest, Value> = client.get("/state/proposals").await?;
            let effective = proposals.get(&proposal).is_some_and(|p| p["effective"] == true);
            let done = if effective {
                "approved: the change is in force"
            } else {
                "signed: one more officer must sign"
            };
            context.print(&submitted, |s| format!("{done}\n  entry {} at index {}", s.id, s.index))
        }
        ChangeVerb::List => {
            let all: BTreeMap<Digest, Value> = context.part("proposals").await?;
            context.print(&all, |all| {
                let rows: Vec<Vec<String>> = all
                    .iter()
                    .map(|(id, p)| {
                        let kind = p["change"].as_object().and_then(|o| o.keys().next().cloned());
                        let officers: Vec<&str> = p["officers"]
                            .as_array()
                            .into_iter()
                            .flatten()
                            .filter_map(Value::as_str)
                            .collect();
                        vec![
                            id.short(),
                            kind.unwrap_or_default(),
                            p["proposer"].as_str().unwrap_or_default().into(),
                            officers.join(", "),
                            if p["effective"] == true { "in force" } else { "open" }.into(),
                        ]
                    })
                    .collect();
                table(&["proposal", "changes", "proposed by", "officers", "state"], &rows)
            })
        }
    }
}

/// A proposal in words, beside what it would replace. `installed` are the roots of
/// certificates (DER) that this machine trusts.
fn proposed(plant: &Plant, installed: &[Vec<u8>], proposal: &Proposal) -> Result<String, Failure> {
    let Proposal { change, proposer, .. } = proposal;
    let kind = change.kind();
    let mut words = format!("`{proposer}` proposes a change of kind `{kind}`:\n");
    let (now, new) = match change {
        // JSON would put a text of many lines into one.
        Change::Policy(new) => (Some(plant.policy.text().to_owned()), new.text.clone()),
        Change::Member(new) => {
            for key in &new.keys {
                words += &format!("  key {}  {}\n", key.fingerprint(), kind_of(key));
            }
            if let Some(seal) = &new.seal {
                words += &format!("  reading key {}\n", sha256(&seal.0));
            }
            (plant.members.get(&new.id).map(|m| json(&m.member)).transpose()?, json(new)?)
        }
        Change::Roles(new) => {
            words += &format!("  roles of `{}`\n", new.member);
            let now = plant.members.get(&new.member).map(|m| json(&m.member.roles)).transpose()?;
            (now, json(&new.roles)?)
        }
        Change::Program(new) => (plant.programs.get(&new.id).map(json).transpose()?, json(new)?),
        Change::Template(new) => (plant.templates.get(&new.id).map(json).transpose()?, json(new)?),
        Change::Keys(new) => (None, keys(plant, installed, new)?.join("\n")),
    };
    Ok(match now {
        Some(now) if now == new => format!("{words}{new}\nnothing of it is new"),
        Some(now) => format!("{words}in the place of\n{now}\nwould stand\n{new}"),
        None => format!("{words}{new}"),
    })
}

/// What becomes of each of the plant's own keys that a change names, a line each. Keys
/// stand as `keys make` and `keys list` print them. A certificate is shown by its SHA-256,
/// as `openssl x509 -fingerprint -sha256` prints it, and so is the vault's key beside its
/// own text: what two people read to each other must be short.
fn keys(plant: &Plant, installed: &[Vec<u8>], new: &Keys) -> Result<Vec<String>, Failure> {
    let now = plant.log_now().map_err(Failure::Broken)?;
    let texts = |keys: &[VKey]| keys.iter().map(VKey::to_string).collect::<Vec<_>>();
    let vault = |key: &Bytes| {
        let text = serde_json::to_value(key).unwrap_or_default();
        format!("{} SHA-256 {}", text.as_str().unwrap_or_default(), sha256(&key.0))
    };
    let Keys { authorities, log, vault: sealing, witnesses } = new;
    let mut lines = Vec::new();
    let mut compare = |what: &str, now: Vec<String>, new: Vec<String>| {
        let gone = now.iter().filter(|key| !new.contains(key)).map(|key| ("removed", key));
        let named = new.iter().map(|key| match now.contains(key) {
            true => ("stays", key),
            false => ("added", key),
        });
        let line = |(fate, key)| format!("  {fate:<7}  {what} {key}");
        lines.extend(gone.chain(named).map(line));
    };
    if let Some(log) = log {
        compare("log key", vec![now.log_key().to_string()], vec![log.to_string()]);
    }
    if let Some(Witnesses { keys, quorum }) = witnesses {
        compare("witness", texts(now.witnesses()), texts(keys));
        compare("quorum", vec![now.quorum().to_string()], vec![quorum.to_string()]);
    }
    if let Some(sealing) = sealing {
        compare("vault key", vec![vault(plant.vault())], vec![vault(sealing)]);
    }
    if let Some(roots) = authorities {
        let digests = |roots: &mut dyn Iterator<Item = &[u8]>| {
            roots.map(|root| format!("SHA-256 {}", sha256(root))).collect::<Vec<_>>()
        };
        let (now, of) = match plant.authorities() {
            Some((_, now)) => (digests(&mut now.iter().map(|root| &*root.0)), ""),
            None => (digests(&mut installed.iter().map(Vec::as_slice)), INSTALLED),
        };
        compare("certificate authority", now, digests(&mut roots.iter().map(|root| &*root.0)));
        lines.extend((!of.is_empty()).then(|| of.to_owned()));
    }
    Ok(lines)
}

/// Said where nothing on the ledger tells the roots in force.
const INSTALLED: &str = "  the ledger states no certificate authority yet: what is removed or \
                         stays is what this machine was installed with";

fn json(value: &impl Serialize) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(value)?)
}

pub fn read(path: &PathBuf) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|e| Failure::Failed(format!("`{}`: {e}", path.display())))
}

pub fn read_json<T: serde::de::DeserializeOwned>(path: &PathBuf) -> Result<T, Failure> {
    serde_json::from_slice(&read(path)?)
        .map_err(|e| Failure::Failed(format!("`{}`: {e}", path.display())))
}
