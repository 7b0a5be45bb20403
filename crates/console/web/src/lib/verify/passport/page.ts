/**
 * The passport's page, rendered anew: it is a function of the credential and its pictures, so a
 * page that differs was changed (`passport/src/page`). Words and markup are part of the format.
 */
import { Broken } from "../broken";
import type { Verdict } from "../body";
import { toBase64, utf8 } from "../bytes";
import { sha256 } from "../crypto";
import type { Digest, Millis } from "../shape";
import { FORMAT } from "./evidence";
import type { Facts, Finding, Overall, Step } from "./facts";
import { qr } from "./qr";
import type { Verified } from "./verify";
import { capital, clock, rfc3339 } from "./words";

/** The digest of the format's style, in base64 as the content security policy names it. */
const STYLE_SHA256 = "dQHxdazWJkeOlfq7UqDZW0r1dEC4d42ia9CSawIbBzc=";
const STYLE_START = "<style>";
const STYLE_END = "</style>";

/** What stands before and after the credential in a page. */
export const CREDENTIAL_START = '<script type="application/vc+jwt" id="credential">';
export const CREDENTIAL_END = "</script>";
/** What stands before a picture's base64. */
export const pictureStart = (mediaType: string): string => `src="data:${mediaType};base64,`;

const CHECK = '<path d="M7 12.6l3.4 3.4L17.2 8.6"/>';
const CROSS = '<path d="M8 8l8 8M16 8l-8 8"/>';
const QUESTION = '<path d="M9.2 9.4a2.9 2.9 0 1 1 4.2 2.6c-.9.5-1.4 1-1.4 2.1M12 17.2v.1"/>';
const PLUS = '<path d="M12 7.2v9.6M7.2 12h9.6"/>';
/** White modules around the code. */
const QUIET = 4;

type Look = { tone: string; shape: string; word: string };

const OVERALL: { [overall in Overall]: Look } = {
  passed: { tone: "good", shape: CHECK, word: "Passed" },
  failed: { tone: "bad", shape: CROSS, word: "Failed" },
  undetermined: { tone: "open", shape: QUESTION, word: "Undetermined" },
  enrolled: { tone: "new", shape: PLUS, word: "Enrolled" },
};

const VERDICTS: { [verdict in Verdict]: Look } = {
  confirmed: { tone: "good", shape: CHECK, word: "Confirmed" },
  pass: { tone: "good", shape: CHECK, word: "Pass" },
  denied: { tone: "bad", shape: CROSS, word: "Denied" },
  fail: { tone: "bad", shape: CROSS, word: "Fail" },
  undetermined: { tone: "open", shape: QUESTION, word: "Undetermined" },
  enrolled: { tone: "new", shape: PLUS, word: "Enrolled" },
};

/** The style in a page, when it is the format's. */
export async function styleIn(page: string): Promise<string> {
  const from = page.indexOf(STYLE_START) + STYLE_START.length;
  const style = page.slice(from, page.indexOf(STYLE_END, from));
  if (toBase64(await sha256(utf8(style))) !== STYLE_SHA256) {
    throw new Broken("the page", "its style is not the one of this format");
  }
  return style;
}

