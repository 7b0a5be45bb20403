/**
 * Which key belongs to whom at which index: the members' part of the plant's fold
 * (`crates/plant/src/{keys,rules,apply}.rs`). Every entry of a ledger, or of an excerpt that holds
 * all changes of the rules, goes through `verify` and then `apply`, in the order of the ledger.
 *
 * The policy's text (Cedar) is not evaluated: who may propose or revoke by policy is not checked
 * here. That two security officers sign a change of the rules is.
 */
import { readBody, readChange } from "./body";
import type { Body, Change, Genesis, Member, Program, Role } from "./body";
import { Broken } from "./broken";
import { fromBase64Url } from "./bytes";
import { verifyEntry, wordOf, type Leaf, type VerifiedEntry } from "./entry";
import { isObject } from "./jcs";
import { checkForm, fingerprint, materialOf, type PublicKey } from "./keys";
import type { LogPolicy } from "./policy";
import { readKeys, statedLog, type Rotation } from "./rotation";
import type { Digest, Id, Millis } from "./shape";

const MAX_INVITATION_MS = 14 * 24 * 60 * 60 * 1000;
const MAX_KEYS = 8;
const SEAL_BYTES = 32;
const PERSON_DELAY_MS = 10 * 60 * 1000;

/** A key with its fingerprint, which is slow to compute. */
interface Held {
  key: PublicKey;
  print: Digest;
}

export interface MemberState {
  member: Member;
  keys: Held[];
  /** Fingerprints of used invitations and of revoked keys, with the index of the entry. */
  accepted: Map<Digest, number>;
  revoked: Map<Digest, number>;
}

export interface Proposal {
  change: Change;
  proposer: Id;
  officers: Set<Id>;
  effective: boolean;
}

/** An entry that may stand where it stands, as far as keys tell. */
export interface Signed extends VerifiedEntry {
  issuer: Id;
  key: Digest;
  /** The issuer's clock and the site's. */
  signedAt: Millis;
  loggedAt: Millis;
  body: Body;
}

const refuse = (what: string, reason: string): never => {
  throw new Broken(what, reason);
};

/** What became of the members when an entry was applied. */
export interface Applied {
  /** The change that took effect. */
  change?: Change;
  /** The member whose keys or roles changed. */
  touched?: Id;
}

export class Keyring {
  readonly members = new Map<Id, MemberState>();
  /** Raw keys that were revoked, given up or, as invitations, used: nobody may have them again. */
  private readonly spent = new Set<string>();
  /** Keys that were replaced or given up and that nobody revoked, by member and fingerprint. */
  private readonly laidDown = new Map<string, PublicKey>();
  readonly proposals = new Map<Digest, Proposal>();
  /** Keys of the plant itself that took the place of the genesis', in order. */
  readonly rotations: Rotation[] = [];
  private loggedAt: Millis;

  private constructor(
    readonly site: Id,
    readonly genesis: Digest,
    readonly anchors: Genesis,
    /** The log that the genesis states. */
    readonly log: LogPolicy,
    loggedAt: Millis,
  ) {
    this.loggedAt = loggedAt;
  }

  /** Begins with the genesis leaf; whether it is *the* genesis, the caller's anchors tell. */
  static async begin(leaf: Leaf, name = "entry 0 (genesis)"): Promise<[Keyring, Signed]> {
    const { statement } = leaf.entry;
    const body = readBody(statement.body, name);
    if (body.word !== "genesis") return refuse(name, `it is \`${body.word}\``);
    const anchors = body.value;
    const log = await statedLog(anchors, name);
    const states = await Promise.all(anchors.members.map(newState));
    states.forEach((state, at) => {
      const others = states.filter((_, other) => other !== at);
      if (others.some((other) => other.member.id === state.member.id)) {
        refuse(name, `\`${state.member.id}\` is named twice`);
      }
      checkKeys(state, others, statement.at, name);
    });
    const officers = states.filter((state) => state.member.roles.includes("security-officer"));
    if (officers.length < 2) refuse(name, "fewer than two security officers");
    const held = officers
      .find((state) => state.member.id === statement.issuer)
      ?.keys.find(({ key, print }) => print === statement.key && !("invitation" in key));
    if (held === undefined) {
      return refuse(name, "it is not signed by a security officer that it names");
    }
    const verified = await verifyEntry(leaf.entry, held.key);
    const ring = new Keyring(statement.site, verified.id, anchors, log, leaf.logged_at);
    states.forEach((state) => ring.members.set(state.member.id, state));
    return [ring, signed(leaf, verified, body)];
  }

