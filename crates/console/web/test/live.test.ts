import { describe, expect, it } from "vitest";
import type { Body, LedgerEvent } from "../src/lib/ledger/types";
import { grantsTo, liveGrant, recordingsOf } from "../src/lib/live/access";
import { limitsOf, parseFrame, rowOf } from "../src/lib/live/frame";
import { chartColumns, covering, extent, pictureAt } from "../src/lib/live/replay";
import { Ring } from "../src/lib/live/ring";
import { lastAt, speeds, valuesAt } from "../src/lib/live/seek";
import { momentOf, story } from "../src/lib/live/story";
import type { Checkpoint, Picture, States } from "../src/lib/open";
import { CHARTS, limitsFor, limitWords } from "../src/lib/plots/channels";

describe("ring", () => {
  it("keeps the newest rows in order, within its memory", () => {
    const ring = new Ring(2, 5);
    const kept: number[] = [];
    for (let i = 0; i < 43; i++) {
      ring.push([i, -i]);
      kept.push(i);
      const [first, second] = ring.view();
      expect([...(first ?? [])]).toEqual(kept.slice(-5));
      expect([...(second ?? [])]).toEqual(kept.slice(-5).map((v) => -v));
      expect(first?.buffer.byteLength).toBe(80);
    }
    ring.clear();
    expect(ring.length).toBe(0);
  });
});

const six = [1, 2, 3, 4, 5, 6];
const frame = {
  at: 1000, q: six, qd: six, tcp_pose: six, tcp_force: [3, 4, 0, 9, 9, 9], tcp_speed: [0, 0, 2, 9, 9, 9],
  mode: "running", safety: "normal", runtime: "playing", speed_scaling: null, run: null,
  limits: { of: "UR3e", joint_position: [[-6.283185, 6.283185], null, null, null, null, null], joint_speed: [Math.PI, 1, 1, 1, 1, 2 * Math.PI], tcp_speed: 1, tcp_force: null },
};

describe("frames", () => {
  it("are taken whole or not at all", () => {
    const good = parseFrame(JSON.stringify(frame));
    expect(good).not.toBeNull();
    const row = rowOf(good!);
    expect(row.length).toBe(15);
    expect([row[0], row[13], row[14]]).toEqual([1, 5, 2]);
    const bad: [string, unknown][] = [
      ["at", "1"], ["q", [1, 2, 3]], ["q", [1, 2, 3, 4, 5, null]], ["tcp_pose", null], ["mode", 3], ["tcp_speed", undefined],
    ];
    for (const [name, value] of bad) expect(parseFrame(JSON.stringify({ ...frame, [name]: value })), name).toBeNull();
    for (const text of ["", "null", "[]", "{", "1", "x".repeat(100_000)]) expect(parseFrame(text)).toBeNull();
  });

  it("have limits in degrees, each once, and in words", () => {
    const limits = limitsOf(parseFrame(JSON.stringify(frame))!);
    expect(limitsFor("angle", limits).map(({ value }) => value)).toEqual([-360, 360]);
    expect(limitsFor("speed", limits).map(({ value }) => value)).toEqual([1]);
    expect(limitsFor("force", limits)).toEqual([]);
    expect(limitWords(CHARTS[2]!, limits)).toContain("set at each arm");
    expect(limitWords(CHARTS[0]!, null)).toContain("unknown");
    expect(limitsOf({ ...parseFrame(JSON.stringify(frame))!, limits: { of: 3 } })).toBeNull();
  });
});

describe("moments", () => {
  it("are found between samples and held beyond the ends", () => {
    const times = [10, 20, 40];
    expect([5, 10, 19, 20, 39, 40, 99].map((t) => lastAt(times, t))).toEqual([-1, 0, 0, 1, 1, 2, 2]);
    expect(valuesAt(times, [[0, 10, 30]], 30)).toEqual([20]);
    expect(valuesAt(times, [[0, 10, 30]], 0)).toEqual([0]);
    expect(valuesAt(times, [[0, 10, 30]], 100)).toEqual([30]);
  });

  it("have a speed that two near samples cannot distort", () => {
    const times = Float64Array.from({ length: 100 }, (_, i) => i * 2);
    const xs = times.map((t) => t / 1000);
    const still = times.map(() => 0);
    const found = speeds(times, [xs, still, still], 40);
    expect(found[0]).toBe(0);
    for (const speed of found.slice(1)) expect(speed).toBeCloseTo(1, 6);
  });
});

let nextIndex = 0;
function entry(body: Body, at: number, issuer = "ana"): LedgerEvent {
  nextIndex += 1;
  return { index: nextIndex, id: `id-${nextIndex}`, issuer, logged_at: at, body };
}