/** The page of a passport; `style` comes from `styleIn`. */
export function render(verified: Verified, pictures: readonly string[], style: string): string {
  const { facts } = verified;
  const { tone, word } = OVERALL[facts.overall];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'sha256-${STYLE_SHA256}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="${FORMAT}">
<title>${escape(facts.part)}: ${word} · digital product passport</title>
${STYLE_START}${style}${STYLE_END}
</head>
<body class="${tone}">
${header(facts)}<main>
${gallery(facts, pictures)}${findings(facts)}${timeline(facts)}${limits(facts)}${identifiers(verified)}</main>
<footer>
<p>W3C verifiable credential (vc+jwt, EdDSA) in the shape of the UN Transparency Protocol's digital product passport; it is inside this page. Published at <span class="mono">${escape(facts.url)}</span>.</p>
</footer>
${CREDENTIAL_START}${verified.jwt}${CREDENTIAL_END}
</body>
</html>
`;
}

/** Text in HTML; marks that turn the direction of text could disguise a name. */
function escape(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;")
    .replace(/[\u202a-\u202e\u2066-\u2069]/g, "\ufffd")
    .replace(/\p{Cc}/gu, " ");
}

const icon = (shape: string): string =>
  `<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="11"/>${shape}</svg>`;

const time = (at: Millis): string => `<time datetime="${rfc3339(at)}">${clock(at)}</time>`;

const hash = (digest: Digest): string => `<code title="${digest}">${digest.slice(0, 8)}…</code>`;

/** `heat-map` as “Heat map”. */
function caption(name: string): string {
  const trimmed = trim(name);
  return trimmed === "" ? "Picture" : capital(trimmed.replace(/[-_]/g, " "));
}

/** Trims what Unicode calls white space. */
function trim(text: string): string {
  const space =
    "[\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+";
  return text.replace(new RegExp(`^${space}|${space}$`, "g"), "");
}

function header(facts: Facts): string {
  const { shape, word } = OVERALL[facts.overall];
  const because = facts.findings.map(({ words }) => `<li>${capital(words)}.</li>\n`).join("");
  return `<header>
<div class="card hero">
<div>
<p class="eyebrow">Digital product passport</p>
<h1>${escape(facts.part)}</h1>
<p class="verdict">${icon(shape)}<strong>${word}</strong></p>
<ul class="because">
${because}</ul>
</div>
<figure class="code">${code(facts.url)}<figcaption>${escape(facts.url).replaceAll("/", "/<wbr>")}</figcaption></figure>
</div>
<dl class="card line">
<div><dt>Plant</dt><dd>${escape(facts.plant)}</dd></div>
<div><dt>Issued</dt><dd>${time(facts.issuedAt)}</dd></div>
<div><dt>Issuer</dt><dd class="mono">${escape(facts.issuer)}</dd></div>
</dl>
</header>
`;
}

function code(url: string): string {
  const grid = qr(url);
  const side = grid.length + 2 * QUIET;
  const path = grid.flatMap((row, y) =>
    row.flatMap((dark, x) => (dark ? [`M${x + QUIET} ${y + QUIET}h1v1h-1z`] : [])),
  );
  return (
    `<svg class="qr" role="img" aria-label="${escape(`QR code that leads to ${url}`)}" viewBox="0 0 ${side} ${side}" shape-rendering="crispEdges">` +
    `<rect width="${side}" height="${side}" fill="#fff"/><path d="${path.join("")}" fill="#000"/></svg>`
  );
}

function gallery(facts: Facts, pictures: readonly string[]): string {
  if (pictures.length === 0) return "";
  const figures = facts.pictures.map(({ name, media_type: type, sha256: digest }, at) => {
    const title = escape(caption(name));
    const alt = `${title} of part ${escape(facts.part)}`;
    return (
      `<figure class="card"><img alt="${alt}" ${pictureStart(type)}${pictures[at] ?? ""}">` +
      `<figcaption>${title}<span class="soft">${hash(digest)}</span></figcaption></figure>\n`
    );
  });
  return `<section aria-labelledby="pictures">
<h2 id="pictures">What the analysis saw</h2>
<div class="gallery">
${figures.join("")}</div>
</section>
`;
}

function findings(facts: Facts): string {
  return `<section aria-labelledby="findings">
<h2 id="findings">What it found</h2>
<div class="grid">
${facts.findings.map(oneFinding).join("")}</div>
</section>
`;
}

function oneFinding(finding: Finding): string {
  const { tone, shape, word } = VERDICTS[finding.verdict];
  const pair = (what: string, value: string): string =>
    `<div><dt>${what}</dt><dd>${value}</dd></div>`;
  const reference = finding.reference ? pair("Reference", hash(finding.reference)) : "";
  return `<article class="card ${tone}">
<h3>${escape(caption(finding.name))}</h3>
<p class="chip">${icon(shape)}${word}</p>
<p>${capital(finding.words)}. ${escape(capital(finding.referenceWords))}.</p>
<dl class="pairs">${pair("Score", number(finding.score))}${pair("Turns at", number(finding.threshold))}${pair("Program", hash(finding.program))}${reference}</dl>
</article>
`;
}

