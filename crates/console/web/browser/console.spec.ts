/**
 * The console against a plant of real processes: people enrol, order, watch, grant,
 * revoke, verify; a file on the disk is tampered with; a session is stolen.
 */
import type { Locator, Page } from "@playwright/test";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cli, enrol, expect, linkOf, origin, pageWithAuthenticator, plantDir, robot, test, type Person } from "./people";

interface Orders { [id: string]: { order: { part: string }; status: unknown; index: number } }

/** The newest order of a part. */
function orderOf(part: string): string {
  const orders = cli("auditor", "order", "list") as Orders;
  const found = Object.entries(orders).filter(([, o]) => o.order.part === part).sort(([, a], [, b]) => b.index - a.index)[0];
  if (found === undefined) throw new Error(`no order of ${part}`);
  return found[0];
}

test("a one-time link makes one passkey, once", async ({ browser, people }) => {
  await expect(people.operator.page.getByRole("heading", { level: 1 })).toBeVisible();
  const { page } = await pageWithAuthenticator(browser);
  await page.goto(linkOf("operator"));
  await page.getByRole("button", { name: "Make my passkey" }).click();
  expect(new URL(page.url()).hash).toBe("");
  await expect(page.getByText(/the link was used already/i)).toBeVisible();
  await page.context().close();
});

test("a link of another plant is refused before a key is made", async ({ browser }) => {
  const { page, devtools, authenticator } = await pageWithAuthenticator(browser);
  await page.goto(linkOf("integrator").replace(/anchors=[0-9a-f]{8}/, "anchors=00000000"));
  await expect(page.getByText(/is not the plant that the link was made for/)).toBeVisible();
  const { credentials } = await devtools.send("WebAuthn.getCredentials", { authenticatorId: authenticator });
  expect(credentials).toHaveLength(0);
  await page.context().close();
});

test("an operator orders with a passkey and watches the run to its end", async ({ people }) => {
  const { page } = people.operator;
  const before = (await robot("motions"))["starts"] as number;
  await people.operator.visit("/order");
  await page.getByLabel("Part").fill("flange-2");
  await expect(page.getByText("Yes: every rule is satisfied now.")).toBeVisible();
  await page.getByRole("button", { name: "Sign and launch…" }).click();
  const statement = await page.getByTestId("statement").textContent();
  expect(statement).toContain('"part":"flange-2"');
  await people.operator.sign();
  await expect(page).toHaveURL(/\/runs\/[0-9a-f]{64}/);
  await expect(page.locator("canvas").first()).toBeVisible();
  await expect(page.getByRole("heading", { name: "Finished", exact: true })).toBeVisible({ timeout: 60_000 });
  expect((await robot("motions"))["starts"]).toBe(before + 1);
  // What stands on the ledger is the passkey's, over the text that was shown.
  const { leaf } = cli("auditor", "ledger", "show", orderOf("flange-2")) as { leaf: { entry: { signature: object; statement: unknown } } };
  expect(leaf.entry.signature).toHaveProperty("passkey");
  expect(JSON.parse(statement ?? "")).toEqual(leaf.entry.statement);
});

test("an operator stops a run, and it says so", async ({ people }) => {
  const { page } = people.operator;
  await people.operator.visit("/order");
  await page.getByLabel("Part").fill("flange-stopped");
  await page.getByRole("spinbutton", { name: /speed/i }).fill("10");
  await expect(page.getByText("Yes: every rule is satisfied now.")).toBeVisible();
  await page.getByRole("button", { name: "Sign and launch…" }).click();
  await people.operator.sign();
  await page.getByRole("button", { name: /stop the run/i }).click();
  await expect(page.getByRole("heading", { name: "Stopped", exact: true })).toBeVisible({ timeout: 60_000 });
  const run = cli("auditor", "run", "show", orderOf("flange-stopped")) as { ended: { reason: string } };
  expect(run.ended.reason).toContain("operator");
});

test("what the policy denies says so before anybody signs", async ({ people }) => {
  const { page } = people.auditor;
  await people.auditor.visit("/order");
  await page.getByLabel("Part").fill("flange-8");
  await expect(page.getByText("The policy does not allow you to order a run")).toBeVisible();
  await expect(page.getByRole("button", { name: "Sign and launch…" })).toBeDisabled();
});

/** Grants a stream of a part's newest run, as an officer, in the console. */
async function grant(officer: Person, part: string, stream: string, reader: string): Promise<void> {
  const { page } = officer;
  const recordings = cli("auditor", "recording", "list") as Record<string, { recording: { order: string; stream: string } }>;
  const order = orderOf(part);
  const [root] = Object.entries(recordings).find(([, r]) => r.recording.order === order && r.recording.stream === stream) ?? [];
  await officer.visit(`/recordings/${root}`);
  await page.getByRole("button", { name: "Grant it…" }).click();
  await page.getByLabel("Reader").selectOption(reader);
  await page.getByRole("button", { name: "Read and sign…" }).click();
  await officer.sign();
  await expect(page).toHaveURL(/\/grants\/[0-9a-f]{64}/);
}

