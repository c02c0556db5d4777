/**
 * Uploads against a bare node:http server that writes the body to a file and hashes it. Ours also takes a
 * multipart form apart, checks who sends it, and commits the asset, its object, its replica and its jobs to
 * PostgreSQL.
 */

import { mkdir } from 'node:fs/promises'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openStack } from './cleanup.ts'
import { asForm, fileMaker, inParallel, post, type Sendable } from './http-client.ts'
import { startLimit } from './limit-process.ts'
import { type Cost, costOf, cpuSecondsOf, rssMbOf } from './processes.ts'
import type { BenchRow } from './report.ts'
import { pauseQueues, type ServerUnderTest, serverUnderTest, temporaryFolder } from './server-under-test.ts'
import { median, sum } from './statistics.ts'

const FILE_BYTES = 3_500_000
const PARALLEL = 8
const FILES_PER_ROUND = Math.round(2 ** 30 / FILE_BYTES)
const ROUND_GIB = (FILES_PER_ROUND * FILE_BYTES) / 2 ** 30
const ROUNDS = 3
/** As many as a round: until then V8 still compiles, which is no cost of an upload. */
const WARM_UP_FILES = FILES_PER_ROUND
const BIG_FILE_BYTES = 2 * 2 ** 30
/** After the start and the login, so that idle is idle. */
const SETTLE_MS = 3_000
/** Nothing but the upload: the jobs that it enqueues wait. */
const OTHER_WORK = ['processing', 'videoConversion', 'replication', 'eviction', 'maintenance']

export async function benchUpload(): Promise<BenchRow[]> {
  return [...(await benchManyUploads()), await benchBigUpload()]
}

async function benchManyUploads(): Promise<BenchRow[]> {
  await using stack = openStack()
  const server = await serverUnderTest(stack, {})
  await pauseQueues(server.database, OTHER_WORK)
  const folder = await temporaryFolder(stack)
  await mkdir(join(folder, 'synced'))
  await mkdir(join(folder, 'unsynced'))
  const bare = await startLimit(stack, 'bare-upload', [join(folder, 'synced'), 'fsync'])
  const unsynced = await startLimit(stack, 'bare-upload', [join(folder, 'unsynced'), 'no-fsync'])

  const makeFile = fileMaker(FILE_BYTES)
  const raw = (): Sendable => ({ headers: { 'content-length': FILE_BYTES }, chunks: makeFile() })
  const toBare = (url: string) => (count: number) =>
    inParallel(count, PARALLEL, (_index, agent) => post(agent, url, raw()))
  const toOurs = (count: number) =>
    inParallel(count, PARALLEL, (index, agent) =>
      uploadTo(server, agent, asForm(`${index}.jpg`, makeFile(), FILE_BYTES)),
    )
  await toOurs(WARM_UP_FILES)
  await toBare(bare.url)(WARM_UP_FILES)
  await toBare(unsynced.url)(WARM_UP_FILES)

  const costs: Record<'ours' | 'bare' | 'unsynced', Cost<unknown>[]> = { ours: [], bare: [], unsynced: [] }
  const databaseCpu: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    costs.bare.push(await costOf(bare.pid, () => toBare(bare.url)(FILES_PER_ROUND)))
    const before = await cpuSecondsOf(server.databasePid)
    costs.ours.push(await costOf(server.pid, () => toOurs(FILES_PER_ROUND), [server.databasePid]))
    databaseCpu.push((await cpuSecondsOf(server.databasePid)) - before)
    costs.unsynced.push(await costOf(unsynced.pid, () => toBare(unsynced.url)(FILES_PER_ROUND)))
  }

  const perGib = (values: readonly { cpuSeconds: number }[]) =>
    median(values.map((cost) => cost.cpuSeconds)) / ROUND_GIB
  const seconds = (values: readonly { seconds: number }[]) => median(values.map((cost) => cost.seconds))
  const database = median(databaseCpu) / ROUND_GIB
  const ours = perGib(costs.ours)
  const limit = perGib(costs.bare)
  return [
    {
      name: 'upload: server CPU per GiB',
      ours,
      limit,
      ratio: ours / limit,
      target: { ratioAtMost: 1.5 },
      unit: 'CPU-s/GiB',
      cpuSeconds: sum(costs.ours.map((cost) => cost.cpuSeconds)),
      peakRssMb: Math.max(...costs.ours.map((cost) => cost.peakRssMb)),
      note:
        `${FILES_PER_ROUND} files of 3.5 MB, ${PARALLEL} in parallel, ${ROUNDS} rounds in turns, medians. Limit: bare node:http, ` +
        `SHA-1, SHA-256, file, fsync (without fsync ${perGib(costs.unsynced).toFixed(2)}). PostgreSQL, not in ours: ` +
        `${database.toFixed(2)}; with it ${((ours + database) / limit).toFixed(2)} x.`,
    },
    {
      name: 'upload: rate',
      ours: (ROUND_GIB * 1073.741824) / seconds(costs.ours),
      limit: (ROUND_GIB * 1073.741824) / seconds(costs.bare),
      ratio: seconds(costs.bare) / seconds(costs.ours),
      target: null,
      unit: 'MB/s',
      cpuSeconds: null,
      peakRssMb: null,
      note: 'The same rounds; client, server and PostgreSQL share the cores.',
    },
  ]
}

async function benchBigUpload(): Promise<BenchRow> {
  await using stack = openStack()
  const server = await serverUnderTest(stack, {})
  await pauseQueues(server.database, OTHER_WORK)
  const agent = new Agent({ keepAlive: true })
  stack.defer(() => agent.destroy())
  await sleep(SETTLE_MS)
  const idleMb = await rssMbOf(server.pid)
  const megabyte = fileMaker(2 ** 20)
  function* file(): Generator<Buffer> {
    for (let sent = 0; sent < BIG_FILE_BYTES; sent += 2 ** 20) yield* megabyte()
  }
  const cost = await costOf(server.pid, () =>
    uploadTo(server, agent, asForm('big.mp4', file(), BIG_FILE_BYTES)),
  )
  return {
    name: 'upload: memory over idle, 2 GiB file',
    ours: cost.peakRssMb - idleMb,
    limit: null,
    ratio: null,
    target: { atMost: 60 },
    unit: 'MB',
    cpuSeconds: cost.cpuSeconds,
    peakRssMb: cost.peakRssMb,
    note: `Peak resident memory as the kernel saw it, less the ${idleMb.toFixed(0)} MB of the server that had just started.`,
  }
}

function uploadTo(server: ServerUnderTest, agent: Agent, form: Sendable): Promise<string> {
  const headers = { ...form.headers, authorization: `Bearer ${server.client.token}` }
  return post(agent, `${server.url}/api/assets`, { ...form, headers })
}
