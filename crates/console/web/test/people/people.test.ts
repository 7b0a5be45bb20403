import { describe, expect, it } from "vitest";
import type { Member, MemberState, Passkey, Program, PublicKey, Role } from "../../src/lib/ledger/types";
import { plain } from "../../src/lib/foreign";
import { changeWords } from "../../src/lib/words";
import { cautions, differences, differenceWords, lineDiff, officersNeeded, type InForce } from "../../src/lib/people/differ";
import { invited, keysOf, officerWarning, signs, sortedRoles, wrongId } from "../../src/lib/people/keys";
import { deciding, policies } from "../../src/lib/people/policies";
import { programOf, rowsOf, wrongRows, type Row } from "../../src/lib/people/program";

const anna: Member = { id: "anna", keys: [{ ed25519: "AAAA" }], name: "Anna", roles: ["operator"] };
const scan: Program = {
  cells: ["cell-1"], id: "scan", sha256: "aa".repeat(32), title: "Scan",
  parameters: { speed: { default: 50, max: 100, min: 10, title: "speed", unit: "%" } },
};
const now: InForce = {
  members: { anna: { member: anna, accepted: {}, revoked: {} } }, programs: { scan }, templates: {}, policy: "a\nb\nc",
};

describe("keys", () => {
  it("do not sign when revoked or when they are invitations", async () => {
    const member: Member = { ...anna, keys: [{ ed25519: "AAAA" }, { ed25519: "AAAB" }, { invitation: { ed25519: "AAAC", not_after: 9 } }] };
    const first = (await keysOf({ member, accepted: {}, revoked: {} }))[0]?.fingerprint ?? "";
    const keys = await keysOf({ member, accepted: {}, revoked: { [first]: 7 } });
    expect(keys.map((k) => [k.kind, k.revoked, signs(k)])).toEqual([
      ["key file", 7, false], ["key file", null, true], ["invitation", null, false],
    ]);
  });

  it("that no longer count are not proposed again", async () => {
    const member: Member = {
      ...anna, roles: ["security-officer", "operator"], seal: "SSSS",
      keys: [{ ed25519: "AAAA" }, { ed25519: "AAAB" }, { invitation: { ed25519: "AAAC", not_after: 5 } }, { invitation: { ed25519: "AAAD", not_after: 50 } }],
    };
    const bare: MemberState = { member, accepted: {}, revoked: {} };
    const print = (await keysOf(bare))[0]?.fingerprint ?? "";
    const next = invited(member, await keysOf({ ...bare, revoked: { [print]: 1 } }), { ed25519: "AAAE", not_after: 99 }, 10);
    expect(next.keys).toEqual([{ ed25519: "AAAB" }, { invitation: { ed25519: "AAAD", not_after: 50 } }, { invitation: { ed25519: "AAAE", not_after: 99 } }]);
    expect(next.seal).toBe("SSSS");
    expect(next.roles).toEqual(["operator", "security-officer"]);
  });

  it("warn below three officers", () => {
    expect(officerWarning(3)).toBe("");
    expect(officerWarning(2)).toContain("Invite a third");
    expect(officerWarning(1)).toContain("two must sign");
  });
});

describe("roles and identifiers", () => {
  it("stand in the order that the ledger takes", () => {
    expect(sortedRoles(["auditor", "security-officer", "operator", "auditor", "ml-engineer", "integrator"])).toEqual(["operator", "integrator", "ml-engineer", "security-officer", "auditor"]);
  });

  it("are checked before somebody signs them", () => {
    expect(wrongId("j.meyer", ["anna"])).toBe("");
    expect(wrongId("anna", ["anna"])).toContain("taken");
    for (const bad of ["Anna", "-a", "a b", "ä", "a".repeat(65)]) expect(wrongId(bad, [])).not.toBe("");
  });
});

const passkey = (letter: string): PublicKey => ({ passkey: { credential: letter.repeat(8), es256: letter.repeat(4), origin: "https://hall-7.example", rp_id: "hall-7.example" } });
const print = async (key: PublicKey): Promise<string> => ((await keysOf({ member: { ...anna, keys: [key] }, accepted: {}, revoked: {} }))[0]?.fingerprint ?? "").slice(0, 16);
/** A plant in which only this member is enrolled. */
const only = (member: Member, revoked: Record<string, number> = {}): InForce => ({ ...now, members: { [member.id]: { member, accepted: {}, revoked } } });

