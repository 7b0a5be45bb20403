/**
 * The plant as the site shows it, kept up to date by the stream of entries. It is
 * the site's word: what must be certain is verified by `lib/verify`.
 */
import { BACKGROUND, Problem, get } from "../api/client";
import type {
  CellView, Decision, Digest, GrantState, HoldState, Id, LedgerEvent, MemberState, OrderState,
  Overview, Program, Proposal, RecordingState, Reported, Template, Word,
} from "../ledger/types";
import { wordOf } from "../ledger/types";

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
}
type Part = keyof Parts;

/** How many of the newest orders, recordings, grants and reports are kept. */
export const KEPT = 200;
const paged: readonly Part[] = ["orders", "recordings", "grants", "reports"];

/** Which parts an entry changes. */
const touched: Record<Word, readonly Part[]> = {
  genesis: [], propose: ["proposals"],
  approve: ["proposals", "members", "programs", "templates", "policy", "grants"],
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
  cells = $state.raw<CellView[]>([]);
  /** Entries that came while the console was open, newest first; bounded. */
  news = $state.raw<LedgerEvent[]>([]);
  /** Whether the stream of entries is connected. */
  live = $state(false);
  /** Whether everything was read once. */
  loaded = $state(false);
  /** Why reading fails, while it does. */
  trouble = $state("");
  /** The viewer's clock, once a second: for ages and countdowns. */
  now = $state(Date.now());

  private source: EventSource | null = null;
  private stale = new Set<Part>();
  private timers: ReturnType<typeof setInterval>[] = [];
  private settling: ReturnType<typeof setTimeout> | null = null;
  private decisions = new Map<string, Promise<Decision>>();

  /** Begins to follow the plant; idempotent. */
  begin(): void {
    if (this.source !== null) return;
    this.touch(...(Object.keys(blank) as Part[]));
    this.listen();
    this.timers = [
      setInterval(() => (this.now = Date.now()), 1000),
      setInterval(() => void this.readCells(), 2000),
      setInterval(() => void this.readOverview(), 5000),
    ];
    void this.readCells();
  }

  /** Stops, and forgets everything. */
  end(): void {
    this.source?.close();
    this.source = null;
    this.timers.forEach(clearInterval);
    if (this.settling !== null) clearTimeout(this.settling);
    this.settling = null;
    this.stale.clear();
    this.decisions.clear();
    Object.assign(this, blank, { overview: null, cells: [], news: [], live: false, loaded: false, trouble: "" });
  }

  private listen(): void {
    const source = new EventSource("/api/v1/events");
    this.source = source;
    source.onopen = () => {
      // What was logged while the stream was down is not repeated: read all.
      if (!this.live && this.loaded) this.touch(...(Object.keys(blank) as Part[]));
      this.live = true;
    };
    source.onerror = () => (this.live = false);
    source.addEventListener("lost", () => this.touch(...(Object.keys(blank) as Part[])));
    source.addEventListener("entry", (event: MessageEvent<string>) => {
      this.take(JSON.parse(event.data) as LedgerEvent);
    });
  }

  private take(event: LedgerEvent): void {
    this.news = [event, ...this.news.filter((e) => e.index !== event.index)].slice(0, NEWS);
    const word = wordOf(event.body);
    if (["approve", "accept", "revoke-key"].includes(word)) this.decisions.clear();
    this.touch(...touched[word]);
  }

  /** Reads parts anew, soon. */
  touch(...parts: Part[]): void {
    parts.forEach((part) => this.stale.add(part));
    this.settling ??= setTimeout(() => void this.read(), SETTLE_MS);
  }

  private async read(): Promise<void> {
    const parts = [...this.stale];
    this.stale.clear();
    try {
      const query = (part: Part): string => (paged.includes(part) ? `?limit=${KEPT}` : "");
      const read = parts.map(async (part) => [part, await get(`/api/v1/state/${part}${query(part)}`, background)] as const);
      for (const [part, value] of await Promise.all(read)) Object.assign(this, { [part]: value });
      await this.readOverview();
      this.loaded = true;
      this.trouble = "";
    } catch (error) {
      this.trouble = error instanceof Error ? error.message : String(error);
      parts.forEach((part) => this.stale.add(part));
    }
    // What changed meanwhile, or failed, is read after a while.
    const wait = this.trouble === "" ? SETTLE_MS : 3000;
    this.settling = this.stale.size > 0 && this.source !== null ? setTimeout(() => void this.read(), wait) : null;
  }

  private async readCells(): Promise<void> {
    this.cells = await get<CellView[]>("/console/v1/cells", background).catch(() => this.cells);
  }

  private async readOverview(): Promise<void> {
    this.overview = await get<Overview>("/api/v1/overview", background).catch((error: unknown) => {
      if (error instanceof Problem && error.status === 0) this.live = false;
      return this.overview;
    });
  }

  /** Asks the policy in force whether a person may do something with a passkey. */
  may(member: Id, action: string, about: { cell?: Id; subject?: string } = {}): Promise<Decision> {
    const query = new URLSearchParams({ member, action, user_verified: "true" });
    if (about.cell !== undefined) query.set("cell", about.cell);
    if (about.subject !== undefined) query.set("subject", about.subject);
    const key = query.toString();
    const known = this.decisions.get(key);
    if (known !== undefined) return known;
    const asked = get<Decision>(`/api/v1/policy/decision?${key}`);
    this.decisions.set(key, asked);
    asked.catch(() => this.decisions.delete(key));
    return asked;
  }
}

const blank: Parts = {
  members: {}, programs: {}, templates: {}, orders: {}, recordings: {}, grants: {}, reports: {},
  holds: {}, proposals: {}, policy: "",
};

export const plant = new PlantState();

/** The rows of a part, newest first. */
export function newest<T extends { index: number }>(part: Record<string, T>): [string, T][] {
  return Object.entries(part).sort(([, a], [, b]) => b.index - a.index);
}
