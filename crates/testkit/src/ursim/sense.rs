//! What the arm feels: inertia of the tool, contact with a part, noise, currents.
//!
//! The force at the tool is what an e-Series sensor reports after it has taken the
//! tool's weight off: the tool's inertia while it speeds up, a stiff spring where
//! it is pressed into the part, and noise. Motor currents hold the arm against
//! gravity.

use super::arm::{self, Joints, Pose};
use serde::Deserialize;

/// Mass of the camera at the flange, kg, and its centre along the tool, m.
const TOOL_MASS: f64 = 0.8;
const TOOL_CENTRE: f64 = 0.04;
/// Stiffness of tool against part, N/m.
const STIFFNESS: f64 = 20_000.0;
/// The force at which the safety system stops the arm, N.
const HIT: f64 = 100.0;
/// Noise of force (N) and torque (Nm), standard deviation.
const FORCE_NOISE: f64 = 0.15;
const TORQUE_NOISE: f64 = 0.008;
/// Motor torque per ampere at each joint, Nm/A.
const TORQUE_CONSTANT: Joints = [8.0, 8.0, 7.0, 7.0, 7.0, 7.0];
/// Weight of a new acceleration: the sensor's low-pass filter.
const FILTER: f64 = 0.2;

/// A part in the cell, as a ball: what the tool can run into.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Part {
    /// Its centre in the base frame, m.
    pub centre: [f64; 3],
    /// Its radius, m.
    pub radius: f64,
}

/// Everything felt at one step.
#[derive(Clone, Debug)]
pub struct Sense {
    /// Tool centre point.
    pub pose: Pose,
    /// Speed of the tool centre point, m/s and rad/s.
    pub speed: Pose,
    /// Force (N) and torque (Nm) at the tool, base frame.
    pub force: Pose,
    /// Motor currents, A.
    pub current: Joints,
    acceleration: [f64; 3],
    contact: f64,
    part: Option<Part>,
    noise: Noise,
}

impl Sense {
    /// Of an arm that stands at `q`.
    pub fn new(q: Joints, seed: u64, part: Option<Part>) -> Self {
        Self {
            pose: arm::forward(&q),
            speed: [0.0; 6],
            force: [0.0; 6],
            current: [0.0; 6],
            acceleration: [0.0; 3],
            contact: 0.0,
            part,
            noise: Noise(seed),
        }
    }

    /// After the joints have come to `q` within `period` seconds.
    pub fn step(&mut self, q: &Joints, period: f64) {
        let pose = arm::forward(q);
        let speed = each(|i| (of(&pose, i) - of(&self.pose, i)) / period);
        self.acceleration = std::array::from_fn(|i| {
            let fresh = (of(&speed, i) - of(&self.speed, i)) / period;
            let last = self.acceleration.get(i).copied().unwrap_or_default();
            last + FILTER * (fresh - last)
        });
        (self.pose, self.speed) = (pose, speed);
        let contact = self.touch();
        self.contact = contact.iter().map(|f| f * f).sum::<f64>().sqrt();
        let inertia = self.acceleration.map(|a| -TOOL_MASS * a);
        let lever = arm::tool_axis(q).map(|a| a * TOOL_CENTRE);
        let torque = cross(lever, inertia);
        let [fx, fy, fz] = std::array::from_fn(|i| of3(&inertia, i) + of3(&contact, i));
        let [tx, ty, tz] = torque;
        self.force = [fx, fy, fz, tx, ty, tz];
        for (i, value) in self.force.iter_mut().enumerate() {
            *value += self.noise.normal() * if i < 3 { FORCE_NOISE } else { TORQUE_NOISE };
        }
        let holding = arm::gravity_torque(q);
        let noise: Joints = std::array::from_fn(|_| self.noise.normal() * 0.01);
        self.current = each(|i| of(&holding, i) / of(&TORQUE_CONSTANT, i) + of(&noise, i));
    }

    /// Whether the tool presses so hard that the safety system stops the arm.
    pub fn hit(&self) -> bool {
        self.contact > HIT
    }

    /// The part has been taken off the tool by a person.
    pub fn rest(&mut self) {
        self.contact = 0.0;
    }

    fn touch(&self) -> [f64; 3] {
        let Some(Part { centre, radius }) = self.part else {
            return [0.0; 3];
        };
        let away: [f64; 3] = std::array::from_fn(|i| of(&self.pose, i) - of3(&centre, i));
        let distance = away.iter().map(|v| v * v).sum::<f64>().sqrt();
        let depth = (radius - distance).max(0.0);
        away.map(|v| STIFFNESS * depth * v / distance.max(1e-9))
    }
}

fn each(value: impl FnMut(usize) -> f64) -> [f64; 6] {
    std::array::from_fn(value)
}

fn of(vector: &[f64; 6], i: usize) -> f64 {
    vector.get(i).copied().unwrap_or_default()
}

fn of3(vector: &[f64; 3], i: usize) -> f64 {
    vector.get(i).copied().unwrap_or_default()
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    let ([ax, ay, az], [bx, by, bz]) = (a, b);
    [ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx]
}

/// Repeatable noise: SplitMix64, and the sum of four uniform numbers for a bell.
#[derive(Clone, Debug)]
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as f64 / u64::MAX as f64
    }

    fn normal(&mut self) -> f64 {
        let sum = self.uniform() + self.uniform() + self.uniform() + self.uniform();
        (sum - 2.0) * 3f64.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::FRAC_PI_2;

    const DOWN: Joints = [0.0, -FRAC_PI_2, -FRAC_PI_2, -FRAC_PI_2, FRAC_PI_2, 0.0];

    #[test]
    fn a_standing_tool_feels_only_noise() {
        let mut sense = Sense::new(DOWN, 7, None);
        let mut sum = [0.0; 6];
        for _ in 0..1000 {
            sense.step(&DOWN, 0.002);
            assert!(sense.force.iter().take(3).all(|f| f.abs() < 2.0), "{:?}", sense.force);
            sum = each(|i| of(&sum, i) + of(&sense.force, i));
        }
        assert!(sum.iter().all(|s| (s / 1000.0).abs() < 0.05), "{sum:?}");
    }

    #[test]
    fn a_tool_in_the_part_is_pushed_out_and_counts_as_a_hit() {
        let [x, y, z, ..] = arm::forward(&DOWN);
        let part = Part { centre: [x, y, z - 0.04], radius: 0.05 };
        let mut sense = Sense::new(DOWN, 7, Some(part));
        sense.step(&DOWN, 0.002);
        assert!((of(&sense.force, 2) - 200.0).abs() < 5.0, "{:?}", sense.force);
        assert!(sense.hit());
    }
}
