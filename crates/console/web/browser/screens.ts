/** The console's pages, as a plant with one finished job has them. */
import { cli } from "./people";

export interface Address { name: string; path: string }

/** A desk, a tablet beside the cell, a phone; the desk at 200 % zoom, and as narrow as 400 % make it. */
export const screens = [
  { width: 1280, height: 800 },
  { width: 1024, height: 768 },
  { width: 820, height: 1180 },
  { width: 390, height: 844 },
  { width: 640, height: 400 },
  { width: 320, height: 256 },
];

/** An address of each page. */
export function addresses(): Address[] {
  const newest = (...words: string[]): string => {
    const all = Object.entries(cli("auditor", ...words) as Record<string, { index: number }>);
    return all.sort(([, a], [, b]) => b.index - a.index)[0]?.[0] ?? "";
  };
  const reports = cli("auditor", "report", "list") as Record<string, { report: { order: string; part: string } }>;
  const report = newest("report", "list");
  const order = reports[report]?.report.order ?? newest("order", "list");
  return [
    { name: "plant", path: "/" },
    { name: "order", path: "/order" },
    { name: "runs", path: "/runs" },
    { name: "run", path: `/runs/${order}` },
    { name: "recordings", path: "/recordings" },
    { name: "recording", path: `/recordings/${newest("recording", "list")}` },
    { name: "grants", path: "/grants" },
    { name: "grant", path: `/grants/${newest("grant", "list")}` },
    { name: "reports", path: "/reports" },
    { name: "report", path: `/reports/${report}` },
    { name: "models", path: "/models" },
    { name: "passports", path: "/passport" },
    { name: "passport", path: `/passport/${reports[report]?.report.part ?? "flange-1"}` },
    { name: "trace", path: `/trace?order=${order}` },
    { name: "ledger", path: "/ledger" },
    { name: "entry", path: "/ledger/0" },
    { name: "changes", path: "/changes" },
    { name: "people", path: "/people" },
    { name: "person", path: "/people/operator" },
    { name: "policy", path: "/policy" },
    { name: "check", path: "/check" },
  ];
}
