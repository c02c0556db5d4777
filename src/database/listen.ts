import type pg from 'pg'
import type { Log } from '../log.ts'

const RECONNECT_MS = [50, 200, 1_000, 3_000]

export type Listener = { close(): Promise<void> }

/**
 * LISTEN that survives a lost connection. Notifications sent while it was lost are gone: `connected` is
 * called after every (re)connection, so that the listener looks for itself what it missed.
 */
export async function listen(
  pool: pg.Pool,
  channel: string,
  log: Log,
  on: { message(payload: string): void; connected?(): void },
): Promise<Listener> {
  /** Ends the connection in hand: nobody else must get one that listens. Null between two. */
  let drop: (() => void) | null = null
  let isClosed = false
  let failures = 0
  let timer: NodeJS.Timeout | undefined

  async function connect(): Promise<void> {
    const client = await pool.connect()
    if (isClosed) return client.release()
    let isListening = false
    const dropThis = () => {
      if (drop !== dropThis) return
      drop = null
      client.release(true)
    }
    drop = dropThis
    const onLost = (error?: Error) => {
      if (drop !== dropThis) return
      dropThis()
      log.debug({ channel, error: error?.message }, 'the listening connection was lost')
      // Before that, the caller of `connect` gets the error and decides.
      if (isListening) connectLater()
    }
    client.on('error', onLost)
    client.on('end', onLost)
    client.on('notification', (message) => {
      if (message.channel === channel) on.message(message.payload ?? '')
    })
    try {
      await client.query(`listen "${channel}"`)
    } catch (error) {
      dropThis()
      throw error
    }
    // The end of a connection can come in the same packet as the answer, and is heard before it.
    if (drop !== dropThis) throw new Error('the connection was lost as it began to listen')
    isListening = true
    failures = 0
    on.connected?.()
  }

  function connectLater(): void {
    if (isClosed) return
    const delayMs = RECONNECT_MS[Math.min(failures, RECONNECT_MS.length - 1)]
    failures += 1
    timer = setTimeout(() => connect().catch(connectLater), delayMs)
  }

  await connect()
  return {
    async close() {
      isClosed = true
      clearTimeout(timer)
      drop?.()
    },
  }
}
