import { describe, expect, test } from "vitest";
import * as verify from "../../src/lib/verify";
import { jcs } from "./mutate";
import { vectors } from "./verdict";

interface Proven {
  index: number;
  leaf: verify.Leaf;
  path: string[];
}

/** The evidence of the sample passport, served as a site serves its ledger. */
async function site(): Promise<{
  anchors: verify.Anchors;
  answers: Map<string, string | Uint8Array>;
  ids: Map<string, string[]>;
}> {
  const vector = vectors("passports").find(({ name }) => name === "a credential");
  const jwt = Buffer.from(String(vector?.input.file), "base64url").toString();
  const payload = verify.parse(Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString(), "it");
  const { evidence } = payload as unknown as {
    evidence: [{ checkpoint: string; entries: Proven[] }];
  };
  const [{ checkpoint, entries }] = evidence;
  const answers = new Map<string, string | Uint8Array>([["/checkpoint", checkpoint]]);
  const ids = new Map<string, string[]>();
  for (const { index, leaf, path } of entries) {
    const id = await verify.entryId(leaf.entry);
    const word = verify.wordOf(leaf.entry);
    ids.set(word, [...(ids.get(word) ?? []), id]);
    const hashes = path.map((hash) => `${Buffer.from(hash, "hex").toString("base64")}\n`);
    answers.set(`/api/v1/entries/${id}`, jcs({ index, leaf: leaf as unknown as verify.Json }));
    const head = `c2sp.org/tlog-proof@v1\nindex ${index}\n`;
    answers.set(`/api/v1/entries/${id}/proof`, `${head}${hashes.join("")}\n${checkpoint}`);
  }
  const text = Buffer.from(String(vector?.input.anchors), "base64url").toString();
  const anchors = await verify.readAnchors(verify.parse(text, "the anchors"));
  return { anchors, answers, ids };
}

const serve =
  (answers: Map<string, string | Uint8Array>): verify.Fetcher =>
  async (path) => {
    const answer = answers.get(path);
    return answer === undefined
      ? new Response("", { status: 404 })
      : new Response(answer as BodyInit);
  };

async function traced(change?: (answers: Map<string, string | Uint8Array>, id: string) => void) {
  const { anchors, answers, ids } = await site();
  const rules = ["propose", "approve", "accept", "revoke-key"].flatMap((w) => ids.get(w) ?? []);
  const keys = await verify.keyringOf(serve(answers), anchors, rules);
  const id = ids.get("order")?.at(-1) ?? "";
  change?.(answers, id);
  return verify.traceEntry(serve(answers), anchors, keys, id);
}

describe("an entry of a live site", () => {
  test("is green when the log holds it and its issuer signed it", async () => {
    const { ok, findings } = await traced();
    expect({ ok, findings }).toMatchObject({ ok: true, findings: [{ ok: true }, { ok: true }] });
  });

  test.each<[string, (answers: Map<string, string | Uint8Array>, id: string) => void, RegExp]>([
    [
      "the site gives another entry",
      (answers, id) => {
        const other = [...answers.keys()].find(
          (path) => !path.includes(id) && path.includes("/api/"),
        );
        answers.set(`/api/v1/entries/${id}`, answers.get(other ?? "") ?? "");
      },
      /gave entry/,
    ],
    [
      "its time of logging was changed",
      (answers, id) => {
        const path = `/api/v1/entries/${id}`;
        answers.set(path, String(answers.get(path)).replace(/"logged_at":\d+/, '"logged_at":1'));
      },
      /no proof that this leaf/,
    ],
    [
      "a witness is missing",
      (answers, id) => {
        const path = `/api/v1/entries/${id}/proof`;
        answers.set(path, String(answers.get(path)).replace(/— witness-2 .*\n/, ""));
      },
      /1 of the trusted witnesses/,
    ],
    ["there is no such entry", (answers, id) => answers.delete(`/api/v1/entries/${id}`), /404/],
    [
      "the answer is huge",
      (answers, id) => answers.set(`/api/v1/entries/${id}`, new Uint8Array(1 << 20)),
      /more than/,
    ],
    [
      "the answer is no JSON",
      (answers, id) => answers.set(`/api/v1/entries/${id}`, "<html>"),
      /JSON/,
    ],
  ])("is red when %s", async (_, change, reason) => {
    const { ok, findings } = await traced(change);
    expect(ok).toBe(false);
    expect(findings.map(({ words }) => words).join()).toMatch(reason);
  });

  test("links hold by hash, kind and order", async () => {
    const { anchors, answers, ids } = await site();
    const prove = (word: string): Promise<verify.ProvenEntry> =>
      verify.proveEntry(serve(answers), anchors, ids.get(word)?.at(-1) ?? "");
    const [order, grant, report] = [
      await prove("order"),
      await prove("grant"),
      await prove("report"),
    ];
    expect(verify.checkLink(grant, order).ok).toBe(true);
    expect(verify.checkLink(report, grant).ok).toBe(true);
    expect(verify.checkLink(order, grant).ok).toBe(false);
    expect(verify.checkLink({ ...grant, index: 0 }, order).ok).toBe(false);
  });

  test("a keyring without an acceptance does not know the passkey", async () => {
    const { anchors, answers, ids } = await site();
    const rules = ["propose", "approve"].flatMap((word) => ids.get(word) ?? []);
    const keys = await verify.keyringOf(serve(answers), anchors, rules);
    const id = ids.get("order")?.at(-1) ?? "";
    const { ok, findings } = await verify.traceEntry(serve(answers), anchors, keys, id);
    expect(ok).toBe(false);
    expect(findings[1]?.words).toMatch(/its key is none of/);
  });

  test("another plant is found out by its anchors", async () => {
    const { anchors, answers } = await site();
    const stranger = { ...anchors, genesis: "f".repeat(64) };
    const proven = await verify.attempt(() => verify.keyringOf(serve(answers), stranger, []));
    expect(proven.ok).toBe(false);
  });
});

test("pinned anchors must be the ones that the link names", async () => {
  const { anchors } = await site();
  const log = vectors("passports").find(({ input }) => input.anchors !== null)?.input.anchors;
  const text = Buffer.from(String(log), "base64url").toString();
  const digest = await verify.sha256Hex(verify.canonical(verify.parse(text, "it")));
  expect((await verify.readPinnedAnchors(text, digest)).genesis).toBe(anchors.genesis);
  await expect(verify.readPinnedAnchors(text, "f".repeat(64))).rejects.toBeInstanceOf(
    verify.Broken,
  );
});
