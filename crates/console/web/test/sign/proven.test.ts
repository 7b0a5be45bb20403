/** What a person is asked to sign, before a site that lies. */
import { render } from "svelte/server";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { grantWanted, revocationWanted, shredWanted, type Wish } from "../../src/lib/data/grant";
import { evidence } from "../../src/lib/evidence/evidence.svelte";
import { provenProgram, provenRecording, tried } from "../../src/lib/evidence/proven";
import { plain } from "../../src/lib/foreign";
import type { Change, Grant, GrantState, LedgerEvent, Me, Member, PlantCard, Program, PublicKey } from "../../src/lib/ledger/types";
import { orderOf } from "../../src/lib/order/draft";
import { inviteAgain, inviteNew } from "../../src/lib/people/invite";
import { keysOf } from "../../src/lib/people/keys";
import { policyOf } from "../../src/lib/people/policies";
import { revocable, revocationOf } from "../../src/lib/people/revocation";
import { rolesOf } from "../../src/lib/people/roles";
import { releaseOf } from "../../src/lib/shell/release";
import { Asking } from "../../src/lib/state/asking.svelte";
import { plant as shown } from "../../src/lib/state/plant.svelte";
import { session } from "../../src/lib/state/session.svelte";
import { signing, type Wanted } from "../../src/lib/state/signing.svelte";
import SignDialog from "../../src/lib/ui/SignDialog.svelte";
import { toBase64Url, type Json } from "../../src/lib/verify";
import { TestPlant } from "../evidence/plant";

let plant: TestPlant;
/** What the site answers in place of the truth, by path. */
let lies: Map<string, (answer: string) => string>;
/** What the site answers late, once. */
const late = new Set<string>();
let people = 0;

beforeEach(async () => {
  plant = await TestPlant.begin();
  lies = new Map();
  late.clear();
  vi.stubGlobal("fetch", async (path: string) => {
    if (path === "/console/v1/plant") return Response.json({ anchors: plant.anchors });
    if (late.delete(path)) await new Promise((resolve) => setTimeout(resolve, 100));
    const answer = await plant.answer(path);
    if (answer === null) return Response.json({ detail: `nothing at ${path}` }, { status: 404 });
    const text = typeof answer === "string" ? answer : new TextDecoder().decode(answer);
    return new Response(lies.get(path)?.(text) ?? text);
  });
  // Another person: what was verified for the one before is forgotten.
  session.me = { member: `officer-${++people}`, key: "00", credential: "c" } as Me;
  session.plant = { site: "hall-7", anchors: plant.anchors } as unknown as PlantCard;
});
afterEach(() => {
  signing.end(null);
  shown.members = {};
  vi.unstubAllGlobals();
});

/** What would be asked: the dialog is not answered. */
async function asked(by: (ask: (make: () => Promise<Wanted>) => Promise<null>) => Promise<boolean>): Promise<Wanted> {
  const found: Wanted[] = [];
  await by(async (make) => {
    found.push(await make());
    return null;
  });
  const [wanted] = found;
  if (wanted === undefined) throw new Error("nothing was asked");
  return wanted;
}
const read = (wanted: Wanted): string => [wanted.title, ...wanted.words].map(plain).join("\n");
const said = (wanted: Wanted): string => (wanted.unverified ?? []).map(plain).join("\n");

const member = (id: string, roles: string[]): Member => plant.member(id, roles) as unknown as Member;
/** A key that no member of the plant has. */
async function newKey(): Promise<PublicKey> {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  return { ed25519: toBase64Url(new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey))) };
}
/** Puts a change in force, by two officers. */
async function inForce(change: Change, by: readonly [string, string] = ["ada", "bo"]): Promise<LedgerEvent> {
  const proposal = await plant.state(by[0], { propose: change as unknown as Json });
  await plant.state(by[1], { approve: { proposal: proposal.id } });
  return proposal;
}
/** Has the site show an entry with other text. */
function edit(index: number | string, from: string, to: string): void {
  lies.set(`/api/v1/entries/${index}`, (text) => {
    expect(text).toContain(from);
    return text.replaceAll(from, to);
  });
}

