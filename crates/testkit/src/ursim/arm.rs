//! The UR3e arm: kinematics, limits, gravity.
//!
//! Denavit–Hartenberg parameters, masses and limits are those that Universal
//! Robots publishes for the UR3e. Poses are metres and a rotation vector in rad,
//! in the base frame. The inverse is numeric (damped least squares), because it is
//! only used to shift a known pose by centimetres.
#![allow(
    clippy::indexing_slicing,
    clippy::needless_range_loop,
    reason = "fixed-size matrices with constant bounds"
)]

/// Six joint values.
pub type Joints = [f64; 6];
/// Metres, then a rotation vector in rad.
pub type Pose = [f64; 6];

const D: [f64; 6] = [0.15185, 0.0, 0.0, 0.13105, 0.08535, 0.0921];
const A: [f64; 6] = [0.0, -0.24355, -0.2132, 0.0, 0.0, 0.0];
/// Sine and cosine of the link twists: 90°, 0, 0, 90°, -90°, 0.
const TWIST: [(f64, f64); 6] =
    [(1.0, 0.0), (0.0, 1.0), (0.0, 1.0), (1.0, 0.0), (-1.0, 0.0), (0.0, 1.0)];
const MASS: [f64; 6] = [2.0, 3.42, 1.26, 0.8, 0.8, 0.35];
/// Centres of mass in each link's frame, m.
const CENTRE: [[f64; 3]; 6] = [
    [0.0, -0.02, 0.0],
    [0.13, 0.0, 0.1157],
    [0.05, 0.0, 0.0238],
    [0.0, 0.0, 0.01],
    [0.0, 0.0, 0.01],
    [0.0, 0.0, -0.02],
];
const GRAVITY: f64 = 9.82;

/// Largest joint angle either way, rad.
pub const MAX_ANGLE: f64 = std::f64::consts::TAU;
/// Largest joint speeds, rad/s: 180°/s in the arm, 360°/s in the wrist.
pub const MAX_SPEED: Joints = {
    use std::f64::consts::{PI, TAU};
    [PI, PI, PI, TAU, TAU, TAU]
};
/// Largest joint acceleration, rad/s².
pub const MAX_ACCELERATION: f64 = 40.0;

type Frame = [[f64; 4]; 3];
const BASE: Frame = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];

fn link(q: f64, i: usize) -> Frame {
    let (sin, cos) = q.sin_cos();
    let (st, ct) = TWIST[i];
    [
        [cos, -sin * ct, sin * st, A[i] * cos],
        [sin, cos * ct, -cos * st, A[i] * sin],
        [0.0, st, ct, D[i]],
    ]
}

fn multiply(a: &Frame, b: &Frame) -> Frame {
    let mut out = [[0.0; 4]; 3];
    for (row, out) in a.iter().zip(&mut out) {
        for (column, value) in out.iter_mut().enumerate() {
            *value = (0..3).map(|k| row[k] * b[k][column]).sum();
        }
        out[3] += row[3];
    }
    out
}

fn frame(q: &Joints) -> Frame {
    q.iter().enumerate().fold(BASE, |f, (i, q)| multiply(&f, &link(*q, i)))
}

/// The tool centre point's pose, at the flange.
pub fn forward(q: &Joints) -> Pose {
    let f = frame(q);
    let [x, y, z] = rotation_vector(&f);
    [f[0][3], f[1][3], f[2][3], x, y, z]
}

/// The direction in which the tool points, as a unit vector.
pub fn tool_axis(q: &Joints) -> [f64; 3] {
    let f = frame(q);
    [f[0][2], f[1][2], f[2][2]]
}

fn rotation_vector(f: &Frame) -> [f64; 3] {
    let cos = ((f[0][0] + f[1][1] + f[2][2] - 1.0) / 2.0).clamp(-1.0, 1.0);
    let angle = cos.acos();
    let skew = [f[2][1] - f[1][2], f[0][2] - f[2][0], f[1][0] - f[0][1]];
    let norm = skew.iter().map(|v| v * v).sum::<f64>().sqrt();
    if norm > 1e-6 {
        return skew.map(|v| v / norm * angle);
    }
    if cos > 0.0 {
        return [0.0; 3];
    }
    // Half a turn: the axis is the direction of the largest diagonal element.
    let k = (0..3).max_by(|a, b| f[*a][*a].total_cmp(&f[*b][*b])).unwrap_or(0);
    let scale = (2.0 * (1.0 + f[k][k])).max(f64::MIN_POSITIVE).sqrt();
    let mut axis = [0.0; 3];
    for (i, value) in axis.iter_mut().enumerate() {
        let same = if i == k { 1.0 } else { 0.0 };
        *value = (f[i][k] + f[k][i] + 2.0 * same) / (2.0 * scale) * angle;
    }
    axis
}

