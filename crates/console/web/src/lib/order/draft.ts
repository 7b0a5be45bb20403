/** Orders before they are signed: what is wrong with them, what they say, what differs. */
import { provenProgram } from "../evidence/proven";
import { foreign } from "../foreign";
import { isId } from "../ledger/id";
import type { Digest, Id, Millis, Order, OrderState, Parameter, Program } from "../ledger/types";
import type { InForce } from "../people/differ";
import type { Wanted } from "../state/signing.svelte";
import { comparable, localTime, span } from "../words";

/** How many entries may follow an order before it is too stale; as the command line has it. */
export const MAX_LAG = 10_000;
/** What an order's window may be, as choices. */
export const WINDOWS: readonly Millis[] = [2, 10, 30, 60, 8 * 60, 24 * 60].map((minutes) => minutes * 60_000);
export const DEFAULT_WINDOW: Millis = 10 * 60_000;

/** A window in words: "10 min", not "10 min 0 s". */
export function windowWords(ms: Millis): string {
  return span(ms).replace(/ 0 (s|min)$/, "");
}

/** What is wrong with an identifier; empty when nothing is. */
export function identifierWrong(text: string): string {
  if (isId(text)) return "";
  if (text === "") return "name the part that lies on the table";
  if (text.length > 64) return "at most 64 characters";
  return "small letters, digits, `-`, `.` and `_`, beginning with a letter or digit: `part-1`";
}

/** What is wrong with a parameter's value; empty when nothing is. */
export function valueWrong(value: number | null, about: Parameter): string {
  if (value === null || !Number.isInteger(value)) return `a whole number${unitOf(about, " in ")} is expected`;
  if (value < about.min) return `at least ${quantity(about.min, about)}`;
  if (value > about.max) return `at most ${quantity(about.max, about)}`;
  return "";
}

/** A number with its unit. */
export function quantity(value: number, about: Parameter | undefined): string {
  return about === undefined || about.unit === "" ? value.toLocaleString() : `${value.toLocaleString()} ${foreign(about.unit)}`;
}

function unitOf({ unit }: Parameter, before: string): string {
  return unit === "" ? "" : before + foreign(unit);
}

/** What a person chose to be run. */
export interface Choice { cell: Id; part: Id; program: Program; parameters: Record<Id, number> }

/** An order from now on. */
export function draft(choice: Choice, window: Millis, now: Millis): Order {
  const { cell, part, program, parameters } = choice;
  const { id, sha256 } = program;
  // Only what the program names: a value left over from another program is not ordered.
  const named = Object.entries(program.parameters).map(([name, about]) => [name, parameters[name] ?? about.default]);
  return {
    cell, max_lag: MAX_LAG, not_after: now + window, not_before: now,
    parameters: Object.fromEntries(named) as Record<Id, number>, part, program: { id, sha256 },
  };
}

/** An order in plain words, one sentence each. */
export function orderWords(order: Order, program: Program | undefined): string[] {
  const title = program?.title ? ` (${foreign(program.title)})` : "";
  const parameters = Object.entries(order.parameters).map(([name, value]) => {
    const about = program?.parameters[name];
    return `${foreign(about?.title || name)}: ${quantity(value, about)}`;
  });
  return [
    `The robot of cell ${order.cell} runs program ${order.program.id}${title} on part ${order.part}.`,
    `It runs exactly the program with hash ${comparable(order.program.sha256)}.`,
    ...(parameters.length > 0 ? [`With ${parameters.join(", ")}.`] : []),
    `It may start once, within ${windowWords(order.not_after - order.not_before)}: until ${localTime(order.not_after)}.`,
  ];
}

/**
 * What is signed for an order: of the file and within the bounds that the ledger has in force.
 * `basis` ends the sentence on what was verified.
 * @throws Broken when the site showed another program than that.
 */
export function orderOf(inForce: InForce, choice: Choice, window: Millis, now: Millis, basis: string): Wanted {
  const { cell, part } = choice;
  const program = provenProgram(inForce, choice.program, cell);
  const order = draft({ ...choice, program }, window, now);
  for (const [name, about] of Object.entries(program.parameters)) {
    const wrong = valueWrong(order.parameters[name] ?? null, about);
    if (wrong !== "") throw new Error(`${foreign(about.title || name)}: ${wrong}.`);
  }
  return {
    title: `Order ${program.id} on ${part} in ${cell}`,
    body: { order },
    words: [
      ...orderWords(order, program),
      `This browser verified on the ledger that this file is approved for ${cell}, with each of these values within its bounds${basis}.`,
      "The robot moves as soon as its cell has verified the order by itself. Nobody may stand in its way.",
    ],
    act: "Order",
  };
}

/** An earlier order to compare with, and why that one. */
export interface Earlier { id: Digest; state: OrderState; why: string }

/** The last order of this program on this part; else of this program; else of this part. */
export function earlier(orders: readonly [Digest, OrderState][], program: Id, part: Id): Earlier | null {
  const choices: [string, (order: Order) => boolean][] = [
    ["the last order of this program on this part", (o) => o.program.id === program && o.part === part],
    ["the last order of this program", (o) => o.program.id === program],
    ["the last order on this part", (o) => o.part === part],
  ];
  for (const [why, fits] of choices) {
    let found: Earlier | null = null;
    for (const [id, state] of orders) {
      if (fits(state.order) && (found === null || state.index > found.state.index)) found = { id, state, why };
    }
    if (found !== null) return found;
  }
  return null;
}

/** What differs from an earlier order, one short phrase each. */
export function differences(order: Order, before: Order, program: Program | undefined): string[] {
  const found: string[] = [];
  if (order.program.id !== before.program.id) found.push(`program ${order.program.id} instead of ${before.program.id}`);
  else if (order.program.sha256 !== before.program.sha256) {
    found.push(`another version of the program: hash ${comparable(order.program.sha256)} instead of ${comparable(before.program.sha256)}`);
  }
  if (order.part !== before.part) found.push(`part ${order.part} instead of ${before.part}`);
  if (order.cell !== before.cell) found.push(`cell ${order.cell} instead of ${before.cell}`);
  const names = new Set([...Object.keys(order.parameters), ...Object.keys(before.parameters)]);
  for (const name of names) {
    const [now, then, about] = [order.parameters[name], before.parameters[name], program?.parameters[name]];
    if (now === then) continue;
    const title = foreign(about?.title || name);
    if (now === undefined) found.push(`no ${title}`);
    else found.push(`${title} ${quantity(now, about)} instead of ${then === undefined ? "none" : quantity(then, about)}`);
  }
  return found;
}