describe("one more passkey for a member", () => {
  const again = (id: string): Promise<Wanted> => asked((ask) => inviteAgain(ask, id, 7));

  it("repeats the keys, roles and reading key of the ledger, and none that only the site shows", async () => {
    const slipped = await newKey();
    const bo = member("bo", ["security-officer"]);
    shown.members = { bo: { member: { ...bo, keys: [...bo.keys, slipped], roles: ["security-officer", "site"], seal: "AAAA" }, accepted: {}, revoked: {} } };
    const wanted = await again("bo");
    const { propose } = wanted.body as { propose: { member: Member } };
    const [first, second, ...rest] = propose.member.keys;
    expect([first, Object.keys(second ?? {}), rest]).toEqual([bo.keys[0], ["invitation"], []]);
    expect([propose.member.roles, propose.member.seal]).toEqual([["security-officer"], undefined]);
    const [key] = await keysOf({ member: bo, accepted: {}, revoked: {} });
    expect(read(wanted)).toContain(`Keys that are in use now stay: key file ${key?.fingerprint.slice(0, 16)}.`);
    expect(read(wanted)).toContain("by anchors that it took from the site");
  });

  it("leaves out what was revoked", async () => {
    const { keys } = member("olga", []);
    const [key] = await keysOf({ member: member("olga", []), accepted: {}, revoked: {} });
    await plant.state("ada", { "revoke-key": { key: key?.fingerprint ?? "", member: "olga", reason: "lost" } });
    const { propose } = (await again("olga")).body as { propose: { member: Member } };
    expect(propose.member.keys).not.toContainEqual(keys[0]);
    expect(propose.member.keys).toHaveLength(1);
  });

  it("is refused for a member that only the site shows", async () => {
    shown.members = { eve: { member: { ...member("bo", ["operator"]), id: "eve" }, accepted: {}, revoked: {} } };
    await expect(again("eve")).rejects.toThrow("no entry that the site proves enrols it");
  });

  it("is refused when the site shows another key in the entry that enrolled one", async () => {
    const pia: Member = { ...member("bo", ["operator"]), id: "pia", name: "Pia", keys: [await newKey()] };
    const { index } = await inForce({ member: pia });
    await expect(again("pia")).resolves.toBeDefined();
    session.me = { ...session.me, member: "another" } as Me;
    edit(index, (pia.keys[0] as { ed25519: string }).ed25519, ((await newKey()) as { ed25519: string }).ed25519);
    await expect(again("pia")).rejects.toThrow("does not hold");
  });

  it("is refused when a key was put in by one officer alone", async () => {
    await inForce({ member: { ...member("bo", ["security-officer"]), keys: [await newKey()] } }, ["ada", "ada"]);
    await expect(again("bo")).rejects.toThrow("signed this proposal already");
  });

  it("says why, beside the button, and opens no dialog", async () => {
    const asking = new Asking();
    expect(await inviteAgain((make) => asking.run(make), "eve", 7)).toBe(false);
    expect(signing.wanted).toBeNull();
    expect(String(asking.trouble)).toContain("You are not asked to sign, because this browser could not verify what you would sign: member eve");
    expect(asking.busy).toBe(false);
  });

  it("never takes the place of a member whom the site hides", async () => {
    await expect(asked((ask) => inviteNew(ask, "bo", "Somebody", ["operator"], 7))).rejects.toThrow("the ledger has one already");
    expect((await asked((ask) => inviteNew(ask, "pia", "Pia", ["operator"], 7))).body).toMatchObject({ propose: { member: { id: "pia", roles: ["operator"] } } });
  });
});

describe("a request that comes late", () => {
  it("is not put to whoever sits there by then", async () => {
    const asking = new Asking();
    const done = asking.run(async () => {
      session.me = { ...session.me, member: "somebody-else" } as Me;
      return { title: "Hold", body: { hold: { reason: "noise" } }, words: [] };
    });
    expect(await done).toBeNull();
    expect(signing.wanted).toBeNull();
  });
});

