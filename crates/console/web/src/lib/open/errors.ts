import { Broken } from "../verify/broken";

/** Why a recording does not open. */
export type Trouble =
  /** The site refused: no grant, spent, revoked, signed out. */
  | "refused"
  /** The site did not answer. */
  | "unreachable"
  /** Something is not what was signed or addressed. */
  | "forged"
  /** The key does not open it: another person's, another grant's, another recording's. */
  | "closed"
  /** Authentic bytes of a form that this reader does not know. */
  | "format"
  /** More than this reader takes. */
  | "limit"
  /** This browser lacks something. */
  | "unsupported"
  /** Somebody stopped it. */
  | "stopped";

/** The one error that opening a recording throws; its message is for people. */
export class OpenError extends Error {
  override readonly name = "OpenError";
  constructor(
    readonly kind: Trouble,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Any error as an {@link OpenError}; `kind` and `what` are for those that are not one yet. */
export function asOpenError(error: unknown, kind: Trouble, what: string): OpenError {
  if (error instanceof OpenError) return error;
  if (error instanceof Broken) return new OpenError("forged", error.message, { cause: error });
  if (error instanceof DOMException && error.name === "AbortError") {
    return new OpenError("stopped", "opening the recording was stopped", { cause: error });
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new OpenError(kind, `${what}: ${reason}`, { cause: error });
}
