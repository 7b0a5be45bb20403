/** Which entries of a ledger belong into the passport of a report (`passport/src/excerpt.rs`). */
import type { Logged } from "../plant";
import type { Digest } from "../shape";

/** The indexes that belong, among `entries` in the order of the ledger. */
export function excerptOf(report: Digest, entries: readonly Logged[]): Set<number> {
  const filed = entries.flatMap((entry) =>
    entry.body.word === "report" ? [{ entry, report: entry.body.value }] : [],
  );
  const subject = filed.find(({ entry }) => entry.id === report);
  const enrolment =
    subject &&
    filed.find(
      (one) =>
        one.report.part === subject.report.part &&
        one.entry.index < subject.entry.index &&
        one.report.analyses.some(({ verdict }) => verdict === "enrolled"),
    );
  const reports = [subject, enrolment].filter((one) => one !== undefined);
  const grants = new Set(reports.map((one) => one.report.grant));
  const orders = new Set(reports.map((one) => one.report.order));
  const roots = new Set<string>();
  for (const { id, body } of entries) {
    if (body.word === "grant" && grants.has(id)) {
      orders.add(body.value.order);
      body.value.recordings.forEach((root) => roots.add(root));
    }
  }
  const ours = new Set(orders);
  for (const { body } of entries) {
    if (body.word === "recording" && roots.has(body.value.root)) orders.add(body.value.order);
  }
  const belongs = ({ id, body }: Logged): boolean => {
    switch (body.word) {
      case "genesis":
      case "propose":
      case "approve":
      case "accept":
      case "revoke-key":
        return true;
      case "order":
        return orders.has(id);
      case "run-started":
      case "run-ended":
        return orders.has(body.value.order);
      case "recording":
        return roots.has(body.value.root) || ours.has(body.value.order);
      case "grant":
        return grants.has(id);
      case "revoke-grant":
        return grants.has(body.value.grant);
      case "read":
        return subject?.report.grant === body.value.grant;
      case "shred":
      case "shredded":
        return roots.has(body.value.root);
      case "report":
        return reports.some((one) => one.entry.id === id);
      default:
        return false;
    }
  };
  return new Set(entries.filter(belongs).map(({ index }) => index));
}
