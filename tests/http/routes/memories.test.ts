import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { makeMemories, tidyMemories } from '../../../src/library/memories/make-memories.ts'
import { assertShape, assertShapes } from '../../support/http/sdk-shapes.ts'
import { type ApiUnderTest, startApi } from '../hostile/api-under-test.ts'
import { addAsset } from './asset-rows.ts'

const EXTRA = ['processingError']
type Memory = {
  id: string
  data: { year: number }
  assets: { id: string }[]
  showAt: string
  memoryAt: string
}

/** An asset with a preview: one that a memory shows. */
async function addTaken(api: ApiUnderTest, userId: string, takenOn: string, more = {}): Promise<string> {
  const id = await addAsset(api.db, userId, { local_date_time: `${takenOn} 12:00:00`, ...more })
  const { original_object_id } = await api.db
    .selectFrom('asset')
    .select('original_object_id')
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  await api.db
    .insertInto('asset_file')
    .values({ asset_id: id, kind: 'preview', object_id: original_object_id, width: null, height: null })
    .execute()
  return id
}

test('memories of a client', async (t) => {
  const api = await startApi(t)
  const [owner, partner] = [await api.newClient(), await api.newClient()]
  const own = await addAsset(api.db, owner.userId, { local_date_time: '2020-05-02 12:00:00' })
  const older = await addAsset(api.db, owner.userId, { local_date_time: '2020-05-01 12:00:00' })
  const theirs = await addAsset(api.db, partner.userId, { local_date_time: '2020-05-03 12:00:00' })
  await partner.send('POST /api/partners', { sharedWithId: owner.userId })
  const wish = { type: 'on_this_day', data: { year: 2020 }, memoryAt: '2020-05-01T00:00:00.000Z' }
  const made = await owner.send('POST /api/memories', {
    ...wish,
    assetIds: [own, older, theirs, randomUUID()],
  })
  assert.equal(made.status, 201)
  assertShape(made.body, 'MemoryResponseDto', EXTRA)
  const path = `/api/memories/${made.body.id}`
  const assetsOf = async () =>
    (await owner.send(`GET ${path}`)).body.assets.map((asset: { id: string }) => asset.id)
  assert.deepEqual(await assetsOf(), [older, own, theirs], 'oldest first')

  await partner.send(`DELETE /api/partners/${owner.userId}`)
  assert.deepEqual(await assetsOf(), [older, own], 'what is no longer shared is no longer shown')

  const nothing = await owner.send(`PUT ${path}`, {})
  assert.deepEqual([nothing.status, nothing.body.message], [400, 'At least one field must be provided'])
  const seen = await owner.send(`PUT ${path}`, { isSaved: true, seenAt: '2024-05-01T10:00:00.000Z' })
  assertShape(seen.body, 'MemoryResponseDto', EXTRA)
  assert.deepEqual([seen.body.isSaved, seen.body.seenAt], [true, '2024-05-01T10:00:00.000Z'])

  const removed = await owner.send(`DELETE ${path}/assets`, { ids: [own, randomUUID()] })
  assertShapes(removed.body, 'BulkIdResponseDto')
  assert.deepEqual(
    removed.body.map((one: { error?: string }) => one.error),
    [undefined, 'not_found'],
  )
  const added = await owner.send(`PUT ${path}/assets`, { ids: [own, older, theirs] })
  assert.deepEqual(
    added.body.map((one: { error?: string }) => one.error),
    [undefined, 'duplicate', 'no_permission'],
  )
  const total = async (query: string) =>
    (await owner.send(`GET /api/memories/statistics?${query}`)).body.total
  assert.deepEqual([await total(''), await total('isSaved=false'), await total('for=2024-05-01')], [1, 0, 1])
  await owner.send('PUT /api/assets', { ids: [] })
  await api.db.updateTable('asset').set({ visibility: 'archive' }).execute()
  assert.deepEqual((await owner.send('GET /api/memories')).body, [], 'nothing is left to be seen')
  assert.equal(await total(''), 1)
  assert.equal((await owner.send(`DELETE ${path}`)).status, 204)
  assert.equal((await owner.send(`GET ${path}`)).status, 400)
  assert.deepEqual(await api.db.selectFrom('memory_asset').selectAll().execute(), [])
})

