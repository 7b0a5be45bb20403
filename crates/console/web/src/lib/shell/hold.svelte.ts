/** Holds: the dialog that places one, and the words around them. */
import { BACKGROUND, get } from "../api/client";
import { foreign } from "../foreign";
import type { Digest, HoldState, Id, Leaf, Millis, Submitted } from "../ledger/types";
import { signing } from "../state/signing.svelte";

/** Reasons that people give most, to be chosen with one click. */
export const REASONS = [
  "somebody is in the cell", "the robot does not move as expected", "the part sits wrong",
  "maintenance", "something looks manipulated",
] as const;

/** How many different people release a hold. */
export const RELEASES = 2;

/** The hold dialog, which any page may open. */
class HoldDialogState {
  open = $state(false);
  /** The cell that it begins with; `null` for the whole site. */
  cell = $state<Id | null>(null);

  show(cell: Id | null = null): void {
    this.cell = cell;
    this.open = true;
  }
}
export const holdDialog = new HoldDialogState();

/** Asks for the signature under a hold. */
export function placeHold(cell: Id | null, reason: string): Promise<Submitted | null> {
  const where = cell === null ? "the whole site" : `cell ${cell}`;
  return signing.ask({
    title: `Hold ${where}`,
    act: "Hold",
    grave: true,
    body: { hold: cell === null ? { reason } : { cell, reason } },
    words: [
      `${cell === null ? "No cell of this site takes" : `Cell ${cell} takes`} an order, and a run in progress is stopped.`,
      `Everybody sees the reason: “${foreign(reason)}”.`,
      `The hold lasts until ${RELEASES} people have released it.`,
    ],
    cautions: ["A hold is no emergency stop: if somebody is in danger, press the red button at the robot."],
  });
}

/** The holds that bear on a cell. */
export function holdsOn(holds: Record<Digest, HoldState>, cell: Id): [Digest, HoldState][] {
  return Object.entries(holds).filter(([, { hold }]) => hold.cell === undefined || hold.cell === cell);
}

const KEPT = 200;
const times = new Map<Digest, Promise<Millis>>();

/** When the site logged an entry. */
export function loggedAt(id: Digest): Promise<Millis> {
  const known = times.get(id);
  if (known !== undefined) return known;
  const asked = get<{ leaf: Leaf }>(`/api/v1/entries/${id}`, { headers: BACKGROUND }).then(({ leaf }) => leaf.logged_at);
  asked.catch(() => times.delete(id));
  if (times.size >= KEPT) times.clear();
  times.set(id, asked);
  return asked;
}
