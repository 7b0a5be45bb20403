import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SeriesBuilder } from "../../src/lib/open/series";

function build(rows: number[][], most: number, at: (n: number) => number = (n) => n) {
  const builder = new SeriesBuilder(rows.length, rows[0]?.length ?? 0, most);
  for (const [n, row] of rows.entries()) builder.push(at(n), Float64Array.from(row));
  return builder.finish();
}

describe("a series", () => {
  it("keeps few samples as they are", () => {
    const series = build([[1, 9], [2, 8], [0, 7]], 3);
    expect(series.bucket).toBe(1);
    expect([...series.t]).toEqual([0, 1, 2]);
    expect(series.values.map((each) => [...each])).toEqual([[1, 2, 0], [9, 8, 7]]);
  });

  it("keeps extremes in their order", () => {
    const series = build([[1], [5], [3], [2], [0], [1], [7]], 4);
    expect(series.bucket).toBe(4);
    expect([...series.values[0]!]).toEqual([1, 5, 0, 7]);
    expect([...series.t]).toEqual([0, 3, 4, 6]);
  });

  it("loses no peak, whatever the samples, within its bound", () => {
    const row = fc.tuple(fc.double({ noNaN: true }), fc.double({ noNaN: true }));
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 300 }), fc.integer({ min: 2, max: 40 }), (rows, most) => {
        const series = build(rows, most);
        expect(series.t.length).toBeLessThanOrEqual(most);
        for (const channel of [0, 1] as const) {
          const all = rows.map((each) => each[channel]);
          // Zero has two signs, and either will do.
          expect(Math.max(...series.values[channel]!) + 0).toBe(Math.max(...all) + 0);
          expect(Math.min(...series.values[channel]!) + 0).toBe(Math.min(...all) + 0);
        }
      }),
    );
  });

  it("never runs backwards, and gives way to numbers where there are some", () => {
    const series = build([[NaN], [2], [1], [NaN]], 2, (n) => [10, 20, 5, 30][n]!);
    expect([...series.t]).toEqual([10, 30]);
    expect([...series.values[0]!]).toEqual([2, 1]);
    expect([...build([[NaN], [NaN], [NaN]], 2).values[0]!]).toEqual([NaN, NaN]);
  });
});
