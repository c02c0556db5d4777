/** Bytes for the scenarios, made in the process of the matrix. */
import { randomBytes } from 'node:crypto'
import { chmod, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import { loadObject } from '../../../../src/placement/ledger/replicas.ts'
import { ingestBytes } from '../../../support/placement.ts'
import type { Around } from '../scenario.ts'
import { BUCKET, type Site } from '../site.ts'
import { workOffWell } from '../work-off.ts'
import { sha256Of } from './uploading.ts'

/** Put in one piece. */
export const SMALL_BYTES = 100 * 1024
/** In three parts: two whole ones of 5 MiB and a rest. */
export const LARGE_BYTES = 11 * 1024 * 1024

/** A picture that nobody has sent before, of `bytes` where it is to be large. Returns its path. */
export async function photoFile(folder: string, name = 'incoming.jpg', bytes = 0): Promise<string> {
  // Not in the process that is killed, which would load it for nothing.
  const { default: sharp } = await import('sharp')
  const noise = randomBytes(32 * 24 * 3)
  const picture = await sharp(noise, { raw: { width: 32, height: 24, channels: 3 } })
    .jpeg()
    .toBuffer()
  const path = join(folder, name)
  // What follows its end is no part of a picture, and does not hurt.
  await writeFile(path, Buffer.concat([picture, randomBytes(Math.max(0, bytes - picture.length))]))
  return path
}

/** An object on the disk that the ledger wants to have in the bucket, which is noted as acknowledged. */
export async function acknowledgedObject(
  { site, manifest }: Around,
  bytes: number,
): Promise<{ id: string; bytes: Buffer }> {
  const content = randomBytes(bytes)
  const id = await ingestBytes(site.placement, content, { ownerId: site.setup.actor.userId })
  // Its asset is not what is tested.
  await sql`update stored_object set is_linked = true where id = ${id}`.execute(site.db)
  manifest.note({ what: 'object', id, sha256: sha256Of(content) })
  return { id, bytes: content }
}

/** Everything goes where it belongs. */
export async function settle({ site, mediaTools }: Around): Promise<void> {
  await workOffWell(site, mediaTools, { isTimeOver: true })
}

export async function keyAt({ db }: Site, objectId: string, locationId = BUCKET): Promise<string> {
  const replica = (await loadObject(db, objectId))?.replicas.find((one) => one.locationId === locationId)
  if (!replica) throw new Error(`${objectId} has no replica at ${locationId}`)
  return replica.key
}

/** One other byte, with the same size and time, as a disk that rots gives it. */
export async function rotOnDisk(site: Site, objectId: string): Promise<void> {
  const path = join(site.mediaLocation, await keyAt(site, objectId, 'local'))
  const { atime, mtime } = await stat(path)
  const bytes = await readFile(path)
  bytes[bytes.length >> 1]! ^= 1
  await chmod(path, 0o600)
  await writeFile(path, bytes)
  await utimes(path, atime, mtime)
}
