import type pg from 'pg'
import type { Log } from '../log.ts'

const RECONNECT_MS = [50, 200, 1_000, 3_000]

export type Listener = { close(): Promise<void> }

/**
 * LISTEN that survives a lost connection. Notifications sent while it was lost are gone: `onConnected` is called after
 * every (re)connection, so that the listener looks for itself what it missed.
 */
export async function listen(
  pool: pg.Pool,
  channel: string,
  log: Log,
  on: { message(payload: string): void; connected?(): void },
): Promise<Listener> {
  let client: pg.PoolClient | null = null
  let isClosed = false
  let failures = 0
  let timer: NodeJS.Timeout | undefined

  async function connect(): Promise<void> {
    const fresh = await pool.connect()
    if (isClosed) return fresh.release()
    let isLost = false
    const onLost = (error?: Error) => {
      if (isLost || isClosed) return
      isLost = true
      client = null
      fresh.release(true)
      log.debug({ channel, error: error?.message }, 'the listening connection was lost')
      connectLater()
    }
    fresh.on('error', onLost)
    fresh.on('end', onLost)
    fresh.on('notification', (message) => {
      if (message.channel === channel) on.message(message.payload ?? '')
    })
    try {
      await fresh.query(`listen "${channel}"`)
    } catch (error) {
      if (!isLost) {
        isLost = true
        fresh.release(true)
      }
      throw error
    }
    client = fresh
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
      client?.release(true) // ends the connection: nobody else must get one that listens
      client = null
    },
  }
}
