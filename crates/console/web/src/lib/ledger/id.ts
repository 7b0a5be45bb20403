/** The one form of names: members, parts, programs, parameters. */
const ID = /^[a-z0-9][a-z0-9._-]{0,63}$/;

export function isId(text: string): boolean {
  return ID.test(text);
}
