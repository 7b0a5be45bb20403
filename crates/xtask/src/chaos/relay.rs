//! The network between cell and site, which can be cut in either direction.

use anyhow::Result;
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Bytes between cell and site, until a direction is cut.
pub struct Relay {
    /// Where the cell is to connect.
    pub address: SocketAddr,
    outwards: Arc<Way>,
    inwards: Arc<Way>,
}

/// One direction.
#[derive(Default)]
struct Way {
    cut: AtomicBool,
    /// How many bytes ever waited for the end of a cut.
    held: AtomicU64,
}

impl Relay {
    /// Passes on to an address.
    pub fn start(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let relay = Self {
            address: listener.local_addr()?,
            outwards: Arc::default(),
            inwards: Arc::default(),
        };
        let (outwards, inwards) = (relay.outwards.clone(), relay.inwards.clone());
        std::thread::spawn(move || {
            for from in listener.incoming().flatten() {
                let Ok(onward) = TcpStream::connect(to) else { continue };
                let (Ok(from2), Ok(onward2)) = (from.try_clone(), onward.try_clone()) else {
                    continue;
                };
                let (outwards, inwards) = (outwards.clone(), inwards.clone());
                std::thread::spawn(move || pass(from, onward, &outwards));
                std::thread::spawn(move || pass(onward2, from2, &inwards));
            }
        });
        Ok(relay)
    }

    /// Cuts a direction, or mends it.
    pub fn cut(&self, outwards: bool, cut: bool) {
        self.way(outwards).cut.store(cut, Relaxed);
    }

    /// How many bytes a direction ever held back.
    pub fn held(&self, outwards: bool) -> u64 {
        self.way(outwards).held.load(Relaxed)
    }

    fn way(&self, outwards: bool) -> &Way {
        if outwards { &self.outwards } else { &self.inwards }
    }
}

/// Copies until an end closes. While the direction is cut it waits with what it has,
/// as a network that loses packets does.
fn pass(mut from: TcpStream, mut to: TcpStream, way: &Way) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if way.cut.load(Relaxed) {
            way.held.fetch_add(length as u64, Relaxed);
        }
        while way.cut.load(Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
        if to.write_all(buffer.get(..length).unwrap_or_default()).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
