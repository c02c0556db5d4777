/** What people, jobs and the world do in a history. Each answers what it did, in words. */
import assert from 'node:assert/strict'
import sharp from 'sharp'
import { checkListing } from '../../src/placement/listing/check-listing.ts'
import { scrubLocation } from '../../src/placement/scrub/scrub-location.ts'
import { ask, confirm, send, show, type Upload } from '../support/http/direct-upload.ts'
import { rightCopies } from './invariants.ts'
import { acknowledge, count, type Model, type Photo } from './model.ts'
import type { Random } from './random.ts'
import { isExpected, type World } from './world.ts'

export type Step = (world: World, model: Model, random: Random) => Promise<string>

const small = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#888' } })
  .jpeg()
  .toBuffer()

/** A picture that decoders take, with as many other bytes behind it; large ones get into their class. */
function newPhoto(random: Random): Buffer {
  const length = random.isOne(3) ? 150_000 + random.below(5_000) : random.below(3_000)
  return Buffer.concat([small, random.bytes(16), Buffer.alloc(length, random.below(256))])
}

async function tolerate(act: () => Promise<unknown>): Promise<string> {
  try {
    await act()
    return 'done'
  } catch (error) {
    if (isExpected(error)) return (error as Error).message
    throw error
  }
}

export const upload: Step = async (world, model, random) => {
  const again = random.isOne(4) && model.refused.length > 0
  const bytes = again ? random.pick(model.refused) : newPhoto(random)
  const form = new FormData()
  form.set('fileCreatedAt', '2024-05-01T12:00:00.000Z')
  form.set('fileModifiedAt', '2024-05-01T12:00:00.000Z')
  form.set('assetData', new Blob([new Uint8Array(bytes)]), 'photo.jpg')
  const response = await world.client.call('/assets', { method: 'POST', body: form })
  const text = await response.text()
  if (!response.ok) {
    assert.ok(response.status >= 500, `an upload answered ${response.status}: ${text}`)
    model.refused.push(bytes)
    return `refused with ${response.status}`
  }
  const { id, status } = JSON.parse(text) as { id: string; status: string }
  acknowledge(model, id, bytes)
  count(model, 'uploads')
  return `${status} ${id}, ${bytes.length} bytes`
}

export const uploadDirectly: Step = async (world, model, random) => {
  const bytes = newPhoto(random)
  let begun: Upload
  try {
    begun = await ask(world.client, bytes, 'direct.jpg')
  } catch (error) {
    return (error as Error).message
  }
  if (begun.put === null) return `no single put: ${begun.state}`
  model.pending.set(begun.id, bytes)
  const status = await send(begun.put, bytes).catch((error: Error) => error.message)
  if (random.isOne(6)) return `sent (${status}), and never confirmed`
  const confirmed = await confirm(world.client, begun.id)
  count(model, 'direct uploads')
  return `sent (${status}), confirmed (${confirmed.status})`
}

/** Direct uploads that have become photos since. */
export async function notePending({ client }: World, model: Model): Promise<void> {
  for (const [id, bytes] of model.pending) {
    const { state, assetId } = await show(client, id)
    if (assetId !== null && (state === 'done' || state === 'duplicate')) acknowledge(model, assetId, bytes)
    if (state !== 'open' && state !== 'received') model.pending.delete(id)
  }
}

export const uploadAgain: Step = async (world, model, random) => {
  const photo = anyOf(model, random)
  if (!photo) return 'nothing there'
  const { bytes } = photo
  const form = new FormData()
  form.set('fileCreatedAt', '2024-05-01T12:00:00.000Z')
  form.set('fileModifiedAt', '2024-05-01T12:00:00.000Z')
  form.set('assetData', new Blob([new Uint8Array(bytes)]), 'photo.jpg')
  const response = await world.client.call('/assets', { method: 'POST', body: form })
  const text = await response.text()
  if (!response.ok) {
    assert.ok(response.status >= 500, `an upload of what is there answered ${response.status}: ${text}`)
    return `refused with ${response.status}`
  }
  const { id, status } = JSON.parse(text) as { id: string; status: string }
  assert.equal(id, photo.assetId, `the same bytes became another photo (${status})`)
  acknowledge(model, id, bytes)
  count(model, 'duplicates')
  return `${status} ${id}`
}

export const read: Step = async (world, model, random) => {
  const photo = anyOf(model, random)
  if (!photo) return 'nothing there'
  const [start, isPart] = [random.below(photo.bytes.length), random.isOne(3)]
  try {
    const response = await world.client.call(`/assets/${photo.assetId}/original`, {
      ...(isPart && { headers: { range: `bytes=${start}-` } }),
    })
    if (!response.ok) {
      await response.arrayBuffer()
      assert.ok(response.status >= 500, `a read answered ${response.status}`)
      return `answered ${response.status}`
    }
    const bytes = Buffer.from(await response.arrayBuffer())
    const expected = isPart ? photo.bytes.subarray(start) : photo.bytes
    assert.ok(bytes.equals(expected), `wrong bytes of ${photo.assetId} were read as a success`)
  } catch (error) {
    // Cut off by the server, which has found out about the bytes, or by the bucket.
    if (error instanceof TypeError) return 'cut off'
    throw error
  }
  count(model, 'reads')
  return `right bytes of ${photo.assetId}`
}

