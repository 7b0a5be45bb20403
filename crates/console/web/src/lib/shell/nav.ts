/** The console's pages by what people do with them, and what each role looks at first. */
import type { Role } from "../ledger/types";

export interface Link {
  words: string;
  href: string;
  /** The first parts of the paths that belong to it. */
  parts: readonly string[];
}
export interface Group { words: string; links: readonly Link[] }

type GroupName = "Operate" | "Evidence" | "Data" | "Govern";

const link = (words: string, href: string, ...parts: string[]): Link => ({ words, href, parts });

const groups: Record<GroupName, readonly Link[]> = {
  Operate: [link("Plant", "/", ""), link("Order", "/order", "order"), link("Runs", "/runs", "runs")],
  Evidence: [
    link("Trace", "/trace", "trace"), link("Passports", "/passport", "passport", "check"),
    link("Ledger", "/ledger", "ledger"),
  ],
  Data: [
    link("Recordings", "/recordings", "recordings"), link("Grants", "/grants", "grants"),
    link("Reports", "/reports", "reports"), link("Models", "/models", "models"),
  ],
  Govern: [
    link("Changes", "/changes", "changes"), link("People", "/people", "people"),
    link("Policy", "/policy", "policy"),
  ],
};

/** What each role does most, first. Operating stays near for everybody. */
const orders: Partial<Record<Role, readonly GroupName[]>> = {
  operator: ["Operate", "Evidence", "Data", "Govern"],
  "security-officer": ["Govern", "Operate", "Evidence", "Data"],
  auditor: ["Evidence", "Operate", "Data", "Govern"],
  "ml-engineer": ["Data", "Operate", "Evidence", "Govern"],
  integrator: ["Operate", "Govern", "Data", "Evidence"],
};
/** Whose order counts for a person with several roles. */
const leading: readonly Role[] = ["operator", "security-officer", "integrator", "ml-engineer", "auditor"];

/** The role that shapes what a person sees first. */
export function leadingRole(roles: readonly Role[]): Role | null {
  return leading.find((role) => roles.includes(role)) ?? null;
}

/** The groups of the navigation in the order that suits a person's roles. */
export function navigation(roles: readonly Role[]): Group[] {
  const role = leadingRole(roles) ?? "operator";
  const names = orders[role] ?? ["Operate", "Evidence", "Data", "Govern"];
  return names.map((words) => ({ words, links: groups[words] }));
}

/** Whether a link stands for the page at a path that begins with `first`. */
export function isCurrent({ parts }: Link, first: string): boolean {
  return parts.includes(first);
}