describe("the release of a hold", () => {
  let near: LedgerEvent;
  let all: LedgerEvent;
  beforeEach(async () => {
    near = await plant.state("olga", { hold: { cell: "cell-1", reason: "somebody is in the cell" } });
    all = await plant.state("bo", { hold: { reason: "an odd noise" } });
  });

  it("shows what its entry says, and who placed it", async () => {
    const wanted = await releaseOf(all.id, []);
    expect(wanted.body).toEqual({ release: { hold: all.id } });
    expect(read(wanted)).toMatch(/the hold on the whole site\nBo Keller \(bo\) placed it \(.*\): “an odd noise”/);
    expect(read(await releaseOf(near.id, []))).toMatch(/cell cell-1\nOlga Roth \(olga\) placed it \(.*\): “somebody is in the cell”/);
  });

  it("is refused when the site shows one hold under the identifier of another", async () => {
    const [entry, proof] = [await plant.answer(`/api/v1/entries/${all.id}`), await plant.answer(`/api/v1/entries/${all.id}/proof`)];
    lies.set(`/api/v1/entries/${near.id}`, () => String(entry));
    await expect(releaseOf(near.id, [])).rejects.toThrow("does not hold");
    lies.set(`/api/v1/entries/${near.id}/proof`, () => String(proof));
    await expect(releaseOf(near.id, [])).rejects.toThrow("instead");
  });

  it("is refused when its reason was changed, or it is no hold", async () => {
    edit(near.id, "somebody is in the cell", "maintenance");
    await expect(releaseOf(near.id, [])).rejects.toThrow("does not hold");
    const { order } = await plant.run("flange-1");
    await expect(releaseOf(order.id, [])).rejects.toThrow("`hold` is expected");
  });

  it("says whose word it is that nobody signed before, and warns all the same", async () => {
    const [first, second] = [await releaseOf(near.id, []), await releaseOf(near.id, ["ada"])];
    expect(said(first)).toContain("you are the first of two people");
    expect(said(second)).toContain("Ada Lund (ada) signed its release already");
    expect(first.cautions?.join()).toContain("a waiting order moves the robot");
  });
});

describe("an order", () => {
  const scan: Program = { cells: ["cell-1"], id: "scan", parameters: { speed: { default: 50, max: 100, min: 10, title: "speed", unit: "%" } }, sha256: "ab".repeat(32), title: "Scan" };
  const order = async (program: Program, speed = 60): Promise<Wanted> =>
    orderOf(await evidence.inForce(), { cell: "cell-1", part: "flange-1", program, parameters: { speed } }, 600_000, 1_000_000, evidence.basis);
  beforeEach(async () => void (await inForce({ program: scan })));

  it("names the file and the bounds that officers approved", async () => {
    const wanted = await order(scan);
    expect(wanted.body).toMatchObject({ order: { program: { id: "scan", sha256: scan.sha256 }, parameters: { speed: 60 } } });
    expect(read(wanted)).toContain("This browser verified on the ledger that this file is approved for cell-1");
    await expect(order(scan, 101)).rejects.toThrow("at most 100");
  });

  it("is refused when the site shows another file, other bounds, another unit or a program of its own", async () => {
    const speed = scan.parameters["speed"]!;
    for (const lie of [
      { ...scan, sha256: "cd".repeat(32) }, { ...scan, parameters: { speed: { ...speed, max: 900 } } },
      { ...scan, parameters: { speed: { ...speed, unit: "mm" } } }, { ...scan, title: "Park" }, { ...scan, parameters: {} },
    ]) await expect(order(lie)).rejects.toThrow("the site shows another file");
    for (const id of ["park", "constructor"]) await expect(order({ ...scan, id })).rejects.toThrow("no entry that the site proves approves it");
  });

  it("is refused when the site shows its lie on the ledger, too", async () => {
    const proposal = plant.events.find(({ body }) => "propose" in body);
    edit(proposal?.index ?? -1, scan.sha256, "cd".repeat(32));
    await expect(order({ ...scan, sha256: "cd".repeat(32) })).rejects.toThrow("does not hold");
  });

  it("is refused for a cell that the program is not approved for", async () => {
    expect(() => provenProgram({ members: {}, programs: { scan }, templates: {}, policy: "" }, scan, "cell-2")).toThrow("not approved for cell cell-2");
    expect(() => provenProgram({ members: {}, programs: { scan }, templates: {}, policy: "" }, scan, "cell-1")).toThrow("no entry that the site proves enrols it");
  });
});

