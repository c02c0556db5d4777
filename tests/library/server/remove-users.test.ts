/**
 * The end of users: who is deleted is whole for seven days, and whoever is removed takes along what is
 * theirs, and not a byte of others. On a strict S3 server.
 */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { observeClock } from '../../../src/database/clock.ts'
import type { Database } from '../../../src/database/connect.ts'
import { LIBRARY_CLOCK_REPAIRS } from '../../../src/library/server/clock-repairs.ts'
import { sweepLibrary } from '../../../src/library/server/sweep.ts'
import { silentLog } from '../../../src/log.ts'
import { markForPurge } from '../../../src/placement/lifecycle/purge.ts'
import type { Client } from '../../support/client.ts'
import { untilLockIsAwaited } from '../../support/database/lock-waits.ts'
import { ask, type DirectServer, hashOf, startDirectServer } from '../../support/http/direct-upload.ts'
import { sendJson, sendStill, someStill, someVideo } from '../../support/http/live-photos.ts'
import { ingestBytes } from '../../support/placement.ts'
import { photo } from '../../support/server-with-bucket.ts'
import { advanceAsAnother } from '../../support/storage/foreign-counter.ts'

type User = Client & { userId: string }
type Family = { server: DirectServer; anna: User; bert: User; shared: Buffer; ids: Record<string, string> }

const sweep = ({ db, placement }: DirectServer) => sweepLibrary({ db, placement, log: silentLog })
const remove = ({ admin }: DirectServer, { userId }: User, force = true) =>
  sendJson(admin, 'DELETE', `/admin/users/${userId}`, { force })
const restore = ({ admin }: DirectServer, { userId }: User) =>
  sendJson(admin, 'POST', `/admin/users/${userId}/restore`)
const statusOf = async ({ admin }: DirectServer, { userId }: User) =>
  (await admin.json<{ status: string }>(`/admin/users/${userId}`)).status
const letDaysPass = ({ pool }: DirectServer, days: number) =>
  pool.query(`update app_user set deleted_at = deleted_at - $1 * interval '1 day'`, [days])

/** Anna and Bert have a photo with the same bytes, and each an album with a photo of the other. */
async function startFamily(t: TestContext): Promise<Family> {
  const server = await startDirectServer(t)
  const [anna, bert] = [await server.newUser('anna'), await server.newUser('bert')]
  const shared = await photo()
  const video = (await anna.upload(someVideo(), 'film.mov')).id
  const ids = {
    annasShared: (await anna.upload(shared, 'same.jpg')).id,
    bertsShared: (await bert.upload(shared, 'same.jpg')).id,
    annasStill: (await sendStill(anna, someStill(), video)).id,
    annasTrashed: (await anna.upload(await photo(), 'trashed.jpg')).id,
    bertsOwn: (await bert.upload(await photo(), 'own.jpg')).id,
  }
  await sendJson(anna, 'DELETE', '/assets', { ids: [ids.annasTrashed] })
  const portrait = new FormData()
  portrait.set('file', new Blob([new Uint8Array(await photo())]), 'anna.jpg')
  assert.equal((await anna.call('/users/profile-image', { method: 'POST', body: portrait })).status, 201)
  await ask(anna, await photo(), 'under way.jpg')
  // Of an upload of which nobody knows whether it was acknowledged.
  await ingestBytes(server.placement, await photo(), { ownerId: anna.userId })
  const share = async (owner: Client, name: string, own: string, other: User, others: string) => {
    const albumUsers = [{ userId: other.userId, role: 'editor' }]
    const made = await sendJson(owner, 'POST', '/albums', { albumName: name, assetIds: [own], albumUsers })
    const { id } = (await made.json()) as { id: string }
    assert.equal((await sendJson(other, 'PUT', `/albums/${id}/assets`, { ids: [others] })).status, 200)
    return id
  }
  const annasAlbum = await share(anna, "Anna's", ids.annasShared, bert, ids.bertsOwn)
  const bertsAlbum = await share(bert, "Bert's", ids.bertsShared, anna, ids.annasShared)
  await server.runJobs()
  return { server, anna, bert, shared, ids: { ...ids, annasAlbum, bertsAlbum } }
}

