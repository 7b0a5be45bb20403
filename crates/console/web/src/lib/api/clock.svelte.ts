/**
 * The site's clock, as the `Date` of its answers tells it: a tablet that was off for a
 * month must neither show a wrong countdown nor sign a time that the site refuses.
 */
import type { Millis } from "../ledger/types";

/** So many of the last answers count; the median forgets one that was slow. */
const KEPT = 9;
/** An answer that took longer says too little. */
const SLOW_MS = 2000;
/** `Date` has whole seconds: less than this is no difference. */
const EXACT_MS = 1000;

class Clock {
  /** How far the site is ahead of this device, ms. */
  offset = $state(0);
  private found: number[] = [];

  /** The time at the site. */
  now(): Millis {
    return Date.now() + this.offset;
  }

  /** Takes in the `Date` of an answer that was asked for at `asked` and came at `came`. */
  note(date: string | null, asked: Millis, came: Millis): void {
    const second = Date.parse(date ?? "");
    if (Number.isNaN(second) || came < asked || came - asked > SLOW_MS) return;
    // Its second began up to 1 s earlier; it was written on half of the way.
    this.found = [...this.found, second + 500 - (asked + came) / 2].slice(-KEPT);
    const sorted = [...this.found].sort((a, b) => a - b);
    const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
    this.offset = Math.abs(median) < EXACT_MS ? 0 : Math.round(median);
  }
}

export const clock = new Clock();
