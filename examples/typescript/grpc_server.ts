// A gRPC server that asks every client for a certificate and knows it by its URI.
// Usage: node dist/grpc_server.js FOLDER HOST:PORT
// FOLDER holds ca-certificate.crt, certificate.crt and private-key.pem: see ../README.md.
import { readFileSync } from 'node:fs'
import tls from 'node:tls'
import { loadPackageDefinition, Server, ServerCredentials, status } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { ProtoGrpcType } from './gen/hello.js'
import type { GreeterHandlers } from './gen/hello/v1/Greeter.js'

const ALLOWED = new Set(['spiffe://example.test/client'])

const [folder, address] = process.argv.slice(2)
if (address === undefined) throw new Error('Usage: node dist/grpc_server.js FOLDER HOST:PORT')
const read = (name: string) => readFileSync(`${folder}/${name}`)

tls.DEFAULT_MIN_VERSION = 'TLSv1.3' // grpc-js has no setting of its own
const credentials = ServerCredentials.createSsl(
  read('ca-certificate.crt'),
  [{ cert_chain: read('certificate.crt'), private_key: read('private-key.pem') }],
  true // without this no client is asked
)
const SayHello: GreeterHandlers['SayHello'] = (call, reply) => {
  const names = call.getAuthContext().sslPeerCertificate?.subjectaltname ?? ''
  // Node puts a name in quotes if it holds a comma, and such a list cannot be split at commas.
  const uris = names.includes('"') ? [] : names.split(', ').filter((name) => name.startsWith('URI:'))
  const caller = uris.length === 1 ? String(uris[0]).slice(4) : 'a certificate without exactly one URI'
  console.log('called by', caller)
  if (!ALLOWED.has(caller)) { // authentication says who calls; authorization says who may
    reply({ code: status.PERMISSION_DENIED, details: `${caller} may not call. If it should, add it to ALLOWED.` })
  } else reply(null, { text: `hello, ${caller}` })
}
const definition = loadPackageDefinition(loadSync('../protos/hello.proto')) as unknown as ProtoGrpcType
const server = new Server()
server.addService(definition.hello.v1.Greeter.service, { SayHello })
server.bindAsync(address, credentials, (error) => { if (error) throw error })
