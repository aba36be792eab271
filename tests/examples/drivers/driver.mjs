// Runs Node programs one after the other: [program, ...arguments] per line in, what came out.
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const write = process.stdout.write.bind(process.stdout)
let number = 0
for await (const line of createInterface({ input: process.stdin })) {
  const [program, ...args] = JSON.parse(line)
  process.argv = [process.argv[0], program, ...args]
  process.exitCode = 0
  const said = { out: '', err: '' }
  // A gRPC client answers in a callback, after its module was loaded.
  const ended = new Promise((resolve) => {
    console.log = (text) => { said.out += `${text}\n`; resolve() }
    console.error = (text) => { said.err += `${text}\n`; resolve() }
  })
  // With another query it is another module, and begins again at its first line.
  await import(`${pathToFileURL(program)}?${number++}`)
  await ended
  await new Promise(setImmediate)
  write(JSON.stringify({ code: process.exitCode, ...said }) + '\n')
}
