/**
 * Who is signed in. Signing in is a passkey's assertion over a challenge that no
 * entry can have, so that it is never worth a signature on the ledger.
 */
import { Problem, get, post, signedOut } from "../api/client";
import type { Assertion, Me, PlantCard } from "../ledger/types";
import { concat, fromBase64Url, utf8 } from "../verify/bytes";
import { sha256 } from "../verify/crypto";
import { assertion } from "./passkey";

class Session {
  me = $state<Me | null>(null);
  /** Whether it is known yet if somebody is signed in. */
  known = $state(false);
  /** Said on the sign-in page after a session ended by itself. */
  ended = $state("");
  plant = $state<PlantCard | null>(null);

  constructor() {
    signedOut.listener = () => {
      if (this.me !== null) this.ended = "Your session ended. Sign in again to go on; nothing was lost.";
      this.me = null;
    };
  }

  /** Finds out who is signed in and which plant this is. */
  async begin(): Promise<void> {
    this.plant = await get<PlantCard>("/console/v1/plant");
    try {
      this.me = await get<Me>("/console/v1/session");
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) throw error;
    } finally {
      this.known = true;
    }
  }

  /** Signs in with any passkey of this plant that the person chooses. */
  async signIn(): Promise<void> {
    const { nonce } = await post<{ nonce: string; expires_at: number }>("/console/v1/challenges");
    const challenge = await signInChallenge(location.origin, nonce);
    const found = await assertion(challenge, null);
    const body: { nonce: string; credential: string; assertion: Assertion } = { nonce, ...found };
    this.me = await post<Me>("/console/v1/sessions", body);
    this.ended = "";
  }

  async signOut(): Promise<void> {
    await post<undefined>("/console/v1/session", undefined, "DELETE");
    this.me = null;
  }

  /** Whether the person has one of these roles. */
  has(...roles: Me["roles"]): boolean {
    return this.me?.roles.some((role) => roles.includes(role)) ?? false;
  }
}

/** The challenge of a sign-in. */
async function signInChallenge(origin: string, nonce: string): Promise<Uint8Array> {
  return sha256(concat(utf8(`interlock/sign-in/v1\0${origin}\0`), fromBase64Url(nonce, "nonce")));
}

export const session = new Session();
