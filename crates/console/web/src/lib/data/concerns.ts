/** Which entries concern an order: its own, and those that name one that concerns it. Pure. */
import type { Digest, LedgerEvent } from "../ledger/types";
import { namedBy } from "../words";

/** Those of `news` that concern an order of which `known` is known already; oldest first. */
export function concerning(order: Digest, known: readonly LedgerEvent[], news: readonly LedgerEvent[]): LedgerEvent[] {
  const names = new Set<string>([order]);
  const takes = ({ id, body }: LedgerEvent): boolean => {
    const root = "recording" in body ? body.recording.root : "shred" in body ? body.shred.root : "shredded" in body ? body.shredded.root : id;
    if (id !== order && !names.has(root) && !namedBy(body).some((named) => names.has(named.id))) return false;
    names.add(id).add(root);
    return true;
  };
  known.forEach(takes);
  return [...news].sort((a, b) => a.index - b.index).filter(takes);
}
