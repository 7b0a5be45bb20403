/**
 * Arms of Universal Robots by their published Denavit–Hartenberg parameters ("DH
 * Parameters for calculations of kinematics and dynamics", metres and rad). Only the
 * axes come from there; how thick a link is drawn is ours.
 */

export interface Arm {
  name: string;
  /** As the cell's status names the controller. */
  series: "ESeries" | "Cb3";
  /** Length of the links along their own axis, m. */
  a: readonly number[];
  /** Offsets along the joint axes, m. */
  d: readonly number[];
  /** Where upper arm and forearm lie beside the plane of the base's axis, m. */
  beside: readonly [number, number];
  /** Radius of the shoulder, m; the other links are drawn in proportion. */
  radius: number;
}

/** Sine and cosine of the links' twists, equal for all: 90°, 0, 0, 90°, -90°, 0. */
export const TWIST: readonly (readonly [number, number])[] = [[1, 0], [0, 1], [0, 1], [1, 0], [-1, 0], [0, 1]];

export const ARMS: readonly Arm[] = [
  arm("UR3e", "ESeries", [-0.24355, -0.2132], [0.15185, 0.13105, 0.08535, 0.0921], [0.12, 0.027], 0.048),
  arm("UR5e", "ESeries", [-0.425, -0.3922], [0.1625, 0.1333, 0.0997, 0.0996], [0.138, 0.007], 0.058),
  arm("UR10e", "ESeries", [-0.6127, -0.57155], [0.1807, 0.17415, 0.11985, 0.11655], [0.176, 0.039], 0.075),
  arm("UR16e", "ESeries", [-0.4784, -0.36], [0.1807, 0.17415, 0.11985, 0.11655], [0.176, 0.039], 0.075),
  arm("UR3", "Cb3", [-0.24365, -0.21325], [0.1519, 0.11235, 0.08535, 0.0819], [0.12, 0.027], 0.048),
  arm("UR5", "Cb3", [-0.425, -0.39225], [0.089159, 0.10915, 0.09465, 0.0823], [0.136, 0.016], 0.058),
  arm("UR10", "Cb3", [-0.612, -0.5723], [0.1273, 0.163941, 0.1157, 0.0922], [0.221, 0.049], 0.075),
];

function arm(
  name: string, series: Arm["series"], [a2, a3]: readonly [number, number],
  [d1, d4, d5, d6]: readonly [number, number, number, number], beside: readonly [number, number], radius: number,
): Arm {
  return { name, series, a: [0, a2, a3, 0, 0, 0], d: [d1, 0, 0, d4, d5, d6], beside, radius };
}

/** The arm of that name; the smallest e-Series arm for a name that is unknown. */
export function armNamed(name: string): Arm {
  return ARMS.find((one) => one.name === name) ?? (ARMS[0] as Arm);
}
