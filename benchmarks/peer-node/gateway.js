// The gateway on fastify: the routes that the comparison needs.
import { once } from 'node:events'
import { Readable } from 'node:stream'
import multipart from '@fastify/multipart'
import grpc from '@grpc/grpc-js'
import fastify from 'fastify'
import { announce, loadContract, nameIn, readIdentity, uriOf, variable } from './settings.js'

const { status } = grpc
const CALL_MILLISECONDS = 5_000
const TRANSFER_MILLISECONDS = 3_600_000
const MAX_UPLOAD_BYTES = 2 * 1024 ** 3
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

const READERS = new Set(['client/uploader', 'client/viewer', 'console'])
const WRITERS = new Set(['client/uploader', 'console'])

const HTTP_STATUS = {
  [status.INVALID_ARGUMENT]: 400,
  [status.PERMISSION_DENIED]: 403,
  [status.NOT_FOUND]: 404,
  [status.RESOURCE_EXHAUSTED]: 429,
  [status.UNAVAILABLE]: 503,
  [status.DEADLINE_EXCEEDED]: 504
}

// With a schema fastify compiles a serializer, which is faster than JSON.stringify.
const text = { type: 'string' }
const integer = { type: 'integer' }
const VIDEO = {
  type: 'object',
  properties: {
    id: text,
    owner: text,
    title: text,
    description: text,
    content_type: text,
    size_bytes: integer,
    sha256: text,
    status: text,
    progress_percent: integer,
    failure_reason: { type: ['string', 'null'] },
    created_at: text,
    updated_at: text,
    renditions: { type: 'array', items: { type: 'object', additionalProperties: true } }
  }
}
const PAGE = {
  type: 'object',
  properties: {
    videos: { type: 'array', items: VIDEO },
    next_page_token: { type: ['string', 'null'] }
  }
}

const time = ({ seconds, nanos }) => new Date(seconds * 1000 + nanos / 1e6).toISOString()

const videoJson = (video) => ({
  id: video.id,
  owner: video.owner,
  title: video.title,
  description: video.description,
  content_type: video.content_type,
  size_bytes: video.size_bytes,
  sha256: video.sha256.toString('hex'),
  status: video.status.slice('VIDEO_STATUS_'.length).toLowerCase(),
  progress_percent: video.progress_percent,
  failure_reason: video.failure_reason || null,
  created_at: time(video.created_at),
  updated_at: time(video.updated_at),
  renditions: video.renditions
})

const identity = readIdentity(variable('PEER_IDENTITY'))
const queue = new (loadContract())(
  variable('PEER_QUEUE'),
  grpc.credentials.createSsl(identity.ca, identity.key, identity.chain)
)

const callOf = (request, milliseconds) => {
  const metadata = new grpc.Metadata()
  metadata.set('on-behalf-of', uriOf(request.caller))
  return [metadata, { deadline: Date.now() + milliseconds }]
}

const unary = (request, method, message) =>
  new Promise((resolve, reject) => {
    queue[method](message, ...callOf(request, CALL_MILLISECONDS), (error, answer) =>
      error ? reject(error) : resolve(answer)
    )
  })

const upload = async (request, metadata, file) => {
  let call
  const answered = new Promise((resolve, reject) => {
    call = queue.Upload(...callOf(request, TRANSFER_MILLISECONDS), (error, video) =>
      error ? reject(error) : resolve(video)
    )
  })
  answered.catch(() => {}) // it is awaited below, and may fail before that
  const write = async (message) => {
    if (!call.write(message)) await Promise.race([once(call, 'drain'), answered])
  }
  try {
    const goAhead = once(call, 'metadata')
    await write({ metadata })
    await Promise.race([goAhead, answered])
    let size = 0
    let last = null // it goes with the end
    for await (const chunk of file) {
      if (last) await write({ chunk: last })
      last = chunk
      size += chunk.length
    }
    await write({ ...(last && { chunk: last }), end: { size_bytes: size } })
    call.end()
    return await answered
  } catch (error) {
    call.cancel()
    throw error
  }
}

const app = fastify({
  https: {
    key: identity.key,
    cert: identity.chain,
    ca: identity.ca,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3'
  },
  keepAliveTimeout: 75_000,
  bodyLimit: MAX_UPLOAD_BYTES,
  forceCloseConnections: true
})
await app.register(multipart, { limits: { fileSize: MAX_UPLOAD_BYTES, files: 1, fieldSize: 16 * 1024 } })

// A certificate is parsed once per connection, not once per request.
const callers = new WeakMap()
const callerOf = (socket) => {
  let caller = callers.get(socket)
  if (caller === undefined) {
    caller = nameIn(socket.getPeerX509Certificate()?.subjectAltName)
    callers.set(socket, caller)
  }
  return caller
}

app.decorateRequest('caller', null)
app.addHook('onRequest', async (request, reply) => {
  request.caller = callerOf(request.raw.socket)
  const allowed = request.method === 'GET' ? READERS : WRITERS
  if (!allowed.has(request.caller)) {
    return reply.code(403).send({ title: 'Forbidden', status: 403 })
  }
})

app.setErrorHandler((error, _request, reply) => {
  const code = HTTP_STATUS[error.code] ?? error.statusCode ?? 500
  if (code >= 500) console.error(error)
  reply.code(code).type('application/problem+json').send(JSON.stringify({ status: code }))
})

const idOf = (request) => {
  if (!UUID.test(request.params.id)) throw Object.assign(new Error(), { code: status.NOT_FOUND })
  return request.params.id
}

app.get('/videos', { schema: { response: { 200: PAGE } } }, async (request) => {
  const page = await unary(request, 'ListVideos', {})
  return { videos: page.videos.map(videoJson), next_page_token: page.next_page_token || null }
})

app.get('/videos/:id', { schema: { response: { 200: VIDEO } } }, async (request) =>
  videoJson(await unary(request, 'GetVideo', { id: idOf(request) }))
)

app.post('/videos', { schema: { response: { 201: VIDEO } } }, async (request, reply) => {
  const fields = {}
  let video = null
  for await (const part of request.parts()) {
    if (part.type === 'field') {
      fields[part.fieldname] = part.value
    } else {
      const metadata = {
        title: fields.title ?? part.filename,
        description: fields.description ?? '',
        content_type: part.mimetype
      }
      video = await upload(request, metadata, part.file)
    }
  }
  reply.code(201).header('Location', `/videos/${video.id}`)
  return videoJson(video)
})

async function * chunksOf (messages) {
  for await (const { chunk } of messages) yield chunk
}

app.get('/videos/:id/source', async (request, reply) => {
  const call = queue.Download({ id: idOf(request) }, ...callOf(request, TRANSFER_MILLISECONDS))
  reply.raw.once('close', () => call.cancel())
  const messages = call[Symbol.asyncIterator]()
  const { video } = (await messages.next()).value
  reply.header('Content-Length', video.size_bytes).type(video.content_type)
  return reply.send(Readable.from(chunksOf(messages), { objectMode: false }))
})

const [host, port] = variable('PEER_LISTEN').split(':')
announce(new URL(await app.listen({ host, port: Number(port) })).host)
process.once('SIGTERM', async () => {
  await app.close()
  queue.close()
  process.exit(0)
})
