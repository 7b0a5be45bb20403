/**
 * What stands on the ledger and what the plant makes of it, as `plant::body` and
 * `plant::state` have it. Times are milliseconds since 1970, digests lower-case
 * hexadecimal, byte strings unpadded base64url.
 */
export type Digest = string;
export type Id = string;
export type Millis = number;
export type Base64Url = string;

export type Role =
  | "operator" | "integrator" | "ml-engineer" | "security-officer" | "auditor"
  | "processor" | "cell" | "site";

export interface Passkey { credential: Base64Url; es256: Base64Url; origin: string; rp_id: string }
export interface Invitation { ed25519: Base64Url; not_after: Millis }
export type PublicKey = { ed25519: Base64Url } | { passkey: Passkey } | { invitation: Invitation };

export interface Member { id: Id; keys: PublicKey[]; name: string; roles: Role[]; seal?: Base64Url }
export interface Parameter { default: number; max: number; min: number; title: string; unit: string }
export interface Program { cells: Id[]; id: Id; parameters: Record<Id, Parameter>; sha256: Digest; title: string }
export interface Template { id: Id; sha256: Digest; title: string; view: number }
export interface ProgramRef { id: Id; sha256: Digest }
export interface Order {
  cell: Id; max_lag: number; not_after: Millis; not_before: Millis;
  parameters: Record<Id, number>; part: Id; program: ProgramRef;
}
export type Outcome = "finished" | "stopped" | "failed";
export interface RunStarted { checkpoint: number; order: Digest }
export interface RunEnded { lost: number; order: Digest; outcome: Outcome; reason: string; samples: number; viewpoints: number }
export interface Recording { bytes: number; commitment: Digest; manifest: Digest; order: Digest; root: string; stream: Id }
export interface Refusal { who: string; what: string; rule: string; reason: string; accepted: string }
export interface Refused { gate: string; refusal: Refusal; request?: Digest }
export interface Term { enforcement: "enforced" | "contractual"; text: string }
export interface Grant {
  budget: number; not_after: Millis; not_before: Millis; order: Digest; processor: Id;
  purpose: string; recordings: string[]; terms: Term[];
}
export interface Read { bytes: number; cid: string; grant: Digest; root: string }
export type Verdict = "enrolled" | "confirmed" | "denied" | "pass" | "fail" | "undetermined";
export interface Analysis {
  details: unknown; name: Id; program: Digest; reference?: Digest;
  score: number; threshold: number; verdict: Verdict;
}
export interface Picture { media_type: string; name: string; sha256: Digest }
export interface Report {
  analyses: Analysis[]; grant: Digest; inputs: string[]; order: Digest; part: Id;
  pictures: Picture[]; software: Digest;
}
export interface Genesis {
  clock_skew_ms: number; freshness_ms: number; issuer: string; log: string; members: Member[];
  name: string; origin: string; policy: string; quorum: number; vault: Base64Url; witnesses: string[];
}

export type Change =
  | { member: Member } | { roles: { member: Id; roles: Role[] } } | { policy: { text: string } }
  | { program: Program } | { template: Template } | { keys: Keys };

/** New keys of the plant itself; what is absent stays. */
export interface Keys {
  /** Roots of the machines' TLS certificates, DER: all that count from then on. */
  authorities?: readonly Base64Url[];
  log?: string; vault?: Base64Url; witnesses?: { keys: string[]; quorum: number };
}

/** The plant's own keys in force, as `/state/keys` shows them under `now`. */
export interface PlantKeys {
  log: { origin: string; log_key: string; witnesses: string[]; quorum: number };
  vault: Base64Url;
  /** None when the ledger states none: each machine then goes by what it was installed with. */
  authorities?: readonly Base64Url[] | null;
}

/** What an entry states: one word, one value. */
export type Body =
  | { genesis: Genesis }
  | { propose: Change } | { approve: { proposal: Digest } }
  | { accept: { passkey: Passkey; seal?: Base64Url } }
  | { "revoke-key": { key: Digest; member: Id; reason: string } }
  | { order: Order } | { "run-started": RunStarted } | { "run-ended": RunEnded }
  | { recording: Recording } | { refused: Refused }
  | { grant: Grant } | { "revoke-grant": { grant: Digest; reason: string } }
  | { shred: { reason: string; root: string } }
  | { shredded: { commitment: Digest; root: string; shred: Digest } }
  | { read: Read } | { report: Report }
  | { passport: { credential: Digest; part: Id; report: Digest } }
  | { hold: { cell?: Id; reason: string } } | { release: { hold: Digest } };

