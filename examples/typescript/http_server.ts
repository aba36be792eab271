// An HTTPS server that asks every client for a certificate and knows it by its URI.
// Usage: node dist/http_server.js FOLDER HOST:PORT
// FOLDER holds ca-certificate.crt, certificate.crt and private-key.pem: see ../README.md.
import { readFileSync } from 'node:fs'
import type { TLSSocket } from 'node:tls'
import { fastify } from 'fastify'

const ALLOWED = new Set(['spiffe://example.test/client'])

const [folder, address] = process.argv.slice(2)
if (address === undefined) throw new Error('Usage: node dist/http_server.js FOLDER HOST:PORT')

const server = fastify({
  https: {
    ca: readFileSync(`${folder}/ca-certificate.crt`),
    cert: readFileSync(`${folder}/certificate.crt`),
    key: readFileSync(`${folder}/private-key.pem`),
    requestCert: true, // without this line no client is asked
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3'
  }
})

server.get('/', async (request, reply) => {
  const names = (request.socket as TLSSocket).getPeerX509Certificate()?.subjectAltName ?? ''
  // Node puts a name in quotes if it holds a comma, and such a list cannot be split at commas.
  const uris = names.includes('"') ? [] : names.split(', ').filter((name) => name.startsWith('URI:'))
  const caller = uris.length === 1 ? String(uris[0]).slice(4) : 'a certificate without exactly one URI'
  console.log('called by', caller)
  if (!ALLOWED.has(caller)) { // authentication says who calls; authorization says who may
    return await reply.code(403).send(`${caller} may not call. If it should, add it to ALLOWED.`)
  }
  return `hello, ${caller}`
})

const [host = '', port] = address.split(':')
await server.listen({ host, port: Number(port) })
