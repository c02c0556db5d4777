/**
 * Looking through a large library: one user with many assets in 120 months, each request by HTTP, one after
 * another. `GLASSINE_BENCH_ASSETS`: how many, 200,000 where it is not set; a million takes five minutes to
 * write.
 */
import { openStack } from './cleanup.ts'
import { cpuSecondsOf, peakRssMbOf, resetPeak } from './processes.ts'
import type { BenchRow } from './report.ts'
import { seedLibrary } from './seed-library.ts'
import { type ServerUnderTest, serverUnderTest } from './server-under-test.ts'
import { median, quantile } from './statistics.ts'

const ASSETS = Number(process.env.GLASSINE_BENCH_ASSETS ?? 200_000)
const MONTHS = 120
const WARM_UP = 3
const TIMES = 20
const JSON_HEADERS = { 'content-type': 'application/json' }

/** `atMostMs`: what 95 of 100 answers keep to. */
type Question = { name: string; atMostMs: number; path: string; body?: object; status?: number }

export async function benchBrowse(): Promise<BenchRow[]> {
  await using stack = openStack()
  const server = await serverUnderTest(stack, {})
  await seedLibrary(server.database, { assets: ASSETS, months: MONTHS }, 'demonstration')
  // What a server does by itself every few minutes is measured elsewhere.
  await server.database.query(`update job_schedule set next_at = now() + interval '1 day'`)
  const rows: BenchRow[] = []
  for (const question of await questions(server)) rows.push(await ask(server, question))
  return rows
}

export async function questions({
  database,
  client,
}: Pick<ServerUnderTest, 'database' | 'client'>): Promise<Question[]> {
  const months = await client.json<{ timeBucket: string; count: number }[]>('/timeline/buckets')
  const month = months[Math.floor(months.length / 2)]!
  const { rows } = await database.query<{ id: string; name: string }>(
    `select id, original_file_name as name from asset where local_date_time >= $1 and visibility = 'timeline'
     order by local_date_time limit 1`,
    [month.timeBucket],
  )
  const asset = rows[0]!
  const search = (body: object) => ({
    path: '/search/metadata',
    body: { size: 100, withExif: true, ...body },
  })
  const checks = Array.from({ length: 5_000 }, (_, n) => ({
    id: `${n}`,
    checksum: n.toString(16).padStart(40, '0'),
  }))
  return [
    { name: 'timeline buckets', atMostMs: 20, path: '/timeline/buckets' },
    {
      name: `one bucket of ${month.count}`,
      // Of 1,000 assets 15 ms, of 8,333 assets 60 ms.
      atMostMs: 9 + month.count * 0.006,
      path: `/timeline/bucket?timeBucket=${month.timeBucket}`,
    },
    { name: 'search by file name', atMostMs: 30, ...search({ originalFileName: asset.name.slice(4, 21) }) },
    { name: 'search by a common part of names', atMostMs: 30, ...search({ originalFileName: 'img' }) },
    { name: 'search by a name that is not there', atMostMs: 30, ...search({ originalFileName: 'holiday' }) },
    { name: 'search by camera', atMostMs: 50, ...search({ make: 'Maker 4', model: 'Model 39' }) },
    { name: 'random 100', atMostMs: 50, path: '/search/random', body: { size: 100 } },
    {
      name: 'page 200',
      atMostMs: 100,
      ...search({ size: Math.floor(ASSETS / 1_000) >= 1_000 ? 1_000 : 150, page: 200 }),
    },
    { name: 'suggestions of camera models', atMostMs: 50, path: '/search/suggestions?type=camera-model' },
    { name: 'asset statistics', atMostMs: 20, path: '/assets/statistics' },
    { name: 'server statistics', atMostMs: 100, path: '/server/statistics' },
    { name: 'storage status', atMostMs: 100, path: '/storage/status' },
    { name: 'asset info', atMostMs: 15, path: `/assets/${asset.id}` },
    { name: 'search, first page', atMostMs: 30, ...search({}) },
    {
      name: 'bulk check of 5,000',
      atMostMs: 100,
      path: '/assets/bulk-upload-check',
      body: { assets: checks },
    },
  ]
}

export async function ask(
  { client, pid }: Pick<ServerUnderTest, 'client' | 'pid'>,
  { name, atMostMs, path, body }: Question,
): Promise<BenchRow> {
  const init = body && { method: 'POST', headers: JSON_HEADERS, body: JSON.stringify(body) }
  const once = async () => {
    const response = await client.call(path, init)
    const bytes = (await response.arrayBuffer()).byteLength
    if (!response.ok) throw new Error(`${path} answered ${response.status}`)
    return bytes
  }
  let bytes = 0
  for (let time = 0; time < WARM_UP; time++) bytes = await once()
  await resetPeak(pid)
  const before = await cpuSecondsOf(pid)
  const took: number[] = []
  for (let time = 0; time < TIMES; time++) {
    const beganAt = performance.now()
    await once()
    took.push(performance.now() - beganAt)
  }
  const cpuSeconds = (await cpuSecondsOf(pid)) - before
  return {
    name: `browse: ${name}`,
    ours: quantile(took, 0.95),
    limit: null,
    ratio: null,
    target: { atMost: atMostMs },
    unit: 'ms',
    cpuSeconds,
    peakRssMb: await peakRssMbOf(pid),
    note: `p95 of ${TIMES} among ${ASSETS.toLocaleString('en')} assets; p50 ${median(took).toFixed(1)} ms, ${(bytes / 1000).toFixed(0)} kB. CPU with PostgreSQL's.`,
  }
}
