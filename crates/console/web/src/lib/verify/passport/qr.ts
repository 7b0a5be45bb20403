/**
 * A QR code (ISO/IEC 18004, level M), drawn as the site draws it, so that a page's code can be
 * compared. Where the standard leaves a choice (segments, mask), this chooses as the site does.
 */
import { Broken } from "../broken";
import { utf8 } from "../bytes";

/** Bytes of error correction in each block, and blocks, of versions 1 to 40 at level M. */
const EC_BYTES = [
  10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26, 26, 28, 28, 28,
  28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28,
];
const BLOCKS = [
  1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16, 17, 17, 18, 20, 21, 23, 25, 26,
  28, 29, 31, 33, 35, 37, 38, 40, 43, 45, 47, 49,
];
const LEVEL_M = 0;
const ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

const enum Mode {
  Numeric,
  Alphanumeric,
  Byte,
}

interface Segment {
  mode: Mode;
  text: string;
}

const sideOf = (version: number): number => 4 * version + 17;

/** Codewords of a version: what no pattern occupies, in whole bytes. */
function codewords(version: number): number {
  const aligned = alignment(version).length;
  const side = sideOf(version);
  const timing = 2 * (side - 16) - (aligned > 2 ? 10 * (aligned - 2) : 0);
  const alignments = aligned > 0 ? 25 * (aligned * aligned - 3) : 0;
  const information = 31 + (version >= 7 ? 36 : 0);
  return Math.floor((side * side - 192 - timing - alignments - information) / 8);
}

const dataBytes = (version: number): number =>
  codewords(version) - (EC_BYTES[version - 1] ?? 0) * (BLOCKS[version - 1] ?? 0);

/** The centres of the alignment patterns along one side. */
function alignment(version: number): number[] {
  if (version === 1) return [];
  const count = Math.floor(version / 7) + 2;
  const step = version === 32 ? 26 : Math.ceil((version * 4 + 4) / (count * 2 - 2)) * 2;
  const rest = Array.from({ length: count - 1 }, (_, at) => sideOf(version) - 7 - at * step);
  return [6, ...rest.reverse()];
}

const modeOf = (letter: string): Mode =>
  /\d/.test(letter) ? Mode.Numeric : ALPHANUMERIC.includes(letter) ? Mode.Alphanumeric : Mode.Byte;

function countBits(mode: Mode, version: number): number {
  const range = version <= 9 ? 0 : version <= 26 ? 1 : 2;
  const bits = {
    [Mode.Numeric]: [10, 12, 14],
    [Mode.Alphanumeric]: [9, 11, 13],
    [Mode.Byte]: [8, 16, 16],
  };
  return bits[mode][range] ?? 0;
}

function dataBits({ mode, text: { length } }: Segment): number {
  if (mode === Mode.Numeric) return Math.floor((length * 10 + 2) / 3);
  return mode === Mode.Alphanumeric ? Math.floor((length * 11 + 1) / 2) : 8 * length;
}

const bitsOf = (segment: Segment, version: number): number =>
  4 + countBits(segment.mode, version) + dataBits(segment);

/** Segments of one kind of letter each, joined from the left where joined ones are no longer. */
function segmentsOf(text: string, version: number): Segment[] {
  const out: Segment[] = [];
  for (const letter of text.match(/\d+|[A-Z $%*+\-./:]+|[^\dA-Z $%*+\-./:]+/g) ?? []) {
    const segment = { mode: modeOf(letter.charAt(0)), text: letter };
    const last = out.at(-1);
    const joined = last && { mode: Math.max(last.mode, segment.mode), text: last.text + letter };
    if (
      last &&
      joined &&
      bitsOf(last, version) + bitsOf(segment, version) >= bitsOf(joined, version)
    ) {
      out[out.length - 1] = joined;
    } else {
      out.push(segment);
    }
  }
  return out;
}

/** The smallest version that holds a text, and its data codewords. */
function encode(text: string): { version: number; data: number[] } {
  for (const range of [9, 26, 40]) {
    const segments = segmentsOf(text, range);
    const total = segments.reduce((sum, one) => sum + bitsOf(one, range), 0);
    if (total > 8 * dataBytes(range)) continue;
    let version = 1;
    while (8 * dataBytes(version) < total) version += 1;
    return { version, data: pack(segments, version) };
  }
  throw new Broken("the QR code", "its text is too long");
}

