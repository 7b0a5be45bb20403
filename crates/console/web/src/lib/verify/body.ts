/** What an entry can state: the shapes of `crates/plant/src/body.rs`. */
import { Broken } from "./broken";
import type { Json } from "./jcs";
import { passkey, publicKey } from "./keys";
import * as shape from "./shape";

/** In the order in which a set of roles is written. */
export const ROLES = [
  "operator",
  "integrator",
  "ml-engineer",
  "security-officer",
  "auditor",
  "processor",
  "cell",
  "site",
] as const;
export type Role = (typeof ROLES)[number];

const roles = shape.set<Role>(shape.oneOf(...ROLES), (a, b) => ROLES.indexOf(a) - ROLES.indexOf(b));

const member = shape.object(
  { id: shape.id, keys: shape.list(publicKey), name: shape.text, roles },
  { seal: shape.base64url },
);
export type Member = shape.Read<typeof member>;

const genesis = shape.object({
  clock_skew_ms: shape.u64,
  freshness_ms: shape.u64,
  issuer: shape.text,
  log: shape.text,
  members: shape.list(member),
  name: shape.text,
  origin: shape.text,
  policy: shape.text,
  quorum: shape.u32,
  vault: shape.base64url,
  witnesses: shape.list(shape.text),
});
export type Genesis = shape.Read<typeof genesis>;

const parameter = shape.object({
  default: shape.i64,
  max: shape.i64,
  min: shape.i64,
  title: shape.text,
  unit: shape.text,
});
const program = shape.object({
  cells: shape.set(shape.id),
  id: shape.id,
  parameters: shape.map(parameter),
  sha256: shape.digest,
  title: shape.text,
});
export type Program = shape.Read<typeof program>;

const template = shape.object({
  id: shape.id,
  sha256: shape.digest,
  title: shape.text,
  view: shape.u32,
});
export type Template = shape.Read<typeof template>;

const keys = shape.object(
  {},
  {
    authorities: shape.list(shape.base64url),
    log: shape.text,
    vault: shape.base64url,
    witnesses: shape.object({ keys: shape.list(shape.text), quorum: shape.u32 }),
  },
);
/** New keys of the plant itself; what is absent stays. */
export type Keys = shape.Read<typeof keys>;

const change = shape.tagged({
  member,
  roles: shape.object({ member: shape.id, roles }),
  policy: shape.object({ text: shape.text }),
  program,
  template,
  keys,
});
/** A change of the rules. */
export type Change = shape.Read<typeof change>;

const order = shape.object({
  cell: shape.id,
  max_lag: shape.u64,
  not_after: shape.millis,
  not_before: shape.millis,
  parameters: shape.map(shape.i64),
  part: shape.id,
  program: shape.object({ id: shape.id, sha256: shape.digest }),
});
export type Order = shape.Read<typeof order>;

const runEnded = shape.object({
  lost: shape.u64,
  order: shape.digest,
  outcome: shape.oneOf("finished", "stopped", "failed"),
  reason: shape.text,
  samples: shape.u64,
  viewpoints: shape.u32,
});
export type RunEnded = shape.Read<typeof runEnded>;

const recording = shape.object({
  bytes: shape.u64,
  commitment: shape.digest,
  manifest: shape.digest,
  order: shape.digest,
  root: shape.text,
  stream: shape.id,
});
export type Recording = shape.Read<typeof recording>;

const RULES = [
  "format",
  "signature",
  "enrolment",
  "policy",
  "replay",
  "time",
  "inclusion",
  "freshness",
  "hold",
  "target",
  "parameters",
  "grant",
  "budget",
  "approval",
  "state",
  "limit",
] as const;

const refused = shape.object(
  {
    gate: shape.text,
    refusal: shape.object({
      who: shape.text,
      what: shape.text,
      rule: shape.oneOf(...RULES),
      reason: shape.text,
      accepted: shape.text,
    }),
  },
  { request: shape.digest },
);

const grant = shape.object({
  budget: shape.u64,
  not_after: shape.millis,
  not_before: shape.millis,
  order: shape.digest,
  processor: shape.id,
  purpose: shape.text,
  recordings: shape.set(shape.text),
  terms: shape.list(
    shape.object({ enforcement: shape.oneOf("enforced", "contractual"), text: shape.text }),
  ),
});
export type Grant = shape.Read<typeof grant>;

const read = shape.object({
  bytes: shape.u64,
  cid: shape.text,
  grant: shape.digest,
  root: shape.text,
});

const verdict = shape.oneOf("enrolled", "confirmed", "denied", "pass", "fail", "undetermined");
export type Verdict = shape.Read<typeof verdict>;

const analysis = shape.object(
  {
    details: shape.anything,
    name: shape.id,
    program: shape.digest,
    score: shape.number,
    threshold: shape.number,
    verdict,
  },
  { reference: shape.digest },
);
export type Analysis = shape.Read<typeof analysis>;

const picture = shape.object({
  media_type: shape.text,
  name: shape.text,
  sha256: shape.digest,
});
export type Picture = shape.Read<typeof picture>;

const report = shape.object({
  analyses: shape.list(analysis),
  grant: shape.digest,
  inputs: shape.set(shape.text),
  order: shape.digest,
  part: shape.id,
  pictures: shape.list(picture),
  software: shape.digest,
});
export type Report = shape.Read<typeof report>;

const body = shape.tagged({
  genesis,
  propose: ((value, what) => {
    change(value, what);
    return value;
  }) as shape.Reader<Json>,
  approve: shape.object({ proposal: shape.digest }),
  accept: shape.object({ passkey }, { seal: shape.base64url }),
  "revoke-key": shape.object({ key: shape.digest, member: shape.id, reason: shape.text }),
  order,
  "run-started": shape.object({ checkpoint: shape.u64, order: shape.digest }),
  "run-ended": runEnded,
  recording,
  refused,
  grant,
  "revoke-grant": shape.object({ grant: shape.digest, reason: shape.text }),
  shred: shape.object({ reason: shape.text, root: shape.text }),
  shredded: shape.object({ commitment: shape.digest, root: shape.text, shred: shape.digest }),
  read,
  report,
  passport: shape.object({ credential: shape.digest, part: shape.id, report: shape.digest }),
  hold: shape.object({ reason: shape.text }, { cell: shape.id }),
  release: shape.object({ hold: shape.digest }),
});

/** The typed body of a statement, by its word. */
export type Body = shape.Read<typeof body>;

/** Reads a body; one that this version does not know is refused. */
export function readBody(value: Json, what: string): Body {
  try {
    return body(value, "body");
  } catch (error) {
    if (error instanceof Broken) throw new Broken(what, `${error.what}: ${error.reason}`);
    throw error;
  }
}

/** The change that a proposal's body proposes. */
export function readChange(value: Json): Change {
  return change(value, "body/propose");
}
