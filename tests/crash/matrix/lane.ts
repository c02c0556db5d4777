/** Runs one case after another: makes an installation, has its process killed, recovers, and checks. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { silentLog } from '../../../src/log.ts'
import { type MediaTools, openMediaTools } from '../../../src/media/processes/tools.ts'
import type { Features } from '../../../src/storage/backend.ts'
import { probeS3 } from '../../../src/storage/s3/probe/probe.ts'
import { s3TestSettings } from '../../storage/contract/s3-subject.ts'
import { until } from '../../support/eventually.ts'
import type { Case } from './cases.ts'
import { checkAll, checkNothingGone, heldBytes } from './check.ts'
import type { Target } from './failpoints/runtime.ts'
import { openManifest, readManifest } from './manifest.ts'
import { type LanePostgres, type PostgresKill, startLanePostgres } from './postgres.ts'
import { recover } from './recover.ts'
import type { Around, Given, Scenario } from './scenario.ts'
import { mediaOf, openSite, type SiteSetup } from './site.ts'
import type { VictimOrder } from './victim.ts'

/** However slow the machine is: what hangs for so long is killed, as a person would do it. */
const VICTIM_LIMIT_MS = 90_000
/** When files that a dead process has staged are old enough to go. */
const LATER_MS = 2 * 24 * 3_600_000
const CREDENTIALS = { accessKeyId: 'matrix', secretAccessKey: 'matrix-secret' }

export type Lane = {
  /** One run without a kill, which is checked as well: how often each step was begun. */
  record(scenario: Scenario): Promise<Record<string, number>>
  /** Whether the step was reached. @throws what is wrong after the kill */
  run(one: Case): Promise<boolean>
  close(): Promise<void>
}
type Parts = { postgres: LanePostgres; features: Features; mediaTools: MediaTools; victim: string }
type Kill = { target: Target | null; postgresKill: PostgresKill; isAgainFirst: boolean }

/** `victim`: the module of the process that is killed (`bundleVictim`). */
export async function openLane(name: string, victim: string): Promise<Lane> {
  const postgres = await startLanePostgres(name)
  const mediaTools = openMediaTools({ log: silentLog, threads: 1 })
  const bucket = await startBucket()
  const { features } = await probeS3(settingsOf(bucket), silentLog)
  await bucket.close()
  const parts = { postgres, features, mediaTools, victim }
  return {
    async record(scenario) {
      const kill = { target: null, postgresKill: 'backend', isAgainFirst: false } as const
      return (await runOnce(parts, scenario, kill)).hits
    },
    async run({ scenario, target, postgresKill, isAgainFirst }) {
      return (await runOnce(parts, scenario, { target, postgresKill, isAgainFirst })).isReached
    },
    async close() {
      await mediaTools.close()
      await postgres.close()
    },
  }
}

const startBucket = () =>
  startStrictS3({ store: { kind: 'memory' }, credentials: CREDENTIALS, buckets: ['photos'] })

function settingsOf({ endpoint }: StrictS3) {
  return s3TestSettings({ endpoint, ...CREDENTIALS, bucket: 'photos' }, { prefix: '' })
}

async function runOnce(
  { postgres, features, mediaTools, victim }: Parts,
  scenario: Scenario,
  { target, postgresKill, isAgainFirst }: Kill,
): Promise<{ isReached: boolean; hits: Record<string, number> }> {
  await using cleanup = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'glassine-matrix-'))
  cleanup.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }))
  const newDatabase = async (kind: 'migrated' | 'empty') => {
    const url = await postgres.createDatabase(kind)
    cleanup.defer(() => postgres.drop(url))
    return url
  }
  const bucket = await startBucket()
  cleanup.defer(() => bucket.close())
  const setup: SiteSetup = {
    databaseUrl: await newDatabase('migrated'),
    folder: join(folder, 'data'),
    settings: settingsOf(bucket),
    features,
    actor: postgres.actor,
    options: scenario.options ?? {},
  }
  await mkdir(mediaOf(setup), { recursive: true })
  const manifestPath = join(folder, 'manifest.jsonl')
  const manifest = openManifest(manifestPath)
  const common = { bucket, manifest, mediaTools, emptyDatabase: () => newDatabase('empty') }

  const given = await withSite(setup, common, async (around) => (await scenario.prepare?.(around)) ?? {})
  const hitsPath = join(folder, 'hits.json')
  const order = { scenario: scenario.name, setup, given, manifestPath, target, hitsPath }
  const end = await runVictim(order, victim, () => postgres.kill(postgresKill, setup.databaseUrl))
  if (end.isPostgresKilled) await postgres.isBack()
  await until('the bucket has answered what the dead process asked', () => bucket.activeRequests() === 0)

  checkNothingGone(await heldBytes(mediaOf(setup), bucket), readManifest(manifestPath))
  const counted = (await scenario.takeUp?.({ setup, given, mediaTools })) ?? setup
  const recovering = async (around: Around) => {
    // A client that comes back at once may be told to wait.
    if (isAgainFirst) await scenario.again?.(around, given).catch(() => undefined)
    if (scenario.isHealedByClient) await recover(around.site, mediaTools)
    else await recoverAndCheck(around, scenario, given, manifestPath)
    if (!scenario.again) return
    await scenario.again(around, given)
    await recoverAndCheck(around, scenario, given, manifestPath)
  }
  await withSite(counted, common, recovering, LATER_MS)
  const isReached = target !== null && (end.isKilled || end.isPostgresKilled)
  if (target !== null) return { isReached, hits: {} }
  if (end.output !== '') throw new Error(`without a kill, ${scenario.name} ended with: ${end.output}`)
  return { isReached, hits: JSON.parse(await readFile(hitsPath, 'utf8')) as Record<string, number> }
}

async function withSite<T>(
  setup: SiteSetup,
  common: Omit<Around, 'site'>,
  use: (around: Around) => Promise<T>,
  moreAheadMs = 0,
): Promise<T> {
  const site = await openSite(setup, { moreAheadMs })
  try {
    return await use({ site, ...common })
  } finally {
    await site.close()
  }
}

async function recoverAndCheck(
  around: Around,
  scenario: Scenario,
  given: Given,
  manifestPath: string,
): Promise<void> {
  const { site, bucket, mediaTools } = around
  const errors = await recover(site, mediaTools)
  await rm(join(site.mediaLocation, 'cache'), { recursive: true, force: true })
  try {
    await checkAll(site, bucket, readManifest(manifestPath))
    await scenario.check?.(around, given)
  } catch (error) {
    if (errors.length > 0) (error as Error).message += `\nwhile: ${errors.slice(0, 5).join('; ')}`
    throw error
  }
}

type End = { isKilled: boolean; isPostgresKilled: boolean; output: string }

async function runVictim(
  order: VictimOrder,
  victim: string,
  killPostgres: () => Promise<void>,
): Promise<End> {
  const child = spawn(process.execPath, [victim, JSON.stringify(order)], {
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout!, child.stderr!])
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  let isPostgresKilled = false
  const asking = child.stdio[3] as Duplex
  asking.on('error', () => undefined) // it is dead, and was not to answer
  asking.on('data', () => {
    isPostgresKilled = true
    killPostgres().then(
      () => asking.write('k'),
      (error: Error) => {
        output += error.message
        child.kill('SIGKILL')
      },
    )
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), VICTIM_LIMIT_MS)
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  clearTimeout(timer)
  if (signal === null && code !== 0) throw new Error(`the process ended with ${code}: ${output}`)
  return { isKilled: signal === 'SIGKILL', isPostgresKilled, output: output.trim() }
}
