import { beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { grew, keepSeen, lastSeen, type State, type Tiles } from "../../src/lib/evidence/history";
import { concat, leafHash, nodeHash, utf8, type Bytes } from "../../src/lib/verify";

/** A log whose tiles are made of its leaves, and not by the code under test. */
class Log {
  readonly asked: string[] = [];
  private constructor(private readonly leaves: Bytes[]) {}

  static async of(texts: readonly string[]): Promise<Log> {
    return new Log(await Promise.all(texts.map((text) => leafHash(utf8(text)))));
  }

  private async tree(hashes: readonly Bytes[]): Promise<Bytes> {
    const [only] = hashes;
    if (hashes.length === 1 && only !== undefined) return only;
    let split = 1;
    while (split * 2 < hashes.length) split *= 2;
    return nodeHash(await this.tree(hashes.slice(0, split)), await this.tree(hashes.slice(split)));
  }

  async state(size: number): Promise<State> {
    return { size, root: await this.tree(this.leaves.slice(0, size)) };
  }

  readonly tiles: Tiles = async (path) => {
    this.asked.push(path);
    const [, level, index, width] = /^\/tile\/(\d)\/(\d{3})(?:\.p\/(\d+))?$/.exec(path) ?? [];
    const each = 256 ** Number(level);
    const hashes = Array.from({ length: Number(width ?? 256) }, (_, i) => {
      const from = (Number(index) * 256 + i) * each;
      if (from + each > this.leaves.length) throw new Error("not there");
      return this.tree(this.leaves.slice(from, from + each));
    });
    return concat(...(await Promise.all(hashes)));
  };
}

const texts = (count: number, what = "entry"): string[] => Array.from({ length: count }, (_, i) => `${what} ${i}`);

describe("a ledger that was seen before", () => {
  let log: Log;
  beforeAll(async () => (log = await Log.of(texts(1100))));

  test.each([[1, 2], [1, 1100], [2, 3], [6, 7], [7, 8], [8, 13], [255, 256], [256, 257], [256, 512], [300, 301], [300, 1100], [511, 1025], [1024, 1100], [1099, 1100]])("grew from %i to %i entries", async (old, size) => {
    expect(await grew(await log.state(old), await log.state(size), log.tiles)).toBe("grown");
  });

  test("is the same, or is seen for the first time", async () => {
    expect(await grew(await log.state(300), await log.state(300), log.tiles)).toBe("same");
    expect(await grew(null, await log.state(300), log.tiles)).toBe("first");
  });

  test("was cut, rewritten or forked", async () => {
    await expect(grew(await log.state(301), await log.state(300), log.tiles)).rejects.toThrow("saw 301 before");
    const other = await Log.of([...texts(200), ...texts(900, "other")]);
    await expect(grew(await other.state(300), await log.state(300), log.tiles)).rejects.toThrow("forked");
    for (const size of [301, 1100]) await expect(grew(await other.state(300), await log.state(size), log.tiles)).rejects.toThrow("forked");
    // Up to where they part, both grew from the same.
    expect(await grew(await other.state(150), await log.state(300), log.tiles)).toBe("grown");
  });

  test("is not called proven when tiles are missing or cut short", async () => {
    const absent: Tiles = () => Promise.reject(new Error("404"));
    expect(await grew(await log.state(5), await log.state(300), absent)).toBe("unproven");
    expect(await grew(await log.state(5), await log.state(300), async (path) => (await log.tiles(path)).slice(1))).toBe("unproven");
  });

  test("is compared with few tiles", async () => {
    const few = await Log.of(texts(1100));
    await grew(await few.state(300), await few.state(1100), few.tiles);
    expect(new Set(few.asked).size).toBe(few.asked.length);
    expect(few.asked.length).toBeLessThanOrEqual(6);
  });
});

describe("what a browser keeps", () => {
  let kept: Map<string, string>;
  beforeEach(() => {
    kept = new Map();
    vi.stubGlobal("localStorage", { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value) });
    return () => vi.unstubAllGlobals();
  });

  test("is the newest state of each plant", () => {
    const root = new Uint8Array(32).fill(7);
    expect(lastSeen("aa")).toBeNull();
    keepSeen("aa", { size: 9, root });
    keepSeen("aa", { size: 8, root: new Uint8Array(32) });
    expect(lastSeen("aa")).toEqual({ size: 9, root });
    expect(lastSeen("bb")).toBeNull();
    for (const bad of ["", "9", "x 00", `1.5 ${"00".repeat(32)}`, `9 ${"00".repeat(31)}`]) {
      kept.set("interlock.checkpoint.aa", bad);
      expect(lastSeen("aa"), bad).toBeNull();
    }
  });

  test("is nothing where nothing can be kept", () => {
    vi.stubGlobal("localStorage", { getItem: () => { throw new Error("denied"); }, setItem: () => { throw new Error("denied"); } });
    keepSeen("aa", { size: 1, root: new Uint8Array(32) });
    expect(lastSeen("aa")).toBeNull();
  });
});