  /** A member's keys that count now. */
  liveKeys(id: Id): PublicKey[] {
    return this.live(id).map(({ key }) => key);
  }

  private live(id: Id): Held[] {
    const state = this.members.get(id);
    return state?.keys.filter(({ print }) => !state.revoked.has(print)) ?? [];
  }

  hasRole(id: Id, role: Role): boolean {
    return this.members.get(id)?.member.roles.includes(role) ?? false;
  }

  /** Whether a member has a key that can sign for it: live, and no invitation. */
  signs(id: Id): boolean {
    return this.liveKeys(id).some((key) => !("invitation" in key));
  }

  /** A member's name for people. */
  nameOf(id: Id): string {
    return this.members.get(id)?.member.name ?? "";
  }

  /** Verifies an entry under the key that is enrolled for its issuer now. */
  async verify(leaf: Leaf, name: string): Promise<Signed> {
    const { statement } = leaf.entry;
    const state = this.members.get(statement.issuer);
    if (state === undefined) return refuse(name, `\`${statement.issuer}\` is not enrolled`);
    const revoked = state.revoked.get(statement.key);
    if (revoked !== undefined) refuse(name, `its key was revoked at index ${revoked}`);
    const held = state.keys.find(({ print }) => print === statement.key);
    if (held === undefined) {
      return refuse(name, `its key is none of \`${statement.issuer}\``);
    }
    const verified = await verifyEntry(leaf.entry, held.key);
    const body = readBody(statement.body, name);
    if (statement.site !== this.site) refuse(name, `it is meant for site \`${statement.site}\``);
    this.checkSigner(held.key, body, leaf.logged_at, name);
    this.checkTime(leaf, name);
    const entry = signed(leaf, verified, body);
    await this.checkRule(entry, name);
    return entry;
  }

  /** An invitation signs its acceptance and nothing else, and nothing else signs one. */
  private checkSigner(key: PublicKey, body: Body, now: Millis, name: string): void {
    if ("invitation" in key !== (body.word === "accept")) {
      refuse(name, "only an invitation signs an acceptance, and it signs nothing else");
    }
    if ("invitation" in key && now > key.invitation.not_after) {
      refuse(name, "the invitation had ended");
    }
  }

  private checkTime(leaf: Leaf, name: string): void {
    const { at, issuer } = leaf.entry.statement;
    const now = leaf.logged_at;
    if (now < this.loggedAt) refuse(name, "the site logged it before the entry that precedes it");
    if (at > now + this.anchors.clock_skew_ms) refuse(name, "its clock is ahead of the site's");
    const machine = this.hasRole(issuer, "cell") || this.hasRole(issuer, "site");
    if (!machine && now - at > PERSON_DELAY_MS) {
      refuse(name, "it was logged more than ten minutes after it was signed");
    }
  }

