/**
 * The same in a real browser: keys in its database, its own cryptography, under the
 * console's kind of content security policy. `CHROMIUM` is the browser's path.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { chromium, type Browser, type Page } from "playwright-core";
import { build, type Rollup } from "vite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type * as Open from "../../src/lib/open";
import { fromBase64Url, toHex } from "../../src/lib/verify/bytes";
import { remove, SEALED, sealTo, site, truth, type Made } from "./sealed";

const CHROMIUM = process.env["CHROMIUM"] ?? "";
if (CHROMIUM === "") console.warn("CHROMIUM is not set: opening recordings in a browser is not tested");

const POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'";
const PAGE = '<!doctype html><title>test</title><script type="module" src="/page.js"></script>';
const OWNER = { site: "hall-7", member: "mara" };

declare global {
  interface Window {
    opening?: typeof Open;
  }
}

/** The library as a browser gets it: an entry, and what is loaded when it is needed. */
async function bundle(): Promise<Map<string, string>> {
  const entry = fileURLToPath(new URL("../../src/lib/open/index.ts", import.meta.url));
  const lib = { entry, formats: ["es" as const], fileName: "open" };
  const built = await build({ configFile: false, logLevel: "error", build: { lib, write: false } });
  const [{ output }] = built as Rollup.RollupOutput[] as [Rollup.RollupOutput];
  const chunks = output.flatMap((each) => (each.type === "chunk" ? [[`/${each.fileName}`, each.code] as const] : []));
  const first = chunks.find(([name]) => name.startsWith("/open"))?.[0] ?? "";
  return new Map([...chunks, ["/page.js", `import * as opening from "${first}"; window.opening = opening;`]]);
}

describe.skipIf(CHROMIUM === "" || SEALED === "")("in a browser", () => {
  let [browser, server, page, made]: [Browser?, Server?, Page?, Made?] = [];
  let address = "";

  beforeAll(async () => {
    const scripts = await bundle();
    server = createServer((request, response) => {
      const path = request.url ?? "/";
      const script = scripts.get(path);
      response.setHeader("content-security-policy", POLICY);
      if (path === "/" || script !== undefined) {
        response.setHeader("content-type", script === undefined ? "text/html" : "text/javascript");
        response.end(script ?? PAGE);
      } else if (made !== undefined) {
        const grant = `${request.headers["interlock-grant"] ?? ""}`;
        const asked = site(made)(path, { method: request.method ?? "GET", headers: { "interlock-grant": grant } });
        void asked.then(async (found) => response.writeHead(found.status).end(Buffer.from(await found.arrayBuffer())));
      } else {
        response.writeHead(404).end();
      }
    });
    await new Promise<void>((ready) => server?.listen(0, "127.0.0.1", ready));
    address = `http://localhost:${(server.address() as AddressInfo).port}/`;
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
    page = await browser.newPage();
    await load();
  });

  afterAll(async () => {
    await browser?.close();
    server?.close();
    remove(made);
  });

  async function load(): Promise<void> {
    await page?.goto(address);
    await page?.waitForFunction(() => window.opening !== undefined);
  }

  it("keeps one key, which cannot be taken out", async () => {
    const made = await page!.evaluate(async (owner) => {
      const { ensureSealKey, findSealKey, sealText } = window.opening!;
      const before = await findSealKey(owner);
      // As two tabs would, at once.
      const [one, two] = await Promise.all([ensureSealKey(owner), ensureSealKey(owner)]);
      const out = await crypto.subtle.exportKey("pkcs8", one.privateKey).catch((e: Error) => e.name);
      return { before, texts: [sealText(one), sealText(two)], out };
    }, OWNER);
    expect(made.before).toBeNull();
    expect(made.texts[0]).toBe(made.texts[1]);
    expect(made.out).toBe("InvalidAccessError");
    await load();
    const after = await page!.evaluate(async (owner) => {
      const { findSealKey, sealText } = window.opening!;
      const [mine, another] = [await findSealKey(owner), await findSealKey({ ...owner, member: "ines" })];
      return { mine: mine && sealText(mine), another };
    }, OWNER);
    expect(after).toEqual({ mine: made.texts[0], another: null });
  });

  it("opens what was sealed to it", async () => {
    const text = await page!.evaluate(async (owner) => {
      const { ensureSealKey, sealText } = window.opening!;
      return sealText(await ensureSealKey(owner));
    }, OWNER);
    const recipient = fromBase64Url(text, "the key");
    made = sealTo(recipient, "--samples", "30000");
    const { grant, root, cellKeys } = made;
    const given = { owner: OWNER, grant, root, cellKeys: cellKeys.map((key) => [...key]) };
    const found = await page!.evaluate(async ({ owner, grant, root, cellKeys }) => {
      const { openRecording, findSealKey } = window.opening!;
      const sealKey = (await findSealKey(owner))!;
      const keys = cellKeys.map((key) => Uint8Array.from(key));
      const common = { grant, sealKey, cellKeys: keys, fetch: (path: string, init: RequestInit) => fetch(path, init) };
      const { states } = await openRecording({ ...common, root: root.state });
      const { pictures } = await openRecording({ ...common, root: root.camera });
      const hashes = pictures!.kept.map(async ({ bytes }) => [...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))]);
      return { samples: states!.samples, points: states!.t.length, greatest: Math.max(...states!.q[2]!), hashes: await Promise.all(hashes) };
    }, given);
    const { told } = truth<{ sha256: string }>(made, "camera");
    expect(found.hashes.map((hash) => toHex(Uint8Array.from(hash)))).toEqual(told.map(({ sha256 }) => sha256));
    expect(found).toMatchObject({ samples: 30_000, greatest: 9 });
    expect(found.points).toBeLessThanOrEqual(20_000);
  });

  it("does not open it with a key that was made anew", async () => {
    const { grant, root, cellKeys } = made!;
    const given = { owner: OWNER, grant, root: root.state, cellKeys: cellKeys.map((key) => [...key]) };
    const refused = await page!.evaluate(async ({ owner, grant, root, cellKeys }) => {
      const { openRecording, ensureSealKey, forgetSealKey } = window.opening!;
      await forgetSealKey(owner);
      const sealKey = await ensureSealKey(owner);
      const keys = cellKeys.map((key) => Uint8Array.from(key));
      const opened = openRecording({ grant, root, sealKey, cellKeys: keys, fetch: (path, init) => fetch(path, init) });
      return opened.then(() => "opened", (error: Open.OpenError) => error.kind);
    }, given);
    expect(refused).toBe("closed");
  });
});
