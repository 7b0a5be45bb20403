/** A plant as `interlock init` leaves it, with a simulated robot: nobody is enrolled, no program is approved. */
import { chromium, type Browser } from "@playwright/test";
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { launchedWith } from "./chromium";

const bin = process.env["INTERLOCK_BIN"] ?? "";

export interface Fresh {
  dir: string;
  origin: string;
  port: number;
  /** The program as it lies on the controller. */
  program: string;
  end: () => Promise<void>;
}

const taken = (port: number): Promise<boolean> => new Promise((resolve) => {
  const probe = createServer().once("error", () => resolve(true));
  probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(false)));
});

/** So many free ports in a row. */
async function ports(count: number): Promise<number> {
  for (let tries = 0; tries < 100; tries += 1) {
    const base = 20_000 + Math.floor(Math.random() * 20_000);
    const all = await Promise.all(Array.from({ length: count }, (_, i) => taken(base + i)));
    if (!all.includes(true)) return base;
  }
  throw new Error(`no ${count} free ports in a row`);
}

/** Starts a program, and gives the first line that it says. */
async function started(name: string, ...words: string[]): Promise<{ child: ChildProcess; said: Record<string, unknown> }> {
  const child = spawn(join(bin, name), words, { stdio: ["ignore", "pipe", "ignore"] });
  if (child.stdout === null) throw new Error("no output");
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const { value } = (await lines.next()) as { value?: string };
  return { child, said: JSON.parse(value ?? "{}") as Record<string, unknown> };
}

const gone = (child: ChildProcess): Promise<void> => new Promise((resolve) => {
  child.once("exit", () => resolve());
  child.kill("SIGTERM");
});

/** The name under which a fresh plant's console is reached. */
export const HOST = "hall-7.test";

/** Makes and starts a plant whose console is at `https://HOST:port`. */
export async function freshPlant(): Promise<Fresh> {
  const place = join(process.env["INTERLOCK_PLANT"] ?? "", "..");
  mkdirSync(place, { recursive: true });
  const dir = mkdtempSync(join(place, "fresh-"));
  const [plant, programs] = [join(dir, "plant"), join(dir, "programs")];
  const robot = await started("ursim", "--dashboard", "0", "--rtde", "0", "--control", "0", "--install-scan", "--json-ready", "--programs", programs);
  const base = await ports(6);
  const port = base + 5;
  const origin = `https://${HOST}:${port}`;
  const said = (name: string): string => String(robot.said[name]);
  execFileSync(join(bin, "interlock"), [
    "--json", "init", plant, "--name", "Hall 7", "--port", String(base), "--dashboard", said("dashboard"), "--rtde", said("rtde"), "--console-origin", origin,
  ]);
  const machines = await started("interlock", "--json", "up", plant);
  if (machines.said["ready"] !== true) throw new Error(`the plant did not come up: ${JSON.stringify(machines.said)}`);
  const [program] = readdirSync(programs).filter((name) => name.endsWith(".urp"));
  return {
    dir: plant, origin, port, program: join(programs, program ?? ""),
    end: async () => {
      await gone(machines.child);
      await gone(robot.child);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** A browser that finds a fresh plant by its name, and trusts the key of its certificate. */
export function browserOf({ dir }: Fresh): Promise<Browser> {
  const { publicKey } = new X509Certificate(readFileSync(join(dir, "site/tls/node.pem")));
  const pin = createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest("base64");
  return chromium.launch(launchedWith(`--host-resolver-rules=MAP ${HOST} 127.0.0.1`, `--ignore-certificate-errors-spki-list=${pin}`));
}

/** The one-time link of a member of a fresh plant. */
export function freshLink({ dir }: Fresh, member: string): string {
  return readFileSync(join(dir, member, "enrol-link.txt"), "utf8").trim();
}