  private async checkRule(entry: Signed, name: string): Promise<void> {
    const { body } = entry;
    if (body.word === "genesis") refuse(name, "the plant has begun already");
    if (body.word === "propose") {
      await this.checkChange(readChange(body.value), entry.loggedAt, name);
    } else if (body.word === "approve") {
      await this.checkApproval(entry, body.value.proposal, name);
    } else if (body.word === "accept") {
      await this.checkAcceptance({ passkey: body.value.passkey }, body.value.seal, name);
    } else if (body.word === "revoke-key") {
      const { member, key } = body.value;
      if (this.live(member).some(({ print }) => print === key)) return;
      const laidDown = this.laidDown.get(`${member} ${key}`);
      if (laidDown === undefined) {
        return refuse(name, `it revokes no key of \`${member}\` that was not revoked`);
      }
      const twin = this.holderOf(laidDown);
      if (twin !== undefined) refuse(name, `the same key still counts, as a key of \`${twin}\``);
    }
  }

  /** Whether a change would leave a plant that can still be governed. */
  private async checkChange(change: Change, now: Millis, name: string): Promise<void> {
    if (change.word === "member") {
      const latest = now + this.anchors.clock_skew_ms;
      const state = await newState(change.value);
      checkKeys(state, [...this.members.values()], latest, name);
      state.keys.forEach(({ key }) => this.checkUnspent(key, name));
      const signs = state.keys.some(({ key }) => !("invitation" in key));
      this.checkOfficers(change.value.id, signs, change.value.roles, name);
    } else if (change.word === "roles") {
      const { member, roles } = change.value;
      if (!this.members.has(member)) refuse(name, `\`${member}\` is not enrolled`);
      this.checkOfficers(member, this.signs(member), roles, name);
    } else if (change.word === "program") {
      this.checkProgram(change.value, name);
    } else if (change.word === "keys") {
      await readKeys(change.value, this.log, this.anchors.vault, this.rotations, name);
    }
  }

  private checkProgram(program: Program, name: string): void {
    const parameters = Object.entries(program.parameters);
    if (parameters.length > 8) refuse(name, "at most eight parameters are expected");
    for (const [key, { default: value, min, max }] of parameters) {
      if (value < min || value > max) refuse(name, `the default of \`${key}\` is out of bounds`);
    }
    const stranger = program.cells.find((cell) => !this.hasRole(cell, "cell"));
    if (stranger !== undefined) refuse(name, `\`${stranger}\` is not a cell`);
  }

  /** Two officers who can sign must remain; one who was only invited, or revoked, cannot. */
  private checkOfficers(changed: Id, signs: boolean, roles: readonly Role[], name: string): void {
    const others = [...this.members.keys()].filter(
      (id) => id !== changed && this.hasRole(id, "security-officer") && this.signs(id),
    );
    if (others.length + (signs && roles.includes("security-officer") ? 1 : 0) < 2) {
      refuse(name, "fewer than two security officers who can sign would remain");
    }
  }

  /** The member with a key that counts and has the same raw bytes, perhaps written in another way. */
  private holderOf(key: PublicKey): Id | undefined {
    const material = materialOf(key);
    return [...this.members.keys()].find((id) =>
      this.liveKeys(id).some((live) => materialOf(live) === material),
    );
  }

  private checkUnspent(key: PublicKey, name: string): void {
    if (this.spent.has(materialOf(key))) refuse(name, "a key that was revoked or used is in it");
  }

  private spend(state: MemberState | undefined, print: Digest): void {
    const held = state?.keys.find((key) => key.print === print);
    if (held !== undefined) this.spent.add(materialOf(held.key));
  }

  private async checkApproval(entry: Signed, id: Digest, name: string): Promise<void> {
    const proposal = this.proposals.get(id);
    if (proposal === undefined) return refuse(name, "no such proposal is on the ledger");
    if (!this.hasRole(entry.issuer, "security-officer")) {
      refuse(name, `\`${entry.issuer}\` is not a security officer`);
    }
    if (proposal.proposer === entry.issuer || proposal.officers.has(entry.issuer)) {
      refuse(name, `\`${entry.issuer}\` has signed this proposal already`);
    }
    if (proposal.effective) refuse(name, "the change has taken effect already");
    await this.checkChange(proposal.change, entry.loggedAt, name);
  }

