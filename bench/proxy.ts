/**
 * An original that is only in the bucket, through our server, against a bare pipe and against no server
 * between at all.
 */

import { Agent } from 'node:http'
import { openStack } from './cleanup.ts'
import { drain } from './http-client.ts'
import { startLimit } from './limit-process.ts'
import { offloadedOriginal } from './offloaded-original.ts'
import { type Cost, costOf } from './processes.ts'
import type { BenchRow } from './report.ts'
import { median, quantile, sum } from './statistics.ts'

const FILE_BYTES = 500_000_000
const ROUNDS = 5
const RANGE_BYTES = 2 ** 20
const RANGES = 300
const WARM_UP_RANGES = 50

export async function benchProxy(): Promise<BenchRow[]> {
  await using stack = openStack()
  const { server, assetId, presignedUrl: direct } = await offloadedOriginal(stack, FILE_BYTES)
  const bare = await startLimit(stack, 'bare-proxy', [direct])
  const hashing = await startLimit(stack, 'bare-proxy', [direct, 'sha256'])

  const agent = new Agent({ keepAlive: true })
  stack.defer(() => agent.destroy())
  const ours = {
    url: `${server.url}/api/assets/${assetId}/original`,
    headers: { authorization: `Bearer ${server.client.token}` },
  }
  const read = async (url: string, headers: Record<string, string> = {}) => {
    const bytes = await drain(agent, url, headers)
    const expected = headers.range ? RANGE_BYTES : FILE_BYTES
    if (bytes !== expected) throw new Error(`${url} gave ${bytes} of ${expected} bytes`)
  }

  await read(ours.url, ours.headers)
  await read(bare.url)
  await read(hashing.url)
  const oursCosts: Cost<void>[] = []
  const bareCosts: Cost<void>[] = []
  const hashingCosts: Cost<void>[] = []
  for (let round = 0; round < ROUNDS; round++) {
    oursCosts.push(await costOf(server.pid, () => read(ours.url, ours.headers), [server.databasePid]))
    bareCosts.push(await costOf(bare.pid, () => read(bare.url)))
    hashingCosts.push(await costOf(hashing.pid, () => read(hashing.url)))
  }

  const oursMs: number[] = []
  const directMs: number[] = []
  const bareMs: number[] = []
  const timed = async (into: number[], url: string, headers: Record<string, string>) => {
    const beganAt = performance.now()
    await read(url, headers)
    into.push(performance.now() - beganAt)
  }
  for (let index = -WARM_UP_RANGES; index < RANGES; index++) {
    const start = Math.floor(Math.random() * (FILE_BYTES - RANGE_BYTES))
    const range = `bytes=${start}-${start + RANGE_BYTES - 1}`
    const isWarm = index >= 0
    await timed(isWarm ? oursMs : [], ours.url, { ...ours.headers, range })
    await timed(isWarm ? directMs : [], direct, { range })
    await timed(isWarm ? bareMs : [], bare.url, { range })
  }

  const rate = (costs: readonly Cost<void>[]) => FILE_BYTES / 1e6 / median(costs.map((cost) => cost.seconds))
  const cpu = (costs: readonly Cost<void>[]) => median(costs.map((cost) => cost.cpuSeconds))
  const peakRssMb = Math.max(...oursCosts.map((cost) => cost.peakRssMb))
  return [
    {
      name: 'proxy: rate of a 500 MB original',
      ours: rate(oursCosts),
      limit: rate(hashingCosts),
      ratio: rate(oursCosts) / rate(hashingCosts),
      target: { ratioAtLeast: 0.9 },
      unit: 'MB/s',
      cpuSeconds: sum(oursCosts.map((cost) => cost.cpuSeconds)),
      peakRssMb,
      note: `Ceph -> ours -> client, ${ROUNDS} rounds in turns, medians. Limit: a node:http pipe of a presigned request with SHA-256.`,
    },
    {
      name: 'proxy: CPU of a 500 MB original',
      ours: cpu(oursCosts),
      limit: cpu(hashingCosts),
      ratio: cpu(oursCosts) / cpu(hashingCosts),
      target: { ratioAtMost: 1.2 },
      unit: 'CPU-s',
      cpuSeconds: cpu(oursCosts),
      peakRssMb,
      note: `The same rounds; PostgreSQL is not in it. Without SHA-256 the pipe takes ${cpu(bareCosts).toFixed(2)} CPU-s.`,
    },
    {
      name: 'proxy: time of a 1 MiB range',
      ours: median(oursMs),
      limit: median(directMs),
      ratio: median(oursMs) / median(directMs),
      target: { ratioAtMost: 1.3 },
      unit: 'ms',
      cpuSeconds: null,
      peakRssMb: null,
      note:
        `Medians of ${RANGES}, in turns, one at a time; p95 ${quantile(oursMs, 0.95).toFixed(1)} and ` +
        `${quantile(directMs, 0.95).toFixed(1)} ms. Limit: from Ceph directly; the bare pipe takes ${median(bareMs).toFixed(1)} ms.`,
    },
  ]
}
