/** Parsers of foreign bytes: what they take, and that they only ever refuse in words. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cidFromBytes, parseCid, verifyBlock } from "../../src/lib/open/cid";
import { decodeNode, leavesOf } from "../../src/lib/open/dag";
import { OpenError } from "../../src/lib/open/errors";
import { readPictures, readStates } from "../../src/lib/open/mcap";
import { layoutOf, SEGMENT, SegmentOpener } from "../../src/lib/open/stream";
import { Wire } from "../../src/lib/open/wire";
import { concat, utf8, type Bytes } from "../../src/lib/verify/bytes";

const EMPTY_LEAF = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
const bytes = (maxLength: number) => fc.uint8Array({ maxLength });

function onlyRefuses(act: () => unknown): void {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(OpenError);
  }
}

describe("addresses", () => {
  it("knows the address of the empty leaf", async () => {
    const cid = parseCid(EMPTY_LEAF);
    expect(cid?.codec).toBe("raw");
    expect(cidFromBytes(cid!.bytes)?.text).toBe(EMPTY_LEAF);
    await verifyBlock(cid!, new Uint8Array(0));
    await expect(verifyBlock(cid!, Uint8Array.of(0))).rejects.toMatchObject({ kind: "forged" });
  });

  it("has one spelling", () => {
    const others = [
      "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n",
      "bafkqaaa",
      EMPTY_LEAF.toUpperCase(),
      EMPTY_LEAF.slice(0, -1),
      `${EMPTY_LEAF}a`,
      // The two bits after the last byte are not zero.
      `${EMPTY_LEAF.slice(0, -1)}v`,
      "",
    ];
    for (const text of others) expect(parseCid(text), text).toBeNull();
  });

  it("comes back as it went", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.constantFrom(0x55, 0x70), (hash, codec) => {
        const binary = concat(Uint8Array.of(1, codec, 0x12, 32), hash);
        const text = cidFromBytes(binary)!.text;
        expect(parseCid(text)?.bytes).toEqual(binary);
      }),
    );
  });
});

/** A node over raw leaves of given sizes, in the one spelling (sizes below 128). */
function node(sizes: number[]): Uint8Array {
  const link = (size: number) => {
    const cid = concat(Uint8Array.of(1, 0x55, 0x12, 32), new Uint8Array(32).fill(size));
    return concat(Uint8Array.of(0x12, 42, 0x0a, 36), cid, Uint8Array.of(0x12, 0, 0x18, size));
  };
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const file = Uint8Array.of(0x08, 2, 0x18, total, ...sizes.flatMap((size) => [0x20, size]));
  return concat(...sizes.map(link), Uint8Array.of(0x0a, file.length), file);
}

describe("nodes", () => {
  it("gives children in order", () => {
    expect(decodeNode(node([3, 1, 2])).map(({ size }) => size)).toEqual([3, 1, 2]);
  });

  it("refuses every other spelling", () => {
    const good = node([3, 1, 2]);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
        onlyRefuses(() => {
          // A changed byte is refused, or is a digest's or a subtree's size, which no reader relies on.
          expect(decodeNode(good.with(at, (good[at] ?? 0) ^ by)).map(({ size }) => size)).toEqual([3, 1, 2]);
        });
      }),
    );
    const odd = [concat(good, Uint8Array.of(0)), good.slice(0, -1), new Uint8Array(0), new Uint8Array(70_000)];
    for (const each of odd) expect(() => decodeNode(each)).toThrow(OpenError);
    expect(() => decodeNode(node(new Array<number>(175).fill(0)))).toThrow(OpenError);
    fc.assert(fc.property(bytes(400), (noise) => onlyRefuses(() => decodeNode(noise))));
  });

  it("bounds depth and number of leaves", async () => {
    const self = cidFromBytes(concat(Uint8Array.of(1, 0x70, 0x12, 32), new Uint8Array(32)))!;
    const loop = concat(
      Uint8Array.of(0x12, 42, 0x0a, 36),
      self.bytes,
      Uint8Array.of(0x12, 0, 0x18, 1, 0x0a, 6, 8, 2, 0x18, 1, 0x20, 1),
    );
    await expect(leavesOf(self, 9, async () => loop)).rejects.toMatchObject({ kind: "forged" });
    await expect(leavesOf(self, 2, async () => node([3, 1, 2]))).rejects.toMatchObject({ kind: "limit" });
  });
});

