/**
 * The sync stream of one user with many photos, against PostgreSQL's COPY of the columns that the lines are
 * made of.
 * Then what phones ask for most often: a sync with nothing in it, and one after some changes.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { to as copyTo } from 'pg-copy-streams'
import sharp from 'sharp'
import { cloneAssets } from '../tests/support/clone-assets.ts'
import { openStack } from './cleanup.ts'
import { type Cost, costOf } from './processes.ts'
import type { BenchRow } from './report.ts'
import { type ServerUnderTest, serverUnderTest } from './server-under-test.ts'
import { median } from './statistics.ts'

const LIBRARY = { months: 100, perMonth: 1_000 }
const ROUNDS = 5
const CHANGES = 100
const PROCESSED_LIMIT_MS = 60_000
/** What the app asks for, as far as there is anything of it. */
const TYPES =
  'AuthUsersV1 UsersV1 AssetsV2 PartnerAssetsV2 AlbumAssetsV2 AlbumsV2 AlbumUsersV1 AlbumToAssetsV1 AssetExifsV1 AlbumAssetExifsV1 UserMetadataV1'.split(
    ' ',
  )
/** What a line of AssetsV2 is made of. */
const COLUMNS = `id, owner_id, original_file_name, checksum, thumbhash, file_created_at, file_modified_at, created_at,
  local_date_time, duration_ms, type, deleted_at, is_favorite, visibility, live_photo_video_id, width, height, update_id`

type Read = { lines: number; bytes: number; tail: string }

export async function benchSync(): Promise<BenchRow[]> {
  await using stack = openStack()
  const server = await serverUnderTest(stack, {})
  const count = await fill(server)
  const photos = `${count.toLocaleString('en')} photos`

  const ours: Cost<Read>[] = []
  const bare: { seconds: number }[] = []
  await copyAssets(server)
  await read(server, ['AssetsV2'])
  for (let round = 0; round < ROUNDS; round++) {
    bare.push(await timed(() => copyAssets(server)))
    ours.push(await costOf(server.pid, () => read(server, ['AssetsV2']), [server.databasePid]))
  }
  const rate = (costs: readonly { seconds: number }[]) => count / median(costs.map(({ seconds }) => seconds))
  const first = await read(server, TYPES)
  await acknowledge(server, first)
  const nothing = await timesOf(async () => {
    ensure((await read(server, TYPES)).lines === 1, 'an empty sync')
    return undefined
  })
  const changed = await timesOf(async () => {
    await server.database.query(
      `update asset set is_favorite = not is_favorite where id in (select id from asset order by id limit ${CHANGES})`,
    )
    const beganAt = performance.now()
    const got = await read(server, TYPES)
    ensure(got.lines >= CHANGES, 'a sync after changes')
    const ms = performance.now() - beganAt
    await acknowledge(server, got)
    return ms
  })
  const peakRssMb = Math.max(...ours.map((cost) => cost.peakRssMb))
  const cpuSeconds = median(ours.map((cost) => cost.cpuSeconds))
  const told = (name: string, value: number, note: string): BenchRow => ({
    name: `sync: ${name}`,
    ours: value,
    limit: null,
    ratio: null,
    target: null,
    unit: 'ms',
    cpuSeconds: null,
    peakRssMb: null,
    note,
  })
  return [
    {
      name: `sync: lines of AssetsV2, ${photos}`,
      ours: rate(ours),
      limit: rate(bare),
      ratio: rate(ours) / rate(bare),
      target: { ratioAtLeast: 0.5 },
      unit: 'lines/s',
      cpuSeconds,
      peakRssMb,
      note: `Uncompressed, over HTTP; ${(ours[0]!.result.bytes / 1e6).toFixed(0)} MB. Limit: COPY of the same rows and columns, in the same order.`,
    },
    told('with nothing to send', median(nothing), `${photos}, all types; the whole request`),
    told(`after ${CHANGES} changes`, median(changed), `${photos}, all types; the whole request`),
  ]
}

async function fill({ client, database }: ServerUnderTest): Promise<number> {
  const picture = await sharp({ create: { width: 600, height: 400, channels: 3, background: '#886644' } })
    .jpeg()
    .toBuffer()
  const { id } = await client.upload(picture, 'photo.jpg')
  const deadline = performance.now() + PROCESSED_LIMIT_MS
  for (;;) {
    const { rowCount } = await database.query("select from asset where id = $1 and processing = 'done'", [id])
    if (rowCount === 1) break
    ensure(performance.now() < deadline, 'the processing of a photo')
    await sleep(100)
  }
  // Only of queries, which the client of a benchmark has as well.
  const count = await cloneAssets(database as never, id, LIBRARY)
  const some = await database.query<{ id: string }>('select id from asset limit 1000')
  const assetIds = some.rows.map((row) => row.id)
  await post({ client }, '/albums', { albumName: 'album', assetIds })
  await database.query('vacuum analyze')
  return count + 1
}

async function read(server: Pick<ServerUnderTest, 'client'>, types: readonly string[]): Promise<Read> {
  const response = await post(server, '/sync/stream', { types })
  let lines = 0
  let bytes = 0
  let tail = ''
  for await (const piece of response.body!) {
    const text = Buffer.from(piece as Uint8Array)
    for (let at = text.indexOf(10); at !== -1; at = text.indexOf(10, at + 1)) lines++
    bytes += text.length
    tail = (tail + text.toString('latin1')).slice(-MAX_TAIL)
  }
  return { lines, bytes, tail }
}

/** Enough for the acknowledgements of a small sync. */
const MAX_TAIL = 200_000

/** All types at the id of the last line: nothing is under way here. */
async function acknowledge(server: ServerUnderTest, { tail }: Read): Promise<void> {
  const id = /SyncCompleteV1\|([0-9a-f-]{36})"\}\n$/.exec(tail)![1]!
  const types = [
    ...[
      'AuthUserV1',
      'UserV1',
      'AssetV2',
      'AlbumAssetCreateV2',
      'AlbumAssetUpdateV2',
      'AlbumV2',
      'AlbumUserV1',
    ],
    ...[
      'AlbumToAssetV1',
      'AssetExifV1',
      'AlbumAssetExifCreateV1',
      'AlbumAssetExifUpdateV1',
      'UserMetadataV1',
    ],
  ]
  await post(server, '/sync/ack', { acks: types.map((type) => `${type}|${id}`) })
}

async function post(
  { client }: Pick<ServerUnderTest, 'client'>,
  path: string,
  body: unknown,
): Promise<Response> {
  const headers = { 'content-type': 'application/json', 'accept-encoding': 'identity' }
  const response = await client.call(path, { method: 'POST', headers, body: JSON.stringify(body) })
  ensure(response.ok, `${path}: ${response.status}`)
  return response
}

async function copyAssets({ database }: ServerUnderTest): Promise<void> {
  const copy = database.query(copyTo(`copy (select ${COLUMNS} from asset order by update_id) to stdout`))
  for await (const piece of copy) ensure(piece !== null, 'a copy')
}

async function timed(work: () => Promise<unknown>): Promise<{ seconds: number }> {
  const beganAt = performance.now()
  await work()
  return { seconds: (performance.now() - beganAt) / 1000 }
}

/** Milliseconds of each round: what `work` says, or how long it took. */
async function timesOf(work: () => Promise<number | undefined>): Promise<number[]> {
  const times: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const beganAt = performance.now()
    times.push((await work()) ?? performance.now() - beganAt)
  }
  return times
}

function ensure(holds: boolean, what: string): void {
  if (!holds) throw new Error(`not as expected: ${what}`)
}
