/**
 * A family's library for the disaster: photos with dates, albums and marks, and all that the API says of it.
 */
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import sharp from 'sharp'
import type { Client } from '../support/client.ts'

const UPLOADS_AT_ONCE = 4
const ALBUM_SIZE = 100
const DAY_MS = 86_400_000
const LOOK_INTERVAL_MS = 10_000
/** Lost pictures are looked for once a minute. */
const LOOKS_IN_VAIN = 30

/** Asset id -> SHA-256 in hex of the bytes that the API has acknowledged. */
export type Manifest = Map<string, string>
/** What the API answers, by path. */
export type Answers = Map<string, unknown>

/** Calls `act` for each, a few at a time. */
export async function forEach<T>(all: Iterable<T>, act: (one: T) => Promise<void>): Promise<void> {
  const rest = all[Symbol.iterator]()
  const work = async () => {
    for (let next = rest.next(); !next.done; next = rest.next()) await act(next.value)
  }
  await Promise.all(Array.from({ length: UPLOADS_AT_ONCE }, work))
}

/** One a day, backwards from 2026; no two have the same bytes. */
async function photo(number: number): Promise<Buffer> {
  const taken = new Date(Date.UTC(2026, 0, 1, 12) - number * DAY_MS).toISOString()
  const date = taken.slice(0, 19).replaceAll('-', ':').replace('T', ' ')
  const [r, g, b] = [number & 255, (number >> 8) & 255, (number >> 16) & 255]
  return sharp({ create: { width: 320, height: 240, channels: 3, background: { r: r!, g: g!, b: b! } } })
    .jpeg()
    .withExif({ IFD0: { Make: 'Glassine', Model: `number ${number}` }, IFD2: { DateTimeOriginal: date } })
    .toBuffer()
}

const put = (client: Client, path: string, method: string, body: unknown) =>
  client.json<{ id: string }>(path, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

/** Uploads the photos from number `from` to before `to`, in albums, some of them favourites or described. */
export async function addPhotos(
  client: Client,
  { from, to }: { from: number; to: number },
  manifest: Manifest,
  onProgress: (done: number) => void,
): Promise<void> {
  const ids: string[] = []
  let done = 0
  await forEach(
    Array.from({ length: to - from }, (_, index) => from + index),
    async (number) => {
      const bytes = await photo(number)
      const { id, status } = await client.upload(bytes, `photo ${number}.jpg`)
      if (status !== 'created') throw new Error(`photo ${number} was answered as ${status}`)
      manifest.set(id, createHash('sha256').update(bytes).digest('hex'))
      ids.push(id)
      if (number % 7 === 0)
        await put(client, `/assets/${id}`, 'PUT', { isFavorite: true, description: `The day ${number}` })
      done += 1
      onProgress(done)
    },
  )
  for (let at = 0; at < ids.length; at += ALBUM_SIZE)
    await put(client, '/albums', 'POST', {
      albumName: `Album from ${from + at}`,
      assetIds: ids.slice(at, at + ALBUM_SIZE),
    })
}

/** Every answer that tells of the photos: each by itself, the albums, the months, the numbers. */
export async function readAnswers(client: Client, manifest: Manifest): Promise<Answers> {
  const answers: Answers = new Map()
  const read = async (path: string) => {
    const answer = await client.json<unknown>(path)
    answers.set(path, answer)
    return answer
  }
  await forEach(manifest.keys(), async (id) => void (await read(`/assets/${id}`)))
  for (const { id } of (await read('/albums')) as { id: string }[]) await read(`/albums/${id}`)
  const months = (await read('/timeline/buckets')) as { timeBucket: string }[]
  for (const { timeBucket } of months) await read(`/timeline/bucket?timeBucket=${timeBucket}`)
  for (const path of ['/assets/statistics', '/users/me']) await read(path)
  return answers
}

/** Ids of the photos whose original does not come, or comes with other bytes. */
export async function findWrongOriginals(client: Client, manifest: Manifest): Promise<string[]> {
  const wrong: string[] = []
  await forEach(manifest, async ([id, sha256]) => {
    const held = await client.sha256OfOriginal(id).catch((error: Error) => error.message)
    if (held !== sha256) wrong.push(`${id}: ${held}`)
  })
  return wrong
}

/**
 * Waits until every photo has its thumbnail, which a lost disk takes with it, for as long as more of them
 * come. @returns the ids of those that have none
 */
export async function untilShown(client: Client, manifest: Manifest): Promise<string[]> {
  let dark = [...manifest.keys()]
  let unchangedFor = 0
  while (dark.length > 0 && unchangedFor < LOOKS_IN_VAIN) {
    const still: string[] = []
    await forEach(dark, async (id) => {
      const answer = await client.call(`/assets/${id}/thumbnail`)
      const bytes = (await answer.arrayBuffer()).byteLength
      if (!answer.ok || bytes === 0) still.push(id)
    })
    unchangedFor = still.length < dark.length ? 0 : unchangedFor + 1
    dark = still
    if (dark.length > 0) await sleep(LOOK_INTERVAL_MS)
  }
  return dark
}

/**
 * Where two answers differ, as `path field: before -> after`, in the order of paths. When a row was written
 * last is not what the answer tells of a photo.
 */
export function differencesOf(before: Answers, after: Answers): string[] {
  const differences: string[] = []
  const compare = (name: string, one: unknown, other: unknown): void => {
    if (
      /\.(updatedAt|lastModifiedAssetTimestamp)$/.test(name) ||
      JSON.stringify(one) === JSON.stringify(other)
    )
      return
    const areObjects = [one, other].every((value) => typeof value === 'object' && value !== null)
    if (!areObjects) {
      differences.push(`${name}: ${JSON.stringify(one)} -> ${JSON.stringify(other)}`)
      return
    }
    const fields = new Set([...Object.keys(one as object), ...Object.keys(other as object)])
    for (const field of fields)
      compare(
        `${name}.${field}`,
        (one as Record<string, unknown>)[field],
        (other as Record<string, unknown>)[field],
      )
  }
  for (const path of new Set([...before.keys(), ...after.keys()]))
    compare(path, before.get(path), after.get(path))
  return differences
}
