/** The entries of one order, kept up to date while something looks at them. */
import { get } from "../api/client";
import type { Digest, LedgerEvent } from "../ledger/types";
import { plant } from "../state/plant.svelte";

export class OrderTrace {
  events = $state.raw<LedgerEvent[]>([]);
  loaded = $state(false);
  trouble = $state<unknown>(null);
  private asked: Digest | null = null;
  private seen = -1;
  private timer: ReturnType<typeof setTimeout> | null = null;

  /** Follows the order that `order` gives; call it while a component is made. */
  constructor(order: () => Digest | null) {
    $effect(() => {
      const wanted = order();
      const index = plant.news[0]?.index ?? -1;
      if (wanted === null) return;
      if (wanted !== this.asked) this.forget(wanted);
      // A burst of entries costs one request.
      else if (index <= this.seen || this.timer !== null) return;
      const wait = this.loaded ? 400 : 0;
      this.seen = index;
      this.timer = setTimeout(() => void this.read(wanted), wait);
    });
    $effect(() => () => this.stop());
  }

  private stop(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }

  private forget(order: Digest): void {
    this.stop();
    this.asked = order;
    this.events = [];
    this.loaded = false;
    this.trouble = null;
  }

  private async read(order: Digest): Promise<void> {
    this.timer = null;
    try {
      const events = await get<LedgerEvent[]>(`/api/v1/orders/${order}/trace`);
      if (order !== this.asked) return;
      this.events = events.sort((a, b) => a.index - b.index);
      this.trouble = null;
    } catch (error) {
      if (order === this.asked) this.trouble = error;
    } finally {
      if (order === this.asked) this.loaded = true;
    }
  }
}