test('memories of this day are made every night', async (t) => {
  const api = await startApi(t)
  const [owner, other] = [await api.newClient(), await api.newClient()]
  const first = await addTaken(api, owner.userId, '2020-06-10')
  const second = await addTaken(api, owner.userId, '2021-06-10')
  const later = await addTaken(api, owner.userId, '2020-06-14')
  for (const more of [{ visibility: 'archive' as const }, { deleted_at: new Date() }])
    await addTaken(api, owner.userId, '2019-06-10', more)
  await addTaken(api, owner.userId, '2024-06-10')
  await addAsset(api.db, owner.userId, { local_date_time: '2018-06-10 12:00:00' })
  await addTaken(api, other.userId, '2020-06-10')
  await other.send('PUT /api/users/me/preferences', { memories: { enabled: false } })
  const now = (day: string) => new Date(`${day}T01:00:00Z`)
  const shown = async (day: string) => {
    const { body } = await owner.send(`GET /api/memories?for=${day}&order=asc`)
    if (body.length > 0) assertShapes(body, 'MemoryResponseDto', EXTRA)
    return (body as Memory[]).map(({ data, assets }) => [data.year, assets.map(({ id }) => id)])
  }

  assert.equal(await makeMemories(api.db, now('2024-06-08')), 2)
  assert.deepEqual(await shown('2024-06-10'), [
    [2020, [first]],
    [2021, [second]],
  ])
  assert.deepEqual([await shown('2024-06-09'), await shown('2024-06-11')], [[], []])
  const [memory] = (await owner.send('GET /api/memories?order=asc')).body as Memory[]
  assert.deepEqual(
    [memory!.memoryAt, memory!.showAt],
    ['2020-06-10T00:00:00.000Z', '2024-06-10T00:00:00.000Z'],
  )

  // What was deleted does not come back, and nothing is made twice, by two at once either.
  await owner.send(`DELETE /api/memories/${memory!.id}`)
  const again = await Promise.all([
    makeMemories(api.db, now('2024-06-08')),
    makeMemories(api.db, now('2024-06-09')),
  ])
  assert.deepEqual(again, [0, 0])
  assert.equal(await makeMemories(api.db, now('2024-06-11')), 1, 'the fourteenth is three days away')
  assert.deepEqual(await shown('2024-06-14'), [[2020, [later]]])

  // A clock that was ahead keeps nobody from the memories of the days that come.
  await makeMemories(api.db, now('2030-01-01'))
  await addTaken(api, owner.userId, '2020-07-01')
  assert.equal(await makeMemories(api.db, now('2024-06-30')), 1)
  assert.equal(await makeMemories(api.db, now('2024-07-01')), 0)

  // A leap day has its memories in leap years.
  await addTaken(api, owner.userId, '2020-02-29')
  assert.equal(await makeMemories(api.db, now('2025-03-01')), 0)
  assert.equal(await makeMemories(api.db, now('2028-02-28')), 1)
  assert.equal(
    (await api.db.selectFrom('memory').selectAll().where('owner_id', '=', other.userId).execute()).length,
    0,
  )

  await t.test('and forgotten unless they are saved', async () => {
    const { length } = await api.db.selectFrom('memory').selectAll().execute()
    assert.equal(await tidyMemories(api.db), 0)
    const [kept] = (await owner.send('GET /api/memories')).body as Memory[]
    await owner.send(`PUT /api/memories/${kept!.id}`, { isSaved: true })
    await api.db
      .updateTable('memory')
      .set({ created_at: new Date('2024-01-01') })
      .execute()
    assert.equal(await tidyMemories(api.db), length - 1)
    await api.db.updateTable('asset').set({ visibility: 'archive' }).execute()
    await tidyMemories(api.db)
    assert.deepEqual(await api.db.selectFrom('memory_asset').selectAll().execute(), [])
  })
})
