import { afterEach, beforeEach } from 'node:test'
import type { Replica } from '../../src/placement/ledger/objects.ts'
import { loadObject } from '../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../src/placement/lifecycle/replicate.ts'
import { ingestBytes, placesOf, testPlacement } from './placement.ts'
import { type TestDatabase, testDatabase } from './postgres.ts'

type Options = Parameters<typeof testPlacement>[1]

/**
 * A database and a placement for each test of a file; what this answers tells and asks those of the present
 * one.
 */
export function placementForEach(options: Options = {}) {
  let database: TestDatabase
  let rig: Awaited<ReturnType<typeof testPlacement>>
  beforeEach(async () => {
    database = await testDatabase()
    rig = await testPlacement(database.db, options)
  })
  afterEach(async () => {
    await rig.close()
    await database.drop()
  })
  const offload = async (objectId: string): Promise<void> => {
    await replicateObject(rig.placement, { objectId, to: 's3' })
    await evictReplica(rig.placement, { objectId, from: 'local' })
  }
  return {
    get db() {
      return database.db
    },
    get pool() {
      return database.pool
    },
    get databaseUrl() {
      return database.url
    },
    get placement() {
      return rig.placement
    },
    get disk() {
      return rig.disk
    },
    get mediaLocation() {
      return rig.mediaLocation
    },
    s3: () => rig.remotes.get('s3')!,
    /** As `local verified`, in order. */
    places: (objectId: string) => placesOf(database.db, objectId),
    async replicaAt(objectId: string, at: string): Promise<Replica> {
      const { replicas } = (await loadObject(database.db, objectId))!
      return replicas.find(({ locationId }) => locationId === at)!
    },
    /** From the disk into the bucket alone. */
    offload,
    /** An object of these bytes that is in the bucket alone. */
    async ingestOffloaded(bytes: Buffer, what: Parameters<typeof ingestBytes>[2] = {}): Promise<string> {
      const objectId = await ingestBytes(rig.placement, bytes, what)
      await offload(objectId)
      return objectId
    },
  }
}
