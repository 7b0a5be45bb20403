//! A small mutator without feedback, for the tests that every change runs.

/// Pseudo-random numbers (SplitMix64): the same on every machine.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `most`; 0 when that is 0.
    pub fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % (most.max(1) as u64)) as usize
    }
}

/// Changes an input in one to four places; parts of `other` may come into it.
pub fn mutate(input: &[u8], other: &[u8], most: usize, dice: &mut Dice) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(out.len() + 1);
        let span = dice.below(16).min(out.len() - at);
        match dice.below(7) {
            0 if at < out.len() => out[at] ^= 1 << dice.below(8),
            1 if at < out.len() => out[at] = dice.below(256) as u8,
            2 => drop(out.drain(at..at + span)),
            3 => {
                let copy = out[at..at + span].to_vec();
                out.splice(at..at, copy);
            }
            4 => {
                let from = dice.below(other.len());
                let to = (from + dice.below(64)).min(other.len());
                out.splice(at..at, other[from..to].iter().copied());
            }
            5 => {
                const EDGES: [&[u8]; 8] =
                    [b"0", b"-1", b"9007199254740993", b"\xff\xff", b"\0", b"\"", b"\n", b"{}"];
                out.splice(at..at, EDGES[dice.below(EDGES.len())].iter().copied());
            }
            _ => out.truncate(at),
        }
    }
    out.truncate(most);
    out
}
