import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testDatabase } from '../support/postgres.ts'

test('each caller gets an empty, migrated database of its own', async (t) => {
  const [one, two] = await Promise.all([testDatabase(t), testDatabase(t)])
  await one.db
    .insertInto('app_user')
    .values({ email: 'a@example.org', name: 'A', password_hash: '-' })
    .execute()
  assert.equal((await one.db.selectFrom('app_user').selectAll().execute()).length, 1)
  assert.equal((await two.db.selectFrom('app_user').selectAll().execute()).length, 0)
  await two.drop()
  await two.drop()
})
