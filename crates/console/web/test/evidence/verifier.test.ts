import { beforeEach, describe, expect, test } from "vitest";
import { bundleOf } from "../../src/lib/evidence/bundle";
import { chainOf, fits, type BySite, type Chain, type Node, type Stage } from "../../src/lib/evidence/chain";
import { outcome } from "../../src/lib/evidence/steps";
import { Verifier, inTurn, mustBe } from "../../src/lib/evidence/verifier";
import { readAnchors, sha256Hex, utf8, type Json } from "../../src/lib/verify";
import type { Change, LedgerEvent, Member, Word } from "../../src/lib/ledger/types";
import { differences, sameBase } from "../../src/lib/people/differ";
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

describe("a log whose keys were rotated", () => {
  test("verifies before and after it, from the anchors of the beginning", async () => {
    const made = await verifier();
    await made.entry(run.order.index);
    await plant.rotate();
    const after = await plant.run("flange-2");
    const late = await made.entry(after.order.index);
    expect(late.checkpoint.size).toBe(plant.events.length);
    expect(await check(run.order.index)).toMatchObject({ ok: true });
    expect(await check(after.report.id)).toMatchObject({ ok: true, words: expect.stringContaining("(1 needed)") });
    await plant.rotate();
    expect(await check(after.report.id)).toMatchObject({ ok: true });
    const last = await plant.run("flange-3");
    expect((await made.entry(last.order.index)).index).toBe(last.order.index);
  });

  test("is red when retired keys sign on, for who knows the rotation and who does not", async () => {
    const made = await verifier();
    const { retire } = await plant.rotate();
    const after = await plant.run("flange-2");
    await made.entry(after.order.index);
    retire();
    await expect(made.entry(after.report.index)).rejects.toThrow("log");
    // Who has only the first anchors reads the rules, finds the rotation, and looks again.
    const fresh = await verifier();
    await expect(fresh.keysAt("olga", after.report.index)).rejects.toThrow("the log's signature");
    expect(await check(after.order.index)).toMatchObject({ ok: false, words: expect.stringContaining("the log's signature") });
  });

  test("is red when one officer alone put the keys in force, or hides how", async () => {
    const { keys } = await plant.rotate(["ada", "ada"]);
    expect(await check(run.order.index)).toMatchObject({ ok: false });
    expect(keys).toBeDefined();
  });

  test("goes into an export whose proofs rest on a state after it", async () => {
    const made = await verifier();
    await plant.rotate();
    await plant.run("flange-2");
    const trust = { anchors: made.anchors, raw: plant.anchors as unknown as Json, pinned: true, differs: false };
    const bundle = await bundleOf(run.order.id, plant.concerning(run.order.id), made, trust, source, 5, () => {});
    const words = bundle.entries.map(({ leaf }) => Object.keys(leaf.entry.statement.body as object)[0]);
    expect(words.filter((word) => word === "propose" || word === "approve")).toEqual(["propose", "approve"]);
  });

  test("shows what a proposal of new keys replaces, as its ledger says", async () => {
    const { keys } = await plant.rotate();
    const made = await verifier();
    const proposal = plant.events.find((event) => "propose" in event.body && "keys" in event.body.propose);
    const shown = { change: { keys } as unknown as Change, proposer: "ada" };
    const now = await made.proposal(proposal?.id ?? "", shown);
    expect(now.keys?.log.log_key).toBe((keys as { log: string }).log);
    expect(await differences(shown.change, now)).toEqual([]);
  });
});

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

describe("a proposal", () => {
  const member = (id: string, roles: string[]): Member => plant.member(id, roles) as unknown as Member;

  test("is approved only when its entry proposes what is shown", async () => {
    const change: Change = { member: { ...member("bo", ["security-officer"]), keys: ((await TestPlant.begin()).member("bo", []) as unknown as Member).keys } };
    const { id } = await plant.state("ada", { propose: change as unknown as Json });
    const made = await verifier();
    await expect(made.proposal(id, { change, proposer: "ada" })).resolves.toBeDefined();
    const harmless: Change = { member: member("bo", ["security-officer"]) };
    await expect(made.proposal(id, { change: harmless, proposer: "ada" })).rejects.toThrow("another change");
    await expect(made.proposal(id, { change, proposer: "bo" })).rejects.toThrow("another change");
    await expect(made.proposal(run.order.id, { change, proposer: "olga" })).rejects.toThrow("another change");
    await expect(made.proposal("0".repeat(64), { change, proposer: "ada" })).rejects.toThrow();
  });

  test("is compared with what is provably in force", async () => {
    const before = (await (await verifier()).proposal((await plant.state("ada", { propose: { policy: { text: "forbid(principal, action, resource);" } } })).id, { change: { policy: { text: "forbid(principal, action, resource);" } }, proposer: "ada" }));
    expect(before.policy).toContain("permit");
    expect(before.members["bo"]?.member).toMatchObject(member("bo", ["security-officer"]));
    const roles: Change = { roles: { member: "olga", roles: ["operator", "integrator"] } };
    const given = await plant.state("ada", { propose: roles as unknown as Json });
    await plant.state("bo", { approve: { proposal: given.id } });
    const program = { cells: ["cell-1"], id: "scan", parameters: {}, sha256: "ab".repeat(32), title: "Scan" };
    const ours: Change = { program };
    const { id } = await plant.state("olga", { propose: ours as unknown as Json });
    await plant.state("ada", { approve: { proposal: id } });
    const proven = await (await verifier()).proposal(id, { change: ours, proposer: "olga" });
    expect(proven.programs).toEqual({ scan: program });
    expect(proven.members["olga"]?.member.roles).toEqual(["operator", "integrator"]);
    // A site that shows another base is found.
    expect(await sameBase(roles, proven, proven)).toBe(true);
    expect(await sameBase(roles, before, proven)).toBe(false);
    expect(await sameBase(ours, { ...proven, programs: {} }, proven)).toBe(false);
    expect(await sameBase({ policy: { text: "" } }, { ...proven, policy: "" }, proven)).toBe(false);
    expect(await differences(ours, proven)).toEqual([]);
  });
});

