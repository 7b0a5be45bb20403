import { describe, expect, it } from "vitest";
import { ARMS, armNamed } from "../src/lib/robot/arms";
import { bodies, flange, frames, likeliest, place } from "../src/lib/robot/kinematics";
import { strokes } from "../src/lib/robot/flat";

const QUARTER = Math.PI / 2;
const UR3E = armNamed("UR3e");

function near(found: readonly number[], wanted: readonly number[], off = 1e-4): void {
  expect(found.length).toBe(wanted.length);
  found.forEach((value, i) => expect(Math.abs(value - (wanted[i] ?? NaN)), `${found} should be ${wanted}`).toBeLessThan(off));
}

describe("forward kinematics", () => {
  it("stretches the arm along -x at zero, as the maker's drawing has it", () => {
    near(flange(UR3E, [0, 0, 0, 0, 0, 0]), [-0.45675, -0.22315, 0.0665, QUARTER, 0, 0]);
  });

  it.each([
    ["UR3e", 0.694],
    ["UR5e", 1.0794],
    ["UR10e", 1.4848],
    ["UR16e", 1.13895],
  ])("stands %s upright to the sum of its links", (name, height) => {
    const [x, , z] = flange(armNamed(name), [0, -QUARTER, 0, -QUARTER, 0, 0]);
    near([x ?? NaN, z ?? NaN], [0, height], 2e-4);
  });

  it("turns the whole arm with its base", () => {
    const q = [0.3, -1.2, 1.9, -0.4, 0.8, 0.1];
    const turned = [0.3 + QUARTER, ...q.slice(1)];
    const [x = 0, y = 0, z = 0] = flange(UR3E, q);
    near(flange(UR3E, turned).slice(0, 3), [-y, x, z]);
  });

  it("has a rotation vector of half a turn for a tool that points down", () => {
    const pose = flange(UR3E, [0, -QUARTER, -QUARTER, -QUARTER, QUARTER, 0]);
    near([Math.hypot(...pose.slice(3))], [Math.PI]);
    const last = frames(UR3E, [0, -QUARTER, -QUARTER, -QUARTER, QUARTER, 0])[6] ?? [];
    near([last[2] ?? NaN, last[6] ?? NaN, last[10] ?? NaN], [0, 0, -1]);
  });

  it("finds the arm by where its flange is, among those of the series", () => {
    const q = [0.2, -1.6, -1.8, -1.3, 1.57, 0.4];
    for (const arm of ARMS) {
      const found = likeliest(arm.series, q, flange(arm, q));
      expect(found.arm.name).toBe(arm.name);
      expect(found.off).toBeLessThan(1e-9);
    }
    expect(likeliest("PolyScopeX", q, flange(armNamed("UR10e"), q)).arm.name).toBe("UR10e");
  });
});

describe("drawn bodies", () => {
  it("join at the joints, whatever the angles", () => {
    const q = [0.7, -1.1, 1.4, -2, 0.6, 2.2];
    for (const arm of ARMS) {
      const at = frames(arm, q);
      const ends = bodies(arm).flatMap(({ link, from, to }) => [place(at[link] ?? [], from), place(at[link] ?? [], to)]);
      // Each body has an end within a joint's size of another body.
      for (let i = 0; i < ends.length; i += 2) {
        const gaps = ends.flatMap((other, j) => (Math.floor(j / 2) === i / 2 ? [] : [0, 1].map((k) => {
          const own = ends[i + k] ?? [0, 0, 0];
          return Math.hypot(own[0] - other[0], own[1] - other[1], own[2] - other[2]);
        })));
        expect(Math.min(...gaps)).toBeLessThan(2.2 * arm.radius);
      }
      expect(strokes(arm, q).every(({ x1, y1, x2, y2, width }) => [x1, y1, x2, y2, width].every(Number.isFinite))).toBe(true);
    }
  });
});
