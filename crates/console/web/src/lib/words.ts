/** Numbers, times and entries in words for people; what others wrote is marked as theirs. */
import { foreign } from "./foreign";
import type { Body, Digest, Millis, OrderState, RunStatus, Verdict } from "./ledger/types";
import { wordOf } from "./ledger/types";

/** The first digits of a digest, as they are shown. */
export function short(digest: string): string {
  return digest.length > 12 ? digest.slice(0, 8) : digest;
}

/** Enough digits of a digest to compare it by: nobody finds another one with the same. */
export function comparable(digest: string): string {
  return digest.slice(0, 16);
}

/** The beginning and end of a CID. */
export function shortCid(cid: string): string {
  return cid.length > 18 ? `${cid.slice(0, 8)}…${cid.slice(-6)}` : cid;
}

/** Bytes with a binary unit. */
export function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}

/** A time in the viewer's zone. */
export function localTime(at: Millis): string {
  const date = new Date(at);
  const today = new Date().toDateString() === date.toDateString();
  const time = date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  if (today) return time;
  return `${date.toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" })}, ${time}`;
}

/** The exact time in UTC. */
export function utc(at: Millis): string {
  return new Date(at).toISOString().replace("T", " ").replace("Z", " UTC");
}

/** What a machine says, for people: times in the viewer's zone, names without backticks, digests short. */
export function humane(text: string): string {
  return text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, (at) => localTime(Date.parse(at))).replace(/`([^`]*)`/g, "$1").replace(/\b[0-9a-f]{64}\b/g, short);
}

/** A span of time: "3 min 20 s". */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  const days = Math.floor(seconds / 86_400);
  return `${days} ${days === 1 ? "day" : "days"}`;
}

/** "1 run", "2 runs". */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString()} ${n === 1 ? one : many}`;
}

export type Tone = "ok" | "warn" | "bad" | "info" | "plain";

/** How far an order has come: a word, its tone. */
export function statusOf(status: RunStatus): { word: string; tone: Tone } {
  if (status === "pending") return { word: "waiting", tone: "info" };
  if ("started" in status) return { word: "running", tone: "info" };
  if ("refused" in status) return { word: "refused", tone: "bad" };
  if (status.ended === "finished") return { word: "finished", tone: "ok" };
  return { word: status.ended, tone: status.ended === "stopped" ? "warn" : "bad" };
}

/** The status of an order as of now: one whose window is over is not waiting. */
export function orderStatus(state: OrderState, now: Millis): { word: string; tone: Tone } {
  if (state.status === "pending" && state.order.not_after <= now) return { word: "expired", tone: "plain" };
  return statusOf(state.status);
}

export function verdictTone(verdict: Verdict): Tone {
  if (verdict === "denied" || verdict === "fail") return "bad";
  return verdict === "undetermined" ? "warn" : "ok";
}

/** A verdict in words. */
export function verdictWords(verdict: Verdict): string {
  const words: Record<Verdict, string> = {
    enrolled: "first scan: now known", confirmed: "it is the enrolled part", denied: "it is another part",
    pass: "no difference found", fail: "differs", undetermined: "no verdict possible",
  };
  return words[verdict];
}

