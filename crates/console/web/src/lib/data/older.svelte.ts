/** Rows that are older than the newest, which the plant's state keeps; a page at a time, bounded. */
import { get } from "../api/client";
import { newest } from "../state/plant.svelte";

const PAGE = 100;
const MOST = 3000;

export class Older<T extends { index: number }> {
  private found = $state.raw<Record<string, T>>({});
  private ended = $state(false);
  busy = $state(false);
  trouble = $state<unknown>(null);

  constructor(private readonly part: "orders" | "recordings" | "grants" | "reports") {}

  /** All rows known, newest first. */
  rows(now: Record<string, T>): [string, T][] {
    return newest({ ...this.found, ...now });
  }

  /** Whether there may be more. The newest page is full when it holds as many as are kept. */
  more(now: Record<string, T>, kept: number): boolean {
    return !this.ended && Object.keys(now).length >= kept && Object.keys(this.found).length < MOST;
  }

  async load(now: Record<string, T>): Promise<void> {
    const last = this.rows(now).at(-1)?.[1].index ?? 0;
    this.busy = true;
    this.trouble = null;
    try {
      const page = await get<Record<string, T>>(`/api/v1/state/${this.part}?limit=${PAGE}&before=${last}`);
      this.ended = Object.keys(page).length < PAGE;
      this.found = { ...this.found, ...page };
    } catch (error) {
      this.trouble = error;
    } finally {
      this.busy = false;
    }
  }
}
