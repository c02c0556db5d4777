/** What nothing refers to is looked at, and an adoption of the catalogue makes a photo of it meanwhile. */
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { lookAtUnlinked } from '../../../src/placement/maintenance/unlinked.ts'
import { ingestBytes, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

for (const isLinkedMeanwhile of [false, true])
  test(`the second of two files with the same bytes ${isLinkedMeanwhile ? 'stays where the library refers to it by then' : 'goes'}`, async (t) => {
    const { db, pool, drop } = await testDatabase()
    const rig = await testPlacement(db)
    t.after(async () => {
      await rig.close()
      await drop()
    })
    const { placement } = rig
    const [bytes, ownerId] = [randomBytes(1_000), randomUUID()]
    await ingestBytes(placement, bytes, { ownerId })
    const second = await ingestBytes(placement, bytes, { ownerId })
    const link = (isLinked: boolean) =>
      pool.query('update stored_object set is_linked = $2 where id = $1', [second, isLinked])
    await link(false)
    const { head, get } = rig.disk.backend
    let looks = 0
    const meanwhile = async <T>(act: () => Promise<T>): Promise<T> => {
      looks += 1
      if (isLinkedMeanwhile) await link(true)
      return act()
    }
    rig.disk.backend.head = (...args) => meanwhile(() => head(...args))
    rig.disk.backend.get = (...args) => meanwhile(() => get(...args))
    await lookAtUnlinked(placement, second)
    assert.ok(looks > 0, 'its twin was looked at')
    const { state } = (await loadObject(db, second))!.object
    assert.equal(state, isLinkedMeanwhile ? 'live' : 'purging')
  })
