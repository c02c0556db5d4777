import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import type { Queryable } from '../../src/database/connect.ts'
import { COMMITTING_LATER, commitLater } from '../../src/database/statements/commit-later.ts'
import { testDatabase } from '../support/postgres.ts'

async function setting(db: Queryable): Promise<string> {
  const { rows } = await sql<{ synchronous_commit: string }>`show synchronous_commit`.execute(db)
  return rows[0]!.synchronous_commit
}

// The test cluster has it off for all, so each connection first gets what a real one has.
test('a transaction or statement that commits later leaves its connection as it was', async (t) => {
  const { db } = await testDatabase(t)
  await db.connection().execute(async (one) => {
    await sql`set synchronous_commit = on`.execute(one)
    await one.transaction().execute(async (tx) => {
      await commitLater(tx)
      assert.equal(await setting(tx), 'off')
    })
    assert.equal(await setting(one), 'on', 'after the transaction')

    const { rows } = await sql`select 1 where ${COMMITTING_LATER}`.execute(one)
    assert.equal(rows.length, 1, 'the condition is true')
    assert.equal(await setting(one), 'on', 'after the statement')

    await one.transaction().execute(async (tx) => {
      await sql`create temporary table done (id int)`.execute(tx)
      await sql`insert into done values (1)`.execute(tx)
      await sql`delete from done where id = 1 and ${COMMITTING_LATER}`.execute(tx)
      assert.equal(await setting(tx), 'off', 'it holds for the rest of its transaction')
    })
    assert.equal(await setting(one), 'on', 'after that transaction')
  })
})