/** Of all that anybody has but Anna, each file as it was sent. */
async function assertBertIsWhole({ bert, shared, ids }: Family): Promise<void> {
  assert.equal(await bert.sha256OfOriginal(ids.bertsShared!), hashOf('sha256', shared))
  await bert.sha256OfOriginal(ids.bertsOwn!)
  assert.equal((await bert.call(`/assets/${ids.bertsShared}/thumbnail`)).status, 200)
  const album = await bert.json<{ albumName: string }>(`/albums/${ids.bertsAlbum}`)
  assert.equal(album.albumName, "Bert's")
}

async function annasKeys({ server: { bucket }, anna }: Family): Promise<string[]> {
  const objects = await bucket.stored.objects('photos')
  return objects.map(({ key }) => key).filter((key) => key.includes(anna.userId))
}

test('who is removed takes all that is theirs along, and no byte of anybody else', async (t) => {
  const family = await startFamily(t)
  const { server, anna, bert, ids } = family
  assert.ok((await annasKeys(family)).length > 0, 'it lies in the bucket')
  const answer = await remove(server, anna)
  assert.deepEqual([answer.status, ((await answer.json()) as { status: string }).status], [200, 'removing'])
  // The sweep was asked for by the deletion itself.
  await server.runJobs()
  assert.equal((await server.admin.call(`/admin/users/${anna.userId}`)).status, 400)

  // A URL may still put to the key of the upload that was under way; until then its purge waits.
  await server.pool.query('update replica set writable_until = null')
  await server.pool.query('update graphile_worker._private_jobs set run_at = now()')
  await server.runJobs()
  const left = await server.pool.query('select id, kind from stored_object where owner_id = $1', [
    anna.userId,
  ])
  assert.deepEqual(left.rows, [])
  assert.deepEqual(await annasKeys(family), [])
  await assertBertIsWhole(family)
  const album = await bert.json<{ assetCount: number; albumUsers: unknown[] }>(`/albums/${ids.bertsAlbum}`)
  assert.deepEqual([album.assetCount, album.albumUsers.length], [1, 1])
  assert.equal((await bert.call(`/albums/${ids.annasAlbum}`)).status, 400)
  const albums = await server.pool.query('select id from album')
  assert.deepEqual(albums.rows, [{ id: ids.bertsAlbum }])
  assert.equal((await sweep(server)).removedUsers, 0)
  const again = { email: 'anna@example.org', name: 'Anna', password: 'a long password' }
  assert.equal((await sendJson(server.admin, 'POST', '/admin/users', again)).status, 201)
})

test('who is deleted is out at once, and whole for seven days', async (t) => {
  const family = await startFamily(t)
  const { server, anna, bert, shared, ids } = family
  const { secret } = (await (await sendJson(anna, 'POST', '/api-keys', { permissions: ['all'] })).json()) as {
    secret: string
  }
  const asKey = () => fetch(`${server.url}/api/users/me`, { headers: { 'x-api-key': secret } })
  assert.equal((await asKey()).status, 200)

  assert.equal((await remove(server, anna, false)).status, 200)
  assert.equal(await statusOf(server, anna), 'deleted')
  assert.equal((await anna.call('/users/me')).status, 401)
  assert.equal((await asKey()).status, 401)
  const login = { email: 'anna@example.org', password: 'a long password' }
  const logIn = () => sendJson(server.admin, 'POST', '/auth/login', login)
  assert.equal((await logIn()).status, 401)
  assert.equal((await bert.call(`/albums/${ids.annasAlbum}`)).status, 400)

  await letDaysPass(server, 6.9)
  assert.equal((await sweep(server)).removedUsers, 0)
  await server.runJobs()
  assert.equal((await restore(server, anna)).status, 200)
  assert.equal(await statusOf(server, anna), 'active')
  assert.equal((await anna.call('/users/me')).status, 401, 'her sessions ended')
  assert.equal((await asKey()).status, 200, 'her programs go on')
  const { accessToken } = (await (await logIn()).json()) as { accessToken: string }
  const file = await fetch(`${server.url}/api/assets/${ids.annasShared}/original`, {
    headers: { authorization: `Bearer ${accessToken}` },
  })
  assert.deepEqual(Buffer.from(await file.arrayBuffer()), shared)
  assert.equal((await bert.json<{ assetCount: number }>(`/albums/${ids.annasAlbum}`)).assetCount, 2)

  assert.equal((await remove(server, anna, false)).status, 200)
  await letDaysPass(server, 7.1)
  assert.equal((await sweep(server)).removedUsers, 1)
  await assertBertIsWhole(family)
})

