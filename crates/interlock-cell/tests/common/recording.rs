//! Opening what a cell delivered.

use super::Plant;
use base::to_canonical;
use capture::read_checkpoints;
use proof::recording::{SignedManifest, verify_chain};
use std::io::Read;
use vault::{
    Cid, dag,
    grant_key::{WrappedKey, unwrap},
    seal::OpeningReader,
};

/// Opens a delivered recording as the vault does: chain, key and ciphertext.
pub fn open(plant: &Plant, recording: &str) -> Vec<u8> {
    let inside = plant.site.inside();
    let of = |d: &&api::Delivery| d.manifest["claim"]["recording"] == recording;
    let delivery = inside.keys.values().find(of).expect("its key was delivered");
    let manifest = to_canonical(&delivery.manifest).unwrap();
    let signed = SignedManifest::from_bytes(&manifest).unwrap();
    let public = proof::keys::Signer::public(&*plant.node("cell-1").signer);
    let claim = signed.verify(&public).unwrap().clone();
    let root: Cid = claim.root_cid.parse().unwrap();
    let store = &plant.site.store;
    let mut leaves = Vec::new();
    let mut ciphertext = Vec::new();
    let load = |cid: &Cid| Ok::<_, std::io::Error>(store.get(cid).unwrap().unwrap());
    dag::walk(&root, None, load, |visit| {
        if visit.leaf {
            leaves.push(visit.cid.to_bytes());
            ciphertext.extend(store.get(&visit.cid).unwrap().unwrap());
        }
        Ok(())
    })
    .unwrap();
    let chain = read_checkpoints(&inside.checkpoints[&claim.root_cid][..]).unwrap();
    let verified = verify_chain(&chain, &public, &leaves).unwrap();
    claim.matches(verified.last(), &verified.digest()).unwrap();
    assert_eq!(claim.ciphertext_bytes, ciphertext.len() as u64);

    let secret = plant.node("site").seal_key().unwrap();
    let wrapped =
        WrappedKey { enc: delivery.key.enc.clone(), ciphertext: delivery.key.ciphertext.clone() };
    let aad = claim.root_cid.as_bytes();
    let key = unwrap(&secret, recording.as_bytes(), aad, &wrapped).unwrap();
    assert_eq!(key.commitment().0, claim.sealing.key_commitment);
    let source = std::io::Cursor::new(ciphertext);
    let mut plain = Vec::new();
    let source = vault::seal::SliceSource(source.get_ref());
    OpeningReader::new(&key, recording.as_bytes(), source)
        .unwrap()
        .read_to_end(&mut plain)
        .unwrap();
    assert_eq!(plain.len() as u64, claim.plaintext_bytes);
    plain
}

/// The run of an order.
pub fn run(order: &base::Digest) -> String {
    order.to_string().chars().take(32).collect()
}
