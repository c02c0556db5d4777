import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ackAll, ackAndExpectNothing, dataOf, sync, typesOf } from '../../support/sync/sync-client.ts'
import { startPartnerWorld, told } from './partner-world.ts'

const S = 'StacksV1'

test('stacks, in the sync stream', async (t) => {
  const { server, newUser, asset, stack, deleteStack, change, purge } = await startPartnerWorld(t)
  const membersOf = async (me: Parameters<typeof sync>[0]) =>
    new Map((await sync(me, 'AssetsV2')).map(({ data }) => [data.id, data.stackId]))

  await t.test('77. the first asset stands for a stack', async () => {
    const me = await newUser()
    const [a, b] = [await asset(me), await asset(me)]
    const id = await stack(me, b, a)
    const lines = await sync(me, S)
    const { createdAt, updatedAt, ...data } = lines[0]!.data
    assert.deepEqual([typesOf(lines), data], [['StackV1'], { id, ownerId: me.userId, primaryAssetId: b }])
    for (const at of [createdAt, updatedAt])
      assert.match(String(at), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    await ackAndExpectNothing(me, lines, S)
  })

  await t.test('78. one that was deleted before the first stream', async () => {
    const me = await newUser()
    const stackId = await stack(me)
    await deleteStack(me, stackId)
    const lines = await sync(me, S)
    assert.deepEqual([typesOf(lines), dataOf(lines)], [['StackDeleteV1'], [{ stackId }]])
    await ackAndExpectNothing(me, lines, S)
  })

  await t.test('79. another asset stands for it', async () => {
    const me = await newUser()
    const [a, b] = [await asset(me), await asset(me)]
    const id = await stack(me, a, b)
    await ackAll(me, await sync(me, S))
    await change(me, `/stacks/${id}`, { primaryAssetId: b }, 'PUT')
    const lines = await sync(me, S)
    assert.deepEqual([told(lines), lines[0]!.data.primaryAssetId], [[`StackV1 ${id}`], b])
  })

  await t.test("80. another's stack is nobody else's", async () => {
    const [me, b] = [await newUser(), await newUser()]
    const id = await stack(b)
    assert.deepEqual(await sync(me, S), [])
    await deleteStack(b, id)
    assert.deepEqual(await sync(me, S), [])
  })

  await t.test('assets say which stack they are in, and when they have left it', async () => {
    const me = await newUser()
    const [a, b, c] = [await asset(me), await asset(me), await asset(me)]
    await ackAll(me, await sync(me, 'AssetsV2'))
    const id = await stack(me, a, b, c)
    assert.deepEqual(await membersOf(me), new Map([a, b, c].map((one) => [one, id])))
    await ackAll(me, await sync(me, 'AssetsV2'))
    await change(me, `/stacks/${id}/assets/${b}`, {}, 'DELETE')
    assert.deepEqual(await membersOf(me), new Map([[b, null]]))
    await ackAll(me, await sync(me, 'AssetsV2'))
    // With the row of the stack alone, the database takes its assets out.
    await server.pool.query('delete from stack where id = $1', [id])
    assert.deepEqual(
      await membersOf(me),
      new Map([
        [a, null],
        [c, null],
      ]),
    )
  })

  await t.test('a purge that ends a stack, or leaves it to another asset, is sent', async () => {
    const me = await newUser()
    const [a, b, c] = [await asset(me), await asset(me), await asset(me)]
    const id = await stack(me, a, b, c)
    await ackAll(me, await sync(me, S, 'AssetsV2'))
    await purge(me, a)
    await server.runJobs()
    let lines = await sync(me, S, 'AssetsV2')
    assert.deepEqual(told(lines), [`AssetDeleteV1 ${a}`, `StackV1 ${id}`])
    assert.notEqual(lines[1]!.data.primaryAssetId, a)
    await ackAll(me, lines)
    await purge(me, b)
    await server.runJobs()
    lines = await sync(me, S, 'AssetsV2')
    assert.deepEqual(told(lines), [`AssetDeleteV1 ${b}`, `AssetV2 ${c}`, `StackDeleteV1 ${id}`])
    assert.equal(lines[1]!.data.stackId, null)
    await ackAndExpectNothing(me, lines, S, 'AssetsV2')
  })
})
