// Fetches a file by CID from a trustless gateway with ipfs-unixfs-exporter.
//
// usage: node --input-type=module - OPTIONS_JSON < ipfs_fetch.mjs
// (in the folder with node_modules). Options: url, cid, and optionally offset and
// length, ca, cert and key (PEM texts). Every block is hashed before it is used.
// Prints JSON: the SHA-256 of the bytes, their number, and the blocks asked for.

import { createHash } from 'node:crypto'
import https from 'node:https'
import http from 'node:http'
import { BaseBlockstore } from 'blockstore-core'
import { exporter } from 'ipfs-unixfs-exporter'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'

const options = JSON.parse(process.argv[2])
const agent = options.ca === undefined
  ? new http.Agent({ keepAlive: true })
  : new https.Agent({ keepAlive: true, ca: options.ca, cert: options.cert, key: options.key })

function get (path, accept) {
  return new Promise((resolve, reject) => {
    const client = options.ca === undefined ? http : https
    const request = client.get(options.url + path, { agent, headers: { accept } }, (response) => {
      const parts = []
      response.on('data', (part) => parts.push(part))
      response.on('error', reject)
      response.on('end', () => {
        const body = Buffer.concat(parts)
        if (response.statusCode !== 200) {
          reject(new Error(`${response.statusCode} ${body}`))
        } else {
          resolve(body)
        }
      })
    })
    request.on('error', reject)
  })
}

class GatewayBlockstore extends BaseBlockstore {
  asked = []

  async * get (cid) {
    this.asked.push(cid.toString())
    const bytes = await get(`/ipfs/${cid}?format=raw`, 'application/vnd.ipld.raw')
    const digest = await sha256.digest(bytes)
    if (Buffer.compare(digest.digest, cid.multihash.digest) !== 0) {
      throw new Error(`the bytes of ${cid} do not hash to it`)
    }
    yield bytes
  }
}

const blocks = new GatewayBlockstore()
const entry = await exporter(CID.parse(options.cid), blocks)
const hash = createHash('sha256')
let size = 0
for await (const part of entry.content({ offset: options.offset, length: options.length })) {
  hash.update(part)
  size += part.length
}
agent.destroy()
console.log(JSON.stringify({ sha256: hash.digest('hex'), size, blocks: blocks.asked }))
