// What both servers need: where to listen, who they are, and the contract that they share with ours.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import grpc from '@grpc/grpc-js'
import protoLoader from '@grpc/proto-loader'

export const variable = (name) => {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set`)
  return value
}

// The same files that our services read.
export const readIdentity = (folder) => ({
  key: readFileSync(join(folder, 'private-key.pem')),
  chain: readFileSync(join(folder, 'certificate.crt')),
  ca: readFileSync(join(folder, 'ca-certificate.crt'))
})

export const loadContract = () => {
  const definition = protoLoader.loadSync('videoqueue_api/v1/video_queue.proto', {
    includeDirs: [variable('PROTOS')],
    keepCase: true,
    longs: Number, // no video has 2^53 bytes
    enums: String,
    defaults: true,
    oneofs: true
  })
  return grpc.loadPackageDefinition(definition).videoqueue.v1.VideoQueue
}

const TRUST_DOMAIN = 'spiffe://video-demo.test/'

// The path of the SPIFFE ID in a subjectAltName such as "URI:spiffe://video-demo.test/gateway, DNS:gateway".
export const nameIn = (subjectAltName = '') => {
  const uris = subjectAltName.split(', ').filter((each) => each.startsWith('URI:'))
  if (uris.length !== 1 || !uris[0].startsWith(`URI:${TRUST_DOMAIN}`)) return null
  return uris[0].slice(4 + TRUST_DOMAIN.length)
}

export const uriOf = (name) => TRUST_DOMAIN + name

// One line, in the form in which our services say it: the benchmark waits for it.
export const announce = (address) => {
  console.error(JSON.stringify({ event: 'server.listening', address }))
}
