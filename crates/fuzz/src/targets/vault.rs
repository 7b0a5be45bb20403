//! What the vault reads: CARs, nodes, sealed streams, packs, requests.

use ::vault::{
    Cid,
    address::raw_cid,
    car::{CarReader, CarWriter},
    dag::Node,
    gateway::{Config, DataGate, ReadPermit, ReadRequest, router},
    record::Recorder,
    seal::{
        Layout, OpeningReader, SEGMENT, SealingWriter, SegmentSink, SliceSource, StreamHeader,
        StreamKey,
    },
    store::{OsDisk, Store},
};
use axum::{Router, body::Body, extract::Request, http::StatusCode};
use base::{Digest, Refusal, Rule, sha256};
use std::{
    io::{self, Write},
    path::Path,
    sync::{Arc, LazyLock},
};
use tempfile::TempDir;
use tower::ServiceExt;
use transport::Peer;

/// CARs as they come; written again they are the same bytes.
pub fn car(bytes: &[u8]) {
    let Ok(mut reader) = CarReader::new(bytes) else {
        return;
    };
    let mut writer = CarWriter::new(Vec::new(), reader.root()).unwrap();
    loop {
        match reader.next_block() {
            Ok(Some((cid, block))) => writer.block(&cid, &block).unwrap(),
            Ok(None) => return assert_eq!(writer.finish().unwrap(), bytes),
            Err(_) => return,
        }
    }
}

/// Nodes of a tree have one spelling.
pub fn node(bytes: &[u8]) {
    if let Ok(node) = Node::decode(bytes) {
        assert_eq!(node.encode(), bytes);
        let total = node.links.iter().map(|l| u128::from(l.size)).sum::<u128>();
        assert_eq!(u128::from(node.size()), total);
    }
}

struct Collected(Vec<u8>);

impl SegmentSink for Collected {
    fn segment(&mut self, _: u32, _: bool, ciphertext: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(ciphertext);
        Ok(())
    }
}

/// A foreign stream; then the input as plaintext, sealed, cut and changed.
pub fn seal(bytes: &[u8]) {
    let key = StreamKey::from_bytes([0x5a; 32]);
    if let Ok(mut reader) = OpeningReader::new(&key, b"rec-1", SliceSource(bytes)) {
        let _ = reader.read_range(0..u64::MAX);
    }
    if let Some(first) = bytes.first_chunk() {
        layout(u64::from_le_bytes(*first));
    }
    let header = StreamHeader::generate(|b| {
        b.fill(7);
        Ok::<_, io::Error>(())
    });
    let mut writer =
        SealingWriter::new(&key, header.unwrap(), b"rec-1", Collected(Vec::new())).unwrap();
    writer.write_all(bytes).unwrap();
    let mut sealed = writer.finish().unwrap().0;
    let open = |sealed: &[u8], name: &[u8]| {
        OpeningReader::new(&key, name, SliceSource(sealed))?.read_range(0..u64::MAX)
    };
    assert_eq!(open(&sealed, b"rec-1").unwrap(), bytes);
    assert!(open(&sealed, b"rec-2").is_err(), "it opens as another recording");
    assert!(open(&sealed[..sealed.len() - 1], b"rec-1").is_err(), "it opens when cut");
    let at = bytes.first().map_or(0, |b| usize::from(*b) * 31) % sealed.len();
    sealed[at] ^= 0x10;
    assert!(open(&sealed, b"rec-1").is_err(), "it opens with byte {at} changed");
}

fn layout(length: u64) {
    if let Some(layout) = Layout::of_ciphertext(length) {
        assert_eq!(layout.ciphertext(), length);
        let (segment, within) = layout.locate(layout.plaintext().saturating_sub(1));
        assert!(segment < layout.segments() && within < SEGMENT);
        assert!(layout.plaintext() < length);
    }
}

fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap()
}

/// A record of a pack: its header made as the store makes it.
fn record(out: &mut Vec<u8>, digest: [u8; 32], length: u32, body: &[u8]) {
    let mut head = b"ILB1\x55\0\0\0".to_vec();
    head.extend_from_slice(&length.to_le_bytes());
    head.extend_from_slice(&digest);
    let check = sha256(&head).0;
    out.extend_from_slice(&head);
    out.extend_from_slice(&check[..12]);
    out.extend_from_slice(body);
}

