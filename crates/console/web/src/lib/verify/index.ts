/**
 * The browser's own verifier: it says what the Rust one says, and asks no server for a verdict.
 *
 * Every function gives a value or throws `Broken`, whatever bytes it is given. Nothing here
 * evaluates the policy's text (Cedar).
 */
export { Broken } from "./broken";
export * from "./bytes";
export { sha256, sha256Hex } from "./crypto";
export { canonical, parse, parseCanonical, type Json } from "./jcs";
export { leafHash, nodeHash, splitOf, verifyConsistency, verifyInclusion } from "./merkle";
export { readVKey } from "./note";
export {
  readAnchors,
  verifyCheckpoint,
  type Anchors,
  type LogPolicy,
  type WitnessedCheckpoint,
} from "./policy";
export { verifyTlogProof } from "./tlogproof";
export { readEntry, readLeaf, verifyEntry, type Leaf } from "./entry";
export type { PublicKey } from "./keys";
export { Keyring, rotationsOf, type Signed } from "./keyring";
export { policyAt, type Rotation } from "./rotation";
export { Plant } from "./plant";
export { verifyPassport, type CheckedStep, type PassportReport } from "./passport/verify";