  private async checkAcceptance(
    key: PublicKey,
    seal: string | undefined,
    name: string,
  ): Promise<void> {
    checkForm(key);
    checkSeal(seal, name);
    this.checkUnspent(key, name);
    const material = materialOf(key);
    for (const state of this.members.values()) {
      if (state.keys.some((held) => materialOf(held.key) === material)) {
        refuse(name, `this passkey is one of \`${state.member.id}\` already`);
      }
    }
  }

  /** Takes a verified entry in. */
  async apply(entry: Signed, index: number): Promise<Applied> {
    this.loggedAt = entry.loggedAt;
    const { body, issuer } = entry;
    if (body.word === "propose") {
      const officers = new Set(this.hasRole(issuer, "security-officer") ? [issuer] : []);
      const change = readChange(body.value);
      this.proposals.set(entry.id, { change, proposer: issuer, officers, effective: false });
    } else if (body.word === "approve") {
      return this.approve(body.value.proposal, issuer, index);
    } else if (body.word === "accept") {
      await this.accept(entry, body.value.passkey, body.value.seal, index);
    } else if (body.word === "revoke-key") {
      const { member, key } = body.value;
      this.revoke(member, key, index, issuer === member && entry.key === key);
      this.withdraw(member);
      return { touched: member };
    }
    return {};
  }

  /** A key counts no longer; one that was laid down before keeps its index. */
  private revoke(member: Id, print: Digest, index: number, own: boolean): void {
    const state = this.members.get(member);
    const before = this.laidDown.get(`${member} ${print}`);
    const held = state?.keys.find((key) => key.print === print)?.key ?? before;
    if (held !== undefined) this.spent.add(materialOf(held));
    if (state && !state.revoked.has(print)) state.revoked.set(print, index);
    if (own && held !== undefined) this.laidDown.set(`${member} ${print}`, held);
    else this.laidDown.delete(`${member} ${print}`);
  }

  /** A member has other keys: those that it had before are laid down. */
  private replace(member: Id, now: MemberState): void {
    for (const { key, print } of this.live(member)) {
      if (!now.keys.some((held) => held.print === print)) this.laidDown.set(`${member} ${print}`, key);
    }
    for (const { print } of now.keys) this.laidDown.delete(`${member} ${print}`);
  }

  private async approve(id: Digest, officer: Id, index: number): Promise<Applied> {
    const proposal = this.proposals.get(id);
    if (proposal === undefined) return {};
    proposal.officers.add(officer);
    const { change } = proposal;
    const rules = ["member", "roles", "policy", "keys"].includes(change.word);
    if (proposal.officers.size < (rules ? 2 : 1)) return {};
    proposal.effective = true;
    if (change.word === "member") {
      const before = this.members.get(change.value.id);
      const state = await newState(change.value);
      this.replace(change.value.id, state);
      this.members.set(change.value.id, before ? { ...before, ...pick(state) } : state);
      this.withdraw(change.value.id);
      return { change, touched: change.value.id };
    }
    if (change.word === "roles") {
      const state = this.members.get(change.value.member);
      if (state) state.member = { ...state.member, roles: change.value.roles };
      this.withdraw(change.value.member);
      return { change, touched: change.value.member };
    }
    if (change.word === "keys") {
      const name = `entry ${index} (approve)`;
      const keys = await readKeys(change.value, this.log, this.anchors.vault, this.rotations, name);
      this.rotations.push({ index, ...keys });
    }
    return { change };
  }

  private async accept(
    entry: Signed,
    passkey: Extract<PublicKey, { passkey: unknown }>["passkey"],
    seal: string | undefined,
    index: number,
  ): Promise<void> {
    const state = this.members.get(entry.issuer);
    if (state === undefined) return;
    const key = { passkey };
    this.spend(state, entry.key);
    state.accepted.set(entry.key, index);
    state.keys = state.keys.filter(({ print }) => print !== entry.key);
    state.keys.push({ key, print: await fingerprint(key) });
    if (seal !== undefined) state.member = { ...state.member, seal };
  }

