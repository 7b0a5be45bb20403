//! Connections that have not said yet who they are.
//!
//! Until its handshake is over a connection is a stranger's, and strangers must not
//! keep members out. So they contend with one another only: when the porch is full,
//! the oldest connection of the address that has most of them leaves. A member's
//! handshake takes milliseconds and is through before its turn to leave comes.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Notify;

/// The porch of one server.
#[derive(Clone)]
pub struct Porch(Arc<Inner>);

struct Inner {
    most: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    /// In the order of coming.
    guests: Vec<Guest>,
}

struct Guest {
    number: u64,
    address: IpAddr,
    leave: Arc<Notify>,
}

/// A place on the porch, free again when this is dropped.
pub struct Seat {
    porch: Porch,
    number: u64,
    leave: Arc<Notify>,
}

impl Porch {
    /// A porch for `most` connections, one at least.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Inner { most: most.max(1), waiting: Mutex::default() }))
    }

    /// Lets a connection in; true when another had to leave for it.
    pub fn enter(&self, address: IpAddr) -> (Seat, bool) {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let full = waiting.guests.len() >= self.0.most;
        if full {
            waiting.oust();
        }
        let (number, leave) = (waiting.next, Arc::new(Notify::new()));
        waiting.next += 1;
        let address = address.to_canonical();
        waiting.guests.push(Guest { number, address, leave: leave.clone() });
        (Seat { porch: self.clone(), number, leave }, full)
    }
}

impl Waiting {
    fn oust(&mut self) {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for guest in &self.guests {
            *counts.entry(guest.address).or_default() += 1;
        }
        let most = counts.values().copied().max().unwrap_or_default();
        let oldest = self.guests.iter().position(|g| counts.get(&g.address) == Some(&most));
        if let Some(at) = oldest {
            self.guests.remove(at).leave.notify_one();
        }
    }
}

impl Seat {
    /// Completes when this connection must leave for another.
    pub async fn ousted(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut waiting = self.porch.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.guests.retain(|guest| guest.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    fn ousted(seat: &Seat) -> bool {
        let mut left = std::pin::pin!(seat.ousted());
        left.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn the_greediest_address_makes_room_and_the_quiet_one_stays() {
        let porch = Porch::new(3);
        let address = |n: u8| IpAddr::from([10, 0, 0, n]);
        let (quiet, _) = porch.enter(address(1));
        let (first, _) = porch.enter(address(2));
        let (second, full) = porch.enter(address(2));
        assert!(!full);
        let (third, full) = porch.enter(address(3));
        assert!(full && ousted(&first) && !ousted(&second) && !ousted(&quiet));
        drop(third);
        let (_fourth, full) = porch.enter(address(3));
        assert!(!full, "a dropped seat is free");
        let (_fifth, full) = porch.enter(address(4));
        assert!(full && ousted(&quiet), "among equals the oldest leaves");
    }
}
