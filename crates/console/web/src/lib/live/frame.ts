/** Frames of a cell's live view, as foreign bytes. */
import type { Frame } from "../ledger/types";

/** What a maker states of its arms; drawn beside what an arm does. */
export interface Limits {
  /** The arms that the numbers are of. */
  of: string;
  /** rad; `null` for a joint that turns without end. */
  joint_position: ([number, number] | null)[];
  /** rad/s. */
  joint_speed: number[];
  /** m/s. */
  tcp_speed: number | null;
  /** N. */
  tcp_force: number | null;
}

/** More than a frame ever has. */
const MAX_FRAME_CHARS = 16 * 1024;
const SIX = ["q", "qd", "tcp_pose", "tcp_force", "tcp_speed"] as const;

/** A frame, or `null` for what is none. */
export function parseFrame(text: string): Frame | null {
  if (text.length > MAX_FRAME_CHARS) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const found = value as Record<string, unknown>;
  const whole = finite(found["at"]) && SIX.every((name) => six(found[name]));
  const words = [found["mode"], found["safety"], found["runtime"]].every((word) => typeof word === "string");
  return whole && words ? (value as Frame) : null;
}

function finite(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function six(value: unknown): boolean {
  return Array.isArray(value) && value.length === 6 && value.every(finite);
}

/** The limits in a frame; `null` where the series has none that can be stated. */
export function limitsOf(frame: Frame): Limits | null {
  const found = frame.limits;
  if (found === null || typeof found !== "object") return null;
  const { of, joint_position, joint_speed, tcp_speed, tcp_force } = found;
  if (typeof of !== "string" || !six(joint_speed) || !Array.isArray(joint_position)) return null;
  const pair = (value: unknown): [number, number] | null =>
    Array.isArray(value) && finite(value[0]) && finite(value[1]) ? [value[0], value[1]] : null;
  return {
    of,
    joint_position: joint_position.slice(0, 6).map(pair),
    joint_speed: joint_speed as number[],
    tcp_speed: finite(tcp_speed) ? tcp_speed : null,
    tcp_force: finite(tcp_force) ? tcp_force : null,
  };
}

/** The columns that are plotted: time in s, angles and speeds of joints in °, force, speed of the tool. */
export const WIDTH = 15;
const DEGREES = 180 / Math.PI;

/** A frame as a row of a ring. */
export function rowOf(frame: Frame): number[] {
  const { at, q, qd, tcp_force, tcp_speed } = frame;
  const size = (v: number[]): number => Math.hypot(v[0] ?? 0, v[1] ?? 0, v[2] ?? 0);
  return [at / 1000, ...q.map((v) => v * DEGREES), ...qd.map((v) => v * DEGREES), size(tcp_force), size(tcp_speed)];
}