describe("what a change changes", () => {
  it("is nothing when the plant is so already", async () => {
    expect(await differences({ member: anna }, now)).toEqual([]);
    expect(await differences({ program: scan }, now)).toEqual([]);
    expect(await differences({ roles: { member: "anna", roles: ["operator"] } }, now)).toEqual([]);
  });

  it("is every fact that differs", async () => {
    const faster = { ...scan, sha256: "bb".repeat(32), parameters: { speed: { ...scan.parameters["speed"]!, max: 250 }, turns: { default: 1, max: 2, min: 1, title: "turns", unit: "" } } };
    expect((await differences({ program: faster }, now)).map((d) => d.what)).toEqual(["hash", "parameter speed", "parameter turns"]);
    expect((await differences({ program: faster }, now))[0]).toEqual({ what: "hash", before: "aa".repeat(8), after: "bb".repeat(8) });
    const [gone] = await differences({ program: { ...scan, parameters: {} } }, now);
    expect([gone?.what, plain(gone?.before ?? ""), gone?.after]).toEqual(["parameter speed", "10 to 100 %, 50 when not said (speed)", null]);
    // A title that turns the words around it stays in its place.
    const [turned] = await differences({ program: { ...scan, title: "evil\u202e" } }, now);
    expect(turned?.after).toBe("\u2068evil\\u202e\u2069");
    expect(await differences({ roles: { member: "anna", roles: [] } }, now)).toEqual([{ what: "roles", before: "operator", after: "none" }]);
  });

  it("names each root of certificates that goes and each that comes, by its digest", async () => {
    const log = { origin: "o", log_key: "o+1+A", witnesses: ["w+2+A"], quorum: 1 };
    const inForce = { ...now, keys: { log, vault: "AAAA", authorities: ["AAAA", "AAAB"] } };
    const change = { keys: { authorities: ["AAAB", "AAAC"] } };
    // SHA-256 of three bytes.
    expect(await differences(change, inForce)).toEqual([
      { what: "certificate authority", before: "709e80c88487a2411e1ee4dfb9f22a861492d20c4765150c0c794abd70f8147c", after: null },
      { what: "certificate authority", before: null, after: "65d27a48dfef406db8f5f437423bfa5f9c83d77bfc12f8a14b8ce3ede5892fb5" },
    ]);
    expect(await cautions(change, inForce, 0)).toHaveLength(1);
    expect(changeWords(change)).toBe("keys of the plant (certificate authorities)");
  });

  it("names each key that goes and each that comes", async () => {
    const officer: Member = { ...anna, keys: [passkey("A")], roles: ["security-officer"] };
    const swapped = { member: { ...officer, keys: [passkey("B")] } };
    const found = await differences(swapped, only(officer));
    expect(found.map((d) => d.what)).toEqual([`passkey ${await print(passkey("A"))}`, `passkey ${await print(passkey("B"))}`]);
    expect(found.map((d) => [d.before === null, d.after === null])).toEqual([[false, true], [true, false]]);
    expect(plain(found.map(differenceWords).join())).toMatch(/removed: passkey of https:\/\/hall-7\.example.*new: passkey of https:\/\/hall-7\.example/);
    const words = await cautions(swapped, only(officer), 0);
    expect(words).toHaveLength(2);
    expect(plain(words[0] ?? "")).toContain(`passkey ${await print(passkey("A"))} of Anna (anna) is in use and is dropped`);
    expect(plain(words[1] ?? "")).toContain(`passkey ${await print(passkey("B"))} is put in without an invitation`);
  });

  it("sees a passkey with the same key at another origin as another key", async () => {
    const far = { passkey: { ...(passkey("A") as { passkey: Passkey }).passkey, origin: "https://evil.hall-7.example" } };
    expect(await differences({ member: { ...anna, keys: [far] } }, only({ ...anna, keys: [passkey("A")] }))).toHaveLength(2);
  });

  it("does not warn of a key that counts no longer, or of an invitation that ended", async () => {
    const member: Member = { ...anna, keys: [passkey("A"), passkey("B"), { invitation: { ed25519: "AAAC", not_after: 5 } }] };
    const gone = (await keysOf({ member, accepted: {}, revoked: {} }))[0]?.fingerprint ?? "";
    const next = { member: { ...member, keys: [passkey("B")] } };
    expect(await cautions(next, only(member, { [gone]: 3 }), 10)).toEqual([]);
    expect(await cautions(next, only(member, { [gone]: 3 }), 4)).toHaveLength(1);
  });

  it("warns when an approval comes after the person enrolled another browser", async () => {
    const invitation = { invitation: { ed25519: "AAAE", not_after: 99 } };
    const proposed = { member: { ...anna, keys: [passkey("A"), invitation], seal: "OLD" } };
    const since: Member = { ...anna, keys: [passkey("A"), passkey("B")], seal: "NEW" };
    const words = plain((await cautions(proposed, only(since), 10)).join());
    expect(words).toContain(`passkey ${await print(passkey("B"))} of Anna (anna) is in use and is dropped`);
    expect(words).toContain("reading key of Anna (anna) changes");
    expect(words).toContain("whoever has the link");
    expect(await differences(proposed, only(since))).toContainEqual({ what: "reading key", before: "NEW", after: "OLD" });
  });

  it("points at a role that governs", async () => {
    const roles = (wanted: Role[]): Promise<string[]> => cautions({ roles: { member: "anna", roles: wanted } }, now, 0);
    expect(await roles(["operator", "security-officer"])).toEqual([expect.stringContaining("security-officer, who governs")]);
    expect(await roles(["operator", "integrator"])).toEqual([]);
    expect(await cautions({ member: { ...anna, id: "eve", roles: ["site"] } }, now, 0)).toContainEqual(expect.stringContaining("site, who signs passports"));
  });

  it("takes two officers where the rules change", () => {
    expect(officersNeeded({ member: anna })).toBe(2);
    expect(officersNeeded({ policy: { text: "" } })).toBe(2);
    expect(officersNeeded({ program: scan })).toBe(1);
  });
});