describe("a recording", () => {
  let run: Awaited<ReturnType<TestPlant["run"]>>;
  let other: Awaited<ReturnType<TestPlant["run"]>>;
  beforeEach(async () => {
    run = await plant.run("flange-1");
    other = await plant.run("flange-2");
  });
  const place = (root: string): number => plant.events.find(({ body }) => "recording" in body && body.recording.root === root)?.index ?? -1;
  const proven = async (root: string, index = place(root)): ReturnType<typeof provenRecording> => provenRecording(await evidence.verifier(), index, root);
  const wish = (reader = "lab"): Wish => ({ order: run.order.id, reader, purpose: "inspection", lastsMs: 3_600_000, budget: 1 << 20, roots: run.roots });
  async function grant(roots: string[], reader = "lab"): Promise<Wanted> {
    const recordings = await Promise.all(roots.map((root) => proven(root)));
    const { value } = await evidence.stated(run.order.id, "order");
    return grantWanted(wish(reader), { inForce: await evidence.inForce(), order: value, recordings }, 1_000_000, evidence.basis);
  }

  it("is granted by the root that its cell registered for that run", async () => {
    const wanted = await grant(run.roots);
    expect((wanted.body as { grant: Grant }).grant.recordings).toEqual([...run.roots].sort());
    expect(read(wanted)).toMatch(/Outside lab \(lab; processor\) may read these recordings of flange-1:\ncamera, 1016 B .* of this run in cell-1\.\nstate/);
  });

  it("is refused when the site points at another one's entry, or changed it", async () => {
    const [root] = run.roots as [string];
    await expect(proven(root, place(other.roots[0] ?? ""))).rejects.toThrow("instead");
    await expect(proven(root, run.order.index)).rejects.toThrow("`recording` is expected");
    await expect(proven(root, -1)).rejects.toThrow();
    edit(place(root), root, `${root}b`);
    await expect(proven(root)).rejects.toThrow("does not hold");
  });

  it("is refused when the site put another part's among those of the run", async () => {
    await expect(grant([...run.roots, other.roots[0] ?? ""])).rejects.toThrow("it is of part flange-2");
  });

  it("is refused when another than the cell of its run registered it", async () => {
    const body = { bytes: 1, commitment: "cd".repeat(32), manifest: "ab".repeat(32), order: run.order.id, root: "bafyforged", stream: "camera" };
    const { index } = await plant.state("site", { recording: body });
    await expect(proven("bafyforged", index)).rejects.toThrow("site registered it, and its run was ordered from cell-1");
  });

  it("is granted to nobody without a reading key on the ledger", async () => {
    shown.members = { olga: { member: { ...member("olga", ["operator"]), seal: toBase64Url(new Uint8Array(32)) }, accepted: {}, revoked: {} } };
    await expect(grant(run.roots, "olga")).rejects.toThrow("gives it a reading key");
    await expect(grant(run.roots, "eve")).rejects.toThrow("enrols it");
  });

  it("is destroyed as what its entry says it is", async () => {
    const [root] = run.roots as [string];
    const wanted = shredWanted(await proven(root), 3, "private", evidence.basis);
    expect(wanted.body).toEqual({ shred: { reason: "private", root } });
    expect(read(wanted)).toContain("Destroy the key of camera of flange-1");
    expect(said(wanted)).toContain("3 reads");
  });

  it("has its grant revoked with what that provably is, or with the label that it is the site's word", async () => {
    const lie = { grant: { ...(run.grant.body as { grant: Grant }).grant, processor: "eve" }, reads: 0, used: 0 } as GrantState;
    const revoke = async (): Promise<Wanted> => revocationWanted(run.grant.id, await tried(async () => (await evidence.stated(run.grant.id, "grant")).value), lie, "done", evidence.basis);
    const wanted = await revoke();
    expect(read(wanted)).toContain("lets lab read 2 recordings");
    expect(read(wanted)).not.toContain("eve");
    edit(run.grant.id, "identity and inspection", "other things");
    session.me = { ...session.me, member: "another" } as Me;
    const unsure = await revoke();
    expect(unsure.body).toEqual({ "revoke-grant": { grant: run.grant.id, reason: "done" } });
    expect(said(unsure)).toMatch(/lets eve read 2 recordings.*\n.*entry.*does not hold/);
    expect(read(unsure)).not.toContain("verified");
  });
});

