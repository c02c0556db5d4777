import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { startTestServer } from '../../support/server.ts'

test('B16: while 60 uploads wait for the database, a small request is answered', async (t) => {
  const server = await startTestServer(t)
  // Whoever inserts an asset waits, whoever reads does not.
  const blocker = await server.pool.connect()
  let isReleased = false
  const release = async () => {
    if (isReleased) return
    isReleased = true
    await blocker.query('rollback')
    blocker.release()
  }
  t.after(release)
  await blocker.query('begin')
  await blocker.query('lock table asset in share row exclusive mode')

  const uploads = Array.from({ length: 60 }, (_, n) =>
    server.admin.upload(
      Buffer.concat([Buffer.from('\xff\xd8\xff', 'latin1'), randomBytes(5_000)]),
      `${n}.jpg`,
    ),
  )
  // As many as there may be stand at the lock.
  for (let standing = 0; standing === 0; ) {
    const { rows } = await blocker.query<{ count: number }>(
      `select count(*)::int as count from pg_locks where not granted and relation = 'asset'::regclass`,
    )
    standing = rows[0]!.count
  }
  // All staged files are here: whatever could hold a connection does.
  for (;;) {
    const { rows } = await blocker.query<{ count: number }>(
      `select count(*)::int as count from stored_object`,
    )
    if (rows[0]!.count >= Math.min(60, server.pool.options.max * 0.3)) break
  }
  for (let request = 0; request < 5; request++) {
    assert.equal((await server.admin.call('/users/me')).status, 200)
  }
  await release()
  const ended = await Promise.all(uploads)
  assert.deepEqual(new Set(ended.map(({ status }) => status)), new Set(['created']))
})
