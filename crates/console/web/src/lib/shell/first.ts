/** What a new plant needs before its first run, and who does it next. */
import { foreign } from "../foreign";
import type { CellView, Digest, Id, MemberState, OrderState, Program, Proposal, Role } from "../ledger/types";
import { stance } from "./stance";

export interface Step {
  title: string;
  done: boolean;
  /** What to do, and by whom; names of people are marked as foreign. */
  words: string;
  /** Where one does it. */
  link?: { href: string; words: string };
}

export interface Known {
  members: Record<Id, MemberState>;
  /** Who has a passkey that signs. */
  able: ReadonlySet<Id>;
  cells: readonly CellView[];
  programs: Record<Id, Program>;
  proposals: Record<Digest, Proposal>;
  orders: Record<Digest, OrderState>;
  /** What the person who looks may do. */
  roles: readonly Role[];
}

const list = (words: string[]): string => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`);

/** The people of a role, as a sentence names them. */
export function whoHas({ members }: Pick<Known, "members">, role: Role): string {
  const names = Object.values(members).filter(({ member }) => member.roles.includes(role)).map(({ member }) => foreign(member.name));
  return names.length === 0 ? `nobody yet: invite an ${role} on People` : list(names);
}

const peopleLink = { href: "/people", words: "People" };

function enrolment(known: Known, role: Role, wanted: number, title: string): Step {
  const of = Object.values(known.members).filter(({ member }) => member.roles.includes(role));
  const open = of.filter(({ member }) => !known.able.has(member.id));
  const done = of.length - open.length >= wanted;
  const how = "opens the one-time link (in a new plant, enrol-link.txt in that person's folder) and makes a passkey.";
  const words = of.length < wanted ? `${title.toLowerCase().includes("two") ? "Fewer than two people have" : "Nobody has"} that role: invite somebody.` : `${list(open.map(({ member }) => foreign(member.name)))} ${how}`;
  return done ? { title, done, words: "" } : { title, done, words, link: peopleLink };
}

function cellStep({ cells }: Known): Step {
  const ready = cells.some((view) => view.reachable && view.status?.robot.link.state === "connected");
  const title = "A cell answers, and has its robot";
  if (ready) return { title, done: true, words: "" };
  const [first] = cells;
  if (first === undefined) return { title, done: false, words: "The site knows no cell: name its address under [server] cells in the site's interlock.toml." };
  const { robot } = first.status ?? {};
  const words = robot === undefined
    ? `Start interlock-cell beside the robot of ${first.cell}. Now: ${foreign(stance(first).because)}`
    : `${first.cell} answers, and its robot does not (${foreign(robot.link.why ?? robot.link.state)}): switch the controller on, and set its address in the cell's interlock.toml.`;
  return { title, done: false, words };
}

/** Whether somebody may propose a program, as the policy of a new plant has it. */
export function proposes(roles: readonly Role[]): boolean {
  return roles.includes("integrator") || roles.includes("security-officer");
}

/** How a program comes to be approved: what to do next. */
export function programStep(known: Pick<Known, "members" | "programs" | "proposals" | "roles">, cell?: Id): Step {
  const title = "A robot program is approved";
  const fits = (cells: readonly Id[]): boolean => cell === undefined || cells.includes(cell);
  if (Object.values(known.programs).some((program) => fits(program.cells))) return { title, done: true, words: "" };
  const open = Object.entries(known.proposals).find(([, p]) => !p.effective && "program" in p.change && fits(p.change.program.cells));
  if (open !== undefined) {
    const [id, { proposer }] = open;
    const others = Object.fromEntries(Object.entries(known.members).filter(([member]) => member !== proposer));
    return {
      title, done: false, words: `It is proposed. A security officer who did not propose it approves it: ${whoHas({ members: others }, "security-officer")}.`,
      link: { href: `/changes#${id}`, words: "The proposal" },
    };
  }
  const words = `An integrator proposes the program's file with its parameters (${whoHas(known, "integrator")}), then one security officer approves it.`;
  return {
    title, done: false, words,
    link: proposes(known.roles) ? { href: "/changes?propose=program", words: "Propose a program" } : { href: "/changes", words: "Changes" },
  };
}

function runStep({ orders, roles }: Known, before: boolean): Step {
  const title = "A first run is signed, and finished";
  const states = Object.values(orders);
  const done = states.some(({ status }) => typeof status === "object" && "ended" in status && status.ended === "finished");
  if (done) return { title, done, words: "" };
  const words = before
    ? "An operator chooses program and part, reads the order, and signs it with the passkey."
    : "It comes last: an operator orders it when all of the above is there.";
  return roles.includes("operator") && before ? { title, done, words, link: { href: "/order", words: "Order a run" } } : { title, done, words };
}

/** The steps in their order; empty once a run has finished, for then all of it is there. */
export function firstSteps(known: Known): Step[] {
  const steps = [
    enrolment(known, "security-officer", 2, "Two security officers have passkeys"),
    enrolment(known, "operator", 1, "An operator has a passkey"),
    cellStep(known),
    programStep(known),
  ];
  const run = runStep(known, steps.every(({ done }) => done));
  return run.done ? [] : [...steps, run];
}
