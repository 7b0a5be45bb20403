import { beforeEach, describe, expect, it, vi } from "vitest";

const at = (ms: number): string => new Date(ms).toUTCString();
let clock: typeof import("../../src/lib/api/clock.svelte").clock;
beforeEach(async () => {
  vi.resetModules();
  ({ clock } = await import("../../src/lib/api/clock.svelte"));
});

describe("the site's clock", () => {
  it("is this device's while they agree to a second", () => {
    clock.note(at(1_000_000), 1_000_300, 1_000_500);
    expect(clock.offset).toBe(0);
  });

  it("is the median of the last answers", () => {
    for (let i = 0; i < 20; i++) clock.note(at(1_060_000), 1_000_400, 1_000_600);
    expect(clock.offset).toBe(60_000);
    clock.note(at(9_000_000), 1_000_400, 1_000_600);
    expect(clock.offset).toBe(60_000);
    // It follows a clock that was set right.
    for (let i = 0; i < 20; i++) clock.note(at(1_000_000), 1_000_400, 1_000_600);
    expect(clock.offset).toBe(0);
  });

  it("learns nothing from a slow answer, or one without a date", () => {
    clock.note(at(1_060_000), 1_000_000, 1_010_000);
    clock.note(at(1_060_000), 1_000_000, 999_000);
    clock.note(null, 1_000_000, 1_000_100);
    clock.note("yesterday", 1_000_000, 1_000_100);
    expect(clock.offset).toBe(0);
  });
});
