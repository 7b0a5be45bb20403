/** Which analysis programs and softwares judged, how often, and what they said. Pure. */
import type { Digest, Reported, Verdict } from "../ledger/types";

export interface Model {
  /** Unique: an analysis' name with its program, or a software. */
  key: string;
  kind: "program" | "software";
  /** `identity`, `inspection`; empty for a software. */
  name: string;
  digest: Digest;
  reports: number;
  verdicts: Partial<Record<Verdict, number>>;
  /** Who used it. */
  by: string[];
  /** Its first and last report: index and identifier. */
  first: { id: Digest; index: number };
  last: { id: Digest; index: number };
}

/** All that stand in the reports, the ones used last first. */
export function modelsOf(reports: readonly [Digest, Reported][]): Model[] {
  const found = new Map<string, Model>();
  for (const [id, { report, index, issuer }] of reports) {
    const at = { id, index };
    const take = (kind: Model["kind"], name: string, digest: Digest, verdicts: Verdict[]): void => {
      const key = `${kind}/${name}/${digest}`;
      const model = found.get(key) ?? { key, kind, name, digest, reports: 0, verdicts: {}, by: [], first: at, last: at };
      model.reports += 1;
      for (const verdict of verdicts) model.verdicts[verdict] = (model.verdicts[verdict] ?? 0) + 1;
      if (!model.by.includes(issuer)) model.by.push(issuer);
      if (index < model.first.index) model.first = at;
      if (index > model.last.index) model.last = at;
      found.set(key, model);
    };
    for (const { name, program, verdict } of report.analyses) take("program", name, program, [verdict]);
    take("software", "", report.software, report.analyses.map((a) => a.verdict));
  }
  return [...found.values()].sort((a, b) => b.last.index - a.last.index || a.key.localeCompare(b.key));
}
