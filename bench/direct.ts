/**
 * Direct uploads of many small photos, asked for, put into Ceph by the client, and confirmed, against the
 * same files through the server. Both are what an upload costs alone: proofs, previews and offloads wait.
 */
import { createHash } from 'node:crypto'
import type { Agent, OutgoingHttpHeaders } from 'node:http'
import { startBucket } from './bucket.ts'
import { openStack } from './cleanup.ts'
import { asForm, fileMaker, inParallel, post, send } from './http-client.ts'
import { bytesMovedBy, type Cost, costOf } from './processes.ts'
import type { BenchRow } from './report.ts'
import { pauseQueues, probeLocations, type ServerUnderTest, serverUnderTest } from './server-under-test.ts'
import { median, sum } from './statistics.ts'

const FILE_BYTES = 300_000
const FILES_PER_ROUND = 400
const PARALLEL = 8
const ROUNDS = 3
/** Until then V8 still compiles, which is no cost of an upload; each is several short requests. */
const WARM_UP_FILES = 1_500
/** Every job waits that an upload enqueues. */
const OTHER_WORK = ['processing', 'videoConversion', 'replication', 'eviction', 'maintenance']
/**
 * What asking, signing, confirming and PostgreSQL may move for an asset; a photo is more than ten times as
 * much.
 */
const TALK_BYTES = 25_000

export async function benchDirect(): Promise<BenchRow[]> {
  await using stack = openStack()
  const bucket = await startBucket(stack)
  const server = await serverUnderTest(stack, { storage: { default: 's3', s3: bucket.settings } })
  await probeLocations(server)
  await pauseQueues(server.database, OTHER_WORK)

  const makeFile = fileMaker(FILE_BYTES)
  const direct = (count: number): Promise<unknown> =>
    inParallel(count, PARALLEL, (index, agent) => uploadDirectly(server, agent, `${index}.jpg`, makeFile()))
  const through = (count: number): Promise<unknown> =>
    inParallel(count, PARALLEL, (index, agent) => {
      const form = asForm(`${index}.jpg`, makeFile(), FILE_BYTES)
      return post(agent, `${server.url}/api/assets`, {
        ...form,
        headers: { ...form.headers, ...credentialsOf(server) },
      })
    })
  await direct(WARM_UP_FILES)
  await through(WARM_UP_FILES)

  const costs: Record<'direct' | 'through', Cost<unknown>[]> = { direct: [], through: [] }
  const moved = { direct: 0, through: 0 }
  for (let round = 0; round < ROUNDS; round++) {
    for (const [way, upload] of [
      ['direct', direct],
      ['through', through],
    ] as const) {
      const before = await bytesMovedBy(server.pid)
      costs[way].push(await costOf(server.pid, () => upload(FILES_PER_ROUND), [server.databasePid]))
      moved[way] += (await bytesMovedBy(server.pid)) - before
    }
  }

  const files = ROUNDS * FILES_PER_ROUND
  const perAsset = { direct: moved.direct / files, through: moved.through / files }
  if (perAsset.through < FILE_BYTES)
    throw new Error(`the count misses what the server moves: ${perAsset.through} bytes for each asset`)
  if (perAsset.direct > TALK_BYTES)
    throw new Error(`media went through the server: ${perAsset.direct} bytes for each direct upload`)
  const cpuMs = (values: readonly Cost<unknown>[]) =>
    (median(values.map(({ cpuSeconds }) => cpuSeconds)) / FILES_PER_ROUND) * 1000
  const ours = cpuMs(costs.direct)
  const limit = cpuMs(costs.through)
  return [
    {
      name: 'direct: server CPU per asset',
      ours,
      limit,
      ratio: ours / limit,
      target: { atMost: 3 },
      unit: 'CPU-ms',
      cpuSeconds: sum(costs.direct.map(({ cpuSeconds }) => cpuSeconds)),
      peakRssMb: Math.max(...costs.direct.map(({ peakRssMb }) => peakRssMb)),
      note:
        `${FILES_PER_ROUND} files of 300 kB, ${PARALLEL} in parallel, ${ROUNDS} rounds in turns, medians; asked, put into Ceph, ` +
        'confirmed. Limit: the same through the server. Proof and processing wait.',
    },
    {
      name: 'direct: bytes the server moved per asset',
      ours: perAsset.direct / 1000,
      limit: perAsset.through / 1000,
      ratio: perAsset.direct / perAsset.through,
      target: { atMost: TALK_BYTES / 1000 },
      unit: 'kB',
      cpuSeconds: null,
      peakRssMb: null,
      note: 'Read and written by the server, sockets, database and files together. Limit: the same through the server.',
    },
  ]
}

type Asked = { id: string; put: { url: string; headers: OutgoingHttpHeaders } }

/** As docs/direct-upload.md says. */
async function uploadDirectly(
  server: ServerUnderTest,
  agent: Agent,
  fileName: string,
  chunks: readonly Buffer[],
): Promise<void> {
  const digests = { sha1: createHash('sha1'), sha256: createHash('sha256'), md5: createHash('md5') }
  for (const hash of Object.values(digests)) for (const chunk of chunks) hash.update(chunk)
  const now = new Date().toISOString()
  const announcement = {
    fileName,
    size: FILE_BYTES,
    sha1: digests.sha1.digest('hex'),
    sha256: digests.sha256.digest('hex'),
    md5: digests.md5.digest('hex'),
    fileCreatedAt: now,
    fileModifiedAt: now,
  }
  const uploads = `${server.url}/api/storage/uploads`
  const body = Buffer.from(JSON.stringify(announcement))
  const headers = {
    ...credentialsOf(server),
    'content-type': 'application/json',
    'content-length': body.length,
  }
  const asked = JSON.parse(await post(agent, uploads, { headers, chunks: [body] })) as Asked
  await send(agent, 'PUT', asked.put.url, { headers: asked.put.headers, chunks }, 200)
  await send(
    agent,
    'POST',
    `${uploads}/${asked.id}/confirm`,
    { headers: credentialsOf(server), chunks: [] },
    200,
  )
}

function credentialsOf(server: ServerUnderTest): { authorization: string } {
  return { authorization: `Bearer ${server.client.token}` }
}