/// A store whose files hold what the fuzzer chose: pieces, each a kind, a length and
/// bytes. Opening it never fails, serves no wrong byte, and takes new blocks.
pub fn pack(bytes: &[u8]) {
    let (mut packs, mut index, mut rest) = (vec![Vec::new()], Vec::new(), bytes);
    while let Some(([kind, length], after)) = rest.split_first_chunk::<2>() {
        let (body, after) = after.split_at(usize::from(*length).min(after.len()));
        let (out, size) = (packs.last_mut().unwrap(), body.len() as u32);
        match kind % 7 {
            0 => record(out, sha256(body).0, size, body),
            1 => record(out, [*length; 32], size, body),
            2 => record(out, sha256(body).0, size + 9, body),
            3 => record(out, sha256(body).0, u32::MAX - size, body),
            4 => out.extend_from_slice(body),
            5 => index.extend_from_slice(body),
            _ if packs.len() < 4 => packs.push(Vec::new()),
            _ => {}
        }
        rest = after;
    }
    let dir = scratch();
    let folder = dir.path().join("packs");
    std::fs::create_dir(&folder).unwrap();
    for (at, pack) in packs.iter().enumerate() {
        std::fs::write(folder.join(format!("{:08}.pack", at + 1)), pack).unwrap();
    }
    let mut entries = [b"ILX1", &(packs[0].len() as u64).to_le_bytes()[..], &index].concat();
    entries.extend_from_slice(&sha256(&entries).0);
    std::fs::write(folder.join("00000001.idx"), entries).unwrap();
    let open = || Store::open_on(Arc::new(OsDisk), dir.path(), 1 << 20).expect("it opens");
    let store = open();
    store.check().unwrap();
    store.put(&raw_cid(b"new"), b"new").unwrap();
    store.commit().unwrap();
    drop(store);
    // The index may name the block at a wrong place: then it is an error, never bytes.
    if let Ok(found) = open().get(&raw_cid(b"new")) {
        assert_eq!(found.as_deref(), Some(&b"new"[..]));
    }
}

struct Closed;

#[async_trait::async_trait]
impl DataGate for Closed {
    async fn authorise(&self, _: &Peer, read: &ReadRequest) -> Result<ReadPermit, Refusal> {
        assert!(read.bytes < 2 * SEGMENT as u64, "an answer of {} bytes", read.bytes);
        Err(Refusal {
            who: "fuzz".into(),
            what: "a read".into(),
            rule: Rule::Grant,
            reason: "closed".into(),
            accepted: "nothing".into(),
        })
    }
}

struct Served {
    routes: Router,
    root: Cid,
    leaf: Cid,
    runtime: tokio::runtime::Runtime,
    peer: Peer,
    _dir: TempDir,
}

static SERVED: LazyLock<Served> = LazyLock::new(|| {
    let dir = scratch();
    let store = Arc::new(Store::open(dir.path()).unwrap());
    let header = StreamHeader::generate(|b| {
        b.fill(7);
        Ok::<_, io::Error>(())
    });
    let key = StreamKey::from_bytes([1; 32]);
    let mut recorder = Recorder::start(store.clone(), &key, header.unwrap(), b"rec-1").unwrap();
    // Two segments, so that the root is a node.
    recorder.write_all(&vec![3; SEGMENT + 5000]).unwrap();
    let made = recorder.finish(|_| Vec::new()).unwrap();
    let address = ([127, 0, 0, 1], 1).into();
    Served {
        routes: router(store, Arc::new(Closed), Config::default()),
        root: made.root.cid,
        leaf: made.leaves[0],
        runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
        peer: Peer::of_session("vision".parse().unwrap(), Digest([1; 32]), address),
        _dir: dir,
    }
});

/// A request to the gateway: a path on the first line, then headers. `ROOT` and
/// `LEAF` stand for addresses that are there. Behind a closed gate nothing is served,
/// and nothing is the server's fault.
pub fn gateway(bytes: &[u8]) {
    let served = &*SERVED;
    let text = String::from_utf8_lossy(bytes);
    let text =
        text.replace("ROOT", &served.root.to_string()).replace("LEAF", &served.leaf.to_string());
    let mut lines = text.split('\n');
    let mut request = Request::builder().uri(lines.next().unwrap_or_default());
    for (name, value) in lines.take(20).filter_map(|l| l.split_once(": ")) {
        request = request.header(name, value);
    }
    let Ok(request) = request.extension(served.peer.clone()).body(Body::empty()) else {
        return;
    };
    let probe = request.uri().path().contains("bafkqaaa");
    let listing = request.uri().path().starts_with("/routing/");
    let answer = served.runtime.block_on(served.routes.clone().oneshot(request)).unwrap();
    let status = answer.status();
    assert!(!status.is_server_error(), "{status}");
    assert!(!status.is_success() || probe || listing, "served behind a closed gate: {status}");
    assert_ne!(status, StatusCode::PARTIAL_CONTENT);
}
