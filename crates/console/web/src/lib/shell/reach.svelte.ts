/** Since when a cell does not answer, as this page saw it. */
import type { CellView, Id, Millis } from "../ledger/types";

class Reach {
  since = $state.raw<Record<Id, Millis>>({});

  /** Takes in what the site said of its cells at `now`. */
  note(cells: CellView[], now: Millis): void {
    const before = this.since;
    const silent = cells.filter((c) => !c.reachable).map((c): [Id, Millis] => [c.cell, before[c.cell] ?? now]);
    const same = silent.length === Object.keys(before).length && silent.every(([cell]) => cell in before);
    if (!same) this.since = Object.fromEntries(silent);
  }
}

export const reach = new Reach();
