/** The arm as a flat drawing, for browsers without WebGL: one side view, far things first. */
import type { Arm } from "./arms";
import { bodies, frames, place, type Vector } from "./kinematics";

/** A thick line of the drawing; metres, y downwards. */
export interface Stroke { x1: number; y1: number; x2: number; y2: number; width: number; joint: boolean; far: number }

/** From which side: rad about the vertical, and above the floor. */
const [TURN, TILT] = [0.65, 0.35];

/** A point as it is drawn, with how far away it is. */
export function project([x, y, z]: Vector): Vector {
  const right = x * Math.cos(TURN) + y * Math.sin(TURN);
  const away = -x * Math.sin(TURN) + y * Math.cos(TURN);
  return [right, -(z * Math.cos(TILT) + away * Math.sin(TILT)), away * Math.cos(TILT) - z * Math.sin(TILT)];
}

export function strokes(arm: Arm, q: ArrayLike<number>): Stroke[] {
  const at = frames(arm, q);
  const drawn = bodies(arm).map(({ link, from, to, radius, kind }): Stroke => {
    const frame = at[link] ?? [];
    const [x1, y1, far1] = project(place(frame, from));
    const [x2, y2, far2] = project(place(frame, to));
    return { x1, y1, x2, y2, width: 2 * radius, joint: kind === "joint", far: (far1 + far2) / 2 };
  });
  return drawn.sort((a, b) => b.far - a.far);
}
