//! A new plant: fresh keys for every member, one folder each, and the genesis.
//!
//! Nothing has a default secret. The certificate authority's key lies in `ca/`,
//! which belongs offline once the folders are handed out.

use crate::{
    config::{Anchors, CellAddress, Config, ConsoleConfig, Node, NodeError, ServerConfig},
    invite::{self, Invitation},
    sources::{fresh_nonce, fresh_seed},
};
use base::{Bytes, Digest, Id, Millis};
use plant::body::{Body, Genesis, Member};
use policy::Role;
use proof::{
    keys::{PublicKey, SecretKey, Signer},
    log::{KeyKind, LogPolicy, VKey},
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
};
use transport::{Authority, Validity, write_public, write_secret};

/// One member of a new plant.
#[derive(Clone, Debug)]
pub struct NewMember {
    /// Its identifier.
    pub id: Id,
    /// Its name for people.
    pub name: String,
    /// Its roles; a witness has none.
    pub roles: BTreeSet<Role>,
    /// Where it listens, when it is a server.
    pub listen: Option<SocketAddr>,
    /// A cell's robot and camera.
    pub cell: Option<crate::config::CellConfig>,
}

/// A new plant.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// The site.
    pub site: Id,
    /// Its name for people.
    pub name: String,
    /// Where passports are published; a host name.
    pub host: String,
    /// The people and machines, without witnesses.
    pub members: Vec<NewMember>,
    /// The witnesses.
    pub witnesses: Vec<NewMember>,
    /// How many of them must cosign.
    pub quorum: usize,
    /// How old a checkpoint may be for motion, in milliseconds.
    pub freshness_ms: u64,
    /// Certificates are valid for so many days.
    pub days: u32,
    /// The site's web console; each person then gets an invitation to it.
    pub console: Option<ConsoleConfig>,
}

/// Why a plant was not made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A file could not be written, or exists already.
    #[error("`{path}`: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The blueprint is no plant.
    #[error("{0}")]
    Blueprint(String),
    /// Keys or certificates could not be made.
    #[error("keys: {0}")]
    Keys(String),
}

impl From<NodeError> for InitError {
    fn from(error: NodeError) -> Self {
        Self::Keys(error.to_string())
    }
}

/// The folder of a member within a plant's folder.
pub fn folder(plant: &Path, member: &Id) -> PathBuf {
    plant.join(member.as_str())
}

/// Where a person's one-time link lies.
pub fn link_file(plant: &Path, member: &Id) -> PathBuf {
    folder(plant, member).join("enrol-link.txt")
}

impl NewMember {
    /// Whether it is one of the plant's people, not a machine or an outside processor.
    pub fn is_person(&self) -> bool {
        let machine = [Role::Cell, Role::Site, Role::Processor];
        !self.roles.is_empty() && machine.iter().all(|role| !self.roles.contains(role))
    }
}