function run(): LedgerEvent[] {
  nextIndex = 9;
  const order = { cell: "cell-1", max_lag: 1, not_after: 9, not_before: 0, parameters: {}, part: "p", program: { id: "scan", sha256: "aa" } };
  const recording = { bytes: 100, commitment: "c", manifest: "m", order: "id-10", root: "root-1", stream: "state" };
  const grant = { budget: 9, not_after: 900, not_before: 500, order: "id-10", processor: "eva", purpose: "look", recordings: ["root-1"], terms: [] };
  const read = (bytes: number): Body => ({ read: { bytes, cid: "x", grant: "id-14", root: "root-1" } });
  return [
    entry({ order }, 100),
    entry({ "run-started": { checkpoint: 11, order: "id-10" } }, 200),
    entry({ "run-ended": { lost: 0, order: "id-10", outcome: "finished", reason: "", samples: 5, viewpoints: 2 } }, 300),
    entry({ recording }, 400),
    entry({ grant }, 500),
    entry(read(10), 600, "site"),
    entry(read(20), 610, "site"),
    entry(read(30), 620, "site"),
  ];
}

describe("the story of an order", () => {
  it("tells what is there and what comes next", () => {
    const [order] = run();
    const waiting = story([order!], 10, false);
    expect(waiting.map(({ title, standing }) => `${title}: ${standing}`).slice(0, 4)).toEqual([
      "Order signed: done", "Witnessed: next", "Cell started: later", "Run ended: later",
    ]);
    expect(story([order!], 11, false).map(({ standing }) => standing).slice(0, 3)).toEqual(["done", "done", "next"]);
    expect(story([order!], 11, true).length).toBe(2);
    expect(story([], 11, false)).toEqual([]);
  });

  it("joins the reads of a grant, and ends with the passport", () => {
    const steps = story(run().reverse(), 99, false);
    const read = steps.find(({ title }) => title === "Read");
    expect(read).toMatchObject({ index: 15, lastIndex: 17, words: "3 reads, 60 B under grant id-14" });
    expect(steps.slice(-2).map(({ title, standing }) => `${title}: ${standing}`)).toEqual(["Report: next", "Passport: later"]);
    expect(new Set(steps.map(({ key }) => key)).size).toBe(steps.length);
  });

  it("promises nothing after a run that did not finish", () => {
    const events = run().slice(0, 3);
    (events[2]!.body as { "run-ended": { outcome: string } })["run-ended"].outcome = "stopped";
    const steps = story(events, 99, false);
    expect(steps.at(-1)).toMatchObject({ title: "Run ended", standing: "bad" });
  });

  it("knows the entry that belongs to a moment", () => {
    const steps = story(run(), 99, false);
    expect(momentOf(steps, 250)?.title).toBe("Cell started");
    expect(momentOf(steps, 300)?.title).toBe("Run ended");
    expect(momentOf(steps, 1)?.title).toBe("Order signed");
    expect(momentOf([], 1)).toBeNull();
  });
});

describe("who may open a recording", () => {
  it("is the reader of a grant in force", () => {
    const events = run();
    expect(recordingsOf(events)).toMatchObject([{ destroyed: false }]);
    expect(grantsTo(events, "ben")).toEqual([]);
    const grants = grantsTo(events, "eva");
    expect(liveGrant(grants, "root-1", 600)?.id).toBe("id-14");
    for (const [root, now] of [["root-2", 600], ["root-1", 499], ["root-1", 900]] as const) expect(liveGrant(grants, root, now)).toBeNull();
    const revoked = grantsTo([...events, entry({ "revoke-grant": { grant: "id-14", reason: "over" } }, 700)], "eva");
    expect(liveGrant(revoked, "root-1", 800)).toBeNull();
    expect(recordingsOf([...events, entry({ shred: { root: "root-1", reason: "asked" } }, 800)])).toMatchObject([{ destroyed: true }]);
  });
});

describe("a replay", () => {
  const channel = (...values: number[]): Float64Array => Float64Array.from(values);
  const sixes = Array.from({ length: 6 }, () => channel(0, Math.PI));
  const states = {
    t: channel(1000, 2000), q: sixes, qd: sixes, current: sixes, tcp_pose: [channel(0, 3), channel(0, 4), ...sixes.slice(2).map(() => channel(0, 0))],
    tcp_force: [channel(0, 3), channel(0, 4), channel(0, 0), ...sixes.slice(3)], speed_scaling: channel(1, 1), samples: 2, bucket: 1, changes: [], changesLeftOut: 0,
  } as unknown as States;
  const picture = (at: number): Picture => ({ at, viewpoint: at } as Picture);

  it("has the same charts as the live view", () => {
    const columns = chartColumns(states);
    expect(columns.map((chart) => chart.length)).toEqual(CHARTS.map(({ channels }) => channels.length + 1));
    expect(columns[0]?.[0]).toEqual(channel(1, 2));
    expect(columns[0]?.[1]?.[1]).toBeCloseTo(180, 9);
    expect(columns[2]?.[1]?.[1]).toBe(5);
    expect(columns[3]?.[1]?.[1]).toBe(5);
  });

  it("shows the picture and the checkpoint of a moment", () => {
    expect(extent(states, [picture(900), picture(1500)])).toEqual([900, 2000]);
    expect(extent(null, [])).toBeNull();
    expect([899, 900, 1499, 5000].map((at) => pictureAt([picture(900), picture(1500)], at)?.at)).toEqual([undefined, 900, 900, 1500]);
    const checkpoints = [{ seq: 0, last: 1200 }, { seq: 1, last: 2000 }] as Checkpoint[];
    expect([1100, 1200, 1201, 9999].map((at) => covering(checkpoints, at)?.seq)).toEqual([0, 0, 1, 1]);
  });
});
