/** The Merkle tree of RFC 6962 §2.1 over a recording's leaves, as it grows. */
import type { Bytes } from "../verify/bytes";
import { sha256 } from "../verify/crypto";
import { leafHash, nodeHash } from "../verify/merkle";

/** The roots of the complete subtrees that make up a tree: enough to go on and to know its root. */
export class Frontier {
  /** One root for each bit that is set in the size, largest subtree first. */
  private readonly roots: { size: number; hash: Bytes }[] = [];
  size = 0;

  async push(leaf: Uint8Array): Promise<void> {
    let [size, hash] = [1, await leafHash(leaf)];
    for (let left = this.roots.at(-1); left?.size === size; left = this.roots.at(-1)) {
      this.roots.pop();
      hash = await nodeHash(left.hash, hash);
      size *= 2;
    }
    this.roots.push({ size, hash });
    this.size += 1;
  }

  async root(): Promise<Bytes> {
    const [last, ...rest] = this.roots.toReversed();
    if (last === undefined) return sha256();
    let { hash } = last;
    for (const left of rest) hash = await nodeHash(left.hash, hash);
    return hash;
  }
}
