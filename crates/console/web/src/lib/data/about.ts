/** The console's pages that an entry is about. Pure. */
import type { Body, Digest } from "../ledger/types";

export function aboutOf(body: Body, id: Digest): { what: string; href: string }[] {
  const run = (order: Digest): { what: string; href: string }[] => [
    { what: "the run", href: `/runs/${order}` },
    { what: "its trace", href: `/trace?order=${order}` },
  ];
  if ("order" in body) return run(id);
  if ("run-started" in body) return run(body["run-started"].order);
  if ("run-ended" in body) return run(body["run-ended"].order);
  if ("recording" in body) return [{ what: "the recording", href: `/recordings/${body.recording.root}` }, ...run(body.recording.order)];
  if ("grant" in body) return [{ what: "the grant", href: `/grants/${id}` }, ...run(body.grant.order)];
  if ("revoke-grant" in body) return [{ what: "the grant", href: `/grants/${body["revoke-grant"].grant}` }];
  if ("read" in body) {
    return [{ what: "the grant", href: `/grants/${body.read.grant}` }, { what: "the recording", href: `/recordings/${body.read.root}` }];
  }
  if ("report" in body) return [{ what: "the report", href: `/reports/${id}` }, ...run(body.report.order)];
  if ("passport" in body) {
    const { part, report } = body.passport;
    return [{ what: "the passport", href: `/passport/${encodeURIComponent(part)}?report=${report}` }, { what: "the report", href: `/reports/${report}` }];
  }
  if ("shred" in body) return [{ what: "the recording", href: `/recordings/${body.shred.root}` }];
  if ("shredded" in body) return [{ what: "the recording", href: `/recordings/${body.shredded.root}` }];
  if ("propose" in body || "approve" in body) return [{ what: "changes", href: "/changes" }];
  if ("accept" in body || "revoke-key" in body) return [{ what: "people", href: "/people" }];
  return [];
}
