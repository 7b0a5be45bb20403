/**
 * The site's API from the browser: requests that end, and problems in words. What the
 * answers hold is typed in `ledger/types`, as far as the site's OpenAPI document types it
 * held against that in `agree`.
 */
import type { Refusal } from "../ledger/types";
import { clock } from "./clock.svelte";

/** An RFC 9457 problem, as every route answers one. */
export interface ProblemBody {
  title?: string;
  status?: number;
  detail: string;
  /** The rule that refused, when one did. */
  rule?: string;
  who?: string;
  what?: string;
  accepted?: string;
}

/** What went wrong with a request, in words for people. */
export class Problem extends Error {
  override readonly name = "Problem";
  constructor(
    readonly status: number,
    readonly body: ProblemBody,
  ) {
    super(body.detail);
  }

  /** The refusal, when a rule refused. */
  get refusal(): Refusal | null {
    const { rule, who, what, accepted, detail } = this.body;
    if (rule === undefined) return null;
    return { rule, who: who ?? "", what: what ?? "", accepted: accepted ?? "", reason: detail };
  }
}

/** Told when an answer says that there is no session any more. */
export const signedOut = { listener: (): void => {} };

async function problem(response: Response): Promise<Problem> {
  const kind = response.headers.get("content-type") ?? "";
  if (response.status === 401) signedOut.listener();
  if (kind.includes("json")) {
    const body: unknown = await response.json().catch(() => null);
    if (typeof body === "object" && body !== null && "detail" in body) {
      return new Problem(response.status, body as ProblemBody);
    }
  }
  const detail = `the site answered ${response.status} without saying why`;
  return new Problem(response.status, { detail, status: response.status });
}

async function send(path: string, init?: RequestInit): Promise<Response> {
  let response: Response;
  const asked = Date.now();
  try {
    response = await fetch(path, { credentials: "same-origin", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, { detail: "the site cannot be reached: check the network, or whether it runs" });
  }
  clock.note(response.headers.get("date"), asked, Date.now());
  if (!response.ok) throw await problem(response);
  return response;
}

/** What a page asks by itself, again and again: it is no sign that somebody is there. */
export const BACKGROUND = { "interlock-background": "true" } as const;

/** Reads JSON. */
export async function get<T>(path: string, init: Pick<RequestInit, "signal" | "headers"> = {}): Promise<T> {
  return (await send(path, init)).json() as Promise<T>;
}

/** Reads text: notes, proofs, credentials. */
export async function getText(path: string): Promise<string> {
  return (await send(path)).text();
}

/** Reads bytes. */
export async function getBytes(path: string, signal?: AbortSignal): Promise<Uint8Array> {
  return new Uint8Array(await (await send(path, signal ? { signal } : {})).arrayBuffer());
}

/** Sends JSON; an answer without a body gives `undefined`. */
export async function post<T>(path: string, body?: unknown, method = "POST", more: { signal?: AbortSignal; headers?: Record<string, string> } = {}): Promise<T> {
  const init: RequestInit = { ...more, method, headers: { "content-type": "application/json", ...more.headers } };
  if (body !== undefined) init.body = typeof body === "string" ? body : JSON.stringify(body);
  const response = await send(path, init);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** Stores bytes. */
export async function put(path: string, bytes: Uint8Array): Promise<void> {
  const headers = { "content-type": "application/octet-stream" };
  await send(path, { method: "PUT", headers, body: bytes as Uint8Array<ArrayBuffer> });
}