/** Waits until the vault has both recordings of a part's newest run. */
async function stored(part: string): Promise<void> {
  await expect.poll(() => (cli("auditor", "run", "show", orderOf(part)) as { recordings: string[] }).recordings.length, { timeout: 60_000 }).toBe(2);
}

test("an officer grants, the analyst reports, and the passport is verified in the browser", async ({ people }) => {
  await stored("flange-2");
  await grant(people.officer1, "flange-2", "camera", "analyst");
  const { page } = people.auditor;
  await expect.poll(async () => {
    await people.auditor.visit("/passport/flange-2");
    const holds = page.getByText("Every proof in it holds.").first().waitFor({ timeout: 5000 });
    return holds.then(() => true, () => false);
  }, { timeout: 100_000 }).toBe(true);
});

test("a person who is granted a recording replays it in the browser", async ({ people }) => {
  for (const stream of ["state", "camera"]) await grant(people.officer1, "flange-2", stream, "ml-engineer");
  const { page } = people.engineer;
  await people.engineer.visit(`/runs/${orderOf("flange-2")}`);
  await page.getByRole("button", { name: "Open and replay" }).click();
  await expect(page.getByText("verified by this browser").first()).toBeVisible({ timeout: 60_000 });
  await expect(page.getByRole("slider").first()).toBeVisible();
  const grants = cli("auditor", "grant", "list") as Record<string, { grant: { processor: string }; reads: number }>;
  const read = Object.values(grants).filter((g) => g.grant.processor === "ml-engineer").reduce((sum, g) => sum + g.reads, 0);
  expect(read).toBeGreaterThan(0);
});

test("one who is not granted a recording is told what is needed", async ({ people }) => {
  await people.auditor.visit(`/runs/${orderOf("flange-2")}`);
  await expect(people.auditor.page.getByText(/no grant in force names you/)).toBeVisible();
});

test("a revocation ends the reading", async ({ people }) => {
  type Grants = Record<string, { grant: { processor: string; recordings: string[] }; revoked: number | null }>;
  const mine = (): [string, Grants[string]][] =>
    Object.entries(cli("auditor", "grant", "list") as Grants).filter(([, g]) => g.grant.processor === "ml-engineer" && g.revoked === null);
  const { page } = people.officer1;
  const [[, last]] = mine().slice(-1) as [[string, Grants[string]]];
  for (const [id] of mine()) {
    await people.officer1.visit(`/grants/${id}`);
    await page.getByLabel("Reason").fill("the work is done");
    await page.getByRole("button", { name: "Revoke…" }).click();
    await people.officer1.sign();
    await expect(page.getByText(/revoked at \d+/).first()).toBeVisible();
  }
  expect(mine()).toHaveLength(0);
  const [root] = last.grant.recordings;
  const status = await people.engineer.page.evaluate(async (cid) => (await fetch(`/ipfs/${cid}?format=raw`)).status, root);
  expect(status).toBe(403);
});

/** Presses a key until something has the focus. */
async function reach(page: Page, target: Locator, key: "Tab" | "Shift+Tab"): Promise<void> {
  const focused = (): Promise<boolean> => target.evaluate((element) => element === document.activeElement);
  for (let presses = 0; presses < 20 && !(await focused()); presses += 1) await page.keyboard.press(key);
  await expect(target).toBeFocused();
}

