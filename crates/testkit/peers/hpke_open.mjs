// Opens a wrapped recording key with @hpke/core.
//
// usage: node --input-type=module - OPTIONS_JSON < hpke_open.mjs
// (in the folder with node_modules). Options in hexadecimal: secret, enc,
// ciphertext, info, aad. Prints the key, or `refused`.

import { Aes256Gcm, CipherSuite, HkdfSha256 } from '@hpke/core'
import { DhkemX25519HkdfSha256 } from '@hpke/dhkem-x25519'

const hex = (text) => Uint8Array.from(Buffer.from(text, 'hex')).buffer
const options = JSON.parse(process.argv[2])
const suite = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Aes256Gcm()
})
const recipientKey = await suite.kem.deserializePrivateKey(hex(options.secret))
try {
  const params = { recipientKey, enc: hex(options.enc), info: hex(options.info) }
  const context = await suite.createRecipientContext(params)
  const key = await context.open(hex(options.ciphertext), hex(options.aad))
  console.log(Buffer.from(key).toString('hex'))
} catch (error) {
  console.log('refused')
}
