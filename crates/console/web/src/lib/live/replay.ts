/** A recording as the plots and the player take it. Pure. */
import type { Checkpoint, Picture, States } from "../open";
import { CHARTS } from "../plots/channels";
import { lastAt, sizes, speeds } from "./seek";

const DEGREES = 180 / Math.PI;
/** Speeds are means over at least so many ms. */
const SPEED_SPAN = 40;

/** A recording's columns, for each chart: time in s, then its channels. */
export function chartColumns(states: States): Float64Array[][] {
  const seconds = states.t.map((t) => t / 1000);
  const degrees = (channels: readonly Float64Array[]): Float64Array[] => channels.map((values) => values.map((v) => v * DEGREES));
  // Two points of a bucket stand for many samples: their distance in time says nothing below that.
  const each = states.t.length > 1 ? ((states.t.at(-1) ?? 0) - (states.t[0] ?? 0)) / states.t.length : 0;
  const span = Math.max(SPEED_SPAN, states.bucket > 1 ? 4 * each : 0);
  const found: Record<(typeof CHARTS)[number]["id"], Float64Array[]> = {
    angle: degrees(states.q),
    turn: degrees(states.qd),
    force: [sizes(states.tcp_force)],
    speed: [speeds(states.t, states.tcp_pose, span)],
  };
  return CHARTS.map(({ id }) => [seconds, ...found[id]]);
}

/** The picture that was the newest at a moment. */
export function pictureAt(pictures: readonly Picture[], at: number): Picture | null {
  return pictures[lastAt(pictures.map((picture) => picture.at), at)] ?? null;
}

/** The first checkpoint that covers a moment: the cell signed it over everything up to then. */
export function covering(checkpoints: readonly Checkpoint[], at: number): Checkpoint | null {
  return checkpoints.find(({ last }) => last >= at) ?? checkpoints.at(-1) ?? null;
}

/** From when to when a recording goes, ms since 1970; `null` when it is empty. */
export function extent(states: States | null, pictures: readonly Picture[]): [number, number] | null {
  const times = [states?.t[0], states?.t.at(-1), pictures[0]?.at, pictures.at(-1)?.at].filter((t) => t !== undefined);
  return times.length === 0 ? null : [Math.min(...times), Math.max(...times)];
}
