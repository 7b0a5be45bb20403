import { describe, expect, it } from "vitest";
import { plain } from "../../src/lib/foreign";
import type { CellView, MemberState, OrderState, Program, Proposal, Role } from "../../src/lib/ledger/types";
import { firstSteps, programStep, type Known } from "../../src/lib/shell/first";

const person = (id: string, name: string, ...roles: Role[]): MemberState => ({ member: { id, keys: [], name, roles }, accepted: {}, revoked: {} });
const members = {
  ana: person("ana", "Ana", "security-officer"), bob: person("bob", "Bob", "security-officer"),
  ola: person("ola", "Ola", "operator"), ina: person("ina", "Ina\u202e", "integrator"),
};
const cell = (state: "connected" | "lost"): CellView => ({
  cell: "cell-1", reachable: true, error: null, certificate_days: 9,
  status: { robot: { link: { state, why: "no route" } } } as unknown as CellView["status"],
});
const scan: Program = { cells: ["cell-1"], id: "scan", parameters: {}, sha256: "aa".repeat(32), title: "scan" };
const known = (more: Partial<Known> = {}): Known => ({
  members, able: new Set(["ana", "bob", "ola"]), cells: [cell("connected")], programs: { scan }, proposals: {}, orders: {}, roles: [], ...more,
});
const finished = { x: { status: { ended: "finished" } } as OrderState };
const proposal = (proposer: string): Record<string, Proposal> => ({ p1: { change: { program: scan }, proposer, officers: [], effective: false } });

describe("the first steps of a plant", () => {
  it("are gone when a run has finished, and not when one was only ordered", () => {
    expect(firstSteps(known({ orders: finished }))).toEqual([]);
    expect(firstSteps(known({ orders: { x: { status: "pending" } as OrderState } })).at(-1)?.done).toBe(false);
    expect(firstSteps(known({ orders: { x: { status: { ended: "stopped" } } as OrderState } }))).toHaveLength(5);
  });

  it("name who has to make a passkey", () => {
    const steps = firstSteps(known({ able: new Set(["ana"]) }));
    expect(steps.map(({ done }) => done)).toEqual([false, false, true, true, false]);
    expect(plain(steps[0]?.words ?? "")).toMatch(/^Bob opens the one-time link/);
    expect(plain(steps[1]?.words ?? "")).toMatch(/^Ola opens/);
    expect(plain(firstSteps(known({ members: { ana: members.ana } }))[1]?.words ?? "")).toMatch(/Nobody has that role/);
  });

  it("say why the cell is not there", () => {
    expect(plain(firstSteps(known({ cells: [cell("lost")] }))[2]?.words ?? "")).toMatch(/its robot does not \(no route\)/);
    expect(firstSteps(known({ cells: [] }))[2]?.words).toMatch(/\[server\] cells/);
    const silent = { ...cell("lost"), reachable: false, status: null, error: "refused" };
    expect(plain(firstSteps(known({ cells: [silent] }))[2]?.words ?? "")).toMatch(/Start interlock-cell.*Refused\./);
  });

  it("lead from a proposal to its approval by somebody else", () => {
    const none = { programs: {} };
    expect(plain(programStep(known(none)).words)).toContain("An integrator proposes the program's file with its parameters (Ina\\u202e)");
    expect(programStep(known(none)).link?.href).toBe("/changes");
    expect(programStep(known({ ...none, roles: ["integrator"] })).link?.href).toBe("/changes?propose=program");
    const open = programStep(known({ ...none, proposals: proposal("ana") }));
    expect([plain(open.words), open.link?.href]).toEqual(["It is proposed. A security officer who did not propose it approves it: Bob.", "/changes#p1"]);
    expect(plain(programStep(known({ ...none, proposals: proposal("ina") })).words)).toMatch(/: Ana or Bob\.$/);
    expect(programStep(known(), "cell-2").done).toBe(false);
  });

  it("offer the order to an operator, when all else is there", () => {
    expect(firstSteps(known({ roles: ["operator"] })).at(-1)?.link?.href).toBe("/order");
    expect(firstSteps(known({ roles: ["operator"], able: new Set() })).at(-1)?.link).toBeUndefined();
    expect(firstSteps(known({ roles: ["auditor"] })).at(-1)?.link).toBeUndefined();
  });
});
