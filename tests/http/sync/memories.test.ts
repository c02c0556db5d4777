import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  ackAll,
  ackAndExpectNothing,
  acknowledge,
  dataOf,
  sync,
  typesOf,
} from '../../support/sync/sync-client.ts'
import { startPartnerWorld, type User } from './partner-world.ts'

test('memories, in the sync stream', async (t) => {
  const { server, newUser, asset, make, change, purge, share, unshare } = await startPartnerWorld(t)
  const memory = (owner: User, ...assetIds: string[]) =>
    make(owner, '/memories', {
      type: 'on_this_day',
      data: { year: 2020 },
      memoryAt: '2020-12-01T00:00:00.000Z',
      assetIds,
    })
  const remove = (owner: User, id: string) => change(owner, `/memories/${id}`, {}, 'DELETE')
  const take = (owner: User, memoryId: string, ...ids: string[]) =>
    change(owner, `/memories/${memoryId}/assets`, { ids }, 'DELETE')
  const MEMORIES = 'MemoriesV1'
  const ASSETS = 'MemoryToAssetsV1'

  await t.test('124. MemoryV1 has all fields', async () => {
    const me = await newUser()
    const id = await memory(me)
    const lines = await sync(me, MEMORIES)
    const { createdAt, updatedAt, ...data } = lines[0]!.data
    assert.deepEqual(
      [typesOf(lines), data],
      [
        ['MemoryV1'],
        {
          id,
          ownerId: me.userId,
          type: 'on_this_day',
          data: { year: 2020 },
          isSaved: false,
          memoryAt: '2020-12-01T00:00:00.000Z',
          showAt: null,
          hideAt: null,
          seenAt: null,
          deletedAt: null,
        },
      ],
    )
    for (const at of [createdAt, updatedAt])
      assert.match(String(at), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    await ackAndExpectNothing(me, lines, MEMORIES)
  })

  await t.test('125. one that was deleted before the first stream', async () => {
    const me = await newUser()
    const memoryId = await memory(me)
    await remove(me, memoryId)
    const lines = await sync(me, MEMORIES)
    assert.deepEqual([typesOf(lines), dataOf(lines)], [['MemoryDeleteV1'], [{ memoryId }]])
    await ackAndExpectNothing(me, lines, MEMORIES)
  })

  await t.test('126. that one was seen', async () => {
    const me = await newUser()
    const id = await memory(me)
    await ackAll(me, await sync(me, MEMORIES))
    const seenAt = '2026-12-01T10:00:00.000Z'
    await change(me, `/memories/${id}`, { seenAt }, 'PUT')
    const lines = await sync(me, MEMORIES)
    assert.deepEqual(
      lines.map(({ type, data }) => [type, data.seenAt]),
      [['MemoryV1', seenAt]],
    )
    await ackAndExpectNothing(me, lines, MEMORIES)
  })

  await t.test("127. another's memory is nobody else's", async () => {
    const [me, b] = [await newUser(), await newUser()]
    const id = await memory(b)
    assert.deepEqual(await sync(me, MEMORIES), [])
    await remove(b, id)
    assert.deepEqual(await sync(me, MEMORIES), [])
  })

  await t.test('128. an asset in a memory', async () => {
    const me = await newUser()
    const assetId = await asset(me)
    const memoryId = await memory(me, assetId)
    const lines = await sync(me, ASSETS)
    assert.deepEqual([typesOf(lines), dataOf(lines)], [['MemoryToAssetV1'], [{ memoryId, assetId }]])
    await ackAndExpectNothing(me, lines, ASSETS)
  })

  await t.test('129. an asset that is taken out', async () => {
    const me = await newUser()
    const assetId = await asset(me)
    const memoryId = await memory(me, assetId)
    await take(me, memoryId, assetId)
    const lines = await sync(me, ASSETS)
    assert.deepEqual([typesOf(lines), dataOf(lines)], [['MemoryToAssetDeleteV1'], [{ memoryId, assetId }]])
    await ackAndExpectNothing(me, lines, ASSETS)
  })

  await t.test("130. assets in another's memory", async () => {
    const [me, b] = [await newUser(), await newUser()]
    const assetId = await asset(b)
    const memoryId = await memory(b, assetId)
    assert.deepEqual(typesOf(await sync(b, ASSETS)), ['MemoryToAssetV1'])
    assert.deepEqual(await sync(me, ASSETS), [])
    await take(b, memoryId, assetId)
    assert.deepEqual(typesOf(await sync(b, ASSETS)), ['MemoryToAssetDeleteV1'])
    assert.deepEqual(await sync(me, ASSETS), [])
  })

  await t.test('an asset that is gone has left its memory, unless that is gone, too', async () => {
    const me = await newUser()
    const [kept, other] = [await asset(me), await asset(me)]
    const memoryId = await memory(me, kept, other)
    await ackAll(me, await sync(me, MEMORIES, ASSETS))
    await purge(me, other)
    await server.runJobs()
    const lines = await sync(me, MEMORIES, ASSETS)
    assert.deepEqual(
      [typesOf(lines), dataOf(lines)],
      [['MemoryToAssetDeleteV1'], [{ memoryId, assetId: other }]],
    )
    await ackAll(me, lines)
    await remove(me, memoryId)
    assert.deepEqual(typesOf(await sync(me, MEMORIES, ASSETS)), ['MemoryDeleteV1'])
  })

  await t.test("a partner's asset is in it while the phone is sent the partner's assets", async () => {
    const [me, b] = [await newUser(), await newUser()]
    const [own, assetId] = [await asset(me), await asset(b)]
    await share(b, me)
    const memoryId = await memory(me, own, assetId)
    await unshare(b, me)
    // A phone that is new now has no such asset, and its tables would refuse the line.
    let lines = await sync(me, ASSETS)
    assert.deepEqual(dataOf(lines), [{ memoryId, assetId: own }])
    await ackAndExpectNothing(me, lines, ASSETS)
    await share(b, me)
    lines = await sync(me, ASSETS)
    assert.deepEqual(dataOf(lines), [{ memoryId, assetId }])
    await ackAndExpectNothing(me, lines, ASSETS)
  })

  await t.test('who is cut off between entries that one sharing brings back gets the others', async () => {
    const [me, b] = [await newUser(), await newUser()]
    const assetIds = [await asset(b), await asset(b), await asset(b)]
    await share(b, me)
    await memory(me, ...assetIds)
    await ackAll(me, await sync(me, ASSETS))
    await unshare(b, me)
    await share(b, me)
    let lines = await sync(me, ASSETS)
    assert.equal(lines.length, 3)
    await acknowledge(me, [lines[0]!.ack])
    lines = await sync(me, ASSETS)
    assert.deepEqual(lines.map(({ data }) => data.assetId).toSorted(), assetIds.toSorted())
    await ackAndExpectNothing(me, lines, ASSETS)
  })
})
