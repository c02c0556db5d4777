/**
 * Seeking in a large original that is only in the bucket: through our server, at the bucket itself with a
 * presigned URL, and in an `rclone mount` of the bucket, which is what people have today.
 */
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openStack } from './cleanup.ts'
import { drain } from './http-client.ts'
import { offloadedOriginal } from './offloaded-original.ts'
import { cpuSecondsOf } from './processes.ts'
import { installRclone, rcloneMount } from './rclone.ts'
import type { BenchRow } from './report.ts'
import { temporaryFolder } from './server-under-test.ts'
import { quantile } from './statistics.ts'

const FILE_BYTES = 500_000_000
const RANGE_BYTES = 2 ** 20
const RANGES = 150
const WARM_UP_RANGES = 20
/** What one leaves running (a mount reads ahead for a while) is not to be paid by the next. */
const PAUSE_MS = 50
/** Each way comes after each of the others as often. */
const ORDERS = [
  [0, 1, 2],
  [1, 0, 2],
  [2, 0, 1],
  [0, 2, 1],
  [1, 2, 0],
  [2, 1, 0],
]

export async function benchRanges(): Promise<BenchRow[]> {
  await installRclone()
  await using stack = openStack()
  const { bucket, server, assetId, key, presignedUrl } = await offloadedOriginal(stack, FILE_BYTES)
  const folder = join(await temporaryFolder(stack), 'mount')
  await mkdir(folder)
  const rclone = await rcloneMount(stack, bucket, folder)
  const mounted = await open(join(folder, key), 'r')
  stack.defer(() => mounted.close())

  const agent = new Agent({ keepAlive: true })
  stack.defer(() => agent.destroy())
  const authorization = `Bearer ${server.client.token}`
  const overHttp =
    (url: string, headers: Record<string, string> = {}) =>
    async (start: number) => {
      const range = `bytes=${start}-${start + RANGE_BYTES - 1}`
      const bytes = await drain(agent, url, { ...headers, range })
      if (bytes !== RANGE_BYTES) throw new Error(`${url} gave ${bytes} bytes`)
    }
  const ways = {
    proxied: overHttp(`${server.url}/api/assets/${assetId}/original`, { authorization }),
    presigned: overHttp(presignedUrl),
    mounted: (start: number) => readAt(mounted, start),
  }
  const entries = Object.entries(ways) as [keyof typeof ways, (at: number) => Promise<void>][]
  const inTurns = (index: number) => ORDERS[Math.abs(index) % ORDERS.length]!.map((way) => entries[way]!)
  const timesMs = { proxied: [] as number[], presigned: [] as number[], mounted: [] as number[] }
  let cpuBefore = { server: 0, rclone: 0 }
  const cpuNow = async () => ({
    server: await cpuSecondsOf(server.pid, [server.databasePid]),
    rclone: await cpuSecondsOf(rclone.pid),
  })
  for (let index = -WARM_UP_RANGES; index < RANGES; index++) {
    if (index === 0) cpuBefore = await cpuNow()
    // A place of its own for each: what one has read must not be in a cache for the next.
    for (const [name, read] of inTurns(index)) {
      const start = Math.floor(Math.random() * (FILE_BYTES - RANGE_BYTES))
      const beganAt = performance.now()
      await read(start)
      if (index >= 0) timesMs[name].push(performance.now() - beganAt)
      await sleep(PAUSE_MS)
    }
  }
  const cpuAfter = await cpuNow()
  const serverCpu = cpuAfter.server - cpuBefore.server
  const rcloneCpu = cpuAfter.rclone - cpuBefore.rclone

  const row = (
    name: string,
    ours: number[],
    share: number,
    cpuSeconds: number | null,
    note: string,
  ): BenchRow => ({
    name,
    ours: quantile(ours, share),
    limit: quantile(timesMs.mounted, share),
    ratio: quantile(ours, share) / quantile(timesMs.mounted, share),
    target: null,
    unit: 'ms',
    cpuSeconds,
    peakRssMb: null,
    note,
  })
  const note = `1 MiB at random places of a 500 MB original, ${RANGES} of each in turns. Limit: rclone mount`
  return [
    row(
      'range, proxied: p50',
      timesMs.proxied,
      0.5,
      serverCpu,
      `${note}, which took ${rcloneCpu.toFixed(2)} CPU-s.`,
    ),
    row('range, proxied: p95', timesMs.proxied, 0.95, null, note),
    row('range, presigned: p50', timesMs.presigned, 0.5, null, `${note}; our server moves no byte.`),
    row('range, presigned: p95', timesMs.presigned, 0.95, null, note),
  ]
}

async function readAt(file: FileHandle, start: number): Promise<void> {
  const { bytesRead } = await file.read(Buffer.allocUnsafe(RANGE_BYTES), 0, RANGE_BYTES, start)
  if (bytesRead !== RANGE_BYTES) throw new Error(`the mount gave ${bytesRead} bytes`)
}
