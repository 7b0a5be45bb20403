//! Joint moves: a trapezoid of speed that all joints share, and braking.

use super::arm::{Joints, MAX_ACCELERATION, MAX_SPEED};

/// Deceleration of a stop, rad/s² of the fastest joint.
const BRAKE: f64 = 20.0;

/// A straight move in joint space. Its parameter runs from 0 to 1 with a
/// trapezoidal speed, so all joints start and arrive together.
#[derive(Clone, Debug)]
pub struct Move {
    from: Joints,
    delta: Joints,
    speed: f64,
    acceleration: f64,
    elapsed: f64,
}

impl Move {
    /// A move at most as fast as `speed` (rad/s), `acceleration` (rad/s²) and the
    /// arm's own limits allow.
    pub fn new(from: Joints, to: Joints, speed: f64, acceleration: f64) -> Self {
        let delta: Joints = std::array::from_fn(|i| at(&to, i) - at(&from, i));
        let share = |limit: fn(f64, f64) -> f64, cap: &dyn Fn(usize) -> f64, wanted: f64| {
            delta
                .iter()
                .enumerate()
                .filter(|(_, d)| d.abs() > 1e-12)
                .map(|(i, d)| limit(wanted, cap(i)) / d.abs())
                .fold(f64::INFINITY, f64::min)
        };
        let acceleration = share(f64::min, &|_| MAX_ACCELERATION, acceleration);
        let speed = share(f64::min, &|i| at(&MAX_SPEED, i), speed).min(acceleration.sqrt());
        Self { from, delta, speed, acceleration, elapsed: 0.0 }
    }

    /// Whole time of the move, s.
    pub fn duration(&self) -> f64 {
        if self.speed.is_finite() { 1.0 / self.speed + self.speed / self.acceleration } else { 0.0 }
    }

    /// Goes on by `seconds`; positions, speeds (per second of the move's time) and
    /// whether it has arrived.
    pub fn advance(&mut self, seconds: f64) -> (Joints, Joints, bool) {
        self.elapsed += seconds;
        let (duration, ramp) = (self.duration(), self.speed / self.acceleration);
        let (s, rate, done) = if self.elapsed >= duration {
            (1.0, 0.0, true)
        } else if self.elapsed < ramp {
            let rate = self.acceleration * self.elapsed;
            (rate * self.elapsed / 2.0, rate, false)
        } else if self.elapsed > duration - ramp {
            let left = duration - self.elapsed;
            (1.0 - self.acceleration * left * left / 2.0, self.acceleration * left, false)
        } else {
            (self.speed * (self.elapsed - ramp / 2.0), self.speed, false)
        };
        let q = std::array::from_fn(|i| at(&self.from, i) + s * at(&self.delta, i));
        (q, self.delta.map(|d| d * rate), done)
    }
}

/// Coming to a stand from any speed, all joints together.
#[derive(Clone, Debug)]
pub struct Brake {
    from: Joints,
    speed: Joints,
    duration: f64,
    elapsed: f64,
}

impl Brake {
    /// From these positions and speeds.
    pub fn new(from: Joints, speed: Joints) -> Self {
        let fastest = speed.iter().map(|v| v.abs()).fold(0.0, f64::max);
        Self { from, speed, duration: fastest / BRAKE, elapsed: 0.0 }
    }

    /// Goes on by `seconds`; positions, speeds, and whether the arm stands.
    pub fn advance(&mut self, seconds: f64) -> (Joints, Joints, bool) {
        self.elapsed = (self.elapsed + seconds).min(self.duration);
        let done = self.elapsed >= self.duration;
        let share = if self.duration > 0.0 { self.elapsed / self.duration } else { 1.0 };
        let travelled = self.elapsed * (1.0 - share / 2.0);
        let q = std::array::from_fn(|i| at(&self.from, i) + at(&self.speed, i) * travelled);
        (q, self.speed.map(|v| v * (1.0 - share)), done)
    }
}

fn at(joints: &Joints, i: usize) -> f64 {
    joints.get(i).copied().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    const DT: f64 = 0.002;

    #[test]
    fn a_move_keeps_its_limits_and_arrives() {
        for (to, speed, acceleration) in [
            ([1.0, -2.0, 0.5, 0.0, 0.1, 3.0], 1.0, 1.4),
            ([0.01; 6], 3.0, 1.0),
            ([2.0, 0.0, 0.0, 0.0, 0.0, 6.0], 100.0, 1000.0),
        ] {
            let mut path = Move::new([0.0; 6], to, speed, acceleration);
            let (mut last_q, mut last_v) = ([0.0; 6], [0.0; 6]);
            loop {
                let (q, v, done) = path.advance(DT);
                for i in 0..6 {
                    assert!(v[i].abs() <= speed.min(MAX_SPEED[i]) + 1e-9);
                    let a = (v[i] - last_v[i]).abs() / DT;
                    assert!(a <= acceleration.min(MAX_ACCELERATION) * 1.01 + 1e-9, "{a}");
                    assert!(
                        (q[i] - last_q[i]).abs() <= v[i].abs().max(last_v[i].abs()) * DT + 1e-6
                    );
                }
                (last_q, last_v) = (q, v);
                if done {
                    break;
                }
            }
            assert_eq!(last_q, to);
        }
    }

    #[test]
    fn a_move_to_where_the_arm_is_takes_no_time() {
        let (q, v, done) = Move::new([0.5; 6], [0.5; 6], 1.0, 1.0).advance(DT);
        assert_eq!((q, v, done), ([0.5; 6], [0.0; 6], true));
    }

    #[test]
    fn a_brake_ends_standing_and_never_turns_back() {
        let mut brake = Brake::new([0.0; 6], [3.0, -1.0, 0.0, 0.0, 0.0, 0.0]);
        let mut last = 0.0;
        loop {
            let (q, v, done) = brake.advance(DT);
            assert!(q[0] >= last && v[0] >= 0.0);
            last = q[0];
            if done {
                assert_eq!(v, [0.0; 6]);
                break;
            }
        }
        assert!((last - 3.0 * 3.0 / (2.0 * BRAKE)).abs() < 1e-9, "{last}");
    }
}
