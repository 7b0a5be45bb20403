import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Me, PlantCard } from "../../src/lib/ledger/types";

const assertion = vi.hoisted(() => vi.fn());
vi.mock("../../src/lib/state/passkey", () => ({ assertion }));
const { signing, prepare, refused } = await import("../../src/lib/state/signing.svelte");
const { session } = await import("../../src/lib/state/session.svelte");

/** What was posted, and what the site answers, in turn. */
let posted: string[] = [];
let answers: (() => Response)[] = [];
const problem = (status: number, body: object = {}) => (): Response =>
  new Response(JSON.stringify({ detail: "no", ...body }), { status, headers: { "content-type": "application/problem+json" } });
const lost = (): Response => {
  throw new TypeError("failed to fetch");
};

beforeEach(() => {
  posted = [];
  let signature = 0;
  assertion.mockReset().mockImplementation(async () => ({ credential: "c", assertion: { authenticator_data: "a", client_data: "b", signature: `s${++signature}` } }));
  vi.stubGlobal("fetch", async (path: string, init: RequestInit) => {
    if (init.method === "POST") posted.push(String(init.body));
    else posted.push(path);
    const answer = answers.shift();
    if (answer === undefined) throw new Error("nothing more is expected");
    return answer();
  });
  session.me = { member: "ana", key: "00", credential: "c" } as Me;
  session.plant = { site: "plant" } as PlantCard;
  session.ended = "";
  void signing.ask({ title: "Hold", body: { hold: { reason: "noise" } }, words: [] });
});
afterEach(() => {
  signing.end(null);
  vi.unstubAllGlobals();
});

const hold = { hold: { reason: "noise" } };
const taken = (known: boolean) => (): Response => Response.json({ id: "i", index: 7, known });

describe("what was signed", () => {
  it.each([["a lost connection", lost], ["a fault of the site", problem(500)], ["a full site", problem(429)], ["a 403 without a rule", problem(403)]])(
    "is sent again byte for byte after %s, and signed once",
    async (_, answer) => {
      answers = [answer, taken(true)];
      const first = await prepare(hold);
      await expect(signing.send(first)).rejects.toThrow();
      expect(signing.sent).not.toBeNull();
      // Whatever was prepared meanwhile: a second order must not run.
      expect(await signing.send(await prepare(hold))).toMatchObject({ index: 7, known: true, witnessed: true });
      expect(posted).toHaveLength(2);
      expect(posted[1]).toBe(posted[0]);
      expect(assertion).toHaveBeenCalledTimes(1);
    },
  );

  it.each([["a rule", problem(403, { rule: "policy" })], ["a bad request", problem(400)]])("is dropped when %s refuses it", async (_, answer) => {
    answers = [answer, taken(false)];
    await expect(signing.send(await prepare(hold))).rejects.toSatisfy(refused);
    expect(signing.sent).toBeNull();
    await signing.send(await prepare(hold));
    expect(posted[1]).not.toBe(posted[0]);
  });

  it("is done when it is logged and the witnesses are late", async () => {
    answers = [problem(504), () => Response.json({ index: 9, leaf: {} })];
    const prepared = await prepare(hold);
    expect(await signing.send(prepared)).toEqual({ id: prepared.id, index: 9, known: true, witnessed: false });
    expect(posted[1]).toBe(`/api/v1/entries/${prepared.id}`);
  });

  it("is kept when nobody says whether it was logged", async () => {
    answers = [problem(504), lost];
    await expect(signing.send(await prepare(hold))).rejects.toThrow();
    expect(signing.sent).not.toBeNull();
  });

  it("is not sent for somebody who went while the passkey was asked for", async () => {
    assertion.mockImplementation(async () => {
      signing.leave();
      return { credential: "c", assertion: {} };
    });
    await expect(signing.send(await prepare(hold))).rejects.toThrow("nothing was sent");
    expect(posted).toEqual([]);
  });
});

describe("a person who goes", () => {
  it("is told when something may be on the ledger, and leaves no request behind", async () => {
    answers = [lost];
    const asked = signing.ask({ title: "Hold", body: hold, words: [] });
    await signing.send(await prepare(hold)).catch(() => {});
    signing.leave();
    expect(await asked).toBeNull();
    expect([signing.wanted, signing.sent]).toEqual([null, null]);
    expect(session.ended).toContain("may be on the ledger");
  });

  it("is told nothing when nothing was sent", () => {
    signing.leave();
    expect(session.ended).toBe("");
  });
});
