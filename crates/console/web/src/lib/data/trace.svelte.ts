/** The entries of one order, kept up to date while something looks at them. The site's word. */
import { BACKGROUND, get, Problem } from "../api/client";
import type { Digest, LedgerEvent } from "../ledger/types";
import { READS_MS, plant } from "../state/plant.svelte";
import { Settle } from "../state/settle";
import { concerning } from "./concerns";

/** A burst of entries costs one request. */
const SETTLE_MS = 400;
const AGAIN_MS = 3000;

export class OrderTrace {
  events = $state.raw<LedgerEvent[]>([]);
  loaded = $state(false);
  trouble = $state<unknown>(null);
  private asked: Digest | null = null;
  /** The newest entry that was looked at, and how often entries were missed by then. */
  private seen = -1;
  private missed = 0;
  private stop = new AbortController();
  private readonly settle = new Settle<Digest>(async ([order]) => this.read(order));

  /** Follows the order that `order` gives; call it while a component is made. */
  constructor(order: () => Digest | null) {
    $effect(() => {
      const wanted = order();
      const { news, missed } = plant;
      if (wanted === null) return;
      if (wanted !== this.asked) this.follow(wanted);
      else if (!this.loaded) return;
      else if (missed !== this.missed) this.settle.ask(SETTLE_MS, wanted);
      else {
        const fresh = concerning(wanted, this.events, news).filter(({ index }) => index > this.seen);
        if (fresh.length > 0) this.settle.ask(fresh.every(({ body }) => "read" in body) ? READS_MS : SETTLE_MS, wanted);
      }
      [this.seen, this.missed] = [news[0]?.index ?? -1, missed];
    });
    $effect(() => () => this.end());
  }

  private follow(order: Digest): void {
    this.end();
    this.stop = new AbortController();
    this.asked = order;
    this.events = [];
    this.loaded = false;
    this.trouble = null;
    this.settle.ask(0, order);
  }

  private end(): void {
    this.stop.abort();
    this.settle.clear();
  }

  private async read(order: Digest | undefined): Promise<void> {
    if (order === undefined) return;
    const { signal } = this.stop;
    try {
      const events = await get<LedgerEvent[]>(`/api/v1/orders/${encodeURIComponent(order)}/trace`, { signal, headers: BACKGROUND });
      if (signal.aborted) return;
      this.events = events.sort((a, b) => a.index - b.index);
      this.trouble = null;
    } catch (error) {
      if (signal.aborted) return;
      this.trouble = error;
      // Another answer is no use; a site that was not reached may be there again.
      if (error instanceof Problem && (error.status === 0 || error.status >= 500)) this.settle.ask(AGAIN_MS, order);
    } finally {
      if (!signal.aborted) this.loaded = true;
    }
  }
}