export const jobs: Step = async (world, model) => {
  const said: string[] = []
  const ran = await world.runJobs(said)
  await notePending(world, model)
  return `${ran} jobs. ${said.join('. ')}`
}

/** With the time gone by that writers, keys and classes wait for. */
export const sweep: Step = async (world, model) => {
  const { pool } = world.database
  await pool.query(
    `update replica set lease_expires_at = now() - interval '1 minute' where lease_expires_at is not null`,
  )
  await pool.query(`update key_to_clear set clear_at = now(), retry_at = null where removal is null`)
  await pool.query(`update unfinished_upload set lease_expires_at = now() - interval '1 minute'`)
  await pool.query(
    `update class_change set lease_expires_at = now() - interval '1 second',
      clear_after = least(clear_after, case when doomed_key is not null then now() - interval '1 second' end)`,
  )
  await world.run('sweep-placement')
  await world.run('sweep-library')
  count(model, 'sweeps')
  return 'swept'
}

/** Photos grow old enough for their class. */
export const changeClasses: Step = async (world, model) => {
  await world.database.pool.query(
    `update stored_object set created_at = created_at - interval '2 days' where kind = 'original' and is_linked`,
  )
  await world.run('sweep-classes')
  count(model, 'class changes')
  return 'asked for'
}

export const check: Step = (world) => tolerate(() => world.run('check-locations'))

export const list: Step = async (world, model, random) => {
  const id = random.pick(['local', 's3', 'second'])
  count(model, 'listings')
  return `${id}: ${await tolerate(() => checkListing(world.app.placement, id, { isNow: true }))}`
}

export const scrub: Step = async (world, model, random) => {
  const id = random.pick(['local', 's3', 'second'])
  count(model, 'scrubs')
  return `${id}: ${await tolerate(() => scrubLocation(world.app.placement, id, { isUnlimited: true }))}`
}

export const backUp: Step = (world) => tolerate(() => world.run('back-up-database'))

export const restart: Step = async (world, model) => {
  await world.restart()
  count(model, 'restarts')
  return 'restarted'
}

export const trash: Step = async (world, model, random) => {
  const photo = anyOf(model, random)
  if (!photo) return 'nothing there'
  const isBack = photo.isTrashed
  const response = await post(
    world,
    isBack ? 'POST' : 'DELETE',
    isBack ? '/trash/restore/assets' : '/assets',
    {
      ids: [photo.assetId],
    },
  )
  if (response.ok) photo.isTrashed = !isBack
  return `${isBack ? 'out of' : 'into'} it: ${photo.assetId} (${response.status})`
}

export const deleteForGood: Step = async (world, model, random) => {
  const photo = anyOf(model, random)
  if (!photo) return 'nothing there'
  const response = await post(world, 'DELETE', '/assets', { ids: [photo.assetId], force: true })
  if (!response.ok) return `answered ${response.status}`
  model.photos.splice(model.photos.indexOf(photo), 1)
  model.deleted.add(photo.sha256)
  count(model, 'deletions')
  return photo.assetId
}

/** The world spoils a copy behind our back, but never the last right one: no software can undo that. */
export const spoil: Step = async (world, model, random) => {
  const from = random.below(Math.max(1, model.photos.length))
  for (const photo of [...model.photos.slice(from), ...model.photos.slice(0, from)]) {
    const copies = await rightCopies(world, photo)
    const inBuckets = copies.filter(({ locationId }) => locationId !== 'local')
    if (copies.filter(({ isVerified }) => isVerified).length < 2 || inBuckets.length === 0) continue
    const { locationId, key } = random.pick(inBuckets)
    const { stored } = world.buckets.find(({ id }) => id === locationId)!.server
    const how = random.pick(['tamper', 'tamper', 'truncateStored', 'vanish'] as const)
    await stored[how](key)
    model.spoiled.add(`${locationId} ${key}`)
    count(model, 'spoiled copies')
    return `${how} of ${photo.assetId} at ${locationId}`
  }
  return 'each is the last one'
}

function post(world: World, method: string, path: string, body: unknown): Promise<Response> {
  const headers = { 'content-type': 'application/json' }
  return world.client.call(path, { method, headers, body: JSON.stringify(body) })
}

function anyOf({ photos }: Model, random: Random): Photo | null {
  return photos.length === 0 ? null : random.pick(photos)
}