describe("the chain of a run", () => {
  const bySite: BySite = ({ issuer }) => issuer === "site";
  const nodeOf = (nodes: readonly Node[], stage: Stage): Node => nodes.find((node) => node.stage === stage)!;

  /** The words of the first link that does not fit; empty when all do. */
  function broken(chain: Chain): string {
    for (const { from, to } of chain.links) {
      const [a, b] = [from, to].map((id) => chain.nodes.find((node) => node.id === id)!);
      const { ok, words } = fits(chain, a!, b!, bySite);
      if (!ok) return words;
    }
    return "";
  }

  test("has every stage, and each link fits", async () => {
    await plant.state("site", { passport: { credential: "ef".repeat(32), part: "flange-1", report: run.report.id } });
    const chain = chainOf(plant.concerning(run.order.id), run.order.id);
    expect(chain.nodes.map((node) => node.stage)).toEqual(["order", "proof", "motion", "recording", "recording", "grant", "read", "report", "passport"]);
    expect(broken(chain)).toBe("");
    expect(chain.links).toHaveLength(9);
  });

  test.each<[Word, string, string]>([
    ["run-started", "site", "the order's cell cell-1"], ["run-ended", "olga", "the order's cell cell-1"], ["recording", "lab", "the order's cell cell-1"],
    ["read", "cell-1", "the site"], ["report", "olga", "the grant's reader lab"], ["passport", "lab", "the site"], ["shredded", "ada", "the site"],
  ])("does not fit when another than who may signed: %s by %s", async (word, issuer, who) => {
    await plant.state("site", { passport: { credential: "ef".repeat(32), part: "flange-1", report: run.report.id } });
    const shred = await plant.state("ada", { shred: { reason: "private", root: run.roots[0]! } });
    await plant.state("site", { shredded: { commitment: "cd".repeat(32), root: run.roots[0]!, shred: shred.id } });
    const events = plant.concerning(run.order.id);
    expect(broken(chainOf(events, run.order.id))).toBe("");
    const forged = events.map((event) => (word in event.body ? { ...event, issuer } : event));
    expect(broken(chainOf(forged, run.order.id))).toContain(`was signed by ${issuer}; ${who} is expected`);
  });

  test("takes a refusal from the order's cell alone", () => {
    const refusal = { who: "olga", what: "an order", rule: "hold", reason: "a hold is in force", accepted: "no hold" };
    const [order] = plant.concerning(run.order.id);
    const by = (issuer: string): LedgerEvent => ({ ...order!, issuer, index: 90, id: "8".repeat(64), body: { refused: { gate: "motion", refusal, request: run.order.id } } });
    expect(chainOf([order!, by("site")], run.order.id).nodes.map((node) => node.stage)).toEqual(["order", "proof"]);
    expect(chainOf([order!, by("cell-1")], run.order.id).nodes.map((node) => node.stage)).toEqual(["order", "proof", "motion"]);
  });

  test("has a report rest on earlier reads of its grant only, before that was revoked", async () => {
    const events = plant.concerning(run.order.id);
    const moved = (word: Word, index: number): LedgerEvent[] => events.map((event) => (word in event.body ? { ...event, index } : event));
    // The site logs the reads after the report: they prove nothing of it.
    const late = events.map((event) => ("read" in event.body ? { ...event, index: event.index + 100 } : event));
    expect(broken(chainOf(late, run.order.id))).toContain("Nothing was read");
    const one = events.map((event) => ("read" in event.body && event.body.read.root === run.roots[0] ? { ...event, index: event.index + 100 } : event));
    expect(broken(chainOf(one, run.order.id))).toContain("nobody had read");
    const revoked = await plant.state("ada", { "revoke-grant": { grant: run.grant.id, reason: "enough" } });
    const after = plant.concerning(run.order.id);
    expect(broken(chainOf(after, run.order.id))).toBe("");
    const early = [...moved("report", revoked.index + 1), revoked];
    expect(broken(chainOf(early, run.order.id))).toContain("was revoked");
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
    expect(fits(chain, nodeOf(chain.nodes, from), { ...node, entries }, bySite)).toMatchObject({ ok: false });
  });

  test("shows a refusal in place of a motion", async () => {
    const id = "9".repeat(64);
    const order = { ...run.order, id };
    const refusal = { who: "olga", what: "an order", rule: "hold", reason: "a hold is in force", accepted: "no hold" };
    const refused = { ...run.order, issuer: "cell-1", index: 90, id: "8".repeat(64), body: { refused: { gate: "motion", refusal, request: id } } };
    const chain = chainOf([order, refused], id);
    expect(nodeOf(chain.nodes, "motion")).toMatchObject({ title: "Refused", detail: "by rule hold", ended: "refused" });
    expect(fits(chain, nodeOf(chain.nodes, "proof"), nodeOf(chain.nodes, "motion"), bySite)).toMatchObject({ ok: true });
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
