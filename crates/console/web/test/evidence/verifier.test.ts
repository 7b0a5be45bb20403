import { beforeEach, describe, expect, test } from "vitest";
import { bundleOf } from "../../src/lib/evidence/bundle";
import { chainOf, fits, type Node, type Stage } from "../../src/lib/evidence/chain";
import { outcome } from "../../src/lib/evidence/steps";
import { Verifier, inTurn, mustBe } from "../../src/lib/evidence/verifier";
import { readAnchors, sha256Hex, utf8, type Json } from "../../src/lib/verify";
import { TestPlant } from "./plant";

let plant: TestPlant;
let run: Awaited<ReturnType<TestPlant["run"]>>;
let lies: Map<string, (answer: string) => string>;

beforeEach(async () => {
  plant = await TestPlant.begin();
  run = await plant.run("flange-1");
  lies = new Map();
});

const source = {
  async text(path: string): Promise<string> {
    const answer = await plant.answer(path);
    if (answer === null) throw new Error(`nothing at ${path}`);
    const text = typeof answer === "string" ? answer : new TextDecoder().decode(answer);
    return lies.get(path)?.(text) ?? text;
  },
};

async function verifier(): Promise<Verifier> {
  return new Verifier(await readAnchors(plant.anchors as unknown as Json), source);
}

async function check(entry: number | string): Promise<{ ok: boolean; words: string }> {
  const made = await verifier();
  const { ok, steps } = await outcome(async (rows) => void (await made.entry(entry, rows)));
  return { ok, words: steps.map((step) => step.words).join(" | ") };
}

describe("an entry of a live site", () => {
  test("holds, by index and by identifier, for each entry of a run", async () => {
    for (const event of plant.events) {
      expect(await check(event.index)).toMatchObject({ ok: true });
      expect(await check(event.id)).toMatchObject({ ok: true });
    }
  });

  test("is red when its text was changed on the site's disk", async () => {
    const path = `/api/v1/entries/${run.order.index}`;
    lies.set(path, (text) => text.replace('"speed":60', '"speed":90'));
    expect(await check(run.order.index)).toMatchObject({ ok: false, words: expect.stringContaining("inclusion") });
  });

  test("is red when the site shows another entry in its place", async () => {
    const other = await plant.answer(`/api/v1/entries/${run.grant.id}`);
    const proof = await plant.answer(`/api/v1/entries/${run.grant.id}/proof`);
    lies.set(`/api/v1/entries/${run.order.id}`, () => String(other));
    lies.set(`/api/v1/entries/${run.order.id}/proof`, () => String(proof));
    expect(await check(run.order.id)).toMatchObject({ ok: false, words: expect.stringContaining("instead") });
  });

  test("is red without a witness's cosignature", async () => {
    lies.set(`/api/v1/entries/${run.order.index}/proof`, (text) => text.replace(/\u2014 w1\.example .*\n/, ""));
    expect(await check(run.order.index)).toMatchObject({ ok: false, words: expect.stringContaining("cosign") });
  });

  test("is red when another plant's anchors are trusted", async () => {
    const other = await TestPlant.begin();
    const made = new Verifier(await readAnchors(other.anchors as unknown as Json), source);
    expect(await outcome(async (steps) => void (await made.entry(1, steps)))).toMatchObject({ ok: false });
  });

  test("is red when signed with a key that was revoked before", async () => {
    const key = plant.keys.get("olga");
    const statement = (JSON.parse(plant.leaves[run.order.index] ?? "") as { entry: { statement: { key: string } } }).entry.statement;
    expect(key).toBeDefined();
    await plant.state("ada", { "revoke-key": { key: statement.key, member: "olga", reason: "lost" } });
    const late = await plant.state("olga", { hold: { reason: "too late" } });
    expect(await check(late.index)).toMatchObject({ ok: false, words: expect.stringContaining("revoked") });
    // What was signed before stays good.
    expect(await check(run.order.index)).toMatchObject({ ok: true });
  });

  test("finds keys that were enrolled after the rules were first read", async () => {
    const made = await verifier();
    await made.entry(run.order.index);
    plant.keys.set("pia", (await TestPlant.begin()).keys.get("olga")!);
    const proposal = await plant.state("ada", { propose: { member: plant.member("pia", ["operator"]) } });
    await plant.state("bo", { approve: { proposal: proposal.id } });
    const hold = await plant.state("pia", { hold: { reason: "look" } });
    expect((await made.entry(hold.index)).signed.issuer).toBe("pia");
  });
});

