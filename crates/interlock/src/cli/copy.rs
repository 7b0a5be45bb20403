//! `ledger copy` and `ledger extend`: an auditor's own copy, and how it brings a
//! restored site up to date.

use super::{
    audit::STEP_BYTES,
    context::{Context, Failure},
};
use ::ledger::{
    Follower, FollowerState, Fs, Reader, RealFs, Store,
    copy::{self, CopyError, Source},
    layout::{MAX_LEAF_BYTES, Tile},
};
use node::{Client, Node, keys::FromStart};
use proof::log::WitnessedCheckpoint;
use std::{path::Path, sync::Arc};

/// The most bytes of a tile or bundle.
const MAX_TILE: usize = 256 * (MAX_LEAF_BYTES + 2);

impl From<CopyError> for Failure {
    fn from(error: CopyError) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Keeps a verified copy of the ledger in a folder; a copy that is there already is
/// brought up to date.
pub async fn keep(context: &Context, folder: &Path) -> Result<(), Failure> {
    let (node, client) = context.client()?;
    let (fs, keys): (Arc<dyn Fs>, _) = (Arc::new(RealFs), FromStart(node.anchors));
    let kept = copy::published(fs.clone(), folder, &keys)?.map(|(_, at)| at);
    let newest = newest(&client, &keys).await?;
    let had = kept.as_ref().map_or(0, WitnessedCheckpoint::size);
    if had > newest.size() {
        let text = format!("the copy has {had} entries, the site shows {}", newest.size());
        return Err(Failure::Broken(format!("{text}: the site has gone back")));
    }
    for tile in copy::tiles(newest.size()) {
        fetch(&client, folder, tile).await?;
    }
    if let Some(kept) = kept
        && Reader::new(fs.clone(), folder).root(kept.size()).ok() != Some(kept.root())
    {
        let text = "what the site shows does not begin with this copy: it shows another history";
        return Err(Failure::Broken(text.into()));
    }
    copy::seal(fs, folder, &keys, &newest)?;
    let value = serde_json::json!({ "entries": newest.size(), "new": newest.size() - had });
    context.print(&value, |_| {
        format!("{} entries, {} of them new", newest.size(), newest.size() - had)
    })
}

/// The newest checkpoint, once its entries show whose signatures count on it.
async fn newest(client: &Client, keys: &FromStart) -> Result<WitnessedCheckpoint, Failure> {
    let keys = FromStart(keys.0.clone());
    let mut follower = Follower::new(keys, FollowerState::default(), STEP_BYTES);
    follower.poll(client).await.map_err(|e| Failure::Broken(e.to_string()))?;
    // Proven is enough: the entries come with the tiles.
    let newest = follower.ahead().or(follower.latest()).cloned();
    newest.ok_or_else(|| Failure::Failed("the ledger is empty".into()))
}

async fn fetch(client: &Client, folder: &Path, tile: Tile) -> Result<(), Failure> {
    let path = folder.join(tile.to_string());
    if path.exists() {
        return Ok(());
    }
    let bytes = client.bytes(&format!("/{tile}"), MAX_TILE).await?;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let partial = path.with_extension("new");
    std::fs::write(&partial, bytes)?;
    std::fs::File::open(&partial)?.sync_all()?;
    Ok(std::fs::rename(&partial, &path)?)
}

/// Appends to a site's ledger what a longer copy of it has. The site must not run.
pub fn extend(context: &Context, site: &Path, from: &Path) -> Result<(), Failure> {
    let node = Node::load(site)?;
    let signers = crate::site::own::log_signers(site, node.anchors.log.origin())?;
    let (fs, keys): (Arc<dyn Fs>, _) = (Arc::new(RealFs), FromStart(node.anchors));
    let open =
        |dir: &Path| Store::open_with(fs.clone(), dir, signers.clone()).map_err(CopyError::from);
    // Only a log that was written to has slots; a copy has none.
    let source = match from.join("stage").is_dir() {
        true => Source::Log(Box::new(open(from)?)),
        false => {
            let (_, at) = copy::published(fs.clone(), from, &keys)?.ok_or_else(|| {
                Failure::Failed(format!("`{}` holds no copy of a ledger", from.display()))
            })?;
            Source::Copy(from.to_owned(), Box::new(at))
        }
    };
    let mut store = open(&site.join("data/ledger"))?;
    let new = copy::extend(&mut store, fs.clone(), &source, &keys, &signers)?;
    let size = store.size();
    store.close().map_err(|e| Failure::Failed(e.to_string()))?;
    let value = serde_json::json!({ "entries": size, "new": new });
    context.print(&value, |_| format!("{new} entries were appended; the ledger has {size}"))
}
