/**
 * How fast a queue of photos is worked off with as many processes as there are cores (the default) and with
 * one, and how long requests for thumbnails wait meanwhile.
 */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makePhoto } from './media.ts'
import type { BenchRow } from './report.ts'
import {
  pauseQueues,
  resumeQueues,
  type ServerUnderTest,
  serverUnderTest,
  temporaryFolder,
} from './server-under-test.ts'
import { quantile, sum } from './statistics.ts'

const QUEUE = 'processing'
const ROUNDS = 3
const PHOTOS_A_ROUND = 12
const LOOK_EVERY_MS = 20

type Measured = { seconds: number; waitsMs: number[] }

export async function benchProcessing(): Promise<BenchRow[]> {
  await using stack = new AsyncDisposableStack()
  const path = join(await temporaryFolder(stack), 'photo.jpg')
  await makePhoto(path)
  const photo = await readFile(path)
  const all = { server: await serverUnderTest(stack, {}), results: [] as Measured[] }
  const one = {
    server: await serverUnderTest(stack, { jobs: { processingConcurrency: 1 } }),
    results: [] as Measured[],
  }
  // The first loads the decoders.
  for (const { server } of [all, one]) await workOff(server, photo, 2)
  for (let round = 0; round < ROUNDS; round++) {
    for (const { server, results } of [all, one]) results.push(await workOff(server, photo, PHOTOS_A_ROUND))
  }
  const rate = ({ results }: typeof all) =>
    (ROUNDS * PHOTOS_A_ROUND) / sum(results.map(({ seconds }) => seconds))
  const wait = ({ results }: typeof all) =>
    quantile(
      results.flatMap(({ waitsMs }) => waitsMs),
      0.95,
    )
  const common = { target: null, cpuSeconds: null, peakRssMb: null }
  return [
    {
      ...common,
      name: 'processing: photos of 12 MP a second',
      ours: rate(all),
      limit: rate(one),
      ratio: rate(all) / rate(one),
      unit: '/s',
      note: 'with one process for each core, the default; limit: with one. Both through the queue, database included',
    },
    {
      ...common,
      name: 'processing: a thumbnail meanwhile, 95 %',
      ours: wait(all),
      limit: wait(one),
      ratio: wait(all) / wait(one),
      unit: 'ms',
      note: `of one asked for every ${LOOK_EVERY_MS} ms while the queue is worked off, from this process`,
    },
  ]
}

/** Uploads so many photos, then has them processed; thumbnails are looked at from then on. */
async function workOff(
  { client, database }: ServerUnderTest,
  photo: Buffer,
  count: number,
): Promise<Measured> {
  await pauseQueues(database, [QUEUE])
  const ids: string[] = []
  for (let index = 0; index < count; index++) {
    ids.push((await client.upload(Buffer.concat([photo, randomBytes(8)]), `${index}.jpg`)).id)
  }
  const beganAt = performance.now()
  await resumeQueues(database, [QUEUE])
  const waitsMs: number[] = []
  for (;;) {
    const { rows } = await database.query<{ id: string }>(
      `select id from asset where processing = 'pending' and id = any($1::uuid[])`,
      [ids],
    )
    if (rows.length === 0) return { seconds: (performance.now() - beganAt) / 1000, waitsMs }
    const askedAt = performance.now()
    const response = await client.call(`/assets/${ids[0]}/thumbnail`)
    await response.arrayBuffer()
    if (response.status === 200) waitsMs.push(performance.now() - askedAt)
    await sleep(LOOK_EVERY_MS)
  }
}