test("a hold by keyboard stops orders, and its release takes two people", async ({ people }) => {
  const { page } = people.auditor;
  await people.auditor.visit("/");
  const dialog = page.getByRole("dialog");
  await page.keyboard.press("Shift+H");
  const place = dialog.getByRole("button", { name: "Hold the whole site" });
  await expect(place).toBeFocused();
  await reach(page, dialog.getByLabel("Why"), "Shift+Tab");
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.type("an odd noise");
  await reach(page, place, "Tab");
  await page.keyboard.press("Enter");
  // What is grave is read first; the next key is the act's.
  await expect(dialog.getByTestId("entry-id")).toBeVisible();
  await expect(dialog.getByRole("heading", { name: "Hold the whole site" })).toBeFocused();
  await page.keyboard.press("Tab");
  await expect(dialog.getByRole("button", { name: "Hold with passkey" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(dialog).toBeHidden({ timeout: 30_000 });
  await expect(page.getByRole("region", { name: "hold on the whole site" })).toContainText("an odd noise");

  const operator = people.operator.page;
  await people.operator.visit("/order");
  await operator.getByLabel("Part").fill("flange-9");
  await expect(operator.getByText(/placed a hold/).first()).toBeVisible();

  for (const person of [people.operator, people.officer1]) {
    await person.visit("/");
    await person.page.getByRole("button", { name: "Release…" }).first().click();
    await person.sign();
  }
  await expect(operator.getByRole("region", { name: "hold on the whole site" })).toHaveCount(0);
});

test("two officers invite a person, who then enrols", async ({ browser, people }) => {
  const { page } = people.officer1;
  await people.officer1.visit("/people");
  await page.getByRole("button", { name: "Invite a person" }).click();
  await page.getByLabel("Name").fill("Fay Night-Shift");
  await page.getByLabel("Identifier").fill("fay");
  await page.getByRole("button", { name: "Propose and make the link" }).click();
  await people.officer1.sign();
  const link = await page.getByTestId("link").inputValue();

  // One officer is not enough.
  const early = await pageWithAuthenticator(browser);
  await early.page.goto(link);
  await early.page.getByRole("button", { name: "Make my passkey" }).click();
  await expect(early.page.getByText(/is not approved yet/i)).toBeVisible();
  await early.page.context().close();

  await people.officer2.visit("/changes");
  await people.officer2.page.getByRole("button", { name: "Approve…" }).first().click();
  await people.officer2.sign();
  const fay = await enrol(browser, "fay", link);
  await expect(fay.page.getByText("Fay Night-Shift").first()).toBeVisible();
  await fay.page.context().close();
});

test("an officer revokes a key, and its session ends", async ({ browser, people }) => {
  const integrator = await enrol(browser, "integrator");
  const { page } = people.officer2;
  await people.officer2.visit("/people/integrator");
  const passkey = page.locator("li, tr").filter({ hasText: /passkey/i }).filter({ has: page.getByRole("button", { name: "Revoke…" }) }).first();
  await passkey.getByRole("button", { name: "Revoke…" }).click();
  await page.getByLabel("Why").fill("the phone is lost");
  await page.getByRole("button", { name: "Revoke the key" }).click();
  await people.officer2.sign();
  await expect.poll(() => integrator.page.evaluate(async () => (await fetch("/console/v1/session")).status)).toBe(401);
  await expect(integrator.page.getByRole("button", { name: "Sign in with a passkey" })).toBeVisible();
  await integrator.page.context().close();
});

test("a stolen session reads, and can state nothing", async ({ browser, people }) => {
  const [cookie] = (await people.operator.page.context().cookies()).filter((c) => c.name.startsWith("__Host-"));
  expect(cookie).toMatchObject({ httpOnly: true, secure: true, sameSite: "Strict", path: "/" });
  if (cookie === undefined) throw new Error("no session cookie");
  const thief = await browser.newContext({ baseURL: origin });
  await thief.addCookies([cookie]);
  const page = await thief.newPage();
  await page.goto("/");
  await expect(page.getByRole("navigation", { name: "pages" })).toBeVisible();
  const size = (cli("auditor", "audit", "replay") as { entries: number }).entries;

  // Without the passkey: an entry with a made-up signature, under the operator's name.
  const answer = await page.evaluate(async () => {
    const me = (await (await fetch("/console/v1/session")).json()) as { member: string; key: string };
    const statement = { at: Date.now(), body: { hold: { reason: "stolen" } }, issuer: me.member, key: me.key, nonce: "AAAAAAAAAAAAAAAAAAAAAA", site: "plant", v: "interlock/1" };
    const entry = { signature: { ed25519: "A".repeat(86) }, statement };
    const response = await fetch("/api/v1/entries", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(entry) });
    return { status: response.status, body: (await response.json()) as { rule?: string } };
  });
  expect(answer.status).toBe(403);
  expect(answer.body.rule).toBe("signature");
  const words = (cli("auditor", "ledger", "show", "--from", String(size)) as { body: object }[]).map((e) => Object.keys(e.body)[0]);
  expect(words.every((word) => word === "refused")).toBe(true);

  // A page elsewhere cannot use it, either.
  const foreign = await fetch(`${origin}/console/v1/cells/cell-1/stop`, {
    method: "POST", headers: { cookie: `${cookie.name}=${cookie.value}`, origin: "https://elsewhere.example" },
  });
  expect(foreign.status).toBe(403);

  // Signing out ends it for the thief, too.
  await people.operator.page.getByRole("button", { name: /session and settings/ }).click();
  await people.operator.page.getByRole("button", { name: "Sign out" }).click();
  await expect.poll(() => page.evaluate(async () => (await fetch("/console/v1/session")).status)).toBe(401);
  await thief.close();
  await people.operator.page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await expect(people.operator.page.getByRole("navigation", { name: "pages" })).toBeVisible();
});

test("a person sees sessions elsewhere, and ends them", async ({ browser, people }) => {
  // The same passkey in a second browser.
  const { page, devtools } = people.auditor;
  const { credentials } = await devtools.send("WebAuthn.getCredentials", { authenticatorId: people.auditor.authenticator });
  const second = await pageWithAuthenticator(browser);
  for (const credential of credentials) {
    await second.devtools.send("WebAuthn.addCredential", { authenticatorId: second.authenticator, credential });
  }
  await second.page.goto("/");
  await second.page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await expect(second.page.getByRole("navigation", { name: "pages" })).toBeVisible();

  await people.auditor.visit("/");
  await page.getByRole("button", { name: /session and settings/ }).click();
  await page.getByText("Your sessions elsewhere").click();
  await page.getByRole("button", { name: "End all others" }).click();
  await expect(page.getByText("you are signed in here only")).toBeVisible();
  await expect.poll(() => second.page.evaluate(async () => (await fetch("/console/v1/session")).status)).toBe(401);
  await page.keyboard.press("Escape");
  await second.page.context().close();
});

test("the browser verifies the chain, and finds a file that was tampered with", async ({ people }) => {
  const order = orderOf("flange-2");
  const { page } = people.auditor;
  await people.auditor.visit(`/trace?order=${order}`);
  await page.getByRole("button", { name: "Verify all" }).click();
  await expect(page.getByTestId("overall")).toContainText("every node and link verified by this browser", { timeout: 60_000 });

  // All that the audit needs, in one file that the command line reads offline.
  const saving = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export for audit" }).click();
  const exported = join(plantDir, "../exported-trace.json");
  await (await saving).saveAs(exported);
  const audited = cli(null, "audit", "trace", exported, "--anchors", join(plantDir, "anchors.json")) as { verified: boolean };
  expect(audited.verified).toBe(true);

  // Somebody edits the part's name in the site's own files.
  const files = entryFiles(join(plantDir, "site/data/ledger"));
  let edited = 0;
  for (const file of files) {
    const bytes = readFileSync(file);
    for (let at = bytes.indexOf('"part":"flange-2"'); at >= 0; at = bytes.indexOf('"part":"flange-2"', at + 1)) {
      bytes.write("flange-3", at + 8);
      edited += 1;
    }
    writeFileSync(file, bytes);
  }
  expect(edited).toBeGreaterThan(0);
  try {
    await page.reload();
    await page.getByRole("button", { name: "Verify all" }).click();
    await expect(page.getByTestId("overall")).toContainText("something does not hold", { timeout: 60_000 });
  } finally {
    for (const file of files) {
      const bytes = readFileSync(file);
      for (let at = bytes.indexOf('"part":"flange-3"'); at >= 0; at = bytes.indexOf('"part":"flange-3"', at + 1)) bytes.write("flange-2", at + 8);
      writeFileSync(file, bytes);
    }
  }
});

function entryFiles(dir: string): string[] {
  return readdirSync(dir).flatMap((name) => {
    const path = join(dir, name);
    if (statSync(path).isDirectory()) return entryFiles(path);
    return path.includes("entries") ? [path] : [];
  });
}

test("anybody verifies a passport on the public page, and a changed one is red", async ({ browser }) => {
  const context = await browser.newContext({ baseURL: origin });
  const page = await context.newPage();
  await page.goto("/check");
  const file = join(plantDir, "../passports/flange-1.vc.jwt");
  await page.getByTestId("file").setInputFiles(file);
  await expect(page.getByTestId("passport")).toContainText("Every proof in it holds.");
  const bytes = readFileSync(file);
  const at = Math.floor(bytes.length / 2);
  bytes[at] = bytes[at] === 0x41 ? 0x42 : 0x41;
  await page.getByTestId("file").setInputFiles({ name: "changed.vc.jwt", mimeType: "application/vc+jwt", buffer: bytes });
  await expect(page.getByTestId("passport")).toContainText("This is not a valid passport.");
  expect((await page.request.get("/passports/flange-1")).status()).toBe(200);
  await context.close();
});

test("nothing is answered without a session", async ({ browser }) => {
  const context = await browser.newContext({ baseURL: origin });
  for (const path of ["/api/v1/overview", "/api/v1/state/members", "/api/v1/entries", "/api/v1/events", "/console/v1/cells", "/console/v1/session", "/checkpoint"]) {
    expect((await context.request.get(path)).status(), path).toBe(401);
  }
  await context.close();
});
