/**
 * Signing out whoever went away. What the page reads by itself does not count for the
 * site; what a person does with the page is told to it now and then.
 */
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

class Idle {
  private last = $state(Date.now());
  private told = Date.now();
  private window = SHORTEST_MS;

  /** Begins to watch a session; returns what ends it. */
  watch(me: Pick<Me, "idle_ends_at">): () => void {
    this.window = idleWindow(me, Date.now());
    this.last = Date.now();
    const seen = (): void => {
      // Once a second is enough, and spares the page.
      if (Date.now() - this.last > 1000) this.last = Date.now();
      if (this.last - this.told < TELL_MS) return;
      this.told = this.last;
      get("/console/v1/session").catch(() => {});
    };
    const events = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"] as const;
    events.forEach((event) => addEventListener(event, seen, { passive: true }));
    return () => events.forEach((event) => removeEventListener(event, seen));
  }

  /** How long the session still lasts without anybody's doing. */
  left(now: Millis): number {
    return this.last + this.window - now;
  }

  /** Whether it is time to say so. */
  warns(now: Millis): boolean {
    return this.left(now) <= WARN_MS;
  }
}

export const idle = new Idle();
