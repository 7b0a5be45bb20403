/** The QR code of a passport's page, as a path of unit squares and nothing else. */
export interface Qr {
  side: number;
  path: string;
}

/** The most modules of a code with its margin. */
const MOST = 200;

/** Takes the code out of a page; `null` when there is none of the known form. */
export function qrOf(html: string): Qr | null {
  const start = html.indexOf('<svg class="qr"');
  const end = start < 0 ? -1 : html.indexOf("</svg>", start);
  if (end < 0) return null;
  const svg = html.slice(start, end);
  const side = Number(/viewBox="0 0 (\d{2,3}) \1"/.exec(svg)?.[1]);
  const path = /<path d="((?:M\d{1,3} \d{1,3}h1v1h-1z)+)" fill="#000"\/>/.exec(svg)?.[1];
  return path === undefined || !(side <= MOST) ? null : { side, path };
}
