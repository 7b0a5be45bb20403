/**
 * Opening a recording that was granted to this person: the site is believed in
 * nothing. Its answers are checked against the cell's signatures, the addresses of
 * the bytes and the key that the manifest commits to, in that order; plaintext
 * exists in this page's memory only.
 *
 * The key and each block are reads that the site puts on the ledger and counts
 * against the grant's budget.
 */
import { concat, fromBase64Url, fromHex, fromUtf8, utf8, type Bytes } from "../verify/bytes";
import { sha256 } from "../verify/crypto";
import { canonical, MAX_CANONICAL_BYTES } from "../verify/jcs";
import { base64url, digest, object } from "../verify/shape";
import { verifyChain, type Checkpoint } from "./checkpoints";
import { parseCid, verifyBlock, type Cid } from "./cid";
import { leavesOf, MAX_NODE_BYTES, type Leaf } from "./dag";
import { asOpenError, OpenError } from "./errors";
import { open } from "./hpke";
import { verifyLeaves, verifyManifest, type Manifest } from "./manifest";
import { readPictures, readStates, type Picture, type Pictures, type States } from "./mcap";
import type { SealKey } from "./sealkey";
import { demandEd25519, parseClaim } from "./signed";
import { SEGMENT, SegmentOpener, takeKey } from "./stream";

/** The most segments of one recording: 16 GiB. */
export const MAX_SEGMENTS = 16 * 1024;
/** The most bytes of a recording's checkpoints. */
const MAX_CHECKPOINT_BYTES = 32 * 1024 * 1024;
/** The most bytes of a problem's description. */
const MAX_PROBLEM_BYTES = 16 * 1024;
/** Blocks asked for at once. */
const AHEAD = 4;
/** How long a site that says "too many" (429) is asked again: longer than the minute by which it counts. */
const PATIENCE_MS = 90_000;
/** The pause before each time. */
const PAUSE_MS = 5_000;
const API = "/api/v1";

/** How far it is. Steps come in this order; `done` and `total` count the step's own units. */
export interface Progress {
  /** `segments` counts bytes of ciphertext. */
  step: "manifest" | "tree" | "checkpoints" | "key" | "segments";
  done: number;
  total: number;
}

/** As `fetch`, with the session's cookie. */
export type Fetch = (path: string, init: RequestInit) => Promise<Response>;

/** What a grant's entry says, as far as a key is bound to it. */
export interface GrantTerms {
  /** The entry's identifier. */
  id: string;
  recordings: readonly string[];
  terms: readonly { enforcement: string; text: string }[];
}

export interface Options {
  grant: GrantTerms;
  /** The root CID of the recording. */
  root: string;
  fetch: Fetch;
  sealKey: SealKey;
  /**
   * The Ed25519 keys of the recording's cell that counted when its entry was logged, whatever
   * they are now: 32 bytes each.
   */
  cellKeys: readonly Uint8Array[];
  /** The manifest's digest that the recording's entry names; checked when given. */
  manifest?: string;
  onProgress?: (progress: Progress) => void;
  /** Told each picture that is kept, as it comes. */
  onPicture?: (picture: Picture) => void;
  signal?: AbortSignal;
}

/** An opened recording with what it says. */
export interface Opened {
  manifest: Manifest;
  /** The cell's signed checkpoints, in order. */
  checkpoints: Checkpoint[];
  /** Of a stream of states. */
  states: States | null;
  /** Of a stream of pictures. */
  pictures: Pictures | null;
}

/** Opens a recording and reads it whole. */
export async function openRecording(options: Options): Promise<Opened> {
  return typed(async () => {
    const recording = await SealedRecording.open(options);
    const { manifest, checkpoints } = recording;
    const { stream, samples } = manifest;
    const states = stream === "state" ? await readStates(recording, samples) : null;
    const pictures = stream === "camera" ? await readPictures(recording, samples, options.onPicture) : null;
    if (states === null && pictures === null) {
      throw new OpenError("format", `a stream of kind \`${stream}\` cannot be shown here: save its file instead`);
    }
    return { manifest, checkpoints, states, pictures };
  });
}

/**
 * A recording of which everything but its segments was verified. Iterate over it for
 * the plaintext in order (an MCAP file), or take segments by number.
 */
export class SealedRecording implements AsyncIterable<Bytes> {
  private opener: Promise<SegmentOpener> | null = null;