/** The word that names a body. */
export type Word =
  | "genesis" | "propose" | "approve" | "accept" | "revoke-key" | "order" | "run-started"
  | "run-ended" | "recording" | "refused" | "grant" | "revoke-grant" | "shred" | "shredded"
  | "read" | "report" | "passport" | "hold" | "release";

/** The word of a body. */
export function wordOf(body: Body): Word {
  return Object.keys(body)[0] as Word;
}

export interface Statement {
  at: Millis; body: Body; issuer: Id; key: Digest; nonce: Base64Url; site: Id; v: "interlock/1";
}
export interface Assertion { authenticator_data: Base64Url; client_data: Base64Url; signature: Base64Url }
export type Signature = { ed25519: Base64Url } | { passkey: Assertion };
export interface Entry { signature: Signature; statement: Statement }
export interface Leaf { entry: Entry; logged_at: Millis }

/** An entry as it is listed and streamed. */
export interface LedgerEvent { index: number; id: Digest; issuer: Id; logged_at: Millis; body: Body }

// ── the plant's state ──

export interface MemberState { member: Member; accepted: Record<Digest, number>; revoked: Record<Digest, number> }
export interface Proposal { change: Change; proposer: Id; officers: Id[]; effective: boolean }
export type RunStatus = "pending" | { started: number } | { ended: Outcome } | { refused: Refusal };
export interface OrderState {
  order: Order; index: number; issuer: Id; key: Digest; user_verified: boolean; logged_at: Millis;
  status: RunStatus; ended: RunEnded | null; recordings: string[];
}
export interface RecordingState { recording: Recording; index: number; shred: Digest | null; shredded: boolean }
export interface GrantState { grant: Grant; index: number; issuer: Id; used: number; reads: number; revoked: number | null }
export interface Reported { report: Report; index: number; issuer: Id; passport: Digest | null }
export interface HoldState { hold: { cell?: Id; reason: string }; index: number; issuer: Id; releases: Id[] }

export interface Overview {
  site: Id; name: string; genesis: Digest; witnessed: number; witnessed_at: Millis;
  counts: Record<string, number>;
}
export interface Check { rule: string; ok: boolean; found: string; accepted: string; transient: boolean }
export interface Explanation { accepted: boolean; checks: Check[]; refusal: Refusal | null }
export interface Decision { allowed: boolean; because: string[] }
export interface Submitted { id: Digest; index: number; known: boolean }

/** Who is signed in. */
export interface Me {
  member: Id; name: string; roles: Role[]; key: Digest; credential: Base64Url;
  seal: Base64Url | null; expires_at: Millis; idle_ends_at: Millis;
}

/** What `anchors.json` holds. */
export interface Anchors { genesis: Digest; log: unknown; site: Id }
/** What anybody may know of the plant. */
export interface PlantCard { site: Id; name: string; issuer: string; anchors: Anchors; public_passports: boolean }

/** One cell as the site reaches it now. */
export interface CellView {
  cell: Id; reachable: boolean; error: string | null; certificate_days: number | null; status: CellStatus | null;
}
export interface CellStatus {
  ready: boolean;
  waiting_for: string | null;
  orders: { order: Digest; held_back_by: Refusal | null; part: Id | null; program: Id | null; checks: Check[] }[];
  ledger: { size: number | null; root: Digest | null; witnessed_at: Millis | null; age_ms: number | null; distrust: string | null; hold: string | null };
  cell: Id; site: Id; now: Millis;
  robot: {
    name: Id; link: { state: "connecting" | "lost" | "connected"; why?: string; series?: string; version?: number[]; frequency_hz?: number };
    run_active: boolean; mode: string | null; safety: string | null; runtime: string | null;
    joints: number[] | null; tcp_pose: number[] | null; tcp_force: number[] | null;
  };
  run: Running | null;
  outbox: { length: number; waiting: string[]; refused: number };
  certificate_not_after?: Millis;
  software?: string;
  programs?: { id: Id; sha256: Digest; title: string }[];
  last_run?: { order: Digest; part: Id; outcome: Outcome; ended_at: Millis } | null;
  verdict?: { will_move: boolean; because: string };
  reasons?: { rule: string; ok: boolean; words: string }[];
}
export interface Running { order: Digest; run: Id; part: Id; program: Id; since: Millis; viewpoints: number }

/** One frame of a cell's live view; angles in rad, lengths in m, forces in N and N·m. */
export interface Frame {
  at: Millis; q: number[]; qd: number[]; tcp_pose: number[]; tcp_force: number[]; tcp_speed: number[];
  mode: string; safety: string; runtime: string; speed_scaling: number | null; run: Running | null;
  limits: Record<string, unknown> | null;
}
