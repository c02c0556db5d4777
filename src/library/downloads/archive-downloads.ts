/** Zips that a browser downloads by an address of their own: what is in each, and how far it is. */
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import type { Actor } from '../access.ts'
import type { DownloadFile } from './download.ts'

/** Of a user. Each may name 268,000 assets, 4 MB of ids. */
const MOST_KEPT = 10
/** Noted every second; after that long without a word its process has ended. */
const SILENT_MS = 30_000

export type ArchiveState = 'waiting' | 'running' | 'done' | 'failed' | 'cancelled'
/** Sizes in bytes. */
export type ArchiveProgress = {
  state: ArchiveState
  sentBytes: number
  totalBytes: number
  error: string | null
}

/** Access to the files is the caller's to check, and checked anew when the archive is sent. */
export async function createArchive(
  db: Database,
  actor: Actor,
  { assetIds, name }: { assetIds: string[]; name: string },
  files: readonly DownloadFile[],
): Promise<{ id: string; totalBytes: number; files: number }> {
  const totalBytes = files.reduce((sum, { size }) => sum + size, 0)
  const { id } = await db
    .insertInto('archive_download')
    .values({ owner_id: actor.userId, asset_ids: assetIds, name, total_bytes: totalBytes })
    .returning('id')
    .executeTakeFirstOrThrow()
  await sql`
    delete from archive_download where owner_id = ${actor.userId}::uuid and id not in (
      select id from archive_download where owner_id = ${actor.userId}::uuid
      order by created_at desc limit ${MOST_KEPT})`.execute(db)
  return { id, totalBytes, files: files.length }
}

/**
 * Its browser asks for the bytes; once more, where the first time was cut off.
 * @throws AppError not-found: it is nobody's, somebody else's, or cancelled
 */
export async function beginArchive(
  db: Database,
  actor: Actor,
  id: string,
): Promise<{ assetIds: string[]; name: string }> {
  const row = await db
    .updateTable('archive_download')
    .set({ state: 'running', sent_bytes: 0, error: null, updated_at: sql`now()` })
    .where('id', '=', id)
    .where('owner_id', '=', actor.userId)
    .where('state', '<>', 'cancelled')
    .returning(['asset_ids', 'name'])
    .executeTakeFirst()
  if (row === undefined) throw noArchive()
  return { assetIds: row.asset_ids, name: row.name }
}

/** False: it was cancelled meanwhile, and stays so. */
export async function noteArchive(
  db: Database,
  id: string,
  what: { state: ArchiveState; sentBytes?: number; totalBytes?: number; error?: string },
): Promise<boolean> {
  const row = await db
    .updateTable('archive_download')
    .set({
      state: what.state,
      ...(what.sentBytes !== undefined && { sent_bytes: what.sentBytes }),
      ...(what.totalBytes !== undefined && { total_bytes: what.totalBytes }),
      error: what.error ?? null,
      updated_at: sql`now()`,
    })
    .where('id', '=', id)
    .where('state', '<>', 'cancelled')
    .returning('id')
    .executeTakeFirst()
  return row !== undefined
}

/** @throws AppError not-found */
export async function archiveProgress(db: Database, actor: Actor, id: string): Promise<ArchiveProgress> {
  const row = await db
    .selectFrom('archive_download')
    .select(['state', 'sent_bytes', 'total_bytes', 'error'])
    .select(sql<boolean>`updated_at < now() - ${SILENT_MS} * interval '1 millisecond'`.as('is_silent'))
    .where('id', '=', id)
    .where('owner_id', '=', actor.userId)
    .executeTakeFirst()
  if (row === undefined) throw noArchive()
  const isLost = row.state === 'running' && row.is_silent
  return {
    state: isLost ? 'failed' : row.state,
    sentBytes: row.sent_bytes,
    totalBytes: row.total_bytes,
    error: isLost ? 'The server was restarted meanwhile. Download it again.' : row.error,
  }
}

/** Whoever sends it hears that within a second. @throws AppError not-found */
export async function cancelArchive(db: Database, actor: Actor, id: string): Promise<void> {
  const row = await db
    .updateTable('archive_download')
    .set({ state: 'cancelled', updated_at: sql`now()` })
    .where('id', '=', id)
    .where('owner_id', '=', actor.userId)
    .returning('id')
    .executeTakeFirst()
  if (row === undefined) throw noArchive()
}

const noArchive = () => new AppError('not-found', 'There is no such archive; ask for it again')
