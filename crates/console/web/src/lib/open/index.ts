/** Opening recordings that were granted to a person, in the person's browser. */
export type { Checkpoint } from "./checkpoints";
export { OpenError, type Trouble } from "./errors";
export type { Manifest } from "./manifest";
export { asBlob, type Change, type Picture, type Pictures, type States } from "./mcap";
export {
  openRecording,
  SealedRecording,
  type Fetch,
  type GrantTerms,
  type Opened,
  type Options,
  type Progress,
} from "./recording";
export { ensureSealKey, findSealKey, forgetSealKey, sealText, type Owner, type SealKey } from "./sealkey";
