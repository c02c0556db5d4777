/** A catalogue that no adoption has read keeps the files that nothing names: it may say whose they are. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { sql } from 'kysely'
import { loadInstallation } from '../../../src/database/backups/installation.ts'
import {
  adoptCatalogue,
  beginCatalogueAdoption,
} from '../../../src/library/catalogue/adoption/adopt-catalogue.ts'
import { leftOver } from '../../../src/placement/catalogue/adoption-state.ts'
import { unreadBatches } from '../../../src/placement/catalogue/write-batch.ts'
import type { MemoryBackend } from '../../../src/storage/memory/memory.ts'
import { plant } from '../../library/catalogue/support.ts'
import { passDays, startStrayRig } from '../../support/storage/strays.ts'

/** A rig with a file that nothing names, and with a place `third` that is only read. */
async function startRig(t: TestContext) {
  const rig = await startStrayRig(t, { remotes: ['second', 'third'] })
  const { db, placement } = rig
  ;(placement.locations.get('third') as { isReadOnly?: boolean }).isReadOnly = true
  const { id: installation } = await loadInstallation(db)
  await rig.stray()
  return {
    ...rig,
    /** A batch of this installation from long before any adoption; and the place is listed. */
    async batchAt(id: string, header: { isSnapshot?: boolean; parents?: string[] } = {}) {
      const { held } = rig.remotes.get(id)!.inner as MemoryBackend
      const { key, sha256 } = await plant(held, { installation, isSnapshot: true, ...header }, [])
      held.set(key, { ...held.get(key)!, modifiedAt: new Date('2025-01-01T00:00:00Z') })
      await rig.list(id)
      return sha256
    },
    /** @returns how many files it could not bring back */
    async adopt() {
      await beginCatalogueAdoption(db, { isRebuild: false, isFresh: false, trashDeleted: false })
      const adoption = await adoptCatalogue({ db, placement })
      assert.equal(adoption?.state, 'done')
      // Decisions from before an adoption are not carried out.
      await sql`update catalogue_state set adoption = adoption || ${JSON.stringify({
        startedAt: '2026-01-01T00:00:00Z',
        finishedAt: '2026-01-01T00:00:01Z',
      })}::jsonb`.execute(db)
      return leftOver(adoption.report)
    },
    reasons: async () =>
      (await rig.plan()).groups.map(({ reason, becomes, count }) => `${count} ${reason ?? becomes}`),
  }
}

test('a catalogue at a place that the adoption has read keeps nothing, and one at another place does', async (t) => {
  const rig = await startRig(t)
  await rig.batchAt('second')
  await rig.seeTwice()
  assert.deepEqual(await rig.reasons(), ['1 catalogue'])
  assert.equal(await rig.adopt(), 0)
  assert.deepEqual(await rig.reasons(), ['1 collected'])
  // From before the adoption, by its time; but nobody has read it.
  await rig.batchAt('third')
  assert.deepEqual(await rig.reasons(), ['1 catalogue'])
})

test('a catalogue that appears after the decision keeps what was decided', async (t) => {
  const rig = await startRig(t)
  await rig.batchAt('second')
  assert.equal(await rig.adopt(), 0)
  await rig.seeTwice()
  await rig.decide()
  await rig.batchAt('third')
  assert.equal((await rig.collect()).removed, 0)
  assert.equal((await rig.held()).length, 1)
  assert.equal((await rig.status()).waiting, 1, 'it waits until somebody has read that catalogue')
  ;(rig.placement.locations.get('third') as { isReadOnly?: boolean }).isReadOnly = false
  assert.equal(await rig.adopt(), 0)
  await passDays(rig.db, 1)
  assert.equal((await rig.collect()).removed, 1)
})

test('a batch that others name and that nobody has found keeps the files that it may name', async (t) => {
  const rig = await startRig(t)
  const missing = 'ab'.repeat(32)
  const first = await rig.batchAt('second', { isSnapshot: false, parents: [missing] })
  await rig.seeTwice()
  assert.equal(await rig.adopt(), 1)
  // A later one that holds everything stands for it, and what it said alone is in none.
  await rig.batchAt('second', { parents: [first, missing] })
  assert.equal(await rig.adopt(), 0)
  assert.deepEqual(await unreadBatches(rig.db), [missing])
  assert.deepEqual(await rig.reasons(), ['1 catalogue'])
})

test('another place under the name of one that was read is not taken for it', async (t) => {
  const rig = await startRig(t)
  await rig.batchAt('second')
  assert.equal(await rig.adopt(), 0)
  await rig.seeTwice()
  assert.deepEqual(await rig.reasons(), ['1 collected'])
  await rig.db
    .updateTable('location')
    .set({ marker: '0e0e0e0e-0000-4000-8000-00000000000e' })
    .where('id', '=', 'second')
    .execute()
  assert.deepEqual(await rig.reasons(), ['1 catalogue'])
})
