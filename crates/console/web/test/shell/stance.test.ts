import { describe, expect, it } from "vitest";
import type { CellStatus, CellView } from "../../src/lib/ledger/types";
import { merged } from "../../src/lib/shell/recent.svelte";
import { certificateTone, controllerWord, stance } from "../../src/lib/shell/stance";

const status: CellStatus = {
  ready: true, waiting_for: null, orders: [],
  ledger: { size: 3, root: null, witnessed_at: 1, age_ms: 1, distrust: null, hold: null },
  cell: "cell-1", site: "plant", now: 1,
  robot: {
    name: "robot-1", link: { state: "connected" }, run_active: false, mode: "running", safety: "normal",
    runtime: "stopped", joints: null, tcp_pose: null, tcp_force: null,
  },
  run: null, outbox: { length: 0, waiting: [], refused: 0 },
  verdict: { will_move: false, because: "it is ready, and no order waits" },
  reasons: [{ rule: "hold", ok: true, words: "no hold is in force" }],
};
const view = (change: Partial<CellStatus>): CellView => ({
  cell: "cell-1", reachable: true, error: null, certificate_days: 90, status: { ...status, ...change },
});

describe("a cell's stance", () => {
  it("is ready when nothing stands in the way and nothing waits", () => {
    expect(stance(view({})).headline).toBe("Ready");
  });

  it("will not move while one condition is not met, and says which", () => {
    const held = view({
      verdict: { will_move: false, because: "`anna` placed a hold: smoke" },
      reasons: [{ rule: "hold", ok: false, words: "`anna` placed a hold: smoke" }],
    });
    expect(stance(held)).toEqual({ tone: "bad", headline: "Will not move", because: "Anna placed a hold: smoke." });
  });

  it("moves while a run is in progress, whatever else is said", () => {
    const run = { order: "00", run: "r", part: "p", program: "scan", since: 1, viewpoints: 0 };
    expect(stance(view({ run, reasons: [{ rule: "state", ok: false, words: "busy" }] })).headline).toBe("Moving");
  });

  it("is not ready when the site cannot reach it, though it was before", () => {
    const gone = { ...view({}), reachable: false, error: "connection refused" };
    expect(stance(gone)).toEqual({ tone: "bad", headline: "Not reached", because: "Connection refused." });
    expect(stance({ ...gone, status: null, error: null }).tone).toBe("bad");
  });

  it("is told by older cells, too, which give no reasons", () => {
    const { verdict: _v, reasons: _r, ...old } = status;
    expect(stance({ ...view({}), status: { ...old, ready: false, waiting_for: "no robot" } }).because).toBe("No robot.");
  });
});

describe("words of machines", () => {
  it("read as words", () => {
    expect(controllerWord("robot_emergency_stop")).toBe("robot emergency stop");
    expect(controllerWord({ other: 77 })).toBe("other 77");
    expect(controllerWord(null)).toBe("unknown");
  });

  it("warn of a certificate that ends within 30 days", () => {
    expect([6, 7, 29, 30].map(certificateTone)).toEqual(["bad", "warn", "warn", "ok"]);
  });
});

describe("recent entries", () => {
  it("are newest first, each once, and bounded", () => {
    const event = (index: number) => ({ index, id: String(index), issuer: "a", logged_at: 0, body: { release: { hold: "" } } });
    expect(merged([event(5), event(4)], [event(1), event(4)], 2).map((e) => e.index)).toEqual([5, 4]);
    expect(merged([], [event(1), event(2)], 9).map((e) => e.index)).toEqual([2, 1]);
  });
});
