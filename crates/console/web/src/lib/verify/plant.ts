/**
 * What happened on a ledger: the fold of `crates/plant` over leaves that are proven already. It
 * holds every rule of that fold except the policy's text (Cedar), which is not evaluated here.
 */
import type { Grant, Order, Program, Recording, Report, RunEnded, Template } from "./body";
import { Broken } from "./broken";
import { wordOf, type Leaf } from "./entry";
import { Keyring, type Signed } from "./keyring";
import { MAX_LOG_SIZE } from "./merkle";
import type { Digest, Id, Millis } from "./shape";

const DAY_MS = 24 * 60 * 60 * 1000;
const MAX_GRANT_MS = 90 * DAY_MS;
const MAX_RECORDINGS = 64;

/** An entry with its place. */
export interface Logged extends Signed {
  index: number;
}

export interface OrderState {
  order: Order;
  entry: Logged;
  status: "pending" | "started" | "refused" | RunEnded["outcome"];
  ended?: { run: RunEnded; entry: Logged };
  recordings: Set<string>;
}

export interface RecordingState {
  recording: Recording;
  index: number;
  shred?: Digest;
  shredded: boolean;
}

export interface GrantState {
  grant: Grant;
  entry: Logged;
  used: number;
  reads: number;
  revoked?: number;
}

export interface ReportState {
  report: Report;
  entry: Logged;
  passport?: Digest;
}

export class Plant {
  readonly programs = new Map<Id, Program>();
  readonly templates = new Map<Id, Template>();
  readonly orders = new Map<Digest, OrderState>();
  readonly recordings = new Map<string, RecordingState>();
  readonly grants = new Map<Digest, GrantState>();
  readonly reports = new Map<Digest, ReportState>();
  readonly enrolments = new Map<Id, Digest>();
  readonly entries: Logged[] = [];
  private readonly byId = new Map<Digest, Logged>();
  private readonly holds = new Map<Digest, { cell: Id | undefined; releases: Set<Id> }>();
  private readonly used = new Set<string>();
  private size = 1;

  private constructor(readonly ring: Keyring) {}

  static async begin(leaf: Leaf): Promise<Plant> {
    const [ring, entry] = await Keyring.begin(leaf);
    const plant = new Plant(ring);
    plant.used.add(nonceOf(leaf, entry));
    plant.note({ ...entry, index: 0 });
    return plant;
  }

  entry(id: Digest): Logged | undefined {
    return this.byId.get(id);
  }

  /** Verifies and takes in the leaf at `index`; what lies between is unknown. */
  async append(index: number, leaf: Leaf): Promise<Logged> {
    const name = `entry ${index} (${wordOf(leaf.entry)})`;
    if (index < this.size || index >= MAX_LOG_SIZE) {
      throw new Broken(name, `it follows entry ${this.size - 1}`);
    }
    const entry: Logged = { ...(await this.ring.verify(leaf, name)), index };
    const nonce = nonceOf(leaf, entry);
    if (this.byId.has(entry.id) || this.used.has(nonce)) {
      throw new Broken(name, "its nonce was used before by this issuer");
    }
    const reason = this.objection(entry);
    if (reason !== undefined) throw new Broken(name, reason);
    this.used.add(nonce);
    await this.apply(entry);
    this.note(entry);
    return entry;
  }

  private note(entry: Logged): void {
    this.size = entry.index + 1;
    this.entries.push(entry);
    this.byId.set(entry.id, entry);
  }

  /** Why an entry may not stand where it stands. */
  private objection(entry: Logged): string | undefined {
    const { body, issuer, loggedAt } = entry;
    switch (body.word) {
      case "order":
        return this.againstOrder(body.value, loggedAt);
      case "run-started":
        return this.againstRun(entry, body.value.order, ["pending"]);
      case "run-ended":
        return this.againstRun(entry, body.value.order, ["started"]);
      case "recording":
        return this.againstRecording(entry, body.value);
      case "grant":
        return this.againstGrant(body.value, loggedAt);
      case "revoke-grant": {
        const state = this.grants.get(body.value.grant);
        return state && state.revoked === undefined ? undefined : "no such grant is in force";
      }
      case "shred":
        return this.hasKey(body.value.root) ? undefined : "no such recording has a key";
      case "shredded": {
        const state = this.recordings.get(body.value.root);
        const asked = state?.shred === body.value.shred && !state.shredded;
        return asked ? undefined : "nobody asked to destroy this key, or it is gone";
      }
      case "read":
        return this.againstRead(body.value, loggedAt);
      case "report":
        return this.againstReport(body.value, issuer);
      case "passport": {
        const state = this.reports.get(body.value.report);
        const fits = state?.report.part === body.value.part && state.passport === undefined;
        return fits ? undefined : "no such report, another part, or its passport is issued";
      }
      case "release": {
        const hold = this.holds.get(body.value.hold);
        if (hold === undefined) return "no such hold is in force";
        return hold.releases.has(issuer) ? "its issuer has signed this release before" : undefined;
      }
      default:
        return undefined;
    }
  }