/** One entry in one sentence, without its issuer. */
export function sentence(body: Body): string {
  if ("genesis" in body) return `began the plant “${foreign(body.genesis.name)}”`;
  if ("propose" in body) return `proposed ${changeWords(body.propose)}`;
  if ("approve" in body) return `approved proposal ${short(body.approve.proposal)}`;
  if ("accept" in body) return "accepted an invitation and enrolled a passkey";
  if ("revoke-key" in body) {
    const { key, member, reason } = body["revoke-key"];
    return `revoked key ${short(key)} of ${member}: ${foreign(reason)}`;
  }
  if ("order" in body) {
    const { program, part, cell } = body.order;
    return `ordered ${program.id} on ${part} in ${cell}`;
  }
  if ("run-started" in body) return `began to move for order ${short(body["run-started"].order)}`;
  if ("run-ended" in body) {
    const { outcome, order, reason } = body["run-ended"];
    return `${outcome} the run of order ${short(order)}${reason === "" ? "" : `: ${foreign(reason)}`}`;
  }
  if ("recording" in body) {
    const { stream, bytes: size, order } = body.recording;
    return `recorded ${stream} (${bytes(size)}) of order ${short(order)}`;
  }
  if ("refused" in body) {
    const { who, what, rule } = body.refused.refusal;
    return `refused ${foreign(what)} to ${foreign(who)} by rule ${rule}`;
  }
  if ("grant" in body) {
    const { recordings, processor, purpose } = body.grant;
    return `granted ${count(recordings.length, "recording")} to ${processor} for ${foreign(purpose)}`;
  }
  if ("revoke-grant" in body) return `revoked grant ${short(body["revoke-grant"].grant)}: ${foreign(body["revoke-grant"].reason)}`;
  if ("shred" in body) return `asked to destroy the key of ${shortCid(body.shred.root)}: ${foreign(body.shred.reason)}`;
  if ("shredded" in body) return `destroyed the key of ${shortCid(body.shredded.root)}`;
  if ("read" in body) {
    const { bytes: size, cid, grant } = body.read;
    return `served ${cid === "key" ? "a key" : bytes(size)} under grant ${short(grant)}`;
  }
  if ("report" in body) {
    const verdicts = body.report.analyses.map((a) => `${a.name} ${a.verdict}`).join(", ");
    return `reported on ${body.report.part}: ${verdicts}`;
  }
  if ("passport" in body) return `issued the passport of ${body.passport.part}`;
  if ("hold" in body) return `placed a hold on ${body.hold.cell ?? "the whole site"}: ${foreign(body.hold.reason)}`;
  if ("release" in body) return `wants hold ${short(body.release.hold)} released`;
  return wordOf(body);
}

/** A change of the rules in a few words. */
export function changeWords(change: import("./ledger/types").Change): string {
  if ("member" in change) return `member ${change.member.id} (${change.member.roles.join(", ") || "no role"})`;
  if ("roles" in change) return `roles of ${change.roles.member}: ${change.roles.roles.join(", ") || "none"}`;
  if ("policy" in change) return "a new policy text";
  if ("program" in change) return `program ${change.program.id} with hash ${comparable(change.program.sha256)}`;
  if ("keys" in change) {
    const { log, witnesses, vault, authorities } = change.keys;
    const whose = [...(log ? ["log"] : []), ...(witnesses ? ["witnesses"] : []), ...(vault ? ["vault"] : []), ...(authorities ? ["certificate authorities"] : [])];
    return `keys of the plant (${whose.join(", ") || "none"})`;
  }
  return `template ${change.template.id}`;
}

/** The entries that an entry names, with what each is to it. */
export function namedBy(body: Body): { what: string; id: Digest }[] {
  if ("approve" in body) return [{ what: "proposal", id: body.approve.proposal }];
  if ("run-started" in body) return [{ what: "order", id: body["run-started"].order }];
  if ("run-ended" in body) return [{ what: "order", id: body["run-ended"].order }];
  if ("recording" in body) return [{ what: "order", id: body.recording.order }];
  if ("grant" in body) return [{ what: "order", id: body.grant.order }];
  if ("revoke-grant" in body) return [{ what: "grant", id: body["revoke-grant"].grant }];
  if ("read" in body) return [{ what: "grant", id: body.read.grant }];
  if ("report" in body) return [{ what: "order", id: body.report.order }, { what: "grant", id: body.report.grant }];
  if ("passport" in body) return [{ what: "report", id: body.passport.report }];
  if ("shredded" in body) return [{ what: "request", id: body.shredded.shred }];
  if ("release" in body) return [{ what: "hold", id: body.release.hold }];
  if ("refused" in body && body.refused.request !== undefined) return [{ what: "request", id: body.refused.request }];
  return [];
}
