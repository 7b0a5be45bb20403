/** Forward kinematics: where each joint of an arm is. Pure; metres and rad. */
import { ARMS, TWIST, type Arm } from "./arms";

/** A place and a rotation: the first three rows of a homogeneous matrix, row by row. */
export type Frame = readonly number[];
export type Vector = readonly [number, number, number];

const BASE: Frame = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0];

/** The frames of the base and of the six links, in the base's coordinates. */
export function frames(arm: Arm, q: ArrayLike<number>): Frame[] {
  const found: Frame[] = [BASE];
  for (let i = 0; i < 6; i++) found.push(product(found[i] as Frame, joint(arm, i, q[i] ?? 0)));
  return found;
}

/** One Denavit–Hartenberg step. */
function joint(arm: Arm, i: number, q: number): Frame {
  const [st, ct] = TWIST[i] ?? [0, 1];
  const [a, d] = [arm.a[i] ?? 0, arm.d[i] ?? 0];
  const [sin, cos] = [Math.sin(q), Math.cos(q)];
  return [cos, -sin * ct, sin * st, a * cos, sin, cos * ct, -cos * st, a * sin, 0, st, ct, d];
}

function product(m: Frame, n: Frame): Frame {
  const out = new Array<number>(12).fill(0);
  for (let row = 0; row < 3; row++) {
    for (let column = 0; column < 4; column++) {
      let sum = column === 3 ? (m[4 * row + 3] ?? 0) : 0;
      for (let k = 0; k < 3; k++) sum += (m[4 * row + k] ?? 0) * (n[4 * k + column] ?? 0);
      out[4 * row + column] = sum;
    }
  }
  return out;
}

/** A point of a frame, in the base's coordinates. */
export function place(frame: Frame, [x, y, z]: Vector): Vector {
  const row = (r: number): number =>
    (frame[4 * r] ?? 0) * x + (frame[4 * r + 1] ?? 0) * y + (frame[4 * r + 2] ?? 0) * z + (frame[4 * r + 3] ?? 0);
  return [row(0), row(1), row(2)];
}

/** The flange's place and rotation vector, as a controller states a pose. */
export function flange(arm: Arm, q: ArrayLike<number>): number[] {
  const last = frames(arm, q)[6] ?? BASE;
  return [...place(last, [0, 0, 0]), ...rotationVector(last)];
}

function rotationVector(f: Frame): Vector {
  const at = (row: number, column: number): number => f[4 * row + column] ?? 0;
  const cos = Math.min(1, Math.max(-1, (at(0, 0) + at(1, 1) + at(2, 2) - 1) / 2));
  const angle = Math.acos(cos);
  const skew: Vector = [at(2, 1) - at(1, 2), at(0, 2) - at(2, 0), at(1, 0) - at(0, 1)];
  const norm = Math.hypot(...skew);
  if (norm > 1e-6) return skew.map((v) => (v / norm) * angle) as unknown as Vector;
  if (cos > 0) return [0, 0, 0];
  // Half a turn: the axis is the direction of the largest diagonal element.
  const k = [0, 1, 2].reduce((best, i) => (at(i, i) > at(best, best) ? i : best), 0);
  const scale = Math.sqrt(Math.max(1e-300, 2 * (1 + at(k, k))));
  const part = (i: number): number => ((at(i, k) + at(k, i) + (i === k ? 2 : 0)) / (2 * scale)) * angle;
  return [part(0), part(1), part(2)];
}

/** The arm whose flange is nearest to where the controller says that its tool is. */
export function likeliest(series: string | null, q: ArrayLike<number>, tool: ArrayLike<number>): { arm: Arm; off: number } {
  const family = ARMS.filter((arm) => series === null || arm.series === series);
  const measured = (family.length > 0 ? family : ARMS).map((arm) => {
    const [x = 0, y = 0, z = 0] = flange(arm, q);
    return { arm, off: Math.hypot(x - (tool[0] ?? 0), y - (tool[1] ?? 0), z - (tool[2] ?? 0)) };
  });
  return measured.reduce((best, one) => (one.off < best.off ? one : best));
}

/** A round body of a link, in the link's own frame. */
export interface Body {
  /** 0 is the base, 6 the flange. */
  link: number;
  from: Vector;
  to: Vector;
  radius: number;
  /** Tubes have round ends; joints are short drums with flat caps. */
  kind: "tube" | "joint";
}

/** The bodies that an arm is drawn with. */
export function bodies(arm: Arm): Body[] {
  const [d1 = 0, , , d4 = 0, d5 = 0, d6 = 0] = arm.d;
  const [, a2 = 0, a3 = 0] = arm.a;
  const [upper, fore] = arm.beside;
  const r = arm.radius;
  const body = (link: number, kind: Body["kind"], from: Vector, to: Vector, radius: number): Body => ({ link, kind, from, to, radius });
  return [
    body(0, "joint", [0, 0, 0], [0, 0, 0.2 * d1], 1.3 * r),
    body(0, "tube", [0, 0, 0], [0, 0, 0.6 * d1], r),
    body(1, "tube", [0, -0.4 * d1, 0], [0, 0, 0], r),
    body(1, "joint", [0, 0, -r], [0, 0, upper + 0.75 * r], r),
    body(2, "tube", [-a2, 0, upper], [0, 0, upper], 0.72 * r),
    body(2, "joint", [0, 0, upper + 0.8 * r], [0, 0, fore - 0.6 * r], 0.85 * r),
    body(3, "tube", [-a3, 0, fore], [0, 0, fore], 0.62 * r),
    body(3, "joint", [0, 0, fore - 0.7 * r], [0, 0, d4 - 0.75 * r], 0.7 * r),
    body(4, "tube", [0, -0.75 * r, 0], [0, 0, 0], 0.68 * r),
    body(4, "joint", [0, 0, -0.75 * r], [0, 0, 0.5 * d5], 0.68 * r),
    body(5, "tube", [0, 0.5 * d5, 0], [0, 0, 0], 0.68 * r),
    body(5, "joint", [0, 0, -0.75 * r], [0, 0, 0.6 * d6], 0.68 * r),
    body(6, "joint", [0, 0, -0.4 * d6], [0, 0, 0], 0.62 * r),
  ];
}
