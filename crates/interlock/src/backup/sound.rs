//! Whether a restored folder is one consistent whole: the ledger has the cosigned
//! root and folds, and each recording that it names is here with the key that it
//! commits to.

use super::format::Manifest;
use anyhow::{Context, Result, bail};
use ledger::{Reader, RealFs};
use node::{config::read_anchors, keys::FromStart};
use plant::Plant;
use proof::{entry::Leaf, recording::recording_name};
use std::{path::Path, sync::Arc};
use vault::{address::parse_cid, keys::KeyVault, store::Store};

/// How many recordings are whole, and what is wrong. Fails when the ledger is not
/// what the manifest says: then nothing can be built on the backup.
pub fn check(dir: &Path, manifest: &Manifest) -> Result<(usize, Vec<String>)> {
    let anchors = read_anchors(&dir.join("anchors.json"))?;
    let folder = dir.join("data/ledger");
    let checked = ledger::check(Arc::new(RealFs), &folder, &FromStart(anchors.clone()));
    if let Some(finding) = checked.findings.first() {
        bail!("the backup's ledger: {}: {}", finding.file, finding.problem);
    }
    if checked.size != manifest.entries || anchors.genesis != manifest.genesis {
        bail!("the backup's ledger is not the one that its manifest names");
    }
    let plant = replay(&folder, checked.size)?;
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
