import { describe, expect, it } from "vitest";
import { plain } from "../src/lib/foreign";
import type { OrderState, Program } from "../src/lib/ledger/types";
import { differences, draft, earlier, identifierWrong, MAX_LAG, orderWords, valueWrong } from "../src/lib/order/draft";

const speed = { title: "speed of the arm", unit: "%", min: 10, max: 100, default: 100 };
const views = { title: "sides to photograph", unit: "", min: 1, max: 6, default: 4 };
const program: Program = { id: "scan", title: "photograph a part", cells: ["cell-1"], sha256: "ab".repeat(32), parameters: { speed_percent: speed, viewpoints: views } };
const choice = { cell: "cell-1", part: "part-1", program, parameters: { speed_percent: 60 } };
const order = draft(choice, 600_000, 1_000_000);

describe("a draft", () => {
  it("states what the program names, no more and no less", () => {
    const stated = draft({ ...choice, parameters: { speed_percent: 60, other: 3 } }, 600_000, 1_000_000);
    expect(stated).toEqual({
      cell: "cell-1", max_lag: MAX_LAG, not_before: 1_000_000, not_after: 1_600_000,
      parameters: { speed_percent: 60, viewpoints: 4 }, part: "part-1", program: { id: "scan", sha256: program.sha256 },
    });
  });

  it("is read in plain words with units", () => {
    const words = plain(orderWords(order, program).join(" "));
    for (const part of ["cell cell-1", "part part-1", "speed of the arm: 60 %", "sides to photograph: 4", "abababab", "within 10 min:"]) expect(words).toContain(part);
    expect(plain(orderWords(order, undefined).join(" "))).toContain("speed_percent: 60");
  });

  it.each([["part-1", true], ["9.a_b", true], ["", false], ["Part", false], ["-a", false], ["a b", false], ["a".repeat(64), true], ["a".repeat(65), false], ["ä", false]])(
    "takes the part `%s`: %s",
    (text, good) => expect(identifierWrong(text) === "").toBe(good),
  );

  it("keeps each value within its bounds", () => {
    const good = [10, 100, 55];
    const bad = [9, 101, 55.5, Number.NaN, null];
    expect(good.map((value) => valueWrong(value, speed))).toEqual(["", "", ""]);
    for (const value of bad) expect(valueWrong(value, speed), String(value)).not.toBe("");
    expect(plain(valueWrong(101, speed))).toBe("at most 100 %");
  });
});

describe("what differs", () => {
  const state = (index: number, change: object): OrderState => ({ index, order: { ...order, ...change } }) as OrderState;

  it("is said against the nearest earlier order", () => {
    const other = { id: "weld", sha256: "cd".repeat(32) };
    const known: [string, OrderState][] = [
      ["same", state(1, {})], ["program", state(5, { part: "part-2" })], ["part", state(9, { program: other })],
    ];
    expect(earlier(known, "scan", "part-1")?.id).toBe("same");
    expect(earlier(known.slice(1), "scan", "part-1")?.id).toBe("program");
    expect(earlier(known.slice(2), "scan", "part-1")?.id).toBe("part");
    expect(earlier([...known, ["newer", state(7, {})]], "scan", "part-1")?.id).toBe("newer");
    expect(earlier(known, "drill", "part-3")).toBeNull();
  });

  it("names each change, and nothing else", () => {
    expect(differences(order, order, program)).toEqual([]);
    const before = { ...order, not_after: 5, parameters: { speed_percent: 100, old: 1 }, program: { id: "scan", sha256: "cd".repeat(32) } };
    expect(differences(order, before, program).map(plain)).toEqual([
      "another version of the program: hash abababababababab instead of cdcdcdcdcdcdcdcd",
      "speed of the arm 60 % instead of 100 %",
      "sides to photograph 4 instead of none",
      "no old",
    ]);
    expect(differences(order, { ...order, cell: "cell-2", part: "x", program: { id: "weld", sha256: "1" } }, program)).toEqual([
      "program scan instead of weld", "part part-1 instead of x", "cell cell-1 instead of cell-2",
    ]);
  });
});
