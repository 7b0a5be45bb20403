/** A chosen file with the hash that this browser computed of it. */
import { put } from "../api/client";
import type { Digest } from "../ledger/types";
import { sha256Hex } from "../verify/crypto";
import { bytes as bytesWords } from "../words";
import { MAX_FILE } from "./program";

export class ChosenFile {
  name = $state("");
  sha256 = $state<Digest | null>(null);
  wrong = $state("");
  size = $state(0);
  private bytes: Uint8Array | null = null;

  /** Reads a file and hashes it; the newest choice wins. */
  async choose(file: File | undefined): Promise<void> {
    this.name = file?.name ?? "";
    this.size = file?.size ?? 0;
    this.sha256 = null;
    this.bytes = null;
    this.wrong = "";
    if (file === undefined) return;
    if (file.size === 0 || file.size > MAX_FILE) {
      this.wrong = `The file has ${bytesWords(file.size)}; 1 B to ${bytesWords(MAX_FILE)} are accepted.`;
      return;
    }
    try {
      const bytes = new Uint8Array(await file.arrayBuffer());
      const sha256 = await sha256Hex(bytes);
      if (this.name === file.name && this.size === file.size) [this.bytes, this.sha256] = [bytes, sha256];
    } catch (error) {
      this.wrong = `The file could not be read: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  /** Stores the bytes at the site under their hash, so that whoever approves can look. */
  async store(): Promise<void> {
    if (this.bytes === null || this.sha256 === null) throw new Error("no file is chosen");
    await put(`/api/v1/blobs/${this.sha256}`, this.bytes);
  }
}
