//! New keys for the machines and a person of a plant that works.

use crate::plant::{Plant, wait};
use anyhow::{Context, Result, bail};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);
/// Whose keys are replaced; the first three take theirs while they run.
const WHO: [&str; 4] = ["cell-1", "site", "analyst", "operator"];

/// Has each one's next key enrolled beside its old one.
pub fn begin(plant: &Plant) -> Result<()> {
    for member in WHO {
        let folder = plant.dir.join(member).display().to_string();
        plant.change("officer-1", &["member", "rotate", "--of", &folder])?;
    }
    let done = plant.by("operator", &["member", "rotate"])?;
    if done["rotated"] != true {
        bail!("the operator's key is not replaced: {done}");
    }
    Ok(())
}

/// Waits until every old key was given up. An analyst learns of its keys from its next
/// grant.
pub fn finished(plant: &Plant) -> Result<()> {
    for member in WHO {
        let folder = plant.dir.join(member);
        wait(&format!("the end of the old key of `{member}`"), PATIENCE, || {
            let members = plant.by("auditor", &["role", "list"])?;
            let state = members.get(member).context("no such member")?;
            let given_up = state["revoked"].as_object().is_some_and(|revoked| revoked.len() == 1);
            let gone = ["sign.old.key", "sign.next.key"].iter().all(|f| !folder.join(f).exists());
            Ok((given_up && gone).then_some(()))
        })?;
    }
    Ok(())
}
