/**
 * A cell as it moves: the newest frame, and the last minute for the plots. Frames
 * come twenty times a second, so they are no reactive state; what a page says in
 * words is, and changes twice a second.
 */
import { BACKGROUND } from "../api/client";
import { Stream } from "../api/stream";
import type { Frame, Id, Running } from "../ledger/types";
import { limitsOf, parseFrame, rowOf, WIDTH, type Limits } from "./frame";
import { Ring } from "./ring";

/** A minute of frames. */
const CAPACITY = 60 * 20;
/** Words follow the frames at this pace. */
const WORDS_MS = 500;
/** Without a frame for so long, the view is said to stand still. */
const QUIET_MS = 3000;

/** What a page says of the robot. */
export interface Words {
  at: number;
  mode: string;
  safety: string;
  runtime: string;
  speedScaling: number | null;
  run: Running | null;
  limits: Limits | null;
}

export class Feed {
  newest: Frame | null = null;
  readonly ring = new Ring(WIDTH, CAPACITY);
  /** Counts frames, so that a drawing loop sees whether there is a new one. */
  frames = 0;

  words = $state.raw<Words | null>(null);
  connected = $state(false);
  /** No frame came lately. */
  quiet = $state(false);
  /** Why there is no view, while there is none. */
  trouble = $state("");

  private readonly stream: Stream;
  private readonly clock: ReturnType<typeof setInterval>;
  private came = performance.now();
  private readonly url: string;

  constructor(cell: Id) {
    this.url = `/console/v1/cells/${encodeURIComponent(cell)}/live`;
    this.clock = setInterval(() => this.say(), WORDS_MS);
    this.stream = new Stream(this.url, {
      events: { frame: (data) => this.take(parseFrame(data)) },
      opened: () => {
        this.connected = true;
        this.trouble = "";
      },
      broken: (refused) => {
        this.connected = false;
        if (refused) void this.refused();
        else this.trouble = "the live view broke off; it is being taken up again";
      },
    });
  }

  /** An event source does not say why it was refused; an ordinary request does. */
  private async refused(): Promise<void> {
    const stop = new AbortController();
    try {
      const response = await fetch(this.url, { credentials: "same-origin", headers: BACKGROUND, signal: stop.signal });
      const body: unknown = response.ok ? null : await response.json().catch(() => null);
      const detail = typeof body === "object" && body !== null && "detail" in body ? String(body.detail).slice(0, 500) : "";
      this.trouble = detail || "the live view was refused; it is tried again";
    } catch {
      this.trouble = "the site cannot be reached; the live view is tried again";
    } finally {
      stop.abort();
    }
  }

  private take(frame: Frame | null): void {
    if (frame === null) return;
    this.came = performance.now();
    // A cell's clock that was set back begins a new minute.
    if (this.newest !== null && frame.at < this.newest.at) this.ring.clear();
    this.newest = frame;
    this.frames += 1;
    this.ring.push(rowOf(frame));
    if (this.words === null) this.say();
  }

  private say(): void {
    this.quiet = performance.now() - this.came > QUIET_MS;
    const frame = this.newest;
    if (frame === null || frame.at === this.words?.at) return;
    const { at, mode, safety, runtime, speed_scaling, run } = frame;
    this.words = { at, mode, safety, runtime, speedScaling: speed_scaling, run, limits: limitsOf(frame) };
  }

  close(): void {
    this.stream.close();
    clearInterval(this.clock);
  }
}
