//! The tool's speed between two samples.
//!
//! The recorded state has the tool's pose and not its speed, so the live view
//! shows the mean speed from one frame to the next, by the controller's own clock.

use robot::Sample;

/// Speed of the tool in the base frame, m/s and rad/s: zero across a reconnection.
pub fn tcp(before: &Sample, now: &Sample) -> [f64; 6] {
    let seconds = now.controller_time - before.controller_time;
    if before.session != now.session || seconds <= 0.0 {
        return [0.0; 6];
    }
    let [x0, y0, z0, a0, b0, c0] = before.tcp_pose;
    let [x1, y1, z1, a1, b1, c1] = now.tcp_pose;
    let turned = turn([a0, b0, c0], [a1, b1, c1]);
    let [a, b, c] = turned;
    [x1 - x0, y1 - y0, z1 - z0, a, b, c].map(|way| way / seconds)
}

/// The rotation vector that leads from one orientation to another, by the shorter
/// way.
fn turn(from: [f64; 3], to: [f64; 3]) -> [f64; 3] {
    let [w, x, y, z] = quaternion(from);
    let [w, x, y, z] = product(quaternion(to), [w, -x, -y, -z]);
    // A quaternion and its negative are one rotation.
    let [w, x, y, z] = if w < 0.0 { [-w, -x, -y, -z] } else { [w, x, y, z] };
    let sine = (x * x + y * y + z * z).sqrt();
    let scale = if sine > 0.0 { 2.0 * sine.atan2(w) / sine } else { 0.0 };
    [x, y, z].map(|part| part * scale)
}

fn quaternion([x, y, z]: [f64; 3]) -> [f64; 4] {
    let angle = (x * x + y * y + z * z).sqrt();
    let (sine, cosine) = (angle / 2.0).sin_cos();
    let scale = if angle > 0.0 { sine / angle } else { 0.0 };
    [cosine, x * scale, y * scale, z * scale]
}

fn product([a, b, c, d]: [f64; 4], [w, x, y, z]: [f64; 4]) -> [f64; 4] {
    [
        a * w - b * x - c * y - d * z,
        a * x + b * w + c * z - d * y,
        a * y - b * z + c * w + d * x,
        a * z + b * y - c * x + d * w,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    fn at(controller_time: f64, tcp_pose: [f64; 6]) -> Sample {
        Sample { controller_time, tcp_pose, ..Sample::default() }
    }

    fn close(found: [f64; 6], expected: [f64; 6]) {
        let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(near, "{found:?}, {expected:?} is expected");
    }

    #[test]
    fn a_way_and_a_turn_are_divided_by_the_controllers_time() {
        let before = at(1.0, [0.1, 0.2, 0.3, 0.0, 0.0, 0.4]);
        let now = at(1.5, [0.2, 0.2, 0.1, 0.0, 0.0, 0.9]);
        close(tcp(&before, &now), [0.2, 0.0, -0.4, 0.0, 0.0, 1.0]);
        close(tcp(&before, &at(1.5, before.tcp_pose)), [0.0; 6]);
    }

    #[test]
    fn a_rotation_vector_that_flips_at_half_a_turn_is_no_jump() {
        let before = at(0.0, [0.0, 0.0, 0.0, 0.0, 0.0, PI - 0.01]);
        let now = at(0.1, [0.0, 0.0, 0.0, 0.0, 0.0, 0.01 - PI]);
        close(tcp(&before, &now), [0.0, 0.0, 0.0, 0.0, 0.0, 0.2]);
    }

    #[test]
    fn a_turn_is_in_the_base_frame() {
        // Half a turn about x, then a little about the base's z.
        let before = at(0.0, [0.0, 0.0, 0.0, PI, 0.0, 0.0]);
        let [w, x, y, z] = product(quaternion([0.0, 0.0, 0.02]), quaternion([PI, 0.0, 0.0]));
        let turned = 2.0 * w.acos();
        let axis = [x, y, z].map(|part| part / (turned / 2.0).sin() * turned);
        let [a, b, c] = axis;
        let now = at(0.1, [0.0, 0.0, 0.0, a, b, c]);
        close(tcp(&before, &now), [0.0, 0.0, 0.0, 0.0, 0.0, 0.2]);
    }

    #[test]
    fn another_connection_or_no_time_is_no_speed() {
        let before = at(1.0, [0.0; 6]);
        let moved = [1.0; 6];
        close(tcp(&before, &at(1.0, moved)), [0.0; 6]);
        let other = Sample { session: 1, ..at(2.0, moved) };
        close(tcp(&before, &other), [0.0; 6]);
    }
}
