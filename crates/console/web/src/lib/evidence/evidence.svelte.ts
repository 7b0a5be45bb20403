/** The verifier of this session: made when something is first verified, one for all pages. */
import { getBytes, getText } from "../api/client";
import type { Digest, LedgerEvent, Proposal } from "../ledger/types";
import { verifyManifest, type Manifest } from "../open/manifest";
import type { InForce } from "../people/differ";
import { session } from "../state/session.svelte";
import { Broken, canonical, fromBase64Url, utf8, verifyPassport, type Anchors, type Json } from "../verify";
import { behind, bodyOf, fits, type Chain, type Finding, type Link, type Node } from "./chain";
import { count } from "../words";
import { grew, keepSeen, lastSeen, type Growth } from "./history";
import { outcome, type Outcome, type Steps } from "./steps";
import { currentTrust, type Trusted } from "./trust";
import type { Body } from "../verify/body";
import { inTurn, mustBe, Verifier, type Proven, type Stated } from "./verifier";

class Evidence {
  /** What is trusted, once something was verified. */
  trust = $state.raw<Trusted | null>(null);
  /** How the ledger follows from what this browser saw of it before, once that is known. */
  growth = $state.raw<Growth | null>(null);
  private made: Promise<Verifier> | null = null;
  private of: string | null = null;

  /** The verifier. One who signs out takes what was verified along. */
  verifier(): Promise<Verifier> {
    const member = session.me?.member ?? null;
    if (this.made === null || this.of !== member) {
      this.of = member;
      this.made = this.begin();
      this.made.catch(() => (this.made = null));
    }
    return this.made;
  }

  private async begin(): Promise<Verifier> {
    const trust = await currentTrust();
    this.trust = trust;
    if (trust.differs) throw new Broken("the site's anchors", "they are not those that your enrolment link pinned here: this may be another plant, or a forged one");
    const verifier = new Verifier(trust.anchors, { text: getText });
    const { genesis } = trust.anchors;
    // What was seen is read first: another page may keep a newer state meanwhile.
    const seen = lastSeen(genesis);
    const now = await verifier.newest();
    this.growth = await grew(seen, now, getBytes);
    // A state that does not provably follow takes no other's place.
    if (this.growth !== "unproven") keepSeen(genesis, now);
    return verifier;
  }

  /** Verifies one entry. */
  entry(wanted: number | string): Promise<Outcome> {
    return outcome(async (steps) => {
      await (await this.verifier()).entry(wanted, steps);
    });
  }

  /** Verifies an entry against what was shown of it. */
  shown(event: LedgerEvent): Promise<Outcome> {
    return outcome(async (steps) => {
      await this.proven(event, steps);
    });
  }

  /** Verifies that a proposal proposes what is shown of it; gives what is provably in force now. */
  async proposal(id: Digest, shown: Proposal): Promise<InForce> {
    return (await this.verifier()).proposal(id, shown);
  }

  /** What provably took effect on the ledger: what a person signs is made of it. */
  async inForce(): Promise<InForce> {
    return (await this.verifier()).inForce();
  }

  /** Verifies an entry that states a word, and gives what it states. */
  async stated<W extends Body["word"]>(wanted: number | string, word: W): Promise<Stated<W>> {
    return (await this.verifier()).stated(wanted, word);
  }

  /** Ends a sentence on what was verified: whose anchors it rests on, when this browser pinned none. */
  get basis(): string {
    return this.trust?.pinned === true ? "" : ", by anchors that it took from the site";
  }

  private async proven(event: LedgerEvent, steps: Steps): Promise<Proven> {
    const found = await (await this.verifier()).entry(event.index, steps);
    asShown(found, event);
    return found;
  }

  /** Verifies a recording's entry with the manifest that its cell signed. */
  recording(index: number, root: string, digest: string): Promise<Outcome> {
    return outcome(async (steps) => {
      const found = await (await this.verifier()).entry(index, steps);
      await this.manifest(found, root, digest, steps);
    });
  }

  private async manifest(found: Proven, root: string, digest: string, steps: Steps): Promise<void> {
    await steps.check(
      "manifest",
      async () => {
        const { issuer } = found.signed;
        const verifier = await this.verifier();
        if (!(await verifier.hadRole(issuer, "cell", found.index))) throw new Broken("the recording", `${issuer}, who registered it, is no cell`);
        const keys = await verifier.keysAt(issuer, found.index);
        const raw = keys.flatMap((key) => ("ed25519" in key ? [fromBase64Url(key.ed25519, "a cell's key")] : []));
        const text = await getText(`/api/v1/recordings/${encodeURIComponent(root)}/manifest`);
        const { claim } = await verifyManifest(text, raw, root, digest);
        if (claim.cell !== issuer) throw new Broken("the manifest", `it is of cell ${claim.cell}, ${issuer} registered it`);
        return claim;
      },
      (manifest: Manifest) => `Its cell signed the manifest that the entry names: ${count(manifest.leaves, "segment")}, ${count(manifest.samples, "sample")}, ${manifest.gaps} missing.`,
    );
  }

