//! Which photographs are compared with which.

use super::super::change::Change;
use super::super::random::Random;

/// Two photographs, by their places in the folder's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The enrolled one, earlier in order.
    pub enrolled: usize,
    /// The one in question.
    pub probe: usize,
    /// Whether both show the same part.
    pub genuine: bool,
    /// Whether the folders' names end alike.
    pub alike: bool,
}

/// Every pair of a folder.
pub(super) struct Pairs {
    pub genuine: Vec<Pair>,
    /// Impostors from folders that end alike.
    pub alike: Vec<Pair>,
    /// All other impostors.
    pub other: Vec<Pair>,
}

/// Every pair of photographs whose parts are given.
pub(super) fn all(parts: &[&str]) -> Pairs {
    let mut pairs = Pairs { genuine: Vec::new(), alike: Vec::new(), other: Vec::new() };
    let ending = |s: &str| s.rsplit_once('-').map(|(_, end)| end.to_owned());
    for (enrolled, a) in parts.iter().enumerate() {
        for (probe, b) in parts.iter().enumerate().skip(enrolled + 1) {
            let genuine = a == b;
            let alike = ending(a).is_some() && ending(a) == ending(b);
            let pair = Pair { enrolled, probe, genuine, alike };
            match (genuine, alike) {
                (true, _) => pairs.genuine.push(pair),
                (_, true) => pairs.alike.push(pair),
                _ => pairs.other.push(pair),
            }
        }
    }
    pairs
}

impl Pairs {
    /// A seeded draw of at most so many pairs, impostors that look alike first.
    pub(super) fn draw(
        &self,
        genuine: usize,
        impostor: usize,
        change: Option<Change>,
    ) -> Vec<(Pair, Option<Change>)> {
        let mut random = Random::of(&["pairs", change.map_or("straight", Change::name)]);
        let mut shuffled = |pairs: &[Pair]| {
            let mut pairs = pairs.to_vec();
            random.shuffle(&mut pairs);
            pairs
        };
        let (g, a, o) = (shuffled(&self.genuine), shuffled(&self.alike), shuffled(&self.other));
        let impostors = a.into_iter().chain(o).take(impostor);
        g.into_iter().take(genuine).chain(impostors).map(|pair| (pair, change)).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn impostors_that_end_alike_come_first() {
        let parts = ["a-1", "a-1", "b-1", "c-2"];
        let pairs = all(&parts);
        let counts = (pairs.genuine.len(), pairs.alike.len(), pairs.other.len());
        assert_eq!(counts, (1, 2, 3));
        let drawn = pairs.draw(5, 3, None);
        assert_eq!(drawn.len(), 4);
        assert_eq!(drawn.iter().filter(|(p, _)| p.alike && !p.genuine).count(), 2);
        assert_eq!(drawn, pairs.draw(5, 3, None), "a draw is the same each time");
    }
}