test('a clock that jumps a week ahead removes nobody, and one that was ahead keeps nobody for longer', async (t) => {
  const { server, anna } = await startFamily(t)
  const { pool } = server
  const look = () => observeClock(server.db, silentLog, LIBRARY_CLOCK_REPAIRS)
  await look()
  await remove(server, anna, false)
  await letDaysPass(server, 8)
  await pool.query(`update clock_seen set seen_at = seen_at - interval '8 days'`)
  assert.equal(await look(), 'gap')
  assert.equal((await sweep(server)).removedUsers, 0)
  assert.equal(await statusOf(server, anna), 'deleted')

  await pool.query(`update app_user set deleted_at = now() + interval '8 days' where id = $1`, [anna.userId])
  await pool.query(`update clock_seen set seen_at = now() + interval '8 days'`)
  assert.equal(await look(), 'went-back')
  const { rows } = await pool.query('select deleted_at <= now() as "isPast" from app_user where id = $1', [
    anna.userId,
  ])
  assert.deepEqual(rows, [{ isPast: true }])
})

test('an older database removes nobody before the places were looked at, and the time begins anew', async (t) => {
  const family = await startFamily(t)
  const { server, anna } = family
  await remove(server, anna, false)
  await letDaysPass(server, 8)
  await advanceAsAnother(server.placement.locations.get('s3')!.backend)
  assert.equal((await sweep(server)).removedUsers, 0)
  assert.equal(await statusOf(server, anna), 'deleted', 'not even begun')
  assert.equal((await server.admin.call('/storage/locations/s3/adoption', { method: 'POST' })).status, 202)
  await server.runJobs()
  assert.equal((await sweep(server)).removedUsers, 0)
  assert.equal(await statusOf(server, anna), 'deleted', 'the time has begun anew')
  assert.equal((await restore(server, anna)).status, 200)
})

test('a removal that has begun waits while a place knows another ledger', async (t) => {
  const family = await startFamily(t)
  const { server, anna } = family
  await advanceAsAnother(server.placement.locations.get('s3')!.backend)
  await remove(server, anna)
  await server.runJobs()
  assert.equal(await statusOf(server, anna), 'removing')
  const { rows } = await server.pool.query('select count(*)::int as n from asset where owner_id = $1', [
    anna.userId,
  ])
  assert.equal(rows[0].n, 4)
})

test('that a user was restored shows at the places to an older database', async (t) => {
  const { server, anna } = await startFamily(t)
  await remove(server, anna, false)
  const counter = async () => {
    const { rows } = await server.pool.query(
      `select value::int, is_advance_due as "isDue" from location_counter where location_id = 's3'`,
    )
    return rows[0] as { value: number; isDue: boolean }
  }
  // Longer ago than a comparison is good for.
  await server.pool.query(`update location_counter set advanced_at = now() - interval '1 hour'`)
  const before = await counter()
  assert.equal((await restore(server, anna)).status, 200)
  assert.deepEqual(await counter(), { value: before.value + 1, isDue: false })
})

