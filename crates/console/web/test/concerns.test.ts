import { describe, expect, it } from "vitest";
import { concerning } from "../src/lib/data/concerns";
import type { Body, LedgerEvent } from "../src/lib/ledger/types";

const event = (index: number, body: unknown): LedgerEvent => ({ index, id: `id-${index}`, issuer: "site", logged_at: index, body: body as Body });
const read = (grant: string): unknown => ({ read: { grant, root: "r", cid: "x", bytes: 1 } });

describe("entries that concern an order", () => {
  const known = [event(1, { order: {} }), event(3, { grant: { order: "id-1" } }), event(4, { recording: { order: "id-1", root: "root-1" } })];

  it("are those that name it, or what belongs to it", () => {
    const news = [
      event(19, { "run-ended": { order: "id-1" } }), event(18, { "run-ended": { order: "id-2" } }), event(17, read("id-3")),
      event(16, read("id-99")), event(15, { shred: { root: "root-1" } }), event(14, { shred: { root: "root-2" } }),
      event(13, { refused: { request: "id-1" } }), event(12, { refused: {} }), event(11, { hold: {} }), event(10, { "revoke-grant": { grant: "id-3" } }),
    ];
    expect(concerning("id-1", known, news).map(({ index }) => index)).toEqual([10, 13, 15, 17, 19]);
  });

  it("include what names an entry that is new itself", () => {
    const news = [
      event(24, { passport: { report: "id-23" } }), event(23, { report: { order: "id-9", grant: "id-21" } }), event(22, read("id-21")),
      event(21, { grant: { order: "id-1" } }), event(20, read("id-21")),
    ];
    expect(concerning("id-1", known, news).map(({ index }) => index)).toEqual([21, 22, 23, 24]);
    expect(concerning("id-20", [], [event(20, { order: {} })])).toHaveLength(1);
  });
});
