//! Storage keeps what it acknowledged, through kills, failing disks and damage.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};
use vault::{
    Cid,
    address::raw_cid,
    record::{Recorded, Recorder},
    seal::{SEGMENT, StreamHeader, StreamKey},
    store::{Finding, OsDisk, Store, StoreError},
};

const PACK: u64 = 3 << 20;

fn open(dir: &Path) -> Store {
    Store::open_on(Arc::new(OsDisk), dir, PACK).unwrap()
}

fn block(n: u32, len: usize) -> Vec<u8> {
    n.to_be_bytes().into_iter().cycle().take(len).collect()
}

fn record(store: &Arc<Store>, size: usize) -> Recorded {
    let mut seed = size as u8;
    let header = StreamHeader::generate(|b| {
        seed = seed.wrapping_add(1);
        b.fill(seed);
        Ok::<_, ()>(())
    });
    let key = StreamKey::from_bytes([1; 32]);
    let mut recorder = Recorder::start(store.clone(), &key, header.unwrap(), b"rec").unwrap();
    recorder.write_all(&block(9, size)).unwrap();
    recorder.finish(|dag| dag.root.to_string().into_bytes()).unwrap()
}

fn last_pack(dir: &Path) -> PathBuf {
    let files = std::fs::read_dir(dir.join("packs")).unwrap().map(|e| e.unwrap().path());
    files.filter(|p| p.extension().is_some_and(|x| x == "pack")).max().unwrap()
}

#[test]
fn blocks_and_recordings_survive_reopening_over_several_packs() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let made = record(&store, 9 * SEGMENT);
    assert_eq!(made.leaves.len(), 10);
    drop(store);
    let store = open(dir.path());
    assert!(last_pack(dir.path()).ends_with("00000005.pack"));
    assert_eq!(store.roots(), std::slice::from_ref(&made.root));
    assert_eq!(made.root.metadata, made.root.cid.to_string().into_bytes());
    for leaf in &made.leaves {
        assert_eq!(store.roots_of(leaf), std::slice::from_ref(&made.root));
        assert_eq!(raw_cid(&store.get(leaf).unwrap().unwrap()), *leaf);
    }
    let report = store.check().unwrap();
    assert_eq!((report.blocks, report.recordings), (11, 1));
    assert_eq!(report.findings, []);
    let part = store.get_range(&made.leaves[0], 10..20).unwrap().unwrap();
    assert_eq!(part, store.get(&made.leaves[0]).unwrap().unwrap()[10..20]);
}

#[test]
fn bytes_under_a_wrong_address_and_too_large_ones_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let wrong = store.put(&raw_cid(b"a"), b"b");
    assert!(matches!(wrong, Err(StoreError::Invalid(_))));
    let large = vec![0; SEGMENT + 1];
    assert!(matches!(store.put(&raw_cid(&large), &large), Err(StoreError::Invalid(_))));
    assert!(store.put(&raw_cid(b"a"), b"a").unwrap());
    assert!(!store.put(&raw_cid(b"a"), b"a").unwrap(), "the second time it is not new");
}

#[test]
fn a_second_process_is_kept_out() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let second = Store::open(dir.path());
    assert!(second.err().unwrap().to_string().contains("another process"));
    drop(store);
    assert!(Store::open(dir.path()).is_ok());
}

#[test]
fn a_tail_torn_at_any_place_keeps_all_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..4 {
        store.put(&raw_cid(&block(n, 100)), &block(n, 100)).unwrap();
    }
    store.commit().unwrap();
    drop(store);
    let pack = last_pack(dir.path());
    let whole = std::fs::read(&pack).unwrap();
    let record = whole.len() / 4;
    for cut in (0..whole.len()).step_by(13) {
        std::fs::write(&pack, &whole[..cut]).unwrap();
        let store = open(dir.path());
        for n in 0..4u32 {
            let kept = store.get(&raw_cid(&block(n, 100))).unwrap().is_some();
            assert_eq!(kept, (n as usize + 1) * record <= cut, "block {n}, cut at {cut}");
        }
        store.put(&raw_cid(b"after"), b"after").unwrap();
        drop(store);
        assert!(open(dir.path()).has(&raw_cid(b"after")), "cut at {cut}");
    }
}