describe("the chain of a run", () => {
  const nodeOf = (nodes: readonly Node[], stage: Stage): Node => nodes.find((node) => node.stage === stage)!;

  test("has every stage, and each link fits", () => {
    const chain = chainOf(plant.concerning(run.order.id), run.order.id);
    expect(chain.nodes.map((node) => node.stage)).toEqual(["order", "proof", "motion", "recording", "recording", "grant", "read", "report"]);
    for (const link of chain.links) {
      const [from, to] = [link.from, link.to].map((id) => chain.nodes.find((node) => node.id === id)!);
      expect(fits(from!, to!), link.id).toMatchObject({ ok: true });
    }
    expect(chain.links).toHaveLength(8);
  });

  test.each<[string, Stage, Stage, (text: string) => string]>([
    ["a recording of another run", "motion", "recording", (t) => t.replace(/"order":"[0-9a-f]{8}/, '"order":"00000000')],
    ["a grant that does not name the recording", "recording", "grant", (t) => t.replaceAll("bafybei", "bafyxxx")],
    ["a read under another grant", "grant", "read", (t) => t.replace(/"grant":"[0-9a-f]{8}/, '"grant":"00000000')],
    ["reads beyond the budget", "grant", "read", (t) => t.replace('"bytes":1016', '"bytes":99999999')],
    ["a report that names what nobody read", "read", "report", (t) => t.replaceAll("bafybei", "bafyxxx")],
    ["a start on a log without the order", "proof", "motion", (t) => t.replace(/"checkpoint":\d+/, '"checkpoint":0')],
    ["a start long after the order", "proof", "motion", (t) => t.replace(/"checkpoint":\d+/, '"checkpoint":900')],
  ])("does not fit: %s", (_, from, to, change) => {
    const chain = chainOf(plant.concerning(run.order.id), run.order.id);
    const node = nodeOf(chain.nodes, to);
    const entries = node.entries.map((event) => ({ ...event, body: JSON.parse(change(JSON.stringify(event.body))) as typeof event.body }));
    expect(fits(nodeOf(chain.nodes, from), { ...node, entries })).toMatchObject({ ok: false });
  });

  test("shows a refusal in place of a motion", async () => {
    const id = "9".repeat(64);
    const order = { ...run.order, id };
    const refusal = { who: "olga", what: "an order", rule: "hold", reason: "a hold is in force", accepted: "no hold" };
    const refused = { ...run.order, index: 90, id: "8".repeat(64), body: { refused: { gate: "motion", refusal, request: id } } };
    const chain = chainOf([order, refused], id);
    expect(nodeOf(chain.nodes, "motion")).toMatchObject({ title: "Refused", detail: "by rule hold", ended: "refused" });
    expect(fits(nodeOf(chain.nodes, "proof"), nodeOf(chain.nodes, "motion"))).toMatchObject({ ok: true });
  });

  test("shows a revocation and a destroyed key", async () => {
    await plant.state("ada", { "revoke-grant": { grant: run.grant.id, reason: "enough" } });
    await plant.state("ada", { shred: { reason: "private", root: run.roots[0]! } });
    const chain = chainOf(plant.concerning(run.order.id), run.order.id);
    expect(nodeOf(chain.nodes, "grant").ended).toBe("revoked");
    expect(chain.nodes.filter((node) => node.ended === "key destroyed")).toHaveLength(1);
  });
});

test("an export holds the run, the rules before it, manifests and a proof for each leaf", async () => {
  const made = await verifier();
  const trust = { anchors: made.anchors, raw: plant.anchors as unknown as Json, pinned: true, differs: false };
  const events = plant.concerning(run.order.id);
  const bundle = await bundleOf(run.order.id, events, made, trust, source, 5, () => {});
  expect(bundle.entries.map((entry) => entry.index)).toEqual([0, ...events.map((event) => event.index)]);
  expect(Object.keys(bundle.manifests).sort()).toEqual([...run.roots].sort());
  expect(bundle.entries.every((entry) => entry.proof.startsWith("c2sp.org/tlog-proof@v1\n"))).toBe(true);
  lies.set(`/api/v1/entries/${run.order.index}`, (text) => text.replace('"speed":60', '"speed":90'));
  await expect(bundleOf(run.order.id, events, await verifier(), trust, source, 5, () => {})).rejects.toThrow("inclusion");
});

test("bytes that are not those of a digest are refused", async () => {
  await mustBe("it", utf8("a"), await sha256Hex("a"));
  await expect(mustBe("it", utf8("b"), await sha256Hex("a"))).rejects.toThrow("SHA-256");
});

test("work in turn keeps its order and its bound", async () => {
  let [now, most] = [0, 0];
  const made = await inTurn([3, 1, 2], async (n) => {
    most = Math.max(most, ++now);
    await new Promise((resolve) => setTimeout(resolve, n));
    now -= 1;
    return n * 2;
  }, 2);
  expect([made, most]).toEqual([[6, 2, 4], 2]);
});
