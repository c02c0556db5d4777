/**
 * A local copy for work that needs a file: the local replica where there is one, else a leased, verified
 * download.
 */
import { createHash, randomUUID } from 'node:crypto'
import { open, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { AppError } from '../../errors.ts'
import { isStorageError } from '../../storage/backend.ts'
import { readThroughCache } from '../cache/read.ts'
import { archivedError, noteArchived } from '../classes/archive.ts'
import { releaseLease, takeLease } from '../ledger/leases.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import { isObjectLive, isReadableNow, loadObject, lockObject } from '../ledger/replicas.ts'
import { locationOf } from '../locations/locations.ts'
import { makeMediaFolder } from '../locations/media-folder.ts'
import { orAborted } from '../or-aborted.ts'
import type { Placement } from '../placement.ts'
import { expectedOf, isAsExpected } from '../replica-io/expected.ts'
import { noteBadReplica } from '../replica-io/mark-bad.ts'
import { readReplica } from '../replica-io/read-replica.ts'
import { recheckReplica } from '../replica-io/recheck-replica.ts'
import { checkByReading } from '../replica-io/verify.ts'
import { cacheSource } from './cache-source.ts'
import { copyOf, dropCopy, type RecalledFile, reserveSpace, shareCopy, unshareCopy } from './recall-space.ts'

const ACTOR = 'recall'
/**
 * A local file up to this size is read and compared before work begins on it, which takes a hundredth of what
 * the work does. Work on a larger one, a film, reads parts of it: of such a file only size and time are
 * compared, as for a request for a part.
 */
const CHECKED_BYTES = 256 * 1024 ** 2
/** Longer than any single piece of work on a file; a dead holder's lease ends by itself. */
const USE_LEASE_MS = 6 * 3_600_000

/**
 * Runs `use` with the path of a file that holds exactly the object's bytes, and keeps it there as long as
 * `use` runs. The file must not be changed. Several users of one object share one copy. Throws `not-found`
 * for an unknown object, `corrupt` when no replica holds its bytes, `unavailable` when none can be reached,
 * `archived` when one must be restored first, `too-large` when it is over the recall limit. `signal` ends the
 * waiting for the file; `use` has its own.
 */
export async function withLocalFile<T>(
  placement: Placement,
  objectId: string,
  purpose: string,
  use: (path: string) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const local = await withLocalReplica(placement, objectId, purpose, use)
  if (local) return local.value
  const file = await recall(placement, objectId)
  try {
    await orAborted(file.ready, signal)
    return await use(file.path)
  } finally {
    file.users -= 1
    file.lastUsedAt = Date.now()
    if (file.users === 0 && file.filling !== null) {
      // Nobody waits for it any more. A caller that comes now begins anew.
      unshareCopy(placement, objectId, file)
      file.filling.abort(new AppError('unavailable', 'nobody waits for the local copy any more'))
    }
  }
}

/** Null where there is no local replica, or not with the right bytes. */
async function withLocalReplica<T>(
  placement: Placement,
  objectId: string,
  purpose: string,
  use: (path: string) => Promise<T>,
): Promise<{ value: T } | null> {
  const leased = await leaseLocalReplica(placement, objectId, purpose)
  if (!leased) return null
  try {
    if (!(await isIntact(placement, leased.object, leased.replica))) return null
    return { value: await use(leased.path) }
  } catch (error) {
    await requireThere(placement, leased.replica)
    throw error
  } finally {
    await releaseLease(placement, objectId, leased.leaseId)
  }
}

/** A copy that is found wrong at two looks is suspect from then on. */
async function isIntact(placement: Placement, object: StoredObject, replica: Replica): Promise<boolean> {
  const isSeenRight =
    object.size <= CHECKED_BYTES
      ? (await checkByReading(placement, object, replica)).answer === 'same'
      : await isUntouched(placement, object, replica)
  return isSeenRight || (await recheckReplica(placement, object, replica, ACTOR)).answer === 'same'
}

async function isUntouched(
  placement: Pick<Placement, 'local'>,
  object: StoredObject,
  replica: Replica,
): Promise<boolean> {
  const held = await placement.local.backend.head(replica.key)
  return held !== null && isAsExpected(held, expectedOf(placement.local, object, replica, false))
}

/**
 * A decoder takes a file that is not there for a broken one: then the place is to blame, and trying again
 * later helps. Only a purge takes a leased file away, by the user's decision: then there is no such object
 * any more.
 */
async function requireThere(placement: Placement, replica: Replica): Promise<void> {
  if ((await placement.local.backend.head(replica.key)) !== null) return
  const loaded = await loadObject(placement.db, replica.objectId)
  if (loaded?.object.state !== 'live')
    throw new AppError('not-found', `there is no object ${replica.objectId} any more`)
  await noteBadReplica(placement, replica, { reason: 'nothing is held under the key', actor: ACTOR })
  throw new AppError('unavailable', `the local file of object ${replica.objectId} is missing`)
}

async function leaseLocalReplica(
  placement: Pick<Placement, 'local' | 'db'>,
  objectId: string,
  purpose: string,
) {
  const files = placement.local.backend.localFiles
  if (!files) return null
  return placement.db.transaction().execute(async (tx) => {
    const loaded = await lockObject(tx, objectId)
    if (!loaded) throw new AppError('not-found', `there is no object ${objectId}`)
    const local = loaded.replicas.find(
      (replica) => replica.locationId === placement.local.id && replica.state === 'verified',
    )
    if (!local) return null
    return {
      object: loaded.object,
      replica: local,
      path: files.path(local.key),
      leaseId: await takeLease(tx, objectId, purpose, USE_LEASE_MS),
    }
  })
}

/** The recalled copy of an object, counted as used; downloads it unless somebody already did or does. */
async function recall(placement: Placement, objectId: string): Promise<RecalledFile> {
  const known = copyOf(placement, objectId)
  if (known) {
    known.users += 1
    return known
  }
  const loaded = await loadObject(placement.db, objectId)
  if (!loaded) throw new AppError('not-found', `there is no object ${objectId}`)
  const { object, replicas } = loaded
  if (object.size > placement.settings.recallMaxBytes) {
    throw new AppError(
      'too-large',
      `a local copy of ${object.size} bytes is needed, the limit is ${placement.settings.recallMaxBytes}: raise storage.recall.maxBytes`,
    )
  }
  const raced = copyOf(placement, objectId)
  if (raced) {
    raced.users += 1
    return raced
  }
  const filling = new AbortController()
  const file: RecalledFile = { ...newCopy(placement, object), filling }
  shareCopy(placement, file)
  file.ready = fill(placement, file, object, { replicas, signal: filling.signal }).finally(() => {
    file.filling = null
  })
  // Told to whoever waits for it; when nobody does any more, it is no news to anybody.
  file.ready.catch(() => undefined)
  return file
}

/** A copy that somebody is about to make, of whom it is in use. */
export function newCopy(
  placement: Pick<Placement, 'recallFolder'>,
  { id, size }: StoredObject,
): RecalledFile {
  return {
    objectId: id,
    path: join(placement.recallFolder, `${id}.${randomUUID()}`),
    size,
    users: 1,
    lastUsedAt: Date.now(),
    ready: Promise.resolve(),
    filling: null,
  }
}

async function fill(
  placement: Placement,
  file: RecalledFile,
  object: StoredObject,
  { replicas, signal }: { replicas: readonly Replica[]; signal: AbortSignal },
): Promise<void> {
  try {
    await reserveSpace(placement, file, signal)
    await makeMediaFolder(placement, placement.recallFolder)
    await downloadFrom(placement, file, object, { replicas, signal })
  } catch (error) {
    await dropCopy(placement, file)
    throw error
  }
}

async function downloadFrom(
  placement: Placement,
  file: RecalledFile,
  object: StoredObject,
  { replicas, signal }: { replicas: readonly Replica[]; signal: AbortSignal },
): Promise<void> {
  const order = { verified: 0, suspect: 1, writing: 2, evicting: 2 }
  const readable = replicas
    .filter(({ state }) => state === 'verified' || state === 'suspect')
    .filter((replica) => isReadableNow(placement, replica))
    .sort((a, b) => order[a.state] - order[b.state])
  let failure: unknown =
    archivedError(placement, object, replicas) ??
    new AppError('corrupt', `object ${object.id} has no replica that could be read`)
  for (const replica of readable) {
    try {
      if (await download(placement, file.path, object, { replica, signal })) {
        if (await isObjectLive(placement.db, object.id)) return
        // Purged meanwhile, which may have been before this file was there.
        await rm(file.path, { force: true })
        throw new AppError('not-found', `there is no object ${object.id} any more`)
      }
      failure = (await recheckReplica(placement, object, replica, ACTOR)).error
    } catch (error) {
      signal.throwIfAborted()
      failure = error
      if (isStorageError(error, 'archived')) failure = await nowArchived(placement, object, replica)
    }
  }
  throw failure
}

/** It was archived behind the ledger's back: written down, so that nobody asks for its bytes again. */
async function nowArchived(placement: Placement, object: StoredObject, replica: Replica): Promise<unknown> {
  await noteArchived(placement, replica)
  const loaded = await loadObject(placement.db, object.id)
  return (loaded && archivedError(placement, object, loaded.replicas)) ?? archivedUnseen()
}

function archivedUnseen(): AppError {
  return new AppError('archived', 'The original is archived and must be restored before it can be opened')
}

/** True when the bytes that arrived are the object's; otherwise the file is gone again. */
async function download(
  placement: Placement,
  path: string,
  object: StoredObject,
  { replica, signal }: { replica: Replica; signal: AbortSignal },
): Promise<boolean> {
  const sha256 = createHash('sha256')
  const target = await open(path, 'w', 0o600)
  let isGood = false
  try {
    for await (const chunk of readRemote(placement, object, replica, signal)) {
      sha256.update(chunk as Buffer)
      // `write` may take less than it was given, on a full disk say.
      await target.writeFile(chunk as Buffer)
    }
    isGood = sha256.digest('hex') === object.sha256
  } finally {
    await target.close()
    if (!isGood) await rm(path, { force: true })
  }
  return isGood
}

/**
 * What the cache has, or is fetching, is not fetched again; but work goes through whole libraries, so it
 * brings nothing in that would push out what people look at.
 */
function readRemote(
  placement: Placement,
  object: StoredObject,
  replica: Replica,
  signal: AbortSignal,
): Readable {
  const range = { start: 0, end: object.size - 1 }
  if (placement.cache && placement.locations.get(replica.locationId)?.kind !== 'disk') {
    const source = cacheSource(placement, object, replica)
    return readThroughCache(placement.cache, source, range, { isFilling: false, signal })
  }
  return readReplica(locationOf(placement, replica.locationId), replica.key, range, signal)
}

/**
 * Removes the recalled copies of a purged object, whichever process made them. Work that has one open goes
 * on; work that opens it later fails, and is about nothing any more.
 */
export async function forgetRecalled(placement: Placement, objectId: string): Promise<void> {
  unshareCopy(placement, objectId)
  const parent = dirname(placement.recallFolder)
  for (const folder of await namesIn(parent)) {
    for (const name of await namesIn(join(parent, folder))) {
      if (name.startsWith(`${objectId}.`)) await rm(join(parent, folder, name), { force: true })
    }
  }
}

/** Of a folder that may go at any time, with the process that it belongs to. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return []
    throw error
  }
}
