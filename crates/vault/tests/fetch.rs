//! From one vault to another and to a reader, and no forged block in between.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{key, plaintext, record};
use proptest::prelude::*;
use std::{collections::HashSet, io, sync::Arc};
use vault::{
    Cid,
    address::{dag_pb_cid, raw_cid},
    car::{CarError, CarReader, CarWriter},
    dag::{DagBuilder, Link, Node},
    fetch::{BlockGetter, FetchError, fetch},
    ingest::{IngestError, export_car, ingest_car},
    record::Recorded,
    seal::{SEGMENT, StreamKey},
    store::Store,
};

struct Site {
    _dir: tempfile::TempDir,
    store: Arc<Store>,
}

fn site() -> Site {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path()).unwrap());
    Site { _dir: dir, store }
}

/// Blocks of a store, with some replaced.
struct Getter {
    store: Arc<Store>,
    forged: Vec<(Cid, Vec<u8>)>,
}

#[async_trait::async_trait]
impl BlockGetter for Getter {
    async fn block(&self, cid: &Cid) -> io::Result<Vec<u8>> {
        if let Some((_, bytes)) = self.forged.iter().find(|(c, _)| c == cid) {
            return Ok(bytes.clone());
        }
        self.store.get(cid).map_err(io::Error::other)?.ok_or(io::ErrorKind::NotFound.into())
    }
}

async fn read(getter: &Getter, root: &Cid, key: &StreamKey) -> Result<Vec<u8>, FetchError> {
    let mut out = Vec::new();
    let commitment = common::key().commitment();
    let total = fetch(getter, root, key, &commitment, b"rec-1", 1000, |part| {
        out.extend_from_slice(part);
        Ok(())
    })
    .await?;
    assert_eq!(total, out.len() as u64);
    Ok(out)
}

#[tokio::test]
async fn a_recording_is_fetched_verified_and_opened() {
    for size in [0, 5, SEGMENT, 4 * SEGMENT + 3] {
        let site = site();
        let made = record(&site.store, &plaintext(size));
        let getter = Getter { store: site.store.clone(), forged: Vec::new() };
        assert!(read(&getter, &made.root.cid, &key()).await.unwrap() == plaintext(size));
    }
}

#[tokio::test]
async fn forged_blocks_wrong_keys_and_other_trees_are_refused() {
    let site = site();
    let made = record(&site.store, &plaintext(3 * SEGMENT));
    let root = made.root.cid;
    let original = site.store.get(&made.leaves[1]).unwrap().unwrap();
    let mut flipped = original.clone();
    flipped[77] ^= 1;
    for bytes in [flipped, original[..100].to_vec(), Vec::new()] {
        let getter = Getter { store: site.store.clone(), forged: vec![(made.leaves[1], bytes)] };
        assert!(matches!(read(&getter, &root, &key()).await, Err(FetchError::Forged(_))));
    }
    let getter = Getter { store: site.store.clone(), forged: Vec::new() };
    let wrong = StreamKey::from_bytes([1; 32]);
    assert!(matches!(read(&getter, &root, &wrong).await, Err(FetchError::Closed(_))));

    // Authentic leaves under a tree that leaves one out, or orders them otherwise.
    for order in [vec![0, 1, 2], vec![0, 2, 1, 3], vec![1, 2, 3]] {
        let mut dag = DagBuilder::new();
        for i in order {
            let leaf = made.leaves[i];
            dag.push(leaf, site.store.block_len(&leaf).unwrap());
        }
        let dag = dag.finish().unwrap();
        let forged = Getter { store: site.store.clone(), forged: dag.blocks.clone() };
        let read = read(&forged, &dag.root, &key()).await;
        assert!(matches!(read, Err(FetchError::Closed(_))), "{read:?}");
    }
}

fn exported(store: &Store, made: &Recorded, skip: &HashSet<Cid>) -> Vec<u8> {
    let mut car = Vec::new();
    export_car(store, &made.root.cid, skip, &mut car).unwrap();
    car
}

#[test]
fn an_upload_that_breaks_off_is_resumed_with_what_is_missing() {
    let (cell, vault) = (site(), site());
    let made = record(&cell.store, &plaintext(5 * SEGMENT));
    let root = made.root.cid;
    let car = exported(&cell.store, &made, &HashSet::new());
    let cut = &car[..3 * SEGMENT];
    let broken = ingest_car(&vault.store, &root, b"", 1 << 30, cut);
    assert!(matches!(broken, Err(IngestError::Car(CarError::Io(_)))));
    assert!(vault.store.root(&root).is_none());

    let missing: HashSet<Cid> = vault.store.missing(&root, 1000).unwrap().into_iter().collect();
    assert!(!missing.is_empty() && missing.len() < made.leaves.len());
    let skip = made.leaves.iter().copied().chain([root]).filter(|c| !missing.contains(c)).collect();
    let rest = exported(&cell.store, &made, &skip);
    assert!(rest.len() < car.len() - 2 * SEGMENT);
    let report = ingest_car(&vault.store, &root, b"manifest", 1 << 30, &rest[..]).unwrap();
    assert_eq!((report.stored as usize, report.had), (missing.len(), 0));
    assert_eq!(report.root.unwrap(), made.root);
    let again = ingest_car(&vault.store, &root, b"manifest", 1 << 30, &car[..]).unwrap();
    assert_eq!((again.stored, again.had as usize), (0, made.leaves.len() + 1));
    assert_eq!(vault.store.check().unwrap().findings, []);
}

