/**
 * Text that somebody else wrote, inside sentences of the console. It can neither turn the
 * words around it (bidi controls) nor hide in them (invisible characters, great length).
 */

/** Begins and ends an isolate: what is between has its own direction. */
const [FSI, PDI] = ["\u2068", "\u2069"];
/** Format characters but the joiners, which some scripts are written with. */
const HIDDEN = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Of a longer text the beginning is shown, and the whole on demand. */
export const SHOWN = 300;

/** As JSON writes what cannot be printed. */
function escaped(text: string): string {
  return Array.from({ length: text.length }, (_, i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, "0")}`).join("");
}

/** JSON with every character that cannot be seen as its escape: the same value, and no tricks. */
export function exact(json: string): string {
  return json.replace(UNSEEN, escaped);
}

/** Marks somebody else's text in a sentence; {@link partsOf} finds it again. */
export function foreign(text: string): string {
  return `${FSI}${text.replace(HIDDEN, escaped)}${PDI}`;
}

export interface Part { text: string; foreign: boolean; /** How many characters were left out. */ cut: number }

/** A sentence as the console's own words and the foreign ones, each at most `most` characters. */
export function partsOf(sentence: string, most = SHOWN): Part[] {
  return sentence.split(/(\u2068[^\u2069]*\u2069?)/).filter((text) => text !== "").map((text) => {
    const marked = text.startsWith(FSI);
    const shown = [...(marked ? text.slice(1).replace(PDI, "") : text).replace(HIDDEN, escaped)];
    return { text: shown.slice(0, most).join(""), foreign: marked, cut: Math.max(0, shown.length - most) };
  });
}

/** A sentence without marks, where only plain text can be shown. */
export function plain(sentence: string): string {
  return partsOf(sentence, Infinity).map(({ text }) => text).join("");
}
