/** Replicas move: into the bucket and away from the disk, into another storage class, and to their end. */
import { sql } from 'kysely'
import { deleteAssets } from '../../../../src/library/assets/trash.ts'
import { sweepClasses } from '../../../../src/placement/classes/sweep-classes.ts'
import { sweepPlacement } from '../../../../src/placement/maintenance/sweep.ts'
import type { Manifest } from '../manifest.ts'
import type { Around, Scenario } from '../scenario.ts'
import { openSite, type Site } from '../site.ts'
import { workOffWell } from '../work-off.ts'
import { acknowledgedObject, keyAt, LARGE_BYTES, photoFile, SMALL_BYTES, settle } from './files.ts'
import { uploadFile } from './uploading.ts'

const MONTH_MS = 31 * 24 * 3_600_000
const CLASSES = {
  original: { class: 'STANDARD', rules: [{ olderThanDays: 30, class: 'STANDARD_IA' }] },
}

function offload(name: string, bytes: number): Scenario {
  return {
    name,
    role: 'worker',
    async prepare(around) {
      await acknowledgedObject(around, bytes)
      return {}
    },
    async run(site, { mediaTools }) {
      await workOffWell(site, mediaTools, { names: ['replicate-object', 'evict-replica'] })
    },
  }
}

/** An eviction that a kill has cut before is taken up again; `isLost`: what stood for the bytes is gone. */
function resumedEviction(name: string, isLost: boolean): Scenario {
  return {
    name,
    role: 'worker',
    async prepare(around) {
      const { site, bucket, mediaTools } = around
      const { id } = await acknowledgedObject(around, SMALL_BYTES)
      await workOffWell(site, mediaTools, { names: ['replicate-object'] })
      await sql`update replica set state = 'evicting', removal = 'other-copy',
        lease_expires_at = now() - interval '1 minute'
        where object_id = ${id} and location_id = 'local'`.execute(site.db)
      if (isLost) await bucket.stored.vanish(await keyAt(site, id))
      return {}
    },
    async run(site, { mediaTools }) {
      await sweepPlacement(site.placement)
      await workOffWell(site, mediaTools, { names: ['evict-replica', 'replicate-object'], isTimeOver: true })
    },
  }
}

function classChange(name: string, bytes: number): Scenario {
  return {
    name,
    role: 'worker',
    options: { classes: CLASSES, aheadMs: MONTH_MS },
    async prepare(around) {
      // A month ago: now it would be put into the class of its age at once.
      const { setup } = around.site
      const site = await openSite({ ...setup, options: { ...setup.options, aheadMs: 0 } })
      await acknowledgedObject({ ...around, site }, bytes)
      await workOffWell(site, around.mediaTools, { names: ['replicate-object', 'evict-replica'] })
      await site.close()
      return {}
    },
    async run(site, { mediaTools }) {
      await sweepClasses(site.placement)
      await workOffWell(site, mediaTools, { names: ['change-class'] })
      // The day on which the bytes of the old class go.
      await sql`update class_change set clear_after = now() - interval '1 second'
        where doomed_key is not null`.execute(site.db)
      await sweepPlacement(site.placement)
    },
  }
}

/** Anna, who is the actor, and Bert keep a photo of the same bytes, each their own object. */
async function prepareTwins(around: Around): Promise<{ annas: string }> {
  const { site, manifest } = around
  const { actor, folder } = site.setup
  const path = await photoFile(folder)
  const { id: annas, sha256 } = await uploadFile(site, path)
  const { id: bert } = await site.db
    .selectFrom('app_user')
    .select('id')
    .where('id', '<>', actor.userId)
    .executeTakeFirstOrThrow()
  const { id: berts } = await uploadFile(site, path, { actor: { ...actor, userId: bert } })
  for (const id of [annas, berts]) manifest.note({ what: 'asset', id, sha256 })
  await settle(around)
  return { annas }
}

/** Notes that it goes, has it deleted, and notes the answer. */
async function deleteAndNote(
  { db }: Site,
  manifest: Manifest,
  assetId: string,
  deleteIt: () => Promise<unknown>,
): Promise<void> {
  const { objectId } = await db
    .selectFrom('asset')
    .select('original_object_id as objectId')
    .where('id', '=', assetId)
    .executeTakeFirstOrThrow()
  manifest.note({ what: 'deleting', id: assetId })
  await deleteIt()
  manifest.note({ what: 'deleted', id: assetId, objectId })
}

/** An asset goes, for good. */
const purge: Scenario = {
  name: 'purge',
  role: 'worker',
  prepare: prepareTwins,
  async run(site, { given, manifest, mediaTools }) {
    const annas = given.annas!
    await deleteAndNote(site, manifest, annas, () =>
      deleteAssets(site.db, site.setup.actor, [annas], { force: true }),
    )
    await workOffWell(site, mediaTools, { names: ['purge-object'] })
  },
}

export const MOVES: Scenario[] = [
  offload('offload', SMALL_BYTES),
  offload('offload-in-parts', LARGE_BYTES),
  resumedEviction('evict-resumed', false),
  resumedEviction('evict-resumed-alone', true),
  classChange('class-change', 200 * 1024),
  classChange('class-change-in-parts', LARGE_BYTES),
  purge,
]
