// Verifies a passport's signature with jose.
//
// usage: node --input-type=module - JWT_FILE JWKS_FILE < jose_verify.mjs
// (in the folder with node_modules). Prints the protected header and the part as
// JSON, or `refused` with jose's code.

import { readFile } from 'node:fs/promises'
import { compactVerify, createLocalJWKSet } from 'jose'

const [jwtFile, jwksFile] = process.argv.slice(2)
const jwt = await readFile(jwtFile, 'utf8')
const keys = createLocalJWKSet(JSON.parse(await readFile(jwksFile, 'utf8')))
try {
  const options = { algorithms: ['EdDSA'] }
  const { payload, protectedHeader } = await compactVerify(jwt, keys, options)
  const credential = JSON.parse(new TextDecoder().decode(payload))
  const part = credential.credentialSubject.product.registeredId
  console.log(JSON.stringify({ header: protectedHeader, part }))
} catch (error) {
  console.log(`refused ${error.code}`)
}
