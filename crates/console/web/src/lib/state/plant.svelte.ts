/**
 * The plant as the site shows it, kept up to date by the stream of entries. It is
 * the site's word: what must be certain is verified by `lib/verify`.
 */
import { BACKGROUND, Problem, get } from "../api/client";
import { clock } from "../api/clock.svelte";
import { Stream } from "../api/stream";
import { foreign } from "../foreign";
import type {
  CellView, Decision, Digest, GrantState, HoldState, Id, LedgerEvent, MemberState, OrderState,
  Overview, PlantKeys, Program, Proposal, RecordingState, Reported, Template, Word,
} from "../ledger/types";
import { wordOf } from "../ledger/types";
import { Settle } from "./settle";

/** The parts of the plant's state that the console keeps. */
interface Parts {
  members: Record<Id, MemberState>;
  programs: Record<Id, Program>;
  templates: Record<Id, Template>;
  orders: Record<Digest, OrderState>;
  recordings: Record<string, RecordingState>;
  grants: Record<Digest, GrantState>;
  reports: Record<Digest, Reported>;
  holds: Record<Digest, HoldState>;
  proposals: Record<Digest, Proposal>;
  policy: string;
  keys: { now: PlantKeys } | null;
}
type Part = keyof Parts;

/** How many of the newest orders, recordings, grants and reports are kept. */
export const KEPT = 200;
const paged: readonly Part[] = ["orders", "recordings", "grants", "reports"];

/** Which parts an entry changes. */
const touched: Record<Word, readonly Part[]> = {
  genesis: [], propose: ["proposals"],
  approve: ["proposals", "members", "programs", "templates", "policy", "keys", "grants"],
  accept: ["members"], "revoke-key": ["members", "grants", "proposals"],
  order: ["orders"], "run-started": ["orders"], "run-ended": ["orders"],
  recording: ["recordings", "orders"], refused: ["orders"],
  grant: ["grants"], "revoke-grant": ["grants"], read: ["grants"],
  shred: ["recordings"], shredded: ["recordings"],
  report: ["reports"], passport: ["reports"], hold: ["holds"], release: ["holds"],
};

/** The newest entries that are kept for pages that show what happens. */
const NEWS = 200;
/** Changes are read together after this long, so that a burst costs one request. */
const SETTLE_MS = 250;
/** An analysis reads hundreds of blocks, and each is an entry. */
export const READS_MS = 2000;
/** What could not be read is tried again after so long. */
const AGAIN_MS = 3000;

const background = { headers: BACKGROUND };

class PlantState {
  overview = $state.raw<Overview | null>(null);
  members = $state.raw<Record<Id, MemberState>>({});
  programs = $state.raw<Record<Id, Program>>({});
  templates = $state.raw<Record<Id, Template>>({});
  orders = $state.raw<Record<Digest, OrderState>>({});
  recordings = $state.raw<Record<string, RecordingState>>({});
  grants = $state.raw<Record<Digest, GrantState>>({});
  reports = $state.raw<Record<Digest, Reported>>({});
  holds = $state.raw<Record<Digest, HoldState>>({});
  proposals = $state.raw<Record<Digest, Proposal>>({});
  policy = $state.raw("");
  keys = $state.raw<{ now: PlantKeys } | null>(null);
  cells = $state.raw<CellView[]>([]);
  /** Entries that came while the console was open, newest first; bounded. */
  news = $state.raw<LedgerEvent[]>([]);
  /** Whether the stream of entries is connected. */
  live = $state(false);
  /** Whether everything was read once. */
  loaded = $state(false);
  /** Why reading fails, while it does. */
  trouble = $state("");
  /** Counts how often entries may have been missed: who follows them reads anew. */
  missed = $state(0);
  /** This device's clock, once a second. */
  tick = $state(Date.now());

  /** The last entry before the console was opened, as far as known. */
  private start: number | null = null;
  private stream: Stream | null = null;
  private readonly settle = new Settle<Part>((parts) => this.read(parts));
  private timers: ReturnType<typeof setInterval>[] = [];
  private decisions = new Map<string, Promise<Decision>>();

  /** The site's clock, once a second: for ages and countdowns. */
  get now(): number {
    return this.tick + clock.offset;
  }

  /** Begins to follow the plant; idempotent. */
  begin(): void {
    if (this.stream !== null) return;
    this.touch(...all);
    this.listen();
    // Nobody sees a hidden page: it asks for nothing.
    const seen = (read: () => Promise<void>) => (): void => void (document.hidden || read());
    this.timers = [
      setInterval(() => (this.tick = Date.now()), 1000),
      setInterval(seen(() => this.readCells()), 2000),
      setInterval(seen(() => this.readOverview()), 5000),
    ];
    void this.readCells();
  }

