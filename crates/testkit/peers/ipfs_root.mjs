// The root CID that ipfs-unixfs-importer gives files.
//
// usage: node --input-type=module - CHUNK_BYTES FILE... < ipfs_root.mjs
// (in the folder with node_modules). Prints one CID for each file.

import { createReadStream } from 'node:fs'
import { importer } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { BlackHoleBlockstore } from 'blockstore-core'

const [chunk, ...files] = process.argv.slice(2)
for (const file of files) {
  const options = { rawLeaves: true, cidVersion: 1, chunker: fixedSize({ chunkSize: Number(chunk) }) }
  let root
  for await (const entry of importer([{ content: createReadStream(file) }], new BlackHoleBlockstore(), options)) {
    root = entry.cid
  }
  console.log(root.toString())
}