#[test]
fn damage_in_the_middle_costs_one_block_and_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let ids: Vec<Cid> = (0..4).map(|n| raw_cid(&block(n, 100))).collect();
    for n in 0..4 {
        store.put(&ids[n as usize], &block(n, 100)).unwrap();
    }
    store.commit().unwrap();
    drop(store);
    let pack = last_pack(dir.path());
    let whole = std::fs::read(&pack).unwrap();
    for at in [156 + 3, 156 + 9, 156 + 60] {
        let mut bad = whole.clone();
        bad[at] ^= 0x40;
        std::fs::write(&pack, &bad).unwrap();
        let store = open(dir.path());
        let kept: Vec<bool> = ids.iter().map(|id| store.has(id)).collect();
        assert_eq!(kept, [true, false, true, true], "byte {at}");
        let findings = store.check().unwrap().findings;
        assert_eq!(findings, [Finding::Pack { pack: 1, bytes: 156 }]);
    }
}

#[test]
fn a_block_that_changes_on_disk_is_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let made = record(&store, 2 * SEGMENT);
    let pack = OpenOptions::new().write(true).open(dir.path().join("packs/00000001.pack")).unwrap();
    pack.write_all_at(b"xx", 5000).unwrap();
    assert!(matches!(store.get(&made.leaves[0]), Err(StoreError::Damaged(_))));
    let findings = store.check().unwrap().findings;
    assert!(matches!(&findings[..], [Finding::Block { cid, .. }] if *cid == made.leaves[0]));
}

#[test]
fn a_lost_index_is_written_anew_and_a_changed_record_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let made = record(&store, 5 * SEGMENT);
    drop(store);
    let index = dir.path().join("packs/00000001.idx");
    let good = std::fs::read(&index).unwrap();
    let mut bad = good.clone();
    bad[20] ^= 1;
    std::fs::write(&index, bad).unwrap();
    assert!(open(dir.path()).has(&made.leaves[0]));
    assert_eq!(std::fs::read(&index).unwrap(), good);

    let record = dir.path().join(format!("roots/{}.json", made.root.cid));
    let text = std::fs::read_to_string(&record).unwrap();
    std::fs::write(&record, text.replace("false", "true")).unwrap();
    let findings = open(dir.path()).check().unwrap().findings;
    assert!(matches!(&findings[..], [Finding::Record { .. }]), "{findings:?}");
}

#[test]
fn an_incomplete_tree_is_not_pinned_and_a_removed_one_is_reclaimed() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let (store, target) = (Arc::new(open(dir.path())), open(other.path()));
    let made = record(&store, 9 * SEGMENT);
    let node = store.get(&made.root.cid).unwrap().unwrap();
    target.put(&made.root.cid, &node).unwrap();
    assert!(matches!(target.pin(&made.root.cid, b""), Err(StoreError::Damaged(_))));
    assert_eq!(target.missing(&made.root.cid, 100).unwrap(), made.leaves);

    let kept = record(&store, SEGMENT / 2);
    store.remove(&made.root.cid).unwrap();
    assert!(store.root(&made.root.cid).unwrap().gone);
    assert!(store.reclaim().unwrap() > 7 << 20);
    assert!(!store.has(&made.leaves[0]));
    drop(store);
    let store = open(dir.path());
    assert!(store.root(&made.root.cid).unwrap().gone);
    assert_eq!(store.roots(), [kept.root]);
    assert_eq!(store.check().unwrap().findings, []);
}

#[test]
fn plaintext_never_reaches_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    record(&store, 3 * SEGMENT);
    let needle = block(9, 64);
    for entry in std::fs::read_dir(dir.path().join("packs")).unwrap() {
        let mut bytes = Vec::new();
        File::open(entry.unwrap().path()).unwrap().read_to_end(&mut bytes).unwrap();
        assert!(!bytes.windows(64).any(|w| w == needle));
    }
}
