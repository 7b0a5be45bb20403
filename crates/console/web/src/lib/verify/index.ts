/**
 * The browser's own verifier: it says what the Rust one says, and asks no server for a verdict.
 *
 * Every function gives a value or throws `Broken`, whatever bytes it is given; `attempt` turns that
 * into a result. Nothing here evaluates the policy's text (Cedar).
 */
export { attempt, Broken, type Result } from "./broken";
export * from "./bytes";
export { sha256, sha256Hex, verifyEd25519, verifyEs256 } from "./crypto";
export { canonical, canonicalBytes, parse, parseCanonical, type Json } from "./jcs";
export { leafHash, nodeHash, rootOf, verifyConsistency, verifyInclusion } from "./merkle";
export { readCheckpoint, readNote, readVKey, type Checkpoint, type VKey } from "./note";
export {
  makePolicy,
  readAnchors,
  readPinnedAnchors,
  verifyCheckpoint,
  type Anchors,
  type LogPolicy,
  type WitnessedCheckpoint,
} from "./policy";
export { readTlogProof, verifyTlogProof, type Included, type TlogProof } from "./tlogproof";
export {
  entryId,
  leafBytes,
  readEntry,
  readLeaf,
  statementBytes,
  verifyEntry,
  wordOf,
  type Entry,
  type Leaf,
  type Statement,
  type VerifiedEntry,
} from "./entry";
export { fingerprint, publicKey, type Passkey, type PublicKey } from "./keys";
export { verifyAssertion, type Assertion } from "./webauthn";
export { readBody, type Body } from "./body";
export { Keyring, type Signed } from "./keyring";
export { Plant, type Logged } from "./plant";
export {
  verifyPassport,
  type CheckedStep,
  type Form,
  type PassportReport,
  type Trust,
} from "./passport/verify";
export type { Facts, Finding, Overall, Step } from "./passport/facts";
