//! What can happen to a machine, and the dice that say when.

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
};

/// Repeatable randomness: the same seed, the same throws (SplitMix64).
pub struct Dice(u64);

impl Dice {
    /// Dice that begin at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed that nobody chose; small enough to type again.
    pub fn fresh_seed() -> Result<u64, std::num::ParseIntError> {
        Ok(RandomState::new().build_hasher().finish() % 1_000_000)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

/// One harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `SIGKILL`, and a new start after a while.
    Kill {
        /// The machine.
        machine: String,
    },
    /// `SIGSTOP` for a while.
    Freeze {
        /// The machine.
        machine: String,
    },
    /// Nothing passes between cell and site in one direction, for a while.
    Cut {
        /// Whether it is what the cell says that is lost.
        outwards: bool,
    },
    /// Its disk is full for a while.
    Fill {
        /// The machine.
        machine: String,
    },
    /// Its clock is wrong for a while.
    Skew {
        /// The machine.
        machine: String,
        /// By so many seconds: ahead, or behind.
        seconds: i64,
    },
}

/// The machines that can be kept short of room or time.
const STARVED: [&str; 3] = ["site", "cell-1", "witness-1"];
/// An hour ahead; half an hour behind, which a plant's first certificates outlive.
const SKEWS: [i64; 2] = [3600, -1800];

impl Fault {
    /// Kills mostly; all else now and then.
    pub fn thrown(dice: &mut Dice, machines: Vec<String>) -> Self {
        let at = dice.below(machines.len() as u64);
        let machine = usize::try_from(at).ok().and_then(|at| machines.into_iter().nth(at));
        let machine = machine.unwrap_or_default();
        let mut one_of = |count: usize| usize::try_from(dice.below(count as u64)).unwrap_or(0);
        let (harm, starved, skew) = (one_of(20), one_of(STARVED.len()), one_of(SKEWS.len()));
        let starved = STARVED.get(starved).copied().unwrap_or_default().to_owned();
        match harm {
            0 | 1 => Self::Freeze { machine },
            2 | 3 => Self::Cut { outwards: dice.below(2) == 0 },
            4 => Self::Fill { machine: starved },
            5 => {
                let seconds = SKEWS.get(skew).copied().unwrap_or_default();
                Self::Skew { machine: starved, seconds }
            }
            _ => Self::Kill { machine },
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { machine } => write!(f, "kill {machine}"),
            Self::Freeze { machine } => write!(f, "freeze {machine}"),
            Self::Cut { outwards: true } => f.write_str("cut cell → site"),
            Self::Cut { outwards: false } => f.write_str("cut site → cell"),
            Self::Fill { machine } => write!(f, "fill disk of {machine}"),
            Self::Skew { machine, seconds } if *seconds > 0 => {
                write!(f, "clock of {machine} ahead")
            }
            Self::Skew { machine, .. } => write!(f, "clock of {machine} behind"),
        }
    }
}
