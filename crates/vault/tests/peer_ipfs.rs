//! IPFS tools compute the same roots, and fetch from the gateway over mutual TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base::sha256;
use common::{PlantGate, TlsSite, id, node, plaintext, record, serve};
use std::{
    fs::File,
    io::{BufWriter, Write},
    sync::Arc,
};
use vault::{
    address::raw_cid,
    dag::DagBuilder,
    gateway::{Config, router},
    seal::SEGMENT,
    store::Store,
};

fn root_of(bytes: &[u8], chunk: usize) -> String {
    let mut dag = DagBuilder::new();
    if bytes.is_empty() {
        dag.push(raw_cid(b""), 0);
    }
    for leaf in bytes.chunks(chunk) {
        dag.push(raw_cid(leaf), leaf.len() as u64);
    }
    dag.finish().unwrap().root.to_string()
}

fn importer(chunk: usize, files: &[Vec<u8>]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let mut args = vec![chunk.to_string()];
    for (i, bytes) in files.iter().enumerate() {
        let path = dir.path().join(i.to_string());
        BufWriter::new(File::create(&path).unwrap()).write_all(bytes).unwrap();
        args.push(path.display().to_string());
    }
    node("ipfs_root.mjs", &args).lines().map(str::to_owned).collect()
}

#[test]
fn the_importer_gives_the_same_roots_for_one_mebibyte_leaves() {
    let sizes = [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, 5 * SEGMENT + 7];
    let files: Vec<Vec<u8>> = sizes.iter().map(|n| plaintext(*n)).collect();
    let expected: Vec<String> = files.iter().map(|f| root_of(f, SEGMENT)).collect();
    assert_eq!(importer(SEGMENT, &files), expected);
}

#[test]
fn the_importer_gives_the_same_roots_for_trees_of_every_depth() {
    let chunk = 16;
    let leaves = [173, 174, 175, 348, 349, 174 * 174, 174 * 174 + 1];
    let files: Vec<Vec<u8>> = leaves.iter().map(|n| plaintext(n * chunk - 3)).collect();
    let expected: Vec<String> = files.iter().map(|f| root_of(f, chunk)).collect();
    assert_eq!(importer(chunk, &files), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ipfs_client_fetches_by_cid_and_by_range_from_the_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path()).unwrap());
    let made = record(&store, &plaintext(5 * SEGMENT));
    let root = made.root.cid;
    let gate = PlantGate::granting(&root.to_string(), "analyst", 64 << 20);
    let routes = router(store.clone(), gate.clone(), Config::default());
    let TlsSite { authority, validity, url, _stop } = serve(routes).await;

    let client = authority.issue(&id("analyst"), &[], validity).unwrap();
    let fetch = |extra: serde_json::Value| {
        let mut options = serde_json::json!({
            "url": url, "cid": root.to_string(), "ca": authority.certificate(),
            "cert": client.cert_pem, "key": client.key_pem.as_str(),
        });
        options.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let run = move || node("ipfs_fetch.mjs", &[options.to_string()]);
        async {
            serde_json::from_str::<serde_json::Value>(
                &tokio::task::spawn_blocking(run).await.unwrap(),
            )
            .unwrap()
        }
    };

    let mut cipher = Vec::new();
    for leaf in &made.leaves {
        cipher.extend(store.get(leaf).unwrap().unwrap());
    }
    let whole = fetch(serde_json::json!({})).await;
    assert_eq!(whole["sha256"], sha256(&cipher).to_string());
    assert_eq!(whole["size"], made.root.size);
    assert_eq!(whole["blocks"].as_array().unwrap().len(), 1 + made.leaves.len());

    let (from, length) = (2 * SEGMENT + 10, SEGMENT);
    let part = fetch(serde_json::json!({"offset": from, "length": length})).await;
    assert_eq!(part["sha256"], sha256(&cipher[from..from + length]).to_string());
    let asked = [root, made.leaves[2], made.leaves[3]].map(|c| c.to_string());
    assert_eq!(part["blocks"], serde_json::json!(asked));

    let node_bytes = store.block_len(&root).unwrap();
    let served = made.root.size + 2 * node_bytes + 2 * SEGMENT as u64;
    assert_eq!(gate.served(), served, "each byte served is on record");
}
