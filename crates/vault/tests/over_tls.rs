//! A reader fetches, verifies and opens a recording over mutual TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base::sha256;
use common::{PlantGate, TlsSite, id, key, plaintext, record, serve};
use std::sync::Arc;
use vault::{
    fetch::{FetchError, fetch},
    gateway::{Config, router},
    getter::GatewayGetter,
    seal::SEGMENT,
    store::Store,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grantee_reads_and_after_revocation_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path()).unwrap());
    let plain = plaintext(3 * SEGMENT);
    let made = record(&store, &plain);
    let root = made.root.cid;
    let gate = PlantGate::granting(&root.to_string(), "analyst", 64 << 20);
    let routes = router(store.clone(), gate.clone(), Config::default());
    let TlsSite { authority, validity, url, _stop } = serve(routes).await;

    let getter = |member: &str, grant| {
        let issued = authority.issue(&id(member), &[], validity).unwrap();
        let ca = authority.certificate();
        let client = transport::client::build(ca, &issued.cert_pem, &issued.key_pem).unwrap();
        GatewayGetter::new(client, &url, grant)
    };
    let read = async |getter: GatewayGetter| -> Result<Vec<u8>, FetchError> {
        let mut out = Vec::new();
        let commitment = made.commitment;
        fetch(&getter, &root, &key(), &commitment, b"rec-1", 100, |part| {
            out.extend_from_slice(part);
            Ok(())
        })
        .await?;
        Ok(out)
    };
    assert!(read(getter("analyst", None)).await.unwrap() == plain);
    assert!(read(getter("analyst", Some(sha256(b"grant")))).await.unwrap() == plain);
    let served = 2 * (made.root.size + store.block_len(&root).unwrap());
    assert_eq!(gate.served(), served);

    let refused = async |getter| read(getter).await.unwrap_err().to_string();
    let text = refused(getter("stranger", None)).await;
    assert!(text.contains("refused by rule `grant`"), "{text}");
    let text = refused(getter("analyst", Some(sha256(b"another")))).await;
    assert!(text.contains("no grant gives") || text.contains("no grant"), "{text}");
    gate.revoke();
    let text = refused(getter("analyst", None)).await;
    assert!(text.contains("revoked"), "{text}");
    assert_eq!(gate.served(), served, "a refusal serves nothing");
}
