/** What a user was told, in the shape of Immich's API. */
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { type Actor, noAccess } from '../access.ts'
import type { Level } from './messages.ts'

/** Immich's NotificationDto. Times are ISO 8601; `readAt` is absent while it is unread. */
export type NotificationResponse = {
  id: string
  createdAt: string
  level: Level
  type: 'SystemMessage'
  title: string
  description: string
  data: Record<string, unknown>
  readAt?: string
}

export type NotificationFilter = { id?: string; level?: string; type?: string; unread?: boolean }

/** The actor's own, the newest first. */
export async function listNotifications(
  db: Database,
  { userId }: Pick<Actor, 'userId'>,
  { id, level, type, unread }: NotificationFilter,
): Promise<NotificationResponse[]> {
  if (type !== undefined && type !== 'SystemMessage') return []
  let query = db.selectFrom('notification').selectAll().where('user_id', '=', userId)
  if (id !== undefined) query = query.where('id', '=', id)
  if (level !== undefined) query = query.where('level', '=', level as Level)
  if (unread !== undefined) query = query.where('read_at', unread ? 'is' : 'is not', null)
  const rows = await query.orderBy('created_at', 'desc').orderBy('id').execute()
  return rows.map((row) => ({
    id: row.id,
    createdAt: row.created_at.toISOString(),
    level: row.level,
    type: 'SystemMessage',
    title: row.title,
    description: row.description,
    data: row.data,
    ...(row.read_at && { readAt: row.read_at.toISOString() }),
  }))
}

/** `readAt` null: they are unread again. @throws AppError invalid unless all are the actor's */
export async function markNotifications(
  db: Database,
  actor: Actor,
  ids: readonly string[],
  readAt: Date | null,
): Promise<void> {
  await requireOwn(db, actor, ids, 'notification.update')
  await db
    .updateTable('notification')
    .set({ read_at: readAt })
    .where('user_id', '=', actor.userId)
    .where(sql<boolean>`id = any(${ids as string[]}::uuid[])`)
    .execute()
}

/** @throws AppError invalid unless all are the actor's */
export async function deleteNotifications(db: Database, actor: Actor, ids: readonly string[]): Promise<void> {
  await requireOwn(db, actor, ids, 'notification.delete')
  await db
    .deleteFrom('notification')
    .where('user_id', '=', actor.userId)
    .where(sql<boolean>`id = any(${ids as string[]}::uuid[])`)
    .execute()
}

/** @throws AppError invalid where it is not the actor's */
export async function getNotification(
  db: Database,
  actor: Actor,
  id: string,
  permission = 'notification.read',
): Promise<NotificationResponse> {
  const [notification] = await listNotifications(db, actor, { id })
  if (notification === undefined) throw noAccess(permission)
  return notification
}

async function requireOwn(
  db: Database,
  { userId }: Actor,
  ids: readonly string[],
  permission: string,
): Promise<void> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from notification
    where user_id = ${userId} and id = any(${ids as string[]}::uuid[])`.execute(db)
  if (rows[0]!.count !== new Set(ids).size) throw noAccess(permission)
}
