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

beforeEach(() => {
  vi.useFakeTimers();
  Source.all = [];
  page = new Page();
  vi.stubGlobal("document", page);
  vi.stubGlobal("EventSource", Source);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("an event stream", () => {
  it("holds no connection while nobody sees the page", () => {
    const [opened, broken] = [vi.fn(), vi.fn()];
    const stream = new Stream("/x", { events: {}, opened, broken });
    open()[0]?.opens();
    expect(stream.connected).toBe(true);
    page.hide(true);
    expect(open()).toHaveLength(0);
    expect(broken).toHaveBeenCalledWith(false);
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

  it("leaves to the browser what the browser takes up again, and never opens two", () => {
    new Stream("/x", { events: {} });
    open()[0]?.fails(false);
    vi.advanceTimersByTime(60_000);
    expect(Source.all).toHaveLength(1);
    open()[0]?.fails(true);
    page.hide(true);
    page.hide(false);
    vi.advanceTimersByTime(60_000);
    expect(open()).toHaveLength(1);
  });

  it("hands on the events that are wanted", () => {
    const took: string[] = [];
    new Stream("/x", { events: { entry: (data) => took.push(data) } });
    const [source] = open();
    for (const [name, data] of [["entry", "1"], ["other", "2"]] as const) source?.dispatchEvent(Object.assign(new Event(name), { data }));
    expect(took).toEqual(["1"]);
  });
});
