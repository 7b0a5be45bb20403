import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

const MINUTE = 60_000;
const fetched = vi.fn(async (_path: string) => new Response("{}", { headers: { "content-type": "application/json" } }));
const page = { hidden: false };
let idle: typeof import("../../src/lib/shell/idle.svelte").idle;

beforeEach(async () => {
  vi.useFakeTimers({ now: 1_000_000_000 });
  vi.resetModules();
  fetched.mockClear();
  page.hidden = false;
  vi.stubGlobal("document", page);
  vi.stubGlobal("fetch", fetched);
  vi.stubGlobal("addEventListener", () => {});
  vi.stubGlobal("removeEventListener", () => {});
  ({ idle } = await import("../../src/lib/shell/idle.svelte"));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const watch = (hours: number): (() => void) =>
  idle.watch({ idle_ends_at: Date.now() + 15 * MINUTE, expires_at: Date.now() + hours * 60 * MINUTE });

describe("somebody who only watches a run", () => {
  it("stays, and the site is told so", async () => {
    watch(8);
    const gone = idle.attend();
    await vi.advanceTimersByTimeAsync(40 * MINUTE);
    expect(idle.left(Date.now())).toBeGreaterThan(14 * MINUTE);
    expect(fetched.mock.calls.length).toBeGreaterThanOrEqual(35);
    expect(new Set(fetched.mock.calls.map(([path]) => path))).toEqual(new Set(["/console/v1/session"]));
    gone();
    await vi.advanceTimersByTimeAsync(16 * MINUTE);
    expect(idle.left(Date.now())).toBeLessThanOrEqual(0);
  });

  it("counts only while the page is seen", async () => {
    watch(8);
    idle.attend();
    page.hidden = true;
    await vi.advanceTimersByTimeAsync(16 * MINUTE);
    expect(idle.left(Date.now())).toBeLessThanOrEqual(0);
    expect(fetched).not.toHaveBeenCalled();
  });

  it("is signed out at the session's end all the same", async () => {
    watch(0.5);
    idle.attend();
    await vi.advanceTimersByTimeAsync(29.5 * MINUTE);
    expect([idle.warns(Date.now()), idle.final]).toEqual([true, true]);
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect(idle.left(Date.now())).toBeLessThanOrEqual(0);
  });
});
