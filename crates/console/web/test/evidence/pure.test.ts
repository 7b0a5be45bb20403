import { describe, expect, test } from "vitest";
import { enrolledRoots, grantOf, MAX_LAST_MS, wrongWith, type Wish } from "../../src/lib/data/grant";
import { matches, merge, MOST } from "../../src/lib/data/feed";
import { grantStanding } from "../../src/lib/data/states";
import { chainOf } from "../../src/lib/evidence/chain";
import { layoutOf } from "../../src/lib/evidence/layout";
import { modelsOf } from "../../src/lib/evidence/models";
import { defectsOf, nameOf, under } from "../../src/lib/evidence/pictures";
import { qrOf } from "../../src/lib/evidence/qr";
import type { Analysis, GrantState, LedgerEvent, Picture, RecordingState, Reported, Verdict } from "../../src/lib/ledger/types";

const wish: Wish = { order: "aa", reader: "lab", purpose: " look ", lastsMs: 1000, budget: 10, roots: ["b", "a", "b"] };

describe("a grant", () => {
  test("names each recording once, in order, and begins a little earlier", () => {
    const grant = grantOf(wish, 100_000);
    expect(grant).toMatchObject({ recordings: ["a", "b"], not_before: 40_000, not_after: 101_000, purpose: "look" });
    expect(grant.terms.filter((t) => t.enforcement === "enforced")).toHaveLength(4);
  });

  test.each<[Partial<Wish>, RegExp]>([
    [{ reader: "" }, /who/], [{ roots: [] }, /at least one/], [{ purpose: " " }, /what the data is for/], [{ budget: 0 }, /budget/],
    [{ budget: 1.5 }, /budget/], [{ lastsMs: MAX_LAST_MS }, /90 days/], [{ lastsMs: NaN }, /90 days/], [{ roots: Array.from({ length: 65 }, (_, i) => String(i)) }, /64/],
  ])("is not asked for when it cannot be: %j", (change, words) => {
    expect(wrongWith({ ...wish, ...change })).toMatch(words);
  });
  test("is asked for when it can be", () => expect(wrongWith(wish)).toBe(""));

  test("takes the photographs by which the part is known along, when they are readable", () => {
    const recording = (root: string, stream: string, shred: string | null): RecordingState => ({ recording: { bytes: 1, commitment: "", manifest: "", order: "first", root, stream }, index: 1, shred, shredded: false });
    const recordings = { a: recording("a", "camera", null), b: recording("b", "state", null), c: recording("c", "camera", "x") };
    const reports = { r: { report: { order: "first" } } as unknown as Reported };
    expect(enrolledRoots("p", "second", { p: "r" }, reports, recordings)).toEqual(["a"]);
    expect(enrolledRoots("p", "first", { p: "r" }, reports, recordings)).toEqual([]);
    expect(enrolledRoots("q", "second", { p: "r" }, reports, recordings)).toEqual([]);
  });

  test("stands as revoked before ended before used up", () => {
    const state = (change: Partial<GrantState>): GrantState => ({ grant: { budget: 10, not_before: 5, not_after: 20 } as GrantState["grant"], index: 1, issuer: "ada", used: 0, reads: 0, revoked: null, ...change });
    expect(grantStanding(state({ revoked: 3 }), 30).word).toBe("revoked at 3");
    expect(grantStanding(state({ used: 10 }), 20).word).toBe("ended");
    expect(grantStanding(state({ used: 10 }), 19).word).toBe("used up");
    expect(grantStanding(state({}), 4).word).toBe("not begun");
    expect(grantStanding(state({}), 5).word).toBe("live");
  });
});

const hold = (index: number, issuer = "ada", reason = "look"): LedgerEvent => ({ index, id: String(index).padStart(64, "0"), issuer, logged_at: index, body: { hold: { reason } } });

describe("the feed", () => {
  test("has each entry once, newest first, and is bounded", () => {
    expect(merge([hold(3), hold(2)], [hold(2), hold(1)]).map((e) => e.index)).toEqual([3, 2, 1]);
    const many = Array.from({ length: MOST + 50 }, (_, i) => hold(i));
    expect(merge([], many)).toHaveLength(MOST);
    expect(merge([], many)[0]?.index).toBe(MOST + 49);
  });
  test("is filtered by kind, by whom, and by text", () => {
    expect(matches(hold(1), { word: "hold", issuer: "ada", text: "LOOK" })).toBe(true);
    expect(matches(hold(1), { word: "order", issuer: "", text: "" })).toBe(false);
    expect(matches(hold(1), { word: "", issuer: "bo", text: "" })).toBe(false);
    expect(matches(hold(1), { word: "", issuer: "", text: "nowhere" })).toBe(false);
  });
});