describe("a policy text", () => {
  const [first, next] = ["permit(principal, action, resource);", "permit(principal, action, resource);\nforbid(principal, action, resource);"];

  it("begins with the ledger's, and is compared with it", async () => {
    shown.policy = next;
    const { policy } = await evidence.inForce();
    expect(policy).toBe(first);
    const wanted = policyOf(next, policy, (await evidence.inForce()).policy, evidence.basis);
    expect(wanted.body).toEqual({ propose: { policy: { text: next } } });
    expect(read(wanted)).toContain("adds 1 line and removes 0 lines");
    shown.policy = "";
  });

  it("is refused when the site changed the text on the ledger, or another took effect meanwhile", async () => {
    const { policy } = await evidence.inForce();
    const { index } = await inForce({ policy: { text: next } });
    const now = (await evidence.inForce()).policy;
    expect(now).toBe(next);
    expect(() => policyOf("permit();", policy, now, "")).toThrow("Another text took effect");
    session.me = { ...session.me, member: "another" } as Me;
    edit(index, "forbid", "permit");
    await expect(evidence.inForce()).rejects.toThrow("does not hold");
  });
});

describe("a member's roles and keys", () => {
  it("are not proposed anew from roles that only the site shows", async () => {
    const now = await evidence.inForce();
    const lie: Member = { ...member("olga", []), roles: ["operator", "security-officer"] };
    expect(() => rolesOf(now, lie, ["operator", "security-officer", "auditor"], false, "")).toThrow("The site shows olga as operator, security-officer, its ledger says operator");
    const wanted = rolesOf(now, { ...lie, roles: ["operator"] }, ["auditor", "operator"], false, "");
    expect(wanted.body).toEqual({ propose: { roles: { member: "olga", roles: ["operator", "auditor"] } } });
    expect(rolesOf(now, member("ada", ["security-officer"]), [], true, "").cautions).toHaveLength(2);
  });

  it("are revoked with what the ledger says of the key, or with the label that it is the site's word", async () => {
    const bo = member("bo", ["security-officer"]);
    const [key] = await keysOf({ member: bo, accepted: {}, revoked: {} });
    // Shown as a key of somebody else, of whom others would remain.
    const lie = { member: { ...member("olga", ["operator"]), name: "Nobody" }, key: key!, others: 3, officers: 9 };
    const revoke = async (id: string): Promise<Wanted> => revocationOf({ ...lie, member: { ...lie.member, id } }, await tried(async () => revocable(await evidence.inForce(), id, key?.fingerprint ?? "")), "lost", undefined, evidence.basis);
    const wanted = await revoke("bo");
    expect(read(wanted)).toContain("Bo Keller has no other key that signs");
    expect([wanted.unverified, wanted.cautions?.length]).toEqual([[], 2]);
    const unsure = await revoke("olga");
    expect(said(unsure)).toMatch(/is a key of Nobody \(olga\)\.\nNo entry that the site proves gives olga a key/);
    expect(unsure.body).toEqual({ "revoke-key": { key: key?.fingerprint, member: "olga", reason: "lost" } });
  });
});

describe("the rules of the ledger", () => {
  it("are read once, however many ask at a time", async () => {
    await plant.rotate();
    await inForce({ roles: { member: "olga", roles: ["operator", "auditor"] } });
    const verifier = await evidence.verifier();
    // Of the looks that begin together, one ends after the others.
    late.add("/api/v1/entries/3/proof");
    const found = await Promise.all([verifier.inForce(), verifier.entry(2), verifier.inForce(), verifier.entry(4)]);
    expect(found[0].members["olga"]?.member.roles).toEqual(["operator", "auditor"]);
    expect((await verifier.rulesWithin(plant.events.length)).map(({ index }) => index)).toEqual([0, 1, 2, 3, 4]);
  });
});

describe("the dialog", () => {
  const wanted: Wanted = { title: "Release", body: { release: { hold: "00" } }, words: ["It ends."] };

  it("sets apart what only the site says, and says so", () => {
    const { body } = render(SignDialog, { props: { wanted: { ...wanted, unverified: ["Nobody else has signed."] } } });
    expect(body.replace(/<!--.*?-->/g, "")).toMatch(/As the site shows it, not verified by this browser:.*Nobody else has signed\./s);
    expect(render(SignDialog, { props: { wanted } }).body).not.toContain("As the site shows it");
  });
});
