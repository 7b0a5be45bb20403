//! Places for connections and streams: so many in all, and so many for one holder,
//! which is a member where there are certificates and an address where there are none.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The places of one server, or for one thing that it serves.
#[derive(Clone)]
pub struct Places(Arc<Inner>);

struct Inner {
    all: usize,
    each: usize,
    taken: Mutex<HashMap<String, usize>>,
}

/// A place that is taken; it is free again when this is dropped.
pub struct Place {
    places: Places,
    holder: String,
}

impl Places {
    /// `all` places, `each` for one holder.
    pub fn new(all: usize, each: usize) -> Self {
        Self(Arc::new(Inner { all, each, taken: Mutex::default() }))
    }

    /// Takes a place for a holder; none when there is none for it.
    pub fn take(&self, holder: String) -> Option<Place> {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= self.0.all {
            return None;
        }
        let own = taken.entry(holder.clone()).or_insert(0);
        if *own >= self.0.each {
            return None;
        }
        *own += 1;
        drop(taken);
        Some(Place { places: self.clone(), holder })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.holder) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_cannot_take_all_places() {
        let places = Places::new(3, 2);
        let (a, b) = ("10.0.0.1", "10.0.0.2");
        let first = places.take(a.to_owned()).unwrap();
        let _second = places.take(a.to_owned()).unwrap();
        assert!(places.take(a.to_owned()).is_none());
        let third = places.take(b.to_owned()).unwrap();
        assert!(places.take(b.to_owned()).is_none(), "all are taken");
        drop(first);
        assert!(places.take(b.to_owned()).is_some());
        drop(third);
        assert!(places.take(a.to_owned()).is_some());
    }
}
