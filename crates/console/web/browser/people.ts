/**
 * People in browsers: each has a page of their own with an authenticator of their
 * own, and enrols through the one-time link that `interlock init` left for them.
 */
import { expect, test as base, type Browser, type CDPSession, type Page } from "@playwright/test";
import { readFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { createConnection } from "node:net";
import { join } from "node:path";

export const plantDir = process.env["INTERLOCK_PLANT"] ?? "";
const bin = process.env["INTERLOCK_BIN"] ?? "";

/** A person with a browser and an authenticator. */
export class Person {
  constructor(
    readonly id: string,
    readonly page: Page,
    readonly devtools: CDPSession,
    readonly authenticator: string,
  ) {}

  /** Goes to a page of the console by its address and waits for its heading. */
  async visit(path: string): Promise<void> {
    await this.page.goto(path);
    await expect(this.page.getByRole("heading", { level: 1 })).toBeVisible();
  }

  /** Signs what the dialog shows and waits until it is on the ledger. */
  async sign(): Promise<void> {
    const dialog = this.page.getByRole("dialog").filter({ has: this.page.getByTestId("entry-id") });
    await expect(dialog.getByTestId("entry-id")).toBeVisible();
    await dialog.getByRole("button", { name: /with passkey/ }).click();
    await expect(dialog).toBeHidden({ timeout: 30_000 });
  }
}

/** The one-time link of a member. */
export function linkOf(member: string): string {
  return readFileSync(join(plantDir, member, "enrol-link.txt"), "utf8").trim();
}

/** The console's own address. */
export const origin = new URL(linkOf("officer-1")).origin;

/** A page with an authenticator that verifies its user. */
export async function pageWithAuthenticator(browser: Browser, home = origin): Promise<{ page: Page; devtools: CDPSession; authenticator: string }> {
  const context = await browser.newContext({ baseURL: home });
  const page = await context.newPage();
  const devtools = await context.newCDPSession(page);
  await devtools.send("WebAuthn.enable");
  const { authenticatorId } = await devtools.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true,
      isUserVerified: true, automaticPresenceSimulation: true,
    },
  });
  return { page, devtools, authenticator: authenticatorId };
}

/** Opens a one-time link, makes a passkey and ends up signed in. */
export async function enrol(browser: Browser, member: string, link = linkOf(member), home = origin): Promise<Person> {
  const { page, devtools, authenticator } = await pageWithAuthenticator(browser, home);
  await page.goto(link);
  await page.getByRole("button", { name: "Make my passkey" }).click();
  await expect(page.getByRole("navigation", { name: "pages" })).toBeVisible({ timeout: 30_000 });
  return new Person(member, page, devtools, authenticator);
}

/**
 * Enrols one of the plant's first people. Their link works once, and a test that failed
 * took its browser with it: then two officers invite anew.
 */
async function first(browser: Browser, member: string): Promise<Person> {
  const members = cli("auditor", "role", "list") as Record<string, { member: { keys: object[] } }>;
  const unused = members[member]?.member.keys.some((key) => "invitation" in key) ?? false;
  if (unused) return enrol(browser, member);
  const { id, link } = cli("officer-1", "invite", member) as { id: string; link: string };
  cli("officer-2", "change", "approve", "--yes", id);
  return enrol(browser, member, link);
}

/** Calls the command line as a member; its JSON. */
export function cli(member: string | null, ...words: string[]): unknown {
  const dir = member === null ? [] : ["--dir", join(plantDir, member)];
  const out = execFileSync(join(bin, "interlock"), ["--json", ...dir, ...words], { encoding: "utf8" });
  return out.trim() === "" ? null : JSON.parse(out);
}

/** Asks the simulated robot's control port. */
export function robot(command: string): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(Number(process.env["INTERLOCK_ROBOT"]), "127.0.0.1");
    let text = "";
    socket.setTimeout(5000, () => reject(new Error("the simulator does not answer")));
    socket.on("connect", () => socket.write(`${JSON.stringify({ cmd: command })}\n`));
    socket.on("data", (chunk) => {
      text += chunk.toString();
      if (!text.includes("\n")) return;
      socket.destroy();
      resolve(JSON.parse(text) as Record<string, unknown>);
    });
    socket.on("error", reject);
  });
}

interface People { operator: Person; officer1: Person; officer2: Person; auditor: Person; engineer: Person }

// A one-time link works once, so each person enrols once and stays for all tests of a worker.
export const test = base.extend<object, { people: People }>({
  people: [
    async ({ browser }, use) => {
      const [officer1, officer2, operator, auditor, engineer] = [
        await first(browser, "officer-1"), await first(browser, "officer-2"), await first(browser, "operator"),
        await first(browser, "auditor"), await first(browser, "ml-engineer"),
      ];
      await use({ officer1, officer2, operator, auditor, engineer });
      for (const person of [officer1, officer2, operator, auditor, engineer]) await person.page.context().close();
    },
    { scope: "worker", timeout: 300_000 },
  ],
});

export { expect };
