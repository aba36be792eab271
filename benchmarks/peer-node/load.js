// Requests over warm connections, by autocannon. Reads what to send as JSON from standard input, and
// writes what came of it as JSON to standard output.
//
// `mix` is `get` (the video `id`), `post`, or `both`: each connection posts a video and gets it, in turn.
import { readFileSync } from 'node:fs'
import autocannon from 'autocannon'

const asked = JSON.parse(readFileSync(0))

const BOUNDARY = 'a-boundary-of-the-benchmark'
const form = [
  `--${BOUNDARY}`,
  'Content-Disposition: form-data; name="title"',
  '',
  'By the sea',
  `--${BOUNDARY}`,
  'Content-Disposition: form-data; name="file"; filename="sea.mp4"',
  'Content-Type: video/mp4',
  '',
  'x'.repeat(asked.video_bytes),
  `--${BOUNDARY}--`,
  ''
].join('\r\n')

const post = {
  method: 'POST',
  path: '/videos',
  headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
  body: form,
  onResponse: (status, body, context) => {
    if (status === 201) context.id = JSON.parse(body).id
  }
}
const get = { method: 'GET', path: `/videos/${asked.id}` }
const getIt = {
  method: 'GET',
  setupRequest: (request, context) => ({ ...request, path: `/videos/${context.id}` })
}

// The first answer on each connection includes its handshake: the time is taken after those.
const milliseconds = []
let answers = 0
let begin = 0
let end = 0
const tls = asked.tls && {
  ca: readFileSync(asked.tls.ca),
  cert: readFileSync(asked.tls.certificate),
  key: readFileSync(asked.tls.key),
  servername: 'localhost'
}
const run = autocannon({
  url: asked.url,
  connections: asked.connections,
  amount: asked.requests,
  timeout: 30,
  sampleInt: 100, // how often it looks whether all is done
  requests: { get: [get], post: [post], both: [post, getIt] }[asked.mix],
  ...(tls && { tlsOptions: tls })
})
run.on('response', (_client, _status, _bytes, time) => {
  answers += 1
  end = performance.now()
  if (answers === asked.connections) begin = end
  if (answers > asked.connections) milliseconds.push(time)
})
const result = await run

milliseconds.sort((one, other) => one - other)
const percentile = (share) => milliseconds[Math.ceil(milliseconds.length * share) - 1]
console.log(
  JSON.stringify({
    answers,
    failed: result.non2xx + result.errors + result.timeouts,
    requests_per_second: milliseconds.length / ((end - begin) / 1000),
    p50_milliseconds: percentile(0.5),
    p99_milliseconds: percentile(0.99)
  })
)
