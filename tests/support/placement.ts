import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Database } from '../../src/database/connect.ts'
import type { ObjectKind } from '../../src/database/schema.ts'
import { isOfUnendedUpload } from '../../src/library/direct-uploads/rows.ts'
import { type Log, silentLog } from '../../src/log.ts'
import type { BackupSettings } from '../../src/placement/backup-settings.ts'
import type { Delivery } from '../../src/placement/delivery-rules.ts'
import { loadObject } from '../../src/placement/ledger/replicas.ts'
import type { Location } from '../../src/placement/location.ts'
import { closePlacement, openPlacement } from '../../src/placement/open.ts'
import type { Placement, PlacementSettings } from '../../src/placement/placement.ts'
import type { Policy } from '../../src/placement/policy.ts'
import type { ClassPolicy } from '../../src/placement/storage-classes.ts'
import { ingestStaged } from '../../src/placement/uploads/ingest.ts'
import { stageStream } from '../../src/placement/uploads/stage.ts'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { openDiskBackend } from '../../src/storage/disk/disk.ts'
import { openMemoryBackend } from '../../src/storage/memory/memory.ts'
import type { Clock } from '../../src/storage/moment.ts'
import { faultyBackend } from './storage/faulty-backend.ts'

const KINDS: ObjectKind[] = [
  'original',
  'sidecar',
  'thumbnail',
  'preview',
  'fullsize',
  'encoded-video',
  'profile-image',
  'person-face',
  'database-backup',
  'catalogue',
]

/** Originals where it is said, everything else local. */
export function policyOf(originals: string[], others: string[] = ['local']): Policy {
  const policy: Partial<Record<ObjectKind, string[]>> = {}
  for (const kind of KINDS) policy[kind] = kind === 'original' ? originals : others
  return policy as Policy
}

export function locationOfBackend(id: string, kind: Location['kind'], backend: StorageBackend): Location {
  return {
    id,
    kind,
    label: id,
    identity: `test ${id}`,
    isDemonstration: false,
    backend,
    probe: async () => ({ at: new Date(), ok: true, latencyMs: 0, features: backend.features, findings: [] }),
  }
}

/**
 * Placement on a real database with a disk in a temporary folder and remote places in memory whose calls can
 * be made to fail.
 */
export async function testPlacement(
  db: Database,
  options: {
    remotes?: string[]
    originals?: string[]
    settings?: Partial<PlacementSettings>
    log?: Log
    extra?: Location[]
    delivery?: Delivery
    classes?: ClassPolicy
    now?: () => Date
    clock?: Clock
    backups?: BackupSettings
    /** Where backups belong; absent: local. */
    backupsAt?: string[]
    /** Where the catalogue belongs; absent: local. */
    catalogueAt?: string[]
    /** That of another placement, which goes on to own it. */
    mediaLocation?: string
  } = {},
) {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-placement-'))
  const mediaLocation = options.mediaLocation ?? join(folder, 'media')
  const disk = faultyBackend(await openDiskBackend({ root: mediaLocation, log: silentLog }))
  const remotes = new Map((options.remotes ?? ['s3']).map((id) => [id, faultyBackend(openMemoryBackend())]))
  const placement: Placement = await openPlacement({
    db,
    log: options.log ?? silentLog,
    locations: [
      locationOfBackend('local', 'disk', disk.backend),
      ...[...remotes].map(([id, remote]) => locationOfBackend(id, 'memory', remote.backend)),
      ...(options.extra ?? []),
    ],
    localId: 'local',
    mediaLocation,
    policy: {
      ...policyOf(options.originals ?? ['s3']),
      ...(options.backupsAt && { 'database-backup': options.backupsAt }),
      ...(options.catalogueAt && { catalogue: options.catalogueAt }),
    },
    isAwaited: isOfUnendedUpload,
    // Tests open placements one after another on the same places, and what they test is not the wait after a
    // start.
    settings: { removalWaitMs: 0, lateRequestMs: 0, counterDoubtMs: 0, ...options.settings },
    ...(options.delivery && { delivery: options.delivery }),
    ...(options.classes && { classes: options.classes }),
    ...(options.now && { now: options.now }),
    ...(options.clock && { clock: options.clock }),
    ...(options.backups && { backups: options.backups }),
  })
  return {
    placement,
    disk,
    remotes,
    mediaLocation,
    async close() {
      await closePlacement(placement)
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Where the object is, as `local verified`, in order. */
export async function placesOf(db: Database, objectId: string): Promise<string[]> {
  const loaded = await loadObject(db, objectId)
  return loaded!.replicas.map(({ locationId, state }) => `${locationId} ${state}`).sort()
}

/** Uploads bytes as an object that the library links to nothing but itself. */
export async function ingestBytes(
  placement: Placement,
  bytes: Buffer,
  what: { kind?: ObjectKind; ownerId?: string; keepLocalUntilProcessed?: boolean } = {},
): Promise<string> {
  const staged = await stageStream(placement, once(bytes), { maxBytes: 1e9 })
  return ingestStaged(
    placement,
    {
      kind: what.kind ?? 'original',
      ownerId: what.ownerId ?? randomUUID(),
      assetId: randomUUID(),
      contentType: 'image/jpeg',
      extension: 'jpg',
      staged,
      keepLocalUntilProcessed: what.keepLocalUntilProcessed ?? false,
    },
    async (_tx, objectId) => objectId,
  )
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}
