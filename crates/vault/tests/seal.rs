//! A sealed stream comes back whole, in any part, and in no other form.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use std::io::{Read, Seek, SeekFrom, Write};
use vault::seal::{
    HEADER, Layout, OpeningReader, SEGMENT, SealingWriter, SliceSource, StreamHeader, StreamKey,
    TAG,
};

const FIRST: usize = SEGMENT - HEADER - TAG;
const NEXT: usize = SEGMENT - TAG;

fn key() -> StreamKey {
    StreamKey::from_bytes([3; 32])
}

fn plaintext(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

fn sealed(plain: &[u8], chunk: usize) -> Vec<u8> {
    let mut byte = 0u8;
    let header = StreamHeader::generate(|out| {
        out.iter_mut().for_each(|b| {
            byte = byte.wrapping_add(41);
            *b = byte;
        });
        Ok::<_, ()>(())
    });
    let mut writer = SealingWriter::new(&key(), header.unwrap(), b"rec-1", Vec::new()).unwrap();
    for part in plain.chunks(chunk.max(1)) {
        writer.write_all(part).unwrap();
    }
    assert_eq!(writer.written(), plain.len() as u64);
    writer.finish().unwrap()
}

fn open_all(cipher: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
    let mut reader = OpeningReader::new(&key(), associated, SliceSource(cipher)).ok()?;
    let mut out = Vec::new();
    reader.read_to_end(&mut out).ok()?;
    Some(out)
}

#[test]
fn sizes_around_every_border_come_back_and_fit_their_layout() {
    let borders = [0, 1, FIRST, FIRST + NEXT, FIRST + 2 * NEXT];
    for border in borders {
        for size in border.saturating_sub(1)..=border + 1 {
            let plain = plaintext(size);
            let cipher = sealed(&plain, 100_000);
            let layout = Layout::of_ciphertext(cipher.len() as u64).unwrap();
            assert_eq!(layout.plaintext(), size as u64);
            assert_eq!(layout.segments() as usize, cipher.len().div_ceil(SEGMENT));
            assert!(open_all(&cipher, b"rec-1").unwrap() == plain, "{size} bytes");
        }
    }
}

#[test]
fn lengths_that_no_stream_has_are_refused() {
    for len in [0, 1, HEADER + TAG - 1, SEGMENT + 1, SEGMENT + TAG, 5 * SEGMENT + TAG] {
        assert_eq!(Layout::of_ciphertext(len as u64), None, "{len}");
    }
    assert_eq!(Layout::of_ciphertext(u64::MAX), None);
    assert!(Layout::of_ciphertext((1u64 << 32) * SEGMENT as u64 - SEGMENT as u64).is_some());
}

#[test]
fn another_recording_key_or_order_does_not_open() {
    let cipher = sealed(&plaintext(3 * SEGMENT + 7), SEGMENT);
    assert!(open_all(&cipher, b"rec-1").is_some());
    assert!(open_all(&cipher, b"rec-2").is_none());
    let other = StreamKey::from_bytes([4; 32]);
    assert!(OpeningReader::new(&other, b"rec-1", SliceSource(&cipher)).is_err());

    let mut swapped = cipher.clone();
    let (a, b) = swapped.split_at_mut(2 * SEGMENT);
    a[SEGMENT..].swap_with_slice(&mut b[..SEGMENT]);
    assert!(open_all(&swapped, b"rec-1").is_none(), "swapped");

    let mut repeated = cipher.clone();
    repeated.copy_within(SEGMENT..2 * SEGMENT, 2 * SEGMENT);
    assert!(open_all(&repeated, b"rec-1").is_none(), "repeated");

    for cut in [1, SEGMENT, 2 * SEGMENT, 3 * SEGMENT, cipher.len() - 1] {
        assert!(open_all(&cipher[..cut], b"rec-1").is_none(), "cut at {cut}");
    }
    let dropped = [&cipher[..SEGMENT], &cipher[2 * SEGMENT..]].concat();
    assert!(open_all(&dropped, b"rec-1").is_none(), "a segment dropped");
    let longer = [&cipher[..], &[0; 64]].concat();
    assert!(open_all(&longer, b"rec-1").is_none(), "bytes appended");
}

#[test]
fn an_unfinished_stream_does_not_open() {
    struct Shared(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);
    impl vault::seal::SegmentSink for Shared {
        fn segment(&mut self, _: u32, _: bool, bytes: &[u8]) -> std::io::Result<()> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(())
        }
    }
    let out = std::rc::Rc::default();
    let header = StreamHeader::generate(|b| {
        b.fill(1);
        Ok::<_, ()>(())
    });
    let sink = Shared(std::rc::Rc::clone(&out));
    let mut writer = SealingWriter::new(&key(), header.unwrap(), b"rec-1", sink).unwrap();
    writer.write_all(&plaintext(2 * SEGMENT)).unwrap();
    drop(writer);
    let cipher = out.borrow();
    assert_eq!(cipher.len(), 2 * SEGMENT, "a segment leaves once more plaintext follows");
    assert!(open_all(&cipher, b"rec-1").is_none());
}

#[test]
fn a_failed_sink_ends_the_stream() {
    struct Full;
    impl vault::seal::SegmentSink for Full {
        fn segment(&mut self, _: u32, _: bool, _: &[u8]) -> std::io::Result<()> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
    }
    let header = StreamHeader::generate(|b| {
        b.fill(1);
        Ok::<_, ()>(())
    });
    let mut writer = SealingWriter::new(&key(), header.unwrap(), b"", Full).unwrap();
    assert!(writer.write_all(&plaintext(2 * SEGMENT)).is_err());
    assert!(writer.write_all(b"more").is_err());
    assert!(writer.finish().is_err());
}

#[test]
fn the_commitment_tells_keys_apart() {
    let commitment = key().commitment();
    assert!(key().matches(&commitment));
    assert!(!StreamKey::from_bytes([4; 32]).matches(&commitment));
    let text = [b"interlock/key-commitment/v1".as_slice(), &[3; 32]].concat();
    assert_eq!(commitment.0, base::sha256(&text));
    assert!(!format!("{:?}", key()).contains("3, 3"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_size_written_in_any_pieces_comes_back(
        size in 0..2 * SEGMENT + 100, chunk in 1..3 * SEGMENT, from in 0..2 * SEGMENT, len in 0..SEGMENT
    ) {
        let plain = plaintext(size);
        let cipher = sealed(&plain, chunk);
        prop_assert!(open_all(&cipher, b"rec-1").unwrap() == plain);
        let mut reader = OpeningReader::new(&key(), b"rec-1", SliceSource(&cipher)).unwrap();
        let (from, to) = (from.min(size), (from + len).min(size));
        let part = reader.read_range(from as u64..(from.max(to)) as u64).unwrap();
        prop_assert!(part == plain[from..from.max(to)]);
        reader.seek(SeekFrom::Start(from as u64)).unwrap();
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        prop_assert!(rest == plain[from..]);
    }

    #[test]
    fn any_changed_bit_is_refused(at in 0..SEGMENT + 2000, bit in 0..8u8) {
        let mut cipher = sealed(&plaintext(SEGMENT + 2000), SEGMENT);
        prop_assume!(at < cipher.len());
        cipher[at] ^= 1 << bit;
        prop_assert!(open_all(&cipher, b"rec-1").is_none());
    }

    #[test]
    fn any_cut_is_refused(cut in 0..SEGMENT + 1000) {
        let cipher = sealed(&plaintext(SEGMENT + 2000), SEGMENT);
        prop_assert!(open_all(&cipher[..cut], b"rec-1").is_none());
    }
}
