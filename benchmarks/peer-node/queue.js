// The video queue on @grpc/grpc-js: the calls that the comparison needs, on a store in memory.
import { createHash, randomUUID } from 'node:crypto'
import grpc from '@grpc/grpc-js'
import { announce, loadContract, nameIn, readIdentity, variable } from './settings.js'

const { status } = grpc
const CHUNK_BYTES = 256 * 1024
const GO_AHEAD = new grpc.Metadata()
GO_AHEAD.set('go-ahead', 'yes')

const ALLOWED = {
  Upload: new Set(['gateway']),
  GetVideo: new Set(['gateway']),
  ListVideos: new Set(['gateway']),
  Download: new Set(['gateway'])
}

const videos = new Map() // by ID: { video, chunks }, the oldest first

const failure = (code, details) => Object.assign(new Error(details), { code, details })

// Answers PERMISSION_DENIED unless the table names the caller. `refuse` is the call's own way to fail.
const admitted = (method, call, refuse) => {
  const name = nameIn(call.getAuthContext()?.sslPeerCertificate?.subjectaltname)
  if (ALLOWED[method].has(name)) return true
  refuse(failure(status.PERMISSION_DENIED, `${name} may not call ${method}.`))
  return false
}

const find = (id) => {
  const found = videos.get(id)
  if (!found) throw failure(status.NOT_FOUND, 'There is no such video.')
  return found
}

const now = () => {
  const milliseconds = Date.now()
  return { seconds: Math.floor(milliseconds / 1000), nanos: (milliseconds % 1000) * 1e6 }
}

const getVideo = (call, answer) => {
  if (!admitted('GetVideo', call, answer)) return
  try {
    answer(null, find(call.request.id).video)
  } catch (error) {
    answer(error)
  }
}

const listVideos = (call, answer) => {
  if (!admitted('ListVideos', call, answer)) return
  const newest = [...videos.values()].slice(-50).reverse()
  answer(null, { videos: newest.map((each) => each.video), next_page_token: '' })
}

const upload = async (call, answer) => {
  if (!admitted('Upload', call, answer)) return
  const [owner] = call.metadata.get('on-behalf-of')
  const chunks = []
  const hash = createHash('sha256')
  let metadata = null
  let size = 0
  let isWhole = false
  try {
    for await (const request of call) {
      if (request.part === 'metadata') {
        metadata = request.metadata
        if (!metadata.title.trim()) throw failure(status.INVALID_ARGUMENT, 'The title is empty.')
        call.sendMetadata(GO_AHEAD)
      } else if (request.part === 'chunk') {
        chunks.push(request.chunk)
        hash.update(request.chunk)
        size += request.chunk.length
      }
      if (request.end) isWhole = request.end.size_bytes === size
    }
    if (!metadata || !size || !isWhole) {
      throw failure(status.INVALID_ARGUMENT, 'The stream is not metadata, chunks and a fitting end.')
    }
    const time = now()
    const video = {
      id: randomUUID(),
      owner,
      title: metadata.title,
      description: metadata.description,
      content_type: metadata.content_type,
      size_bytes: size,
      sha256: hash.digest(),
      status: 'VIDEO_STATUS_PENDING',
      created_at: time,
      updated_at: time
    }
    videos.set(video.id, { video, chunks })
    answer(null, video)
  } catch (error) {
    answer(error)
  }
}

const download = async (call) => {
  if (!admitted('Download', call, (error) => call.destroy(error))) return
  try {
    const { video, chunks } = find(call.request.id)
    const write = (message) =>
      call.write(message) || new Promise((resolve) => call.once('drain', resolve))
    await write({ video })
    for (const chunk of chunks) {
      for (let start = 0; start < chunk.length; start += CHUNK_BYTES) {
        if (call.cancelled) return
        await write({ chunk: chunk.subarray(start, start + CHUNK_BYTES) })
      }
    }
    call.end()
  } catch (error) {
    call.destroy(error)
  }
}

const identity = readIdentity(variable('PEER_IDENTITY'))
const server = new grpc.Server({ 'grpc.max_receive_message_length': 1024 * 1024 })
server.addService(loadContract().service, {
  Upload: upload,
  GetVideo: getVideo,
  ListVideos: listVideos,
  Download: download
})
const credentials = grpc.ServerCredentials.createSsl(
  identity.ca,
  [{ private_key: identity.key, cert_chain: identity.chain }],
  true // a client certificate is required
)
server.bindAsync(variable('PEER_LISTEN'), credentials, (error, port) => {
  if (error) throw error
  announce(`127.0.0.1:${port}`)
})
process.once('SIGTERM', () => server.tryShutdown(() => process.exit(0)))
