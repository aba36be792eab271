// An HTTPS client that shows its certificate.
// Usage: node dist/http_client.js FOLDER HOST:PORT
// FOLDER holds ca-certificate.crt, certificate.crt and private-key.pem: see ../README.md.
import { readFileSync } from 'node:fs'
import { Agent, request } from 'undici'

const HINT = 'If it runs, it may have refused our certificate: check its CA, its dates, and clientAuth.'

const [folder, address] = process.argv.slice(2)
if (address === undefined) throw new Error('Usage: node dist/http_client.js FOLDER HOST:PORT')

const dispatcher = new Agent({
  connect: {
    ca: readFileSync(`${folder}/ca-certificate.crt`),
    cert: readFileSync(`${folder}/certificate.crt`),
    key: readFileSync(`${folder}/private-key.pem`),
    minVersion: 'TLSv1.3'
  },
  headersTimeout: 10_000
})
try {
  const response = await request(`https://${address}/`, { dispatcher })
  const text = await response.body.text()
  if (response.statusCode === 200) {
    console.log(text)
  } else {
    console.error(`${address} answered ${response.statusCode}: ${text}`)
    process.exitCode = 1
  }
} catch (error) {
  console.error(`${address} did not answer: ${error}\n${HINT}`)
  process.exitCode = 1
} finally {
  await dispatcher.close()
}