function pack(segments: readonly Segment[], version: number): number[] {
  const bits: number[] = [];
  const push = (value: number, count: number): void => {
    for (let at = count - 1; at >= 0; at -= 1) bits.push((value >> at) & 1);
  };
  for (const { mode, text } of segments) {
    push(1 << mode, 4);
    push(text.length, countBits(mode, version));
    if (mode === Mode.Byte) utf8(text).forEach((byte) => push(byte, 8));
    const group = mode === Mode.Numeric ? /\d{1,3}/g : /.{1,2}/g;
    const radix = mode === Mode.Numeric ? 10 : 45;
    for (const letters of mode === Mode.Byte ? [] : (text.match(group) ?? [])) {
      const value = [...letters].reduce((sum, one) => sum * radix + ALPHANUMERIC.indexOf(one), 0);
      push(value, mode === Mode.Numeric ? 3 * letters.length + 1 : 5 * letters.length + 1);
    }
  }
  const capacity = 8 * dataBytes(version);
  push(0, Math.min(4, capacity - bits.length));
  while (bits.length % 8 !== 0) bits.push(0);
  const data: number[] = [];
  for (let at = 0; at < bits.length; at += 8) {
    data.push(bits.slice(at, at + 8).reduce((byte, bit) => 2 * byte + bit, 0));
  }
  for (let pad = 0xec; data.length < capacity / 8; pad ^= 0xec ^ 0x11) data.push(pad);
  return data;
}

/** Multiplies in GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1. */
function multiply(a: number, b: number): number {
  let product = 0;
  for (let bit = 7; bit >= 0; bit -= 1) {
    product = (product << 1) ^ ((product >> 7) * 0x11d) ^ (((b >> bit) & 1) * a);
  }
  return product;
}

/** The remainder of a block by the generator polynomial of a degree (Reed and Solomon). */
function correction(block: readonly number[], degree: number): number[] {
  let generator = [1];
  for (let root = 1, at = 0; at < degree; at += 1, root = multiply(root, 2)) {
    const shifted = [...generator, 0];
    generator = shifted.map((one, place) => one ^ multiply(generator[place - 1] ?? 0, root));
  }
  let rest: number[] = Array.from({ length: degree }, () => 0);
  for (const byte of block) {
    const factor = byte ^ (rest[0] ?? 0);
    rest = [...rest.slice(1), 0].map((one, at) => one ^ multiply(generator[at + 1] ?? 0, factor));
  }
  return rest;
}

/** Blocks with their correction, interleaved. */
function interleave(data: readonly number[], version: number): number[] {
  const count = BLOCKS[version - 1] ?? 1;
  const degree = EC_BYTES[version - 1] ?? 0;
  const length = Math.floor(data.length / count);
  const short = count - (data.length % count);
  const blocks: number[][] = [];
  for (let from = 0, at = 0; at < count; at += 1) {
    const to = from + length + (at < short ? 0 : 1);
    blocks.push(data.slice(from, to));
    from = to;
  }
  const checks = blocks.map((block) => correction(block, degree));
  const weave = (rows: number[][]): number[] => {
    const longest = Math.max(...rows.map((row) => row.length));
    return Array.from({ length: longest }, (_, at) => rows.flatMap((row) => row[at] ?? [])).flat();
  };
  return [...weave(blocks), ...weave(checks)];
}

type Grid = boolean[][];

