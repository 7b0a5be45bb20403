/**
 * What one verifier rejects, both reject: mutations of every vector go to the Rust verifier
 * (`VERDICTS=/path/to/verdicts`) and to this one.
 */
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Dice, mutate } from "./mutate";
import { FILES, vectors, verdict, type Question, type Verdict } from "./verdict";

const program = process.env.VERDICTS;
if (!program) {
  console.warn("VERDICTS is not set: the differential test against the Rust verifier is skipped");
}

/** The Rust verifier, asked line by line. */
class Rust {
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly lines: Interface;
  private readonly waiting: ((line: string) => void)[] = [];

  constructor(path: string) {
    this.child = spawn(path);
    this.lines = createInterface({ input: this.child.stdout });
    this.lines.on("line", (line) => this.waiting.shift()?.(line));
  }

  ask({ kind, input }: Question): Promise<Verdict> {
    const answer = new Promise<string>((resolve) => this.waiting.push(resolve));
    this.child.stdin.write(`${JSON.stringify({ kind, input })}\n`);
    return answer.then((line) => JSON.parse(line) as Verdict);
  }

  end(): void {
    this.child.stdin.end();
  }
}

/** The policy's text is not evaluated in TypeScript, and says so; nothing else may differ. */
const isPolicy = (error: string | null): boolean =>
  /may not `[a-z.]+`/.test(error ?? "") || /refused by rule `policy`/.test(error ?? "");

const RUNS: { [file in (typeof FILES)[number]]: number } = {
  canonical: 400,
  checkpoints: 400,
  entries: 600,
  keys: 300,
  ledgers: 300,
  merkle: 400,
  passports: 150,
};

describe.skipIf(!program)("both verifiers say the same", () => {
  let rust: Rust;
  const seen = { asked: 0, rejected: 0 };
  beforeAll(() => {
    rust = new Rust(program ?? "");
  });
  afterAll(() => rust.end());

  test.each(FILES)("of mutations of %s", async (file) => {
    const all = vectors(file);
    const rolls = fc.array(fc.nat(), { minLength: 12, maxLength: 12 });
    const factor = Number(process.env.MUTATIONS ?? 1);
    await fc.assert(
      fc.asyncProperty(fc.nat(all.length - 1), rolls, async (at, drawn) => {
        const vector = all[at];
        if (!vector) return;
        const question = mutate(vector, new Dice(drawn));
        const [theirs, ours] = await Promise.all([rust.ask(question), verdict(question)]);
        seen.asked += 1;
        if (!theirs.ok) seen.rejected += 1;
        if (ours.ok && isPolicy(theirs.error)) return;
        const said = JSON.stringify({ vector: vector.name, theirs, ours, question }).slice(0, 4000);
        expect(ours.ok, said).toBe(theirs.ok);
      }),
      {
        numRuns: RUNS[file] * factor,
        ...(process.env.SEED ? { seed: Number(process.env.SEED) } : {}),
      },
    );
  });

  test("of enough mutations, most of which break something", () => {
    expect(seen.asked).toBeGreaterThanOrEqual(2000);
    expect(seen.rejected).toBeGreaterThan(seen.asked / 2);
  });
});