/// Makes the folders of a new plant under `dir` and returns its anchors.
///
/// # Errors
/// `dir` holds a plant already, the blueprint is unsound, or a file could not be
/// written; what was written stays, for a look.
pub fn init(dir: &Path, blueprint: &Blueprint, now: Millis) -> Result<Anchors, InitError> {
    transport::install_crypto_provider();
    let file = |path: &Path, e: &dyn std::fmt::Display| InitError::File {
        path: path.into(),
        reason: e.to_string(),
    };
    if dir.join("anchors.json").exists() {
        return Err(file(dir, &"holds a plant already; choose an empty folder"));
    }
    let server = find(blueprint, Role::Site)?;
    let officer = find(blueprint, Role::SecurityOfficer)?;
    let site_url = match server.listen {
        Some(address) => format!("https://{address}"),
        None => {
            return Err(InitError::Blueprint(format!("the site `{}` has no address", server.id)));
        }
    };
    let console_host = console_host(blueprint)?;
    let authority = Authority::new(&blueprint.site, Validity::days(now, blueprint.days))
        .map_err(|e| InitError::Keys(e.to_string()))?;
    let ca = dir.join("ca");
    make_dir(&ca)?;
    authority.save(&ca).map_err(|e| file(&ca, &e))?;

    let log = new_key(&folder(dir, &server.id), "log.key")?;
    let log_key = VKey::new(&origin(blueprint), KeyKind::Log, log.public())
        .map_err(|e| InitError::Blueprint(e.to_string()))?;

    let mut witness_keys = Vec::new();
    for witness in &blueprint.witnesses {
        let signer = new_key(&folder(dir, &witness.id), "sign.key")?;
        let name = format!("{}/{}", blueprint.host, witness.id);
        let key = VKey::new(&name, KeyKind::Witness, signer.public())
            .map_err(|e| InitError::Blueprint(e.to_string()))?;
        witness_keys.push(key);
    }
    let invited = invitations(blueprint, now)?;
    let mut members = Vec::new();
    let mut vault = None;
    for member in &blueprint.members {
        let home = folder(dir, &member.id);
        let signer = new_key(&home, "sign.key")?;
        let seals = member.roles.contains(&Role::Processor) || member.roles.contains(&Role::Site);
        let seal = if seals { Some(new_seal(&home)?) } else { None };
        if member.id == server.id {
            vault = seal.clone();
        }
        members.push(Member {
            id: member.id.clone(),
            keys: std::iter::once(PublicKey::of(&signer))
                .chain(invited.get(&member.id).map(|invitation| invitation.key().clone()))
                .collect(),
            name: member.name.clone(),
            roles: member.roles.clone(),
            seal: if member.roles.contains(&Role::Processor) { seal } else { None },
        });
    }
    let log = LogPolicy::new(&origin(blueprint), log_key, witness_keys, blueprint.quorum)
        .map_err(|e| InitError::Blueprint(e.to_string()))?;
    let genesis = Genesis {
        clock_skew_ms: 120_000,
        freshness_ms: blueprint.freshness_ms,
        issuer: format!("did:web:{}", blueprint.host),
        log: log.log_key().to_string(),
        members,
        name: blueprint.name.clone(),
        origin: log.origin().to_owned(),
        policy: policy::DEFAULT.to_owned(),
        quorum: u32::try_from(blueprint.quorum).unwrap_or(u32::MAX),
        vault: vault.unwrap_or_default(),
        witnesses: log.witnesses().iter().map(ToString::to_string).collect(),
    };
    // The genesis names no genesis, so the first officer signs it with anchors
    // that are completed by its digest.
    let unfinished = Anchors { genesis: Digest([0; 32]), log, site: blueprint.site.clone() };
    let everybody = || blueprint.members.iter().chain(&blueprint.witnesses);
    for member in everybody() {
        let home = folder(dir, &member.id);
        let config = Config {
            version: 1,
            member: member.id.clone(),
            site: site_url.clone(),
            site_member: server.id.clone(),
            listen: member.listen,
            server: (member.id == server.id).then(|| server_config(blueprint)),
            console: blueprint.console.clone().filter(|_| member.id == server.id),
            cell: member.cell.clone(),
        };
        let text = toml::to_string(&config).map_err(|e| InitError::Blueprint(e.to_string()))?;
        put(&home.join("interlock.toml"), text.as_bytes())?;
        let mut hosts: Vec<String> =
            member.listen.map(|a| a.ip().to_string()).into_iter().collect();
        // Browsers reach the site by name, with the certificate of its machine.
        hosts.extend(console_host.clone().filter(|_| member.id == server.id));
        let issued = authority
            .issue(&member.id, &hosts, Validity::days(now, blueprint.days))
            .map_err(|e| InitError::Keys(e.to_string()))?;
        let tls = home.join("tls");
        make_dir(&tls)?;
        issued.save(&tls, "node").map_err(|e| file(&tls, &e))?;
        put(&tls.join("ca.pem"), authority.certificate().as_bytes())?;
    }
    let home = folder(dir, &officer.id);
    put(&home.join("anchors.json"), &json(&unfinished)?)?;
    let node = Node::load(&home)?;
    let nonce = fresh_nonce().map_err(|e| InitError::Keys(e.to_string()))?;
    let entry = node
        .sign(&Body::Genesis(Box::new(genesis)), now, nonce)
        .map_err(|e| InitError::Blueprint(e.to_string()))?;
    let id = entry.id().map_err(|e| InitError::Blueprint(e.to_string()))?;
    std::fs::remove_file(home.join("anchors.json")).map_err(|e| file(&home, &e))?;

    let anchors = Anchors { genesis: id, ..unfinished };
    for member in everybody() {
        put(&folder(dir, &member.id).join("anchors.json"), &json(&anchors)?)?;
    }
    let bytes = entry.bytes().map_err(|e| InitError::Blueprint(e.to_string()))?;
    put(&folder(dir, &server.id).join("genesis.json"), &bytes)?;
    write_links(dir, blueprint, &invited, &anchors)?;
    put(&dir.join("anchors.json"), &json(&anchors)?)?;
    Ok(anchors)
}

