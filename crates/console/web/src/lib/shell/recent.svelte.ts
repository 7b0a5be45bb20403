/** The newest entries, from before the page was opened too. */
import { BACKGROUND, get } from "../api/client";
import type { LedgerEvent } from "../ledger/types";

/** Newest first, each index once, at most `most`. */
export function merged(live: LedgerEvent[], read: LedgerEvent[], most: number): LedgerEvent[] {
  const byIndex = new Map([...read, ...live].map((event) => [event.index, event]));
  return [...byIndex.values()].sort((a, b) => b.index - a.index).slice(0, most);
}

/** What was read once, when the page was opened. */
export class Recent {
  read = $state.raw<LedgerEvent[]>([]);
  trouble = $state("");

  constructor(private readonly query: string) {}

  async begin(): Promise<void> {
    try {
      this.read = await get<LedgerEvent[]>(`/api/v1/entries?${this.query}`, { headers: BACKGROUND });
      this.trouble = "";
    } catch (error) {
      this.trouble = error instanceof Error ? error.message : String(error);
    }
  }
}
