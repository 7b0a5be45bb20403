import { describe, expect, it } from "vitest";
import { anchorsDigest, mustBeAnchors } from "../../src/lib/enrol/anchors";
import { acceptEntry, canInvite, makeInvitation } from "../../src/lib/enrol/invitation";
import { BadLink, readLink, writeLink } from "../../src/lib/enrol/link";
import { fromBase64Url, utf8 } from "../../src/lib/verify/bytes";
import { readEntry, verifyEntry } from "../../src/lib/verify/entry";

const anchors = "ab".repeat(32);
const until = 1_800_000_000_000;

describe("an enrolment link", () => {
  it("reads back what was written", async () => {
    const { seed } = await makeInvitation(until);
    const link = writeLink("http://localhost:7450", "anna", seed, until, anchors);
    const fragment = new URL(link).hash;
    expect(readLink(fragment)).toEqual({ member: "anna", seed: fromBase64Url(seed, "seed"), until, anchors });
    // Nothing of it goes to a server.
    expect(new URL(link).search).toBe("");
    expect(new URL(link).pathname).toBe("/enrol");
  });

  it("is refused when a part is missing, doubled, damaged or too long", async () => {
    const { seed } = await makeInvitation(until);
    const good = `member=anna&key=${seed}&until=${until}&anchors=${anchors}`;
    expect(() => readLink(good)).not.toThrow();
    const bad = [
      "", good.replace(`&anchors=${anchors}`, ""), good.slice(0, -1), `${good}&member=eve`,
      good.replace("anna", "An na"), good.replace(seed, seed.slice(1)), good.replace(seed, `${seed.slice(0, -1)}+`),
      good.replace(String(until), "soon"), good.replace(String(until), "-1"), good + "&x=".padEnd(600, "y"),
    ];
    for (const fragment of bad) expect(() => readLink(fragment), fragment).toThrow(BadLink);
  });

  it("never shows the key in an error", async () => {
    const { seed } = await makeInvitation(until);
    const cut = seed.slice(0, -2);
    try {
      readLink(`member=anna&key=${cut}&until=${until}&anchors=${anchors}`);
      expect.unreachable();
    } catch (error) {
      expect(String(error)).not.toContain(cut);
    }
  });
});

describe("an acceptance", () => {
  const passkey = { credential: "AAAA", es256: "BBBB", origin: "http://localhost:7450", rp_id: "localhost" };

  it("verifies under the invitation as it stands on the ledger", async () => {
    expect(await canInvite()).toBe(true);
    const { invitation, seed } = await makeInvitation(until);
    const wanted = { site: "plant", member: "anna", seed: fromBase64Url(seed, "seed"), until, passkey, seal: "CCCC" };
    const entry = readEntry(utf8(await acceptEntry(wanted, 1_700_000_000_000)));
    expect(entry.statement.body).toEqual({ accept: { passkey, seal: "CCCC" } });
    expect(entry.statement.issuer).toBe("anna");
    await expect(verifyEntry(entry, { invitation })).resolves.toMatchObject({ userVerified: false });
  });

  it("verifies under no other end and no other invitation", async () => {
    const { invitation, seed } = await makeInvitation(until);
    const wanted = { site: "plant", member: "anna", seed: fromBase64Url(seed, "seed"), until, passkey, seal: null };
    const entry = readEntry(utf8(await acceptEntry(wanted, 1)));
    expect(entry.statement.body).toEqual({ accept: { passkey } });
    await expect(verifyEntry(entry, { invitation: { ...invitation, not_after: until + 1 } })).rejects.toThrow();
    const other = (await makeInvitation(until)).invitation;
    await expect(verifyEntry(entry, { invitation: other })).rejects.toThrow();
  });
});

describe("the anchors of a link", () => {
  const shown = { genesis: "aa".repeat(32), log: { origin: "hall-7.example/log" }, site: "hall-7" };

  it("must be those of the site, and be hashed before anything is made", async () => {
    const digest = await anchorsDigest(shown);
    await expect(mustBeAnchors(shown, digest)).resolves.toBeUndefined();
    await expect(mustBeAnchors({ ...shown, site: "hall-8" }, digest)).rejects.toThrow("not the plant");
    // What has no canonical form has no hash, and is refused.
    await expect(mustBeAnchors({ ...shown, log: { quorum: Number.NaN } }, digest)).rejects.toThrow();
    await expect(mustBeAnchors({ ...shown, log: "\ud800" }, digest)).rejects.toThrow();
  });
});