/** A score for people: four significant digits. */
function number(value: number): string {
  const magnitude = Math.abs(value);
  if (value === 0) return "0";
  if (magnitude < 0.001 || magnitude >= 1e6) {
    const [digits, exponent = ""] = value.toExponential(100).split("e");
    const rounded = tieToEven(digits ?? "", 3) ?? value.toExponential(3).split("e")[0];
    return `${rounded}e${Number(exponent)}`;
  }
  const places = [1000, 100, 10, 1].findIndex((from) => magnitude >= from);
  const digits = places < 0 ? 4 : places;
  const text = tieToEven(value.toFixed(100), digits) ?? value.toFixed(digits);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/**
 * A number whose digits end in exactly one half after `places`, cut to its even neighbour below;
 * null for every other, which all writers round alike.
 */
function tieToEven(exact: string, places: number): string | null {
  const end = exact.indexOf(".") + 1 + places;
  const kept = exact.slice(0, end).replace(/\.$/, "");
  const even = /[02468]$/.test(kept);
  return even && /^50*$/.test(exact.slice(end)) ? kept : null;
}

function timeline(facts: Facts): string {
  return `<section aria-labelledby="chain">
<h2 id="chain">The chain of proofs</h2>
<p class="lead">Each step rests on the one before. Each was signed by who did it, and stands on a ledger that witnesses watch.</p>
<ol class="chain">
${facts.steps.map(oneStep).join("")}</ol>
</section>
`;
}

function oneStep(step: Step): string {
  const { at, index, digest } = step;
  const meta = [
    escape(step.who),
    ...(at === null ? [] : [time(at)]),
    ...(index === null ? [] : [`entry ${index}`]),
    ...(digest === null ? [] : [hash(digest)]),
  ];
  return `<li class="card">
<p class="eyebrow">${step.kind}</p>
<h3>${escape(step.title)}</h3>
<p>${escape(step.detail)}</p>
<p class="meta">${meta.map((one) => `<span>${one}</span>`).join("")}</p>
</li>
`;
}

const PROVES = [
  "A person whom the plant's rules allowed signed the order for this part, with an approved program.",
  "Order, run, recordings, grant and report stand on one log, in this order, and the witnesses saw no other version of it.",
  "The recordings are those that the cell signed: one changed byte would change their names.",
  "The report and its pictures are those that the named processor filed, from those recordings.",
  "Nothing in this passport was changed since the site issued it.",
];

const DOES_NOT = [
  "That the part on the table bore the name in the order. Its identity is compared by its surface, as surely as the score says.",
  "That the analysis is right. It can be mistaken; its score and the score at which it turns are shown.",
  "That cameras and sensors saw what was there.",
  "What happened after the checkpoint, or that the ledger holds nothing else: this is an excerpt. The whole ledger shows it.",
  "Which plant this is. Compare the genesis below with one that you were given by another way.",
];

function limits(facts: Facts): string {
  const items = (lines: readonly string[]): string =>
    lines.map((line) => `<li>${line}</li>\n`).join("");
  return `<section aria-labelledby="limits">
<h2 id="limits">What this proves, and what it does not</h2>
<div class="grid">
<div class="card proves">
<h3>It proves</h3>
<ul>
${items(PROVES)}</ul>
</div>
<div class="card not">
<h3>It does not prove</h3>
<ul>
${items(DOES_NOT)}</ul>
</div>
</div>
<p class="lead">A page can be drawn by anybody. To know that this one is genuine, verify the file; it needs neither the plant nor a network:</p>
<pre class="card"><code>interlock passport verify ${escape(facts.part)}.html</code></pre>
</section>
`;
}

function identifiers({ facts, trust, digest }: Verified): string {
  const rows: [string, string][] = [
    ["Genesis of the plant", trust.genesis],
    ["Ledger", trust.origin],
    ["Checkpoint", `${trust.size} entries, root ${trust.root}`],
    ["Report", facts.report],
    ["Credential", digest],
  ];
  for (const { kind, digest: id, index, names } of facts.steps) {
    if (id !== null && index !== null && kind !== "ledger")
      rows.push([`Entry ${index}, ${kind}`, id]);
    rows.push(...names);
  }
  for (const { name, program, reference } of facts.findings) {
    rows.push([`Program of ${name}`, program]);
    if (reference !== null) rows.push([`Reference of ${name}`, reference]);
  }
  for (const { name, sha256: picture } of facts.pictures) {
    rows.push([`Picture “${caption(name)}”`, picture]);
  }
  const lines = rows.map(
    ([what, value]) => `<div><dt>${escape(what)}</dt><dd>${escape(value)}</dd></div>\n`,
  );
  return `<section aria-labelledby="names">
<h2 id="names">Names in full</h2>
<dl class="card full">
${lines.join("")}</dl>
</section>
`;
}
