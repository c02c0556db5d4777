import { sql } from 'kysely'
import type pg from 'pg'
import type { Log } from '../log.ts'
import type { Queryable } from './connect.ts'
import { type Listener, listen } from './listen.ts'

/**
 * Events for the other processes, so that open pages stay up to date. Ids only: who may see what is decided
 * where it is sent on.
 */
export type LibraryEvent =
  | { type: 'asset-processed'; assetId: string; userId: string }
  | { type: 'asset-updated'; assetId: string; userId: string }
  | { type: 'assets-deleted' | 'assets-trashed' | 'assets-restored'; assetIds: string[]; userId: string }
  | { type: 'original-restored'; assetId: string; userId: string; availableUntil: string }
  | { type: 'restore-refused'; assetId: string; userId: string }
  | { type: 'album-updated'; albumId: string; userIds: string[] }
  | { type: 'notification-created'; notificationId: string; userId: string }
  | { type: 'storage-changed' }
  | CredentialEvent

/** What triggers of the database say (migration 0012): publish none of them. */
export type CredentialEvent =
  | { type: 'session-deleted'; sessionId: string }
  /** Deleted, or other permissions. */
  | { type: 'api-key-changed'; apiKeyId: string }
  /** Deleted, or an administrator no longer or now. */
  | { type: 'user-changed'; userId: string; isDeleted: boolean }

const CHANNEL = 'glassine_event'
/** A payload of NOTIFY has less than 8,000 bytes; an id with its quotes and comma takes 39. */
const IDS_PER_EVENT = 150

/**
 * Sends the event when the caller's transaction commits, and never if it does not. Long lists go in several
 * events.
 */
export async function publish(tx: Queryable, event: Exclude<LibraryEvent, CredentialEvent>): Promise<void> {
  for (const part of split(event)) {
    await sql`select pg_notify(${CHANNEL}, ${JSON.stringify(part)})`.execute(tx)
  }
}

function split(event: LibraryEvent): LibraryEvent[] {
  if ('assetIds' in event) return chunk(event.assetIds).map((assetIds) => ({ ...event, assetIds }))
  if ('userIds' in event) return chunk(event.userIds).map((userIds) => ({ ...event, userIds }))
  return [event]
}

function chunk(ids: string[]): string[][] {
  const chunks: string[][] = []
  for (let start = 0; start < ids.length; start += IDS_PER_EVENT)
    chunks.push(ids.slice(start, start + IDS_PER_EVENT))
  return chunks
}

/**
 * Calls `handler` with every event of any process from now on, in order of commit. It keeps one connection of
 * the pool and gets a new one when that is lost; events of the time in between are not repeated.
 * `onConnected` is called whenever it begins to hear, the first time included: what must not be missed is to
 * be looked up then.
 */
export function subscribe(
  pool: pg.Pool,
  log: Log,
  handler: (event: LibraryEvent) => void,
  onConnected: () => void = () => undefined,
): Promise<Listener> {
  return listen(pool, CHANNEL, log, {
    connected: onConnected,
    message(payload) {
      try {
        handler(JSON.parse(payload) as LibraryEvent)
      } catch (error) {
        log.error({ error: (error as Error).message, payload }, 'an event could not be handled')
      }
    },
  })
}
