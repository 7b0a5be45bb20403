//! Google's Tink reads what is sealed here, and refuses what was tampered with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base::sha256;
use common::{key, plaintext, python};
use std::io::Write;
use vault::seal::{SEGMENT, SealingWriter, StreamHeader};

const FIRST: usize = SEGMENT - 56;
const NEXT: usize = SEGMENT - 16;

fn sealed(plain: &[u8]) -> Vec<u8> {
    let header = StreamHeader::generate(aws_lc_rs::rand::fill).unwrap();
    let mut writer = SealingWriter::new(&key(), header, b"rec-1", Vec::new()).unwrap();
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

/// What Tink says about each ciphertext.
fn tink(associated: &str, files: &[Vec<u8>]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let mut args = vec![hex(key().expose()), associated.to_owned()];
    for (i, bytes) in files.iter().enumerate() {
        let path = dir.path().join(i.to_string());
        std::fs::write(&path, bytes).unwrap();
        args.push(path.display().to_string());
    }
    python("tink_decrypt.py", &args).lines().map(str::to_owned).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn tink_reads_every_size_around_the_borders() {
    let sizes = [0, 1, FIRST - 1, FIRST, FIRST + 1, FIRST + NEXT, FIRST + NEXT + 1, 3 << 20];
    let plain: Vec<Vec<u8>> = sizes.iter().map(|n| plaintext(*n)).collect();
    let files: Vec<Vec<u8>> = plain.iter().map(|p| sealed(p)).collect();
    let expected: Vec<String> =
        plain.iter().map(|p| format!("{} {}", sha256(p), p.len())).collect();
    assert_eq!(tink("rec-1", &files), expected);
}

#[test]
fn tink_refuses_what_was_cut_swapped_or_flipped() {
    let good = sealed(&plaintext(3 * SEGMENT));
    let mut swapped = good.clone();
    let (a, b) = swapped.split_at_mut(2 * SEGMENT);
    a[SEGMENT..].swap_with_slice(&mut b[..SEGMENT]);
    let flipped = |at: usize| {
        let mut bad = good.clone();
        bad[at] ^= 1;
        bad
    };
    let bad = [
        good[..good.len() - 1].to_vec(),
        good[..2 * SEGMENT].to_vec(),
        swapped,
        flipped(0),
        flipped(20),
        flipped(SEGMENT / 2),
        flipped(good.len() - 1),
    ];
    assert_eq!(tink("rec-1", &bad), vec!["refused"; bad.len()]);
    assert_eq!(tink("rec-2", std::slice::from_ref(&good)), ["refused"]);
    assert_ne!(tink("rec-1", &[good]), ["refused"]);
}