#[test]
fn an_incomplete_upload_is_kept_but_not_pinned_and_a_false_one_is_refused() {
    let (cell, vault) = (site(), site());
    let made = record(&cell.store, &plaintext(3 * SEGMENT));
    let root = made.root.cid;
    let skip = [made.leaves[2]].into();
    let car = exported(&cell.store, &made, &skip);
    let report = ingest_car(&vault.store, &root, b"", 1 << 30, &car[..]).unwrap();
    assert_eq!((report.root, report.missing), (None, vec![made.leaves[2]]));

    let other = raw_cid(b"another");
    assert!(matches!(
        ingest_car(&vault.store, &other, b"", 1 << 30, &car[..]),
        Err(IngestError::Refused(_))
    ));
    let small = ingest_car(&vault.store, &root, b"", 1 << 20, &car[..]);
    assert!(matches!(small, Err(IngestError::Refused(_))));
    let mut bad = car;
    bad[SEGMENT / 2] ^= 1;
    let vault = site();
    let refused = ingest_car(&vault.store, &root, b"", 1 << 30, &bad[..]);
    assert!(matches!(refused, Err(IngestError::Car(CarError::Block(_)))));
}

#[test]
fn a_tree_that_lies_about_a_leaf_is_not_pinned() {
    let site = site();
    let leaf = raw_cid(b"leaf");
    site.store.put(&leaf, b"leaf").unwrap();
    let bytes = Node { links: vec![Link { cid: leaf, size: 5, total: 5 }] }.encode();
    let root = dag_pb_cid(&bytes);
    site.store.put(&root, &bytes).unwrap();
    assert!(site.store.pin(&root, b"").is_err());
}

#[test]
fn a_tree_that_is_too_deep_is_not_pinned() {
    let site = site();
    let mut cid = raw_cid(b"x");
    site.store.put(&cid, b"x").unwrap();
    for _ in 0..7 {
        let bytes = Node { links: vec![Link { cid, size: 1, total: 1 }] }.encode();
        cid = dag_pb_cid(&bytes);
        site.store.put(&cid, &bytes).unwrap();
    }
    assert!(site.store.pin(&cid, b"").unwrap_err().to_string().contains("deeper"));
}

/// Six small nodes that would be 174^6 visits.
#[test]
fn a_tree_that_repeats_itself_is_not_pinned() {
    let site = site();
    let mut cid = raw_cid(b"");
    site.store.put(&cid, b"").unwrap();
    for _ in 0..6 {
        let link = Link { cid, size: 0, total: 0 };
        let bytes = Node { links: vec![link; 174] }.encode();
        cid = dag_pb_cid(&bytes);
        site.store.put(&cid, &bytes).unwrap();
    }
    let refused = site.store.pin(&cid, b"").unwrap_err().to_string();
    assert!(refused.contains("twice"), "{refused}");
    assert_eq!(site.store.missing(&cid, 10).unwrap(), []);
}

fn a_node() -> impl Strategy<Value = Node> {
    proptest::collection::vec((any::<[u8; 4]>(), 0..1u64 << 40, any::<u64>()), 1..20).prop_map(
        |links| {
            let link = |(seed, size, total): ([u8; 4], u64, u64)| Link {
                cid: raw_cid(&seed),
                size,
                total,
            };
            Node { links: links.into_iter().map(link).collect() }
        },
    )
}

proptest! {
    #[test]
    fn a_node_comes_back_and_has_one_spelling(node in a_node(), at in any::<prop::sample::Index>(), flip in 1..=255u8) {
        let bytes = node.encode();
        prop_assert_eq!(Node::decode(&bytes).unwrap(), node);
        let mut bad = bytes.clone();
        bad[at.index(bytes.len())] ^= flip;
        if let Ok(other) = Node::decode(&bad) {
            prop_assert_eq!(other.encode(), bad);
        }
        prop_assert!(Node::decode(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn parsers_take_any_bytes_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Node::decode(&bytes);
        if let Ok(mut reader) = CarReader::new(&bytes[..]) {
            while let Ok(Some(_)) = reader.next_block() {}
        }
        let mut car = CarWriter::new(Vec::new(), &raw_cid(b"")).unwrap().finish().unwrap();
        car.extend_from_slice(&bytes);
        let mut reader = CarReader::new(&car[..]).unwrap();
        while let Ok(Some(_)) = reader.next_block() {}
        let text = String::from_utf8_lossy(&bytes);
        let _ = vault::address::parse_cid(&text);
        let _ = vault::address::cid_from_bytes(&bytes);
    }
}
