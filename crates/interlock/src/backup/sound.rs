//! Whether a restored folder is one consistent whole of the plant that it says it is:
//! the ledger has the cosigned root and folds, the site that it enrols signed the
//! backup, and each recording that it names is here with the key that it commits to.

use super::format::Manifest;
use anyhow::{Context, Result, bail};
use ledger::{Reader, RealFs};
use node::{Anchors, config::read_anchors, keys::FromStart};
use plant::Plant;
use policy::Role;
use proof::{
    entry::Leaf,
    recording::{Signed, recording_name},
};
use std::{path::Path, sync::Arc};
use vault::{address::parse_cid, keys::KeyVault, store::Store};

/// How many recordings are whole, and what is wrong. Fails when the ledger is not
/// what the manifest says, when `expected` are other anchors, or when another than the
/// site took the backup: then nothing can be built on it.
pub fn check(
    dir: &Path,
    signed: &Signed<Manifest>,
    expected: Option<Anchors>,
) -> Result<(usize, Vec<String>)> {
    let manifest = &signed.claim;
    let inside = read_anchors(&dir.join("anchors.json"))?;
    let anchors = expected.unwrap_or_else(|| inside.clone());
    if anchors.genesis != inside.genesis {
        let (own, other) = (anchors.genesis, inside.genesis);
        bail!("the backup is of the plant with genesis {other}, the anchors name {own}");
    }
    let folder = dir.join("data/ledger");
    let checked = ledger::check(Arc::new(RealFs), &folder, &FromStart(anchors.clone()));
    if let Some(finding) = checked.findings.first() {
        bail!("the backup's ledger: {}: {}", finding.file, finding.problem);
    }
    if checked.size != manifest.entries || anchors.genesis != manifest.genesis {
        bail!("the backup's ledger is not the one that its manifest names");
    }
    let plant = replay(&folder, checked.size)?;
    taken_by_its_site(&plant, signed)?;
    let data = dir.join("data");
    let store = Store::open(data.join("vault"))?;
    let report = store.check()?;
    let mut findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    // A vault without its master key would make a new one here; it must not.
    if !data.join("keys/master.key").exists() {
        bail!("the backup has no `data/keys/master.key`: no recording could be opened");
    }
    let keys = KeyVault::open(data.join("keys"), |_| Err(std::io::ErrorKind::NotFound))?;
    let mut whole = 0;
    for (root, state) in &plant.recordings {
        if state.shred.is_some() || state.shredded {
            continue;
        }
        let recording = &state.recording;
        let name = recording_name(&recording.order, &recording.stream)?;
        let here = parse_cid(root).ok().and_then(|cid| store.root(&cid));
        match (here, keys.get(&name)) {
            (None, _) => findings.push(format!("recording `{root}`: its blocks are not here")),
            (_, Err(error)) => findings.push(format!("recording `{root}`: {error}")),
            (_, Ok(key)) if key.commitment().0 != recording.commitment => {
                findings.push(format!("recording `{root}`: its key is another one"));
            }
            _ => whole += 1,
        }
    }
    Ok((whole, findings))
}

/// Whoever can seal to a public key can make a file that opens; the configuration and
/// keys in it are as good as who put them there.
fn taken_by_its_site(plant: &Plant, signed: &Signed<Manifest>) -> Result<()> {
    let sites = plant.members.keys().filter(|id| plant.has_role(id, Role::Site));
    let mut keys = sites.flat_map(|id| plant.history.ed25519_at(id, plant.size));
    if !keys.any(|key| signed.verify(&key).is_ok()) {
        bail!("the backup is not signed with a key of its site: another made it");
    }
    Ok(())
}

fn replay(folder: &Path, size: u64) -> Result<Plant> {
    let reader = Reader::new(Arc::new(RealFs), folder);
    let mut plant = None::<Plant>;
    reader.for_each_entry(0..size, size, |index, bytes: &[u8]| -> Result<()> {
        match &mut plant {
            None => plant = Some(Plant::begin(&Leaf::parse(bytes)?)?),
            Some(plant) => {
                plant.append(bytes).with_context(|| format!("ledger entry {index}"))?;
            }
        }
        Ok(())
    })?;
    plant.context("the backup's ledger is empty")
}