/// The host of the console's origin, when there is a console.
fn console_host(blueprint: &Blueprint) -> Result<Option<String>, InitError> {
    let Some(console) = &blueprint.console else {
        return Ok(None);
    };
    let origin = &console.origin;
    let host = proof::keys::origin_host(origin).ok_or_else(|| {
        let reason = format!(
            "console origin `{origin}`: https://HOST[:PORT] or http://localhost[:PORT] is expected"
        );
        InitError::Blueprint(reason)
    })?;
    Ok(Some(host.to_owned()))
}

/// An invitation for each person, when there is a console to accept it at.
fn invitations(blueprint: &Blueprint, now: Millis) -> Result<BTreeMap<Id, Invitation>, InitError> {
    let people = blueprint.members.iter().filter(|m| blueprint.console.is_some() && m.is_person());
    let invite = |member: &NewMember| {
        let invitation = Invitation::new(now.plus(invite::MAX_VALID_MS));
        Ok((member.id.clone(), invitation.map_err(|e| InitError::Keys(e.to_string()))?))
    };
    people.map(invite).collect()
}

fn write_links(
    dir: &Path,
    blueprint: &Blueprint,
    invited: &BTreeMap<Id, Invitation>,
    anchors: &Anchors,
) -> Result<(), InitError> {
    let Some(console) = &blueprint.console else {
        return Ok(());
    };
    let digest =
        invite::anchors_digest(anchors).map_err(|e| InitError::Blueprint(e.to_string()))?;
    for (member, invitation) in invited {
        let link = invitation.link(&console.origin, member, &digest);
        let path = link_file(dir, member);
        let text = zeroize::Zeroizing::new(format!("{}\n", link.as_str()));
        write_secret(&path, text.as_bytes())
            .map_err(|e| InitError::File { path, reason: e.to_string() })?;
    }
    Ok(())
}

fn origin(blueprint: &Blueprint) -> String {
    format!("{}/{}", blueprint.host, blueprint.site)
}

fn find(blueprint: &Blueprint, role: Role) -> Result<&NewMember, InitError> {
    let member = blueprint.members.iter().find(|m| m.roles.contains(&role));
    member.ok_or_else(|| InitError::Blueprint(format!("no member has the role `{role}`")))
}

fn server_config(blueprint: &Blueprint) -> ServerConfig {
    let witnesses = blueprint
        .witnesses
        .iter()
        .filter_map(|w| {
            let url = format!("https://{}", w.listen?);
            Some(crate::config::WitnessAddress { member: w.id.clone(), url })
        })
        .collect();
    let cells = blueprint
        .members
        .iter()
        .filter(|m| m.roles.contains(&Role::Cell))
        .filter_map(|m| {
            Some(CellAddress { member: m.id.clone(), url: format!("https://{}", m.listen?) })
        })
        .collect();
    ServerConfig {
        witnesses,
        refresh_ms: blueprint.freshness_ms / 5,
        entries_a_minute: crate::config::default_entries(),
        cells,
    }
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, InitError> {
    let mut text =
        serde_json::to_vec_pretty(value).map_err(|e| InitError::Blueprint(e.to_string()))?;
    text.push(b'\n');
    Ok(text)
}

fn make_dir(path: &Path) -> Result<(), InitError> {
    std::fs::create_dir_all(path)
        .map_err(|e| InitError::File { path: path.into(), reason: e.to_string() })
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), InitError> {
    write_public(path, bytes)
        .map_err(|e| InitError::File { path: path.into(), reason: e.to_string() })
}

fn write_seed(path: &Path) -> Result<zeroize::Zeroizing<[u8; 32]>, InitError> {
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    let seed = fresh_seed().map_err(|e| InitError::Keys(e.to_string()))?;
    let text = zeroize::Zeroizing::new(format!("{}\n", Digest(*seed)));
    write_secret(path, text.as_bytes())
        .map_err(|e| InitError::File { path: path.into(), reason: e.to_string() })?;
    Ok(seed)
}

fn new_key(home: &Path, name: &str) -> Result<SecretKey, InitError> {
    let seed = write_seed(&home.join(name))?;
    SecretKey::from_seed(&seed).map_err(|e| InitError::Keys(e.to_string()))
}

fn new_seal(home: &Path) -> Result<Bytes, InitError> {
    let seed = write_seed(&home.join("seal.key"))?;
    let public = vault::grant_key::public_of(&seed).map_err(|e| InitError::Keys(e.to_string()))?;
    Ok(Bytes(public.to_vec()))
}
