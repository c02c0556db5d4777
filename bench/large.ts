/**
 * One very large film, in and out: does memory grow with it? In by s3-first, which needs most of it (parts in
 * flight, three digests), out through the server and in an archive. Measured beside a film of a tenth, in the
 * same server.
 */
import { Agent } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { startBucket } from './bucket.ts'
import { openStack } from './cleanup.ts'
import { asForm, drain, fileMaker, post } from './http-client.ts'
import { waitUntilOffloaded } from './offload.ts'
import { type Cost, costOf, rssMbOf } from './processes.ts'
import type { BenchRow } from './report.ts'
import { pauseQueues, probeLocations, type ServerUnderTest, serverUnderTest } from './server-under-test.ts'

const LARGE_BYTES = 20_000_000_000
const SMALLER_BYTES = LARGE_BYTES / 10
const PIECE_BYTES = 1_000_000
/** Of Ceph's disk, a sparse file: both films, and what it keeps of them for itself. */
const DISK = '30G'
const SETTLE_MS = 3_000

type Way = 'in' | 'out' | 'archive'

export async function benchLarge(): Promise<BenchRow[]> {
  await using stack = openStack()
  const bucket = await startBucket(stack, { disk: DISK })
  const server = await serverUnderTest(stack, {
    storage: { default: 's3', s3: bucket.settings, upload: { strategy: 's3-first' } },
  })
  await probeLocations(server)
  await pauseQueues(server.database, ['videoConversion', 'maintenance'])
  await sleep(SETTLE_MS)
  const idleMb = await rssMbOf(server.pid)
  const smaller = await inAndOut(server, SMALLER_BYTES)
  const large = await inAndOut(server, LARGE_BYTES)

  const row = (way: Way, name: string, atMost: number): BenchRow => ({
    name: `large: memory over idle, 20 GB ${name}`,
    ours: large[way].peakRssMb - idleMb,
    limit: smaller[way].peakRssMb - idleMb,
    ratio: (large[way].peakRssMb - idleMb) / (smaller[way].peakRssMb - idleMb),
    target: { atMost },
    unit: 'MB',
    cpuSeconds: large[way].cpuSeconds,
    peakRssMb: large[way].peakRssMb,
    note:
      `${(LARGE_BYTES / 1e6 / large[way].seconds).toFixed(0)} MB/s, Ceph and the client on the same cores. Limit: 2 GB ` +
      `in the same server, right before; idle were ${idleMb.toFixed(0)} MB.`,
  })
  return [row('in', 'in, s3-first', 200), row('out', 'out', 100), row('archive', 'in an archive', 100)]
}

async function inAndOut(server: ServerUnderTest, size: number): Promise<Record<Way, Cost<unknown>>> {
  await using stack = openStack()
  const agent = new Agent({ keepAlive: true })
  stack.defer(() => agent.destroy())
  const headers = { authorization: `Bearer ${server.client.token}` }
  const measured = (work: () => Promise<unknown>) => costOf(server.pid, work, [server.databasePid])

  const piece = fileMaker(PIECE_BYTES)
  function* film(): Generator<Buffer> {
    for (let sent = 0; sent < size; sent += PIECE_BYTES) yield* piece()
  }
  let id = ''
  const put = await measured(async () => {
    const form = asForm(`${size}.mp4`, film(), size)
    const answer = await post(agent, `${server.url}/api/assets`, {
      ...form,
      headers: { ...form.headers, ...headers },
    })
    id = (JSON.parse(answer) as { id: string }).id
  })
  // What is read below is to come from the bucket; the local copy goes when processing has found out that it
  // is no film.
  await waitUntilOffloaded(server.database)
  const out = await measured(async () => {
    const bytes = await drain(agent, `${server.url}/api/assets/${id}/original`, headers)
    if (bytes !== size) throw new Error(`${bytes} of ${size} bytes came out`)
  })
  const archive = await measured(async () => {
    const bytes = await drain(agent, `${server.url}/api/download/archive`, headers, { assetIds: [id] })
    if (bytes <= size) throw new Error(`${bytes} bytes came out for one of ${size}`)
  })
  return { in: put, out, archive }
}
