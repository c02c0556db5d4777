/** Requests that no ordinary client would send. */
import { Agent, request } from 'node:http'

export type Shot = {
  method: string
  path: string
  headers?: Record<string, string>
  body?: string | Buffer
  /** Announced, while only `body` is sent and the connection stays open. */
  announcedBytes?: number
  /** On a connection of its own, however many others there are. */
  isAlone?: boolean
  /** Where the connection comes from. */
  localAddress?: string
}
export type Hit = { status: number; text: string }

const AT_ONCE = 12
const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })

/**
 * Resolves with the answer, whether or not the body was taken; a connection that ends without one is an
 * error.
 */
export function shoot(url: string, shot: Shot): Promise<Hit> {
  const { hostname, port } = new URL(url)
  const { method, path, body = '', isAlone, localAddress } = shot
  const headers: Record<string, string | number> = { ...shot.headers }
  if (shot.announcedBytes !== undefined) headers['content-length'] = shot.announcedBytes
  else if (body.length > 0) headers['content-length'] = Buffer.byteLength(body)
  return new Promise((resolve, reject) => {
    const from = localAddress === undefined ? {} : { localAddress }
    const to = { hostname, port, method, path, headers, ...from, agent: isAlone ? (false as const) : agent }
    const sent = request(to, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (chunk: string) => {
        text += chunk.slice(0, 2_000)
      })
      const finish = () => {
        resolve({ status: answer.statusCode!, text })
        if (shot.announcedBytes !== undefined) sent.destroy()
      }
      answer.once('end', finish)
      // Cut off inside an answer: what counts is that there was one.
      answer.once('error', finish)
    })
    sent.on('error', (error: NodeJS.ErrnoException) => {
      // The server had closed a connection that was free at this moment: a client tries again.
      if (error.code === 'ECONNRESET' && sent.reusedSocket) resolve(shoot(url, { ...shot, isAlone: true }))
      else reject(error)
    })
    if (shot.announcedBytes === undefined) sent.end(body)
    else sent.write(body === '' ? ' ' : body)
  })
}

/** All of them, so many at once. */
export async function shootAll<One>(shots: Iterable<One>, one: (shot: One) => Promise<void>): Promise<void> {
  const left = shots[Symbol.iterator]()
  const lane = async () => {
    for (let next = left.next(); !next.done; next = left.next()) await one(next.value)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
}