  /**
   * What a member signed counts only while its keys and roles are those it signed under, and what
   * was proposed about it only while they are those that it was made of.
   */
  private withdraw(member: Id): void {
    for (const [id, { change, effective, officers, proposer }] of this.proposals) {
      const share = proposer === member || officers.has(member);
      if (!effective && (share || subjectOf(change) === member)) this.proposals.delete(id);
    }
  }
}

/** The member whose keys or roles a change would change. */
function subjectOf(change: Change): Id | undefined {
  if (change.word === "member") return change.value.id;
  return change.word === "roles" ? change.value.member : undefined;
}

const RULES = ["genesis", "propose", "approve", "accept", "revoke-key"];

/**
 * The keys that entries would put in the place of the genesis', before anything but the officers'
 * signatures is proven: a checkpoint under these keys proves the entries. Entries that do not fold
 * replace no key; the fold says what is wrong with them.
 */
export async function rotationsOf(
  entries: readonly { index: number; leaf: Leaf }[],
): Promise<readonly Rotation[]> {
  const proposes = ({ leaf }: { leaf: Leaf }): boolean => {
    const { body } = leaf.entry.statement;
    const change = isObject(body) ? body["propose"] : undefined;
    return change !== undefined && isObject(change) && "keys" in change;
  };
  const [first, ...rest] = entries.filter(({ leaf }) => RULES.includes(wordOf(leaf.entry)));
  if (first?.index !== 0 || !entries.some(proposes)) return [];
  try {
    const [ring] = await Keyring.begin(first.leaf);
    for (const { index, leaf } of rest) {
      await ring.apply(await ring.verify(leaf, `entry ${index}`), index);
    }
    return ring.rotations;
  } catch (error) {
    if (error instanceof Broken) return [];
    throw error;
  }
}

function pick({ member, keys }: MemberState): Pick<MemberState, "member" | "keys"> {
  return { member, keys };
}

function signed(leaf: Leaf, verified: VerifiedEntry, body: Body): Signed {
  const { issuer, key, at } = leaf.entry.statement;
  return { ...verified, issuer, key, signedAt: at, loggedAt: leaf.logged_at, body };
}

async function newState(member: Member): Promise<MemberState> {
  const held = member.keys.map(async (key) => ({ key, print: await fingerprint(key) }));
  const keys = await Promise.all(held);
  return { member, keys, accepted: new Map(), revoked: new Map() };
}

/** Whether a member brings one to eight keys that nobody else has. */
function checkKeys(
  state: MemberState,
  enrolled: readonly MemberState[],
  now: Millis,
  name: string,
): void {
  const { member, keys } = state;
  if (keys.length < 1 || keys.length > MAX_KEYS) {
    refuse(name, `\`${member.id}\` has ${keys.length} keys, 1 to ${MAX_KEYS} are expected`);
  }
  for (const { key } of keys) {
    checkForm(key);
    if ("invitation" in key && key.invitation.not_after - now > MAX_INVITATION_MS) {
      refuse(name, "an invitation lasts more than 14 days");
    }
  }
  checkSeal(member.seal, name);
  const materials = new Set(keys.map(({ key }) => materialOf(key)));
  if (materials.size !== keys.length) refuse(name, `\`${member.id}\` has a key twice`);
  for (const other of enrolled) {
    const theirs = other.keys.some(({ key }) => materials.has(materialOf(key)));
    if (other.member.id !== member.id && theirs) {
      refuse(name, `\`${member.id}\` has a key of \`${other.member.id}\``);
    }
  }
}

function checkSeal(seal: string | undefined, name: string): void {
  if (seal !== undefined && fromBase64Url(seal, name).length !== SEAL_BYTES) {
    refuse(name, "a sealing key of 32 bytes is expected");
  }
}
