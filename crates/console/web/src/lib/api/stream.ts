/**
 * An event stream that all windows of a browser share. A browser has six connections to a
 * site over HTTP/1.1, and each stream holds one: so of the windows that somebody sees, one
 * holds it and tells the others. It outlives a refusal, and rests while nobody looks.
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

/** What windows tell one another. */
type Told = { say: "who leads" } | { say: "open" } | { say: "broken"; refused: boolean } | { say: "event"; name: string; data: string };

export class Stream {
  /** Whether events arrive now. */
  connected = false;
  private channel: BroadcastChannel | null = null;
  /** Ends this window's turn, or its wait for one. */
  private leave: (() => void) | null = null;
  private source: EventSource | null = null;
  private again: ReturnType<typeof setTimeout> | null = null;
  private refusals = 0;

  constructor(private readonly url: string, private readonly listener: Listener) {
    document.addEventListener("visibilitychange", this.look);
    this.look();
  }

  private readonly look = (): void => {
    if (!document.hidden) this.join();
    else if (this.rest()) this.listener.broken?.(false);
  };

  /** Listens to the window that leads, and leads when its turn comes. */
  private join(): void {
    if (this.leave !== null) return;
    this.channel = new BroadcastChannel(`interlock ${this.url}`);
    this.channel.onmessage = ({ data }: MessageEvent<Told>) => this.hear(data);
    this.tell({ say: "who leads" });
    const waiting = new AbortController();
    let done = (): void => waiting.abort();
    this.leave = () => done();
    const turn = (): Promise<void> => new Promise((resolve) => {
      if (waiting.signal.aborted) return resolve();
      done = resolve;
      // Whoever led before may have ended without a word.
      if (this.connected) this.take({ say: "broken", refused: false });
      this.open();
    });
    navigator.locks.request(`interlock ${this.url}`, { signal: waiting.signal }, turn).catch(() => {});
  }

  private open(): void {
    const source = new EventSource(this.url);
    this.source = source;
    source.onopen = () => {
      this.refusals = 0;
      this.share({ say: "open" });
    };
    source.onerror = () => {
      // While it is CONNECTING, the browser tries again by itself; CLOSED, it never does.
      const refused = source.readyState === EventSource.CLOSED;
      if (refused) {
        this.source = null;
        this.again = setTimeout(() => this.open(), Math.min(LONGEST_MS, FIRST_MS * 2 ** this.refusals++));
      }
      this.share({ say: "broken", refused });
    };
    for (const name of Object.keys(this.listener.events)) {
      source.addEventListener(name, ({ data }: MessageEvent<string>) => this.share({ say: "event", name, data }));
    }
  }

  private hear(told: Told): void {
    if (told.say !== "who leads") this.take(told);
    else if (this.source !== null && this.connected) this.tell({ say: "open" });
  }

  private tell(told: Told): void {
    this.channel?.postMessage(told);
  }

  /** What the leader's own stream brought. */
  private share(told: Told): void {
    this.tell(told);
    this.take(told);
  }

  private take(told: Told): void {
    if (told.say === "event") {
      if (this.connected) this.listener.events[told.name]?.(told.data);
    } else if (told.say === "open") {
      if (!this.connected) this.listener.opened?.();
      this.connected = true;
    } else if (told.say === "broken") {
      this.connected = false;
      this.listener.broken?.(told.refused);
    }
  }

  /** Hands the lead on; whether events arrived. */
  private rest(): boolean {
    const was = this.connected;
    if (this.again !== null) clearTimeout(this.again);
    if (this.source !== null || this.again !== null) this.tell({ say: "broken", refused: false });
    this.source?.close();
    this.leave?.();
    this.channel?.close();
    this.connected = false;
    [this.source, this.again, this.leave, this.channel] = [null, null, null, null];
    return was;
  }

  close(): void {
    document.removeEventListener("visibilitychange", this.look);
    this.rest();
  }
}
