import { Transform } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Body } from '../backend.ts'

/** The same bytes, given out no faster than that on average, pieces of whatever size. */
export function pacedBody(body: Body, bytesPerSecond: number): Body {
  const beganAt = performance.now()
  // Of all parts together: those that are sent at once share it.
  let sent = 0
  return {
    size: body.size,
    digests: body.digests,
    open(range) {
      const source = body.open(range)
      const paced = new Transform({
        transform(chunk: Buffer, _encoding, done) {
          sent += chunk.length
          const dueMs = (sent / bytesPerSecond) * 1_000 - (performance.now() - beganAt)
          if (dueMs <= 1) return done(null, chunk)
          sleep(dueMs, undefined, { ref: false }).then(() => done(null, chunk), done)
        },
        destroy(error, done) {
          source.destroy()
          done(error)
        },
      })
      source.on('error', (error) => paced.destroy(error))
      return source.pipe(paced)
    },
  }
}
