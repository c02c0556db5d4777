/** Which installation this is, and for whom its backups are encrypted. */
import { sql } from 'kysely'
import type pg from 'pg'
import { AppError } from '../../errors.ts'
import type { Queryable } from '../connect.ts'

export type Installation = {
  id: string
  createdAt: Date
  /** The public half of the backup key; null: none was made yet. */
  recipient: string | null
  /** Since when somebody has it written down; null: nobody has said so. */
  keyConfirmedAt: Date | null
  /** The backup that this database was restored from. */
  restored: { takenAt: Date; number: number } | null
}

/** Its only row. */
export async function loadInstallation(db: Queryable): Promise<Installation> {
  const row = await db.selectFrom('installation').selectAll().executeTakeFirstOrThrow()
  const { id, created_at: createdAt, recipient, key_confirmed_at: keyConfirmedAt } = row
  const { restored_from: takenAt, restored_number: number } = row
  const restored = takenAt === null || number === null ? null : { takenAt, number }
  return { id, createdAt, recipient, keyConfirmedAt, restored }
}

/**
 * Notes which backup the database was restored from, and keeps the number for it that comes after all that
 * it knows. Nothing where that was noted already, or where the migrations are too old to note it.
 */
export async function noteRestored(client: pg.ClientBase | pg.Pool, takenAt: Date): Promise<void> {
  const { rowCount } = await client.query(
    `select from information_schema.columns where table_schema = current_schema()
     and table_name = 'installation' and column_name = 'restored_number'`,
  )
  if (rowCount === 0) return
  await client.query(
    `update installation set restored_from = $1,
       restored_number = nextval(pg_get_serial_sequence('database_backup', 'number'))
     where restored_from is distinct from $1`,
    [takenAt],
  )
}

/** A database that is made anew for what an installation has left goes on as that one. */
export async function becomeInstallation(db: Queryable, id: string): Promise<void> {
  await db.updateTable('installation').set({ id }).execute()
}

/** Notes for whom backups are encrypted from now on, unless somebody was first. @returns who it is */
export async function noteRecipient(db: Queryable, recipient: string): Promise<string> {
  const row = await db
    .updateTable('installation')
    .set({ recipient: sql<string>`coalesce(recipient, ${recipient})` })
    .returning(({ ref }) => ref('recipient').$notNull().as('recipient'))
    .executeTakeFirstOrThrow()
  return row.recipient
}

/** Backups are encrypted for another key from now on, which nobody has written down yet. */
export async function replaceRecipient(
  db: Queryable,
  { from, to }: { from: string | null; to: string },
): Promise<boolean> {
  const row = await db
    .updateTable('installation')
    .set({ recipient: to, key_confirmed_at: null })
    .where(sql<boolean>`recipient is not distinct from ${from}`)
    .executeTakeFirstOrThrow()
  return row.numUpdatedRows === 1n
}

/** Somebody has written down the key of this recipient. */
export async function confirmKey(db: Queryable, recipient: string): Promise<void> {
  await db
    .updateTable('installation')
    .set({ key_confirmed_at: sql<Date>`now()` })
    .where('recipient', '=', recipient)
    .execute()
}

/** Of a database that a backup was just loaded into. @throws AppError conflict where it names another key */
export async function assertRecipient(client: pg.ClientBase, recipient: string): Promise<void> {
  const { rowCount } = await client.query('select from installation where recipient = $1', [recipient])
  if (rowCount !== 1)
    throw new AppError(
      'conflict',
      'The backup says that its installation has another key. Nothing was restored.',
    )
}
