/**
 * An event stream that outlives a refusal and rests while nobody sees the page: a browser
 * has six connections to a site, and each stream holds one.
 */

/** The first and the longest wait before a refused stream is opened again. */
const FIRST_MS = 1000;
const LONGEST_MS = 30_000;

export interface Listener {
  /** The events that are wanted, by name. */
  events: Record<string, (data: string) => void>;
  opened?: () => void;
  /** It broke off and comes back by itself. `refused` when the site did not take it. */
  broken?: (refused: boolean) => void;
}

export class Stream {
  private source: EventSource | null = null;
  private again: ReturnType<typeof setTimeout> | null = null;
  private refusals = 0;

  constructor(private readonly url: string, private readonly listener: Listener) {
    document.addEventListener("visibilitychange", this.look);
    this.look();
  }

  private readonly look = (): void => {
    if (!document.hidden) this.open();
    else if (this.rest()) this.listener.broken?.(false);
  };

  private open(): void {
    if (this.source !== null) return;
    this.rest();
    const source = new EventSource(this.url);
    this.source = source;
    source.onopen = () => {
      this.refusals = 0;
      this.listener.opened?.();
    };
    source.onerror = () => {
      // While it is CONNECTING, the browser tries again by itself; CLOSED, it never does.
      const refused = source.readyState === EventSource.CLOSED;
      if (refused) {
        this.source = null;
        this.again = setTimeout(() => this.open(), Math.min(LONGEST_MS, FIRST_MS * 2 ** this.refusals++));
      }
      this.listener.broken?.(refused);
    };
    for (const [name, take] of Object.entries(this.listener.events)) {
      source.addEventListener(name, (event: MessageEvent<string>) => take(event.data));
    }
  }

  /** Closes the connection; whether there was one. */
  private rest(): boolean {
    const open = this.source !== null;
    this.source?.close();
    this.source = null;
    if (this.again !== null) clearTimeout(this.again);
    this.again = null;
    return open;
  }

  /** Whether events arrive now. */
  get connected(): boolean {
    return this.source?.readyState === EventSource.OPEN;
  }

  close(): void {
    document.removeEventListener("visibilitychange", this.look);
    this.rest();
  }
}
