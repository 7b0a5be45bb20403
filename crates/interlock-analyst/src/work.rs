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
    /// When to try again; never after a refusal that waiting won't mend.
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
            let site = match cause.downcast_ref::<GrantedError>() {
                Some(GrantedError::Site(site)) => Some(site),
                _ => cause.downcast_ref::<ClientError>(),
            };
            site.is_some_and(ClientError::is_final)
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
    replace_keys(node, client, &granted.plant).await;
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
/// old one up: this program knows the plant from its grants alone. What fails leaves
/// the keys as they are until the next grant, and holds this one up no longer.
async fn replace_keys(node: &Node, client: &Client, plant: &Plant) {
    if let Err(error) = turn_keys(node, client, plant).await {
        tracing::warn!(error = format!("{error:#}"), "the old key is not given up yet");
    }
}

async fn turn_keys(node: &Node, client: &Client, plant: &Plant) -> Result<()> {
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
    use axum::{
        Json, Router,
        extract::State,
        routing::{get, post},
    };
    use base::{Refusal, Rule};
    use node::init::{Blueprint, NewMember, folder, init};
    use plant::body::{Approve, Change, Member};
    use policy::Role;
    use proof::entry::{Entry, Leaf};
    use serde_json::{Value, json};
    use std::{
        path::PathBuf,
        sync::{Arc, Mutex},
    };
    use tokio::net::TcpListener;
    use transport::{ClientAuth, Problem, Server};

    /// What a site refuses by, and what it was asked.
    #[derive(Default)]
    struct Inside {
        by: Option<Rule>,
        asked: usize,
    }

    /// A site with one grant, which answers every question about it alike.
    #[derive(Clone, Default)]
    struct Site(Arc<Mutex<Inside>>);

    impl Site {
        fn refuses_by(&self, rule: impl Into<Option<Rule>>) {
            self.0.lock().unwrap().by = rule.into();
        }

        fn asked(&self) -> usize {
            self.0.lock().unwrap().asked
        }

        fn answer(&self) -> Result<Json<Value>, Problem> {
            let mut inside = self.0.lock().unwrap();
            inside.asked += 1;
            match inside.by {
                Some(rule) => Err(Problem::from(Refusal {
                    who: "analyst".into(),
                    what: "something".into(),
                    rule,
                    reason: "because".into(),
                    accepted: "another time".into(),
                })),
                None => Ok(Json(json!({ "id": GRANT, "index": 7, "known": false }))),
            }
        }
    }

    const GRANT: Digest = Digest([7; 32]);

    struct House {
        dir: tempfile::TempDir,
        site: Site,
        node: Node,
        client: Client,
    }

    impl House {
        async fn open() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let member = |name: &str, role: Option<Role>| NewMember {
                id: name.parse().unwrap(),
                name: name.into(),
                roles: role.into_iter().collect(),
                listen: (name == "site").then(|| listener.local_addr().unwrap()),
                cell: None,
            };
            let blueprint = Blueprint {
                site: "plant".parse().unwrap(),
                name: "Plant".into(),
                host: "plant.example".into(),
                members: vec![
                    member("site", Some(Role::Site)),
                    member("analyst", Some(Role::Processor)),
                    member("olga", Some(Role::SecurityOfficer)),
                    member("otto", Some(Role::SecurityOfficer)),
                ],
                witnesses: vec![member("witness-1", None)],
                quorum: 1,
                freshness_ms: 10_000,
                days: 1,
                console: None,
            };
            init(dir.path(), &blueprint, now()).unwrap();
            let site = Site::default();
            let router = Router::new()
                .route("/api/v1/grants/own", get(async || Json([GRANT])))
                .route("/api/v1/grants/{id}/dossier", get(async |State(s): State<Site>| s.answer()))
                .route("/api/v1/entries", post(async |State(s): State<Site>| s.answer()))
                .with_state(site.clone());
            let load =
                |name: &str| Node::load(&folder(dir.path(), &name.parse().unwrap())).unwrap();
            let own = load("site");
            let server = Server::new(router, &own.trust, &own.identity, ClientAuth::Required);
            tokio::spawn(server.unwrap().run(listener, std::future::pending()));
            let node = load("analyst");
            let client = Client::of(&node).unwrap();
            Self { dir, site, node, client }
        }

        fn at(&self, member: &str) -> PathBuf {
            folder(self.dir.path(), &member.parse().unwrap())
        }

        /// The plant after its officers enrolled the analyst's next key.
        fn rotated(&self) -> Plant {
            let genesis = std::fs::read(self.at("site").join("genesis.json")).unwrap();
            let leaf = |entry| Leaf { entry, logged_at: now() };
            let mut plant = Plant::begin(&leaf(Entry::parse(&genesis).unwrap())).unwrap();
            let state = |plant: &mut Plant, who: &str, body: &Body| {
                let officer = Node::load(&self.at(who)).unwrap();
                let entry = officer.sign(body, now(), fresh_nonce().unwrap()).unwrap();
                plant.append(&leaf(entry).bytes().unwrap()).unwrap()
            };
            let next = self.node.prepare_next().unwrap();
            let known = plant.members[self.node.member()].member.clone();
            let keys = [known.keys.clone(), vec![next.sign]].concat();
            let member = Change::Member(Member { keys, seal: next.seal, ..known });
            let proposal = state(&mut plant, "olga", &Body::Propose(member));
            state(&mut plant, "otto", &Body::Approve(Approve { proposal }));
            plant
        }
    }

    #[tokio::test]
    async fn a_grant_is_tried_again_unless_its_refusal_is_final() {
        let house = House::open().await;
        let mut tried = Tried::default();
        let mut again = async |asked: usize| {
            while house.site.asked() < asked {
                round(&house.node, &house.client, GRANT, &mut tried).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            tried.0.get(&GRANT).map(|failed| failed.again.is_some())
        };
        // A site that is short of disk for a minute.
        house.site.refuses_by(Rule::Limit);
        assert_eq!(again(1).await, Some(true));
        assert_eq!(again(2).await, Some(true));
        house.site.refuses_by(Rule::Grant);
        assert_eq!(again(3).await, Some(false));
    }

    #[tokio::test]
    async fn an_old_key_that_cannot_be_given_up_holds_no_grant_up() {
        let house = House::open().await;
        let plant = house.rotated();
        let old = house.at("analyst").join("sign.old.key");
        for rule in [Rule::Limit, Rule::Policy] {
            house.site.refuses_by(rule);
            replace_keys(&house.node, &house.client, &plant).await;
            assert!(old.exists(), "it is given up later");
        }
        assert_eq!(house.site.asked(), 2);
        house.site.refuses_by(None);
        replace_keys(&house.node, &house.client, &plant).await;
        assert!(!old.exists());
    }

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
