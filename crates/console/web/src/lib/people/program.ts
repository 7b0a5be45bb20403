/** A robot program as it is proposed: checked as the site will check it. */
import { isId } from "../ledger/id";
import type { Digest, Id, Parameter, Program } from "../ledger/types";

/** One parameter as it is typed in. */
export interface Row { id: string; title: string; unit: string; min: number | null; max: number | null; default: number | null }

export const MAX_PARAMETERS = 8;
/** The most bytes of a file that the site stores. */
export const MAX_FILE = 16 * 1024 * 1024;
/** A controller's registers have 32 bits. */
const MOST = 2 ** 31 - 1;

export const emptyRow = (): Row => ({ id: "", title: "", unit: "", min: 0, max: 100, default: 0 });

/** The rows of a program that is approved, to begin a new version with. */
export function rowsOf(program: Program): Row[] {
  return Object.entries(program.parameters).map(([id, p]) => ({ id, ...p }));
}

function wrongRow(row: Row): string {
  const name = row.id === "" ? "a parameter" : `“${row.id}”`;
  if (!isId(row.id)) return `${name}: its identifier is 1 to 64 of a-z, 0-9, “-”, “.” and “_”.`;
  const numbers = [row.min, row.max, row.default];
  if (numbers.some((n) => n === null || !Number.isInteger(n) || Math.abs(n) > MOST)) return `${name}: give whole numbers of at most 32 bits.`;
  const [min, max, standard] = numbers as [number, number, number];
  return min <= standard && standard <= max ? "" : `${name}: the default ${standard} is not within ${min} to ${max}.`;
}

/** What is wrong with the rows; empty when nothing is. */
export function wrongRows(rows: readonly Row[]): string {
  if (rows.length > MAX_PARAMETERS) return `At most ${MAX_PARAMETERS} parameters fit.`;
  const twice = rows.find((row, i) => rows.findIndex((r) => r.id === row.id) !== i);
  return twice === undefined ? (rows.map(wrongRow).find((words) => words !== "") ?? "") : `“${twice.id}” stands twice.`;
}

/** The program that is proposed, in the one spelling that the ledger takes. */
export function programOf(id: Id, title: string, cells: readonly Id[], rows: readonly Row[], sha256: Digest): Program {
  const parameter = (row: Row): Parameter => ({
    default: row.default ?? 0, max: row.max ?? 0, min: row.min ?? 0, title: row.title.trim(), unit: row.unit.trim(),
  });
  return {
    cells: [...new Set(cells)].sort(), id,
    parameters: Object.fromEntries(rows.map((row) => [row.id, parameter(row)])), sha256, title: title.trim(),
  };
}

/** The identifier that a file's name suggests: what it is called on its controller, without hash and ending. */
export function idOfFile(name: string): Id {
  const bare = name.toLowerCase().replace(/\.[a-z0-9]+$/, "").replace(/-[0-9a-f]{16}$/, "").replace(/[^a-z0-9._-]+/g, "-");
  return isId(bare) ? bare : "";
}

/** The name under which a program lies on its controller. */
export function controllerFile(id: Id, sha256: Digest): string {
  return `${id}-${sha256.slice(0, 16)}.urp`;
}