  private againstOrder(order: Order, now: Millis): string | undefined {
    if (!this.ring.hasRole(order.cell, "cell")) return `\`${order.cell}\` is not a cell`;
    const program = this.programs.get(order.program.id);
    if (program?.sha256 !== order.program.sha256) return "its program is not the approved one";
    if (!program.cells.includes(order.cell)) return "its program is not approved for this cell";
    const names = Object.keys(order.parameters).sort().join();
    if (Object.keys(program.parameters).sort().join() !== names) return "other parameters";
    for (const [name, value] of Object.entries(order.parameters)) {
      const bounds = program.parameters[name];
      if (!bounds || value < bounds.min || value > bounds.max)
        return `\`${name}\` is out of bounds`;
    }
    const { not_before: from, not_after: until } = order;
    if (from >= until || until - from > DAY_MS || from - now > DAY_MS) {
      return "a window of at most 24 hours within 24 hours is expected";
    }
    if (until <= now) return "it had expired when it was logged";
    const held = [...this.holds.values()].some(({ cell }) => (cell ?? order.cell) === order.cell);
    return held ? "a hold was in force" : undefined;
  }

  private againstRun(
    entry: Logged,
    id: Digest,
    states: readonly OrderState["status"][],
  ): string | undefined {
    const state = this.orders.get(id);
    if (state === undefined) return "its order is not on the ledger";
    if (state.order.cell !== entry.issuer) return `its order is for cell \`${state.order.cell}\``;
    return states.includes(state.status) ? undefined : `the order is ${state.status} already`;
  }

  private againstRecording(entry: Logged, recording: Recording): string | undefined {
    const states = ["started", "finished", "stopped", "failed"] as const;
    const objection = this.againstRun(entry, recording.order, states);
    if (objection !== undefined) return objection;
    if (this.recordings.has(recording.root)) return "that recording is registered already";
    return /^[0-9A-Za-z]{0,128}$/.test(recording.root) ? undefined : "its root is no CID";
  }

  private hasKey(root: string): boolean {
    const state = this.recordings.get(root);
    return state !== undefined && state.shred === undefined;
  }

  /** Whether a member has what a reader needs, except the policy's leave. */
  private mayRead(member: Id): boolean {
    const sealed = this.ring.members.get(member)?.member.seal !== undefined;
    return sealed && this.ring.signs(member);
  }

  private againstGrant(grant: Grant, now: Millis): string | undefined {
    if (!this.mayRead(grant.processor)) return `\`${grant.processor}\` is no reader with keys`;
    const count = grant.recordings.length;
    if (count < 1 || count > MAX_RECORDINGS) return `it names ${count} recordings`;
    if (!grant.recordings.every((root) => this.hasKey(root))) {
      return "it names a recording that is not in the vault";
    }
    if (this.orders.get(grant.order)?.status !== "finished") return "its run did not finish";
    const { not_before: from, not_after: until } = grant;
    const bounded = until - from <= MAX_GRANT_MS && from - now <= MAX_GRANT_MS;
    return from < until && bounded && until > now ? undefined : "its time is out of bounds";
  }

  private againstRead(
    read: { bytes: number; grant: Digest; root: string },
    now: Millis,
  ): string | undefined {
    const state = this.grants.get(read.grant);
    if (state === undefined) return "its grant is not on the ledger";
    const { grant } = state;
    if (state.revoked !== undefined) return `its grant was revoked at index ${state.revoked}`;
    if (now < grant.not_before || now >= grant.not_after) return "its grant did not last then";
    if (!grant.recordings.includes(read.root)) return "its grant does not name that recording";
    if (!this.hasKey(read.root)) return "the recording's key is destroyed";
    if (read.bytes > Math.max(0, grant.budget - state.used)) return "its grant's budget is used up";
    return this.mayRead(grant.processor) ? undefined : "the reader may read no more";
  }