  /** Verifies all that a node of a chain stands for; `progress` hears of each entry. */
  node(node: Node, progress: (done: number) => void = () => {}): Promise<Outcome> {
    return outcome(async (steps) => {
      const [first] = node.entries;
      if (first === undefined) throw new Broken(node.title, "no entry states it");
      const found = await this.proven(first, steps);
      progress(1);
      await this.rest(node, steps, progress);
      if (node.stage === "recording") {
        const recording = bodyOf(node, "recording");
        if (recording !== undefined) await this.manifest(found, recording.root, recording.manifest, steps);
      }
      if (node.stage === "report") await this.pictures(node, steps);
      if (node.stage === "passport") await this.passport(node, steps);
    });
  }

  /** The other entries of a node. */
  private async rest(node: Node, steps: Steps, progress: (done: number) => void): Promise<void> {
    const more = node.entries.slice(1);
    if (more.length === 0) return;
    let done = 1;
    const name = more.length === 1 ? `entry ${more[0]?.index ?? ""}` : `${more.length} more entries`;
    const verifier = await this.verifier();
    await steps.check(
      name,
      () =>
        inTurn(more, async (event) => {
          asShown(await verifier.entry(event.index), event);
          progress(++done);
        }),
      () => (more.length === 1 ? "Inclusion, cosignatures and signature hold, too." : "Inclusion, cosignatures and signature of each hold, too."),
    );
  }

  private async pictures(node: Node, steps: Steps): Promise<void> {
    const pictures = bodyOf(node, "report")?.pictures ?? [];
    await steps.check(
      "pictures",
      () => inTurn(pictures, async ({ name, sha256 }) => mustBe(`picture “${name}”`, await getBytes(`/api/v1/blobs/${sha256}`), sha256), 3),
      () => `${count(pictures.length, "picture")} stored as the report names them, by hash.`,
    );
  }

  private async passport(node: Node, steps: Steps): Promise<void> {
    const issued = bodyOf(node, "passport");
    if (issued === undefined) return;
    const jwt = await steps.check(
      "credential",
      async () => {
        const text = await getText(`/api/v1/reports/${issued.report}/passport/vc.jwt`);
        await mustBe("the passport's credential", text, issued.credential);
        return text;
      },
      () => "The stored credential is the one that the ledger names, by hash.",
    );
    const { anchors } = await this.verifier();
    const report = await verifyPassport(utf8(jwt), anchors);
    steps.list.push(...report.steps.map((step) => ({ ...step, name: `passport: ${step.name}` })));
    const broken = report.steps.find((step) => step.ok === false);
    if (broken !== undefined) throw new Broken("the passport", broken.words);
  }

  /** Verifies that two things fit together, on top of what was verified of each. */
  async link(link: Link, chain: Chain): Promise<Finding> {
    const from = chain.nodes.find((node) => node.id === link.from);
    const to = chain.nodes.find((node) => node.id === link.to);
    if (from === undefined || to === undefined) return { ok: false, words: "One end of it is not there." };
    for (const node of behind(chain, from, to)) {
      const result = await outcome(async () => {
        const verifier = await this.verifier();
        await inTurn(node.entries, async (event) => asShown(await verifier.entry(event.index), event));
      });
      const broken = result.steps.find((step) => step.ok === false);
      if (broken !== undefined) return { ok: false, words: `${node.title}: ${broken.words}` };
    }
    const sites = new Set<number>();
    const verifier = await this.verifier();
    for (const { issuer, index } of [...from.entries, ...to.entries]) if (await verifier.hadRole(issuer, "site", index)) sites.add(index);
    return fits(chain, from, to, ({ index }) => sites.has(index));
  }

  /** The anchors that are trusted. */
  async anchors(): Promise<Anchors> {
    return (await this.verifier()).anchors;
  }
}

/** What was shown before must be what is proven now. */
function asShown(found: Proven, event: LedgerEvent): void {
  const { statement } = found.leaf.entry;
  const same = found.id === event.id && statement.issuer === event.issuer && found.leaf.logged_at === event.logged_at;
  if (same && canonical(statement.body as Json) === canonical(event.body as unknown as Json)) return;
  throw new Broken(`entry ${event.index}`, "the site showed something else than what stands on the ledger");
}

export const evidence = new Evidence();
