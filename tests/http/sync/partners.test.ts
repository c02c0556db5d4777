import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ackAll, ackAndExpectNothing, dataOf, sync, typesOf } from '../../support/sync/sync-client.ts'
import { startPartnerWorld } from './partner-world.ts'

const S = 'PartnersV1'

test('who shares with whom, in the sync stream', async (t) => {
  const { newUser, share, unshare, change, removeForGood } = await startPartnerWorld(t)

  await t.test('47. who shares', async () => {
    const [me, b] = [await newUser(), await newUser()]
    await share(b, me)
    const lines = await sync(me, S)
    assert.deepEqual(typesOf(lines), ['PartnerV1'])
    assert.deepEqual(dataOf(lines), [{ sharedById: b.userId, sharedWithId: me.userId, inTimeline: false }])
    await ackAndExpectNothing(me, lines, S)
  })

  await t.test('48. who shares no more; both are told', async () => {
    const [me, b] = [await newUser(), await newUser()]
    await share(b, me)
    await unshare(b, me)
    for (const user of [me, b]) {
      const lines = await sync(user, S)
      assert.deepEqual(typesOf(lines), ['PartnerDeleteV1'])
      assert.deepEqual(dataOf(lines), [{ sharedById: b.userId, sharedWithId: me.userId }])
      await ackAndExpectNothing(user, lines, S)
    }
  })

  await t.test('49. both directions', async () => {
    const [me, b] = [await newUser(), await newUser()]
    await share(b, me)
    await share(me, b)
    const lines = await sync(me, S)
    assert.deepEqual(
      lines.map(({ data }) => [data.sharedById, data.sharedWithId]),
      [
        [b.userId, me.userId],
        [me.userId, b.userId],
      ],
    )
    await ackAndExpectNothing(me, lines, S)
  })

  await t.test('50. what is said again is sent again', async () => {
    const [me, b] = [await newUser(), await newUser()]
    await share(b, me)
    for (let round = 0; round < 2; round++) {
      await ackAll(me, await sync(me, S))
      await change(me, `/partners/${b.userId}`, { inTimeline: true }, 'PUT')
      const lines = await sync(me, S)
      assert.deepEqual(
        lines.map(({ type, data }) => [type, data.inTimeline]),
        [['PartnerV1', true]],
      )
      await ackAndExpectNothing(me, lines, S)
    }
  })

  await t.test("51. others' sharing is nobody else's", async () => {
    const [me, b, c] = [await newUser(), await newUser(), await newUser()]
    await share(b, c)
    assert.deepEqual(await sync(me, S), [])
    await unshare(b, c)
    assert.deepEqual(await sync(me, S), [])
  })

  await t.test('52. a user who is removed takes it along', async () => {
    const [me, b] = [await newUser(), await newUser()]
    await share(b, me)
    await removeForGood(b)
    assert.deepEqual(await sync(me, S), [])
  })

  await t.test('who shares again is sent after the removal', async () => {
    const [me, b] = [await newUser(), await newUser()]
    await share(b, me)
    await ackAll(me, await sync(me, S))
    await unshare(b, me)
    await share(b, me)
    const lines = await sync(me, S)
    assert.deepEqual(typesOf(lines), ['PartnerDeleteV1', 'PartnerV1'])
    await ackAndExpectNothing(me, lines, S)
  })
})