  private againstReport(report: Report, issuer: Id): string | undefined {
    const state = this.grants.get(report.grant);
    if (state === undefined) return "its grant is not on the ledger";
    const { grant } = state;
    if (grant.processor !== issuer) return `its grant is to \`${grant.processor}\``;
    if (state.revoked !== undefined) return "its grant was revoked";
    const granted = report.inputs.every((root) => grant.recordings.includes(root));
    if (grant.order !== report.order || report.inputs.length === 0 || !granted) {
      return "it names a run or inputs that its grant does not";
    }
    if (this.orders.get(report.order)?.order.part !== report.part) return "another part's order";
    const enrols = report.analyses.some(({ verdict }) => verdict === "enrolled");
    return enrols && this.enrolments.has(report.part) ? "the part is enrolled already" : undefined;
  }

  private async apply(entry: Logged): Promise<void> {
    const { body, issuer, id, index } = entry;
    const { change, touched } = await this.ring.apply(entry, index);
    if (change?.word === "program") this.programs.set(change.value.id, change.value);
    if (change?.word === "template") this.templates.set(change.value.id, change.value);
    if (touched !== undefined) this.withdraw(touched, index);
    switch (body.word) {
      case "order":
        this.orders.set(id, {
          order: body.value,
          entry,
          status: "pending",
          recordings: new Set(),
        });
        break;
      case "run-started":
        this.withOrder(body.value.order, (state) => (state.status = "started"));
        break;
      case "run-ended":
        this.withOrder(body.value.order, (state) => {
          state.status = body.value.outcome;
          state.ended = { run: body.value, entry };
        });
        break;
      case "refused":
        this.withOrder(body.value.request, (state) => {
          if (state.status === "pending" && state.order.cell === issuer) state.status = "refused";
        });
        break;
      case "recording":
        this.withOrder(body.value.order, (state) => state.recordings.add(body.value.root));
        this.recordings.set(body.value.root, { recording: body.value, index, shredded: false });
        break;
      case "grant":
        this.grants.set(id, { grant: body.value, entry, used: 0, reads: 0 });
        break;
      case "revoke-grant": {
        const state = this.grants.get(body.value.grant);
        if (state) state.revoked = index;
        break;
      }
      case "shred": {
        const state = this.recordings.get(body.value.root);
        if (state) state.shred = id;
        break;
      }
      case "shredded": {
        const state = this.recordings.get(body.value.root);
        if (state) state.shredded = true;
        break;
      }
      case "read": {
        const state = this.grants.get(body.value.grant);
        if (state) {
          state.used += body.value.bytes;
          state.reads += 1;
        }
        break;
      }
      case "report":
        if (body.value.analyses.some(({ verdict }) => verdict === "enrolled")) {
          this.enrolments.set(body.value.part, id);
        }
        this.reports.set(id, { report: body.value, entry });
        break;
      case "passport": {
        const state = this.reports.get(body.value.report);
        if (state) state.passport = body.value.credential;
        break;
      }
      case "hold":
        this.holds.set(id, { cell: body.value.cell, releases: new Set() });
        break;
      case "release":
        this.release(body.value.hold, issuer);
        break;
      default:
    }
  }

  private withOrder(id: Digest | undefined, change: (state: OrderState) => void): void {
    const state = id === undefined ? undefined : this.orders.get(id);
    if (state) change(state);
  }

  /** The grants of one that may read no more end; what it signed for a hold goes. */
  private withdraw(member: Id, index: number): void {
    if (!this.mayRead(member)) {
      for (const state of this.grants.values()) {
        if (state.grant.processor === member) state.revoked ??= index;
      }
    }
    this.holds.forEach((hold) => hold.releases.delete(member));
  }

  private release(id: Digest, person: Id): void {
    const hold = this.holds.get(id);
    if (hold?.releases.add(person) && hold.releases.size >= 2) this.holds.delete(id);
  }
}

/** Nonces are bound to the issuer and to the cell that the entry names. */
function nonceOf(leaf: Leaf, entry: Signed): string {
  const { body, issuer } = entry;
  const bound = body.word === "order" || body.word === "hold" ? body.value.cell : undefined;
  return `${issuer}/${bound ?? ""}/${leaf.entry.statement.nonce}`;
}