  /** Stops, and forgets everything. */
  end(): void {
    this.stream?.close();
    this.stream = null;
    this.timers.forEach(clearInterval);
    this.settle.clear();
    this.start = null;
    this.decisions.clear();
    Object.assign(this, blank, { overview: null, cells: [], news: [], live: false, loaded: false, trouble: "" });
  }

  private listen(): void {
    this.stream = new Stream("/api/v1/events", {
      events: { entry: (data) => this.take(JSON.parse(data) as LedgerEvent), lost: () => this.miss() },
      opened: () => {
        // What was logged while the stream was down is not repeated.
        if (!this.live && this.loaded) this.miss();
        this.live = true;
      },
      broken: () => (this.live = false),
    });
  }

  /** Entries may have been missed: everything is read anew, the newest of them too. */
  private miss(): void {
    this.missed += 1;
    this.touch(...all);
    void this.readCells();
    void this.catchUp();
  }

  private async catchUp(): Promise<void> {
    const last = this.news[0]?.index ?? this.start;
    if (last === null) return;
    const newest = await get<LedgerEvent[]>(`/api/v1/entries?before=${Number.MAX_SAFE_INTEGER}&limit=${NEWS}`, background).catch(() => []);
    if (this.stream !== null) this.hear(...newest.filter(({ index }) => index > last));
  }

  private hear(...events: LedgerEvent[]): void {
    const known = new Map([...this.news, ...events].map((event) => [event.index, event]));
    this.news = [...known.values()].sort((a, b) => b.index - a.index).slice(0, NEWS);
  }

  private take(event: LedgerEvent): void {
    this.hear(event);
    const word = wordOf(event.body);
    if (["approve", "accept", "revoke-key"].includes(word)) this.decisions.clear();
    this.settle.ask(word === "read" ? READS_MS : SETTLE_MS, ...touched[word]);
  }

  /** Reads parts anew, soon. */
  touch(...parts: Part[]): void {
    this.settle.ask(SETTLE_MS, ...parts);
  }

  private async read(parts: Part[]): Promise<void> {
    const { stream } = this;
    try {
      const query = (part: Part): string => (paged.includes(part) ? `?limit=${KEPT}` : "");
      const read = parts.map(async (part) => [part, await get(`/api/v1/state/${part}${query(part)}`, background)] as const);
      const found = await Promise.all(read);
      // Whoever signed out meanwhile leaves nothing behind.
      if (this.stream !== stream || stream === null) return;
      for (const [part, value] of found) Object.assign(this, { [part]: value });
      await this.readOverview();
      this.loaded = true;
      this.trouble = "";
    } catch (error) {
      if (this.stream === null) return;
      this.trouble = error instanceof Error ? error.message : String(error);
      this.settle.ask(AGAIN_MS, ...parts);
    }
  }

  private async readCells(): Promise<void> {
    this.cells = await get<CellView[]>("/console/v1/cells", background).catch(() => this.cells);
  }

  private async readOverview(): Promise<void> {
    try {
      this.overview = await get<Overview>("/api/v1/overview", background);
      this.start ??= this.overview.witnessed - 1;
      this.live = this.stream?.connected ?? false;
    } catch (error) {
      if (error instanceof Problem && error.status === 0) this.live = false;
    }
  }

  /** Asks the policy in force whether a person may do something with a passkey. */
  may(member: Id, action: string, about: { cell?: Id; subject?: string } = {}): Promise<Decision> {
    const query = new URLSearchParams({ member, action, user_verified: "true" });
    if (about.cell !== undefined) query.set("cell", about.cell);
    if (about.subject !== undefined) query.set("subject", about.subject);
    const key = query.toString();
    const known = this.decisions.get(key);
    if (known !== undefined) return known;
    const asked = get<Decision>(`/api/v1/policy/decision?${key}`, background);
    this.decisions.set(key, asked);
    asked.catch(() => this.decisions.delete(key));
    return asked;
  }
}

const blank: Parts = {
  members: {}, programs: {}, templates: {}, orders: {}, recordings: {}, grants: {}, reports: {},
  holds: {}, proposals: {}, policy: "", keys: null,
};

const all = Object.keys(blank) as Part[];

export const plant = new PlantState();

/** A member's name, as somebody else wrote it, for a sentence. */
export function nameOf(id: Id): string {
  return foreign(plant.members[id]?.member.name ?? id);
}

/** The rows of a part, newest first. */
export function newest<T extends { index: number }>(part: Record<string, T>): [string, T][] {
  return Object.entries(part).sort(([, a], [, b]) => b.index - a.index);
}