describe("segments", () => {
  it("know which lengths a sealed stream has", () => {
    expect(layoutOf(56)).toEqual({ segments: 1, plaintext: 0 });
    expect(layoutOf(SEGMENT)).toEqual({ segments: 1, plaintext: SEGMENT - 56 });
    expect(layoutOf(SEGMENT + 17)).toEqual({ segments: 2, plaintext: SEGMENT - 55 });
    for (const none of [0, 55, SEGMENT + 16, SEGMENT + 1, -1, 0.5, NaN, 2 ** 53]) expect(layoutOf(none)).toBeNull();
  });

  it("open at their own place in their own stream only", async () => {
    const [key, header] = [new Uint8Array(32).fill(3), Uint8Array.of(40, ...new Array<number>(39).fill(9))];
    const text = utf8("plaintext");
    const first = concat(header, await sealed(key, header, 0, 0, new Uint8Array(SEGMENT - 56)));
    const last = await sealed(key, header, 1, 1, text);
    const opener = await SegmentOpener.create(await imported(key), utf8("recording"), first);
    expect(await opener.open(1, true, last)).toEqual(text);
    expect((await opener.open(0, false, first)).length).toBe(SEGMENT - 56);
    const forged = { name: "OpenError", kind: "forged" };
    await expect(opener.open(1, false, last)).rejects.toMatchObject(forged);
    await expect(opener.open(2, true, last)).rejects.toMatchObject(forged);
    await expect(opener.open(0, true, first)).rejects.toMatchObject(forged);
    await expect(opener.open(0, false, first.with(0, 41))).rejects.toMatchObject(forged);
    await expect(opener.open(1, true, last.slice(0, 15))).rejects.toMatchObject(forged);
    await expect(opener.open(0, true, header)).rejects.toMatchObject(forged);
    const others = [
      await SegmentOpener.create(await imported(key), utf8("another"), first),
      await SegmentOpener.create(await imported(key.with(0, 4)), utf8("recording"), first),
    ];
    for (const other of others) await expect(other.open(1, true, last)).rejects.toMatchObject(forged);
  });

  const imported = (key: Bytes) => crypto.subtle.importKey("raw", key, "HKDF", false, ["deriveKey"]);

  /** A segment as `stream.ts` describes it, made by itself. */
  async function sealed(key: Bytes, header: Bytes, index: number, last: number, text: Bytes): Promise<Bytes> {
    const base = await imported(key);
    const salt = header.slice(1, 33);
    const derivation = { name: "HKDF", hash: "SHA-256", salt, info: utf8("recording") };
    const cipher = await crypto.subtle.deriveKey(derivation, base, { name: "AES-GCM", length: 256 }, false, ["encrypt"]);
    const iv = concat(header.slice(33), Uint8Array.of(0, 0, 0, index, last));
    return new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv }, cipher, text));
  }

  it("need a header", async () => {
    for (const first of [new Uint8Array(40), new Uint8Array(39).fill(40), new Uint8Array(0)]) {
      const made = SegmentOpener.create(await imported(new Uint8Array(32)), utf8("recording"), first);
      await expect(made).rejects.toMatchObject({ kind: "format" });
    }
  });
});

describe("messages", () => {
  it("refuse in words whatever the bytes", () => {
    const wire = new Wire("message");
    const sink = new Float64Array(6);
    fc.assert(
      fc.property(bytes(60), fc.nat(5), (noise, way) =>
        onlyRefuses(() => {
          wire.begin(noise);
          for (let count = 0; wire.next(); ) {
            if (way === 0) wire.skip();
            else if (way === 1) wire.int32();
            else if (way === 2) wire.text();
            else if (way === 3) wire.double();
            else if (way === 4) wire.uint32();
            else count = wire.doubles(sink, count);
          }
        }),
      ),
      { numRuns: 2000 },
    );
  });

  it("know integers of every length", () => {
    const wire = new Wire("message");
    const read = (...value: number[]) => {
      wire.begin(Uint8Array.of(0x08, ...value));
      wire.next();
      return wire.int32();
    };
    expect(read(7)).toBe(7);
    expect(read(0xff, 0xff, 0xff, 0xff, 0x07)).toBe(0x7fffffff);
    expect(read(0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)).toBe(-5);
    expect(() => read(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02)).toThrow(OpenError);
    expect(() => read(0x80)).toThrow(OpenError);
  });
});

describe("recordings", () => {
  it("refuse in words what is not a whole MCAP file", async () => {
    const magic = Uint8Array.of(0x89, 0x4d, 0x43, 0x41, 0x50, 0x30, 0x0d, 0x0a);
    async function* file(...parts: Uint8Array[]) {
      yield* parts;
    }
    const readers = [
      (...parts: Uint8Array[]) => readStates(file(...parts), 3),
      (...parts: Uint8Array[]) => readPictures(file(...parts), 3),
    ];
    await fc.assert(
      fc.asyncProperty(bytes(200), fc.boolean(), fc.nat(1), async (noise, whole, which) => {
        const parts = whole ? [magic, noise] : [noise];
        await expect(readers[which]!(...parts)).rejects.toBeInstanceOf(OpenError);
      }),
    );
    // A record that says it goes on for ever is given up on.
    const endless = concat(magic, Uint8Array.of(5, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0));
    const mebibyte = new Uint8Array(1 << 20);
    const flood = new Array<Uint8Array>(70).fill(mebibyte);
    await expect(readers[0]!(endless, ...flood)).rejects.toMatchObject({ kind: "limit" });
  });
});
