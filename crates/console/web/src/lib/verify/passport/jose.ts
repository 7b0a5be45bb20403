/** The compact serialisation of a signed credential (RFC 7515), in its one spelling. */
import { Broken } from "../broken";
import { fromBase64Url, utf8, type Bytes } from "../bytes";
import { verifyEd25519 } from "../crypto";
import { canonical, isObject, parseCanonical, type Json } from "../jcs";

/** The longest credential that is read (8 MiB). */
export const MAX_JWT_BYTES = 8 * 1024 * 1024;

/** A credential that was taken apart; its signature is not verified. */
export interface Parts {
  kid: string;
  payload: { [key: string]: Json };
  signed: Bytes;
  signature: Bytes;
}

export function readJwt(jwt: string): Parts {
  if (utf8(jwt).length > MAX_JWT_BYTES) {
    throw new Broken("the credential", `at most ${MAX_JWT_BYTES} bytes are expected`);
  }
  const [header, payload, signature, ...more] = jwt.split(".");
  if (header === undefined || payload === undefined || signature === undefined || more.length > 0) {
    throw new Broken("the credential", "three segments with dots between are expected");
  }
  return {
    kid: readHeader(header),
    payload: readPayload(payload),
    signed: utf8(`${header}.${payload}`),
    signature: fromBase64Url(signature, "the signature of the credential"),
  };
}

function readHeader(text: string): string {
  const what = "the credential's header";
  const bytes = fromBase64Url(text, what);
  const header = parseCanonical(bytes, what, MAX_JWT_BYTES);
  const kid = isObject(header) ? header.kid : undefined;
  const expected = { alg: "EdDSA", cty: "vc", kid: kid ?? null, typ: "vc+jwt" };
  if (typeof kid !== "string" || canonical(header) !== canonical(expected)) {
    throw new Broken(what, "`alg` EdDSA, `cty` vc and `typ` vc+jwt are expected");
  }
  return kid;
}

function readPayload(text: string): { [key: string]: Json } {
  const what = "the credential's payload";
  const payload = parseCanonical(fromBase64Url(text, what), what, MAX_JWT_BYTES);
  if (!isObject(payload)) throw new Broken(what, "an object is expected");
  return payload;
}

export function verifiesUnder(parts: Parts, key: Uint8Array): Promise<boolean> {
  return verifyEd25519(key, parts.signed, parts.signature);
}