/** As killed right before its transaction of that number. */
function killedAt(db: Database, number: number): Database {
  let begun = 0
  return new Proxy(db, {
    get(target, name) {
      if (name === 'transaction' && ++begun >= number) throw new Error('killed')
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

test('a removal that is killed at any step goes on with the next sweep, and nobody is restored in between', async (t) => {
  const family = await startFamily(t)
  const { server, anna } = family
  await remove(server, anna)
  let kills = 0
  for (let isDone = false; !isDone; kills += 1) {
    const db = killedAt(server.db, kills + 1)
    const { removedUsers } = await sweepLibrary({ db, placement: server.placement, log: silentLog }).catch(
      (error: Error) => {
        assert.equal(error.message, 'killed')
        return { removedUsers: 0 }
      },
    )
    isDone = removedUsers === 1
    if (isDone) break
    assert.equal(await statusOf(server, anna), 'removing')
    const answer = await restore(server, anna)
    assert.deepEqual(
      [answer.status, ((await answer.json()) as { message: string }).message],
      [400, 'The user is being removed and can not be restored'],
    )
    assert.equal((await anna.call('/users/me')).status, 401)
    await assertBertIsWhole(family)
  }
  assert.ok(kills >= 5, `killed ${kills} times`)
  await server.runJobs()
  await assertBertIsWhole(family)
  const { rows } = await server.pool.query(
    `select kind from stored_object where owner_id = $1 and (state = 'live' or purge_reason = 'user')`,
    [anna.userId],
  )
  assert.deepEqual(rows, [])
})

/**
 * The request is sent while a transaction that did `work` is open, which is committed when it is waited for.
 */
async function during<T>(
  { pool }: DirectServer,
  work: string,
  id: string,
  request: () => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query(work, [id])
    const answer = request()
    await untilLockIsAwaited(pool)
    await client.query('commit')
    return await answer
  } finally {
    client.release()
  }
}

test('an upload that is committed while its user is deleted is refused, and leaves nothing', async (t) => {
  const server = await startDirectServer(t)
  const anna = await server.newUser('anna')
  // As the deletion does it: the lock that an upload waits for, then the mark.
  const marked = `with locked as (select id from app_user where id = $1 for update)
    update app_user set deleted_at = now() where id = (select id from locked)`
  const bytes = await photo()
  const refused = await during(server, marked, anna.userId, () =>
    anna.upload(bytes, 'late.jpg').then(
      () => 'acknowledged',
      (error: Error) => error.message,
    ),
  )
  assert.match(refused, /answered 401/)
  const { rows } = await server.pool.query(
    `select (select count(*) from asset)::int as assets,
      (select count(*) from stored_object where state = 'live')::int as objects`,
  )
  assert.deepEqual(rows, [{ assets: 0, objects: 0 }])
})

test('a deletion waits for the upload that is being committed', async (t) => {
  const server = await startDirectServer(t)
  const anna = await server.newUser('anna')
  await anna.upload(await photo(), 'first.jpg')
  const holding = 'select id from app_user where id = $1 for key share'
  const answer = await during(server, holding, anna.userId, () => remove(server, anna, false))
  assert.equal(answer.status, 200)
})

test('what came in while a user was removed is found by the next sweep', async (t) => {
  const { server, anna } = await startFamily(t)
  await remove(server, anna)
  // A request that began before the deletion ends now: the last step waits for it.
  const late = `with held as (select id from app_user where id = $1 for update),
      made as (insert into album (name) values ('late') returning id)
    insert into album_user (album_id, user_id, role) select made.id, held.id, 'owner' from made, held`
  assert.equal((await during(server, late, anna.userId, () => sweep(server))).removedUsers, 0)
  assert.equal(await statusOf(server, anna), 'removing')
  assert.equal((await sweep(server)).removedUsers, 1)
})

test('the database refuses to take a removal back, and to forget who is not being removed', async (t) => {
  const server = await startDirectServer(t)
  const anna = await server.newUser('anna')
  const refused = { code: 'GL005' }
  const ask = (text: string) => server.pool.query(`${text} where id = $1`, [anna.userId])
  await assert.rejects(ask('delete from app_user'), refused)
  await remove(server, anna, false)
  await assert.rejects(ask('delete from app_user'), refused)
  await remove(server, anna)
  await assert.rejects(ask('update app_user set removal_begun_at = null'), refused)
  await assert.rejects(ask('update app_user set deleted_at = null, removal_begun_at = null'), refused)
  await assert.rejects(ask('update app_user set deleted_at = null'), { code: '23514' })
})

test('what waits for another copy of the same bytes goes with its user', async (t) => {
  const family = await startFamily(t)
  const { server, anna } = family
  // Of an upload that was given up and whose bytes turned out to be right, say: nothing else holds them.
  const waiting = await ingestBytes(server.placement, await photo(), { ownerId: anna.userId })
  await server.db.transaction().execute((tx) => markForPurge(tx, [waiting], 'duplicate'))
  await server.runJobs()
  const isThere = async () =>
    (await server.pool.query('select from stored_object where id = $1', [waiting])).rowCount === 1
  assert.ok(await isThere(), 'kept, for want of another copy')

  await remove(server, anna)
  await server.runJobs()
  assert.equal((await server.admin.call(`/admin/users/${anna.userId}`)).status, 400)
  assert.ok(!(await isThere()))
  await assertBertIsWhole(family)
})