  private constructor(
    readonly manifest: Manifest,
    readonly checkpoints: Checkpoint[],
    private readonly leaves: readonly Leaf[],
    private readonly key: CryptoKey,
    private readonly site: Site,
    private readonly tell: (progress: Progress) => void,
  ) {}

  /** Obtains and verifies manifest, tree, checkpoints and key. */
  static async open(options: Options): Promise<SealedRecording> {
    return typed(async () => {
      const { root, grant, cellKeys } = options;
      const tell = options.onProgress ?? (() => undefined);
      const site = new Site(options.fetch, grant.id, options.signal ?? null);
      const cid = parseCid(root);
      if (cid === null || !grant.recordings.includes(root)) {
        throw new OpenError("refused", `the grant does not name recording \`${root.slice(0, 80)}\``);
      }
      digest(grant.id, "the grant's identifier");
      await demandEd25519();
      const at = `${API}/recordings/${root}`;
      tell({ step: "manifest", done: 0, total: 1 });
      const stated = await site.text(`${at}/manifest`, MAX_CANONICAL_BYTES);
      const { claim } = await verifyManifest(stated, cellKeys, root, options.manifest ?? null);

      tell({ step: "tree", done: 0, total: 1 });
      const leaves = await leavesOf(cid, MAX_SEGMENTS, (node) => site.block(node, MAX_NODE_BYTES));
      await verifyLeaves(claim, leaves);

      tell({ step: "checkpoints", done: 0, total: 1 });
      const lines = await site.text(`${at}/checkpoints`, MAX_CHECKPOINT_BYTES);
      const checkpoints = await verifyChain(lines, cellKeys, leaves, claim);

      tell({ step: "key", done: 0, total: 1 });
      const key = await dataKey(site, options, claim);
      return new SealedRecording(claim, checkpoints, leaves, key, site, tell);
    });
  }

  get segments(): number {
    return this.leaves.length;
  }

  /** The plaintext of one segment. */
  async segment(index: number): Promise<Bytes> {
    return typed(async () => this.unseal(index, await this.fetch(index, null)));
  }

  /** The plaintext in order; several segments are asked for at once. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Bytes, void, void> {
    const stop = new AbortController();
    const coming: Promise<Bytes>[] = [];
    let [done, asked] = [0, 0];
    const total = this.manifest.ciphertext_bytes;
    const ask = () => {
      const next = this.fetch(asked++, stop.signal);
      // It is awaited in its turn; an error that comes earlier is not lost by this.
      next.catch(() => undefined);
      coming.push(next);
    };
    try {
      this.tell({ step: "segments", done, total });
      for (let index = 0; index < this.segments; index++) {
        while (asked < this.segments && coming.length < AHEAD) ask();
        const ciphertext = await (coming.shift() as Promise<Bytes>);
        this.site.demandGoing();
        const plaintext = await this.unseal(index, ciphertext);
        done += ciphertext.length;
        this.tell({ step: "segments", done, total });
        yield plaintext;
      }
      if (done !== total) throw new OpenError("forged", "the recording has another size than its manifest states");
    } catch (error) {
      throw asOpenError(error, "forged", "the recording does not open");
    } finally {
      stop.abort();
    }
  }

  private async fetch(index: number, signal: AbortSignal | null): Promise<Bytes> {
    const leaf = this.leaves[index];
    if (leaf === undefined) throw new OpenError("limit", `there is no segment ${index}: there are ${this.segments}`);
    return this.site.block(leaf.cid, SEGMENT, signal);
  }

  private async unseal(index: number, ciphertext: Bytes): Promise<Bytes> {
    this.opener ??= this.begin(index === 0 ? ciphertext : null).catch((error: unknown) => {
      this.opener = null;
      throw error;
    });
    const opener = await this.opener;
    return opener.open(index, index === this.segments - 1, ciphertext);
  }

  /** The stream's header stands in its first segment, whichever is opened first. */
  private async begin(first: Bytes | null): Promise<SegmentOpener> {
    const associated = utf8(this.manifest.sealing.associated_data);
    return SegmentOpener.create(this.key, associated, first ?? (await this.fetch(0, null)));
  }
}

const sealedKey = object({ enc: base64url, ciphertext: base64url });

