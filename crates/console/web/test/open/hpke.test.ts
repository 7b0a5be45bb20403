import { describe, expect, it } from "vitest";
import { AES_128_GCM, open, type Recipient, type Sealed } from "../../src/lib/open/hpke";
import { fromHex, toHex, utf8 } from "../../src/lib/verify/bytes";

const hex = (text: string) => fromHex(text, "the vector");
const PKCS8 = hex("302e020100300506032b656e04220420");

/** RFC 9180, appendix A.1.1: base mode, and the message with sequence number 0. */
const RFC = {
  info: hex("4f6465206f6e2061204772656369616e2055726e"),
  public: hex("3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d"),
  private: hex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8"),
  enc: hex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431"),
  aad: hex("436f756e742d30"),
  plaintext: "4265617574792069732074727574682c20747275746820626561757479",
  ciphertext: hex(
    "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a",
  ),
};

async function recipient(): Promise<Recipient> {
  const pkcs8 = new Uint8Array([...PKCS8, ...RFC.private]);
  const privateKey = await crypto.subtle.importKey("pkcs8", pkcs8, "X25519", false, ["deriveBits"]);
  return { privateKey, public: RFC.public };
}

const sealed: Sealed = { enc: RFC.enc, ciphertext: RFC.ciphertext, info: RFC.info, aad: RFC.aad };

describe("HPKE", () => {
  it("opens the RFC's own message", async () => {
    const plain = await open(await recipient(), sealed, AES_128_GCM);
    expect(toHex(plain)).toBe(RFC.plaintext);
  });

  const flip = (bytes: Uint8Array, at = 3) => bytes.with(at, (bytes[at] ?? 0) ^ 1);
  const changed: [string, Partial<Sealed>][] = [
    ["info", { info: utf8("another grant") }],
    ["associated data", { aad: flip(RFC.aad) }],
    ["encapsulated key", { enc: flip(RFC.enc) }],
    ["ciphertext", { ciphertext: flip(RFC.ciphertext) }],
    ["tag", { ciphertext: flip(RFC.ciphertext, RFC.ciphertext.length - 1) }],
    ["length", { ciphertext: RFC.ciphertext.slice(0, -1) }],
    ["empty ciphertext", { ciphertext: new Uint8Array(0) }],
    ["short key", { enc: RFC.enc.slice(1) }],
    ["point of small order", { enc: new Uint8Array(32) }],
  ];
  it.each(changed)("refuses another %s", async (_, change) => {
    const opened = open(await recipient(), { ...sealed, ...change }, AES_128_GCM);
    await expect(opened).rejects.toMatchObject({ name: "OpenError", kind: "closed" });
  });

  it("refuses another AEAD and another recipient", async () => {
    const key = await recipient();
    await expect(open(key, sealed)).rejects.toMatchObject({ kind: "closed" });
    const other = { ...key, public: flip(key.public) };
    await expect(open(other, sealed, AES_128_GCM)).rejects.toMatchObject({ kind: "closed" });
  });
});
