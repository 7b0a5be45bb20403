import { describe, expect, it } from "vitest";
import { exact, foreign, partsOf, plain, SHOWN } from "../src/lib/foreign";

describe("somebody else's text", () => {
  it("stands apart in a sentence, and cannot leave its place", () => {
    const evil = "a\u202eb\u2069 \u2068c\n\u0000d";
    const parts = partsOf(`Reason: “${foreign(evil)}”, for ${foreign("x")}.`);
    expect(parts.map(({ text, foreign: by }) => [text, by])).toEqual([
      ["Reason: “", false], ["a\\u202eb\\u2069 \\u2068c\\u000a\\u0000d", true], ["”, for ", false], ["x", true], [".", false],
    ]);
    expect(plain(foreign("5 %"))).toBe("5 %");
  });

  it("is cut by itself, so that it hides no word after it", () => {
    const parts = partsOf(`Runs ${foreign("é".repeat(5000))} on part-1.`);
    expect(parts.map(({ cut }) => cut)).toEqual([0, 5000 - SHOWN, 0]);
    expect(parts.at(-1)?.text).toBe(" on part-1.");
    expect(partsOf(foreign("é".repeat(5000)), Infinity)[0]?.text).toHaveLength(5000);
    // Characters beyond the first plane are not torn apart.
    expect(partsOf(foreign("😀".repeat(400)))[0]).toMatchObject({ text: "😀".repeat(SHOWN), cut: 100 });
  });

  it("is escaped and cut when nobody marked it, too", () => {
    const [part] = partsOf(`title \u202e${"x".repeat(1000)}`);
    expect(part?.text).toContain("\\u202e");
    expect(part?.cut).toBeGreaterThan(0);
  });

  it("keeps what scripts are written with", () => {
    const persian = "می\u200cخواهم";
    expect(plain(foreign(persian))).toBe(persian);
  });
});

describe("the exact text", () => {
  it("shows what cannot be seen, and stays the same value", () => {
    const value = { reason: "a\u202eb\u200b\u200c\u2066\u0085\u2028\u{e0041}z" };
    const shown = exact(JSON.stringify(value));
    expect(shown).toContain("\\u202e");
    expect(shown).toContain("\\udb40\\udc41");
    expect(shown).toMatch(/^[\x20-\x7e]*$/);
    expect(JSON.parse(shown)).toEqual(value);
  });
});
