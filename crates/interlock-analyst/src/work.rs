//! One grant after the other: read, analyse, report.

use crate::analyse::{self, Done, Shot};
use anyhow::{Context, Result, bail};
use base::{Digest, Id, sha256};
use inspect::Photograph;
use node::{Client, ClientError, Granted, GrantedError, Node, fresh_nonce, now, rotation::Turn};
use plant::{
    Plant,
    body::{Body, Picture, Report, Template},
};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// The most plaintext of one recording that is held (2 GiB).
const MAX_PLAINTEXT: usize = 2 << 30;
/// The stream that holds photographs.
const CAMERA: &str = "camera";
/// The most pictures in one report.
const MAX_PICTURES: usize = 6;

/// The digest of this program's executable.
pub fn software() -> Result<Digest> {
    Ok(sha256(&std::fs::read(std::env::current_exe()?)?))
}

/// The longest wait before a grant that failed is tried again.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// What became of the grants so far.
#[derive(Default)]
pub struct Tried(HashMap<Digest, Failed>);

/// A grant that could not be fulfilled.
struct Failed {
    /// When to try again; never after a refusal by a rule, which waiting won't mend.
    again: Option<Instant>,
    wait: Duration,
}

impl Tried {
    fn due(&self, grant: &Digest) -> bool {
        let failed = self.0.get(grant);
        failed.is_none_or(|f| f.again.is_some_and(|again| again <= Instant::now()))
    }

    fn failed(&mut self, grant: Digest, error: &anyhow::Error) {
        let refused = error.chain().any(|cause| {
            let problem = match cause.downcast_ref::<ClientError>() {
                Some(ClientError::Problem(problem)) => Some(problem),
                _ => match cause.downcast_ref::<GrantedError>() {
                    Some(GrantedError::Site(ClientError::Problem(problem))) => Some(problem),
                    _ => None,
                },
            };
            problem.is_some_and(|p| p.refusal().is_some())
        });
        let wait =
            self.0.get(&grant).map_or(Duration::from_secs(1), |f| (f.wait * 2).min(MAX_WAIT));
        let again = (!refused).then(|| Instant::now() + wait);
        self.0.insert(grant, Failed { again, wait });
        let next = if refused { "not tried again" } else { "tried again later" };
        tracing::error!(grant = %grant.short(), next, error = format!("{error:#}"), "a grant is not fulfilled");
    }
}

/// Works through the grants that have no report. A grant that fails does not hold
/// up the others.
///
/// # Errors
/// The site cannot be asked for grants.
pub async fn round(
    node: &Node,
    client: &Client,
    software: Digest,
    tried: &mut Tried,
) -> Result<()> {
    let grants: Vec<Digest> = client.get("/grants/own").await?;
    tried.0.retain(|grant, _| grants.contains(grant));
    for grant in grants {
        if tried.due(&grant)
            && let Err(error) = fulfil(node, client, grant, software).await
        {
            tried.failed(grant, &error);
        }
    }
    Ok(())
}

async fn fulfil(node: &Node, client: &Client, id: Digest, software: Digest) -> Result<()> {
    let granted = Granted::obtain(node, client, id).await?;
    if let Some((since, roots)) = node.newer_authorities(&granted.plant) {
        match node.take_authorities(since, &roots) {
            Ok(()) => tracing::info!(since, "the roots that the ledger states are trusted"),
            Err(error) => tracing::error!(%error, "the ledger's roots cannot be taken"),
        }
    }
    replace_keys(node, client, &granted.plant).await?;
    let order = granted.grant.order;
    let part = granted
        .plant
        .orders
        .get(&order)
        .context("the grant's order is not proven")?
        .order
        .part
        .clone();
    tracing::info!(grant = %id.short(), %part, "granted: reading");

    if !granted
        .manifests
        .values()
        .any(|m| m.claim.stream.as_str() == CAMERA && m.claim.order == order)
    {
        bail!("the grant gives no photographs of run {}", order.short());
    }
    let mut inputs = std::collections::BTreeSet::new();
    let (mut shots, mut enrolled, mut reference) = (Vec::new(), Vec::new(), None);
    for (root, manifest) in &granted.manifests {
        if manifest.claim.stream.as_str() != CAMERA {
            continue;
        }
        let pictures = photographs(&granted, root).await?;
        inputs.insert(root.clone());
        if manifest.claim.order == order {
            shots.extend(pictures);
        } else if is_of(&granted.plant, &manifest.claim.order, &part) {
            reference = Some(manifest.digest()?);
            enrolled.extend(pictures.into_iter().map(|s| s.photograph));
        }
    }
    if shots.is_empty() {
        bail!("the grant gives no photographs of run {}", order.short());
    }
    let template = template(client, &granted.plant, &part).await?;
    let (shots, done) = tokio::task::spawn_blocking(move || -> Result<(Vec<Shot>, Vec<Done>)> {
        let [identity, inspection] = analyse::analyses()?;
        let photographs: Vec<Photograph> = shots.iter().map(|s| s.photograph.clone()).collect();
        let mut done = vec![analyse::run(identity.as_ref(), &photographs, &enrolled, reference)?];
        match template {
            // A template shows one side; the others are not inspected against it.
            Some((digest, template)) => {
                let same = |p: &&Photograph| p.view == template.view;
                let side: Vec<Photograph> = photographs.iter().filter(same).cloned().collect();
                done.push(analyse::run(inspection.as_ref(), &side, &[template], Some(digest))?);
            }
            // Without one: what changed since the part was enrolled.
            None if !enrolled.is_empty() => {
                done.push(analyse::run(inspection.as_ref(), &photographs, &enrolled, reference)?);
            }
            None => {}
        }
        Ok((shots, done))
    })
    .await??;

    let mut pictures = Vec::new();
    if let Some(first) = shots.first() {
        let media_type = first.media_type.to_owned();
        let sha256 = client.put_blob(first.bytes.clone()).await?;
        pictures.push(Picture {
            media_type,
            name: format!("photograph: {}", first.photograph.view),
            sha256,
        });
    }
    let explaining = done.iter().flat_map(|d| d.pictures.iter().take(2));
    for (name, png) in explaining.take(MAX_PICTURES - 1) {
        let sha256 = client.put_blob(png.clone()).await?;
        pictures.push(Picture { media_type: "image/png".into(), name: name.clone(), sha256 });
    }
    let verdicts: Vec<String> =
        done.iter().map(|d| format!("{} {:?}", d.analysis.name, d.analysis.verdict)).collect();
    let report = Report {
        analyses: done.into_iter().map(|d| d.analysis).collect(),
        grant: id,
        inputs,
        order,
        part: part.clone(),
        pictures,
        software,
    };
    let entry = node.sign(&Body::Report(Box::new(report)), now(), fresh_nonce()?)?;
    let submitted = client.submit(&entry).await?;
    tracing::info!(%part, verdicts = verdicts.join(", "), index = submitted.index, "reported");
    Ok(())
}

