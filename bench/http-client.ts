/** Clients as cheap as they can be, so that the server under test gets the cores. */
import { randomBytes } from 'node:crypto'
import { Agent, type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http'

/** A body made of buffers that are sent as they are. */
export type Sendable = { headers: OutgoingHttpHeaders; chunks: Iterable<Buffer> }

/**
 * A file of random bytes and this size; each call of the result gives another one, at the cost of stamping 16
 * bytes.
 */
export function fileMaker(size: number): () => Buffer[] {
  const body = randomBytes(size - 16)
  return () => [randomBytes(16), body]
}

/** The file in the form that Immich's clients send, with its fields after it or before, as they do. */
export function asForm(name: string, file: Iterable<Buffer>, size: number): Sendable {
  const boundary = `bench${randomBytes(12).toString('hex')}`
  const field = (key: string, value: string) =>
    `--${boundary}\r\nContent-Disposition: form-data; name="${key}"\r\n\r\n${value}\r\n`
  const now = new Date().toISOString()
  const head = Buffer.from(
    `${field('fileCreatedAt', now)}${field('fileModifiedAt', now)}${field('isFavorite', 'false')}` +
      `--${boundary}\r\nContent-Disposition: form-data; name="assetData"; filename="${name}"\r\n` +
      'Content-Type: application/octet-stream\r\n\r\n',
  )
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  function* chunks(): Generator<Buffer> {
    yield head
    yield* file
    yield tail
  }
  return {
    headers: {
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': head.length + size + tail.length,
    },
    chunks: chunks(),
  }
}

/** Posts the body and resolves with the answer's text. Throws unless it is 201. */
export function post(agent: Agent, url: string, body: Sendable): Promise<string> {
  return send(agent, 'POST', url, body, 201)
}

/** Sends the body and resolves with the answer's text. Throws unless its status is the one that is wanted. */
export function send(
  agent: Agent,
  method: 'POST' | 'PUT',
  url: string,
  body: Sendable,
  status: number,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, agent, headers: body.headers }, (response) => {
      readText(response).then((text) => {
        if (response.statusCode === status) resolve(text)
        else reject(new Error(`${url} answered ${response.statusCode}: ${text}`))
      }, reject)
    })
    outgoing.on('error', reject)
    const chunks = body.chunks[Symbol.iterator]()
    const write = () => {
      for (;;) {
        const next = chunks.next()
        if (next.done) return outgoing.end()
        if (!outgoing.write(next.value)) return outgoing.once('drain', write)
      }
    }
    write()
  })
}

/**
 * Reads all of an answer and throws it away; resolves with its size in bytes. Throws unless it is 200 or 206.
 * With a `body` it is a POST of JSON.
 */
export function drain(
  agent: Agent,
  url: string,
  headers: OutgoingHttpHeaders = {},
  body?: object,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const posting = body && { method: 'POST', headers: { ...headers, 'content-type': 'application/json' } }
    const outgoing = request(url, { agent, headers, ...posting }, (response) => {
      if (response.statusCode !== 200 && response.statusCode !== 206) {
        response.destroy()
        return reject(new Error(`${url} answered ${response.statusCode}`))
      }
      let bytes = 0
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length
      })
      response.on('end', () => resolve(bytes))
      response.on('error', reject)
    })
    outgoing.on('error', reject)
    outgoing.end(body && JSON.stringify(body))
  })
}

/** Runs `task` for 0 to `count` - 1, `parallel` at a time, each with a connection of its own that is kept. */
export async function inParallel<T>(
  count: number,
  parallel: number,
  task: (index: number, agent: Agent) => Promise<T>,
): Promise<T[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: parallel })
  const results: T[] = []
  let next = 0
  const lane = async () => {
    while (next < count) {
      const index = next++
      results[index] = await task(index, agent)
    }
  }
  try {
    await Promise.all(Array.from({ length: parallel }, lane))
  } finally {
    agent.destroy()
  }
  return results
}

async function readText(response: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += chunk
  return text
}
