/** From nothing to the first answered ping, and what is resident when nobody asks for anything. */

import { randomFillSync } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import sharp from 'sharp'
import { startEmbeddedPostgres } from '../src/database/embedded/embedded.ts'
import { silentLog } from '../src/log.ts'
import { openStack } from './cleanup.ts'
import { cpuSecondsOf, memoryOf, peakRssMbOf } from './processes.ts'
import type { BenchRow } from './report.ts'
import { serverUnderTest, startServer, temporaryFolder } from './server-under-test.ts'
import { median } from './statistics.ts'

const STARTS = 5
const IDLE_MS = 60_000
const PHOTOS = 12
const PROCESSED_LIMIT_MS = 120_000

export async function benchStart(): Promise<BenchRow[]> {
  await using stack = openStack()
  const dataDir = await temporaryFolder(stack)
  // The very first start makes the database and the tables; it is not what is measured.
  await (await startServer(dataDir, {})).stop()
  const embedded = await timeStarts(dataDir, {})

  const postgres = await startEmbeddedPostgres({ dataDir: join(dataDir, 'external'), log: silentLog })
  stack.defer(() => postgres.stop())
  const config = { database: { url: postgres.url } }
  await (await startServer(join(dataDir, 'other'), config)).stop()
  const external = await timeStarts(join(dataDir, 'other'), config)
  const note = `From the spawn to the first answered ping; median of ${STARTS}, with the demonstration bucket`
  return [
    {
      name: 'start: PostgreSQL runs already',
      ours: external.seconds,
      limit: null,
      ratio: null,
      target: { atMost: 1.5 },
      unit: 's',
      cpuSeconds: external.cpuSeconds,
      peakRssMb: external.peakRssMb,
      note: `${note}.`,
    },
    {
      name: 'start: with the embedded PostgreSQL',
      ours: embedded.seconds,
      limit: null,
      ratio: null,
      target: { atMost: 3 },
      unit: 's',
      cpuSeconds: embedded.cpuSeconds,
      peakRssMb: embedded.peakRssMb,
      note: `${note}; a restart, so its start is in it and initdb is not.`,
    },
  ]
}

async function timeStarts(dataDir: string, config: object) {
  const started: { seconds: number; cpuSeconds: number; peakRssMb: number }[] = []
  for (let count = 0; count < STARTS; count++) {
    const server = await startServer(dataDir, config)
    try {
      started.push({
        seconds: server.startedInMs / 1000,
        cpuSeconds: await cpuSecondsOf(server.pid),
        peakRssMb: await peakRssMbOf(server.pid),
      })
    } finally {
      await server.stop()
    }
  }
  return {
    seconds: median(started.map((start) => start.seconds)),
    cpuSeconds: median(started.map((start) => start.cpuSeconds)),
    peakRssMb: Math.max(...started.map((start) => start.peakRssMb)),
  }
}

export async function benchIdle(): Promise<BenchRow[]> {
  await using stack = openStack()
  const server = await serverUnderTest(stack, {})
  const photo = await makePhoto()
  for (let index = 0; index < PHOTOS; index++) {
    await server.client.upload(Buffer.concat([photo, Buffer.from([index])]), `photo-${index}.jpg`)
  }
  const deadline = performance.now() + PROCESSED_LIMIT_MS
  for (;;) {
    const { rows } = await server.database.query<{ waiting: string }>(
      'select count(*) as waiting from graphile_worker.jobs where run_at <= now()',
    )
    if (rows[0]!.waiting === '0') break
    if (performance.now() > deadline) throw new Error(`${rows[0]!.waiting} jobs are still waiting`)
    await sleep(200)
  }
  const busyPeakMb = await peakRssMbOf(server.pid)
  const before = await cpuSecondsOf(server.pid, [server.databasePid])
  await sleep(IDLE_MS)
  const idleCpu = (await cpuSecondsOf(server.pid, [server.databasePid])) - before
  const memory = await memoryOf(server.pid, [server.databasePid])
  const database = await memoryOf(server.databasePid)
  return [
    {
      name: 'idle: memory of server and worker',
      ours: memory.rssMb,
      limit: null,
      ratio: null,
      target: { atMost: 200 },
      unit: 'MB',
      cpuSeconds: idleCpu,
      peakRssMb: busyPeakMb,
      note:
        `Resident, ${memory.processes} process(es), with the demonstration bucket, a minute after ${PHOTOS} photos of 12 MP were ` +
        `processed and offloaded; PSS ${memory.pssMb.toFixed(0)} MB. PostgreSQL, not in it: PSS ${database.pssMb.toFixed(0)} MB.`,
    },
  ]
}

/** 12 MP with detail everywhere, about 4 MB. */
async function makePhoto(): Promise<Buffer> {
  const width = 1000
  const height = 750
  const noise = randomFillSync(Buffer.alloc(width * height * 3))
  return sharp(noise, { raw: { width, height, channels: 3 } })
    .resize(4000, 3000)
    .jpeg({ quality: 85 })
    .toBuffer()
}
