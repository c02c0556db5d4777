/**
 * Offloading against `rclone copy` of the same files with the same parallelism. Both prove what they sent
 * (rclone declares the MD5 and compares it with the ETag); ours also keeps the ledger, hashes what it reads,
 * and removes the local file after.
 */

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { type Bucket, startBucket } from './bucket.ts'
import { openStack } from './cleanup.ts'
import { asForm, fileMaker, inParallel, post } from './http-client.ts'
import { type Cost, costOf, cpuSecondsOf } from './processes.ts'
import { installRclone, rcloneCopy } from './rclone.ts'
import type { BenchRow } from './report.ts'
import {
  pauseQueues,
  probeLocations,
  resumeQueues,
  type ServerUnderTest,
  serverUnderTest,
} from './server-under-test.ts'
import { median, sum } from './statistics.ts'

const FILE_BYTES = 3_500_000
const FILES = 200
const PARALLEL = 8
const ROUNDS = 3
const WARM_UP_FILES = 16
/** Each look costs PostgreSQL 2 ms, on the cores that are measured. */
const POLL_MS = 200
const LIMIT_MS = 120_000
const MOVES = ['replication', 'eviction']

export async function benchOffload(): Promise<BenchRow[]> {
  await installRclone()
  await using stack = openStack()
  const bucket = await startBucket(stack)
  const server = await serverUnderTest(stack, {
    storage: { default: 's3', s3: bucket.settings },
    jobs: { storageConcurrency: PARALLEL },
  })
  await probeLocations(server)
  await pauseQueues(server.database, ['processing', 'videoConversion', 'maintenance', ...MOVES])

  await compareOnce(server, bucket, WARM_UP_FILES, 'warm-up')
  const rounds: Round[] = []
  for (let round = 0; round < ROUNDS; round++) {
    rounds.push(await compareOnce(server, bucket, FILES, `round-${round}`))
  }

  const provenIn = median(rounds.map((round) => round.provenInSeconds))
  const rcloneIn = median(rounds.map((round) => round.rclone.seconds))
  const oursCpu = median(rounds.map((round) => round.ours.cpuSeconds))
  const rcloneCpu = median(rounds.map((round) => round.rclone.cpuSeconds))
  const databaseCpu = median(rounds.map((round) => round.databaseCpuSeconds))
  const goneIn = median(rounds.map((round) => round.ours.seconds))
  const peakRssMb = Math.max(...rounds.map((round) => round.ours.peakRssMb))
  const rclonePeakMb = Math.max(...rounds.map((round) => round.rclone.peakRssMb))
  return [
    {
      name: 'offload: 200 files proven in Ceph',
      ours: provenIn,
      limit: rcloneIn,
      ratio: provenIn / rcloneIn,
      target: { ratioAtMost: 1 },
      unit: 's',
      cpuSeconds: sum(rounds.map((round) => round.ours.cpuSeconds)),
      peakRssMb,
      note:
        `3.5 MB each, ${PARALLEL} in parallel, ${ROUNDS} rounds in turns, medians; from the first claim to the last proof. ` +
        `All local files checked again and removed after ${goneIn.toFixed(2)} s. Limit: rclone copy.`,
    },
    {
      name: 'offload: client CPU',
      ours: oursCpu,
      limit: rcloneCpu,
      ratio: oursCpu / rcloneCpu,
      target: { ratioAtMost: 0.7 },
      unit: 'CPU-s',
      cpuSeconds: oursCpu,
      peakRssMb,
      note:
        `Until the last local file was removed; rclone only copies. PostgreSQL, not in ours: ${databaseCpu.toFixed(2)}; ` +
        `with it ${((oursCpu + databaseCpu) / rcloneCpu).toFixed(2)} x. Peak of rclone: ${rclonePeakMb.toFixed(0)} MB.`,
    },
  ]
}

type Round = {
  ours: Cost<void>
  provenInSeconds: number
  databaseCpuSeconds: number
  rclone: Cost<void>
}

/** Uploads fresh files, lets rclone copy them from our media folder, then lets ours offload them. */
async function compareOnce(
  server: ServerUnderTest,
  bucket: Bucket,
  files: number,
  prefix: string,
): Promise<Round> {
  const makeFile = fileMaker(FILE_BYTES)
  await inParallel(files, PARALLEL, (index, agent) => {
    const form = asForm(`${prefix}-${index}.jpg`, makeFile(), FILE_BYTES)
    return post(agent, `${server.url}/api/assets`, {
      ...form,
      headers: { ...form.headers, authorization: `Bearer ${server.client.token}` },
    })
  })
  const rclone = await rcloneCopy(bucket, join(server.dataDir, 'media', 'users'), {
    prefix: `rclone/${prefix}`,
    transfers: PARALLEL,
  })

  let provenInSeconds = Number.NaN
  const databaseBefore = await cpuSecondsOf(server.databasePid)
  const ours = await costOf(server.pid, async () => {
    const beganAt = await databaseTime(server.database)
    await releaseForOffload(server.database)
    await waitUntilOffloaded(server.database)
    provenInSeconds = await secondsToLastProof(server.database, beganAt)
  }, [server.databasePid])
  const databaseCpuSeconds = (await cpuSecondsOf(server.databasePid)) - databaseBefore
  await pauseQueues(server.database, MOVES)
  return { ours, provenInSeconds, databaseCpuSeconds, rclone }
}

async function databaseTime(database: pg.Client): Promise<Date> {
  return (await database.query<{ now: Date }>('select clock_timestamp() as now')).rows[0]!.now
}

async function secondsToLastProof(database: pg.Client, beganAt: Date): Promise<number> {
  const { rows } = await database.query<{ seconds: number }>(
    `select extract(epoch from max(at) - $1::timestamptz)::float8 as seconds from placement_event
     where to_state = 'verified' and location_id <> 'local'`,
    [beganAt],
  )
  return rows[0]!.seconds
}

/** Nothing waits for previews, which these bytes can't have; replication and eviction begin. */
export async function releaseForOffload(database: pg.Client): Promise<void> {
  await database.query('delete from local_lease')
  await resumeQueues(database, MOVES)
}

/** Resolves when every original is in the bucket alone. */
export async function waitUntilOffloaded(database: pg.Client): Promise<void> {
  const deadline = performance.now() + LIMIT_MS
  for (;;) {
    const { rows } = await database.query<{ left: string }>(
      `select count(*) as left from (
         select from stored_object join replica on object_id = stored_object.id
         where kind = 'original' group by stored_object.id having bool_or(location_id = 'local')) as unfinished`,
    )
    if (rows[0]!.left === '0') return
    if (performance.now() > deadline) {
      const failures = await database.query('select error from job_failure order by id desc limit 1')
      throw new Error(
        `${rows[0]!.left} originals are not offloaded; ${failures.rows[0]?.error ?? 'no job failed'}`,
      )
    }
    await sleep(POLL_MS)
  }
}
