// Writes a brotli-compressed copy beside each text file of the build, and holds
// the build against the budget of a first load.
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

/** The most bytes, gzipped, that the first page may load. */
const BUDGET = 250 * 1024;

const dist = fileURLToPath(new URL("../dist/", import.meta.url));
const text = /\.(js|css|html|svg|json|webmanifest|txt)$/;

/** @param {string} folder @returns {string[]} */
function files(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? files(path) : [path];
  });
}

for (const path of files(dist).filter((p) => text.test(p))) {
  const bytes = readFileSync(path);
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11 };
  writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params }));
}

// What index.html names is what the first page loads before anything is shown.
const html = readFileSync(join(dist, "index.html"), "utf8");
const named = [...html.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map((m) => m[1]);
const sizes = named.map((name) => gzipSync(readFileSync(join(dist, name))).length);
const first = sizes.reduce((a, b) => a + b, gzipSync(html).length);
console.log(`first load: ${(first / 1024).toFixed(1)} kB gzip of ${BUDGET / 1024} kB`);
if (first > BUDGET) {
  console.error("the first load is over its budget: load something later");
  process.exit(1);
}
