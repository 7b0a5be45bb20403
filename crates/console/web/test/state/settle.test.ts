import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Settle } from "../../src/lib/state/settle";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("settling", () => {
  it("does what a burst asks for once, each at its own pace", async () => {
    const done: string[][] = [];
    const settle = new Settle<string>(async (due) => void done.push(due));
    for (let i = 0; i < 100; i++) settle.ask(2000, "grants");
    settle.ask(250, "orders");
    await vi.advanceTimersByTimeAsync(300);
    expect(done).toEqual([["orders"]]);
    for (let ms = 0; ms < 1600; ms += 10) {
      settle.ask(2000, "grants");
      await vi.advanceTimersByTimeAsync(10);
    }
    expect(done).toEqual([["orders"]]);
    await vi.advanceTimersByTimeAsync(200);
    expect(done).toEqual([["orders"], ["grants"]]);
  });

  it("takes the earlier of two times", async () => {
    const done: string[][] = [];
    const settle = new Settle<string>(async (due) => void done.push(due));
    settle.ask(2000, "grants");
    settle.ask(250, "grants");
    await vi.advanceTimersByTimeAsync(250);
    expect(done).toEqual([["grants"]]);
    await vi.advanceTimersByTimeAsync(5000);
    expect(done).toHaveLength(1);
  });

  it("never runs twice at once, and does afterwards what was asked meanwhile", async () => {
    let running = 0;
    let runs = 0;
    const settle = new Settle<string>(async () => {
      expect(running++).toBe(0);
      runs += 1;
      await new Promise((resolve) => setTimeout(resolve, 1000));
      running -= 1;
    });
    settle.ask(0, "a");
    await vi.advanceTimersByTimeAsync(10);
    settle.ask(0, "a", "b");
    await vi.advanceTimersByTimeAsync(500);
    expect(runs).toBe(1);
    await vi.advanceTimersByTimeAsync(3000);
    expect(runs).toBe(2);
  });

  it("forgets", async () => {
    const run = vi.fn(async () => {});
    const settle = new Settle<string>(run);
    settle.ask(10, "a");
    settle.clear();
    await vi.advanceTimersByTimeAsync(100);
    expect(run).not.toHaveBeenCalled();
  });
});