/** The recording's key, sealed to this person under the grant: a read on the ledger. */
async function dataKey(site: Site, options: Options, manifest: Manifest): Promise<CryptoKey> {
  const { grant, root, sealKey } = options;
  const what = "the sealed key";
  const answer = await site.text(`${API}/grants/${grant.id}/keys/${root}`, MAX_CANONICAL_BYTES, "POST");
  const wrapped = sealedKey(parseClaim(answer, what), what);
  const [enc, ciphertext] = [fromBase64Url(wrapped.enc, what), fromBase64Url(wrapped.ciphertext, what)];
  const info = fromHex(grant.id, "the grant's identifier");
  const terms = grant.terms.map(({ enforcement, text }) => ({ enforcement, text }));
  const aad = concat(utf8(root), await sha256(utf8(canonical(terms))));
  const key = await open(sealKey, { enc, ciphertext, info, aad });
  return takeKey(key, manifest.sealing.key_commitment);
}

/** The site, as one grant's reader talks to it. */
class Site {
  constructor(
    private readonly fetch: Fetch,
    private readonly grant: string,
    private readonly signal: AbortSignal | null,
  ) {}

  async text(path: string, most: number, method: "GET" | "POST" = "GET"): Promise<string> {
    const bytes = await this.bytes(path, most, { method, headers: { accept: "application/json, */*" } });
    return fromUtf8(bytes, `\`${path}\``);
  }

  /** Stops here when somebody wants it to. */
  demandGoing(): void {
    this.signal?.throwIfAborted();
  }

  /** A block, verified against its address. */
  async block(cid: Cid, most: number, signal: AbortSignal | null = null): Promise<Bytes> {
    const headers = { accept: "application/vnd.ipld.raw", "interlock-grant": this.grant };
    const bytes = await this.bytes(`/ipfs/${cid.text}?format=raw`, most, { headers }, signal);
    await verifyBlock(cid, bytes);
    return bytes;
  }

  private async bytes(path: string, most: number, init: RequestInit, extra: AbortSignal | null = null): Promise<Bytes> {
    const signals = [this.signal, extra].filter((signal) => signal !== null);
    const [only] = signals;
    const signal = signals.length > 1 ? AbortSignal.any(signals) : only;
    try {
      signal?.throwIfAborted();
      const ask = () => this.fetch(path, signal === undefined ? init : { ...init, signal });
      let response = await ask();
      // The site logs so many reads a minute; who reads more than that is let through in the next.
      for (let waited = 0; response.status === 429 && waited < PATIENCE_MS; waited += PAUSE_MS) {
        await pause(signal);
        response = await ask();
      }
      if (!response.ok) throw await refusal(response);
      return await bounded(response, most, path);
    } catch (error) {
      if (signal?.aborted) throw new OpenError("stopped", "opening the recording was stopped", { cause: error });
      throw asOpenError(error, "unreachable", "the site did not answer");
    }
  }
}

/** {@link PAUSE_MS}, or until somebody wants to stop. */
function pause(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, PAUSE_MS);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    }
    signal?.addEventListener("abort", done);
  });
}

/** A body of at most `most` bytes. */
async function bounded(response: Response, most: number, path: string): Promise<Bytes> {
  const parts: Uint8Array[] = [];
  let length = 0;
  const body = response.body?.getReader();
  for (let read = await body?.read(); read?.value !== undefined; read = await body?.read()) {
    length += read.value.length;
    if (length > most) {
      await body?.cancel();
      throw new OpenError("limit", `\`${path}\` has more than ${most} bytes`);
    }
    parts.push(read.value);
  }
  return concat(...parts);
}

/** What a problem (RFC 9457) says, in words. */
async function refusal(response: Response): Promise<OpenError> {
  const kind = response.status >= 500 ? "unreachable" : "refused";
  const silent = new OpenError(kind, `the site answered ${response.status} without saying why`);
  try {
    const bytes = await bounded(response, MAX_PROBLEM_BYTES, "the site's refusal");
    const problem = JSON.parse(new TextDecoder().decode(bytes)) as { detail?: unknown; accepted?: unknown } | null;
    if (typeof problem?.detail !== "string" || problem.detail === "") return silent;
    const accepted = typeof problem.accepted === "string" ? `; accepted would be: ${problem.accepted}` : "";
    return new OpenError(kind, problem.detail + accepted);
  } catch {
    return silent;
  }
}

/** Whatever goes wrong becomes an {@link OpenError}. */
async function typed<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw asOpenError(error, "unsupported", "opening the recording failed in this browser");
  }
}