/** Where a mask inverts. */
const MASKS: readonly ((x: number, y: number) => boolean)[] = [
  (x, y) => (x + y) % 2 === 0,
  (_, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(y / 2) + Math.floor(x / 3)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

class Canvas {
  readonly dark: Grid;
  /** Whether a pattern of the standard occupies a module. */
  private readonly taken: Grid;

  constructor(
    readonly version: number,
    readonly side = sideOf(version),
  ) {
    const empty = (): Grid =>
      Array.from({ length: side }, () => Array.from({ length: side }, () => false));
    this.dark = empty();
    this.taken = empty();
    this.patterns();
  }

  private put(x: number, y: number, dark: boolean): void {
    const [row, taken] = [this.dark[y], this.taken[y]];
    if (!row || !taken || x < 0 || x >= this.side) return;
    row[x] = dark;
    taken[x] = true;
  }

  private patterns(): void {
    for (let at = 0; at < this.side; at += 1) {
      this.put(6, at, at % 2 === 0);
      this.put(at, 6, at % 2 === 0);
    }
    const centres = alignment(this.version);
    const last = centres.length - 1;
    centres.forEach((x, i) =>
      centres.forEach((y, j) => {
        const corner = (i === 0 && j === 0) || (i === 0 && j === last) || (i === last && j === 0);
        if (!corner) this.rings(x, y, 2, (ring) => ring !== 1);
      }),
    );
    const far = this.side - 4;
    for (const [x, y] of [
      [3, 3],
      [far, 3],
      [3, far],
    ] as const) {
      this.rings(x, y, 4, (ring) => ring !== 2 && ring !== 4);
    }
    this.format(0);
    if (this.version >= 7) this.versionInformation();
  }

  private rings(x: number, y: number, radius: number, dark: (ring: number) => boolean): void {
    for (let dy = -radius; dy <= radius; dy += 1) {
      for (let dx = -radius; dx <= radius; dx += 1) {
        this.put(x + dx, y + dy, dark(Math.max(Math.abs(dx), Math.abs(dy))));
      }
    }
  }

  format(mask: number): void {
    const data = (LEVEL_M << 3) | mask;
    let rest = data;
    for (let at = 0; at < 10; at += 1) rest = (rest << 1) ^ ((rest >> 9) * 0x537);
    const bits = ((data << 10) | rest) ^ 0x5412;
    const bit = (at: number): boolean => ((bits >> at) & 1) === 1;
    for (let at = 0; at <= 5; at += 1) this.put(8, at, bit(at));
    this.put(8, 7, bit(6));
    this.put(8, 8, bit(7));
    this.put(7, 8, bit(8));
    for (let at = 9; at < 15; at += 1) this.put(14 - at, 8, bit(at));
    for (let at = 0; at < 8; at += 1) this.put(this.side - 1 - at, 8, bit(at));
    for (let at = 8; at < 15; at += 1) this.put(8, this.side - 15 + at, bit(at));
    this.put(8, this.side - 8, true);
  }

  private versionInformation(): void {
    let rest = this.version;
    for (let at = 0; at < 12; at += 1) rest = (rest << 1) ^ ((rest >> 11) * 0x1f25);
    const bits = (this.version << 12) | rest;
    for (let at = 0; at < 18; at += 1) {
      const dark = ((bits >> at) & 1) === 1;
      const [a, b] = [this.side - 11 + (at % 3), Math.floor(at / 3)];
      this.put(a, b, dark);
      this.put(b, a, dark);
    }
  }

  /** Draws codewords in columns of two, up and down, from the right; then the mask. */
  fill(words: readonly number[], mask: (x: number, y: number) => boolean): void {
    let at = 0;
    for (let right = this.side - 1; right >= 1; right -= 2) {
      if (right === 6) right = 5;
      for (let step = 0; step < this.side; step += 1) {
        const upward = ((right + 1) & 2) === 0;
        const y = upward ? this.side - 1 - step : step;
        for (const x of [right, right - 1]) {
          const row = this.dark[y];
          if (!row || this.taken[y]?.[x]) continue;
          const bit = ((words[at >> 3] ?? 0) >> (7 - (at & 7))) & 1;
          row[x] = (bit === 1) !== mask(x, y);
          at += 1;
        }
      }
    }
  }

  /** How hard it is to read: runs, blocks, false finders, and too much of one colour. */
  penalty(): number {
    const columns = this.dark.map((_, x) => this.dark.map((row) => row[x] ?? false));
    const lines = [...this.dark, ...columns];
    const dark = this.dark.flat().filter(Boolean).length;
    const ratio = Math.floor((dark * 200) / (this.side * this.side));
    const finders = lines.reduce((sum, line) => sum + falseFinders(line), 0);
    return (
      lines.reduce((sum, line) => sum + runs(line), 0) +
      this.blocks() +
      finders -
      2 * 360 +
      Math.abs(ratio - 100)
    );
  }

  private blocks(): number {
    let score = 0;
    for (let y = 0; y + 1 < this.side; y += 1) {
      for (let x = 0; x + 1 < this.side; x += 1) {
        const [here, below] = [this.dark[y], this.dark[y + 1]];
        const one = here?.[x];
        if (one === here?.[x + 1] && one === below?.[x] && one === below?.[x + 1]) score += 3;
      }
    }
    return score;
  }
}

function runs(line: readonly boolean[]): number {
  let score = 0;
  let length = 0;
  line.forEach((dark, at) => {
    length = at > 0 && dark === line[at - 1] ? length + 1 : 1;
    if (dark !== line[at + 1] && length >= 5) score += length - 2;
  });
  return score;
}

const FINDER = [true, false, true, true, true, false, true];

function falseFinders(line: readonly boolean[]): number {
  let score = 0;
  for (let at = 0; at + 6 < line.length; at += 1) {
    if (!FINDER.every((dark, place) => line[at + place] === dark)) continue;
    const before = line.slice(Math.max(0, at - 4), at);
    const after = line.slice(at + 7, at + 11);
    if (!before.includes(true) || !after.includes(true)) score += 40;
  }
  return score;
}

/** The modules of the code for a text, row by row; true is dark. */
export function qr(text: string): Grid {
  const { version, data } = encode(text);
  const words = interleave(data, version);
  const drawn = MASKS.map((mask, at) => {
    const canvas = new Canvas(version);
    canvas.format(at);
    canvas.fill(words, mask);
    return { grid: canvas.dark, penalty: canvas.penalty() };
  });
  const best = drawn.reduce((a, b) => (b.penalty < a.penalty ? b : a));
  return best.grid;
}
