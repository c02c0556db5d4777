import { sql } from 'kysely'
import type { Tx } from '../connect.ts'

/**
 * Lets this transaction commit without waiting for the disk; a crash of the machine or of PostgreSQL may take
 * the last half second of such commits back, as if they had never been made. Only for moves that are repeated
 * in that case, and whose loss gives up no copy. What follows from them is safe: the log is written in order,
 * so that a later commit which does wait (an eviction) brings all earlier ones to the disk with it.
 */
export async function commitLater(tx: Tx): Promise<void> {
  await sql`set local synchronous_commit = off`.execute(tx)
}

/**
 * The same for a statement that is a transaction of its own: a condition that is always true, evaluated once.
 */
export const COMMITTING_LATER = sql<boolean>`(select set_config('synchronous_commit', 'off', true)) is not null`
