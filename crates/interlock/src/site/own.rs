//! The plant's own keys, as far as the site holds them, and the ways to its witnesses.
//!
//! The ledger says which keys are in force; the site's folder holds the secret ones,
//! old and new side by side. No change that the site could not carry out gets onto the
//! ledger.

use super::{clocks::Clocks, fold::Shared, witness};
use anyhow::{Context, Result, bail};
use base::{Id, Refusal, Rule};
use ledger::{Crew, Witness};
use node::{Anchors, Node, config::WitnessAddress, ring};
use plant::{Plant, body::Keys};
use proof::{
    keys::SecretKey,
    log::{LogPolicy, LogSigner, VKey},
};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use transport::{Identity, Trust};
use zeroize::Zeroizing;

/// Every key of the log that lies in a folder.
pub fn log_signers(dir: &Path, origin: &str) -> Result<Vec<Arc<LogSigner>>> {
    let signer = |(path, seed): (PathBuf, Zeroizing<[u8; 32]>)| -> Result<_> {
        let key = SecretKey::from_seed(&seed).with_context(|| format!("`{}`", path.display()))?;
        Ok(Arc::new(LogSigner::new(origin, Arc::new(key))?))
    };
    ring::keys(dir, "log")?.into_iter().map(signer).collect()
}

/// The one of the keys that is `key`.
pub fn signer_of(signers: &[Arc<LogSigner>], key: &VKey) -> Option<Arc<LogSigner>> {
    signers.iter().find(|signer| signer.vkey() == key).cloned()
}

/// Every secret that cells may have sealed a recording's key to.
pub fn vault_secrets(dir: &Path) -> Result<Vec<Zeroizing<[u8; 32]>>> {
    let secrets = ring::keys(dir, "seal")?;
    if secrets.is_empty() {
        bail!("`{}` has no `seal.key`", dir.display());
    }
    Ok(secrets.into_iter().map(|(_, secret)| secret).collect())
}

/// What the site needs to carry out a change of keys.
pub struct Means {
    /// The site's folder.
    pub dir: PathBuf,
    /// The log's name.
    pub origin: String,
    /// Where witnesses listen.
    pub witnesses: Vec<WitnessAddress>,
    /// The site that certificates name.
    pub site: Id,
    /// The site's certificate.
    pub own: Identity,
}

impl Means {
    /// Refuses keys that the site could not work with; returns the log's new one.
    ///
    /// # Errors
    /// A refusal that says what is missing.
    pub fn ready(&self, keys: &Keys) -> Result<Option<Arc<LogSigner>>, Refusal> {
        let refuse = |reason: String, accepted: &str| Refusal {
            who: "the sender".into(),
            what: "a change of the plant's keys".into(),
            rule: Rule::State,
            reason,
            accepted: accepted.into(),
        };
        let unreadable = |e: anyhow::Error| refuse(format!("{e:#}"), "keys that can be read");
        let made = "a key that `interlock keys make` made in the site's folder";
        if let Some(vault) = &keys.vault {
            let held = vault_secrets(&self.dir).map_err(unreadable)?;
            let is = |secret: &Zeroizing<[u8; 32]>| {
                vault::grant_key::public_of(secret).is_ok_and(|public| public == *vault.0)
            };
            if !held.iter().any(is) {
                return Err(refuse("the site does not hold that key of the vault".into(), made));
            }
        }
        if let Some(roots) = &keys.authorities {
            let next = Trust::stated(&self.site, roots.iter().map(|root| root.0.as_slice()), 0)
                .map_err(|e| refuse(e.to_string(), "certificates of authorities of this site"))?;
            next.accepts(&self.own, node::now()).map_err(|e| {
                refuse(
                    format!("none of these roots vouches for the site's own certificate: {e}"),
                    "roots of which one issued it: `interlock certificate issue`, and a restart",
                )
            })?;
        }
        if let Some(witnesses) = &keys.witnesses {
            let reached = witnesses.keys.iter().filter(|key| self.address(key).is_some()).count();
            if u32::try_from(reached).unwrap_or(u32::MAX) < witnesses.quorum {
                let reason = format!(
                    "the site has addresses of {reached} of the witnesses, {} must cosign",
                    witnesses.quorum
                );
                return Err(refuse(reason, "witnesses that stand in the site's interlock.toml"));
            }
        }
        let Some(log) = &keys.log else { return Ok(None) };
        let held = log_signers(&self.dir, &self.origin).map_err(unreadable)?;
        let absent = || refuse(format!("the site does not hold the log key `{log}`"), made);
        signer_of(&held, log).ok_or_else(absent).map(Some)
    }

    /// Where a witness listens: a key is named after its member, behind the log's name.
    fn address(&self, key: &VKey) -> Option<&WitnessAddress> {
        self.witnesses.iter().find(|w| key.name().ends_with(&format!("/{}", w.member)))
    }
}

/// The log's keys and witnesses in force, with the ways to them.
pub struct Witnessing {
    anchors: Anchors,
    plant: Shared,
    means: Means,
    clients: HashMap<Id, reqwest::Client>,
    clocks: Arc<Clocks>,
    told: Mutex<Vec<VKey>>,
}

impl Witnessing {
    /// Opens a way to each witness that is configured.
    ///
    /// # Errors
    /// Fewer of those in force are configured than must cosign.
    pub fn open(node: &Node, plant: Shared, means: Means, clocks: Arc<Clocks>) -> Result<Self> {
        let mut clients = HashMap::new();
        for address in &means.witnesses {
            let http = transport::client::connect(
                &node.trust,
                Some(&node.identity),
                Some(&address.member),
            )?;
            clients.insert(address.member.clone(), http);
        }
        let policy = in_force(&plant.read(), &node.anchors, u64::MAX)?;
        let have = policy.witnesses().iter().filter(|key| means.address(key).is_some()).count();
        if have < policy.quorum() {
            bail!("{have} witnesses are configured, {} are needed", policy.quorum());
        }
        let (anchors, told) = (node.anchors.clone(), Mutex::default());
        Ok(Self { anchors, plant, means, clients, clocks, told })
    }

    fn witness(&self, key: &VKey, policy: &LogPolicy) -> Option<Witness> {
        let address = self.means.address(key)?;
        let http = self.clients.get(&address.member)?.clone();
        let client = witness::asked(http, address, key, policy, &self.clocks).ok()?;
        Some(Witness { key: key.clone(), client })
    }
}

/// The log's keys in force at a size, for who trusts the anchors.
pub fn in_force(plant: &Plant, anchors: &Anchors, size: u64) -> Result<LogPolicy> {
    plant.log_at(&anchors.log, size).map_err(anyhow::Error::msg)
}

impl Crew for Witnessing {
    fn at(&self, size: u64) -> Option<(LogPolicy, Vec<Witness>)> {
        let policy = in_force(&self.plant.read(), &self.anchors, size).ok()?;
        self.clocks.needs(policy.quorum());
        let mut witnesses = Vec::new();
        for key in policy.witnesses() {
            match self.witness(key, &policy) {
                Some(witness) => witnesses.push(witness),
                None => self.unreachable(key),
            }
        }
        Some((policy, witnesses))
    }
}

impl Witnessing {
    /// Says once that there is no way to a witness.
    fn unreachable(&self, key: &VKey) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !told.contains(key) {
            told.push(key.clone());
            tracing::warn!(witness = key.name(), "no address of this witness is configured");
        }
    }
}