/// Takes the next key when the proven plant shows that it is enrolled, and gives the
/// old one up: this program knows the plant from its grants alone.
async fn replace_keys(node: &Node, client: &Client, plant: &Plant) -> Result<()> {
    let counts = |key: &Digest| plant.live_key(node.member(), key).is_some();
    if let Turn::Switch = node.turn(counts)? {
        node.switch()?;
        tracing::info!("signing with the next key from now on");
    }
    match node.turn(counts)? {
        Turn::GiveUp(old) => {
            client.submit(&node.give_up(&old, now(), fresh_nonce()?)?).await?;
            node.forget_old()?;
        }
        Turn::Forget => node.forget_old()?,
        Turn::Rest | Turn::Switch => {}
    }
    Ok(())
}

fn is_of(plant: &Plant, order: &Digest, part: &Id) -> bool {
    plant.orders.get(order).is_some_and(|o| o.order.part == *part)
}

async fn photographs(granted: &Granted<'_>, root: &str) -> Result<Vec<Shot>> {
    let mut plaintext = Zeroizing::new(Vec::new());
    granted
        .plaintext(root, |piece| {
            if plaintext.len() + piece.len() > MAX_PLAINTEXT {
                return Err(std::io::Error::other("the recording is longer than 2 GiB"));
            }
            plaintext.extend_from_slice(piece);
            Ok(())
        })
        .await?;
    tokio::task::spawn_blocking(move || analyse::photographs(&plaintext)).await?
}

/// The approved template of a part: the one with its name, or else the one of its
/// kind, which is the longest name that the part's name begins with.
async fn template(
    client: &Client,
    plant: &Plant,
    part: &Id,
) -> Result<Option<(Digest, Photograph)>> {
    let Some(template) = choose(plant.templates.values(), part) else {
        return Ok(None);
    };
    let bytes = client.blob(&template.sha256).await?;
    let view = analyse::view(template.view);
    let photograph = Photograph::decode(view, &bytes).context("the template")?;
    Ok(Some((template.sha256, photograph)))
}

fn choose<'a>(templates: impl Iterator<Item = &'a Template>, part: &Id) -> Option<&'a Template> {
    templates
        .filter(|t| *part == t.id || part.as_str().starts_with(&format!("{}-", t.id)))
        .max_by_key(|t| t.id.as_str().len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_template_is_chosen() {
        let template = |id: &str| Template {
            id: id.parse().unwrap(),
            sha256: Digest([0; 32]),
            title: String::new(),
            view: 1,
        };
        let all = [template("flange"), template("flange-left"), template("flange-left-7")];
        let chosen = |part: &str| choose(all.iter(), &part.parse().unwrap()).map(|t| t.id.as_str());
        assert_eq!(chosen("flange-left-7"), Some("flange-left-7"));
        assert_eq!(chosen("flange-left-8"), Some("flange-left"));
        assert_eq!(chosen("flange-1"), Some("flange"));
        assert_eq!(chosen("flanges"), None);
        assert_eq!(chosen("bracket"), None);
    }
}
