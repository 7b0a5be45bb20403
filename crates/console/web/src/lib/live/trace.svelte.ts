/** What the ledger has about one order, kept up to date. The site's word. */
import { get } from "../api/client";
import type { Digest, LedgerEvent } from "../ledger/types";

/** Changes that come together cost one request. */
const SETTLE_MS = 400;
/** More entries than this are not kept: an order has some dozens. */
const MAX_EVENTS = 5000;

export class Trace {
  events = $state.raw<LedgerEvent[]>([]);
  loaded = $state(false);
  error = $state.raw<unknown>(null);
  private settling: ReturnType<typeof setTimeout> | null = null;
  private readonly stop = new AbortController();
  private reading = false;
  private again = false;

  constructor(private readonly order: Digest) {
    void this.read();
  }

  /** Reads again, soon. */
  touch(): void {
    this.settling ??= setTimeout(() => void this.read(), SETTLE_MS);
  }

  private async read(): Promise<void> {
    this.settling = null;
    if (this.reading) {
      this.again = true;
      return;
    }
    this.reading = true;
    try {
      const path = `/api/v1/orders/${encodeURIComponent(this.order)}/trace`;
      this.events = (await get<LedgerEvent[]>(path, { signal: this.stop.signal })).slice(0, MAX_EVENTS);
      this.error = null;
      this.loaded = true;
    } catch (error) {
      if (!this.stop.signal.aborted) this.error = error;
    } finally {
      this.reading = false;
      if (this.again && !this.stop.signal.aborted) this.touch();
      this.again = false;
    }
  }

  close(): void {
    this.stop.abort();
    if (this.settling !== null) clearTimeout(this.settling);
  }
}
