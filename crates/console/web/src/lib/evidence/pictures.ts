/** A report's pictures: which photograph an explaining picture lies over, and what it shows. */
import { getBytes } from "../api/client";
import type { Analysis, Picture } from "../ledger/types";
import { mustBe } from "./verifier";

/** A picture as its name has it: `photograph: view-1`, `inspection: heat-view-1`. */
export interface Named {
  picture: Picture;
  /** `photograph`, or the analysis that made it. */
  by: string;
  /** `agreement`, `defects`, `heat`; empty for a photograph. */
  kind: string;
  /** `view-1`; empty when it names none. */
  view: string;
}

export function nameOf(picture: Picture): Named {
  const [by = "", rest = ""] = picture.name.split(": ", 2);
  if (by === "photograph") return { picture, by, kind: "", view: rest };
  const [, kind = rest, view = ""] = /^([a-z]+)-(.+)$/.exec(rest) ?? [];
  return { picture, by, kind, view };
}

/** What a picture shows, for people. */
export function wordsOf({ by, kind, view }: Named): string {
  const of = view === "" ? "" : `, ${view}`;
  if (by === "photograph") return `Photograph${of}`;
  const words: Record<string, string> = {
    agreement: "agreement",
    defects: "differences",
    heat: "heat map",
  };
  return `${by}: ${words[kind] ?? kind}${of}`;
}

/** What its colours mean. */
export function legendOf({ kind }: Named): string {
  if (kind === "agreement") return "Green agrees with the enrolled surface, red does not; plain was not compared.";
  if (kind === "heat") return "Yellow differs slightly, red strongly. Drawn on the template, so that edges may lie a little beside the photograph's.";
  if (kind === "defects") return "Each difference has a frame in the colour of its kind.";
  return "";
}

/** The photograph that a picture can lie over: of the same view, or the only one there is. */
export function under(over: Named, all: readonly Named[]): Named | null {
  const photographs = all.filter((one) => one.by === "photograph");
  const same = photographs.find((one) => one.view === over.view);
  if (same !== undefined) return same;
  return over.view === "" && photographs.length === 1 ? (photographs[0] ?? null) : null;
}

/** A picture's address in this page after its bytes were found to be those that the ledger names. */
export async function verifiedPicture(picture: Picture, signal: AbortSignal): Promise<string> {
  const bytes = await getBytes(`/api/v1/blobs/${picture.sha256}`, signal);
  await mustBe(`picture “${picture.name}”`, bytes, picture.sha256);
  const type = picture.media_type === "image/jpeg" ? "image/jpeg" : "image/png";
  return URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>], { type }));
}

/** One place that an inspection found, in pixels of the photograph. */
export interface Defect {
  view: string;
  kind: string;
  x: number;
  y: number;
  w: number;
  h: number;
  confidence: number;
  polarity: string;
}

/** The most rows of an account that are shown: it is a foreign hand's. */
const MOST = 200;

type Fields = Record<string, unknown>;
const fields = (value: unknown): Fields => (typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {});
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value.slice(0, MOST) : []);
const text = (value: unknown): string => (typeof value === "string" ? value.slice(0, 80) : "");
const number = (value: unknown): number => (typeof value === "number" && Number.isFinite(value) ? value : NaN);

/** The views of an analysis' account, whatever it holds. */
function views(analysis: Analysis): Fields[] {
  return list(fields(analysis.details)["views"]).map(fields);
}

/** The defects in an inspection's account. */
export function defectsOf(analysis: Analysis): Defect[] {
  return views(analysis).flatMap((view) =>
    list(view["defects"]).map((one) => {
      const d = fields(one);
      return {
        view: text(view["view"]), kind: text(d["kind"]), polarity: text(d["polarity"]), confidence: number(d["confidence"]),
        x: number(d["x"]), y: number(d["y"]), w: number(d["w"]), h: number(d["h"]),
      };
    }),
  );
}

/** One photograph in an identity's account. */
export interface Looked {
  view: string;
  verdict: string;
  score: number;
  agreeing: number;
  blocks: number;
  turn: number;
  scale: number;
}

/** The photographs in an identity's account. */
export function looksOf(analysis: Analysis): Looked[] {
  return views(analysis)
    .filter((view) => "blocks" in view)
    .map((view) => ({
      view: text(view["view"]), verdict: text(view["verdict"]), score: number(view["score"]), agreeing: number(view["agreeing"]),
      blocks: number(view["blocks"]), turn: number(view["turn_degrees"]), scale: number(view["scale"]),
    }));
}
