/** Makes a screenshot small: a PNG with at most 96 colours, which a page of text and lines is content with. */
import { crc32, deflateSync, inflateSync } from "node:zlib";

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const COLOURS = 96;

interface Picture { width: number; height: number; channels: number; data: Buffer }

/** Reads an 8-bit RGB or RGBA PNG without interlacing, as Chromium writes it. */
function decode(png: Buffer): Picture {
  const [width, height, depth, type] = [png.readUInt32BE(16), png.readUInt32BE(20), png[24], png[25]];
  if (depth !== 8 || (type !== 2 && type !== 6) || png[28] !== 0) throw new Error("a PNG of another kind than screenshots are");
  const channels = type === 2 ? 3 : 4;
  const packed: Buffer[] = [];
  for (let at = 8; at < png.length;) {
    const length = png.readUInt32BE(at);
    if (png.toString("latin1", at + 4, at + 8) === "IDAT") packed.push(png.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  const lines = inflateSync(Buffer.concat(packed));
  const stride = width * channels;
  const data = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y += 1) {
    const filter = lines[y * (stride + 1)] ?? 0;
    for (let x = 0; x < stride; x += 1) {
      const left = x >= channels ? (data[y * stride + x - channels] ?? 0) : 0;
      const up = y > 0 ? (data[(y - 1) * stride + x] ?? 0) : 0;
      const corner = x >= channels && y > 0 ? (data[(y - 1) * stride + x - channels] ?? 0) : 0;
      data[y * stride + x] = (lines[y * (stride + 1) + 1 + x] ?? 0) + predicted(filter, left, up, corner);
    }
  }
  return { width, height, channels, data };
}

function predicted(filter: number, left: number, up: number, corner: number): number {
  if (filter === 1) return left;
  if (filter === 2) return up;
  if (filter === 3) return (left + up) >> 1;
  if (filter !== 4) return 0;
  const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

const distance = (a: number, b: number): number =>
  ((a >> 16) - (b >> 16)) ** 2 + (((a >> 8) & 255) - ((b >> 8) & 255)) ** 2 + ((a & 255) - (b & 255)) ** 2;

/** The colours that are used most, each unlike those before it. */
function palette(counts: Map<number, number>): number[] {
  const sorted = [...counts.entries()].sort(([, a], [, b]) => b - a).map(([colour]) => colour);
  for (const apart of [48, 24, 12, 3, 1]) {
    const chosen: number[] = [];
    for (const colour of sorted.slice(0, 20_000)) {
      if (chosen.length === COLOURS) break;
      if (chosen.every((other) => distance(colour, other) >= apart)) chosen.push(colour);
    }
    if (chosen.length >= COLOURS * 0.9) return chosen;
  }
  return sorted.slice(0, COLOURS);
}

function chunk(kind: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(kind, "latin1"), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

/** The same picture with a palette. */
export function small(png: Buffer): Buffer {
  const { width, height, channels, data } = decode(png);
  const colourAt = (pixel: number): number => ((data[pixel * channels] ?? 0) << 16) | ((data[pixel * channels + 1] ?? 0) << 8) | (data[pixel * channels + 2] ?? 0);
  const counts = new Map<number, number>();
  for (let pixel = 0; pixel < width * height; pixel += 1) counts.set(colourAt(pixel), (counts.get(colourAt(pixel)) ?? 0) + 1);
  const chosen = palette(counts);
  const nearest = new Map(chosen.map((colour, i) => [colour, i]));
  const indexOf = (colour: number): number => {
    let found = nearest.get(colour);
    if (found === undefined) {
      found = chosen.reduce((best, other, i) => (distance(colour, other) < distance(colour, chosen[best] ?? 0) ? i : best), 0);
      nearest.set(colour, found);
    }
    return found;
  };
  const lines = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y += 1) for (let x = 0; x < width; x += 1) lines[y * (width + 1) + 1 + x] = indexOf(colourAt(y * width + x));
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 3, 0, 0, 0], 8);
  const colours = Buffer.from(chosen.flatMap((colour) => [colour >> 16, (colour >> 8) & 255, colour & 255]));
  return Buffer.concat([SIGNATURE, chunk("IHDR", head), chunk("PLTE", colours), chunk("IDAT", deflateSync(lines, { level: 9 })), chunk("IEND", Buffer.alloc(0))]);
}