test("models are counted by program and software", () => {
  const analysis = (verdict: Verdict): Analysis => ({ name: "identity", program: "p1", verdict }) as Analysis;
  const report = (index: number, verdict: Verdict, software: string): [string, Reported] => [`r${index}`, { report: { analyses: [analysis(verdict)], software } as Reported["report"], index, issuer: "lab", passport: null }];
  const models = modelsOf([report(9, "denied", "s2"), report(4, "confirmed", "s1"), report(2, "confirmed", "s1")]);
  const program = models.find((m) => m.kind === "program");
  expect(program).toMatchObject({ reports: 3, verdicts: { confirmed: 2, denied: 1 }, first: { index: 2 }, last: { index: 9 }, by: ["lab"] });
  expect(models.filter((m) => m.kind === "software").map((m) => [m.digest, m.reports])).toEqual([["s2", 1], ["s1", 2]]);
});

describe("pictures", () => {
  const named = (name: string): ReturnType<typeof nameOf> => nameOf({ name, media_type: "image/png", sha256: name } as Picture);
  test("lie over the photograph of their own view", () => {
    const all = ["photograph: view-1", "identity: agreement-view-1", "inspection: defects-view-2", "inspection: heat"].map(named);
    expect(all.map(({ by, kind, view }) => [by, kind, view])).toEqual([
      ["photograph", "", "view-1"], ["identity", "agreement", "view-1"], ["inspection", "defects", "view-2"], ["inspection", "heat", ""],
    ]);
    expect(under(all[1]!, all)).toBe(all[0]);
    expect(under(all[2]!, all)).toBeNull();
    expect(under(all[3]!, all)).toBe(all[0]);
  });
  test("an account of a foreign hand is read without trust", () => {
    const analysis = (details: unknown): Analysis => ({ details }) as Analysis;
    expect(defectsOf(analysis(null))).toEqual([]);
    expect(defectsOf(analysis({ views: "x" }))).toEqual([]);
    expect(defectsOf(analysis({ views: [{ view: "v", defects: [{ kind: 7, x: "1" }] }] }))).toMatchObject([{ view: "v", kind: "", x: NaN }]);
    expect(defectsOf(analysis({ views: Array.from({ length: 999 }, () => ({ defects: [{}] })) }))).toHaveLength(200);
  });
});

test("a QR code is taken only in its known form", () => {
  const svg = (path: string): string => `<p><svg class="qr" role="img" viewBox="0 0 33 33" shape-rendering="crispEdges"><rect width="33" height="33" fill="#fff"/><path d="${path}" fill="#000"/></svg>`;
  expect(qrOf(svg("M4 4h1v1h-1zM5 4h1v1h-1z"))).toEqual({ side: 33, path: "M4 4h1v1h-1zM5 4h1v1h-1z" });
  expect(qrOf(svg('M4 4" onload="alert(1)'))).toBeNull();
  expect(qrOf("<p>none</p>")).toBeNull();
});

test("a picture goes across where it is wide and downwards where it is narrow, within its width", () => {
  const order: LedgerEvent = { index: 1, id: "o", issuer: "olga", logged_at: 1, body: { order: { cell: "c", max_lag: 1, not_after: 2, not_before: 1, parameters: {}, part: "p", program: { id: "scan", sha256: "" } } } };
  const records = Array.from({ length: 9 }, (_, i): LedgerEvent => ({ index: 3 + i, id: `r${i}`, issuer: "c", logged_at: 1, body: { recording: { bytes: 1, commitment: "", manifest: "", order: "o", root: `x${i}`, stream: "state" } } }));
  const started: LedgerEvent = { index: 2, id: "s", issuer: "c", logged_at: 1, body: { "run-started": { checkpoint: 2, order: "o" } } };
  const chain = chainOf([order, started, ...records], "o");
  for (const width of [320, 390, 700, 1000, 1600]) {
    const layout = layoutOf(chain, width);
    expect(layout.across).toBe(width >= 820);
    expect(layout.nodes).toHaveLength(12);
    expect(layout.open).toHaveLength(4);
    for (const box of [...layout.nodes, ...layout.open]) {
      expect(box.x).toBeGreaterThanOrEqual(0);
      expect(box.x + box.w).toBeLessThanOrEqual(width);
      expect(box.y + box.h).toBeLessThanOrEqual(layout.height);
      expect(box.w).toBeGreaterThan(50);
    }
    // No mark lies on another, nor under a node.
    for (const [i, line] of layout.lines.entries()) {
      expect(layout.lines.slice(0, i).every((other) => Math.hypot(other.x - line.x, other.y - line.y) >= 18)).toBe(true);
      expect(layout.nodes.every((box) => line.x < box.x || line.x > box.x + box.w || line.y < box.y || line.y > box.y + box.h)).toBe(true);
    }
  }
});
