/**
 * kill -9 at every step of the removal of a user. Each time the test holds the very row that the next step
 * needs, so that the kill is known to have cut it there. The user stays out meanwhile, and in the end nothing
 * of them is left, while somebody else's photo of the same bytes is untouched.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { enqueue } from '../../src/queue/enqueue.ts'
import { type Client, connectClient } from '../support/client.ts'
import { eventually, until } from '../support/eventually.ts'
import { announce, hashOf, post } from '../support/http/direct-upload.ts'
import { sendJson } from '../support/http/live-photos.ts'
import {
  drained,
  heldKeys,
  photo,
  probed,
  type ServerWithBucket,
  startServerWithBucket,
} from '../support/server-with-bucket.ts'
import { WRITE_LEASE_SECONDS } from '../support/spawn-server.ts'

const LIMIT_MS = 120_000
const PASSWORD = 'a long password'
let running: ServerWithBucket

before(async () => {
  running = await startServerWithBucket({ upload: `writeLeaseSeconds: ${WRITE_LEASE_SECONDS}` })
  await probed(running.client)
})
after(() => running?.close())

async function newUser(name: string): Promise<Client & { userId: string }> {
  const user = { email: `${name}@example.org`, name, password: PASSWORD }
  const made = await sendJson(running.client, 'POST', '/admin/users', user)
  const { id } = (await made.json()) as { id: string }
  return { ...(await connectClient(running.server.url, user)), userId: id }
}

/** The row that each step writes or holds first, in the order of the steps. */
const STEPS: Record<string, string> = {
  'an upload under way is given up': `select from direct_upload where owner_id = $1 for update`,
  'an album is deleted': `select from album where id in (select album_id from album_user where user_id = $1) for update`,
  'the first photos are purged': `select from asset where owner_id = $1 order by id limit 1 for update`,
  'what nothing refers to is marked': `select from stored_object where owner_id = $1 and state = 'live' and not is_linked for update`,
  'the row goes': `select from app_user where id = $1 for update`,
}

test('a removal that kill -9 cuts at any step goes on, and takes nothing of anybody else', {
  timeout: 600_000,
}, async () => {
  const { db, pool } = running.database!
  const [anna, bert] = [await newUser('anna'), await newUser('bert')]
  const shared = await photo()
  const { id: annasId } = await anna.upload(shared, 'same.jpg')
  const { id: bertsId } = await bert.upload(shared, 'same.jpg')
  await anna.upload(await photo(), 'own.jpg')
  await sendJson(anna, 'POST', '/albums', { albumName: 'Wien', assetIds: [annasId] })
  assert.equal((await post(anna, '', announce(await photo(), 'under way.jpg'))).status, 201)
  await drained(running.client, LIMIT_MS)
  // As an upload leaves it that was killed before its commit.
  await pool.query(
    `insert into stored_object (id, owner_id, kind, size, sha256, content_type, extension)
     values (gen_random_uuid(), $1, 'original', 1, sha256('left'), 'image/jpeg', 'jpg')`,
    [anna.userId],
  )
  const stateOf = async () => {
    const answer = await running.client.call(`/admin/users/${anna.userId}`)
    return answer.ok ? ((await answer.json()) as { status: string }).status : answer.status
  }

  let isMarked = false
  for (const [step, row] of Object.entries(STEPS)) {
    const holder = await pool.connect()
    try {
      await holder.query('begin')
      assert.ok((await holder.query(row, [anna.userId])).rowCount! > 0, `${step}: there is such a row`)
      const { rows } = await holder.query<{ pid: number }>('select pg_backend_pid() as pid')
      if (isMarked) await enqueue(db, 'sweep-library', {})
      else {
        // It asks for the sweep itself.
        const path = `/admin/users/${anna.userId}`
        assert.equal((await sendJson(running.client, 'DELETE', path, { force: true })).status, 200)
        isMarked = true
      }
      await until(
        `it waits where ${step}`,
        async () => {
          const waiting = 'select from pg_stat_activity where $1 = any(pg_blocking_pids(pid))'
          return (await pool.query(waiting, [rows[0]!.pid])).rowCount! > 0
        },
        LIMIT_MS,
      )
      await running.server.kill9()
    } finally {
      await holder.query('rollback')
      holder.release()
    }
    await running.start()
    assert.equal(await stateOf(), 'removing', step)
    assert.equal((await anna.call('/users/me')).status, 401, step)
    assert.equal((await sendJson(running.client, 'POST', `/admin/users/${anna.userId}/restore`)).status, 400)
    assert.equal(await bert.sha256OfOriginal(bertsId), hashOf('sha256', shared), step)
  }
  await enqueue(db, 'sweep-library', {})
  await until('the user is gone', async () => (await stateOf()) === 400, LIMIT_MS)
  await eventually(async () => {
    // A URL may still put to the key of what was under way.
    const keys = (await heldKeys(running.bucket)).filter((key) => key.includes(anna.userId))
    assert.deepEqual(keys, [])
  }, LIMIT_MS)
  assert.equal(await bert.sha256OfOriginal(bertsId), hashOf('sha256', shared))
})