/// The joints near `seed` that put the tool at `position`, pointing along `axis`;
/// the turn about the axis stays as near to the seed's as may be. `None` when that
/// is out of reach.
pub fn inverse(seed: &Joints, position: [f64; 3], axis: [f64; 3]) -> Option<Joints> {
    const STEP: f64 = 1e-6;
    const DAMPING: f64 = 1e-6;
    let error = |q: &Joints| -> [f64; 6] {
        let f = frame(q);
        let at = [f[0][3], f[1][3], f[2][3]];
        let to = [f[0][2], f[1][2], f[2][2]];
        std::array::from_fn(|i| if i < 3 { position[i] - at[i] } else { axis[i - 3] - to[i - 3] })
    };
    let mut q = *seed;
    for _ in 0..200 {
        let e = error(&q);
        if e.iter().all(|v| v.abs() < 1e-9) {
            return q.iter().all(|v| v.abs() <= MAX_ANGLE).then_some(q);
        }
        // Columns of the Jacobian, by differences.
        let mut columns = [[0.0; 6]; 6];
        for (j, column) in columns.iter_mut().enumerate() {
            let mut moved = q;
            moved[j] += STEP;
            let shifted = error(&moved);
            *column = std::array::from_fn(|i| (e[i] - shifted[i]) / STEP);
        }
        // Normal equations (JᵀJ + λ) δ = Jᵀe.
        let dot = |a: &[f64; 6], b: &[f64; 6]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut system = [[0.0; 7]; 6];
        for i in 0..6 {
            for j in 0..6 {
                system[i][j] = dot(&columns[i], &columns[j]) + if i == j { DAMPING } else { 0.0 };
            }
            system[i][6] = dot(&columns[i], &e);
        }
        for (q, delta) in q.iter_mut().zip(solve(system)?) {
            *q += delta.clamp(-0.3, 0.3);
        }
    }
    None
}

/// Gauss elimination with pivoting.
fn solve(mut m: [[f64; 7]; 6]) -> Option<Joints> {
    for i in 0..6 {
        let pivot = (i..6).max_by(|a, b| m[*a][i].abs().total_cmp(&m[*b][i].abs()))?;
        m.swap(i, pivot);
        if m[i][i].abs() < 1e-18 {
            return None;
        }
        for row in 0..6 {
            if row != i {
                let factor = m[row][i] / m[i][i];
                for column in i..7 {
                    m[row][column] -= factor * m[i][column];
                }
            }
        }
    }
    Some(std::array::from_fn(|i| m[i][6] / m[i][i]))
}

/// The joint torques that hold the arm against gravity, Nm.
pub fn gravity_torque(q: &Joints) -> Joints {
    let mut frames = [BASE; 7];
    for i in 0..6 {
        frames[i + 1] = multiply(&frames[i], &link(q[i], i));
    }
    let centres: [[f64; 3]; 6] = std::array::from_fn(|i| {
        let (f, c) = (&frames[i + 1], &CENTRE[i]);
        std::array::from_fn(|r| f[r][0] * c[0] + f[r][1] * c[1] + f[r][2] * c[2] + f[r][3])
    });
    std::array::from_fn(|joint| {
        let f = &frames[joint];
        let (axis, origin) = ([f[0][2], f[1][2]], [f[0][3], f[1][3]]);
        // Each later link's weight times its lever about the joint's axis.
        (joint..6)
            .map(|i| {
                let lever = [centres[i][0] - origin[0], centres[i][1] - origin[1]];
                MASS[i] * GRAVITY * (axis[0] * lever[1] - axis[1] * lever[0])
            })
            .sum()
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::f64::consts::FRAC_PI_2;

    const DOWN: Joints = [0.0, -FRAC_PI_2, -FRAC_PI_2, -FRAC_PI_2, FRAC_PI_2, 0.0];

    fn near(found: &[f64], wanted: &[f64]) {
        for (a, b) in found.iter().zip(wanted) {
            assert!((a - b).abs() < 1e-4, "{found:?} should be {wanted:?}");
        }
    }

    /// At zero the arm lies stretched out along -x, as the UR drawings show it.
    #[test]
    fn the_stretched_arm_has_the_published_reach() {
        let pose = forward(&[0.0; 6]);
        near(&pose[..3], &[-0.45675, -0.13105 - 0.0921, 0.15185 - 0.08535]);
        near(&pose[3..], &[FRAC_PI_2, 0.0, 0.0]);
    }

    #[test]
    fn a_half_turn_has_a_rotation_vector() {
        let pose = forward(&DOWN);
        near(&tool_axis(&DOWN), &[0.0, 0.0, -1.0]);
        let angle = pose[3..].iter().map(|v| v * v).sum::<f64>().sqrt();
        near(&[angle], &[std::f64::consts::PI]);
    }

    #[test]
    fn the_inverse_shifts_a_pose_along_the_tool() {
        let [x, y, z, ..] = forward(&DOWN);
        let q = inverse(&DOWN, [x, y, z + 0.04], tool_axis(&DOWN)).unwrap();
        near(&forward(&q)[..3], &[x, y, z + 0.04]);
        near(&tool_axis(&q), &[0.0, 0.0, -1.0]);
        assert_eq!(inverse(&DOWN, [2.0, 0.0, 0.0], [0.0, 0.0, -1.0]), None);
    }

    /// The torque is the slope of the potential energy; upright, nothing pulls.
    #[test]
    fn gravity_pulls_most_on_the_stretched_shoulder() {
        let stretched = gravity_torque(&[0.0; 6]);
        assert!((10.0..30.0).contains(&stretched[1].abs()), "{stretched:?}");
        near(&[stretched[0]], &[0.0]);
        let upright = gravity_torque(&[0.0, -FRAC_PI_2, 0.0, -FRAC_PI_2, 0.0, 0.0]);
        assert!(upright[1].abs() < 1.5, "{upright:?}");
    }
}
