/** `did:web` identifiers and the addresses that follow from them. */
import { Broken, short } from "../broken";
import { fromHex, toBase64Url, utf8 } from "../bytes";

export interface DidWeb {
  text: string;
  /** `https://host` or `https://host:port`, and the path after it. */
  origin: string;
  path: string;
}

const WORD = /^(?!\.)[0-9A-Za-z._-]+$/;

export function readDid(text: string): DidWeb {
  const refuse = (): never => {
    throw new Broken("the issuer", `\`${short(text)}\` is not a did:web identifier`);
  };
  if (!text.startsWith("did:web:") || utf8(text).length > 512) return refuse();
  const [host = "", ...parts] = text.slice("did:web:".length).split(":");
  const mark = host.indexOf("%3A");
  const [name, port] = mark < 0 ? [host, null] : [host.slice(0, mark), host.slice(mark + 3)];
  const fits = port === null || (/^\+?\d+$/.test(port) && Number(port) <= 65535);
  if (!WORD.test(name) || !fits || !parts.every((part) => WORD.test(part))) return refuse();
  const origin = `https://${name}${port === null ? "" : `:${port}`}`;
  return { text, origin, path: parts.map((part) => `/${part}`).join("") };
}

export const passportUrl = (did: DidWeb, part: string): string =>
  `${did.origin}${did.path}/passports/${part}`;

/** Where a thing is found by its hash (RFC 6920 over HTTP). */
export const hashUrl = (did: DidWeb, digest: string): string =>
  `${did.origin}/.well-known/ni/sha-256/${toBase64Url(fromHex(digest, "a digest"))}`;

export const recordingUrl = (did: DidWeb, root: string): string => `${did.origin}/ipfs/${root}`;
