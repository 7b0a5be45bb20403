/** When proposals and approvals were logged, which the plant's state does not say. */
import { BACKGROUND, get } from "../api/client";
import type { Digest, LedgerEvent } from "../ledger/types";
import { plant } from "../state/plant.svelte";

/** How many of the newest proposals have their time. */
const KEPT = 200;

class Times {
  private read = $state.raw<LedgerEvent[]>([]);

  async begin(): Promise<void> {
    const of = (word: string): Promise<LedgerEvent[]> => get(`/api/v1/entries?word=${word}&limit=${KEPT}`, { headers: BACKGROUND });
    this.read = (await Promise.all([of("propose"), of("approve")])).flat();
  }

  private get all(): LedgerEvent[] {
    return [...plant.news, ...this.read];
  }

  /** The entry of a proposal, when it is among the newest. */
  proposed(id: Digest): LedgerEvent | undefined {
    return this.all.find((event) => event.id === id);
  }

  /** The approvals of a proposal, oldest first. */
  approvals(id: Digest): LedgerEvent[] {
    const named = this.all.filter((e) => "approve" in e.body && e.body.approve.proposal === id);
    return [...new Map(named.map((e) => [e.index, e])).values()].sort((a, b) => a.index - b.index);
  }
}

export const times = new Times();
