/** Whether a cell will move now, in one sentence, from what it says of itself. */
import type { CellStatus, CellView, OrderState } from "../ledger/types";
import { humane, type Tone } from "../words";

export interface Stance {
  tone: Tone;
  /** One or two words. */
  headline: string;
  /** Why, as a sentence. */
  because: string;
}

/** A sentence for people. */
function sentence(text: string): string {
  const bare = humane(text);
  const whole = bare.charAt(0).toUpperCase() + bare.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/** What a cell will do now. */
export function stance(view: CellView): Stance {
  const { status } = view;
  if (!view.reachable || status === null) {
    return { tone: "bad", headline: "Not reached", because: sentence(view.error ?? "the site cannot reach this cell") };
  }
  const because = status.verdict?.because ?? status.waiting_for ?? (status.ready ? "it is ready, and no order waits" : "it does not say why");
  if (status.run !== null) return { tone: "info", headline: "Moving", because: sentence(because) };
  if (status.verdict?.will_move === true) return { tone: "info", headline: "Will move", because: sentence(because) };
  const unmet = status.reasons?.some((reason) => !reason.ok) ?? !status.ready;
  if (unmet) return { tone: "bad", headline: "Will not move", because: sentence(because) };
  if (status.orders.length > 0) return { tone: "warn", headline: "Waits", because: sentence(because) };
  return { tone: "ok", headline: "Ready", because: "It moves when somebody signs an order. No order waits." };
}

/** A word of the controller for people: `robot_emergency_stop` is "robot emergency stop". */
export function controllerWord(word: unknown): string {
  if (typeof word === "string") return word.replaceAll("_", " ");
  if (typeof word === "object" && word !== null) return Object.entries(word).map(([k, v]) => `${k} ${String(v)}`).join(" ");
  return "unknown";
}

/** How to colour a state of the safety system. */
export function safetyTone(safety: unknown): Tone {
  if (safety === "normal") return "ok";
  return safety === "reduced" || safety === "recovery" ? "warn" : "bad";
}

/** The tone of a certificate's remaining days. */
export function certificateTone(days: number): Tone {
  if (days < 7) return "bad";
  return days < 30 ? "warn" : "ok";
}

/** How many viewpoints a run is to photograph; `null` when its order does not say. */
export function expectedViewpoints(order: OrderState | undefined): number | null {
  const wanted = order?.order.parameters["viewpoints"];
  return wanted === undefined || wanted <= 0 ? null : wanted;
}

/** What controllers are called by their maker. */
const SERIES: Record<string, string> = { ESeries: "e-Series", Cb3: "CB3" };

/** What a cell's connection to its robot is like. */
export function linkWords({ link, name }: CellStatus["robot"]): string {
  if (link.state !== "connected") return `${name}: ${link.state}${link.why === undefined ? "" : `, ${link.why}`}`;
  const rate = link.frequency_hz === undefined ? "" : `, ${link.frequency_hz} Hz`;
  return `${name}: ${SERIES[link.series ?? ""] ?? link.series ?? "connected"} ${link.version?.slice(0, 3).join(".") ?? ""}${rate}`.trim();
}
