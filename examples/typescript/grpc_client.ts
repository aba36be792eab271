// A gRPC client that shows its certificate.
// Usage: node dist/grpc_client.js FOLDER HOST:PORT
// FOLDER holds ca-certificate.crt, certificate.crt and private-key.pem: see ../README.md.
import { readFileSync } from 'node:fs'
import tls from 'node:tls'
import { credentials, loadPackageDefinition, status } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { ProtoGrpcType } from './gen/hello.js'

const HINT = 'If it runs, it may have refused our certificate: check its CA, its dates, and clientAuth.'

const [folder, address] = process.argv.slice(2)
if (address === undefined) throw new Error('Usage: node dist/grpc_client.js FOLDER HOST:PORT')

tls.DEFAULT_MIN_VERSION = 'TLSv1.3' // grpc-js has no setting of its own
const identity = credentials.createSsl(
  readFileSync(`${folder}/ca-certificate.crt`),
  readFileSync(`${folder}/private-key.pem`),
  readFileSync(`${folder}/certificate.crt`)
)
const definition = loadPackageDefinition(loadSync('../protos/hello.proto')) as unknown as ProtoGrpcType
const client = new definition.hello.v1.Greeter(address, identity)
client.sayHello({}, { deadline: Date.now() + 10_000 }, (error, reply) => {
  if (error) {
    const hint = error.code === status.UNAVAILABLE ? `\n${HINT}` : ''
    console.error(`${address}: ${error.message}${hint}`)
    process.exitCode = 1
  } else {
    console.log(reply?.text)
  }
  client.close()
})
