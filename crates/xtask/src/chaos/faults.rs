//! What can happen to a machine, and the dice that say when.

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
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

    /// One of several.
    pub fn one_of<T: Copy + Default>(&mut self, all: &[T]) -> T {
        let at = usize::try_from(self.below(all.len() as u64)).unwrap_or_default();
        all.get(at).copied().unwrap_or_default()
    }

    fn ms(&mut self, least: u64, more: u64) -> Duration {
        Duration::from_millis(least + self.below(more))
    }
}

/// One harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `SIGKILL`, and a new start after a while.
    Kill {
        /// The machine.
        machine: &'static str,
    },
    /// `SIGSTOP` for a while.
    Freeze {
        /// The machine.
        machine: &'static str,
    },
    /// Nothing passes between cell and site in one direction, for a while.
    Cut {
        /// Whether it is what the cell says that is lost.
        outwards: bool,
    },
    /// Its disk is full for a while.
    Fill {
        /// The machine.
        machine: &'static str,
        /// Every other time the power fails meanwhile, too: how long it runs on the full
        /// disk after that.
        outage: Option<Duration>,
    },
    /// Its clock is wrong for a while.
    Skew {
        /// The machine.
        machine: &'static str,
        /// By so many seconds: ahead, or behind.
        seconds: i64,
    },
}

/// One harm, with its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throw {
    /// How long nothing happens before it.
    pub after: Duration,
    /// The harm.
    pub fault: Fault,
    /// How long it lasts; after a kill, how long nothing runs.
    pub lasts: Duration,
    /// Whether the plant gets on its feet afterwards, so that there is something to lose,
    /// and for how long it is left alone then.
    pub peace: Option<Duration>,
}

/// The machines that can be killed and frozen.
const MACHINES: [&str; 4] = ["witness-1", "site", "cell-1", "analyst"];
/// The machines that can be kept short of room or time.
const STARVED: [&str; 3] = ["site", "cell-1", "witness-1"];
/// An hour ahead; half an hour behind, which a plant's first certificates outlive.
const SKEWS: [i64; 2] = [3600, -1800];

/// What a seed throws, up to so many kills: kills mostly, all else now and then. The same
/// on every machine; what one cannot do it leaves out.
pub fn throws(seed: u64, kills: u64) -> Vec<Throw> {
    let (mut dice, mut all, mut killed) = (Dice::new(seed), Vec::new(), 0);
    while killed < kills {
        let throw = Throw::of(&mut dice);
        killed += u64::from(matches!(throw.fault, Fault::Kill { .. }));
        all.push(throw);
    }
    all
}

impl Throw {
    fn of(dice: &mut Dice) -> Self {
        let after = dice.ms(0, 700);
        let machine = dice.one_of(&MACHINES);
        let (harm, starved, seconds) = (dice.below(20), dice.one_of(&STARVED), dice.one_of(&SKEWS));
        let (fault, lasts) = match harm {
            0 | 1 => (Fault::Freeze { machine }, dice.ms(500, 2500)),
            2 | 3 => (Fault::Cut { outwards: dice.below(2) == 0 }, dice.ms(500, 4000)),
            4 => {
                let lasts = dice.ms(500, 2000);
                let outage = (dice.below(2) == 0).then(|| dice.ms(0, 1500));
                (Fault::Fill { machine: starved, outage }, lasts)
            }
            5 => (Fault::Skew { machine: starved, seconds }, dice.ms(1500, 3000)),
            _ => (Fault::Kill { machine }, dice.ms(0, 400)),
        };
        let peace = (dice.below(5) == 0).then(|| dice.ms(0, 3000));
        Self { after, fault, lasts, peace }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { machine } => write!(f, "kill {machine}"),
            Self::Freeze { machine } => write!(f, "freeze {machine}"),
            Self::Cut { outwards: true } => f.write_str("cut cell → site"),
            Self::Cut { outwards: false } => f.write_str("cut site → cell"),
            Self::Fill { machine, .. } => write!(f, "fill disk of {machine}"),
            Self::Skew { machine, seconds } if *seconds > 0 => {
                write!(f, "clock of {machine} ahead")
            }
            Self::Skew { machine, .. } => write!(f, "clock of {machine} behind"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::SHORT;

    /// What a seed throws, by name.
    fn thrown(seed: u64, kills: u64) -> Vec<String> {
        throws(seed, kills).iter().map(|throw| throw.fault.to_string()).collect()
    }

    #[test]
    fn what_every_change_must_stand_holds_each_kind_of_fault() {
        let (kills, seed) = SHORT;
        let all = thrown(seed, kills);
        for machine in MACHINES {
            assert!(all.contains(&format!("kill {machine}")), "{machine}: {all:?}");
        }
        for kind in ["cut cell → site", "cut site → cell", "freeze", "fill disk"] {
            assert!(all.iter().any(|fault| fault.starts_with(kind)), "{kind}: {all:?}");
        }
    }

    #[test]
    fn a_seed_throws_the_same_faults_and_in_the_long_run_all() {
        assert_eq!(throws(64708, 50), throws(64708, 50));
        assert_ne!(throws(64708, 50), throws(64709, 50));
        let all = thrown(64708, 5000);
        let kinds: std::collections::BTreeSet<_> = all.iter().collect();
        // Kills and freezes, cuts both ways, disks, and clocks both ways.
        assert_eq!(
            kinds.len(),
            2 * MACHINES.len() + 2 + STARVED.len() * (1 + SKEWS.len()),
            "{kinds:?}"
        );
    }
}
