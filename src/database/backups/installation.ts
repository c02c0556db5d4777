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
}

/** Its only row. */
export async function loadInstallation(db: Queryable): Promise<Installation> {
  const row = await db.selectFrom('installation').selectAll().executeTakeFirstOrThrow()
  const { id, created_at: createdAt, recipient, key_confirmed_at: keyConfirmedAt } = row
  return { id, createdAt, recipient, keyConfirmedAt }
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
