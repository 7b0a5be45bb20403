/** Which runs concern a part, a person or a model. Pure. */
import type { Digest, GrantState, OrderState, Reported } from "../ledger/types";

export type By = "run" | "part" | "person" | "model";

export interface Known {
  orders: readonly [Digest, OrderState][];
  grants: readonly [Digest, GrantState][];
  reports: readonly [Digest, Reported][];
}

/** Why a run is among those that were asked for. */
export interface Picked {
  order: Digest;
  state: OrderState;
  because: string;
}

/** The runs that concern what was asked for, newest first. */
export function pick({ orders, grants, reports }: Known, by: By, wanted: string): Picked[] {
  return orders.flatMap(([order, state]) => {
    const because = why(order, state);
    return because === null ? [] : [{ order, state, because }];
  });

  function why(order: Digest, state: OrderState): string | null {
    if (by === "run" || wanted === "") return "";
    if (by === "part") return state.order.part === wanted ? "" : null;
    const mine = reports.filter(([, r]) => r.report.order === order);
    if (by === "model") {
      const used = mine.find(([, r]) => r.report.software === wanted || r.report.analyses.some((a) => a.program === wanted));
      return used === undefined ? null : `judged by it, entry ${used[1].index}`;
    }
    const roles = [
      state.issuer === wanted ? "ordered it" : "",
      state.order.cell === wanted ? "carried it out" : "",
      grants.some(([, g]) => g.grant.order === order && g.issuer === wanted) ? "granted its recordings" : "",
      grants.some(([, g]) => g.grant.order === order && g.grant.processor === wanted) ? "was granted its recordings" : "",
      mine.some(([, r]) => r.issuer === wanted) ? "reported on it" : "",
    ].filter((role) => role !== "");
    return roles.length === 0 ? null : roles.join(", ");
  }
}
