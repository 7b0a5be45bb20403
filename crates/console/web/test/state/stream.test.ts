import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Stream } from "../../src/lib/api/stream";

/** A browser's event source, moved by hand. */
class Source extends EventTarget {
  static readonly OPEN = 1;
  static readonly CLOSED = 2;
  static all: Source[] = [];
  readyState = 0;
  onopen = (): void => {};
  onerror = (): void => {};
  constructor(readonly url: string) {
    super();
    Source.all.push(this);
  }
  close(): void {
    this.readyState = 2;
  }
  opens(): void {
    this.readyState = 1;
    this.onopen();
  }
  fails(closed: boolean): void {
    this.readyState = closed ? 2 : 0;
    this.onerror();
  }
}
const open = (): Source[] => Source.all.filter(({ readyState }) => readyState !== 2);

class Page extends EventTarget {
  hidden = false;
  hide(hidden: boolean): void {
    this.hidden = hidden;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}
let page: Page;

/** The browser's locks: one window holds a name, the others wait in line. */
class Locks {
  private readonly lines = new Map<string, (() => Promise<void>)[]>();
  request(name: string, { signal }: { signal: AbortSignal }, turn: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const line = this.lines.get(name) ?? [];
      this.lines.set(name, line);
      const next = (): void => void line[0]?.().then(() => (line.shift(), next()));
      const mine = (): Promise<void> => turn().finally(resolve);
      line.push(mine);
      signal.addEventListener("abort", () => {
        if (line.indexOf(mine) > 0) line.splice(line.indexOf(mine), 1);
        reject(new Error("aborted"));
      });
      if (line.length === 1) next();
    });
  }
}

/** What one window posts, all others get. */
class Channel {
  static all = new Set<Channel>();
  onmessage = (_: { data: unknown }): void => {};
  constructor(readonly name: string) {
    Channel.all.add(this);
  }
  postMessage(data: unknown): void {
    for (const other of [...Channel.all]) if (other !== this && other.name === this.name) other.onmessage({ data: structuredClone(data) });
  }
  close(): void {
    Channel.all.delete(this);
  }
}
const settled = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
  Source.all = [];
  page = new Page();
  vi.stubGlobal("document", page);
  vi.stubGlobal("EventSource", Source);
  vi.stubGlobal("navigator", { locks: new Locks() });
  vi.stubGlobal("BroadcastChannel", Channel);
  Channel.all.clear();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("an event stream", () => {
  it("holds no connection while nobody sees the page", async () => {
    const [opened, broken] = [vi.fn(), vi.fn()];
    const stream = new Stream("/x", { events: {}, opened, broken });
    open()[0]?.opens();
    expect(stream.connected).toBe(true);
    page.hide(true);
    expect(open()).toHaveLength(0);
    expect(broken).toHaveBeenCalledWith(false);
    await settled();
    page.hide(false);
    open()[0]?.opens();
    expect(opened).toHaveBeenCalledTimes(2);
    stream.close();
    page.hide(true);
    page.hide(false);
    expect(open()).toHaveLength(0);
  });

  it("does not begin on a hidden page", () => {
    page.hidden = true;
    const broken = vi.fn();
    new Stream("/x", { events: {}, broken });
    expect(Source.all).toHaveLength(0);
    page.hide(false);
    expect(open()).toHaveLength(1);
    expect(broken).not.toHaveBeenCalled();
  });

  it("comes back after a refusal, ever more slowly and never more than 30 s apart", () => {
    const broken = vi.fn();
    new Stream("/x", { events: {}, broken });
    const waits: number[] = [];
    for (let i = 0; i < 8; i++) {
      open()[0]?.fails(true);
      expect(open()).toHaveLength(0);
      let waited = 0;
      for (; open().length === 0; waited += 500) vi.advanceTimersByTime(500);
      waits.push(waited);
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    expect(broken).toHaveBeenLastCalledWith(true);
    open()[0]?.opens();
    open()[0]?.fails(true);
    vi.advanceTimersByTime(1000);
    expect(open()).toHaveLength(1);
  });

  it("leaves to the browser what the browser takes up again, and never opens two", async () => {
    new Stream("/x", { events: {} });
    open()[0]?.fails(false);
    vi.advanceTimersByTime(60_000);
    expect(Source.all).toHaveLength(1);
    open()[0]?.fails(true);
    page.hide(true);
    await settled();
    page.hide(false);
    vi.advanceTimersByTime(60_000);
    expect(open()).toHaveLength(1);
  });

  it("hands on the events that are wanted", () => {
    const took: string[] = [];
    new Stream("/x", { events: { entry: (data) => took.push(data) } });
    const [source] = open();
    source?.opens();
    for (const [name, data] of [["entry", "1"], ["other", "2"]] as const) source?.dispatchEvent(Object.assign(new Event(name), { data }));
    expect(took).toEqual(["1"]);
  });

  it("is held once by all windows together, and handed on when its window goes", async () => {
    const took: string[][] = [[], [], []];
    const [opened, broken] = [vi.fn(), vi.fn()];
    const listen = (mine: string[]): Stream => new Stream("/x", { events: { entry: (data) => mine.push(data) }, opened, broken });
    const says = (data: string): void => void open()[0]?.dispatchEvent(Object.assign(new Event("entry"), { data }));
    const first = listen(took[0]!);
    const second = listen(took[1]!);
    expect(open()).toHaveLength(1);
    open()[0]?.opens();
    expect([first.connected, second.connected]).toEqual([true, true]);
    // One that comes later is told at once.
    const third = listen(took[2]!);
    expect(third.connected).toBe(true);
    says("1");
    expect(took).toEqual([["1"], ["1"], ["1"]]);

    first.close();
    expect([second.connected, third.connected]).toEqual([false, false]);
    await settled();
    expect(open()).toHaveLength(1);
    // Whoever followed knows that entries may have been missed.
    expect(broken).toHaveBeenCalledTimes(2);
    open()[0]?.opens();
    says("2");
    expect(took).toEqual([["1"], ["1", "2"], ["1", "2"]]);
    expect(opened).toHaveBeenCalledTimes(5);
    // Another address is another stream.
    new Stream("/y", { events: {} });
    expect(open()).toHaveLength(2);
    second.close();
    third.close();
    await settled();
    expect(open()).toHaveLength(1);
  });
});
