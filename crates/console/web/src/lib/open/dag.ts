/**
 * The tree above a sealed stream: a UnixFS file in dag-pb nodes, each leaf one
 * ciphertext segment.
 *
 * ```text
 * PBNode  = { 2: PBLink }* , { 1: UnixFS }
 * PBLink  = { 1: CID bytes, 2: name (empty), 3: bytes of the whole subtree }
 * UnixFS  = { 1: 2 (file), 3: file size, 4: size of each child in the file }
 * ```
 *
 * A node has one spelling: fields in order, shortest integers, no unknown field.
 * Anything else is refused, as the site's own reader refuses it.
 */
import { cidFromBytes, type Cid } from "./cid";
import { OpenError } from "./errors";

/** The longest node that is read. */
export const MAX_NODE_BYTES = 64 * 1024;
/** The most links of one node. */
export const WIDTH = 174;
/** The most levels of nodes above the leaves. */
export const MAX_DEPTH = 6;

/** One child of a node: its address, and bytes of the file below it. */
export interface Link {
  cid: Cid;
  size: number;
}

/** A leaf; the size of one that is the root is not known before it came. */
export interface Leaf {
  cid: Cid;
  size: number | null;
}

function wrong(reason: string): OpenError {
  return new OpenError("forged", `not a node of a recording's tree: ${reason}`);
}

/** A cursor over protobuf bytes in the one spelling. */
class Cursor {
  private at = 0;
  constructor(private readonly bytes: Uint8Array) {}

  /** Steps over a tag byte when it comes next. */
  tag(tag: number): boolean {
    if (this.bytes[this.at] !== tag) return false;
    this.at += 1;
    return true;
  }

  expect(tag: number, missing: string): this {
    if (!this.tag(tag)) throw wrong(missing);
    return this;
  }

  /** An integer in its shortest form, below 2^53. */
  varint(): number {
    let [value, scale] = [0, 1];
    for (let i = 0; i < 8; i++) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) break;
      value += (byte & 0x7f) * scale;
      scale *= 128;
      if (byte < 0x80) {
        if ((i > 0 && byte === 0) || !Number.isSafeInteger(value)) break;
        return value;
      }
    }
    throw wrong("an integer is cut, too large or not in its shortest form");
  }

  sized(): Cursor {
    const length = this.varint();
    if (length > this.bytes.length - this.at) throw wrong("a field is cut");
    this.at += length;
    return new Cursor(this.bytes.subarray(this.at - length, this.at));
  }

  rest(): Uint8Array {
    return this.bytes.subarray(this.at);
  }

  end(): void {
    if (this.at !== this.bytes.length) throw wrong("bytes follow its end");
  }
}

function link(cursor: Cursor): Cid {
  const cid = cidFromBytes(cursor.expect(0x0a, "a link has no hash").sized().rest());
  if (cid === null) throw wrong("a link is not a CIDv1 with SHA-256");
  const name = cursor.expect(0x12, "a link has no name field").sized().rest();
  if (name.length > 0) throw wrong("a link of a file has a name");
  cursor.expect(0x18, "a link has no size").varint();
  cursor.end();
  return cid;
}

/** Reads a node's bytes: its children in file order. */
export function decodeNode(bytes: Uint8Array): Link[] {
  if (bytes.length > MAX_NODE_BYTES) throw wrong(`it has ${bytes.length} bytes, at most ${MAX_NODE_BYTES} are read`);
  const node = new Cursor(bytes);
  const children: Cid[] = [];
  while (node.tag(0x12)) {
    if (children.length === WIDTH) throw wrong(`it has more than ${WIDTH} links`);
    children.push(link(node.sized()));
  }
  if (children.length === 0) throw wrong("it has no links");
  const file = node.expect(0x0a, "no UnixFS data after the links").sized();
  node.end();
  if (file.expect(0x08, "no UnixFS type").varint() !== 2) throw wrong("its UnixFS type is not file");
  const size = file.expect(0x18, "no file size").varint();
  const links = children.map((cid) => {
    return { cid, size: file.expect(0x20, "fewer block sizes than links").varint() };
  });
  file.end();
  if (sizeOf(links) !== size) throw wrong("its block sizes do not add up to its file size");
  if (!Number.isSafeInteger(size)) throw wrong("its sizes overflow");
  return links;
}

function sizeOf(links: Link[]): number {
  return links.reduce((sum, { size }) => sum + size, 0);
}

/**
 * The leaves of a tree in order, from its root's address. `block` gives a node's
 * bytes by address; that they hash to it is its duty. Refuses more than `most`.
 */
export async function leavesOf(
  root: Cid,
  most: number,
  block: (cid: Cid) => Promise<Uint8Array>,
): Promise<Leaf[]> {
  const leaves: Leaf[] = [];
  const todo: { cid: Cid; size: number | null; depth: number }[] = [{ cid: root, size: null, depth: 0 }];
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const { cid, size, depth } = next;
    if (cid.codec === "raw") {
      if (leaves.length === most) throw new OpenError("limit", `\`${root.text}\` has more than ${most} leaves`);
      leaves.push({ cid, size });
      continue;
    }
    if (depth === MAX_DEPTH) throw wrong("the tree is deeper than six levels");
    const links = decodeNode(await block(cid));
    if (size !== null && size !== sizeOf(links)) {
      throw wrong(`\`${cid.text}\` has another size than its parent states`);
    }
    for (const child of links.toReversed()) todo.push({ ...child, depth: depth + 1 });
  }
  return leaves;
}
