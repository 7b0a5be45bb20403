/** What is plotted of a robot, with units and the limits that its maker states. */
import type { Limits } from "../live/frame";

export interface Channel {
  name: string;
  /** A custom property of the page. */
  colour: string;
  /** Dashes, so that colour is not all that tells lines apart. */
  dash: number[];
}

export interface Limit { value: number; name: string }

export interface Chart {
  id: "angle" | "turn" | "force" | "speed";
  title: string;
  unit: string;
  channels: Channel[];
  /** The first of its columns in a row of a ring; column 0 is the time. */
  column: number;
  digits: number;
  /** The least range that is shown, so that noise of a robot at rest looks like rest. */
  least: readonly [number, number];
}

const JOINTS = ["base", "shoulder", "elbow", "wrist 1", "wrist 2", "wrist 3"];
const DASHES = [[], [8, 4], [2, 3], [12, 3, 2, 3], [5, 2], [1, 2]];
const joints: Channel[] = JOINTS.map((name, i) => ({ name, colour: `--plot-${i + 1}`, dash: DASHES[i] ?? [] }));
const one = (name: string, colour: string): Channel[] => [{ name, colour, dash: [] }];

export const CHARTS: readonly Chart[] = [
  { id: "angle", title: "Joint angles", unit: "°", channels: joints, column: 1, digits: 1, least: [-10, 10] },
  { id: "turn", title: "Joint speeds", unit: "°/s", channels: joints, column: 7, digits: 1, least: [-10, 10] },
  { id: "force", title: "Force at the tool", unit: "N", channels: one("force", "--plot-2"), column: 13, digits: 1, least: [0, 10] },
  { id: "speed", title: "Speed of the tool", unit: "m/s", channels: one("speed", "--plot-1"), column: 14, digits: 3, least: [0, 0.1] },
];

const DEGREES = 180 / Math.PI;

/** The limits of a chart: each value once, both ways where both are meant. */
export function limitsFor(chart: Chart["id"], limits: Limits | null): Limit[] {
  if (limits === null) return [];
  if (chart === "force") return limits.tcp_force === null ? [] : [{ value: limits.tcp_force, name: "greatest force" }];
  if (chart === "speed") return limits.tcp_speed === null ? [] : [{ value: limits.tcp_speed, name: "typical greatest speed" }];
  const values = chart === "angle" ? limits.joint_position.flatMap((pair) => pair ?? []) : limits.joint_speed.flatMap((v) => [-v, v]);
  const rounded = [...new Set(values.map((value) => Math.round(value * DEGREES)))].sort((a, b) => a - b);
  return rounded.map((value) => ({ value, name: "limit" }));
}

/** The limits in words, for people who do not see the lines. */
export function limitWords(chart: Chart, limits: Limits | null): string {
  if (limits === null) return "limits unknown for this controller";
  const found = limitsFor(chart.id, limits).filter(({ value }) => value > 0);
  if (found.length === 0) return chart.id === "force" ? "no limit in the catalogue: it is set at each arm" : "no limit stated";
  return `limit ${found.map(({ value }) => `${chart.id === "angle" || chart.id === "turn" ? "±" : ""}${value} ${chart.unit}`).join(", ")}`;
}
