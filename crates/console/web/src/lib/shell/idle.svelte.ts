/**
 * Signing out whoever went away. What the page reads by itself does not count for the
 * site; what a person does with the page is told to it now and then.
 */
import { clock } from "../api/clock.svelte";
import { get } from "../api/client";
import type { Me, Millis } from "../ledger/types";

/** People see so long before that the session is about to end. */
const WARN_MS = 60_000;
/** Shorter would sign out somebody who reads. */
const SHORTEST_MS = 2 * 60_000;

/** How long a session may stay unused, from what the site said at `received`. */
export function idleWindow(me: Pick<Me, "idle_ends_at">, received: Millis): number {
  return Math.max(SHORTEST_MS, me.idle_ends_at - received);
}

/** So often the site is told that somebody is there. */
const TELL_MS = 60_000;

/** Whoever watches is there as long as the page is seen; asked so often. */
const ATTEND_MS = 10_000;

/** All times are this device's own: the site's clock may be found to be another meanwhile. */
class Idle {
  private last = $state(Date.now());
  private told = Date.now();
  private window = SHORTEST_MS;
  /** When the session ends whatever happens. */
  private end = $state(Infinity);

  /** Begins to watch a session; returns what ends it. */
  watch(me: Pick<Me, "idle_ends_at" | "expires_at">): () => void {
    const now = clock.now();
    this.window = idleWindow(me, now);
    this.last = Date.now();
    this.end = this.last + me.expires_at - now;
    const events = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"] as const;
    events.forEach((event) => addEventListener(event, this.seen, { passive: true }));
    return () => events.forEach((event) => removeEventListener(event, this.seen));
  }

  /** Somebody is there. */
  private readonly seen = (): void => {
    // Once a second is enough, and spares the page.
    if (Date.now() - this.last > 1000) this.last = Date.now();
    if (this.last - this.told < TELL_MS) return;
    this.told = this.last;
    get("/console/v1/session").catch(() => {});
  };

  /** Somebody watches what this page shows, without touching it; returns what ends that. */
  attend(): () => void {
    const look = (): void => {
      if (!document.hidden) this.seen();
    };
    look();
    const timer = setInterval(look, ATTEND_MS);
    return () => clearInterval(timer);
  }

  /** How long the session still lasts without anybody's doing, by this device's clock. */
  left(now: Millis): number {
    return Math.min(this.last + this.window, this.end) - now;
  }

  /** Whether it ends soon whatever anybody does. */
  get final(): boolean {
    return this.end <= this.last + this.window;
  }

  /** Whether it is time to say so. */
  warns(now: Millis): boolean {
    return this.left(now) <= WARN_MS;
  }
}

export const idle = new Idle();