describe("a line diff", () => {
  const sides = (before: string, after: string): string[] => {
    const lines = lineDiff(before, after);
    const side = (without: string): string => lines.filter((l) => l.kind !== without).map((l) => l.text).join("\n");
    return [side("added"), side("removed")];
  };

  it("holds both texts whole", () => {
    for (const [a, b] of [["a\nb\nc", "a\nx\nc"], ["", "a"], ["a\nb", "b\na"], ["a\na\nb", "a\nb\nb"], ["x", "x"]] as const) {
      expect(sides(a, b)).toEqual([a, b]);
    }
  });

  it("marks only what differs", () => {
    expect(lineDiff("a\nb\nc\nd", "a\nc\nd\ne").filter((l) => l.kind !== "same")).toEqual([{ kind: "removed", text: "b" }, { kind: "added", text: "e" }]);
  });

  it("stays bounded for texts of many lines", () => {
    const long = Array.from({ length: 5000 }, (_, i) => `a${i}`).join("\n");
    const other = Array.from({ length: 5000 }, (_, i) => `b${i}`).join("\n");
    expect(sides(long, other)).toEqual([long, other]);
  });
});

describe("a program", () => {
  const row: Row = { id: "speed", title: " speed ", unit: "%", min: 10, max: 100, default: 50 };

  it("reads back as the rows it was made from", () => {
    expect(programOf("scan", "Scan", ["cell-1"], rowsOf(scan), scan.sha256)).toEqual(scan);
    expect(programOf("scan", " Scan ", ["b", "a", "b"], [row], "00").cells).toEqual(["a", "b"]);
  });

  it("is refused where the site would refuse it", () => {
    expect(wrongRows([row])).toBe("");
    expect(wrongRows([{ ...row, default: 101 }])).toContain("not within 10 to 100");
    expect(wrongRows([{ ...row, min: 0.5 }])).toContain("whole numbers");
    expect(wrongRows([{ ...row, max: null }])).toContain("whole numbers");
    expect(wrongRows([{ ...row, max: 2 ** 31 }])).toContain("32 bits");
    expect(wrongRows([row, row])).toContain("twice");
    expect(wrongRows(Array.from({ length: 9 }, (_, i) => ({ ...row, id: `p${i}` })))).toContain("At most 8");
  });
});

describe("a policy text", () => {
  const text = `// about\n@id("one")\n@says("an \\"operator\\" may")\npermit (principal, action, resource);\n\n// why\n@id("two")\nforbid (principal, action, resource)\nwhen { true };\n`;

  it("is cut into its policies", () => {
    const [one, two, ...rest] = policies(text);
    expect(rest).toEqual([]);
    expect(one).toMatchObject({ id: "one", says: 'an "operator" may', permits: true });
    expect(one?.text.endsWith(";")).toBe(true);
    expect(two).toMatchObject({ id: "two", says: "", permits: false });
  });

  it("finds those that decided", () => {
    const all = policies(text);
    expect(deciding(all, ['an "operator" may']).map((p) => p.id)).toEqual(["one"]);
    expect(deciding(all, ["two"]).map((p) => p.id)).toEqual(["two"]);
    expect(deciding(all, ["no policy allows it"])).toEqual([]);
  });
});
