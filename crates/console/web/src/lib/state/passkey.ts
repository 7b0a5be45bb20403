/** Passkeys, through the browser. */
import {
  startAuthentication,
  startRegistration,
  type PublicKeyCredentialRequestOptionsJSON,
} from "@simplewebauthn/browser";
import type { Assertion, Base64Url, Passkey } from "../ledger/types";
import { fromBase64Url, toBase64Url, utf8 } from "../verify/bytes";

/** Why a passkey did nothing, in words for people. */
class PasskeyError extends Error {
  override readonly name = "PasskeyError";
}

function told(error: unknown): PasskeyError {
  if (error instanceof Error) {
    if (error.name === "NotAllowedError" || error.name === "AbortError") {
      return new PasskeyError("The passkey was not used: it was cancelled, or took too long. Try again.");
    }
    if (error.name === "InvalidStateError") {
      return new PasskeyError("This authenticator holds a passkey for you already: use it to sign in.");
    }
    if (error.name === "SecurityError") {
      return new PasskeyError(`Passkeys work only at the console's own address; this page is ${location.origin}.`);
    }
    return new PasskeyError(`The passkey was not used: ${error.message}`);
  }
  return new PasskeyError("The passkey was not used.");
}

/** Whether this browser can use passkeys here. */
export function passkeysWork(): boolean {
  return isSecureContext && typeof PublicKeyCredential === "function";
}

/** Signs a challenge with a passkey: `credential`'s, or one that the person chooses. */
export async function assertion(
  challenge: Uint8Array,
  credential: Base64Url | null,
): Promise<{ credential: Base64Url; assertion: Assertion }> {
  const optionsJSON: PublicKeyCredentialRequestOptionsJSON = {
    challenge: toBase64Url(challenge),
    rpId: location.hostname,
    userVerification: "required",
    timeout: 120_000,
    allowCredentials: credential === null ? [] : [{ id: credential, type: "public-key" }],
  };
  try {
    const { id, response } = await startAuthentication({ optionsJSON });
    const found: Assertion = {
      authenticator_data: response.authenticatorData,
      client_data: response.clientDataJSON,
      signature: response.signature,
    };
    return { credential: id, assertion: found };
  } catch (error) {
    throw told(error);
  }
}

/** Makes a passkey for a member, kept by the authenticator under that name. */
export async function newPasskey(plant: string, member: string, name: string): Promise<Passkey> {
  let made;
  try {
    made = await startRegistration({
      optionsJSON: {
        rp: { id: location.hostname, name: plant },
        user: { id: toBase64Url(utf8(member)), name: member, displayName: name },
        challenge: toBase64Url(crypto.getRandomValues(new Uint8Array(32))),
        pubKeyCredParams: [{ type: "public-key", alg: -7 }],
        authenticatorSelection: { residentKey: "required", requireResidentKey: true, userVerification: "required" },
        attestation: "none",
        timeout: 300_000,
      },
    });
  } catch (error) {
    throw told(error);
  }
  const spki = made.response.publicKey;
  if (spki === undefined || made.response.publicKeyAlgorithm !== -7) {
    throw new PasskeyError("This authenticator made no ES256 key. Use another one.");
  }
  const es256 = await point(fromBase64Url(spki, "public key"));
  return { credential: made.id, es256: toBase64Url(es256), origin: location.origin, rp_id: location.hostname };
}

/** The uncompressed P-256 point of a SubjectPublicKeyInfo. */
async function point(spki: Uint8Array): Promise<Uint8Array> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  const key = await crypto.subtle.importKey("spki", spki as BufferSource, algorithm, true, ["verify"]);
  return new Uint8Array(await crypto.subtle.exportKey("raw", key));
}
